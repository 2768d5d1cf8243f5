//! Callbacks for the next turn, for a later time, and for regular intervals.
//!
//! Timers fire in the order of their deadlines; those with the same deadline fire in the order in
//! which they were scheduled. They never fire early: when the callback runs, loop_clock has
//! reached the deadline. A deadline in the past is due in the next turn, not in this one. Sums
//! saturate. UINT64_MAX as a delay or time means never.
//!
//! The functions that schedule return a positive handle, or one of the usual errors.

use super::{callback, change, fast, long_number, status, tick_callback, types, with};
use crate::error::Error;
use crate::event_loop::Loop;
use crate::event_loop::side_table::Missed;
use std::ffi::{c_int, c_void};
use types::{LoopCb, LoopTickCb, loop_handle_t};

/// Skips ticks that were missed: one call stands for all of them, and `ticks` says for how many
/// intervals (1 if none was missed).
pub const LOOP_SKIP_MISSED: u32 = 0;
/// Runs every tick, also those that were missed, one each turn. `ticks` is 1.
pub const LOOP_RUN_MISSED: u32 = 1;
/// Starts a new grid: the next tick comes one interval after the callback is called. `ticks` is
/// 1.
pub const LOOP_RESTART_GRID: u32 = 2;

/// Runs a callback once, in the next turn, after everything that is ready already.
///
/// It costs about 5 ns and no system call. Other threads use loop_call_soon_threadsafe.
///
/// Returns the callback's handle, or one of the usual errors. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn loop_call_soon(
    r#loop: *mut Loop,
    cb: LoopCb,
    arg: *mut c_void,
) -> loop_handle_t {
    match fast(r#loop, |target| target.call_soon_fast(callback(cb, arg))) {
        Some(handle) => handle,
        None => call_soon_slow(r#loop, cb, arg),
    }
}

#[cold]
#[inline(never)]
extern "C-unwind" fn call_soon_slow(r#loop: *mut Loop, cb: LoopCb, arg: *mut c_void) -> loop_handle_t {
    long_number(change(r#loop, |target| target.call_soon(callback(cb, arg))))
}

/// Runs a callback once, `delay_ns` nanoseconds from now.
///
/// The clock is read in the call. So the timer does not fire too early if it is armed after long
/// work in the same turn. (libuv counts from the time at which the iteration began.)
///
/// Returns the timer's handle, or one of the usual errors. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn loop_call_later(
    r#loop: *mut Loop,
    delay_ns: u64,
    cb: LoopCb,
    arg: *mut c_void,
) -> loop_handle_t {
    match fast(r#loop, |target| target.call_later_fast(delay_ns, callback(cb, arg))) {
        Some(handle) => handle,
        None => call_later_slow(r#loop, delay_ns, cb, arg),
    }
}

#[cold]
#[inline(never)]
extern "C-unwind" fn call_later_slow(
    r#loop: *mut Loop,
    delay_ns: u64,
    cb: LoopCb,
    arg: *mut c_void,
) -> loop_handle_t {
    long_number(change(r#loop, |target| target.call_later(delay_ns, callback(cb, arg))))
}

/// Runs a callback once, when the loop's clock (loop_clock) has reached `when_ns`.
///
/// Returns the timer's handle, or one of the usual errors. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn loop_call_at(
    r#loop: *mut Loop,
    when_ns: u64,
    cb: LoopCb,
    arg: *mut c_void,
) -> loop_handle_t {
    match fast(r#loop, |target| target.call_at_fast(when_ns, callback(cb, arg))) {
        Some(handle) => handle,
        None => call_at_slow(r#loop, when_ns, cb, arg),
    }
}

#[cold]
#[inline(never)]
extern "C-unwind" fn call_at_slow(
    r#loop: *mut Loop,
    when_ns: u64,
    cb: LoopCb,
    arg: *mut c_void,
) -> loop_handle_t {
    long_number(change(r#loop, |target| target.call_at(when_ns, callback(cb, arg))))
}

/// Runs a callback every `interval_ns`, for the first time `first_ns` from now.
///
/// The ticks stay on a grid: first, first + interval, first + 2 * interval and so on, however
/// late a call is. There is no drift. `policy` says what happens to ticks that were missed
/// because callbacks took too long: LOOP_SKIP_MISSED, LOOP_RUN_MISSED or LOOP_RESTART_GRID.
///
/// The timer is armed for its next tick before the callback is called. The callback may cancel
/// the timer, or move the grid with loop_reschedule.
///
/// Returns the timer's handle, -EINVAL if the interval is 0 or the policy is unknown, or one of
/// the usual errors. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn loop_call_every(
    r#loop: *mut Loop,
    first_ns: u64,
    interval_ns: u64,
    policy: u32,
    cb: LoopTickCb,
    arg: *mut c_void,
) -> loop_handle_t {
    let missed = match policy {
        LOOP_SKIP_MISSED => Ok(Missed::Skip),
        LOOP_RUN_MISSED => Ok(Missed::Run),
        LOOP_RESTART_GRID => Ok(Missed::Restart),
        _ => Err(Error::INVALID),
    };
    let add = |target: &Loop| target.call_every(first_ns, interval_ns, missed?, tick_callback(cb, arg));
    long_number(change(r#loop, add))
}

/// Sets the deadline of a timer, or of an operation, to `delay_ns` nanoseconds from now.
///
/// The timer may be armed, ready in this turn (then it does not run in this turn), or inside its
/// own callback (then it is armed again). Among timers of the same deadline it counts as newly
/// scheduled. A periodic timer's next tick moves, and its grid with it. It is cheaper than a
/// cancel and a new timer.
///
/// Returns 0; LOOP_ESTALE or LOOP_EKIND (see Handles); or one of the usual errors. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn loop_reschedule(
    r#loop: *mut Loop,
    timer: loop_handle_t,
    delay_ns: u64,
) -> c_int {
    match fast(r#loop, |target| target.reschedule_fast(timer, delay_ns).map(|()| 0)) {
        Some(code) => code,
        None => reschedule_slow(r#loop, timer, delay_ns),
    }
}

#[cold]
#[inline(never)]
extern "C-unwind" fn reschedule_slow(r#loop: *mut Loop, timer: loop_handle_t, delay_ns: u64) -> c_int {
    status(change(r#loop, |target| target.reschedule(timer, delay_ns)))
}

/// Sets the deadline of a timer, or of an operation, to the time `when_ns`. Otherwise it is like
/// loop_reschedule.
///
/// Returns what loop_reschedule returns. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn loop_reschedule_at(
    r#loop: *mut Loop,
    timer: loop_handle_t,
    when_ns: u64,
) -> c_int {
    match fast(r#loop, |target| target.reschedule_at_fast(timer, when_ns).map(|()| 0)) {
        Some(code) => code,
        None => reschedule_at_slow(r#loop, timer, when_ns),
    }
}

#[cold]
#[inline(never)]
extern "C-unwind" fn reschedule_at_slow(r#loop: *mut Loop, timer: loop_handle_t, when_ns: u64) -> c_int {
    status(change(r#loop, |target| target.reschedule_at(timer, when_ns)))
}

/// Returns the nanoseconds until a timer, or the time limit of an operation, is due: 0 if it is
/// due, ready, or in its own callback and not armed again; LOOP_NEVER if it never fires;
/// LOOP_ESTALE or LOOP_EKIND (see Handles); or one of the usual errors. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_remaining(r#loop: *mut Loop, timer: loop_handle_t) -> i64 {
    long_number(with(r#loop, |target| target.remaining(timer)))
}
