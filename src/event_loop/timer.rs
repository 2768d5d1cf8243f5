//! Timers: one-shot and periodic, by (deadline, order of scheduling).
//!
//! A timer is *armed* (in the wheel), *ready* (in the ready queue, and it knows where),
//! *idle* (its callback runs, and it is not armed again), or *handed out* (in pull mode, likewise). This
//! file knows no clock: `now` is a parameter, and who is due is handed to the caller.

use crate::base::slots::SlotId;
use crate::base::slots::Slots;
use crate::error::Result;
use crate::event_loop::callback::Callback;
use crate::event_loop::side_table::ExtrasRef;
use std::ffi::c_void;

pub mod wheel;

pub use wheel::NEVER;
use wheel::{NONE, Wheel};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Armed = 0,
    Ready = 1,
    Idle = 2,
    /// In pull mode: the event is in the user's hands, and has not been cancelled.
    HandedOut = 3,
}

/// Eight bytes that ask for the alignment of four: so a timer's slot has no gap.
#[derive(Clone, Copy)]
#[repr(Rust, packed(4))]
struct Word(u64);

/// What the wheel looks at. 28 bytes: with the generation of its slot two timers are in a line of
/// The cache.
#[derive(Clone, Copy)]
pub struct Timer {
    deadline: Word,
    /// Counts all schedulings of the loop: who comes first among equals.
    order: Word,
    pub(crate) previous: u32,
    pub(crate) next: u32,
    pub(crate) bucket: u16,
    /// Its state, UNREF, EXTRAS and PART. An armed timer with nothing else is 0.
    status: u8,
}

const STATE: u8 = 3;
/// Does not keep `loop_run` going.
const UNREF: u8 = 4;
/// Has extras.
const EXTRAS: u8 = 8;
/// Belongs to an object: its handle is nobody's.
const PART: u8 = 16;

/// They take half a megabyte.
const MANY: usize = 10_000;

/// What a timer needs only when it is made and when it fires. (Packed: four bytes less.)
#[derive(Clone, Copy)]
#[repr(Rust, packed(4))]
pub struct Rest {
    /// Not used by a periodic timer, which has a period among its extras.
    callback: Callback,
    extras: ExtrasRef,
}

impl Default for Timer {
    fn default() -> Self {
        Timer {
            deadline: Word(NEVER),
            order: Word(0),
            previous: NONE,
            next: NONE,
            bucket: 0,
            status: State::Idle as u8,
        }
    }
}

impl Default for Rest {
    fn default() -> Self {
        Rest { callback: Callback::pulled(std::ptr::null_mut()), extras: ExtrasRef::NONE }
    }
}

impl Timer {
    pub fn state(&self) -> State {
        match self.status & STATE {
            0 => State::Armed,
            1 => State::Ready,
            2 => State::Idle,
            _ => State::HandedOut,
        }
    }

    pub fn set_state(&mut self, state: State) {
        self.status = self.status & !STATE | state as u8;
    }

    /// Has it fired, and was it not armed again?
    pub fn has_fired(&self) -> bool {
        matches!(self.state(), State::Idle | State::HandedOut)
    }

    /// Is it in the wheel?
    pub fn is_armed(&self) -> bool {
        self.state() == State::Armed
    }

    /// Does it belong to an object?
    pub fn is_part(&self) -> bool {
        self.status & PART != 0
    }

    /// Does not keep `loop_run` going.
    pub fn is_unref(&self) -> bool {
        self.status & UNREF != 0
    }

    #[inline]
    pub fn deadline(&self) -> u64 {
        self.deadline.0
    }

    /// Who comes first: by deadline, then by order of scheduling.
    #[inline]
    pub(crate) fn key(&self) -> (u64, u64) {
        (self.deadline.0, self.order.0)
    }

    /// Its place in the ready queue, if it is ready. Kept in the links of the wheel,
    /// which a ready timer does not need.
    pub fn place(&self) -> Option<u64> {
        (self.state() == State::Ready).then(|| u64::from(self.previous) << 32 | u64::from(self.next))
    }

    fn set_place(&mut self, sequence: u64) {
        self.set_state(State::Ready);
        self.previous = (sequence >> 32) as u32;
        self.next = sequence as u32;
    }
}

pub struct Timers {
    pub slots: Slots<Timer, Rest>,
    wheel: Wheel,
    order: u64,
    armed: usize,
    /// How many of the armed ones do not keep `loop_run` going.
    armed_unref: usize,
}

impl Timers {
    pub const fn new() -> Self {
        Timers { slots: Slots::new(), wheel: Wheel::new(), order: 0, armed: 0, armed_unref: 0 }
    }

    /// Makes a timer and arms it. Nothing changes when there is no memory.
    pub fn insert(&mut self, deadline: u64, callback: Callback, extras: ExtrasRef) -> Result<SlotId> {
        self.wheel.prepare()?;
        self.slots.prepare()?;
        match self.insert_prepared(deadline, callback, extras) {
            Some(id) => Ok(id),
            None => unreachable!("a free slot has been made"),
        }
    }

    /// Like [`Timers::insert`], where other timers are armed (or were a moment ago) and no memory is
    /// needed. `None`: it is not so, and nothing was done.
    #[inline(always)]
    pub fn insert_fast(&mut self, deadline: u64, callback: Callback) -> Option<SlotId> {
        if self.wheel.next() == NEVER {
            return None;
        }
        self.insert_prepared(deadline, callback, ExtrasRef::NONE)
    }

    #[inline(always)]
    fn insert_prepared(&mut self, deadline: u64, callback: Callback, extras: ExtrasRef) -> Option<SlotId> {
        let (id, timer, rest) = self.slots.insert_fast()?;
        *rest = Rest { callback, extras };
        let (bucket, second) = self.wheel.insert_new(id.index, deadline);
        self.order += 1;
        *timer = Timer {
            deadline: Word(deadline),
            order: Word(self.order),
            previous: NONE,
            next: second,
            bucket,
            status: if extras.is_some() { EXTRAS } else { 0 },
        };
        self.armed += 1;
        Wheel::tell(&mut self.slots, second, id.index);
        Some(id)
    }

    /// Makes an object's timer and arms it; `rare` is [`SideTable::of_parts`].
    ///
    /// [`SideTable::of_parts`]: crate::event_loop::side_table::SideTable::of_parts
    pub fn insert_part(&mut self, deadline: u64, callback: Callback, extras: ExtrasRef) -> Result<SlotId> {
        let id = self.insert(deadline, callback, extras)?;
        self.slots.at(id.index).status |= PART;
        Ok(id)
    }

    /// A timer that a user may name.
    pub fn get_users(&self, id: SlotId) -> Option<&Timer> {
        self.slots.get(id).filter(|timer| !timer.is_part())
    }

    /// Of a timer that is there.
    pub fn callback(&mut self, id: SlotId) -> Callback {
        self.slots.other(id.index).callback
    }

    /// Of a timer that is there.
    pub fn set_arg(&mut self, id: SlotId, arg: *mut c_void) {
        let rest = self.slots.other(id.index);
        let mut callback = rest.callback;
        callback.arg = arg;
        rest.callback = callback;
    }

    /// Of a timer that is there.
    pub fn extras(&mut self, id: SlotId) -> ExtrasRef {
        self.slots.other(id.index).extras
    }

    /// Of a timer that is there.
    pub fn set_extras(&mut self, id: SlotId, extras: ExtrasRef) {
        self.slots.other(id.index).extras = extras;
        if extras.is_some() {
            self.slots.at(id.index).status |= EXTRAS;
        }
    }

    /// Nothing is armed: what is the time? (A wheel that stands far behind hangs timers high
    /// up, to be moved down again.)
    #[inline]
    pub fn set_time_if_empty(&mut self, now: impl FnOnce() -> u64) {
        if self.armed == 0 {
            self.wheel.advance(now());
        }
    }

    /// Gives a timer a new deadline, whatever it was doing. `false`: stale.
    pub fn schedule(&mut self, id: SlotId, deadline: u64) -> bool {
        if self.restart(id, deadline) {
            return true;
        }
        self.disarm(id); // (An object's.)
        let Some(timer) = self.slots.get_mut(id) else {
            return false;
        };
        self.order += 1;
        (timer.order, timer.deadline) = (Word(self.order), Word(deadline));
        timer.set_state(State::Armed);
        self.armed += 1;
        self.armed_unref += usize::from(timer.is_unref());
        self.wheel.insert(&mut self.slots, id.index, deadline);
        true
    }

    /// Gives an armed timer a new deadline. `false`: it is not armed, or an object's.
    #[inline(always)]
    pub fn restart(&mut self, id: SlotId, deadline: u64) -> bool {
        let is_armed = |timer: &&mut Timer| timer.status & (STATE | PART) == State::Armed as u8;
        let Some(timer) = self.slots.get_mut(id).filter(is_armed) else {
            return false;
        };
        self.order += 1;
        timer.order = Word(self.order);
        let old = std::mem::replace(&mut timer.deadline, Word(deadline));
        match deadline >= old.0 {
            // It moves when its bucket is looked at.
            true => self.wheel.goes(old.0),
            false => self.wheel.moved(&mut self.slots, id.index, deadline),
        }
        true
    }

    /// Takes a timer out of the wheel, if it is in it.
    pub fn disarm(&mut self, id: SlotId) {
        if let Some(timer) = self.slots.get_mut(id).filter(|timer| timer.is_armed()) {
            timer.set_state(State::Idle);
            self.armed -= 1;
            self.armed_unref -= usize::from(timer.is_unref());
            let timer = *timer;
            self.wheel.remove(&mut self.slots, &timer);
        }
    }

    /// Ends a timer if it is armed and nothing hangs on it. `false`: nothing was done.
    #[inline(always)]
    pub fn remove_plain(&mut self, id: SlotId) -> bool {
        let Some((timer, vacancy)) = self.slots.vacate(id, |timer| timer.status == 0) else {
            return false;
        };
        let timer = *timer;
        self.wheel.remove(&mut self.slots, &timer);
        self.slots.set_free(id, vacancy);
        self.armed -= 1;
        true
    }

    /// Are there so many that they are not in the processor's cache?
    #[inline]
    pub fn are_many(&self) -> bool {
        self.slots.len() >= MANY
    }

    /// The callback of a timer that is ready, if no extras hangs on it. It is idle then.
    #[inline]
    pub fn take_plain(&mut self, id: SlotId) -> Option<Callback> {
        let timer = self.slots.get_mut(id).filter(|timer| timer.status & EXTRAS == 0)?;
        timer.set_state(State::Idle);
        Some(self.slots.other(id.index).callback)
    }

    /// Ends a timer whose callback has run, if it is idle and no extras hangs on it.
    #[inline]
    pub fn end_plain(&mut self, id: SlotId) -> bool {
        let takes_fast_path = |timer: &Timer| timer.status & (STATE | EXTRAS) == State::Idle as u8;
        let Some((_, vacancy)) = self.slots.vacate(id, takes_fast_path) else { return false };
        self.slots.set_free(id, vacancy);
        true
    }

    /// Ends a timer whose callback has run, or whose event was dealt with, if it was not armed again
    /// meanwhile.
    #[inline]
    pub fn remove_idle(&mut self, id: SlotId) -> Option<(ExtrasRef, *mut c_void)> {
        self.slots.get(id).filter(|timer| timer.has_fired())?;
        self.remove(id)
    }

    /// Ends a timer; its extras and its argument are left to the caller. `None`: stale.
    pub fn remove(&mut self, id: SlotId) -> Option<(ExtrasRef, *mut c_void)> {
        self.disarm(id);
        self.slots.remove(id)?;
        let Rest { callback, extras } = *self.slots.other(id.index);
        Some((extras, callback.arg))
    }

    /// Says whether a timer keeps `loop_run` going. `false`: stale.
    pub fn set_unref(&mut self, id: SlotId, unref: bool) -> bool {
        let Some(timer) = self.slots.get_mut(id) else {
            return false;
        };
        if timer.is_armed() && timer.is_unref() != unref {
            match unref {
                true => self.armed_unref += 1,
                false => self.armed_unref -= 1,
            }
        }
        timer.status = timer.status & !UNREF | if unref { UNREF } else { 0 };
        true
    }

    /// Moves all timers that are due at `now` to the ready queue, by (deadline, order):
    /// `emit` puts one there and tells its place. When it fails the timer stays armed,
    /// and so do all after it.
    pub fn collect(&mut self, now: u64, mut emit: impl FnMut(SlotId, &Timer) -> Result<u64>) -> Result<()> {
        if now < self.wheel.next() {
            self.wheel.advance(now);
            return Ok(());
        }
        let (mut fired, mut fired_unref) = (0, 0);
        let result = self.wheel.collect(&mut self.slots, now, |id, timer| {
            timer.set_place(emit(id, timer)?);
            fired += 1;
            fired_unref += usize::from(timer.is_unref());
            Ok(())
        });
        self.armed -= fired;
        self.armed_unref -= fired_unref;
        result
    }

    /// Never later than the first deadline, and mostly equal to it (see `wheel.rs`);
    /// [`NEVER`] when nothing is armed.
    #[inline]
    pub fn next(&mut self) -> u64 {
        self.wheel.refresh(&mut self.slots);
        self.wheel.next()
    }

    /// Like [`Timers::next`] without bringing it up to date: it may be too early.
    #[inline]
    pub fn next_at_least(&self) -> u64 {
        self.wheel.next()
    }

    /// Is anything armed that keeps `loop_run` going?
    pub fn has_work(&self) -> bool {
        self.armed > self.armed_unref
    }

    /// Frees some of the memory that was not needed recently.
    pub fn trim(&mut self) {
        self.slots.trim();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn nothing() -> Callback {
        Callback::pulled(std::ptr::null_mut())
    }

    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            self.0 ^ (self.0 >> 29)
        }

        /// Delays of all magnitudes, many of them equal.
        fn delay(&mut self) -> u64 {
            let magnitude = self.next() % 45;
            (self.next() >> 20) % (1 << magnitude)
        }
    }

    fn fire(timers: &mut Timers, now: u64) -> Vec<SlotId> {
        let mut fired = Vec::new();
        let emit = |id, _: &Timer| {
            fired.push(id);
            Ok(1)
        };
        timers.collect(now, emit).unwrap();
        fired
    }

    /// Only so many of those that are due find room in the ready queue.
    fn fire_until_there_is_no_memory(timers: &mut Timers, now: u64, room: usize) -> Vec<SlotId> {
        let mut fired = Vec::new();
        let result = timers.collect(now, |id, _| match fired.len() == room {
            true => Err(crate::error::Error::NO_MEMORY),
            false => {
                fired.push(id);
                Ok(1)
            }
        });
        assert!(result.is_err());
        fired
    }

    /// A million random operations against a sorted map.
    #[test]
    fn agrees_with_a_sorted_list() {
        let mut random = Random(42);
        for round in 0..10 {
            let mut timers = Timers::new();
            // (deadline, order) -> id, and the reverse.
            let mut model: BTreeMap<(u64, u64), SlotId> = BTreeMap::new();
            let mut keys: Vec<(SlotId, (u64, u64))> = Vec::new();
            let mut now = random.next() >> (random.next() % 30 + 4);
            let mut order = 0;
            for _ in 0..100_000 {
                match random.next() % 16 {
                    0..6 => {
                        let deadline = now.saturating_add(random.delay());
                        let id = timers.insert(deadline, nothing(), ExtrasRef::NONE).unwrap();
                        order += 1;
                        model.insert((deadline, order), id);
                        keys.push((id, (deadline, order)));
                    }
                    6..9 if !keys.is_empty() => {
                        let (id, key) = keys.swap_remove(random.next() as usize % keys.len());
                        let live = model.remove(&key).is_some();
                        assert_eq!(timers.remove(id).is_some(), live);
                    }
                    9..14 if !keys.is_empty() => {
                        let which = random.next() as usize % keys.len();
                        let (id, key) = keys[which];
                        let before = now.saturating_sub(random.delay());
                        let deadline =
                            if random.next().is_multiple_of(8) { before } else { now + random.delay() };
                        let live = model.remove(&key).is_some();
                        assert_eq!(timers.schedule(id, deadline), live);
                        if live {
                            order += 1;
                            model.insert((deadline, order), id);
                            keys[which].1 = (deadline, order);
                        }
                    }
                    14 => {
                        let next = timers.next();
                        let first = model.first_key_value().map_or(NEVER, |((deadline, _), _)| *deadline);
                        assert!(next <= first, "round {round}: {next} is after {first}");
                        if model.len() <= 64 {
                            assert_eq!(next, first, "few timers: the next deadline is exact");
                        }
                    }
                    _ => {
                        now += random.delay() / 8;
                        let fired = fire(&mut timers, now);
                        let later = model.split_off(&(now + 1, 0));
                        let due: Vec<_> = std::mem::replace(&mut model, later).into_values().collect();
                        assert_eq!(fired, due, "round {round}, now {now}");
                        for id in fired {
                            timers.remove(id);
                        }
                    }
                }
                assert_eq!(timers.armed, model.len());
            }
        }
    }

    #[test]
    fn a_far_deadline_is_exact() {
        let mut timers = Timers::new();
        let hour = 3_600_000_000_000;
        let id = timers.insert(hour + 12_345, nothing(), ExtrasRef::NONE).unwrap();
        assert_eq!(timers.next(), hour + 12_345);
        timers.schedule(id, 2 * hour + 1);
        assert_eq!(timers.next(), 2 * hour + 1);
        timers.schedule(id, 5);
        assert_eq!(timers.next(), 5);
        timers.disarm(id);
        assert_eq!(timers.next(), NEVER);
    }

    #[test]
    fn never_does_not_fire() {
        let mut timers = Timers::new();
        let id = timers.insert(NEVER, nothing(), ExtrasRef::NONE).unwrap();
        assert_eq!(fire(&mut timers, NEVER), []);
        assert_eq!(timers.next(), NEVER);
        timers.schedule(id, NEVER - 1);
        assert_eq!(fire(&mut timers, NEVER), [id]);
    }

    #[test]
    fn a_failing_ready_queue_loses_no_timer() {
        let mut timers = Timers::new();
        let ids: Vec<_> =
            (0..10).map(|i| timers.insert(100 - i, nothing(), ExtrasRef::NONE).unwrap()).collect();
        let mut fired = fire_until_there_is_no_memory(&mut timers, 200, 4);
        fired.extend(fire(&mut timers, 200));
        assert_eq!(fired, ids.into_iter().rev().collect::<Vec<_>>());
    }

    /// Many in each tick, of many ticks that were far away.
    #[test]
    fn a_collection_that_fails_leaves_lists_that_can_be_taken_from() {
        let mut random = Random(3);
        let mut timers = Timers::new();
        let deadlines: Vec<u64> = (0..5000).map(|_| (1 << 30) + random.next() % (64 << 16)).collect();
        let ids: Vec<_> = deadlines
            .iter()
            .map(|deadline| timers.insert(*deadline, nothing(), ExtrasRef::NONE).unwrap())
            .collect();
        let fired = fire_until_there_is_no_memory(&mut timers, 2 << 30, 1000);
        let mut left: Vec<_> = (0..5000).filter(|i| !fired.contains(&ids[*i])).collect();
        for i in left.extract_if(.., |i| *i % 3 == 0) {
            assert!(timers.remove(ids[i]).is_some());
        }
        left.sort_by_key(|i| (deadlines[*i], *i));
        let rest = fire(&mut timers, 2 << 30);
        assert_eq!(rest, left.iter().map(|i| ids[*i]).collect::<Vec<_>>());
    }

    #[test]
    fn a_timer_is_small() {
        assert_eq!((size_of::<Timer>(), size_of::<Rest>()), (28, 20));
    }
}
