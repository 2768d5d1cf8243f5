//! Sources in slots: numbered places that never move, each with a generation.
//!
//! Invariant: a slot's generation grows each time it is emptied, so an old [`SlotId`]
//! never finds the slot's next occupant. A slot whose generations are spent is retired
//! and never used again. The memory of a block whose slots are all empty can be given
//! back; the highest generation in it is remembered, and the next one goes on from there.
//!
//! While a slot is free its generation carries a bit that no id has: one comparison shows
//! whether an id is alive. One bit for each slot of a block says whether it is free, and the lowest free
//! one is taken. A list through the free slots themselves would make each insert wait for the cache
//! line of the one before.
//!
//! An occupant has two parts: `T` is read often, `C` only when the occupant is made and when it ends.
//! Stored apart, more of the `T`s fit into the cache.

use crate::base::counted::{self, try_block};
use crate::base::memory::try_push;
use crate::base::prefetch::prefetch;
use crate::error::{Error, Result};

/// In the generation of a slot that is free.
const FREE: u32 = 1 << 31;

/// Slots are numbered below this.
pub const MAX_SLOTS: u32 = 1 << 25;
/// Generations of one slot stay below this.
pub const MAX_GENERATION: u32 = 1 << 24;

/// A slot and the generation in which it was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlotId {
    pub index: u32,
    pub generation: u32,
}

/// Slots that are allocated together: few, so that a small loop stays small.
pub const BLOCK: usize = 128;
/// Blocks that have one bit in `room`.
const GROUP: usize = 8;
const WORDS_OF_BLOCK: usize = BLOCK / 64;
const WORDS_OF_GROUP: usize = GROUP * WORDS_OF_BLOCK;

/// In one `trim`: so many blocks are looked at, and so many given back, at most.
const LOOK_AT: usize = 256;
const GIVE: usize = 128;
/// And so many are never given back, once there are any.
const KEEP: usize = 8;

struct Slot<T> {
    generation: u32,
    /// Of no meaning in a free slot.
    value: T,
}

/// One bit a slot that is free. (Aligned, and its block with it, so that small slots do not lie
/// across two lines of the cache.)
#[repr(align(64))]
#[derive(PartialEq)]
struct Free([u64; WORDS_OF_BLOCK]);

const ALL_FREE: Free = Free([u64::MAX; WORDS_OF_BLOCK]);

type Block<T, C> = counted::Block<Slot<T>, C, Free, BLOCK>;

pub struct Slots<T, C = ()> {
    /// `None`: not allocated yet, or given back.
    blocks: Vec<Option<Box<Block<T, C>>>>,
    /// Where the generations of a block begin when it is allocated.
    floors: Vec<u32>,
    /// Slots are taken from this word of the bits of all blocks as long as it has some. No lower
    /// one has any.
    word: usize,
    /// One bit a group of blocks: it has a free slot, or a block without memory. A bit may be set
    /// in vain, but none is missing.
    room: Vec<u64>,
    len: usize,
    /// The highest word that slots were taken from since the last [`Slots::trim`].
    highest: usize,
    /// Above the highest block that has memory.
    top: usize,
    /// The next `trim` goes on looking below this block.
    looked_down_to: usize,
    last_generation: u32,
}

/// A slot that is empty and cannot be taken yet.
pub struct Vacancy {
    /// Its word of bits had none before.
    was_full: bool,
}

#[inline]
fn number(index: u32) -> usize {
    index as usize / BLOCK
}

#[inline]
fn offset(index: u32) -> usize {
    index as usize % BLOCK
}

impl<T: Default, C: Default> Slots<T, C> {
    pub const fn new() -> Self {
        Slots {
            blocks: Vec::new(),
            floors: Vec::new(),
            word: 0,
            room: Vec::new(),
            len: 0,
            highest: 0,
            top: 0,
            looked_down_to: 0,
            last_generation: MAX_GENERATION - 1,
        }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// Takes a slot for `value`. Nothing changes when there is no memory.
    pub fn insert(&mut self, value: T) -> Result<SlotId> {
        self.prepare()?;
        match self.insert_fast() {
            Some((id, place, _)) => {
                *place = value;
                Ok(id)
            }
            None => unreachable!("a free slot has been made"),
        }
    }

    /// Takes a slot, unless that needs memory or a search. What its last occupant left in it
    /// has to be overwritten by the caller.
    #[inline(always)]
    pub fn insert_fast(&mut self) -> Option<(SlotId, &mut T, &mut C)> {
        let block = self.blocks.get_mut(self.word / WORDS_OF_BLOCK)?.as_mut()?;
        let word = &mut block.marks.0[self.word % WORDS_OF_BLOCK];
        if *word == 0 {
            return None;
        }
        let index = (self.word * 64) as u32 + word.trailing_zeros();
        *word &= *word - 1;
        self.len += 1;
        let (slot, other) = (&mut block.slots[offset(index)], &mut block.others[offset(index)]);
        slot.generation &= !FREE;
        Some((SlotId { index, generation: slot.generation }, &mut slot.value, other))
    }

    /// Sees to it that the lowest free slot can be taken.
    #[cold]
    pub fn prepare(&mut self) -> Result<()> {
        self.find_room()?;
        self.highest = self.highest.max(self.word);
        let number = self.word / WORDS_OF_BLOCK;
        if self.blocks[number].is_some() {
            return Ok(());
        }
        let generation = self.floors[number] | FREE;
        let slot = || Slot { generation, value: T::default() };
        self.blocks[number] = Some(try_block(slot, C::default, ALL_FREE)?);
        self.top = self.top.max(number + 1);
        Ok(())
    }

    /// Finds the lowest word with a free slot, or where one can be made: the high blocks run empty
    /// and can be freed.
    fn find_room(&mut self) -> Result<()> {
        loop {
            let group = self.word / WORDS_OF_GROUP;
            let end = self.blocks.len().min((group + 1) * GROUP) * WORDS_OF_BLOCK;
            let has_room = |word: &usize| {
                let block = self.blocks[*word / WORDS_OF_BLOCK].as_ref();
                block.is_none_or(|block| block.marks.0[*word % WORDS_OF_BLOCK] != 0)
            };
            if let Some(word) = (self.word..end).find(has_room) {
                self.word = word;
                return Ok(());
            }
            if let Some(bits) = self.room.get_mut(group / 64) {
                *bits &= !(1 << (group % 64));
            }
            let mut others = self.room.iter().enumerate().skip(group / 64);
            let group = match others.find(|(_, bits)| **bits != 0) {
                Some((place, bits)) => place * 64 + bits.trailing_zeros() as usize,
                None => self.add_group()?,
            };
            self.word = group * WORDS_OF_GROUP;
        }
    }

    /// Makes the tables longer by the blocks of a group, none of which has memory yet.
    fn add_group(&mut self) -> Result<usize> {
        let group = self.blocks.len() / GROUP;
        if (group + 1) * GROUP * BLOCK > MAX_SLOTS as usize {
            return Err(Error::LIMIT);
        }
        self.blocks.try_reserve(GROUP)?;
        self.floors.try_reserve(GROUP)?;
        if group.is_multiple_of(64) {
            try_push(&mut self.room, 0)?;
        }
        let blocks = (group + 1) * GROUP;
        self.blocks.resize_with(blocks, || None);
        self.floors.resize(blocks, 1);
        self.room[group / 64] |= 1 << (group % 64);
        Ok(group)
    }

    /// Empties a slot. `None` when the id is stale.
    pub fn remove(&mut self, id: SlotId) -> Option<T> {
        let (place, vacancy) = self.vacate(id, |_| true)?;
        let value = std::mem::take(place);
        self.set_free(id, vacancy);
        Some(value)
    }

    /// Empties a slot that is known to be taken, where its value is not needed any more.
    #[inline(always)]
    pub fn release(&mut self, id: SlotId) {
        if let Some((_, vacancy)) = self.vacate(id, |_| true) {
            self.set_free(id, vacancy);
        }
    }

    /// Empties a slot if its occupant is as wanted, and returns what was in it. The id is stale from then
    /// on; the slot can be taken again after [`Slots::set_free`]. (Between the two calls the caller
    /// unlinks the occupant, so that fewer values are alive at once.)
    #[inline(always)]
    pub fn vacate(&mut self, id: SlotId, is_wanted: impl FnOnce(&T) -> bool) -> Option<(&mut T, Vacancy)> {
        let block = self.blocks.get_mut(number(id.index))?.as_mut()?;
        let slot = &mut block.slots[offset(id.index)];
        if slot.generation != id.generation || !is_wanted(&slot.value) {
            return None;
        }
        slot.generation = (id.generation + 1) | FREE;
        let mut was_full = false;
        // Retired when its generations are spent: no bit says that it is free.
        if id.generation < self.last_generation {
            let bits = &mut block.marks.0[offset(id.index) / 64];
            was_full = *bits == 0;
            *bits |= 1 << (id.index % 64);
        }
        Some((&mut slot.value, Vacancy { was_full }))
    }

    /// The slot of an occupant that has moved out can be taken.
    #[inline(always)]
    pub fn set_free(&mut self, id: SlotId, vacancy: Vacancy) {
        self.len -= 1;
        let word = id.index as usize / 64;
        if word < self.word {
            self.word = word;
        }
        if vacancy.was_full {
            self.note_room(number(id.index));
        }
    }

    fn note_room(&mut self, number: usize) {
        let group = number / GROUP;
        self.room[group / 64] |= 1 << (group % 64);
    }

    #[inline]
    pub fn get(&self, id: SlotId) -> Option<&T> {
        let slot = &self.blocks.get(number(id.index))?.as_ref()?.slots[offset(id.index)];
        (slot.generation == id.generation).then_some(&slot.value)
    }

    #[inline]
    pub fn get_mut(&mut self, id: SlotId) -> Option<&mut T> {
        let slot = &mut self.blocks.get_mut(number(id.index))?.as_mut()?.slots[offset(id.index)];
        (slot.generation == id.generation).then_some(&mut slot.value)
    }

    /// The block of a slot that is known to be taken: lists inside the structures link slots
    /// by index alone.
    #[inline(always)]
    fn block(&mut self, index: u32) -> &mut Block<T, C> {
        match &mut self.blocks[number(index)] {
            Some(block) => block,
            None => unreachable!("a slot that is taken has memory"),
        }
    }

    /// The occupant of a slot that is known to be taken.
    #[inline]
    pub fn at(&mut self, index: u32) -> &mut T {
        self.at_with_id(index).1
    }

    /// Like [`Slots::at`], with its id.
    #[inline]
    pub fn at_with_id(&mut self, index: u32) -> (SlotId, &mut T) {
        let slot = &mut self.block(index).slots[offset(index)];
        debug_assert!(slot.generation & FREE == 0, "a list links only slots that are taken");
        (SlotId { index, generation: slot.generation }, &mut slot.value)
    }

    /// The other part of the occupant of a slot that is known to be taken, or was a moment ago.
    #[inline]
    pub fn other(&mut self, index: u32) -> &mut C {
        &mut self.block(index).others[offset(index)]
    }

    /// Asks for a slot's lines of the cache, of an occupant that will be looked at soon.
    #[inline]
    pub fn prefetch(&self, index: u32) {
        if let Some(Some(block)) = self.blocks.get(number(index)) {
            prefetch(&block.slots[offset(index)]);
            prefetch(&block.others[offset(index)]);
        }
    }

    /// The first occupant at or after a slot number.
    pub fn first_from(&self, index: u32) -> Option<SlotId> {
        let of_block = |number: usize, skipped: usize| {
            let slots = self.blocks[number].iter().flat_map(|block| &block.slots);
            let mut taken = slots.enumerate().skip(skipped).filter(|(_, slot)| slot.generation & FREE == 0);
            let (offset, slot) = taken.next()?;
            Some(SlotId { index: (number * BLOCK + offset) as u32, generation: slot.generation })
        };
        let (first, skipped) = (number(index), offset(index));
        (first..self.blocks.len()).find_map(|other| of_block(other, if other == first { skipped } else { 0 }))
    }

    /// Gives some of the memory back that this period did not need: up to half of the blocks
    /// above those that slots were taken from, if they are empty.
    pub fn trim(&mut self) {
        let needed = (self.highest / WORDS_OF_BLOCK + 1).max(KEEP);
        self.highest = self.word;
        while self.top > needed && self.blocks[self.top - 1].is_none() {
            self.top -= 1;
        }
        let mut give = self.top.saturating_sub(needed).div_ceil(2).min(GIVE);
        if self.looked_down_to <= needed {
            self.looked_down_to = self.top;
        }
        for number in (needed..self.looked_down_to.min(self.top)).rev().take(LOOK_AT) {
            if give == 0 {
                return;
            }
            self.looked_down_to = number;
            if self.blocks[number].as_ref().is_some_and(|block| block.marks == ALL_FREE) {
                self.give_back(number);
                give -= 1;
            }
        }
    }

    fn give_back(&mut self, number: usize) {
        let block = self.blocks[number].take();
        let highest = block.iter().flat_map(|block| &block.slots).map(|slot| slot.generation & !FREE).max();
        self.floors[number] = highest.unwrap_or(self.floors[number]);
        self.note_room(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_id_never_finds_the_next_occupant() {
        let mut slots: Slots<_> = Slots::new();
        let first = slots.insert('a').unwrap();
        assert_eq!(slots.get(first), Some(&'a'));
        assert_eq!(slots.remove(first), Some('a'));
        let second = slots.insert('b').unwrap();
        assert_eq!(second.index, first.index);
        assert_ne!(second.generation, first.generation);
        assert_eq!(slots.get(first), None);
        assert_eq!(slots.get_mut(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.remove(second), Some('b'));
        assert_eq!(slots.remove(second), None);
        assert_eq!(slots.len(), 0);
    }

    #[test]
    fn invented_ids_find_nothing() {
        let mut slots: Slots<_> = Slots::new();
        slots.insert(1u8).unwrap();
        for index in [0, 1, 1023, 1024, MAX_SLOTS - 1] {
            for generation in [0, 2, MAX_GENERATION - 1] {
                assert_eq!(slots.get(SlotId { index, generation }), None);
                assert_eq!(slots.remove(SlotId { index, generation }), None);
            }
        }
    }

    #[test]
    fn a_slot_retires_when_its_generations_are_spent() {
        let mut slots: Slots<_> = Slots::new();
        slots.last_generation = 3;
        let mut seen = std::collections::HashSet::new();
        for _ in 0..30 {
            let id = slots.insert(()).unwrap();
            assert!(id.generation <= 3);
            assert!(seen.insert((id.index, id.generation)), "{id:?} came twice");
            slots.remove(id).unwrap();
        }
        assert_eq!(seen.iter().map(|(index, _)| index).max(), Some(&9));
    }

    #[test]
    fn a_full_block_is_passed_over() {
        let mut slots: Slots<_> = Slots::new();
        let ids: Vec<_> = (0..3 * BLOCK).map(|i| slots.insert(i).unwrap()).collect();
        assert_eq!(slots.remove(ids[5]), Some(5));
        let indexes = [(); 2].map(|()| slots.insert(0).unwrap().index);
        assert_eq!(indexes, [5, 3 * BLOCK as u32]);
        assert_eq!(slots.len(), 3 * BLOCK + 1);
    }

    #[test]
    fn memory_goes_back_and_generations_go_on() {
        let mut slots: Slots<_> = Slots::new();
        let ids: Vec<_> = (0..50 * BLOCK).map(|i| slots.insert(i).unwrap()).collect();
        let last = *ids.last().unwrap();
        ids.iter().for_each(|id| assert!(slots.remove(*id).is_some()));
        (0..200).for_each(|_| slots.trim());
        assert_eq!(slots.blocks.iter().flatten().count(), KEEP, "some are kept");
        let again: Vec<_> = (0..50 * BLOCK).map(|i| slots.insert(i).unwrap()).collect();
        assert!(again.iter().all(|id| id.generation == 2), "they go on where they ended");
        assert_eq!(slots.get(last), None);
        assert_eq!(slots.first_from(7), Some(again[7]));
        assert_eq!(slots.first_from(50 * BLOCK as u32), None);
    }

    #[test]
    fn random_use_agrees_with_a_map() {
        let mut slots: Slots<_> = Slots::new();
        let mut model = Vec::new();
        let mut random = 7u64;
        for round in 0..300_000u64 {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            if random >> 63 == 0 || model.is_empty() {
                model.push((slots.insert(round).unwrap(), round));
            } else {
                let (id, value) = model.swap_remove((random >> 20) as usize % model.len());
                assert_eq!(slots.get(id), Some(&value));
                assert_eq!(slots.remove(id), Some(value));
            }
            if round % 1000 == 0 {
                slots.trim();
            }
            assert_eq!(slots.len(), model.len());
        }
        for (id, value) in model {
            assert_eq!(slots.get(id), Some(&value));
        }
    }
}
