//! Hooks are called round the wait, for guests that have to be asked before the loop sleeps
//! (X11, ZeroMQ, GLib) and for your own housekeeping. They are cancelled, named and released
//! like every source, do not keep loop_run going, and may do whatever a callback may (one that
//! runs the loop is called again by that run: it has to end the recursion itself).
//! Hooks of one kind run in the order of their making; one that a hook adds runs from the
//! next time on.

use super::{callback, long_number, types, with};
use crate::error::{Error, Result};
use crate::event_loop::Loop;
use crate::event_loop::hooks::When;
use std::ffi::c_void;
use types::{LoopCb, loop_handle_t};

/// Before every call that asks the kernel. Work that it makes ready keeps the wait from
/// blocking.
pub const LOOP_BEFORE_WAIT: u32 = 1;
/// After every call that asked the kernel. What it schedules runs in this turn, after the
/// descriptors' callbacks.
pub const LOOP_AFTER_WAIT: u32 = 2;
/// Before a wait that would block, after LOOP_BEFORE_WAIT: nothing is ready, there is time.
/// It does not make the loop spin.
pub const LOOP_WHEN_IDLE: u32 = 3;
/// When a signal interrupted the wait, on the loop's thread, outside of the signal handler. In a
/// loop made with LOOP_PULL it may have no callback: then it is handed out as LOOP_EVENT_INTERRUPT.
pub const LOOP_ON_INTERRUPT: u32 = 4;

/// Adds a hook.
///
/// Returns its handle, or an error: -EINVAL for an unknown `when`, LOOP_ENULL,
/// LOOP_ENOCALLBACK, -ENOMEM, LOOP_ELIMIT, LOOP_EWRONGTHREAD, LOOP_EFORKED, LOOP_ECLOSED,
/// LOOP_EPANIC. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_add_hook(
    r#loop: *mut Loop,
    when: u32,
    cb: LoopCb,
    arg: *mut c_void,
) -> loop_handle_t {
    long_number(with(r#loop, |target| target.add_hook(when_of(when)?, callback(cb, arg))))
}

fn when_of(when: u32) -> Result<When> {
    match when {
        LOOP_BEFORE_WAIT => Ok(When::BeforeWait),
        LOOP_AFTER_WAIT => Ok(When::AfterWait),
        LOOP_WHEN_IDLE => Ok(When::WhenIdle),
        LOOP_ON_INTERRUPT => Ok(When::OnInterrupt),
        _ => Err(Error::INVALID),
    }
}
