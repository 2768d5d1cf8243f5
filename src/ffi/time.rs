//! Times are nanoseconds of CLOCK_MONOTONIC, which counts from an arbitrary point and stops while
//! the machine is suspended. With LOOP_VIRTUAL_CLOCK or LOOP_MANUAL_CLOCK they are on the loop's
//! own clock.

use super::{change, get, status, with};
use crate::event_loop::Loop;
use std::ffi::c_int;

/// A microsecond in nanoseconds.
#[allow(clippy::unnecessary_cast, reason = "cbindgen then writes a number that is as wide in C")]
pub const LOOP_US: u64 = 1_000 as u64;
/// A millisecond in nanoseconds. Write `20 * LOOP_MS`.
#[allow(clippy::unnecessary_cast, reason = "as above")]
pub const LOOP_MS: u64 = 1_000_000 as u64;
/// A second in nanoseconds.
#[allow(clippy::unnecessary_cast, reason = "as above")]
pub const LOOP_SECOND: u64 = 1_000_000_000 as u64;

/// What loop_timeout and loop_remaining return for "never". (As a delay or time, pass
/// UINT64_MAX.)
pub const LOOP_NEVER: i64 = i64::MAX;

/// Returns the time of this turn. The clock is read when this is first called in a turn; later
/// calls in the turn return the same. At rest it is like loop_clock. 0 if the call is not
/// allowed. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_now(r#loop: *mut Loop) -> u64 {
    with(r#loop, Loop::now).unwrap_or(0)
}

/// Returns the time, read now. 0 if the loop is NULL, was freed in a callback that has not
/// returned, or is the parent's (see loop_after_fork). Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_clock(r#loop: *mut Loop) -> u64 {
    get(r#loop).map_or(0, Loop::clock)
}

/// Moves a virtual or manual clock forward by `ns` nanoseconds. Timers that are due then run in
/// the next turn.
///
/// Returns 0, LOOP_ECLOCK if the loop uses the system's clock, or one of the usual errors. Loop's
/// thread.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn loop_advance(r#loop: *mut Loop, ns: u64) -> c_int {
    status(change(r#loop, |target| target.advance(ns)))
}
