//! An operation is done once and ends with one callback, which gets LOOP_EVENT_DONE and the
//! result. An operation has a handle like every source. loop_cancel ends it, and its callback is
//! not called; loop_set_release, loop_set_name, loop_ref, loop_unref, loop_set_arg and
//! loop_is_active work on it.
//!
//! Its time limit is on the loop's clock: loop_reschedule sets another limit, and loop_remaining
//! returns the time that is left. A test can reach a time limit without waiting: with
//! LOOP_VIRTUAL_CLOCK, loop_run_once with a limit moves the clock to the next deadline.
//!
//! As with a one-shot timer, the handle is valid until the callback returns: inside it
//! loop_is_active returns 0, and loop_cancel returns 0 and does nothing. loop_reschedule returns
//! LOOP_ESTALE there, since an operation cannot be repeated: start another one. The call that
//! starts an operation never calls its callback.

use super::{change, io_callback, long_number, types};
use crate::event_loop::Loop;
use std::ffi::{c_int, c_void};
use types::{LoopIoCb, loop_handle_t};

/// Waits once for a descriptor, with a time limit.
///
/// `events` is a mask as for loop_watch_fd, without LOOP_EDGE, LOOP_ONESHOT, LOOP_CLOSED and
/// LOOP_NOW. It must contain at least one condition. `timeout_ns` counts in nanoseconds from now;
/// 0 only checks whether the descriptor is ready; a negative number means no limit.
///
/// `cb` is called once with LOOP_EVENT_DONE. Its `result` is one of:
///
/// - the bits of what happened (LOOP_READABLE and so on), as a watcher would get them;
///
/// - -ETIMEDOUT: the time is over. If the descriptor is ready by then, the bits win;
///
/// - -EBADF: the library has detected that the descriptor was closed (see LOOP_CLOSED).
///
/// Nothing is read or written, and the descriptor's flags are not changed. Any number of
/// operations and watchers may share a descriptor; each gets its own bits. Cancel the operation
/// before you close the descriptor, because the library does not always detect a close. An
/// operation costs as much as a watcher and a timer: if you wait for the same descriptor again
/// and again, a watcher that you keep is cheaper.
///
/// Returns the operation's handle, or an error: LOOP_EMASK, LOOP_EBUSY (a LOOP_EDGE watcher has
/// the descriptor), -EBADF, -EPERM (see LOOP_ALWAYS), -ENOSPC, -ELOOP, or one of the usual
/// errors. Loop's thread.
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
