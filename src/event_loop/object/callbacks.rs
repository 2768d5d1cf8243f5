//! The callbacks of parts: the library's own, which step the part's object.

use super::{Fired, PartId};
use crate::event_loop::Loop;
use crate::event_loop::callback::{Callback, FdCallback};
use std::ffi::c_void;

unsafe extern "C-unwind" fn timer_fired(on: *mut Loop, arg: *mut c_void) {
    // SAFETY: the loop that calls is alive for as long as the callback runs.
    unsafe { &*on }.step_object(PartId::from_arg(arg), Fired::Timer);
}

unsafe extern "C-unwind" fn watcher_ready(on: *mut Loop, _fd: i32, events: u32, arg: *mut c_void) {
    // SAFETY: as above.
    unsafe { &*on }.step_object(PartId::from_arg(arg), Fired::Ready(events));
}

/// Of a part that is a timer.
pub fn of_timer(part: PartId) -> Callback {
    // SAFETY: the argument is a number, which may be stale.
    unsafe { Callback::new(timer_fired, part.to_arg()) }
}

/// Of a part that is a watcher.
pub fn of_watcher(part: PartId) -> FdCallback {
    // SAFETY: as above.
    unsafe { FdCallback::new(watcher_ready, part.to_arg()) }
}
