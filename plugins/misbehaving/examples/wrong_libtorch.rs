//! A library that was compiled against another libtorch; nothing behind it may be called.

#![expect(unsafe_code, reason = "a handshake by hand")]

#[path = "shared/untouchable.rs"]
mod untouchable;

use genair_abi::Handshake;

#[unsafe(no_mangle)]
static GENAIR_BACKBONE_HANDSHAKE: Handshake =
    Handshake::new("1.0.0", "rustc", "0.0.0", untouchable::VTABLE);
