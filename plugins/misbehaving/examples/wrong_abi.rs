//! A library whose handshake claims another ABI version; nothing behind it may be called.

#![expect(unsafe_code, reason = "a handshake by hand")]

#[path = "shared/untouchable.rs"]
mod untouchable;

use genair_abi::{ABI_VERSION, Handshake};

#[unsafe(no_mangle)]
static GENAIR_BACKBONE_HANDSHAKE: Handshake = Handshake {
    abi: ABI_VERSION + 1,
    ..Handshake::new("2.13.0", "rustc", "0.0.0", untouchable::VTABLE)
};
