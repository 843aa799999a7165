//! How a backbone asks for its parameters.

use std::fmt::Display;

use genair_abi::{CreateContext, Host, InitKind, LogLevel, Str, TensorPtr};
use tch::{Device, Tensor};

use crate::{Error, Result};

/// How a parameter starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// A weight matrix: the run's `train.init` decides.
    Weight,
    /// Every element is this number.
    Constant(f64),
    /// Normal with mean 0 and this standard deviation.
    Normal(f64),
    /// Uniform in plus or minus this bound.
    Uniform(f64),
}

impl Init {
    /// PyTorch's bias of a layer with `fan_in` inputs: uniform in plus or minus 1/sqrt(fan_in).
    pub fn bias(fan_in: i64) -> Self {
        Self::Uniform(1.0 / (fan_in.max(1) as f64).sqrt())
    }

    fn to_abi(self) -> genair_abi::Init {
        let (kind, value) = match self {
            Self::Weight => (InitKind::Weight, 0.0),
            Self::Constant(value) => (InitKind::Constant, value),
            Self::Normal(deviation) => (InitKind::Normal, deviation),
            Self::Uniform(bound) => (InitKind::Uniform, bound),
        };
        genair_abi::Init {
            kind: kind as u32,
            value,
        }
    }
}

/// Creates a model's parameters in the host, below a name prefix.
pub struct Builder<'a> {
    host: &'a Host,
    context: &'a CreateContext,
    prefix: String,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(host: &'a Host, context: &'a CreateContext) -> Self {
        Self {
            host,
            context,
            prefix: String::new(),
        }
    }

    /// The builder of a part of the model: its names start with `prefix.name.`.
    pub fn scope(&self, name: impl Display) -> Builder<'a> {
        Builder {
            prefix: format!("{}{name}.", self.prefix),
            ..*self
        }
    }

    /// Longest sequence of any batch, mask token included.
    pub fn max_len(&self) -> i64 {
        self.context.max_len as i64
    }

    /// Users, numbered from 0 in batches.
    pub fn users(&self) -> i64 {
        self.context.users as i64
    }

    /// Where the model lives.
    pub fn device(&self) -> Device {
        usize::try_from(self.context.device).map_or(Device::Cpu, Device::Cuda)
    }

    /// A trainable tensor. The host owns it; what comes back is a handle to the same memory.
    ///
    /// # Errors
    /// [`Error::Host`], for a name that is taken or a shape that makes no sense.
    pub fn parameter(&self, name: &str, shape: &[i64], init: Init) -> Result<Tensor> {
        let name = format!("{}{name}", self.prefix);
        let mut out: TensorPtr = std::ptr::null_mut();
        #[expect(unsafe_code, reason = "plugin boundary")]
        // SAFETY: the host's callback; every pointer is valid for the length of the call.
        let status = unsafe {
            (self.host.parameter)(
                self.host.context,
                Str::new(&name),
                shape.as_ptr(),
                shape.len(),
                init.to_abi(),
                &mut out,
            )
        };
        match status.into_result() {
            Ok(()) if !out.is_null() => {
                #[expect(unsafe_code, reason = "plugin boundary")]
                // SAFETY: the host hands over a new handle that this side owns.
                Ok(unsafe { Tensor::from_ptr(out.cast()) })
            }
            Ok(()) => Err(Error::Host {
                name,
                reason: "it returned nothing".to_owned(),
            }),
            Err((_, reason)) => Err(Error::Host { name, reason }),
        }
    }

    /// Says something in the run's log that a user should look at.
    pub fn warn(&self, message: &str) {
        self.log(LogLevel::WARN, message);
    }

    /// Says something in the run's log that a user may want to know.
    pub fn info(&self, message: &str) {
        self.log(LogLevel::INFO, message);
    }

    fn log(&self, level: LogLevel, message: &str) {
        #[expect(unsafe_code, reason = "plugin boundary")]
        // SAFETY: the host's callback; the text is valid for the length of the call.
        unsafe {
            (self.host.log)(self.host.context, level, Str::new(message));
        }
    }
}
