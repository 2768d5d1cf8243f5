//! A loop is an opaque pointer. Everything that a loop runs is a *source*, and a handle names it.
//! All times are nanoseconds.

use crate::event_loop::Loop;
use std::ffi::{c_int, c_void};

/// Names a source: a scheduled callback, a timer, a watcher, a hook, an operation.
///
/// A handle is positive and below 2^53, so that a double (a number in JavaScript or Lua) holds it
/// exactly. 0 is never a handle. A function that returns a handle returns a negative error code
/// if it fails. A handle is never reused: after its source has ended it is stale for ever
/// (LOOP_ESTALE).
#[allow(non_camel_case_types)]
pub type loop_handle_t = i64;

/// A callback. It gets the loop that runs it and the argument it was registered with.
///
/// It runs on the loop's thread, never at the same time as another callback of the loop. It may
/// call every function of this header, also the run functions and loop_free. A C++ exception may
/// leave it.
pub type LoopCb = Option<unsafe extern "C-unwind" fn(r#loop: *mut Loop, arg: *mut c_void)>;

/// The callback of loop_call_every. `ticks` is the number of intervals that this call stands for.
pub type LoopTickCb = Option<unsafe extern "C-unwind" fn(r#loop: *mut Loop, ticks: u64, arg: *mut c_void)>;

/// The callback of loop_watch_fd. `fd` is the watched descriptor, `events` what happened to it:
/// LOOP_READABLE and so on.
pub type LoopFdCb =
    Option<unsafe extern "C-unwind" fn(r#loop: *mut Loop, fd: c_int, events: u32, arg: *mut c_void)>;

/// The callback of an operation. `source` is the operation's handle, `what` is LOOP_EVENT_DONE,
/// `result` is the result or a negative error code, `data` goes with the result and is NULL for
/// loop_poll_fd.
pub type LoopIoCb = Option<
    unsafe extern "C-unwind" fn(
        r#loop: *mut Loop,
        source: loop_handle_t,
        what: u32,
        result: i64,
        data: *mut c_void,
        arg: *mut c_void,
    ),
>;

/// The wake hook of a host: see loop_set_wake_hook.
pub type LoopWakeCb = Option<unsafe extern "C-unwind" fn(arg: *mut c_void)>;

/// A release function. The loop calls it exactly once, when it no longer needs the argument:
/// after the last call of the callback, after a cancel, or in loop_free.
///
/// It is never called inside loop_cancel, but between two turns (of a nested run, too), and not
/// while a callback of its own source is on the stack. It may call the loop. It must not throw.
pub type LoopReleaseCb = Option<unsafe extern "C-unwind" fn(arg: *mut c_void)>;
