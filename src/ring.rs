//! A first-in first-out queue in blocks that never move, whose elements keep their
//! number.
//!
//! An element's *sequence number* counts all that were ever pushed, so it names the
//! element for ever and finds it in two loads. The directory is a power-of-two ring of
//! blocks; only the directory (eight bytes for a thousand elements) is ever copied.

use crate::error::Result;
use crate::memory::{BLOCK, Spare, new_block, try_push};

pub struct Ring<T: Copy> {
    /// Block n lives at `n % directory.len()`.
    directory: Vec<Option<Box<[T; BLOCK]>>>,
    spares: Vec<Box<[T; BLOCK]>>,
    spare: Spare,
    empty: T,
    head: u64,
    tail: u64,
}

const BLOCK_U64: u64 = BLOCK as u64;

impl<T: Copy> Ring<T> {
    /// An empty queue; numbers begin at 1. `empty` fills fresh memory.
    pub fn new(empty: T) -> Self {
        Ring { directory: Vec::new(), spares: Vec::new(), spare: Spare::NEW, empty, head: 1, tail: 1 }
    }

    /// The number of the first element.
    #[inline]
    pub fn head(&self) -> u64 {
        self.head
    }

    /// The number that the next element will get.
    #[inline]
    pub fn tail(&self) -> u64 {
        self.tail
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.head == self.tail
    }

    #[inline]
    fn place(&self, sequence: u64) -> usize {
        (sequence / BLOCK_U64) as usize & self.directory.len().wrapping_sub(1)
    }

    /// Appends and tells the element's number. Nothing changes when there is no memory.
    #[inline]
    pub fn push(&mut self, value: T) -> Result<u64> {
        let place = self.place(self.tail);
        match self.directory.get_mut(place) {
            // The tail's block is there, unless the tail is at the start of one.
            Some(Some(block)) if !self.tail.is_multiple_of(BLOCK_U64) => {
                block[(self.tail % BLOCK_U64) as usize] = value;
            }
            _ => self.push_to_new_block(value)?,
        }
        self.tail += 1;
        Ok(self.tail - 1)
    }

    #[cold]
    #[inline(never)]
    fn push_to_new_block(&mut self, value: T) -> Result<()> {
        let blocks = self.blocks_in_use();
        if blocks >= self.directory.len() {
            self.grow_directory()?;
        }
        let mut block = match self.spares.pop() {
            Some(block) => {
                self.spare.one_less();
                block
            }
            None => new_block(self.empty)?,
        };
        block[(self.tail % BLOCK_U64) as usize] = value;
        let place = self.place(self.tail);
        self.directory[place] = Some(block);
        Ok(())
    }

    /// Blocks from the head's to the last element's.
    fn blocks_in_use(&self) -> usize {
        match self.is_empty() {
            true => 0,
            false => ((self.tail - 1) / BLOCK_U64 - self.head / BLOCK_U64 + 1) as usize,
        }
    }

    fn grow_directory(&mut self) -> Result<()> {
        let size = (self.directory.len() * 2).max(4);
        let mut larger = Vec::new();
        larger.try_reserve_exact(size)?;
        larger.resize_with(size, || None);
        let first = self.head / BLOCK_U64;
        for number in first..first + self.directory.len() as u64 {
            let old = self.place(number * BLOCK_U64);
            if let Some(slot) = self.directory.get_mut(old) {
                larger[number as usize & (size - 1)] = slot.take();
            }
        }
        self.directory = larger;
        Ok(())
    }

    /// The element with this number, if it is in the queue.
    #[inline]
    pub fn get_mut(&mut self, sequence: u64) -> Option<&mut T> {
        if sequence < self.head || sequence >= self.tail {
            return None;
        }
        let place = self.place(sequence);
        let block = self.directory.get_mut(place)?.as_mut()?;
        Some(&mut block[(sequence % BLOCK_U64) as usize])
    }

    /// The first element.
    pub fn first(&self) -> Option<T> {
        let block = self.directory.get(self.place(self.head))?.as_ref()?;
        (!self.is_empty()).then(|| block[(self.head % BLOCK_U64) as usize])
    }

    /// Takes the first element.
    #[inline(always)] // a call's worth of instructions, in the middle of every dispatch
    pub fn pop(&mut self) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        let block = self.directory.get(self.place(self.head))?.as_ref()?;
        let value = block[(self.head % BLOCK_U64) as usize];
        self.head += 1;
        if self.head.is_multiple_of(BLOCK_U64) {
            self.leave_block();
        }
        Some(value)
    }

    /// Puts the block of the element just taken aside: it was its last. (A queue that
    /// runs empty in mid-block goes on in the same block, which stays warm.)
    #[cold]
    #[inline(never)]
    fn leave_block(&mut self) {
        let place = self.place(self.head - 1);
        if let Some(block) = self.directory.get_mut(place).and_then(Option::take) {
            // Without memory to remember it, the block is simply freed.
            if try_push(&mut self.spares, block).is_ok() {
                self.spare.one_more();
            }
        }
    }

    /// Makes sure that the next `count` pushes succeed.
    pub fn reserve(&mut self, count: usize) -> Result<()> {
        let blocks = count / BLOCK + 2;
        while self.blocks_in_use() + blocks > self.directory.len() {
            self.grow_directory()?;
        }
        while self.spares.len() < blocks {
            let block = new_block(self.empty)?;
            try_push(&mut self.spares, block)?;
            self.spare.one_more();
        }
        Ok(())
    }

    /// Gives some of the memory back that no recent period needed, but for what `keep`
    /// further elements need.
    pub fn trim(&mut self, keep: usize) {
        for _ in 0..self.spare.end_period() {
            if self.spares.len() <= keep / BLOCK + 2 {
                return;
            }
            self.spares.pop();
            self.spare.one_less();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    #[test]
    fn elements_come_out_in_order_and_keep_their_numbers() {
        let mut ring = Ring::new(0u64);
        let mut model = VecDeque::new();
        let mut random = 1u64;
        for round in 0..400_000u64 {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            // Long phases of growing and of shrinking.
            let grow = (round / 40_000) % 2 == 0;
            if (random >> 60 < 11) == grow {
                let sequence = ring.push(round).unwrap();
                assert_eq!(sequence, ring.tail() - 1);
                model.push_back((sequence, round));
            } else {
                assert_eq!(ring.pop(), model.pop_front().map(|(_, value)| value));
            }
            if !model.is_empty() {
                let (sequence, value) = model[random as usize % model.len()];
                assert_eq!(ring.get_mut(sequence), Some(&mut { value }));
            }
            assert_eq!(ring.is_empty(), model.is_empty());
        }
        let (head, tail) = (ring.head(), ring.tail());
        assert_eq!(ring.get_mut(head.wrapping_sub(1)), None);
        assert_eq!(ring.get_mut(tail), None);
        assert_eq!(ring.get_mut(u64::MAX), None);
    }

    #[test]
    fn memory_goes_back_after_a_burst() {
        let mut ring = Ring::new(0u8);
        (0..100 * BLOCK).for_each(|_| {
            ring.push(1).unwrap();
        });
        while ring.pop().is_some() {}
        assert!(ring.spares.len() > 90);
        (0..200).for_each(|_| ring.trim(0));
        assert!(ring.spares.len() <= 2);
    }

    #[test]
    fn a_reserve_lasts_for_the_pushes_it_promises() {
        let mut ring = Ring::new(0u8);
        ring.push(1).unwrap();
        ring.reserve(5 * BLOCK).unwrap();
        let spares = ring.spares.len();
        (0..100).for_each(|_| ring.trim(5 * BLOCK));
        assert!(ring.spares.len() >= 5);
        (0..5 * BLOCK).for_each(|_| {
            ring.push(1).unwrap();
        });
        assert!(ring.spares.len() < spares);
        let before = ring.directory.len();
        assert!(ring.blocks_in_use() <= before);
    }
}
