//! The ready queue: every callback that may run now, first in, first out.
//!
//! All kinds of source end here, so order, budget, cancelling and statistics are in one
//! place. An entry is known by its sequence number: that is a soon-callback's handle.
//! A cancelled entry leaves a tombstone until its turn (`ring.rs` gives the memory of blocks of
//! tombstones back at once). Everything takes `&self`: no
//! method runs foreign code.

use crate::base::ring::Ring;
use crate::base::slots::SlotId;
use crate::error::Result;
use crate::event_loop::callback::{Callable, Callback, Word};
use crate::event_loop::side_table::ExtrasRef;
use std::cell::Cell;
use std::ffi::c_void;

/// One callback that is ready.
#[derive(Clone, Copy, Debug)]
pub enum Entry {
    /// Cancelled.
    Gone,
    Soon {
        callback: Callback,
        unref: bool,
    },
    /// A soon-callback with extras, beside which its function is kept.
    SoonWithExtras {
        extras: ExtrasRef,
        arg: *mut c_void,
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
    /// In pull mode: a hook without a callback. Keeps nothing going.
    Hook {
        id: SlotId,
    },
}

impl Entry {
    /// What has to be ended with a soon-callback, of either sort.
    pub fn as_soon(self) -> Option<(ExtrasRef, *mut c_void)> {
        match self {
            Entry::Soon { callback, .. } => Some((ExtrasRef::NONE, callback.arg)),
            Entry::SoonWithExtras { extras, arg, .. } => Some((extras, arg)),
            Entry::Gone | Entry::Timer { .. } | Entry::Watch { .. } | Entry::Hook { .. } => None,
        }
    }
}

/// An entry in two words: a long queue is as fast as memory is. (Each is written and read back
/// whole: what is written in pieces the processor cannot forward, which is 12 cycles a callback.)
#[derive(Clone, Copy)]
pub struct Packed {
    /// A soon-callback's function; of all else the kind and, in the lower half, what is rare or
    /// what happened. Marked: unref.
    head: Word,
    /// The argument; a slot's id stands in its place.
    arg: *mut c_void,
}

const GONE: usize = 0;
/// A soon-callback without a function.
const PULLED: usize = 1;
const SOON_WITH_EXTRAS: usize = 2;
const TIMER: usize = 3;
const WATCH: usize = 4;
const HOOK: usize = 5;

const fn head(kind: usize, lower: u32) -> Word {
    Word::number(kind << 32 | lower as usize)
}

impl Packed {
    const GONE: Packed = Packed { head: head(GONE, 0), arg: std::ptr::null_mut() };

    #[inline]
    fn new(entry: Entry) -> Packed {
        let slot = |id: SlotId| {
            let bits = (u64::from(id.index) << 32) | u64::from(id.generation);
            std::ptr::without_provenance_mut(bits as usize)
        };
        let (head, arg, unref) = match entry {
            Entry::Gone => return Packed::GONE,
            Entry::Soon { callback, unref } => {
                let head = callback.callable().map_or(head(PULLED, 0), Callable::word);
                (head, callback.arg, unref)
            }
            Entry::SoonWithExtras { extras, arg, unref } => {
                (head(SOON_WITH_EXTRAS, extras.to_bits()), arg, unref)
            }
            Entry::Timer { id, unref } => (head(TIMER, 0), slot(id), unref),
            Entry::Watch { id, events, unref } => (head(WATCH, events), slot(id), unref),
            Entry::Hook { id } => (head(HOOK, 0), slot(id), true),
        };
        Packed { head: head.marked(unref), arg }
    }

    #[inline(always)]
    fn plain_soon(callable: Callable) -> Packed {
        Packed { head: callable.word(), arg: callable.arg }
    }

    pub fn entry(self) -> Entry {
        let Packed { head, arg } = self;
        let unref = head.is_marked();
        let number = match head.callable(arg) {
            Ok(callable) => return Entry::Soon { callback: callable.into(), unref },
            Err(number) => number,
        };
        let (kind, lower) = (number >> 32, number as u32);
        let id = self.slot();
        match kind {
            PULLED => Entry::Soon { callback: Callback::pulled(arg), unref },
            SOON_WITH_EXTRAS => Entry::SoonWithExtras { extras: ExtrasRef::from_bits(lower), arg, unref },
            TIMER => Entry::Timer { id, unref },
            WATCH => Entry::Watch { id, events: lower, unref },
            HOOK => Entry::Hook { id },
            _ => Entry::Gone,
        }
    }

    /// What stands in the place of the argument.
    #[inline(always)]
    fn slot(self) -> SlotId {
        let bits = self.arg.addr() as u64;
        SlotId { index: (bits >> 32) as u32, generation: bits as u32 }
    }

    #[inline]
    fn is_live(self) -> bool {
        self.head != Packed::GONE.head
    }

    /// What stands in the place of a function; `None`: that is one.
    #[inline]
    fn number(self) -> Option<usize> {
        self.head.callable(self.arg).err()
    }

    /// A soon-callback, live, of any sort.
    #[inline]
    fn is_soon(self) -> bool {
        self.number().is_none_or(|number| matches!(number >> 32, PULLED | SOON_WITH_EXTRAS))
    }

    #[inline]
    fn is_unref(self) -> bool {
        self.head.is_marked()
    }
}

/// An entry that has been taken, with its number.
pub enum Next {
    /// A soon-callback with no extras, and with a function: the most frequent kind by far.
    PlainSoon(u64, Callable),
    Other(u64, Packed),
}

impl Next {
    #[inline(always)]
    fn new(sequence: u64, packed: Packed) -> Next {
        match packed.head.plain_callable(packed.arg) {
            Some(callable) => Next::PlainSoon(sequence, callable),
            None => Next::Other(sequence, packed),
        }
    }
}

pub struct Ready {
    /// With a tombstone for each entry that was cancelled.
    ring: Ring<Packed>,
    /// Live entries that do not keep `loop_run` going.
    unref: Cell<u64>,
}

impl Ready {
    pub fn new() -> Self {
        Ready { ring: Ring::new(Packed::GONE), unref: Cell::new(0) }
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
        self.ring.push_within_block(Packed::plain_soon(callback.callable()?))
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
            self.ring.count_void();
            self.ring.pop();
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
            Next::PlainSoon(sequence, callable) => (sequence, Packed::plain_soon(callable)),
            Next::Other(sequence, packed) => (sequence, packed),
        })
    }

    /// Counts an entry that has been popped. Is it live?
    #[inline]
    fn is_popped(&self, packed: Packed) -> bool {
        if !packed.is_live() {
            self.ring.count_void();
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

    /// The timer whose entry has this number, if it is a timer's.
    #[inline(always)] // in the dispatch of timers
    pub fn timer_at(&self, sequence: u64) -> Option<SlotId> {
        let packed = self.ring.get(sequence)?;
        (packed.head.marked(false) == head(TIMER, 0)).then(|| packed.slot())
    }

    /// Puts `entry`, which is like the old one but for its details, in its place.
    pub fn set(&self, sequence: u64, entry: Entry) {
        if self.get_live(sequence).is_some() {
            self.ring.set(sequence, Packed::new(entry));
        }
    }

    /// Takes the live entry with this number out, wherever it is.
    pub fn remove(&self, sequence: u64) -> Option<Entry> {
        let removed = self.ring.take_out(sequence, Packed::is_live)?;
        if removed.is_unref() {
            self.unref.set(self.unref.get() - 1);
        }
        Some(removed.entry())
    }

    /// Takes a soon-callback out, if it is one and in the queue: what has to be ended with it.
    #[inline]
    pub fn remove_soon(&self, sequence: u64) -> Option<(ExtrasRef, *mut c_void)> {
        let removed = self.ring.take_out(sequence, Packed::is_soon)?;
        if removed.is_unref() {
            self.unref.set(self.unref.get() - 1);
        }
        let extras = match removed.number() {
            Some(number) if number >> 32 == SOON_WITH_EXTRAS => ExtrasRef::from_bits(number as u32),
            _ => ExtrasRef::NONE,
        };
        Some((extras, removed.arg))
    }

    /// Like [`Ready::remove`], for entries that nothing hangs on.
    pub fn discard(&self, sequence: u64) {
        let _ = self.remove(sequence);
    }

    /// Gives the live soon-callback with this number another argument.
    pub fn set_arg(&self, sequence: u64, arg: *mut c_void) {
        if let Some(packed) = self.get_live(sequence) {
            self.ring.set(sequence, Packed { arg, ..packed });
        }
    }

    /// Says whether the entry keeps `loop_run` going.
    pub fn set_unref(&self, sequence: u64, value: bool) {
        let Some(packed) = self.get_live(sequence) else { return };
        self.ring.set(sequence, Packed { head: packed.head.marked(value), ..packed });
        self.unref.set(self.unref.get() + u64::from(value) - u64::from(packed.is_unref()));
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.ring.len() == 0
    }

    /// Is anything ready that keeps `loop_run` going?
    pub fn has_work(&self) -> bool {
        self.ring.len() > self.unref.get()
    }

    /// Frees some of the memory that was not needed recently.
    pub fn trim(&self) {
        self.ring.trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::slots::{MAX_GENERATION, MAX_SLOTS};
    use crate::event_loop::Loop;
    use crate::event_loop::watch::MASK;

    fn soon(number: usize) -> Entry {
        let callback = Callback::pulled(number as *mut _);
        Entry::Soon { callback, unref: false }
    }

    fn number(entry: Entry) -> usize {
        match entry {
            Entry::Soon { callback, .. } => callback.arg as usize,
            _ => panic!("only soons are pushed here"),
        }
    }

    #[test]
    fn an_entry_is_16_bytes() {
        assert_eq!(size_of::<Packed>(), 16);
    }

    #[test]
    #[allow(unsafe_code, reason = "a function as a value, which is not called")]
    fn every_entry_is_read_as_it_was_written() {
        unsafe extern "C-unwind" fn never(_: *mut Loop, _: *mut c_void) {}
        let (arg, extras) = (std::ptr::dangling_mut(), ExtrasRef::from_bits(MAX_SLOTS));
        // SAFETY: it takes any argument.
        let callback = unsafe { Callback::new(never, arg) };
        let id = SlotId { index: MAX_SLOTS - 1, generation: MAX_GENERATION - 1 };
        let entries = |unref| {
            [
                Entry::Soon { callback, unref },
                Entry::Soon { callback: Callback::pulled(arg), unref },
                Entry::SoonWithExtras { extras, arg, unref },
                Entry::Timer { id, unref },
                Entry::Watch { id, events: MASK, unref },
                Entry::Hook { id },
            ]
        };
        let ready = Ready::new();
        for (written, unref) in entries(false).iter().zip(entries(true)) {
            let sequence = ready.push(*written).unwrap();
            let read = || format!("{:?}", ready.get(sequence).unwrap());
            assert_eq!(read(), format!("{written:?}"));
            ready.set_unref(sequence, true);
            assert_eq!(read(), format!("{unref:?}"));
            let timer = matches!(written, Entry::Timer { .. }).then_some(id);
            assert_eq!(ready.timer_at(sequence), timer);
            ready.set_unref(sequence, matches!(written, Entry::Hook { .. }));
            assert_eq!(read(), format!("{written:?}"));
        }
        let takes_fast_path = |entry| matches!(Next::new(1, Packed::new(entry)), Next::PlainSoon(..));
        assert_eq!(entries(false).map(takes_fast_path), [true, false, false, false, false, false]);
        assert_eq!(entries(true).map(takes_fast_path), [false; 6]);
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
        assert_eq!((ready.ring.len(), ready.unref.get()), (0, 0));
    }
}
