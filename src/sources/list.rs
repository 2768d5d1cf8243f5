//! The one list of the kinds of object. The core stores objects and names no kind of them: it takes
//! them from here, which is the one arrow that points up.

use super::poll_fd::PollFd;
use crate::event_loop::object::{Fired, Object, Parts, Step};

/// An object of any kind, in the slot itself: no allocation for each.
#[derive(Default)]
pub enum AnyObject {
    /// A free slot's.
    #[default]
    None,
    PollFd(PollFd),
}

impl Object for AnyObject {
    fn step(&mut self, parts: &mut Parts<'_>, part: u8, fired: Fired) -> Step {
        match self {
            AnyObject::None => Step::Quiet,
            AnyObject::PollFd(object) => object.step(parts, part, fired),
        }
    }

    fn deadline(&self) -> u8 {
        match self {
            AnyObject::None => 0,
            AnyObject::PollFd(object) => object.deadline(),
        }
    }
}
