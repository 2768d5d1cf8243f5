//! A loop is an opaque pointer; everything that a loop runs (a *source*) is known by a
//! number. All times are nanoseconds.

use crate::event_loop::Loop;
use std::ffi::{c_int, c_void};

/// Names a source: a scheduled callback, a timer, a watcher, a hook. Positive and below
/// 2^53, so that a double (a JavaScript or Lua number) holds it exactly. Functions that
/// return one return a negative error code instead when they fail; 0 is never a handle.
/// It is never given out again for something else: once the source has ended, it is
/// LOOP_ESTALE for ever.
#[allow(non_camel_case_types)]
pub type loop_handle_t = i64;

/// A callback: gets the loop that runs it and the argument it was registered with.
/// It runs on the loop's thread, alone, and may call every function of this header,
/// loop_run... and loop_free included. A C++ exception may leave it.
pub type LoopCb = Option<unsafe extern "C-unwind" fn(r#loop: *mut Loop, arg: *mut c_void)>;

/// The callback of loop_call_every: how many ticks this call stands for.
pub type LoopTickCb = Option<unsafe extern "C-unwind" fn(r#loop: *mut Loop, ticks: u64, arg: *mut c_void)>;

/// The callback of loop_watch_fd: the descriptor and what happened to it, as LOOP_READABLE...
/// bits.
pub type LoopFdCb =
    Option<unsafe extern "C-unwind" fn(r#loop: *mut Loop, fd: c_int, events: u32, arg: *mut c_void)>;

/// The callback of operations: which one (`source`), what happened (LOOP_EVENT_DONE), what it came to
/// (`result`, or a negative error code), and what goes with it (`data`, often NULL).
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

/// A host's hook; see loop_set_wake_hook.
pub type LoopWakeCb = Option<unsafe extern "C-unwind" fn(arg: *mut c_void)>;

/// Called exactly once when an argument is no longer needed: after the last run of its
/// callback, after a cancel, or by loop_free; never inside loop_cancel, but between two turns (also of
/// a run that a callback makes), when its own callback is on the stack no more. It must not throw.
pub type LoopReleaseCb = Option<unsafe extern "C-unwind" fn(arg: *mut c_void)>;
