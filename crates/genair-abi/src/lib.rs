//! The C boundary between the trainer and backbone plugins.
//!
//! Rust has no stable ABI, so only what stands here crosses: `extern "C"` functions, `repr(C)`
//! structures, numbers, (pointer, length) pairs and raw libtorch tensor pointers (host and plugin
//! share one libtorch). Whoever allocates frees. Descriptions cross as JSON ([`BackboneDescriptor`],
//! [`Capabilities`]). This crate knows no tensor library and does no input or output; the safe side
//! for plugin authors is `genair-plugin-sdk`.
//!
//! Change any `repr(C)` layout, or the meaning of a field, and [`ABI_VERSION`] must change too.

#![expect(unsafe_code, reason = "this crate is the plugin boundary")]

mod description;
mod strings;
mod table;

pub use description::{
    BackboneDescriptor, Capabilities, MaskedTraining, OutputItems, Padding, TrainsOn,
};
pub use strings::{OwnedStr, Str};
pub use table::{
    Batch, CreateContext, Handshake, Host, Init, InitKind, LogLevel, Status, StatusCode, TensorPtr,
    VTable,
};

/// Version of the layouts below; host and plugin must agree exactly.
pub const ABI_VERSION: u32 = 1;

/// Name of the exported [`Handshake`] static.
pub const HANDSHAKE_SYMBOL: &str = "GENAIR_BACKBONE_HANDSHAKE";

/// First eight bytes of a [`Handshake`], so that a stray symbol is not taken for one.
pub const HANDSHAKE_MAGIC: u64 = u64::from_be_bytes(*b"GENAIRBB");

/// Plugin files are called `libgenair_backbone_NAME.so` (`.dylib` on macOS).
pub const PLUGIN_FILE_PREFIX: &str = "libgenair_backbone_";
