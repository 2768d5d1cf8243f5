//! A run call makes turns. One turn waits for descriptors, timers and other threads if
//! nothing is ready, collects what has become ready, and runs exactly the callbacks that
//! were ready then (the *snapshot*), in order; what they schedule is for the next turn.
//!
//! A callback may make a run call: the run nests. First the rest of the outer snapshot
//! runs, with what has been scheduled since, then turns follow as usual. A source whose callback is on the stack is delivered
//! again like any other (pause it with loop_watch_update if you do not want that).
//!
//! Errors of all run functions: LOOP_ENULL, LOOP_EWRONGTHREAD, LOOP_EFORKED, LOOP_ECLOSED
//! (a callback freed the loop: the pointer is dead unless this run is nested), LOOP_EPANIC,
//! LOOP_ELIMIT (1,000 nested runs), and what the system says when it cannot wait
//! (-ENOMEM, -ENOSPC): nothing is lost then, and the loop can be run again.

use super::{drive, get, number, status, with};
use crate::event_loop::{Ended, Loop};
use std::ffi::c_int;

/// Runs until loop_stop.
///
/// Also with nothing to do: then it waits, for other threads or a signal handler. Returns 0
/// when it was stopped (with a manual clock also when nothing is ready), or an error. Any
/// thread may call it on a loop that is at rest; the loop is that thread's until it returns.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn loop_run_forever(r#loop: *mut Loop) -> c_int {
    number(drive(r#loop, Loop::run_forever).map(|_| 0))
}

/// Runs until loop_stop, or until nothing is left that could ever run.
///
/// What keeps it going: callbacks that are ready, timers, watchers (paused ones too), posts
/// of other threads. What does not: hooks, and sources with loop_unref. Returns 0 when it
/// was stopped (with a manual clock also when nothing is ready), 1 when nothing is left (at
/// once, if there is nothing to begin with), or an error. Threads as loop_run_forever.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn loop_run(r#loop: *mut Loop) -> c_int {
    number(drive(r#loop, Loop::run).map(|ended| match ended {
        Ended::Stopped => 0,
        Ended::OutOfWork => 1,
    }))
}

/// Makes one turn that waits `timeout_ns` at the longest; 0 does not wait, a negative
/// number waits without limit.
///
/// The wait ends when something is ready, when the time is over, or by loop_wake; a
/// signal does not end it. The limit belongs to the wait, not to the callbacks. Returns the
/// number of callbacks run (0 when the time was over), or an error. A loop_stop meanwhile is
/// used up by it. Threads as loop_run_forever.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn loop_run_once(r#loop: *mut Loop, timeout_ns: i64) -> c_int {
    number(drive(r#loop, |target| target.run_once(u64::try_from(timeout_ns).ok())))
}

/// Makes turns that never wait, until nothing is ready or `budget_ns` are over: a game's
/// slice of each frame.
///
/// The budget is looked at after each callback, so it is exceeded by one callback at the
/// most, and one callback runs even with 0. What is left over stays first in the queue, in
/// order. UINT64_MAX: no budget. Returns the number of callbacks run, or an error. A
/// loop_stop ends it after the snapshot. Threads as loop_run_forever.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn loop_run_ready(r#loop: *mut Loop, budget_ns: u64) -> c_int {
    number(drive(r#loop, |target| target.run_ready(budget_ns)))
}

/// Ends the innermost run when its present snapshot has run, as in asyncio.
///
/// With no run on the stack it is remembered: the next run makes one turn that does not
/// wait, and returns. Several calls before that count as one. A run that ends by an exception has
/// used it up as well. A callback that runs the loop (a dialog) makes another run the innermost:
/// see loop_stop_all. Returns 0, LOOP_ENULL, LOOP_ECLOSED or LOOP_EFORKED. Any thread, signal
/// handlers too.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn loop_stop(r#loop: *mut Loop) -> c_int {
    status(get(r#loop).and_then(Loop::stop))
}

/// Ends every run on the stack, each when its present snapshot has run: the program shall end while
/// a callback runs the loop (a dialog).
///
/// The runs end one after the other, from the innermost outwards, as each comes between two turns.
/// A run that a callback begins after one of them has ended ("save before you go?") is not
/// ended. With no run on the stack it is remembered, as loop_stop is. Returns 0, LOOP_ENULL,
/// LOOP_ECLOSED or LOOP_EFORKED. Any thread, signal handlers too.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn loop_stop_all(r#loop: *mut Loop) -> c_int {
    status(get(r#loop).and_then(Loop::stop_all))
}

/// How many run calls of this loop are on the stack: 0 at rest, 1 in a callback, 2 in a
/// callback of a nested run.
///
/// Returns the number or an error (LOOP_EWRONGTHREAD: it runs, elsewhere). Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_is_running(r#loop: *mut Loop) -> c_int {
    number(with(r#loop, Loop::depth))
}

/// Would loop_run go on? 1 or 0, or an error. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_has_work(r#loop: *mut Loop) -> c_int {
    number(with(r#loop, Loop::has_work).map(i32::from))
}

/// May the calling thread use the loop now? 1 when it runs or may run it, 0 when another
/// thread runs it or it is bound to another; or another error. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_in_thread(r#loop: *mut Loop) -> c_int {
    number(get(r#loop).and_then(Loop::is_in_thread).map(i32::from))
}
