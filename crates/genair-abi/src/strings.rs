//! Text across the boundary: borrowed ([`Str`]) and owned with its own free function
//! ([`OwnedStr`]).

use std::marker::PhantomData;

/// Borrowed UTF-8 text, valid as long as the call (or, for statics, the process).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Str<'a> {
    ptr: *const u8,
    len: usize,
    lifetime: PhantomData<&'a str>,
}

// SAFETY: a `Str` is a shared reference to immutable bytes.
unsafe impl Sync for Str<'_> {}

impl<'a> Str<'a> {
    /// Borrows `text`.
    pub const fn new(text: &'a str) -> Self {
        Self {
            ptr: text.as_ptr(),
            len: text.len(),
            lifetime: PhantomData,
        }
    }

    /// The text; invalid UTF-8 is replaced, a null pointer is the empty text.
    ///
    /// # Safety
    /// `ptr` must be null or point to `len` readable bytes: true for every value made by
    /// [`Str::new`], in whichever binary.
    pub unsafe fn to_string_lossy(self) -> String {
        if self.ptr.is_null() {
            return String::new();
        }
        // SAFETY: the caller's promise.
        let bytes = unsafe { std::slice::from_raw_parts(self.ptr, self.len) };
        String::from_utf8_lossy(bytes).into_owned()
    }
}

/// UTF-8 text that is freed by the binary that allocated it.
#[repr(C)]
pub struct OwnedStr {
    ptr: *mut u8,
    len: usize,
    capacity: usize,
    free: Option<unsafe extern "C" fn(*mut u8, usize, usize)>,
}

impl OwnedStr {
    /// The empty text, which owns nothing.
    pub const fn empty() -> Self {
        Self {
            ptr: std::ptr::null_mut(),
            len: 0,
            capacity: 0,
            free: None,
        }
    }

    /// A copy of the text in this binary's memory; invalid UTF-8 is replaced.
    pub fn to_string_lossy(&self) -> String {
        if self.ptr.is_null() {
            return String::new();
        }
        // SAFETY: `ptr` and `len` come from the `String` in `from`, which is alive until `drop`.
        let bytes = unsafe { std::slice::from_raw_parts(self.ptr, self.len) };
        String::from_utf8_lossy(bytes).into_owned()
    }
}

impl From<String> for OwnedStr {
    fn from(text: String) -> Self {
        let mut bytes = std::mem::ManuallyDrop::new(text.into_bytes());
        Self {
            ptr: bytes.as_mut_ptr(),
            len: bytes.len(),
            capacity: bytes.capacity(),
            free: Some(free_bytes),
        }
    }
}

impl Drop for OwnedStr {
    fn drop(&mut self) {
        if let Some(free) = self.free.take() {
            // SAFETY: `free` came with `ptr`, `len` and `capacity`, and is called once.
            unsafe { free(self.ptr, self.len, self.capacity) }
        }
    }
}

unsafe extern "C" fn free_bytes(ptr: *mut u8, len: usize, capacity: usize) {
    // SAFETY: the parts of the `Vec` taken apart in `From<String>`, by the same allocator: this
    // function is compiled into the binary that allocated.
    drop(unsafe { Vec::from_raw_parts(ptr, len, capacity) });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_survives_the_crossing() {
        for text in ["", "a", "Überraschung\n"] {
            assert_eq!(OwnedStr::from(text.to_owned()).to_string_lossy(), text);
            // SAFETY: made by `Str::new`.
            assert_eq!(unsafe { Str::new(text).to_string_lossy() }, text);
        }
        assert_eq!(OwnedStr::empty().to_string_lossy(), "");
    }
}
