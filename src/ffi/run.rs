//! A run makes turns. One turn waits for descriptors, timers and other threads if nothing is
//! ready, collects what has become ready, and runs the callbacks that are ready then (the
//! *snapshot*), in order. What these schedule runs in the next turn.
//!
//! Runs nest: a callback may call a run function, for example for a modal dialog. The nested run
//! first runs the rest of the outer snapshot and what has been scheduled since, then its turns go
//! on as usual. A source whose callback is on the stack is reported again like any other. To
//! avoid that, pause the source's watcher with loop_watch_update before the nested run.
//!
//! If a host's main loop runs inside the callback instead, see loop_flush.
//!
//! Errors of all run functions: the usual errors, and -ENOSPC if the kernel cannot register a
//! descriptor. In pull mode only loop_next_events can run the loop. LOOP_ECLOSED means that a
//! callback has freed the loop: after the outermost run has returned it, the pointer is invalid.
//! After -ENOMEM or -ENOSPC nothing is lost, and the loop can be run again.

use super::{drive, get, number, status, with};
use crate::event_loop::{Ended, Loop};
use std::ffi::c_int;

/// Runs the loop until loop_stop.
///
/// If there is nothing to do, it waits, since another thread or a signal handler may still bring
/// work.
///
/// Returns 0 if it was stopped (with a manual clock also if nothing is ready), or an error. Any
/// thread, if the loop is at rest; the thread owns the loop until the call returns.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn loop_run_forever(r#loop: *mut Loop) -> c_int {
    number(drive(r#loop, Loop::run_forever).map(|_| 0))
}

/// Runs the loop until loop_stop, or until nothing is left that could run.
///
/// These keep it running: callbacks that are ready, armed timers (also one that never fires),
/// operations, watchers (paused ones, too), posts of other threads, and remotes. Hooks do not,
/// nor do sources with loop_unref.
///
/// Returns 0 if it was stopped (with a manual clock also if nothing is ready), 1 if nothing is
/// left (immediately, if there was nothing to begin with), or an error. Threads: see
/// loop_run_forever.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn loop_run(r#loop: *mut Loop) -> c_int {
    number(drive(r#loop, Loop::run).map(|ended| match ended {
        Ended::Stopped => 0,
        Ended::OutOfWork => 1,
    }))
}

/// Makes one turn that waits at most `timeout_ns` nanoseconds. 0 does not wait, a negative number
/// waits without limit.
///
/// The wait ends when something is ready, when the time is over, or by loop_wake or loop_stop. A
/// signal does not end it. The limit is for the wait only, callbacks may take longer. A loop_stop
/// that is pending or comes during the turn is consumed by it.
///
/// Returns the number of callbacks that ran (0 if the time was over), or an error. Threads: see
/// loop_run_forever.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn loop_run_once(r#loop: *mut Loop, timeout_ns: i64) -> c_int {
    number(drive(r#loop, |target| target.run_once(u64::try_from(timeout_ns).ok())))
}

/// Makes turns that do not wait, until nothing is ready or `budget_ns` nanoseconds are over. A
/// game calls it once a frame.
///
/// The clock is checked after each callback. So the budget is exceeded by at most one callback,
/// and one callback runs even with a budget of 0. Callbacks that are left over stay first in the
/// queue, in order. UINT64_MAX means no budget. A loop_stop ends it after the snapshot.
///
/// Returns the number of callbacks that ran, or an error. Threads: see loop_run_forever.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn loop_run_ready(r#loop: *mut Loop, budget_ns: u64) -> c_int {
    number(drive(r#loop, |target| target.run_ready(budget_ns)))
}

/// Ends the innermost run after its current snapshot has run, as in asyncio. A signal handler may
/// call it, for example for SIGINT.
///
/// If the loop is at rest, the request is remembered: the next run makes one turn that does not
/// wait, and returns. Several requests before that count as one. A run that ends by an exception
/// consumes the request as well. In a nested run (a dialog) only that run ends: see
/// loop_stop_all.
///
/// Returns 0, LOOP_ENULL, LOOP_ECLOSED or LOOP_EFORKED. Any thread, signal handlers too.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn loop_stop(r#loop: *mut Loop) -> c_int {
    status(get(r#loop).and_then(Loop::stop))
}

/// Ends every run on the stack, each after its current snapshot has run. Use it to end the
/// program while a callback runs the loop (a dialog).
///
/// The runs end one after the other, the innermost first, each between two of its turns. A run
/// that a callback starts after one of them has ended ("Save before you quit?") is not ended. If
/// the loop is at rest, the request is remembered as with loop_stop.
///
/// Returns 0, LOOP_ENULL, LOOP_ECLOSED or LOOP_EFORKED. Any thread, signal handlers too.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn loop_stop_all(r#loop: *mut Loop) -> c_int {
    status(get(r#loop).and_then(Loop::stop_all))
}

/// Returns how many runs of this loop are on the stack: 0 at rest, 1 in a callback, 2 in a
/// callback of a nested run; or one of the usual errors (LOOP_EWRONGTHREAD: another thread runs
/// it). Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_is_running(r#loop: *mut Loop) -> c_int {
    number(with(r#loop, Loop::depth))
}

/// Returns whether loop_run would go on: 1 or 0, or one of the usual errors. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_has_work(r#loop: *mut Loop) -> c_int {
    number(with(r#loop, Loop::has_work).map(i32::from))
}

/// Returns whether the calling thread may use the loop now: 1 if it runs the loop or the loop is
/// at rest, 0 if another thread runs the loop or it is bound to another thread; or one of the
/// usual errors. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_in_thread(r#loop: *mut Loop) -> c_int {
    number(get(r#loop).and_then(Loop::is_in_thread).map(i32::from))
}
