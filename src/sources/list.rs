//! The list of the kinds of object. The core stores objects in slots without naming any kind: it uses
//! this enum. It is the one dependency of `event_loop` on `sources`.

use super::poll_fd::PollFd;
use crate::event_loop::object::{Fired, Object, Parts, Step};

/// An object of any kind, in the slot itself: no allocation for each.
#[derive(Default)]
pub enum AnyObject {
    /// In a free slot.
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
