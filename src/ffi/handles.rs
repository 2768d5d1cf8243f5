//! Every kind of source is cancelled, queried, named and released with the same functions.
//!
//! A one-shot source (loop_call_soon, loop_call_later, loop_call_at, a post, an operation) ends
//! when its callback returns. Its handle is valid until then: inside the callback loop_is_active
//! returns 0, loop_cancel returns 0 and does nothing, and loop_reschedule arms a timer again.
//! Periodic timers, watchers and hooks live until they are cancelled.
//!
//! A negative number in the place of a handle is an error that another call has returned. The
//! functions return it unchanged. So loop_set_release(loop, loop_watch_fd(...), f) returns the
//! reason why there is no watcher.
//!
//! Errors of all functions that take a handle: LOOP_ESTALE (the source has ended, or the number
//! is no handle of this loop), LOOP_EKIND (the function is for other kinds of sources), and the
//! usual errors.

use super::{change, fast, long_number, number, release, status, types, with};
use crate::event_loop::Loop;
use std::ffi::{CStr, c_char, c_int, c_void};
use types::{LoopReleaseCb, loop_handle_t};

/// Ends a source. When it has returned 0, the source's callback will not run, even if it was
/// ready in this turn.
///
/// The handle is stale at once, except for a one-shot inside its own callback (see above). There
/// is no close callback to wait for. A callback may cancel its own source and any other. A
/// watcher's descriptor may be closed before or after (see Descriptors).
///
/// The release function is not called in this call. It is called later: between two turns of the
/// innermost run, or before that run returns, but not while a callback of the same source is on
/// the stack. If the loop is at rest, the next run or loop_free calls it.
///
/// Returns 0, or an error of this section. Loop's thread.
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

/// Returns whether the source's callback may still run.
///
/// It returns 1 if the source is ready, armed or watching (a paused watcher, too); 0 in a
/// one-shot's own callback, for a watcher whose descriptor is known to be closed, and for a
/// handle that is stale or was never given out; a negative `handle` unchanged; or one of the
/// usual errors.
///
/// In pull mode it returns 1 for a one-shot that loop_next_events has handed out, until the
/// source is cancelled or the next loop_next_events. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_is_active(r#loop: *mut Loop, handle: loop_handle_t) -> c_int {
    number(with(r#loop, |target| target.is_active(handle)).map(i32::from))
}

/// Returns the handle of the callback or hook that is running (in a nested run, of the inner
/// one); 0 outside of callbacks; or one of the usual errors. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_current(r#loop: *mut Loop) -> loop_handle_t {
    long_number(with(r#loop, Loop::current))
}

/// Gives a source another argument, for its callback and for its release function. The release
/// function is not called for the old argument: you own it again.
///
/// Returns 0, or an error of this section. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_set_arg(r#loop: *mut Loop, handle: loop_handle_t, arg: *mut c_void) -> c_int {
    status(with(r#loop, |target| target.set_arg(handle, arg)))
}

/// Gives a source a release function. It is called exactly once, with the source's argument,
/// after the source has ended: after its last callback, a cancel, or loop_free. loop_cancel says
/// when.
///
/// It replaces an earlier release function; NULL removes it. The function may call the loop, but
/// must not throw.
///
/// Returns 0, or an error of this section; then nothing has changed. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_set_release(
    r#loop: *mut Loop,
    handle: loop_handle_t,
    release: LoopReleaseCb,
) -> c_int {
    status(with(r#loop, |target| target.set_release(handle, self::release(release))))
}

/// Gives a source a name, for dumps and traces. The string is copied. NULL removes the name.
///
/// Returns 0, or an error of this section. Loop's thread.
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

/// Undoes loop_unref: the source keeps loop_run going again. Every source but a hook does so when
/// it is made. It is a flag, not a count.
///
/// Returns 0, or an error of this section. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_ref(r#loop: *mut Loop, handle: loop_handle_t) -> c_int {
    status(with(r#loop, |target| target.set_unref(handle, false)))
}

/// Stops a source from keeping loop_run going. Use it for a heartbeat, a listening socket or a
/// signalfd. The source's callback runs as before.
///
/// Returns 0, or an error of this section. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_unref(r#loop: *mut Loop, handle: loop_handle_t) -> c_int {
    status(with(r#loop, |target| target.set_unref(handle, true)))
}
