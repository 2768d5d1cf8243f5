//! The ready queue: every callback that may run now, first in, first out.
//!
//! All kinds of source end here, so order, budget, cancelling and statistics are in one
//! place. An entry is known by its sequence number: that is a soon-callback's handle.
//! A cancelled entry stays as a tombstone until its turn. Everything takes `&self`: no
//! method runs foreign code.

use crate::callback::{Callable, Callback};
use crate::error::Result;
use crate::handle::SlotId;
use crate::rare::RareRef;
use crate::ring::Ring;
use std::cell::Cell;

/// One callback that is ready.
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

/// An entry in three words. (As an enum it would be as small, but written in pieces and
/// read back whole, which the processor cannot forward: 12 cycles a callback.)
#[derive(Clone, Copy)]
pub struct Packed {
    /// Kind, UNREF, PULLED, and in the upper half what is rare or what happened.
    head: u64,
    /// A slot's id stands in place of the argument.
    callable: Callable,
}

const GONE: u64 = 0;
const SOON: u64 = 1;
const TIMER: u64 = 2;
const WATCH: u64 = 3;
const KIND: u64 = 3;
const UNREF: u64 = 4;
/// A soon-callback without a function.
const PULLED: u64 = 8;
/// The head of a soon-callback with nothing rare, and with a function.
const PLAIN_SOON: u64 = SOON | (RareRef::NONE.to_bits() as u64) << 32;

impl Packed {
    #[inline]
    fn new(entry: Entry) -> Packed {
        let head = |kind, unref, upper: u32| kind | (u64::from(unref) * UNREF) | (u64::from(upper) << 32);
        let slot = |id: SlotId| {
            let bits = (u64::from(id.index) << 32) | u64::from(id.generation);
            Callable::nothing(std::ptr::without_provenance_mut(bits as usize))
        };
        match entry {
            Entry::Gone => Packed { head: GONE, callable: Callable::nothing(std::ptr::null_mut()) },
            Entry::Soon { callback, rare, unref } => match callback.callable() {
                Some(callable) => Packed { head: head(SOON, unref, rare.to_bits()), callable },
                None => {
                    let callable = Callable::nothing(callback.arg);
                    Packed { head: head(SOON | PULLED, unref, rare.to_bits()), callable }
                }
            },
            Entry::Timer { id, unref } => Packed { head: head(TIMER, unref, 0), callable: slot(id) },
            Entry::Watch { id, events, unref } => {
                Packed { head: head(WATCH, unref, events), callable: slot(id) }
            }
        }
    }

    /// In two parts, which fit into registers.
    #[inline(always)]
    pub fn parts(self) -> (u64, Callable) {
        (self.head, self.callable)
    }

    pub fn from_parts(head: u64, callable: Callable) -> Packed {
        Packed { head, callable }
    }

    fn callback(self) -> Callback {
        match self.head & PULLED {
            0 => self.callable.into(),
            _ => Callback::pulled(self.callable.arg),
        }
    }

    /// The callback of a live soon-entry.
    pub fn as_soon(self) -> Option<(Callback, RareRef)> {
        let rare = RareRef::from_bits((self.head >> 32) as u32);
        (self.head & KIND == SOON).then_some((self.callback(), rare))
    }

    pub fn entry(self) -> Entry {
        let (unref, upper) = (self.is_unref(), (self.head >> 32) as u32);
        let bits = self.callable.arg.addr() as u64;
        let id = SlotId { index: (bits >> 32) as u32, generation: bits as u32 };
        match self.head & KIND {
            SOON => Entry::Soon { callback: self.callback(), rare: RareRef::from_bits(upper), unref },
            TIMER => Entry::Timer { id, unref },
            WATCH => Entry::Watch { id, events: upper, unref },
            _ => Entry::Gone,
        }
    }

    #[inline]
    fn is_live(self) -> bool {
        self.head != GONE
    }

    #[inline]
    fn is_unref(self) -> bool {
        self.head & UNREF != 0
    }
}

/// An entry that has been taken, with its number.
pub enum Next {
    /// A soon-callback with nothing rare, and with a function: the most frequent kind by far.
    PlainSoon(u64, Callable),
    Other(u64, Packed),
}

impl Next {
    #[inline(always)]
    fn new(sequence: u64, packed: Packed) -> Next {
        match packed.head {
            PLAIN_SOON => Next::PlainSoon(sequence, packed.callable),
            _ => Next::Other(sequence, packed),
        }
    }
}

pub struct Ready {
    ring: Ring<Packed>,
    /// Tombstones in the queue.
    gone: Cell<u64>,
    /// Live entries that do not keep `loop_run` going.
    unref: Cell<u64>,
}

impl Ready {
    pub fn new() -> Self {
        Ready { ring: Ring::new(Packed::new(Entry::Gone)), gone: Cell::new(0), unref: Cell::new(0) }
    }

    /// Appends, and tells the entry's sequence number.
    #[inline]
    pub fn push(&self, entry: Entry) -> Result<u64> {
        let packed = Packed::new(entry);
        let sequence = self.ring.push(packed)?;
        if packed.is_unref() {
            self.unref.set(self.unref.get() + 1);
        }
        Ok(sequence)
    }

    /// Appends a soon-callback, unless that needs memory or it has no function.
    #[inline(always)]
    pub fn push_soon(&self, callback: Callback) -> Option<u64> {
        self.ring.push_within_block(Packed { head: PLAIN_SOON, callable: callback.callable()? })
    }

    /// Where the queue ends now: a snapshot is everything before.
    #[inline]
    pub fn end(&self) -> u64 {
        self.ring.tail()
    }

    /// The first live entry before `end`, left where it is.
    pub fn peek_before(&self, end: u64) -> Option<Entry> {
        while self.ring.head() < end {
            let packed = self.ring.get(self.ring.head())?;
            if packed.is_live() {
                return Some(packed.entry());
            }
            self.ring.pop();
            self.gone.set(self.gone.get() - 1);
        }
        None
    }

    /// Takes the first live entry before `end`.
    #[inline(always)] // in the middle of every dispatch
    pub fn next_before(&self, end: u64) -> Option<Next> {
        loop {
            match self.ring.pop_before(end, Next::new)? {
                Next::Other(_, packed) if !self.is_popped(packed) => {}
                next => return Some(next),
            }
        }
    }

    /// Takes the first live entry before `end`, with its number.
    pub fn pop_before(&self, end: u64) -> Option<(u64, Packed)> {
        self.next_before(end).map(|next| match next {
            Next::PlainSoon(sequence, callable) => (sequence, Packed { head: PLAIN_SOON, callable }),
            Next::Other(sequence, packed) => (sequence, packed),
        })
    }

    /// Counts an entry that has been popped. Is it live?
    #[inline]
    fn is_popped(&self, packed: Packed) -> bool {
        if !packed.is_live() {
            self.gone.set(self.gone.get() - 1);
        } else if packed.is_unref() {
            self.unref.set(self.unref.get() - 1);
        }
        packed.is_live()
    }

    fn get_live(&self, sequence: u64) -> Option<Packed> {
        self.ring.get(sequence).filter(|packed| packed.is_live())
    }

    /// The live entry with this number.
    pub fn get(&self, sequence: u64) -> Option<Entry> {
        self.get_live(sequence).map(Packed::entry)
    }

    /// Puts `entry`, which is like the old one but for its details, in its place.
    pub fn set(&self, sequence: u64, entry: Entry) {
        if self.get_live(sequence).is_some() {
            self.ring.set(sequence, Packed::new(entry));
        }
    }

    /// Takes the live entry with this number out, wherever it is.
    pub fn remove(&self, sequence: u64) -> Option<Entry> {
        let removed = self.get_live(sequence)?;
        self.ring.set(sequence, Packed::new(Entry::Gone));
        self.gone.set(self.gone.get() + 1);
        if removed.is_unref() {
            self.unref.set(self.unref.get() - 1);
        }
        Some(removed.entry())
    }

    /// Like [`Ready::remove`], for entries that nothing hangs on.
    pub fn discard(&self, sequence: u64) {
        let _ = self.remove(sequence);
    }

    /// Says whether the entry keeps `loop_run` going.
    pub fn set_unref(&self, sequence: u64, value: bool) {
        let Some(packed) = self.get_live(sequence) else { return };
        let head = (packed.head & !UNREF) | (u64::from(value) * UNREF);
        self.ring.set(sequence, Packed { head, ..packed });
        self.unref.set(self.unref.get() + u64::from(value) - u64::from(packed.is_unref()));
    }

    fn live(&self) -> u64 {
        self.ring.tail() - self.ring.head() - self.gone.get()
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.live() == 0
    }

    /// Is anything ready that keeps `loop_run` going?
    pub fn has_work(&self) -> bool {
        self.live() > self.unref.get()
    }

    /// Gives some of the memory back that no recent period needed.
    pub fn trim(&self) {
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
        assert_eq!(size_of::<Packed>(), 24);
    }

    #[test]
    fn a_snapshot_ends_where_it_ended() {
        let ready = Ready::new();
        (0..3).for_each(|i| assert!(ready.push(soon(i)).is_ok()));
        let end = ready.end();
        ready.push(soon(3)).unwrap();
        let mut seen = Vec::new();
        while let Some((_, entry)) = ready.pop_before(end) {
            seen.push(number(entry.entry()));
        }
        assert_eq!(seen, [0, 1, 2]);
        assert!(!ready.is_empty());
        assert_eq!(number(ready.pop_before(ready.end()).unwrap().1.entry()), 3);
        assert!(ready.is_empty());
    }

    #[test]
    fn a_cancelled_entry_is_skipped_and_not_counted() {
        let ready = Ready::new();
        let sequences: Vec<_> = (0..5000).map(|i| ready.push(soon(i)).unwrap()).collect();
        for sequence in sequences.iter().skip(1).step_by(2) {
            assert!(ready.remove(*sequence).is_some());
            assert!(ready.remove(*sequence).is_none());
        }
        for expected in (0..5000).step_by(2) {
            assert_eq!(number(ready.pop_before(ready.end()).unwrap().1.entry()), expected);
        }
        assert!(ready.is_empty());
        assert!(ready.pop_before(ready.end()).is_none());
        assert!(ready.remove(sequences[0]).is_none(), "it ran");
    }

    #[test]
    fn what_is_unref_does_not_count_as_work() {
        let ready = Ready::new();
        let sequence = ready.push(soon(1)).unwrap();
        ready.set_unref(sequence, true);
        ready.set_unref(sequence, true);
        assert!(!ready.has_work() && !ready.is_empty());
        ready.set_unref(sequence, false);
        assert!(ready.has_work());
        ready.set_unref(sequence, true);
        ready.remove(sequence);
        assert!(!ready.has_work() && ready.is_empty());
        assert_eq!((ready.live(), ready.unref.get()), (0, 0));
    }
}
