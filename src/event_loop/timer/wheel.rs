//! The timing wheel: which timer is next, in constant time, with true removal.
//!
//! Time is cut into ticks of 65 us (2^16 ns), and a tick's number into seven digits. A
//! timer hangs in a slot of the level of the highest digit in which its tick differs from
//! the wheel's: so all slots of a lower level come before
//! those of a higher one, in each level the lower slot comes first, and the first
//! one is found with a few bit operations. When time reaches a slot of a higher
//! level its timers move down. Firing order is exact, not by tick: the due timers of a
//! slot are sorted by (deadline, order of scheduling).
//!
//! * Start, cancel: link, unlink. Restart to a later time only writes the new deadline;
//!   the timer moves when the wheel reaches its old slot. Invariant: a timer's slot
//!   never begins after its deadline.
//! * `next` is never later than the first deadline. It is exact as long as few timers
//!   share the first slot, so that a far deadline costs one wake-up, not one a level;
//!   with many (`EXACT_UP_TO`) it may be that slot's beginning, since looking through
//!   thousands of timers before each wait would cost more than that wake-up.
//!
//! * A slot's timers move down all at once, so the digits are chosen to keep slots small where
//!   the timers of most programs are: one of the third level lasts half a second, and the level
//!   two minutes. (With eight bits in each digit it would be four seconds: 70,000 of a million
//!   timers in a minute, some milliseconds in one turn.)
//! * A slot is four lists, *lanes*, and walked through in all of them at once: among a million timers
//!   each step is a miss of the cache, and the processor can wait for four at a time. (A million
//!   that fall due at once: 145 ns each to collect; with two lanes 220; with one, 56 bytes a timer
//!   and a sort of whole keys 420.)
//!
//! Tried and left out: a binary or pairing heap (cancel and restart are logarithmic and
//! miss the cache all the way), and digits of six bits (less memory a loop than these 16 KB, but a
//! timer of seconds moves down once more: a miss of the cache).

use crate::base::counted::{Block, try_block};
use crate::base::slots::SlotId;
use crate::base::slots::Slots;
use crate::error::Result;
use crate::event_loop::timer::{Rest, Timer};

const TICK_BITS: u32 = 16;
/// Bits of the digits, from the lowest; with those of a tick 64.
const DIGITS: [u32; 7] = [8, 5, 8, 7, 7, 7, 6];
/// The buckets of a slot: by the low bits of its number a timer hangs in one of them.
const LANES: usize = 4;
/// Buckets of the lowest level.
const LOWEST: usize = LANES << DIGITS[0];
/// (Some are never used: the number is a power of two, so that a masked index needs no check.)
const BUCKETS: usize = 4096;
const ALL_LANES: u64 = (1 << LANES) - 1;
const WORDS: usize = BUCKETS / 64;
const _: () = assert!(LEVELS[6].base as usize + (LANES << DIGITS[6]) <= BUCKETS);

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
        let mask = (1usize << DIGITS[level]) - 1;
        levels[level] = Level { shift: shift as u8, mask: mask as u8, base: base as u16 };
        shift += DIGITS[level];
        // (Each level begins a word of `occupied`.)
        base += LANES << DIGITS[level];
        level += 1;
    }
    levels
};

/// The level of a tick whose highest bit that differs is this one.
const LEVEL_OF_BIT: [Level; 64] = levels_from(false);
/// The level of the buckets of a word of `occupied`.
const LEVEL_OF_WORD: [Level; WORDS] = levels_from(true);

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

/// The first timer of each bucket, slot by slot; and one bit a bucket that is not empty.
type Buckets = Block<[u32; LANES], (), [u64; WORDS], { BUCKETS / LANES }>;

pub struct Wheel {
    /// Allocated with the first timer.
    buckets: Option<Box<Buckets>>,
    /// One bit a word of `occupied` that is not zero.
    summary: u64,
    /// The wheel's current tick; no timer in the wheel is due before it.
    tick: u64,
    next: u64,
    next_is_exact: bool,
}

/// A slot: its first bucket, and the tick in which it begins.
struct Slot {
    first: usize,
    start: u64,
}

type Timers = Slots<Timer, Rest>;

impl Buckets {
    #[inline(always)]
    fn head(&mut self, bucket: usize) -> &mut u32 {
        &mut self.slots.as_flattened_mut()[bucket % BUCKETS]
    }

    /// All of a bucket's slot.
    #[inline(always)]
    fn lanes(&mut self, bucket: usize) -> &mut [u32; LANES] {
        &mut self.slots[bucket % BUCKETS / LANES]
    }

    /// One bit a bucket that is not empty.
    #[inline(always)]
    fn occupied(&mut self) -> &mut [u64; WORDS] {
        &mut self.marks
    }
}

impl Wheel {
    pub const fn new() -> Self {
        Wheel { buckets: None, summary: 0, tick: 0, next: NEVER, next_is_exact: true }
    }

    /// Makes room for the buckets, before the first timer is put in.
    #[inline]
    pub fn prepare(&mut self) -> Result<()> {
        match &self.buckets {
            None => self.make_buckets(),
            Some(_) => Ok(()),
        }
    }

    #[cold]
    fn make_buckets(&mut self) -> Result<()> {
        self.buckets = Some(try_block(|| [NONE; LANES], || (), [0; WORDS])?);
        Ok(())
    }

    #[inline(always)]
    fn buckets(&mut self) -> &mut Buckets {
        match &mut self.buckets {
            Some(buckets) => buckets,
            None => unreachable!("there is no timer before there are buckets"),
        }
    }

    /// Not later than the first deadline; [`NEVER`] when there is none.
    #[inline]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Puts a timer in, by its deadline.
    #[inline]
    pub fn insert(&mut self, timers: &mut Timers, index: u32, deadline: u64) {
        self.link(timers, index, deadline);
        self.comes(deadline);
    }

    /// Like [`Wheel::insert`], for a new timer. Returns its bucket and the timer that follows it, whose
    /// link has to be set with [`Wheel::set_previous`].
    #[inline(always)]
    pub fn insert_new(&mut self, index: u32, deadline: u64) -> (u16, u32) {
        self.comes(deadline);
        self.put_first(self.bucket_of(deadline, index), index)
    }

    /// Makes a timer the first of a bucket.
    #[inline(always)]
    fn put_first(&mut self, bucket: usize, index: u32) -> (u16, u32) {
        let buckets = self.buckets();
        let second = std::mem::replace(buckets.head(bucket), index);
        if second == NONE {
            let word = bucket / 64 % WORDS;
            buckets.occupied()[word] |= 1 << (bucket % 64);
            self.summary |= 1 << word;
        }
        (bucket as u16, second)
    }

    /// Links a timer into a bucket. Returns the timer that follows it, whose link has to be set with
    /// [`Wheel::set_previous`].
    #[inline(always)]
    fn hang(&mut self, timer: &mut Timer, index: u32, bucket: usize) -> u32 {
        let (bucket, second) = self.put_first(bucket, index);
        (timer.bucket, timer.previous, timer.next) = (bucket, NONE, second);
        second
    }

    /// Links `second`, until now the first timer of its bucket, back to `index`.
    #[inline(always)]
    pub fn set_previous(timers: &mut Timers, second: u32, index: u32) {
        if second != NONE {
            timers.at(second).previous = index;
        }
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
        // Not every time: if the wheel lags a little, a timer is at most one level too high.
        if target > self.tick + (1 << DIGITS[0]) / 4 {
            self.advance_to(target);
        }
    }

    fn advance_to(&mut self, target: u64) {
        if self.first_slot().is_none_or(|first| first.start > target) {
            self.tick = target;
        }
    }

    /// Takes a timer out, whose slot may be free already.
    #[inline(always)]
    pub fn remove(&mut self, timers: &mut Timers, timer: &Timer) {
        self.close_gap(timers, timer.previous, timer.next, timer.bucket);
        self.goes(timer.deadline());
    }

    /// A timer in the wheel has an earlier deadline, which is stored in it already.
    #[inline(always)]
    pub fn moved(&mut self, timers: &mut Timers, index: u32, deadline: u64) {
        self.comes(deadline);
        let timer = timers.at(index);
        let Timer { previous, next, bucket, .. } = *timer;
        let new = self.bucket_of(deadline, index);
        if new != usize::from(bucket) {
            let second = self.hang(timer, index, new);
            self.close_gap(timers, previous, next, bucket);
            Self::set_previous(timers, second, index);
        }
    }

    /// A timer with this deadline has left, or is to leave.
    #[inline]
    pub fn goes(&mut self, deadline: u64) {
        if deadline == self.next {
            self.next_is_exact = false;
        }
    }

    #[inline(always)]
    fn bucket_of(&self, deadline: u64, index: u32) -> usize {
        let tick = (deadline >> TICK_BITS).max(self.tick);
        let differing = (tick ^ self.tick) | 1;
        let Level { shift, mask, base } = LEVEL_OF_BIT[63 ^ differing.leading_zeros() as usize];
        usize::from(base) + ((tick >> shift) as u8 & mask) as usize * LANES + index as usize % LANES
    }

    #[inline]
    fn link(&mut self, timers: &mut Timers, index: u32, deadline: u64) {
        let second = self.hang(timers.at(index), index, self.bucket_of(deadline, index));
        Self::set_previous(timers, second, index);
    }

    #[inline]
    fn unlink(&mut self, timers: &mut Timers, index: u32) {
        let Timer { previous, next, bucket, .. } = *timers.at(index);
        self.close_gap(timers, previous, next, bucket);
    }

    #[inline(always)]
    fn close_gap(&mut self, timers: &mut Timers, previous: u32, next: u32, bucket: u16) {
        if next != NONE {
            timers.at(next).previous = previous;
        }
        if previous != NONE {
            timers.at(previous).next = next;
            return;
        }
        *self.buckets().head(usize::from(bucket)) = next;
        if next == NONE {
            self.are_empty(usize::from(bucket), 1);
        }
    }

    /// Marks buckets of a word as empty, given as bits from `first` on. Returns those that were not
    /// empty before.
    #[inline(always)]
    fn are_empty(&mut self, first: usize, bits: u64) -> u64 {
        let (word, shift) = (first / 64 % WORDS, first % 64);
        let occupied = &mut self.buckets().occupied()[word];
        let before = *occupied >> shift & bits;
        *occupied &= !(bits << shift);
        if *occupied == 0 {
            self.summary &= !(1 << word);
        }
        before
    }

    fn first_slot(&self) -> Option<Slot> {
        let word = self.summary.trailing_zeros() as usize;
        let occupied = self.buckets.as_ref()?.marks.get(word)?;
        let bucket = word * 64 + occupied.trailing_zeros() as usize;
        let Level { shift, mask, base } = LEVEL_OF_WORD[word];
        let digit = (bucket - usize::from(base)) / LANES;
        // The wheel's tick with this digit replaced and the lower ones zero.
        let upper = (self.tick >> shift) & !u64::from(mask);
        let tick = (upper | digit as u64) << shift;
        Some(Slot { first: bucket / LANES * LANES, start: tick.max(self.tick) })
    }

    /// Takes all timers off a slot. `each` gets one after the other, still linked, may link it
    /// elsewhere, and returns the timer that followed it. (All lists are followed at once: each timer is
    /// a cache miss, and the processor can wait for several together.)
    fn detach(&mut self, slot: &Slot, mut each: impl FnMut(&mut Self, u32) -> u32) {
        let mut lists = std::mem::replace(self.buckets().lanes(slot.first), [NONE; LANES]);
        let mut left = self.are_empty(slot.first, ALL_LANES);
        while left != 0 {
            let mut lanes = left;
            while lanes != 0 {
                let lane = lanes.trailing_zeros() as usize % LANES;
                lanes &= lanes - 1;
                lists[lane] = each(self, lists[lane]);
                if lists[lane] == NONE {
                    left &= !(1 << lane);
                }
            }
        }
    }

    /// Moves every timer that is due at `now` out of the wheel, by (deadline, order).
    /// `emit` gets them; when it fails, that timer and those after it stay.
    pub fn collect(
        &mut self,
        timers: &mut Timers,
        now: u64,
        mut emit: impl FnMut(SlotId, &mut Timer) -> Result<()>,
    ) -> Result<()> {
        let target = now >> TICK_BITS;
        while let Some(slot) = self.first_slot().filter(|slot| slot.start <= target) {
            self.tick = slot.start;
            if slot.first >= LOWEST {
                self.move_down(timers, &slot, target);
                continue;
            }
            let result = self.collect_slot(timers, &slot, now, &mut emit);
            if let Err(error) = result {
                self.next_is_exact = false;
                self.link_back(timers);
                return Err(error);
            }
            if slot.start == target {
                break;
            }
        }
        self.tick = self.tick.max(target);
        self.find_next(timers);
        Ok(())
    }

    /// Moves the timers of a slot down to the lower levels.
    ///
    /// A timer that is due before `target` is about to be collected, so nothing will be taken out of the
    /// middle of its list: the back link of the timer that follows it is not set, which saves a cache
    /// miss.
    fn move_down(&mut self, timers: &mut Timers, slot: &Slot, target: u64) {
        self.detach(slot, |wheel, index| {
            let timer = timers.at(index);
            let (behind, deadline) = (timer.next, timer.deadline());
            let second = wheel.hang(timer, index, wheel.bucket_of(deadline, index));
            if deadline >> TICK_BITS >= target {
                Self::set_previous(timers, second, index);
            }
            behind
        });
    }

    /// Sets the back links that `move_down` has left out, after a collection that failed.
    #[cold]
    fn link_back(&mut self, timers: &mut Timers) {
        for head in self.buckets.iter().flat_map(|buckets| buckets.slots.as_flattened()) {
            let (mut previous, mut index) = (NONE, *head);
            while index != NONE {
                let timer = timers.at(index);
                timer.previous = std::mem::replace(&mut previous, index);
                index = timer.next;
            }
        }
    }

    fn collect_slot(
        &mut self,
        timers: &mut Timers,
        slot: &Slot,
        now: u64,
        emit: &mut impl FnMut(SlotId, &mut Timer) -> Result<()>,
    ) -> Result<()> {
        let (mut due, mut count) = (NONE, 0);
        self.detach(slot, |wheel, index| {
            let timer = timers.at(index);
            let (behind, deadline) = (timer.next, timer.deadline());
            // One that was restarted meanwhile may belong to a later slot.
            if deadline <= now && deadline >> TICK_BITS <= wheel.tick && deadline != NEVER {
                timer.next = std::mem::replace(&mut due, index);
                count += 1;
            } else {
                wheel.link(timers, index, deadline);
            }
            behind
        });
        let mut result = Ok(());
        let mut take = |timers: &mut Timers, index| {
            let (id, timer) = timers.at_with_id(index);
            if result.is_ok() {
                result = emit(id, timer);
            }
            if result.is_err() {
                let deadline = timer.deadline();
                self.link(timers, index, deadline);
            }
        };
        match count {
            0 => {}
            1 => take(timers, due),
            2..FEW => {
                let mut stretch = Stretch::<FEW>::EMPTY;
                stretch.cut(timers, &mut due);
                stretch.each(|index| take(timers, index));
            }
            FEW..MANY => each_of_many(timers, due, take),
            _ => {
                due = sort_many(timers, due);
                while due != NONE {
                    let next = timers.at(due).next;
                    take(timers, due);
                    due = next;
                }
            }
        }
        result
    }

    /// Makes `next` exact where that is cheap; see the head of this file.
    pub fn find_next(&mut self, timers: &mut Timers) {
        while let Some(slot) = self.first_slot() {
            let mut look_at = if slot.first < LOWEST { usize::MAX } else { EXACT_UP_TO };
            let mut first = NEVER;
            for bucket in slot.first..slot.first + LANES {
                let mut index = *self.buckets().head(bucket);
                while index != NONE {
                    if look_at == 0 {
                        self.next = slot.start << TICK_BITS;
                        self.next_is_exact = false;
                        return;
                    }
                    look_at -= 1;
                    let timer = timers.at(index);
                    let (next, deadline) = (timer.next, timer.deadline());
                    // Restarted to a later time meanwhile: now it moves.
                    if self.bucket_of(deadline, index) != bucket {
                        self.unlink(timers, index);
                        self.link(timers, index, deadline);
                    } else {
                        first = first.min(deadline);
                    }
                    index = next;
                }
            }
            if *self.buckets().lanes(slot.first) != [NONE; LANES] {
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
    pub fn refresh(&mut self, timers: &mut Timers) {
        if !self.next_is_exact {
            self.find_next(timers);
        }
    }
}

const FEW: usize = 16;
const MANY: usize = 256;

/// Up to `N` timers, sorted by (deadline, order): on the stack, since sorting must not need memory.
struct Stretch<const N: usize> {
    /// How long after the first deadline, in the upper half; which of `timers`, in the lower.
    keys: [u64; N],
    timers: [u32; N],
    count: usize,
}

impl<const N: usize> Stretch<N> {
    const EMPTY: Self = Stretch { keys: [0; N], timers: [NONE; N], count: 0 };

    /// Cuts them off a chain that is linked by `next`. (Into a stretch that is there: one that is
    /// returned would be on the stack twice.)
    fn cut(&mut self, timers: &mut Timers, chain: &mut u32) {
        let stretch = self;
        stretch.count = 0;
        let (mut first, mut last) = (NEVER, 0);
        while *chain != NONE && stretch.count < N {
            let timer = timers.at(*chain);
            let deadline = timer.deadline();
            (first, last) = (first.min(deadline), last.max(deadline));
            stretch.keys[stretch.count] = deadline;
            stretch.timers[stretch.count] = *chain;
            stretch.count += 1;
            *chain = timer.next;
        }
        let keys = &mut stretch.keys[..stretch.count];
        if last - first > u64::from(u32::MAX) {
            // Mostly they are of one tick; these are of several seconds, and overdue.
            stretch.timers[..stretch.count].sort_unstable_by_key(|index| timers.at(*index).key());
            keys.iter_mut().zip(0..).for_each(|(key, place)| *key = place);
            return;
        }
        keys.iter_mut().zip(0..).for_each(|(key, place)| *key = (*key - first) << 32 | place);
        keys.sort_unstable();
        for equals in keys.chunk_by_mut(|one, other| one >> 32 == other >> 32) {
            if equals.len() > 1 {
                equals.sort_unstable_by_key(|key| timers.at(stretch.timers[*key as u32 as usize]).key());
            }
        }
    }

    fn each(&self, mut take: impl FnMut(u32)) {
        for key in &self.keys[..self.count] {
            take(self.timers[*key as u32 as usize]);
        }
    }
}

/// Takes fewer than `MANY` timers of a chain, by (deadline, order). (A function of its own: no other
/// turn shall have the stretch's 3 KB on its stack.)
#[inline(never)]
fn each_of_many(timers: &mut Timers, mut chain: u32, mut take: impl FnMut(&mut Timers, u32)) {
    let mut stretch = Stretch::<MANY>::EMPTY;
    stretch.cut(timers, &mut chain);
    stretch.each(|index| take(timers, index));
}

/// Sorts a chain of timers, linked by `next`, by (deadline, order): stretches of it, merged.
#[inline(never)]
fn sort_many(timers: &mut Timers, mut chain: u32) -> u32 {
    // Like a binary counter: place n holds a sorted chain of about 2^n stretches.
    let mut places = [NONE; 32];
    let mut stretch = Stretch::<MANY>::EMPTY;
    while chain != NONE {
        stretch.cut(timers, &mut chain);
        let (mut sorted, mut last) = (NONE, NONE);
        stretch.each(|index| {
            append(timers, (&mut sorted, &mut last), index);
            timers.at(index).next = NONE;
        });
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

/// Appends to a chain: its first and its last timer.
fn append(timers: &mut Timers, (first, last): (&mut u32, &mut u32), index: u32) {
    match std::mem::replace(last, index) {
        NONE => *first = index,
        last => timers.at(last).next = index,
    }
}

fn merge(timers: &mut Timers, mut a: u32, mut b: u32) -> u32 {
    let (mut first, mut last) = (NONE, NONE);
    while a != NONE && b != NONE {
        let least = if timers.at(a).key() < timers.at(b).key() { &mut a } else { &mut b };
        let taken = std::mem::replace(least, timers.at(*least).next);
        append(timers, (&mut first, &mut last), taken);
    }
    let rest = if a != NONE { a } else { b };
    if rest != NONE {
        append(timers, (&mut first, &mut last), rest);
    }
    first
}
