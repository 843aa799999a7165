//! What a plugin may ask while it builds a model. No panic may leave these functions.

#![expect(unsafe_code, reason = "plugin boundary")]

use std::ffi::c_void;
use std::mem::ManuallyDrop;

use genair_abi::{Host, Init, InitKind, LogLevel, Status, Str, TensorPtr};

use crate::parameters::{ParameterError, Parameters, Start};

/// Prefix of every tensor a backbone asks for, so that none collides with the trainer's own.
pub(crate) const BACKBONE_PREFIX: &str = "backbone.";

/// The callbacks over a run's parameters.
pub(super) fn host(parameters: &mut Parameters) -> Host {
    Host {
        context: std::ptr::from_mut(parameters).cast(),
        parameter,
        log,
    }
}

#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("a null pointer")]
    Null,
    #[error("unknown start value kind {0}")]
    Kind(u32),
    #[error("the start value's parameter {0} is not a finite number")]
    Value(f64),
    #[error(transparent)]
    Parameter(#[from] ParameterError),
}

unsafe extern "C" fn parameter(
    context: *mut c_void,
    name: Str<'_>,
    shape: *const i64,
    dimensions: usize,
    init: Init,
    out: *mut TensorPtr,
) -> Status {
    Status::catch(|| -> Result<(), Refusal> {
        if context.is_null() || shape.is_null() || out.is_null() {
            return Err(Refusal::Null);
        }
        // SAFETY: `context` is the pointer put into `Host` by `host`, whose owner lent its
        // parameters for the length of the call to `create`; the plugin's slices are valid for
        // the length of this call.
        let (parameters, name, shape) = unsafe {
            let shape = std::slice::from_raw_parts(shape, dimensions);
            (
                &mut *context.cast::<Parameters>(),
                name.to_string_lossy(),
                shape,
            )
        };
        let kind = InitKind::try_from(init.kind).map_err(Refusal::Kind)?;
        if !init.value.is_finite() {
            return Err(Refusal::Value(init.value));
        }
        let start = Start {
            kind,
            value: init.value,
        };
        let tensor = parameters.create(&format!("{BACKBONE_PREFIX}{name}"), shape, start)?;
        let mut tensor = ManuallyDrop::new(tensor);
        // SAFETY: checked for null above; the plugin owns the handle from here on.
        unsafe { out.write(tensor.as_mut_ptr().cast()) };
        Ok(())
    })
}

unsafe extern "C" fn log(_context: *mut c_void, level: LogLevel, message: Str<'_>) {
    // A subscriber that panics must not take the process down.
    let _ = std::panic::catch_unwind(|| {
        // SAFETY: the plugin's text is valid for the length of this call.
        let message = unsafe { message.to_string_lossy() };
        match level {
            LogLevel::WARN => tracing::warn!(target: "plugin", "{message}"),
            _ => tracing::info!(target: "plugin", "{message}"),
        }
    });
}
