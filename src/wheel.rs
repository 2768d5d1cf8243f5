//! The timing wheel: which timer is next, in constant time, with true removal.
//!
//! Time is cut into ticks of 65 us (2^16 ns), and a tick's number into eight digits
//! of six bits. A timer hangs in a bucket of the level of the highest digit in which
//! its tick differs from the wheel's: so all buckets of a lower level come before
//! those of a higher one, in each level the lower slot comes first, and the first
//! bucket is found with a few bit operations. When time reaches a bucket of a higher
//! level its timers move down. Firing order is exact, not by tick: the due timers of a
//! bucket are sorted by (deadline, order of scheduling).
//!
//! * Start, cancel: link, unlink. Restart to a later time only writes the new deadline;
//!   the timer moves when its old bucket is looked at. Invariant: a timer's bucket
//!   never begins after its deadline.
//! * `next` is never later than the first deadline. It is exact as long as few timers
//!   share the first bucket, so that a far deadline costs one wake-up, not one a level;
//!   with many (`EXACT_UP_TO`) it may be that bucket's beginning, since looking through
//!   thousands of timers before each wait would cost more than that wake-up.
//!
//! Tried and left out: a binary or pairing heap (cancel and restart are logarithmic and
//! miss the cache all the way), and a wheel of 256 slots a level (12 KB a loop, and no
//! faster below a million timers).

use crate::error::Result;
use crate::slots::Slots;
use crate::timers::Timer;

const TICK_BITS: u32 = 16;
const DIGIT_BITS: u32 = 6;
const LEVELS: usize = 8;
const SLOTS: usize = 1 << DIGIT_BITS;
const EXACT_UP_TO: usize = 64;
/// No timer.
pub const NONE: u32 = u32::MAX;

/// No deadline.
pub const NEVER: u64 = u64::MAX;

pub struct Wheel {
    /// The first timer of each bucket; allocated with the first timer.
    heads: Vec<u32>,
    /// One bit a slot that is not empty.
    occupied: [u64; LEVELS],
    /// The tick that the wheel stands at; nothing in it is due before.
    tick: u64,
    next: u64,
    next_is_exact: bool,
}

/// A bucket: its number, and when it begins.
struct Bucket {
    number: usize,
    start: u64,
}

impl Wheel {
    pub const fn new() -> Self {
        Wheel { heads: Vec::new(), occupied: [0; LEVELS], tick: 0, next: NEVER, next_is_exact: true }
    }

    /// Makes room for the buckets, before the first timer is put in.
    #[inline]
    pub fn prepare(&mut self) -> Result<()> {
        if self.heads.is_empty() {
            self.heads.try_reserve_exact(LEVELS * SLOTS)?;
            self.heads.resize(LEVELS * SLOTS, NONE);
        }
        Ok(())
    }

    /// Not later than the first deadline; [`NEVER`] when there is none.
    #[inline]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Puts a timer in, by its deadline.
    #[inline]
    pub fn insert(&mut self, timers: &mut Slots<Timer>, index: u32) {
        let deadline = timers.at(index).deadline;
        self.link(timers, index, deadline);
        if deadline <= self.next {
            self.next = deadline;
            self.next_is_exact = true;
        }
    }

    /// Where a timer with this deadline would hang: its bucket, and the timer behind it.
    #[inline]
    pub fn place(&self, deadline: u64) -> (u16, u32) {
        let bucket = self.bucket_of(deadline);
        (bucket as u16, self.heads[bucket])
    }

    /// A timer has been made that hangs in its [`Wheel::place`].
    #[inline]
    pub fn placed(
        &mut self,
        timers: &mut Slots<Timer>,
        index: u32,
        (bucket, second): (u16, u32),
        deadline: u64,
    ) {
        let bucket = usize::from(bucket);
        self.heads[bucket] = index;
        self.occupied[bucket / SLOTS] |= 1 << (bucket % SLOTS);
        if second != NONE {
            timers.at(second).previous = index;
        }
        if deadline <= self.next {
            self.next = deadline;
            self.next_is_exact = true;
        }
    }

    /// Time has come to `now`, which is before the first deadline.
    #[inline]
    pub fn advance(&mut self, now: u64) {
        let target = now >> TICK_BITS;
        // Not every time: that it lags a little makes a timer hang a level higher at most.
        if target > self.tick + SLOTS as u64 && self.first_bucket().is_none_or(|first| first.start > target) {
            self.tick = target;
        }
    }

    /// Takes a timer out.
    #[inline]
    pub fn remove(&mut self, timers: &mut Slots<Timer>, index: u32) {
        let Timer { deadline, previous, next, bucket, .. } = *timers.at(index);
        self.close_gap(timers, previous, next, bucket);
        self.no_longer_at(deadline);
    }

    /// The timer in the wheel whose deadline was `old` has got another, which stands in
    /// it already.
    #[inline]
    pub fn moved(&mut self, timers: &mut Slots<Timer>, index: u32, old: u64, new: u64) {
        if new >= old {
            self.no_longer_at(old);
        } else {
            self.unlink(timers, index);
            self.insert(timers, index);
        }
    }

    #[inline]
    fn no_longer_at(&mut self, deadline: u64) {
        if deadline == self.next {
            self.next_is_exact = false;
        }
    }

    fn bucket_of(&self, deadline: u64) -> usize {
        let tick = (deadline >> TICK_BITS).max(self.tick);
        let differing = (tick ^ self.tick) | 1;
        let level = (63 - differing.leading_zeros()) / DIGIT_BITS;
        let slot = (tick >> (level * DIGIT_BITS)) as usize % SLOTS;
        level as usize * SLOTS + slot
    }

    #[inline]
    fn link(&mut self, timers: &mut Slots<Timer>, index: u32, deadline: u64) {
        let bucket = self.bucket_of(deadline);
        let second = std::mem::replace(&mut self.heads[bucket], index);
        self.occupied[bucket / SLOTS] |= 1 << (bucket % SLOTS);
        let timer = timers.at(index);
        timer.bucket = bucket as u16;
        timer.previous = NONE;
        timer.next = second;
        if second != NONE {
            timers.at(second).previous = index;
        }
    }

    #[inline]
    fn unlink(&mut self, timers: &mut Slots<Timer>, index: u32) {
        let Timer { previous, next, bucket, .. } = *timers.at(index);
        self.close_gap(timers, previous, next, bucket);
    }

    #[inline]
    fn close_gap(&mut self, timers: &mut Slots<Timer>, previous: u32, next: u32, bucket: u16) {
        if next != NONE {
            timers.at(next).previous = previous;
        }
        if previous != NONE {
            timers.at(previous).next = next;
            return;
        }
        self.heads[usize::from(bucket)] = next;
        if next == NONE {
            self.occupied[usize::from(bucket) / SLOTS] &= !(1 << (bucket as usize % SLOTS));
        }
    }

    fn first_bucket(&self) -> Option<Bucket> {
        let level = self.occupied.iter().position(|slots| *slots != 0)?;
        let slot = self.occupied[level].trailing_zeros();
        let shift = level as u32 * DIGIT_BITS;
        // The wheel's tick with this digit replaced and the lower ones zero.
        let upper = (self.tick >> shift) & !(SLOTS as u64 - 1);
        let tick = (upper | u64::from(slot)) << shift;
        Some(Bucket { number: level * SLOTS + slot as usize, start: tick.max(self.tick) })
    }

    /// Takes all timers of a bucket off it; the first is returned, they stay linked.
    fn detach(&mut self, bucket: usize) -> u32 {
        self.occupied[bucket / SLOTS] &= !(1 << (bucket % SLOTS));
        std::mem::replace(&mut self.heads[bucket], NONE)
    }

    /// Moves every timer that is due at `now` out of the wheel, by (deadline, order).
    /// `emit` gets the slot; when it fails, that timer and those after it stay.
    pub fn collect(
        &mut self,
        timers: &mut Slots<Timer>,
        now: u64,
        mut emit: impl FnMut(&mut Slots<Timer>, u32) -> Result<()>,
    ) -> Result<()> {
        let target = now >> TICK_BITS;
        while let Some(bucket) = self.first_bucket().filter(|bucket| bucket.start <= target) {
            self.tick = bucket.start;
            if bucket.number >= SLOTS {
                let mut index = self.detach(bucket.number);
                while index != NONE {
                    let Timer { next, deadline, .. } = *timers.at(index);
                    self.link(timers, index, deadline);
                    index = next;
                }
                continue;
            }
            let result = self.collect_bucket(timers, bucket.number, now, &mut emit);
            if let Err(error) = result {
                self.next_is_exact = false;
                return Err(error);
            }
            if bucket.start == target {
                break;
            }
        }
        self.tick = self.tick.max(target);
        self.find_next(timers);
        Ok(())
    }

    fn collect_bucket(
        &mut self,
        timers: &mut Slots<Timer>,
        bucket: usize,
        now: u64,
        emit: &mut impl FnMut(&mut Slots<Timer>, u32) -> Result<()>,
    ) -> Result<()> {
        let mut due = NONE;
        let mut index = self.detach(bucket);
        while index != NONE {
            let Timer { next, deadline, .. } = *timers.at(index);
            // One that was restarted meanwhile may belong to a later bucket.
            if deadline <= now && deadline >> TICK_BITS <= self.tick && deadline != NEVER {
                timers.at(index).next = std::mem::replace(&mut due, index);
            } else {
                self.link(timers, index, deadline);
            }
            index = next;
        }
        index = sort(timers, due);
        let mut result = Ok(());
        while index != NONE {
            let Timer { next, deadline, .. } = *timers.at(index);
            if result.is_ok() {
                result = emit(timers, index);
            }
            if result.is_err() {
                self.link(timers, index, deadline);
            }
            index = next;
        }
        result
    }

    /// Makes `next` exact where that is cheap; see the head of this file.
    pub fn find_next(&mut self, timers: &mut Slots<Timer>) {
        while let Some(bucket) = self.first_bucket() {
            let lowest = bucket.number < SLOTS;
            let mut look_at = if lowest { usize::MAX } else { EXACT_UP_TO };
            let mut first = NEVER;
            let mut index = self.heads[bucket.number];
            while index != NONE && look_at > 0 {
                look_at -= 1;
                let Timer { next, deadline, .. } = *timers.at(index);
                // Restarted to a later time meanwhile: now it moves.
                if self.bucket_of(deadline) != bucket.number {
                    self.unlink(timers, index);
                    self.link(timers, index, deadline);
                } else {
                    first = first.min(deadline);
                }
                index = next;
            }
            if index != NONE {
                self.next = bucket.start << TICK_BITS;
                self.next_is_exact = false;
                return;
            }
            if self.heads[bucket.number] != NONE {
                self.next = first;
                self.next_is_exact = true;
                return;
            }
        }
        self.next = NEVER;
        self.next_is_exact = true;
    }

    /// Makes `next` exact again if the timer it came from is gone.
    #[inline]
    pub fn refresh(&mut self, timers: &mut Slots<Timer>) {
        if !self.next_is_exact {
            self.find_next(timers);
        }
    }
}

/// Sorts a chain of timers, linked by `next`, by (deadline, order): a merge sort that takes
/// runs as it finds them (timers of one deadline hang in the reverse order of their making)
/// and needs no memory.
fn sort(timers: &mut Slots<Timer>, mut chain: u32) -> u32 {
    // Like a binary counter: place n holds a sorted chain of about 2^n runs.
    let mut places = [NONE; 32];
    while chain != NONE {
        let mut sorted = take_run(timers, &mut chain);
        for place in &mut places {
            match std::mem::replace(place, NONE) {
                NONE => {
                    *place = sorted;
                    break;
                }
                other => sorted = merge(timers, other, sorted),
            }
        }
    }
    places.into_iter().fold(NONE, |all, place| merge(timers, all, place))
}

fn key(timers: &mut Slots<Timer>, index: u32) -> (u64, u64) {
    let timer = timers.at(index);
    (timer.deadline, timer.order)
}

/// Cuts the longest run off the front of a chain; a falling one is turned round.
fn take_run(timers: &mut Slots<Timer>, chain: &mut u32) -> u32 {
    let first = *chain;
    let mut last = first;
    let mut last_key = key(timers, first);
    let mut index = timers.at(first).next;
    let falls = index != NONE && key(timers, index) < last_key;
    let mut head = first;
    while index != NONE {
        let this_key = key(timers, index);
        if (this_key < last_key) != falls {
            break;
        }
        let next = timers.at(index).next;
        if falls {
            timers.at(index).next = std::mem::replace(&mut head, index);
        } else {
            last = index;
        }
        (last_key, index) = (this_key, next);
    }
    timers.at(if falls { first } else { last }).next = NONE;
    *chain = index;
    head
}

fn merge(timers: &mut Slots<Timer>, mut a: u32, mut b: u32) -> u32 {
    let mut head = NONE;
    let mut last = NONE;
    while a != NONE && b != NONE {
        let least = if key(timers, a) < key(timers, b) { &mut a } else { &mut b };
        let taken = std::mem::replace(least, timers.at(*least).next);
        match last {
            NONE => head = taken,
            _ => timers.at(last).next = taken,
        }
        last = taken;
    }
    let rest = if a != NONE { a } else { b };
    match last {
        NONE => head = rest,
        _ => timers.at(last).next = rest,
    }
    head
}
