//! Side table of what few sources have: a release function, a name, a period. The function of
//! a soon-callback moves here when it gets one of them.
//!
//! A source holds a [`ExtrasRef`], four bytes, so that the many that have nothing of
//! the kind pay nothing more. The table is made of slots: no hashing, no stall.

use crate::base::slots::Slots;
use crate::error::Result;
use crate::event_loop::callback::{Callback, Release, TickCallback};
use std::ffi::{CStr, c_void};

/// What happens to the ticks that a periodic timer could not make in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Missed {
    /// Skip them, and tell how many intervals the call stands for.
    Skip,
    /// Run them all, one a turn.
    Run,
    /// Start the grid anew at this call.
    Restart,
}

/// What a periodic timer has and others do not.
#[derive(Clone, Copy)]
pub struct Period {
    pub callback: TickCallback,
    pub interval: u64,
    pub missed: Missed,
}

/// The extras of one source.
#[derive(Default)]
pub struct Extras {
    pub release: Option<Release>,
    pub name: Option<Box<CStr>>,
    pub period: Option<Period>,
    /// Of a soon-callback in the ready queue. Its argument is in the queue.
    pub soon: Option<Callback>,
}

/// Where a source's extras are, if it has any: their slot and 1.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ExtrasRef(u32);

impl ExtrasRef {
    pub const NONE: ExtrasRef = ExtrasRef(0);

    pub const fn to_bits(self) -> u32 {
        self.0
    }

    pub fn from_bits(bits: u32) -> ExtrasRef {
        ExtrasRef(bits)
    }

    #[inline]
    pub fn is_some(self) -> bool {
        self != ExtrasRef::NONE
    }

    fn index(self) -> u32 {
        self.0 - 1
    }
}

pub struct SideTable {
    slots: Slots<Extras>,
    /// What the timers of objects have, all of them the same: nothing. It keeps users away from
    /// them, and stays when one of them ends.
    of_parts: ExtrasRef,
}

impl SideTable {
    pub const fn new() -> Self {
        SideTable { slots: Slots::new(), of_parts: ExtrasRef::NONE }
    }

    /// The extras of a source, made empty if it had none.
    pub fn get_or_make(&mut self, place: &mut ExtrasRef) -> Result<&mut Extras> {
        if !place.is_some() {
            *place = ExtrasRef(self.slots.insert(Extras::default())?.index + 1);
        }
        Ok(self.slots.at(place.index()))
    }

    /// The extras of all parts of objects.
    pub fn of_parts(&mut self) -> Result<ExtrasRef> {
        let mut place = self.of_parts;
        self.get_or_make(&mut place)?;
        self.of_parts = place;
        Ok(place)
    }

    pub fn get(&mut self, place: ExtrasRef) -> Option<&mut Extras> {
        place.is_some().then(|| self.slots.at(place.index()))
    }

    /// The period of a timer, if it is periodic.
    #[inline]
    pub fn period(&mut self, place: ExtrasRef) -> Option<Period> {
        self.get(place)?.period
    }

    /// The soon-callback in the ready queue with these extras and this argument.
    pub fn soon(&mut self, place: ExtrasRef, arg: *mut c_void) -> Option<Callback> {
        let mut callback = self.get(place)?.soon?;
        callback.arg = arg;
        Some(callback)
    }

    /// Takes the extras of a source that ends.
    pub fn take(&mut self, place: ExtrasRef) -> Option<Extras> {
        if !place.is_some() || place == self.of_parts {
            return None;
        }
        let (id, _) = self.slots.at_with_id(place.index());
        self.slots.remove(id)
    }

    pub fn trim(&mut self) {
        self.slots.trim();
    }
}
