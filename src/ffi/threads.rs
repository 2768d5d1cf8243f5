//! What other threads may call: the functions of this section, loop_stop, loop_clock and
//! loop_in_thread. The loop must not be freed meanwhile.

use super::{callback, get, release, status, types};
use crate::event_loop::Loop;
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
pub unsafe extern "C" fn loop_call_soon_threadsafe(
    r#loop: *mut Loop,
    cb: LoopCb,
    arg: *mut c_void,
    release: LoopReleaseCb,
) -> c_int {
    let post = |target: &Loop| target.call_soon_threadsafe(callback(cb, arg)?, self::release(release));
    status(get(r#loop).and_then(post))
}

/// Ends the loop's wait: the turn goes on with what there is. A loop that does not wait now
/// does not block in its next wait.
///
/// Several calls before that count as one. Returns 0, LOOP_ENULL or LOOP_EFORKED. Any thread,
/// signal handlers too; errno is left alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_wake(r#loop: *mut Loop) -> c_int {
    status(get(r#loop).and_then(Loop::wake))
}
