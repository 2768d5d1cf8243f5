//! The side table of extras, which few sources have: a release function, a name, a period. The
//! function of a soon-callback moves here when it gets one of them.
//!
//! A source holds an [`ExtrasRef`] of four bytes; sources without extras need no more memory. The
//! table is made of slots: no hashing, no rehash that stalls a call.

use crate::base::slots::Slots;
use crate::error::Result;
use crate::event_loop::callback::{Callback, Release, TickCallback};
use std::ffi::{CStr, c_void};

/// What happens to the ticks that a periodic timer has missed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Missed {
    /// Skip them, and pass the number of intervals to the callback.
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

/// A reference to a source's extras: their slot plus 1, or 0.
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
    /// The extras of the timers of all objects: one empty entry. It keeps these timers off the fast
    /// paths, and stays when one of them ends.
    of_parts: ExtrasRef,
}

impl SideTable {
    pub const fn new() -> Self {
        SideTable { slots: Slots::new(), of_parts: ExtrasRef::NONE }
    }

    /// Returns the extras of a source; makes empty ones if it has none.
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
