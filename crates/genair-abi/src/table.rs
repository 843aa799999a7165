//! The handshake and the function table, laid out for C.

use std::ffi::c_void;

use crate::{ABI_VERSION, HANDSHAKE_MAGIC, OwnedStr, Str};

/// An `at::Tensor*`. Borrowed in arguments; owned by the receiver in results.
pub type TensorPtr = *mut c_void;

/// The exported static of a plugin. Its first three fields never change, so that a host of any
/// version can tell that it does not understand the rest.
#[repr(C)]
pub struct Handshake {
    /// [`HANDSHAKE_MAGIC`].
    pub magic: u64,
    /// [`ABI_VERSION`] the plugin was built with.
    pub abi: u32,
    /// Size of this structure in bytes.
    pub size: u32,
    /// libtorch the plugin was compiled against, such as `2.13.0`.
    pub libtorch: Str<'static>,
    /// Compiler, for the record.
    pub rustc: Str<'static>,
    /// Version of the SDK, for the record.
    pub sdk: Str<'static>,
    /// The functions.
    pub vtable: VTable,
}

impl Handshake {
    /// What a plugin built against this crate says.
    pub const fn new(
        libtorch: &'static str,
        rustc: &'static str,
        sdk: &'static str,
        vtable: VTable,
    ) -> Self {
        Self {
            magic: HANDSHAKE_MAGIC,
            abi: ABI_VERSION,
            size: size_of::<Self>() as u32,
            libtorch: Str::new(libtorch),
            rustc: Str::new(rustc),
            sdk: Str::new(sdk),
            vtable,
        }
    }
}

/// What a plugin can be asked. Every function may be called from one thread at a time.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct VTable {
    /// Writes a [`crate::BackboneDescriptor`] as JSON.
    pub describe: unsafe extern "C" fn(out: *mut OwnedStr) -> Status,
    /// Checks parameters (a JSON object) and writes [`crate::Capabilities`] as JSON.
    pub capabilities: unsafe extern "C" fn(params: Str<'_>, out: *mut OwnedStr) -> Status,
    /// Builds a model; all its parameters are asked of the host before this returns.
    pub create: unsafe extern "C" fn(
        params: Str<'_>,
        context: *const CreateContext,
        host: *const Host,
        out: *mut *mut c_void,
    ) -> Status,
    /// Writes the states `[M, state_size]` of the wanted tokens of a batch.
    pub encode: unsafe extern "C" fn(
        model: *mut c_void,
        batch: *const Batch,
        out: *mut TensorPtr,
    ) -> Status,
    /// Frees a model.
    pub drop: unsafe extern "C" fn(model: *mut c_void),
}

/// What a model is built for.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CreateContext {
    /// Longest sequence of any batch, mask token included: `L`.
    pub max_len: usize,
    /// Users, numbered 0..users in batches.
    pub users: usize,
    /// -1 for the CPU, otherwise the CUDA device's number.
    pub device: i64,
}

/// What a plugin can ask of the host, while it builds a model.
#[repr(C)]
pub struct Host {
    /// Passed back with every call.
    pub context: *mut c_void,
    /// Creates a trainable tensor; the host owns its name, start value, checkpoint and optimiser.
    /// The tensor written is the plugin's own handle to it.
    pub parameter: unsafe extern "C" fn(
        context: *mut c_void,
        name: Str<'_>,
        shape: *const i64,
        dimensions: usize,
        init: Init,
        out: *mut TensorPtr,
    ) -> Status,
    /// Says something in the run's log.
    pub log: unsafe extern "C" fn(context: *mut c_void, level: LogLevel, message: Str<'_>),
}

/// How urgent a plugin's log line is; a plain number, since a plugin may send any.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLevel(pub u32);

impl LogLevel {
    /// Something a user should look at.
    pub const WARN: Self = Self(1);
    /// Something a user may want to know.
    pub const INFO: Self = Self(2);
}

/// How a parameter starts. An integer tag instead of a Rust enum: an unknown value must be an
/// error, not undefined behaviour.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Init {
    /// One of [`InitKind`]'s numbers.
    pub kind: u32,
    /// Standard deviation, bound or constant, as the kind says.
    pub value: f64,
}

/// The meaning of [`Init::kind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum InitKind {
    /// A weight matrix: the run's `train.init` decides.
    Weight = 0,
    /// Every element is `value`.
    Constant = 1,
    /// Normal with mean 0 and standard deviation `value`.
    Normal = 2,
    /// Uniform in `[-value, value]`.
    Uniform = 3,
}

impl TryFrom<u32> for InitKind {
    type Error = u32;

    fn try_from(number: u32) -> Result<Self, u32> {
        match number {
            0 => Ok(Self::Weight),
            1 => Ok(Self::Constant),
            2 => Ok(Self::Normal),
            3 => Ok(Self::Uniform),
            unknown => Err(unknown),
        }
    }
}

/// One batch, packed: the valid tokens of all sequences one after another, no padding.
#[repr(C)]
pub struct Batch {
    /// Item vectors of all tokens, float `[N, hidden_size]`.
    pub items: TensorPtr,
    /// Position of each token in its window, from 0, int64 `[N]`; at most `max_len - 1`.
    pub positions: TensorPtr,
    /// Tokens of each sequence, at least 1 each, `sequences` numbers that sum to `N`.
    pub lengths: *const i64,
    /// Sequences in the batch, `B`.
    pub sequences: usize,
    /// User of each sequence, int64 `[B]`; null unless the plugin wants users.
    pub users: TensorPtr,
    /// Tokens whose states are wanted, ascending; null for all of them.
    pub wanted: *const i64,
    /// How many are wanted, `M`, where `wanted` is not null.
    pub wanted_count: usize,
    /// 1 while training (dropout applies), 0 otherwise.
    pub training: u32,
    /// Seeds every random draw of this call (dropout), so that a step does not depend on what ran before it.
    pub seed: u64,
}

/// How a call went.
#[repr(C)]
pub struct Status {
    /// [`StatusCode`]'s number.
    pub code: u32,
    /// What went wrong; empty when nothing did.
    pub message: OwnedStr,
}

/// The meaning of [`Status::code`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum StatusCode {
    /// Done; the result has been written.
    Ok = 0,
    /// Refused or failed; nothing has been written.
    Error = 1,
    /// The callee panicked; nothing has been written.
    Panic = 2,
}

impl Status {
    /// Success.
    pub const fn ok() -> Self {
        Self {
            code: StatusCode::Ok as u32,
            message: OwnedStr::empty(),
        }
    }

    /// Failure with its message.
    pub fn failed(code: StatusCode, message: String) -> Self {
        Self {
            code: code as u32,
            message: OwnedStr::from(message),
        }
    }

    /// The call's outcome: the code (an unknown number counts as an error) and message of a failure.
    pub fn into_result(self) -> Result<(), (StatusCode, String)> {
        match self.code {
            0 => Ok(()),
            2 => Err((StatusCode::Panic, self.message.to_string_lossy())),
            _ => Err((StatusCode::Error, self.message.to_string_lossy())),
        }
    }

    /// Runs `body` and turns its error or panic into a status: no panic may leave an
    /// `extern "C"` function.
    pub fn catch<E: std::fmt::Display>(body: impl FnOnce() -> Result<(), E>) -> Self {
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)) {
            Ok(Ok(())) => Self::ok(),
            Ok(Err(error)) => Self::failed(StatusCode::Error, error.to_string()),
            Err(panic) => Self::failed(StatusCode::Panic, panic_message(panic.as_ref())),
        }
    }
}

/// The text of a caught panic.
fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without a message".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_panics_become_statuses() {
        assert!(Status::catch(|| Ok::<(), String>(())).into_result().is_ok());
        let failed = Status::catch(|| Err("no such width")).into_result();
        assert_eq!(failed, Err((StatusCode::Error, "no such width".to_owned())));
        let panicked = Status::catch(|| -> Result<(), String> { panic!("at {}", 7) }).into_result();
        assert_eq!(panicked, Err((StatusCode::Panic, "at 7".to_owned())));
    }

    #[test]
    fn an_unknown_code_is_an_error() {
        let status = Status {
            code: 99,
            message: OwnedStr::from("?".to_owned()),
        };
        assert_eq!(
            status.into_result(),
            Err((StatusCode::Error, "?".to_owned()))
        );
    }
}
