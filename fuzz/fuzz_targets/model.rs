//! The model test (`tests/model.rs`) with programs that libFuzzer makes: it looks for bytes that
//! reach new places in the library. The functions are called through the C interface, linked in.
#![no_main]

#[allow(dead_code, reason = "the test uses all of it")]
#[path = "../../tests/model/mod.rs"]
mod model;

use evloop as _;
use libfuzzer_sys::fuzz_target;
use model::check::check;
use model::library::Library;
use model::program::Program;
use model::shrink::shrink;
use std::sync::LazyLock;

static LIBRARY: LazyLock<Library> = LazyLock::new(|| {
    // Programs write to pipes that nobody reads. (In a Rust program's `main` it is ignored.)
    // SAFETY: no other thread runs yet.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    Library::linked()
});

fuzz_target!(|bytes: &[u8]| {
    if let Err(found) = check(&LIBRARY, &Program::decode(bytes)) {
        let smallest = shrink(&LIBRARY, found, check);
        panic!("the library does not do what the laws say\n{smallest}");
    }
});
