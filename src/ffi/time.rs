//! Times are nanoseconds of CLOCK_MONOTONIC, which counts from an arbitrary point and stops
//! while the machine is suspended; with LOOP_VIRTUAL_CLOCK or LOOP_MANUAL_CLOCK they are the
//! loop's own.

use super::{change, get, status, with};
use crate::event_loop::Loop;
use std::ffi::c_int;

/// A microsecond.
#[allow(clippy::unnecessary_cast, reason = "cbindgen then writes a number that is as wide in C")]
pub const LOOP_US: u64 = 1_000 as u64;
/// A millisecond: `20 * LOOP_MS`.
#[allow(clippy::unnecessary_cast, reason = "as above")]
pub const LOOP_MS: u64 = 1_000_000 as u64;
/// A second.
#[allow(clippy::unnecessary_cast, reason = "as above")]
pub const LOOP_SECOND: u64 = 1_000_000_000 as u64;

/// Never, as a signed time.
pub const LOOP_NEVER: i64 = i64::MAX;

/// The time of this turn: the clock is read on first use in it and stays. Between runs it is
/// loop_clock. 0 when the call is not allowed. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_now(r#loop: *mut Loop) -> u64 {
    with(r#loop, Loop::now).unwrap_or(0)
}

/// The time, read now. 0 when the loop is NULL or freed in this callback. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_clock(r#loop: *mut Loop) -> u64 {
    get(r#loop).map_or(0, Loop::clock)
}

/// Moves a virtual or manual clock forward; what becomes due runs in the next turn.
///
/// Returns 0, LOOP_ECLOCK on a loop whose clock is the system's, or another error. Loop's
/// thread, inside callbacks too.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn loop_advance(r#loop: *mut Loop, ns: u64) -> c_int {
    status(change(r#loop, |target| target.advance(ns)))
}
