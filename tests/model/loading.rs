//! Loading a shared library, and finding functions in it.

use std::ffi::{CStr, CString, c_void};
use std::path::Path;

pub fn load(path: &Path) -> *mut c_void {
    let name = CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
    // SAFETY: a C string; the library has no initializers that matter.
    let library = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    assert!(!library.is_null(), "{}: {}", path.display(), complaint());
    library
}

pub fn find(library: *mut c_void, name: &str) -> *mut c_void {
    let name = CString::new(name).unwrap();
    // SAFETY: a library that is never closed, and a C string.
    let symbol = unsafe { libc::dlsym(library, name.as_ptr()) };
    assert!(!symbol.is_null(), "{}", complaint());
    symbol
}

fn complaint() -> String {
    // SAFETY: a C string, or NULL, that lives until the next call.
    let text = unsafe { libc::dlerror() };
    // SAFETY: as above.
    if text.is_null() {
        String::new()
    } else {
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    }
}
