//! Other threads may call the functions of this section (except loop_remote_new), loop_stop,
//! loop_stop_all, loop_clock and loop_in_thread.
//!
//! A thread that calls them with the loop must be sure that the loop is not freed at the same
//! time. If it cannot be sure, it uses a *remote*: a sender that may outlive the loop.

use super::{callback, get, release, status, types, with};
use crate::error::{Error, Result};
use crate::event_loop::Loop;
use crate::event_loop::callback::Release;
use crate::event_loop::inbox::{Post, Remote};
use std::ffi::{c_int, c_void};
use types::{LoopCb, LoopReleaseCb};

/// Runs a callback on the loop's thread, in the next turn. Another thread uses it to hand over a
/// result.
///
/// The posts of one thread run in the order in which they were made. None is merged with another
/// or dropped. A waiting loop is woken, by one system call for a burst of posts; a loop that is
/// awake needs none. A post keeps loop_run going until its callback has run. A thread that has not
/// posted yet does not: if loop_run must wait for it, give it a remote (loop_remote_new).
///
/// `release` may be NULL. Otherwise it is called once with `arg`: between two turns, after the
/// callback has run; or by loop_free if it did not run.
///
/// Returns 0, or an error: LOOP_ENULL, LOOP_ENOCALLBACK, LOOP_EFORKED, LOOP_ECLOSED or -ENOMEM.
/// After an error you still own `arg`, and release is not called. Any thread, the loop's own too,
/// but no signal handler.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn loop_call_soon_threadsafe(
    r#loop: *mut Loop,
    cb: LoopCb,
    arg: *mut c_void,
    release: LoopReleaseCb,
) -> c_int {
    let post = |target: &Loop| target.call_soon_threadsafe(callback(cb, arg), self::release(release));
    status(get(r#loop).and_then(post))
}

/// Ends the loop's wait: the turn goes on with what is ready. If the loop is not waiting, its
/// next poll of the kernel does not block.
///
/// Several calls before that count as one. errno is not changed.
///
/// Returns 0, LOOP_ENULL, LOOP_ECLOSED or LOOP_EFORKED. Any thread, signal handlers too.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn loop_wake(r#loop: *mut Loop) -> c_int {
    status(get(r#loop).and_then(Loop::wake))
}

/// Makes a remote: a sender for other threads that may outlive the loop. After the loop has been
/// freed, loop_remote_call_soon returns LOOP_ECLOSED.
///
/// Any number of threads may use one remote at the same time. A remote keeps loop_run going until
/// loop_remote_free, because posts may come. A remote that was inherited by fork works in the
/// child after loop_after_fork, but does not keep loop_run going there: the thread that would have
/// posted is the parent's.
///
/// Returns the remote, or NULL if the call is not allowed or there is no memory. Free it with
/// loop_remote_free, before or after the loop. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_remote_new(r#loop: *mut Loop) -> *mut Remote {
    with(r#loop, Loop::remote).map_or(std::ptr::null_mut(), Box::into_raw)
}

/// Runs a callback on the loop's thread, through a remote. It is like loop_call_soon_threadsafe,
/// but also allowed while the loop is being freed, and afterwards.
///
/// Returns 0, or an error: LOOP_ENULL, LOOP_ENOCALLBACK, LOOP_ECLOSED (the loop has been freed),
/// LOOP_EFORKED or -ENOMEM. After an error you still own `arg`, and release is not called. Any
/// thread, but no signal handler.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn loop_remote_call_soon(
    remote: *mut Remote,
    cb: LoopCb,
    arg: *mut c_void,
    release: LoopReleaseCb,
) -> c_int {
    // SAFETY: the header asks for NULL or a remote that has not been freed; it is shared only.
    let remote: Result<&Remote> = unsafe { remote.as_ref() }.ok_or(Error::NULL);
    let release: Option<Release> = self::release(release);
    status(remote.and_then(|remote| remote.post(Post { callback: callback(cb, arg), release })))
}

/// Frees a remote. No thread may use it after that. Its posts still run.
///
/// Returns 0 or LOOP_ENULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn loop_remote_free(remote: *mut Remote) -> c_int {
    if remote.is_null() {
        return Error::NULL.code();
    }
    // SAFETY: made by `loop_remote_new`, and nobody uses it any more.
    drop(unsafe { Box::from_raw(remote) });
    0
}
