//! A model built by a plugin, called safely.

#![expect(unsafe_code, reason = "plugin boundary")]

use std::ffi::c_void;

use genair_abi::{Batch, Capabilities, CreateContext, TensorPtr};
use tch::{Device, Kind, Tensor};

use super::library::json;
use super::{Plugin, host};
use crate::RunErrorKind;
use crate::parameters::Parameters;

/// A backbone with its parameters.
pub(crate) struct Model<'a> {
    plugin: &'a Plugin,
    model: *mut c_void,
    capabilities: Capabilities,
}

/// One packed batch: `N` valid tokens of `B` sequences.
pub(crate) struct BatchTensors<'a> {
    /// Item vectors, `[N, D]`.
    pub(crate) items: &'a Tensor,
    /// Positions from 0, int64 `[N]`.
    pub(crate) positions: &'a Tensor,
    /// Tokens per sequence, `[B]`.
    pub(crate) lengths: &'a [i64],
    /// Users from 0, int64 `[B]`.
    pub(crate) users: Option<&'a Tensor>,
    /// Tokens whose states are wanted, ascending `[M]`; all where absent.
    pub(crate) wanted: Option<&'a [i64]>,
    /// The step's seed while training.
    pub(crate) training: Option<u64>,
}

impl<'a> Model<'a> {
    /// Builds a model; its parameters are added to `parameters`.
    ///
    /// # Errors
    /// [`RunErrorKind::PluginFailed`].
    pub(crate) fn create(
        plugin: &'a Plugin,
        params: &serde_json::Map<String, serde_json::Value>,
        context: CreateContext,
        parameters: &mut Parameters,
    ) -> Result<Self, RunErrorKind> {
        let capabilities = plugin.capabilities(params)?;
        let params = json(params);
        let host = host::host(parameters);
        let mut model: *mut c_void = std::ptr::null_mut();
        // SAFETY: every pointer is valid for the length of the call, and the handshake matched.
        let status = unsafe {
            (plugin.vtable.create)(genair_abi::Str::new(&params), &context, &host, &mut model)
        };
        status
            .into_result()
            .map_err(|failure| plugin.failed("create", failure))?;
        Ok(Self {
            plugin,
            model,
            capabilities,
        })
    }

    pub(crate) fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// States of the wanted tokens, float `[M, S]`.
    ///
    /// # Errors
    /// [`RunErrorKind::PluginFailed`], or [`RunErrorKind::WrongStates`] for a wrong shape or type.
    pub(crate) fn encode(&self, batch: &BatchTensors<'_>) -> Result<Tensor, RunErrorKind> {
        let borrowed = |tensor: &Tensor| -> TensorPtr { tensor.as_ptr().cast_mut().cast() };
        let raw = Batch {
            items: borrowed(batch.items),
            positions: borrowed(batch.positions),
            lengths: batch.lengths.as_ptr(),
            sequences: batch.lengths.len(),
            users: batch.users.map_or(std::ptr::null_mut(), borrowed),
            wanted: batch.wanted.map_or(std::ptr::null(), <[i64]>::as_ptr),
            wanted_count: batch.wanted.map_or(0, <[i64]>::len),
            training: u32::from(batch.training.is_some()),
            seed: batch.training.unwrap_or_default(),
        };
        let mut out: TensorPtr = std::ptr::null_mut();
        // SAFETY: the tensors outlive the call, and the plugin only makes handles of its own to
        // them; `model` comes from this plugin's `create`.
        let status = unsafe { (self.plugin.vtable.encode)(self.model, &raw, &mut out) };
        status
            .into_result()
            .map_err(|failure| self.plugin.failed("encode", failure))?;
        let wanted = batch
            .wanted
            .map_or_else(|| batch.items.size()[0], |wanted| wanted.len() as i64);
        let shape = [wanted, self.capabilities.state_size as i64];
        let wrong = |found: String| RunErrorKind::WrongStates {
            plugin: self.plugin.descriptor().name.clone(),
            found,
            expected: format!("shape {shape:?} and type Float"),
        };
        if out.is_null() {
            return Err(wrong("nothing at all".to_owned()));
        }
        // SAFETY: the plugin wrote a handle that this side now owns.
        let mut states = unsafe { Tensor::from_ptr(out.cast()) };
        // What autocast leaves.
        if states.kind() == Kind::BFloat16 {
            states = states.f_to_kind(Kind::Float)?;
        }
        if states.size() != shape || states.kind() != Kind::Float {
            return Err(wrong(format!(
                "shape {:?} and type {:?}",
                states.size(),
                states.kind()
            )));
        }
        Ok(states)
    }
}

impl Drop for Model<'_> {
    fn drop(&mut self) {
        // SAFETY: `model` comes from this plugin's `create` and is not used again.
        unsafe { (self.plugin.vtable.drop)(self.model) }
    }
}

/// A device as it crosses the boundary.
pub(crate) fn device_number(device: Device) -> i64 {
    match device {
        Device::Cuda(number) => number as i64,
        _ => -1,
    }
}
