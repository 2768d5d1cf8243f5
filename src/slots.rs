//! Sources in slots: numbered places that never move, each with a generation.
//!
//! Invariant: a slot's generation grows each time it is emptied, so an old [`SlotId`]
//! never finds the slot's next tenant. A slot whose generations are spent is retired
//! and never used again. The memory of a block whose slots are all empty can be given
//! back; the block remembers the highest generation and goes on from there.

use crate::error::{Error, Result};
use crate::handle::{MAX_GENERATION, MAX_SLOTS, SlotId};
use crate::memory::{BLOCK, Spare, try_push};

const NONE: u32 = u32::MAX;

struct Slot<T> {
    generation: u32,
    state: State<T>,
}

enum State<T> {
    Taken(T),
    /// The next free slot of the block.
    Free(u32),
}

struct Block<T> {
    /// Grows to `BLOCK` within one allocation, so that it never moves.
    slots: Vec<Slot<T>>,
    free: u32,
    taken: u32,
    /// Where the generations of fresh slots begin.
    floor: u32,
}

pub struct Slots<T> {
    blocks: Vec<Block<T>>,
    /// One bit a block: it has room.
    room: Vec<u64>,
    /// No block below this word of `room` has room.
    first_room: usize,
    len: usize,
    last_generation: u32,
    /// Blocks that have memory and nothing in it.
    spare: Spare,
}

impl<T> Slots<T> {
    pub const fn new() -> Self {
        Slots {
            blocks: Vec::new(),
            room: Vec::new(),
            first_room: 0,
            len: 0,
            last_generation: MAX_GENERATION - 1,
            spare: Spare::NEW,
        }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// Takes a slot for `value`. Nothing changes when there is no memory.
    pub fn insert(&mut self, value: T) -> Result<SlotId> {
        let number = self.block_with_room()?;
        let block = &mut self.blocks[number];
        if block.slots.capacity() == 0 {
            block.slots.try_reserve_exact(BLOCK)?;
            self.spare.one_more();
        }
        let offset = match block.free {
            NONE => {
                block.slots.push(Slot { generation: block.floor, state: State::Free(NONE) });
                block.slots.len() as u32 - 1
            }
            free => free,
        };
        let slot = &mut block.slots[offset as usize];
        if let State::Free(next) = slot.state {
            block.free = next;
        }
        slot.state = State::Taken(value);
        let generation = slot.generation;
        if block.taken == 0 {
            self.spare.one_less();
        }
        block.taken += 1;
        if block.free == NONE && block.slots.len() == BLOCK {
            self.room[number / 64] &= !(1 << (number % 64));
        }
        self.len += 1;
        Ok(SlotId { index: (number * BLOCK) as u32 + offset, generation })
    }

    /// The lowest block with room, so that the high ones run empty and can be freed.
    fn block_with_room(&mut self) -> Result<usize> {
        while let Some(word) = self.room.get(self.first_room) {
            if *word != 0 {
                return Ok(self.first_room * 64 + word.trailing_zeros() as usize);
            }
            self.first_room += 1;
        }
        let number = self.blocks.len();
        if (number + 1) * BLOCK > MAX_SLOTS as usize {
            return Err(Error::LIMIT);
        }
        if number.is_multiple_of(64) {
            try_push(&mut self.room, 0)?;
        }
        if let Err(error) =
            try_push(&mut self.blocks, Block { slots: Vec::new(), free: NONE, taken: 0, floor: 1 })
        {
            self.room.truncate(number.div_ceil(64));
            return Err(error);
        }
        self.first_room = number / 64;
        self.room[number / 64] |= 1 << (number % 64);
        Ok(number)
    }

    /// Empties a slot. `None` when the id is stale.
    pub fn remove(&mut self, id: SlotId) -> Option<T> {
        let number = id.index as usize / BLOCK;
        let offset = id.index % BLOCK as u32;
        let block = self.blocks.get_mut(number)?;
        let slot = block.slots.get_mut(offset as usize)?;
        if slot.generation != id.generation || matches!(slot.state, State::Free(_)) {
            return None;
        }
        let State::Taken(value) = std::mem::replace(&mut slot.state, State::Free(NONE)) else {
            unreachable!("the slot has just been found taken");
        };
        self.release(id);
        Some(value)
    }

    /// Empties a slot that is known to be taken, where its value is not needed any more.
    #[inline]
    pub fn release(&mut self, id: SlotId) {
        let number = id.index as usize / BLOCK;
        let block = &mut self.blocks[number];
        let offset = id.index % BLOCK as u32;
        let slot = &mut block.slots[offset as usize];
        slot.state = State::Free(block.free);
        self.len -= 1;
        slot.generation += 1;
        if slot.generation > self.last_generation {
            // Retired: it stays counted as taken, and on no list.
            return;
        }
        block.free = offset;
        block.taken -= 1;
        if block.taken == 0 {
            self.spare.one_more();
        }
        self.room[number / 64] |= 1 << (number % 64);
        self.first_room = self.first_room.min(number / 64);
    }

    #[inline]
    pub fn get(&self, id: SlotId) -> Option<&T> {
        let block = self.blocks.get(id.index as usize / BLOCK)?;
        match block.slots.get(id.index as usize % BLOCK)? {
            Slot { generation, state: State::Taken(value) } if *generation == id.generation => Some(value),
            _ => None,
        }
    }

    #[inline]
    pub fn get_mut(&mut self, id: SlotId) -> Option<&mut T> {
        let block = self.blocks.get_mut(id.index as usize / BLOCK)?;
        match block.slots.get_mut(id.index as usize % BLOCK)? {
            Slot { generation, state: State::Taken(value) } if *generation == id.generation => Some(value),
            _ => None,
        }
    }

    /// The tenant of a slot that is known to be taken: lists inside the structures
    /// link slots by index alone.
    #[inline]
    pub fn at(&mut self, index: u32) -> &mut T {
        match self.blocks[index as usize / BLOCK].slots[index as usize % BLOCK].state {
            State::Taken(ref mut value) => value,
            State::Free(_) => unreachable!("a list links only slots that are taken"),
        }
    }

    /// The id of the tenant of a slot that is known to be taken.
    #[inline]
    pub fn id_at(&self, index: u32) -> SlotId {
        let slot = &self.blocks[index as usize / BLOCK].slots[index as usize % BLOCK];
        SlotId { index, generation: slot.generation }
    }

    /// The first tenant at or after a slot number.
    pub fn first_from(&self, index: u32) -> Option<SlotId> {
        let (number, offset) = (index as usize / BLOCK, index as usize % BLOCK);
        let of_block = |number: usize, offset: usize| {
            let slots = self.blocks[number].slots.iter().enumerate().skip(offset);
            let mut taken = slots.filter(|(_, slot)| matches!(slot.state, State::Taken(_)));
            taken.next().map(|(offset, _)| self.id_at((number * BLOCK + offset) as u32))
        };
        (number..self.blocks.len())
            .find_map(|other| of_block(other, if other == number { offset } else { 0 }))
    }

    /// Gives some of the memory back that no recent period needed.
    pub fn trim(&mut self) {
        let mut surplus = self.spare.end_period();
        for block in self.blocks.iter_mut().rev() {
            if surplus == 0 {
                return;
            }
            if block.taken == 0 && block.slots.capacity() > 0 {
                let highest = block.slots.iter().map(|slot| slot.generation).max();
                block.floor = highest.unwrap_or(block.floor);
                block.slots = Vec::new();
                block.free = NONE;
                self.spare.one_less();
                surplus -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_id_never_finds_the_next_tenant() {
        let mut slots = Slots::new();
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
        let mut slots = Slots::new();
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
        let mut slots = Slots::new();
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
    fn memory_goes_back_and_generations_go_on() {
        let mut slots = Slots::new();
        let ids: Vec<_> = (0..50 * BLOCK).map(|i| slots.insert(i).unwrap()).collect();
        let last = *ids.last().unwrap();
        ids.iter().for_each(|id| assert!(slots.remove(*id).is_some()));
        (0..200).for_each(|_| slots.trim());
        assert!(slots.blocks.iter().all(|block| block.slots.capacity() == 0));
        let again: Vec<_> = (0..50 * BLOCK).map(|i| slots.insert(i).unwrap()).collect();
        assert!(again.iter().all(|id| id.generation == 2));
        assert_eq!(slots.get(last), None);
        assert_eq!(slots.first_from(7), Some(again[7]));
        assert_eq!(slots.first_from(50 * BLOCK as u32), None);
    }

    #[test]
    fn random_use_agrees_with_a_map() {
        let mut slots = Slots::new();
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
