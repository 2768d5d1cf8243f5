//! The ready queue: every callback that may run now, first in, first out.
//!
//! All kinds of source end here, so order, budget, cancelling and statistics are in one
//! place. An entry is known by its sequence number: that is a soon-callback's handle.
//! A cancelled entry stays as a tombstone until its turn; `live` counts the others.

use crate::callback::Callback;
use crate::error::{Error, Result};
use crate::handle::{MAX_SEQUENCE, SlotId};
use crate::rare::RareRef;
use crate::ring::Ring;

/// One callback that is ready. 24 bytes.
#[derive(Clone, Copy)]
pub enum Entry {
    /// Cancelled.
    Gone,
    Soon {
        callback: Callback,
        rare: RareRef,
        unref: bool,
    },
    Timer {
        id: SlotId,
        unref: bool,
    },
    /// With the events that were reported.
    Watch {
        id: SlotId,
        events: u32,
        unref: bool,
    },
}

impl Entry {
    fn unref_mut(&mut self) -> Option<&mut bool> {
        match self {
            Entry::Gone => None,
            Entry::Soon { unref, .. } | Entry::Timer { unref, .. } | Entry::Watch { unref, .. } => {
                Some(unref)
            }
        }
    }
}

pub struct Ready {
    ring: Ring<Entry>,
    /// Entries that are not tombstones.
    live: usize,
    /// Live entries that do not keep `loop_run` going.
    live_unref: usize,
}

impl Ready {
    pub fn new() -> Self {
        Ready { ring: Ring::new(Entry::Gone), live: 0, live_unref: 0 }
    }

    /// Appends, and tells the entry's sequence number.
    #[inline]
    pub fn push(&mut self, mut entry: Entry) -> Result<u64> {
        if self.ring.tail() >= MAX_SEQUENCE {
            return Err(Error::LIMIT);
        }
        let unref = entry.unref_mut().is_some_and(|unref| *unref);
        let sequence = self.ring.push(entry)?;
        self.live += 1;
        self.live_unref += usize::from(unref);
        Ok(sequence)
    }

    /// Where the queue ends now: a snapshot is everything before.
    #[inline]
    pub fn end(&self) -> u64 {
        self.ring.tail()
    }

    /// The first live entry before `end`, left where it is.
    pub fn peek_before(&mut self, end: u64) -> Option<Entry> {
        while self.ring.head() < end {
            match *self.ring.get_mut(self.ring.head())? {
                Entry::Gone => self.ring.pop()?,
                entry => return Some(entry),
            };
        }
        None
    }

    /// Takes the first live entry before `end`, with its number.
    #[inline]
    pub fn pop_before(&mut self, end: u64) -> Option<(u64, Entry)> {
        while self.ring.head() < end {
            let sequence = self.ring.head();
            let mut entry = self.ring.pop()?;
            if let Some(unref) = entry.unref_mut() {
                self.live -= 1;
                self.live_unref -= usize::from(*unref);
                return Some((sequence, entry));
            }
        }
        None
    }

    /// Takes the live entry with this number out, wherever it is.
    pub fn remove(&mut self, sequence: u64) -> Option<Entry> {
        let place = self.ring.get_mut(sequence)?;
        let mut entry = std::mem::replace(place, Entry::Gone);
        let unref = *entry.unref_mut()?;
        self.live -= 1;
        self.live_unref -= usize::from(unref);
        Some(entry)
    }

    /// Like [`Ready::remove`], for entries that nothing hangs on.
    pub fn discard(&mut self, sequence: u64) {
        let _ = self.remove(sequence);
    }

    /// The entry with this number, to look at or to change in place (not its `unref`).
    pub fn get_mut(&mut self, sequence: u64) -> Option<&mut Entry> {
        self.ring.get_mut(sequence)
    }

    /// Says whether the entry keeps `loop_run` going.
    pub fn set_unref(&mut self, sequence: u64, value: bool) {
        let Some(unref) = self.ring.get_mut(sequence).and_then(Entry::unref_mut) else {
            return;
        };
        if std::mem::replace(unref, value) != value {
            match value {
                true => self.live_unref += 1,
                false => self.live_unref -= 1,
            }
        }
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// Is anything ready that keeps `loop_run` going?
    pub fn has_work(&self) -> bool {
        self.live > self.live_unref
    }

    /// Gives some of the memory back that no recent period needed.
    pub fn trim(&mut self) {
        self.ring.trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon(number: usize) -> Entry {
        let callback = Callback::pulled(number as *mut _);
        Entry::Soon { callback, rare: RareRef::NONE, unref: false }
    }

    fn number(entry: Entry) -> usize {
        match entry {
            Entry::Soon { callback, .. } => callback.arg as usize,
            _ => panic!("only soons are pushed here"),
        }
    }

    #[test]
    fn an_entry_is_24_bytes() {
        assert_eq!(size_of::<Entry>(), 24);
    }

    #[test]
    fn a_snapshot_ends_where_it_ended() {
        let mut ready = Ready::new();
        (0..3).for_each(|i| assert!(ready.push(soon(i)).is_ok()));
        let end = ready.end();
        ready.push(soon(3)).unwrap();
        let mut seen = Vec::new();
        while let Some((_, entry)) = ready.pop_before(end) {
            seen.push(number(entry));
        }
        assert_eq!(seen, [0, 1, 2]);
        assert!(!ready.is_empty());
        assert_eq!(number(ready.pop_before(ready.end()).unwrap().1), 3);
        assert!(ready.is_empty());
    }

    #[test]
    fn a_cancelled_entry_is_skipped_and_not_counted() {
        let mut ready = Ready::new();
        let sequences: Vec<_> = (0..5000).map(|i| ready.push(soon(i)).unwrap()).collect();
        for sequence in sequences.iter().skip(1).step_by(2) {
            assert!(ready.remove(*sequence).is_some());
            assert!(ready.remove(*sequence).is_none());
        }
        for expected in (0..5000).step_by(2) {
            assert_eq!(number(ready.pop_before(u64::MAX).unwrap().1), expected);
        }
        assert!(ready.is_empty());
        assert!(ready.pop_before(u64::MAX).is_none());
        assert!(ready.remove(sequences[0]).is_none(), "it ran");
    }

    #[test]
    fn what_is_unref_does_not_count_as_work() {
        let mut ready = Ready::new();
        let sequence = ready.push(soon(1)).unwrap();
        ready.set_unref(sequence, true);
        ready.set_unref(sequence, true);
        assert!(!ready.has_work() && !ready.is_empty());
        ready.set_unref(sequence, false);
        assert!(ready.has_work());
        ready.set_unref(sequence, true);
        ready.remove(sequence);
        assert!(!ready.has_work() && ready.is_empty());
        assert_eq!((ready.live, ready.live_unref), (0, 0));
    }
}
