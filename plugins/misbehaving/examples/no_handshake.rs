//! A library that is no plugin at all.

#![expect(unsafe_code, reason = "an exported symbol")]

/// Something else.
#[unsafe(no_mangle)]
pub extern "C" fn something_else() -> i32 {
    1
}
