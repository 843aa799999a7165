//! A function table that no host should get to: every entry ends the process.

use std::ffi::c_void;

use genair_abi::{Batch, CreateContext, Host, OwnedStr, Status, Str, TensorPtr, VTable};

/// Every function aborts.
pub(crate) const VTABLE: VTable = VTable {
    describe,
    capabilities,
    create,
    encode,
    drop: free,
};

unsafe extern "C" fn describe(_: *mut OwnedStr) -> Status {
    std::process::abort()
}

unsafe extern "C" fn capabilities(_: Str<'_>, _: *mut OwnedStr) -> Status {
    std::process::abort()
}

unsafe extern "C" fn create(
    _: Str<'_>,
    _: *const CreateContext,
    _: *const Host,
    _: *mut *mut c_void,
) -> Status {
    std::process::abort()
}

unsafe extern "C" fn encode(_: *mut c_void, _: *const Batch, _: *mut TensorPtr) -> Status {
    std::process::abort()
}

unsafe extern "C" fn free(_: *mut c_void) {
    std::process::abort()
}
