//! A library that ends the process as soon as it is opened, as a broken static constructor does.

#![expect(unsafe_code, reason = "a function in .init_array")]

extern "C" fn abort() {
    std::process::abort();
}

#[used]
#[unsafe(link_section = ".init_array")]
static ABORT: extern "C" fn() = abort;
