//! `loop_poll_fd`: one wait for a descriptor, with a deadline.
//!
//! Two parts: a watcher, which other watchers of the descriptor do not notice, and a timer, if there
//! is a limit. The one that fires first ends both.

use super::list::AnyObject;
use crate::error::{Error, Result};
use crate::event_loop::Loop;
use crate::event_loop::callback::IoCallback;
use crate::event_loop::handle::RawHandle;
use crate::event_loop::object::{Fired, Notice, Object, Parts, Step};
use crate::event_loop::watch::{ALWAYS, CLOSED, EVENTS};

/// LOOP_EVENT_DONE: an operation has ended.
pub const DONE: u32 = 14;

const WATCH: u8 = 0;
const DEADLINE: u8 = 1;

pub struct PollFd;

impl Object for PollFd {
    fn step(&mut self, parts: &mut Parts<'_>, _part: u8, fired: Fired) -> Step {
        let ready = match fired {
            Fired::Ready(events) => events,
            // What is ready by then wins, also if the kernel has not been asked in this turn.
            Fired::Timer => parts.look(WATCH),
        };
        let result = match ready {
            events if events & CLOSED != 0 => Error::BAD_FD.code().into(),
            0 => Error::TIMED_OUT.code().into(),
            events => i64::from(events),
        };
        Step::Last(Notice { what: DONE, result, data: std::ptr::null_mut() })
    }

    fn deadline(&self) -> u8 {
        DEADLINE
    }
}

impl Loop {
    /// Waits once for a descriptor, for so many nanoseconds (`None`: without limit); see
    /// `loop_poll_fd` in the header.
    pub fn poll_fd(
        &self,
        fd: i32,
        events: u32,
        timeout: Option<u64>,
        callback: IoCallback,
    ) -> Result<RawHandle> {
        self.check()?;
        if events & EVENTS == 0 || events & !(EVENTS | ALWAYS) != 0 {
            return Err(Error::MASK);
        }
        let deadline = timeout.map(|ns| self.time_after(ns));
        self.add_object(AnyObject::PollFd(PollFd), callback, |parts| {
            parts.watch(WATCH, fd, events | CLOSED)?;
            deadline.map_or(Ok(()), |deadline| parts.arm(DEADLINE, deadline))
        })
    }
}
