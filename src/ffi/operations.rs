//! An operation is done once and ends with one callback: LOOP_EVENT_DONE with its result. Its handle
//! is a source's like any other: loop_cancel ends it without a word, loop_set_release,
//! loop_set_name, loop_ref, loop_unref, loop_set_arg and loop_is_active work on it. Its time limit is
//! on the loop's clock: loop_reschedule gives it another one, and loop_remaining returns what is left. A test
//! runs a silent peer into its time limit without waiting: with LOOP_VIRTUAL_CLOCK, loop_run_once
//! with a limit moves the clock to the next deadline.
//!
//! As with a one-shot timer, the handle lives until the callback returns: inside it
//! loop_is_active is 0, and loop_cancel returns 0 and does nothing. loop_reschedule is LOOP_ESTALE there:
//! an operation cannot be repeated, make another one. No callback is called inside the call that
//! makes the operation.

use super::{change, io_callback, long_number, types};
use crate::event_loop::Loop;
use std::ffi::{c_int, c_void};
use types::{LoopIoCb, loop_handle_t};

/// Waits once for a descriptor, with a time limit.
///
/// `events` is a mask as for loop_watch_fd, without LOOP_EDGE and LOOP_ONESHOT; a mask that asks for
/// nothing is refused. `timeout_ns`: nanoseconds from now, 0 for "at once or not at
/// all", negative for no limit. `cb` is called once with LOOP_EVENT_DONE, and `result` is one of:
///
/// - the LOOP_READABLE... bits of what happened, exactly as a watcher would get them;
/// - -ETIMEDOUT: the time was over. What is ready by then wins, also if the time was over first;
/// - -EBADF: the descriptor was closed meanwhile, and the library has found out (see LOOP_CLOSED).
///
/// Nothing is read or written, and the descriptor's flags stay as they are. Any number of waits
/// and watchers may share a descriptor; each gets its own bits. Cancel the wait before you close the
/// descriptor: the library does not always find out that you did. A wait
/// costs what a watcher and a timer cost: for a descriptor that is waited for all the time, a
/// watcher that is kept is cheaper.
///
/// Returns the operation's handle, or an error: LOOP_ENULL, LOOP_ENOCALLBACK, LOOP_EMASK, LOOP_EBUSY
/// (a LOOP_EDGE watcher has the descriptor), -EBADF, -EPERM (see LOOP_ALWAYS), -ENOSPC, -ELOOP, -ENOMEM,
/// LOOP_ELIMIT, LOOP_EWRONGTHREAD, LOOP_EFORKED, LOOP_ECLOSED, LOOP_EPANIC. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn loop_poll_fd(
    r#loop: *mut Loop,
    fd: c_int,
    events: u32,
    timeout_ns: i64,
    cb: LoopIoCb,
    arg: *mut c_void,
) -> loop_handle_t {
    let timeout = u64::try_from(timeout_ns).ok();
    long_number(change(r#loop, |target| target.poll_fd(fd, events, timeout, io_callback(cb, arg))))
}
