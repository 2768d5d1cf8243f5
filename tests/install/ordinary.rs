//! An ordinary static library in Rust, with all of the standard library: see two_libraries.c.

#[unsafe(no_mangle)]
pub extern "C" fn ordinary_library(number: i32) -> i32 {
    let caught = std::panic::catch_unwind(|| std::panic::resume_unwind(Box::new(number + 1)));
    *caught.unwrap_err().downcast::<i32>().unwrap()
}
