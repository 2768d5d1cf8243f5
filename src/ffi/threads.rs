//! What other threads may call: the functions of this section, loop_stop, loop_stop_all, loop_clock
//! and loop_in_thread. With the loop itself they must be sure that it is not freed meanwhile; a
//! *remote* is a sender that may outlive it.

use super::{callback, get, release, status, types, with};
use crate::error::{Error, Result};
use crate::event_loop::Loop;
use crate::event_loop::callback::Release;
use crate::event_loop::inbox::{Post, Remote};
use std::ffi::{c_int, c_void};
use types::{LoopCb, LoopReleaseCb};

/// Runs a callback on the loop's thread, in the next turn: how another thread hands over a
/// result.
///
/// Posts of one thread run in the order in which they were made; none is merged or dropped. A
/// waiting loop is woken, with one system call for a burst of posts, and none while it is
/// awake. `release` may be NULL; else it is called once with `arg` after the callback has run,
/// or by loop_free if it never ran. A post keeps loop_run going.
///
/// Returns 0, or an error, and then nothing was taken and release is not called: LOOP_ENULL,
/// LOOP_ENOCALLBACK, LOOP_EFORKED, LOOP_ECLOSED, -ENOMEM. Any thread, the loop's own too; not
/// in signal handlers.
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

/// Ends the loop's wait: the turn goes on with what there is. If the loop does not wait now, the
/// next time it asks the kernel does not block.
///
/// Several calls before that count as one. Returns 0, LOOP_ENULL, LOOP_ECLOSED or LOOP_EFORKED. Any
/// thread, signal handlers too; errno is left alone.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn loop_wake(r#loop: *mut Loop) -> c_int {
    status(get(r#loop).and_then(Loop::wake))
}

/// Makes a remote: a sender for other threads that may outlive the loop, after which it answers
/// LOOP_ECLOSED.
///
/// Any number of threads may use one remote at once. As long as it exists it keeps loop_run
/// going: results may come. (In a forked child it does not: see loop_after_fork.) Returns NULL when the call is not allowed or there is no memory.
/// Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_remote_new(r#loop: *mut Loop) -> *mut Remote {
    with(r#loop, Loop::remote).map_or(std::ptr::null_mut(), Box::into_raw)
}

/// Like loop_call_soon_threadsafe, through a remote; safe also while the loop is being freed, and
/// afterwards.
///
/// Returns 0, or an error, and then nothing was taken and release is not called: LOOP_ENULL,
/// LOOP_ENOCALLBACK, LOOP_ECLOSED (the loop has been freed), LOOP_EFORKED, -ENOMEM. Any thread.
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

/// Frees a remote; its last use. Posts that it made are not affected. Returns 0 or LOOP_ENULL. Any
/// thread.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn loop_remote_free(remote: *mut Remote) -> c_int {
    if remote.is_null() {
        return Error::NULL.code();
    }
    // SAFETY: made by `loop_remote_new`, and nobody uses it any more.
    drop(unsafe { Box::from_raw(remote) });
    0
}
