//! Hooks are called before and after the wait: for libraries that must be asked before the loop
//! blocks (X11, ZeroMQ, GLib), and for your own housekeeping. They are cancelled, named and
//! released like other sources. They do not keep loop_run going.
//!
//! Hooks of one kind run in the order in which they were made. A hook that is added by a hook of
//! the same kind runs from the next time on. A hook may do what a callback may do. If it runs the
//! loop, that run calls the hook again: the hook must end the recursion itself.

use super::{callback, long_number, types, with};
use crate::error::{Error, Result};
use crate::event_loop::Loop;
use crate::event_loop::hooks::When;
use std::ffi::c_void;
use types::{LoopCb, loop_handle_t};

/// Before every system call that polls the kernel. If the hook makes work ready, the wait does
/// not block.
pub const LOOP_BEFORE_WAIT: u32 = 1;
/// After every system call that polled the kernel. What the hook schedules runs in this turn,
/// after the callbacks of descriptors.
pub const LOOP_AFTER_WAIT: u32 = 2;
/// Before a wait that would block, after LOOP_BEFORE_WAIT: nothing is ready, and there is time
/// for something unimportant. Unlike libuv's idle handle, it does not make the loop spin.
pub const LOOP_WHEN_IDLE: u32 = 3;
/// After a signal has interrupted the wait, on the loop's thread and outside of the signal
/// handler. In pull mode the hook may have a NULL callback; then it is handed out as
/// LOOP_EVENT_INTERRUPT.
///
/// A signal that comes just before the wait interrupts nothing: the hook is not called, and the
/// wait goes on. If you must not miss a signal, watch a signalfd, or call loop_wake in the signal
/// handler.
pub const LOOP_ON_INTERRUPT: u32 = 4;

/// Adds a hook, which is called at the times that `when` names: LOOP_BEFORE_WAIT and so on.
///
/// Returns its handle, -EINVAL if `when` is unknown, or one of the usual errors. Loop's thread.
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
