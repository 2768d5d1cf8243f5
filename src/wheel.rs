//! The timing wheel: which timer is next, in constant time, with true removal.
//!
//! Time is cut into ticks of 65 us (2^16 ns), and a tick's number into seven digits. A
//! timer hangs in a bucket of the level of the highest digit in which its tick differs from
//! the wheel's: so all buckets of a lower level come before
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
//! * A bucket's timers move down all at once, so the digits are chosen to keep buckets small where
//!   the timers of most programs are: one of the third level lasts half a second, and the level
//!   two minutes. (With eight bits in each digit it would be four seconds: 70,000 of a million
//!   timers in a minute, some milliseconds in one turn.)
//!
//! Tried and left out: a binary or pairing heap (cancel and restart are logarithmic and
//! miss the cache all the way), and digits of six bits (2 KB a loop instead of 6, but a timer
//! of seconds moves down once more: a miss of the cache).

use crate::error::Result;
use crate::slots::Slots;
use crate::timers::Timer;

const TICK_BITS: u32 = 16;
/// Bits of the digits, from the lowest; with those of a tick 64.
const DIGITS: [u32; 7] = [8, 5, 8, 8, 8, 8, 3];
/// Slots of the lowest level.
const SLOTS: usize = 1 << DIGITS[0];
const BUCKETS: usize = LEVELS[6].base as usize + 64;

/// Where the digit of a level is in a tick, and which bucket is its first.
#[derive(Clone, Copy)]
struct Level {
    shift: u8,
    mask: u8,
    base: u16,
}

const LEVELS: [Level; 7] = {
    let mut levels = [Level { shift: 0, mask: 0, base: 0 }; 7];
    let (mut level, mut shift, mut base) = (0, 0, 0);
    while level < 7 {
        let slots = 1usize << DIGITS[level];
        levels[level] = Level { shift: shift as u8, mask: (slots - 1) as u8, base: base as u16 };
        shift += DIGITS[level];
        // Each level begins a word of `occupied`.
        base += slots.div_ceil(64) * 64;
        level += 1;
    }
    levels
};

/// The level of a tick whose highest bit that differs is this one.
const LEVEL_OF_BIT: [Level; 64] = levels_from(false);
/// The level of the buckets of a word of `occupied`.
const LEVEL_OF_WORD: [Level; BUCKETS / 64] = levels_from(true);

/// Which level each bit, or each word, belongs to.
const fn levels_from<const N: usize>(by_word: bool) -> [Level; N] {
    let mut levels = [LEVELS[0]; N];
    let (mut place, mut level) = (0, 0);
    while place < N {
        if level < 6 {
            let Level { shift, base, .. } = LEVELS[level + 1];
            if place == (if by_word { base as usize / 64 } else { shift as usize }) {
                level += 1;
            }
        }
        levels[place] = LEVELS[level];
        place += 1;
    }
    levels
}

const EXACT_UP_TO: usize = 64;
/// No timer.
pub const NONE: u32 = u32::MAX;

/// No deadline.
pub const NEVER: u64 = u64::MAX;

pub struct Wheel {
    /// The first timer of each bucket; allocated with the first timer.
    heads: Vec<u32>,
    /// One bit a bucket that is not empty.
    occupied: [u64; BUCKETS / 64],
    /// One bit a word of `occupied` that is not zero.
    summary: u32,
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
        Wheel {
            heads: Vec::new(),
            occupied: [0; BUCKETS / 64],
            summary: 0,
            tick: 0,
            next: NEVER,
            next_is_exact: true,
        }
    }

    /// Makes room for the buckets, before the first timer is put in.
    #[inline]
    pub fn prepare(&mut self) -> Result<()> {
        match self.heads.is_empty() {
            true => self.make_buckets(),
            false => Ok(()),
        }
    }

    #[cold]
    fn make_buckets(&mut self) -> Result<()> {
        self.heads.try_reserve_exact(BUCKETS)?;
        self.heads.resize(BUCKETS, NONE);
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
        self.comes(deadline);
    }

    /// Where a timer with this deadline hangs: its bucket, and the timer behind it.
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
        self.put_first(timers, index, usize::from(bucket), second);
        self.comes(deadline);
    }

    #[inline]
    fn comes(&mut self, deadline: u64) {
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
        if target > self.tick + SLOTS as u64 / 4 {
            self.advance_to(target);
        }
    }

    fn advance_to(&mut self, target: u64) {
        if self.first_bucket().is_none_or(|first| first.start > target) {
            self.tick = target;
        }
    }

    /// Takes a timer out.
    #[inline]
    pub fn remove(&mut self, timers: &mut Slots<Timer>, index: u32) {
        let Timer { deadline, previous, next, bucket, .. } = *timers.at(index);
        self.close_gap(timers, previous, next, bucket);
        self.goes(deadline);
    }

    /// The timer in the wheel whose deadline was `old` has got another, which stands in
    /// it already.
    #[inline]
    pub fn moved(&mut self, timers: &mut Slots<Timer>, index: u32, old: u64, new: u64) {
        if new >= old {
            self.goes(old);
        } else {
            self.unlink(timers, index);
            self.insert(timers, index);
        }
    }

    #[inline]
    fn goes(&mut self, deadline: u64) {
        if deadline == self.next {
            self.next_is_exact = false;
        }
    }

    #[inline]
    fn bucket_of(&self, deadline: u64) -> usize {
        let tick = (deadline >> TICK_BITS).max(self.tick);
        let differing = (tick ^ self.tick) | 1;
        let Level { shift, mask, base } = LEVEL_OF_BIT[63 ^ differing.leading_zeros() as usize];
        usize::from(base) + ((tick >> shift) as u8 & mask) as usize
    }

    #[inline]
    fn link(&mut self, timers: &mut Slots<Timer>, index: u32, deadline: u64) {
        let (bucket, second) = self.place(deadline);
        let timer = timers.at(index);
        timer.bucket = bucket;
        timer.previous = NONE;
        timer.next = second;
        self.put_first(timers, index, usize::from(bucket), second);
    }

    #[inline]
    fn put_first(&mut self, timers: &mut Slots<Timer>, index: u32, bucket: usize, second: u32) {
        self.head(bucket, index);
        if second != NONE {
            timers.at(second).previous = index;
        }
    }

    #[inline]
    fn head(&mut self, bucket: usize, index: u32) {
        self.heads[bucket] = index;
        self.occupied[bucket / 64] |= 1 << (bucket % 64);
        self.summary |= 1 << (bucket / 64);
    }

    #[inline]
    fn unlink(&mut self, timers: &mut Slots<Timer>, index: u32) {
        let Timer { previous, next, bucket, .. } = *timers.at(index);
        self.close_gap(timers, previous, next, bucket);
    }

    #[inline(always)]
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
            self.is_empty(usize::from(bucket));
        }
    }

    fn is_empty(&mut self, bucket: usize) {
        let word = &mut self.occupied[bucket / 64];
        *word &= !(1 << (bucket % 64));
        if *word == 0 {
            self.summary &= !(1 << (bucket / 64));
        }
    }

    fn first_bucket(&self) -> Option<Bucket> {
        let word = self.summary.trailing_zeros() as usize;
        let number = word * 64 + self.occupied.get(word)?.trailing_zeros() as usize;
        let Level { shift, mask, base } = LEVEL_OF_WORD[word];
        // The wheel's tick with this digit replaced and the lower ones zero.
        let upper = (self.tick >> shift) & !u64::from(mask);
        let tick = (upper | (number - usize::from(base)) as u64) << shift;
        Some(Bucket { number, start: tick.max(self.tick) })
    }

    /// Takes all timers of a bucket off it; the first is returned, they stay linked.
    fn detach(&mut self, bucket: usize) -> u32 {
        self.is_empty(bucket);
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
                self.move_down(timers, bucket.number, target);
                continue;
            }
            let result = self.collect_bucket(timers, bucket.number, now, &mut emit);
            if let Err(error) = result {
                self.next_is_exact = false;
                self.link_back(timers);
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

    /// Hangs the timers of a bucket into those of lower levels, where they belong by now.
    ///
    /// What is due before `target` is about to be collected, so nothing will be taken out of the
    /// middle of its list: the timer that it goes before is not told (nor is its line of the cache
    /// fetched).
    fn move_down(&mut self, timers: &mut Slots<Timer>, bucket: usize, target: u64) {
        let mut index = self.detach(bucket);
        while index != NONE {
            let timer = timers.at(index);
            let (next, deadline) = (timer.next, timer.deadline);
            if deadline >> TICK_BITS < target {
                let (bucket, second) = self.place(deadline);
                (timer.bucket, timer.previous, timer.next) = (bucket, NONE, second);
                self.head(usize::from(bucket), index);
            } else {
                self.link(timers, index, deadline);
            }
            index = next;
        }
    }

    /// Makes good what `move_down` left out, for a collection that failed.
    #[cold]
    fn link_back(&mut self, timers: &mut Slots<Timer>) {
        for head in &self.heads {
            let (mut previous, mut index) = (NONE, *head);
            while index != NONE {
                let timer = timers.at(index);
                timer.previous = std::mem::replace(&mut previous, index);
                index = timer.next;
            }
        }
    }

    fn collect_bucket(
        &mut self,
        timers: &mut Slots<Timer>,
        bucket: usize,
        now: u64,
        emit: &mut impl FnMut(&mut Slots<Timer>, u32) -> Result<()>,
    ) -> Result<()> {
        let (mut due, mut count) = (NONE, 0);
        let mut index = self.detach(bucket);
        while index != NONE {
            let timer = timers.at(index);
            let (next, deadline) = (timer.next, timer.deadline);
            // One that was restarted meanwhile may belong to a later bucket.
            if deadline <= now && deadline >> TICK_BITS <= self.tick && deadline != NEVER {
                timer.next = std::mem::replace(&mut due, index);
                count += 1;
            } else {
                self.link(timers, index, deadline);
            }
            index = next;
        }
        index = sort(timers, due, count);
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

/// Sorts a chain of `count` timers, linked by `next`, by (deadline, order). It needs no memory:
/// stretches of it are sorted in an array on the stack, and merged.
fn sort(timers: &mut Slots<Timer>, chain: u32, count: usize) -> u32 {
    match count {
        0 | 1 => chain,
        2..=FEW => sort_stretch::<FEW>(timers, &mut { chain }),
        ..=MANY => sort_stretch::<MANY>(timers, &mut { chain }),
        _ => sort_many(timers, chain),
    }
}

const FEW: usize = 16;
const MANY: usize = 256;

/// Cuts up to `N` timers off a chain, sorted.
fn sort_stretch<const N: usize>(timers: &mut Slots<Timer>, chain: &mut u32) -> u32 {
    let mut keys = [(0u128, NONE); N];
    let mut count = 0;
    while *chain != NONE && count < N {
        let Timer { deadline, order, next, .. } = *timers.at(*chain);
        keys[count] = (u128::from(deadline) << 64 | u128::from(order), *chain);
        *chain = next;
        count += 1;
    }
    let keys = &mut keys[..count];
    keys.sort_unstable();
    let mut head = NONE;
    for (_, index) in keys.iter().rev() {
        timers.at(*index).next = std::mem::replace(&mut head, *index);
    }
    head
}

fn sort_many(timers: &mut Slots<Timer>, mut chain: u32) -> u32 {
    // Like a binary counter: place n holds a sorted chain of about 2^n stretches.
    let mut places = [NONE; 32];
    while chain != NONE {
        let mut sorted = sort_stretch::<MANY>(timers, &mut chain);
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
