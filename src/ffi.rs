//! The C interface: one file a section of `include/evloop.h`, in the header's order.
//!
//! No logic here: a function checks its pointers, calls one method of the core and turns
//! the result into a number. The comments are the header's text, written for C programmers.

// The contract of every function is its text in the header, in C's terms.
#![allow(clippy::missing_safety_doc)]

use crate::error::{Error, Result};
use crate::event_loop::Loop;
use crate::event_loop::callback::{Callback, FdCallback, IoCallback, Release, TickCallback};
use std::ffi::{c_int, c_void};

pub mod types;

pub mod life;

pub mod run;

pub mod callbacks;

pub mod handles;

pub mod descriptors;

pub mod operations;

pub mod hooks;

pub mod threads;

pub mod embedding;

pub mod time;

pub mod errors;

/// The section files in the order of the header, with the titles they have there.
pub const SECTIONS: &[(&str, &str)] = &[
    ("types", "Types"),
    ("life", "Life cycle"),
    ("run", "Run"),
    ("callbacks", "Callbacks"),
    ("handles", "Handles"),
    ("descriptors", "Descriptors"),
    ("operations", "Operations"),
    ("hooks", "Hooks"),
    ("threads", "Other threads"),
    ("embedding", "Embedding"),
    ("time", "Time"),
    ("errors", "Errors and version"),
];

/// The loop behind a pointer from C.
fn get<'a>(pointer: *const Loop) -> Result<&'a Loop> {
    // SAFETY: the header asks for NULL or a loop that has not been freed. Only shared
    // references to a loop are ever made.
    unsafe { pointer.as_ref() }.ok_or(Error::NULL)
}

/// Calls a method that runs no user code; a bug in it is caught.
fn with<T>(pointer: *const Loop, method: impl FnOnce(&Loop) -> Result<T>) -> Result<T> {
    let target = get(pointer)?;
    target.guarded(|| method(target))
}

/// As [`with`], for a method that may bring the loop work: the host's hook is called after it, out of
/// the guard, since it may throw.
fn change<T>(pointer: *const Loop, method: impl FnOnce(&Loop) -> Result<T>) -> Result<T> {
    let target = get(pointer)?;
    let result = target.guarded(|| method(target));
    if target.owes_hook() {
        target.call_owed_hook();
    }
    result
}

/// Tries the short way of a method; the function that calls this takes the long one, out of
/// line, so that the short one needs no more registers and stack than it does. (A bug does not
/// lead to the long way: the arguments would have to be kept for it.)
#[inline(always)]
fn fast<T: From<c_int>>(pointer: *const Loop, method: impl FnOnce(&Loop) -> Option<T>) -> Option<T> {
    let target = get(pointer).ok()?;
    target.guarded(|| Ok(method(target))).unwrap_or_else(|error| Some(error.code().into()))
}

/// Calls a method that runs user code, which may throw and may free the loop.
fn drive<T>(pointer: *mut Loop, method: impl FnOnce(&Loop) -> Result<T>) -> Result<T> {
    let target = get(pointer)?;
    let _freed = FreeWhenClosed(pointer);
    method(target)
}

/// Frees a loop that was closed inside a run, when the outermost run is over.
struct FreeWhenClosed(*mut Loop);

impl Drop for FreeWhenClosed {
    fn drop(&mut self) {
        // SAFETY: alive until here, as `get` says.
        let target = unsafe { &*self.0 };
        if target.is_closed() && target.is_at_rest() {
            // SAFETY: made by `loop_new`; no run is on the stack and no other call is
            // legal any more, so this is the last reference.
            drop(unsafe { Box::from_raw(self.0) });
        }
    }
}

fn status(result: Result<()>) -> c_int {
    match result {
        Ok(()) => 0,
        Err(error) => error.code(),
    }
}

fn number<T: TryInto<c_int>>(result: Result<T>) -> c_int {
    match result {
        Ok(value) => value.try_into().unwrap_or(c_int::MAX),
        Err(error) => error.code(),
    }
}

fn long_number(result: Result<i64>) -> i64 {
    result.unwrap_or_else(|error| error.code().into())
}

/// NULL is for the core to accept or refuse: it is right in pull mode.
fn callback(function: types::LoopCb, arg: *mut c_void) -> Callback {
    // SAFETY: the header asks for a function that may be called with `arg`.
    function.map_or(Callback::pulled(arg), |function| unsafe { Callback::new(function, arg) })
}

fn tick_callback(function: types::LoopTickCb, arg: *mut c_void) -> TickCallback {
    // SAFETY: as above.
    function.map_or(TickCallback::pulled(arg), |function| unsafe { TickCallback::new(function, arg) })
}

fn fd_callback(function: types::LoopFdCb, arg: *mut c_void) -> FdCallback {
    // SAFETY: as above.
    function.map_or(FdCallback::pulled(arg), |function| unsafe { FdCallback::new(function, arg) })
}

fn io_callback(function: types::LoopIoCb, arg: *mut c_void) -> IoCallback {
    // SAFETY: as above.
    function.map_or(IoCallback::pulled(arg), |function| unsafe { IoCallback::new(function, arg) })
}

fn release(function: types::LoopReleaseCb) -> Option<Release> {
    // SAFETY: as above; it is called once.
    function.map(|function| unsafe { Release::new(function) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those are kept quiet; `tests/event_loop.rs` sees that no others are.
    #[test]
    fn the_librarys_own_panics_are_known_by_their_place() {
        assert!(life::is_ours(std::panic::Location::caller()));
    }

    #[test]
    fn a_bug_is_caught_and_poisons_the_loop() {
        unsafe extern "C-unwind" fn never(_: *mut Loop, _: *mut c_void) {}
        let pointer = life::loop_new();
        let code = status(with(pointer, |_| panic!("a bug of ours")));
        assert_eq!(code, Error::PANIC.code());
        assert_eq!(get(pointer).unwrap().panic_message(), "a bug of ours");
        // SAFETY: one thread, one loop, freed last.
        unsafe {
            assert_eq!(run::loop_run(pointer), Error::PANIC.code());
            assert_eq!(run::loop_has_work(pointer), Error::PANIC.code());
            let soon = callbacks::loop_call_soon(pointer, Some(never), std::ptr::null_mut());
            assert_eq!(soon, i64::from(Error::PANIC.code()), "the short way is closed, too");
            assert_eq!(life::loop_free(pointer), 0);
        }
    }
}
