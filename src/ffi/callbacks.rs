//! Callbacks for the next turn, for later, and for every so often.
//!
//! Timers fire by deadline, those of one deadline in the order in which they were
//! scheduled, and never early: the clock says the deadline or more when the callback runs.
//! A deadline in the past is due in the next turn, not in this one. Sums saturate, and
//! UINT64_MAX as a delay or time means never.
//!
//! Errors of the functions that schedule: LOOP_ENULL, LOOP_ENOCALLBACK, LOOP_EWRONGTHREAD,
//! LOOP_EFORKED, LOOP_ECLOSED, LOOP_EPANIC, -ENOMEM, LOOP_ELIMIT (33,554,432 timers).

use super::{callback, change, fast, long_number, status, tick_callback, types, with};
use crate::error::Error;
use crate::event_loop::Loop;
use crate::event_loop::side_table::Missed;
use std::ffi::{c_int, c_void};
use types::{LoopCb, LoopTickCb, loop_handle_t};

/// Skip the ticks that were missed, and tell how many intervals the call stands for: `ticks`
/// is 1 when none was missed.
pub const LOOP_SKIP_MISSED: u32 = 0;
/// Run every tick, the missed ones too, one a turn; `ticks` is 1.
pub const LOOP_RUN_MISSED: u32 = 1;
/// Start the grid anew: the next tick is one interval after this call; `ticks` is 1.
pub const LOOP_RESTART_GRID: u32 = 2;

/// Runs a callback in the next turn, after everything that is ready already.
///
/// Returns its handle, or an error. About 5 ns, no system call. Loop's thread; others use
/// loop_call_soon_threadsafe.
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

/// Runs a callback once, `delay_ns` from now.
///
/// From now: the clock is read, so a timer armed after long work is not early by it. Returns
/// the timer's handle, or an error. Loop's thread.
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

/// Runs a callback once, when the loop's clock (loop_clock) says `when_ns`.
///
/// Returns the timer's handle, or an error. Loop's thread.
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
/// The ticks stay on the grid first, first + interval, first + 2 * interval..., however late
/// a call is: there is no drift. `policy` says what happens to ticks that could not be made
/// in time, because callbacks took too long: LOOP_SKIP_MISSED, LOOP_RUN_MISSED or
/// LOOP_RESTART_GRID. The timer is armed for its next tick before the callback is called,
/// which may cancel it or, with loop_reschedule, move the grid.
///
/// Returns the timer's handle, or an error; -EINVAL when the interval is 0 or the policy
/// unknown. Loop's thread.
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

/// Gives a timer the deadline `delay_ns` from now, whatever it was doing: armed, ready in
/// this turn (then it does not run now), or in the middle of its own callback (then it is
/// armed again).
///
/// It counts as newly scheduled among timers of the same deadline. A periodic timer's next
/// tick moves, and its grid with it. Cheaper than a cancel and a new timer. Returns 0,
/// LOOP_ESTALE, LOOP_EKIND, or another error. Loop's thread.
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

/// Like loop_reschedule, with the time itself instead of a delay. Loop's thread.
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

/// Nanoseconds until a timer is due: 0 when it is due, ready, or in its own callback and not
/// armed again; INT64_MAX when it never fires.
///
/// Returns them, or LOOP_ESTALE, LOOP_EKIND, or another error. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_remaining(r#loop: *mut Loop, timer: loop_handle_t) -> i64 {
    long_number(with(r#loop, |target| target.remaining(timer)))
}
