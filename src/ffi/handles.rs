//! Every source is ended, asked about, named and released in the same way, whatever it is.
//!
//! A one-shot (soon, later, at) is finished when its callback returns; until then its
//! handle lives: inside the callback loop_is_active is 0, loop_cancel is 0 and does nothing
//! more, and loop_reschedule arms a timer again. Periodic timers, watchers and hooks live
//! until they are cancelled.
//!
//! A negative number is no handle but an error that some call has answered: it comes back as it is, so
//! loop_set_release(loop, loop_watch_fd(...), f) says why there is no watcher.
//!
//! Errors: LOOP_ENULL, LOOP_ESTALE (the source has ended, or the number is no handle of this
//! loop at all), LOOP_EKIND (the function is for other kinds), LOOP_EWRONGTHREAD,
//! LOOP_EFORKED, LOOP_ECLOSED, LOOP_EPANIC.

use super::{change, fast, long_number, number, release, status, types, with};
use crate::event_loop::Loop;
use std::ffi::{CStr, c_char, c_int, c_void};
use types::{LoopReleaseCb, loop_handle_t};

/// Ends a source: when this returns 0, its callback will not run, not even if it was ready
/// in this very turn.
///
/// There is nothing to wait for, and the handle is stale at once. The release function is
/// not called here but at the next boundary of the outermost run (between two turns, or
/// before it returns) or by loop_free, so that it always finds a clean stack. A descriptor
/// may be closed before or after. A callback may cancel itself and any other. Returns 0 or an
/// error. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn loop_cancel(r#loop: *mut Loop, handle: loop_handle_t) -> c_int {
    match fast(r#loop, |target| target.cancel_fast(handle).map(|()| 0)) {
        Some(code) => code,
        None => cancel_slow(r#loop, handle),
    }
}

#[cold]
#[inline(never)]
extern "C-unwind" fn cancel_slow(r#loop: *mut Loop, handle: loop_handle_t) -> c_int {
    status(change(r#loop, |target| target.cancel(handle)))
}

/// May the source's callback still run? 1 while it is ready, armed or watching (paused
/// watchers too); 0 in a one-shot's own callback, for a watcher whose descriptor the library knows to
/// be closed, and for stale handles and numbers that are none; or an error. In pull mode it is 1 for
/// a one-shot that loop_next_events has handed out, until it is cancelled or the next call is made.
/// Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_is_active(r#loop: *mut Loop, handle: loop_handle_t) -> c_int {
    number(with(r#loop, |target| target.is_active(handle)).map(i32::from))
}

/// The handle of the callback (or hook) that is running, 0 outside of callbacks, or an error.
/// In a nested run it is the inner one. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_current(r#loop: *mut Loop) -> loop_handle_t {
    long_number(with(r#loop, Loop::current))
}

/// Gives a source another argument for its callback and its release function. The old one is
/// not released: it is yours again. Returns 0 or an error. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_set_arg(r#loop: *mut Loop, handle: loop_handle_t, arg: *mut c_void) -> c_int {
    status(with(r#loop, |target| target.set_arg(handle, arg)))
}

/// Gives a source a function that is called exactly once, with the source's argument, when
/// the source has ended: after its last run, a cancel, or loop_free.
///
/// It replaces the one there was; NULL takes it away. The function may call the loop, but
/// must not throw. Returns 0, -ENOMEM (then nothing changed), or another error. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_set_release(
    r#loop: *mut Loop,
    handle: loop_handle_t,
    release: LoopReleaseCb,
) -> c_int {
    status(with(r#loop, |target| target.set_release(handle, self::release(release))))
}

/// Gives a source a name, for people who look for it in dumps and traces. It is copied; NULL
/// takes it away. Returns 0, -ENOMEM, or another error. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_set_name(
    r#loop: *mut Loop,
    handle: loop_handle_t,
    name: *const c_char,
) -> c_int {
    // SAFETY: the header asks for NULL or a string that ends in a NUL.
    let name = (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) });
    status(with(r#loop, |target| target.set_name(handle, name)))
}

/// Lets a source keep loop_run going again, which it does from the beginning. A flag, not a
/// count. Returns 0 or an error. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_ref(r#loop: *mut Loop, handle: loop_handle_t) -> c_int {
    status(with(r#loop, |target| target.set_unref(handle, false)))
}

/// Lets a source no longer keep loop_run going: a heartbeat, a listening socket, a signal
/// descriptor. It runs as before. Returns 0 or an error. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_unref(r#loop: *mut Loop, handle: loop_handle_t) -> c_int {
    status(with(r#loop, |target| target.set_unref(handle, true)))
}
