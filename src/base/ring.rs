//! A first-in first-out queue in blocks that never move, whose elements keep their
//! number.
//!
//! An element's *sequence number* counts all that were ever pushed, so it names the
//! element for ever and finds it in two loads. The directory is a power-of-two ring of
//! blocks; only the directory (eight bytes for a thousand elements) is ever copied.
//!
//! One of the few files with `unsafe`: pushing and popping go through pointers to the first
//! and the last block, without a look at the directory, which halves their instructions. No
//! reference to an element ever leaves this file, and no method runs foreign code, so `&self` is
//! enough everywhere. Invariants:
//!
//! * Block n stands in the directory from the push of its first element to the pop of its last;
//!   then it is a spare. Blocks are freed by `trim` (spares only) and `drop` alone.
//! * `first` is the place of `head` unless the queue is empty at a block's end; `last` is that of
//!   `tail` unless `tail` is at a block's beginning.

use crate::base::memory::{BLOCK, Spare, new_block, try_push};
use crate::error::{Error, Result};
use std::cell::{Cell, RefCell};
use std::ptr;

/// The numbers of a queue's elements stay below this.
pub const MAX_SEQUENCE: u64 = 1 << 52;

type Block<T> = [Cell<T>; BLOCK];

pub struct Ring<T: Copy> {
    head: Cell<u64>,
    tail: Cell<u64>,
    first: Cell<*const Cell<T>>,
    last: Cell<*const Cell<T>>,
    blocks: RefCell<Blocks<T>>,
}

struct Blocks<T> {
    /// Block n stands at `n % directory.len()`; null: none.
    directory: Vec<*mut Block<T>>,
    spares: Vec<*mut Block<T>>,
    spare: Spare,
    /// Fills fresh memory.
    empty: T,
}

const BLOCK_U64: u64 = BLOCK as u64;

fn offset(sequence: u64) -> usize {
    (sequence % BLOCK_U64) as usize
}

impl<T: Copy> Ring<T> {
    /// An empty queue; numbers begin at the beginning of a block. `empty` fills fresh memory.
    pub fn new(empty: T) -> Self {
        let blocks = Blocks { directory: Vec::new(), spares: Vec::new(), spare: Spare::NEW, empty };
        Ring {
            head: Cell::new(BLOCK_U64),
            tail: Cell::new(BLOCK_U64),
            first: Cell::new(ptr::null()),
            last: Cell::new(ptr::null()),
            blocks: RefCell::new(blocks),
        }
    }

    /// The number of the first element.
    #[inline]
    pub fn head(&self) -> u64 {
        self.head.get()
    }

    /// The number that the next element will get.
    #[inline]
    pub fn tail(&self) -> u64 {
        self.tail.get()
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.head() == self.tail()
    }

    /// Appends and tells the element's number. Nothing changes when there is no memory.
    #[inline]
    pub fn push(&self, value: T) -> Result<u64> {
        let sequence = self.tail();
        if sequence.is_multiple_of(BLOCK_U64) {
            self.begin_block()?;
        }
        Ok(self.append(sequence, value))
    }

    /// Appends if that needs no further block: a few instructions.
    #[inline(always)]
    pub fn push_within_block(&self, value: T) -> Option<u64> {
        let sequence = self.tail();
        (!sequence.is_multiple_of(BLOCK_U64)).then(|| self.append(sequence, value))
    }

    /// Appends to the block of the tail, which is `sequence`.
    #[inline(always)]
    fn append(&self, sequence: u64, value: T) -> u64 {
        // SAFETY: the place of `tail`: by the invariant, or `begin_block` has just made it.
        unsafe { &*self.last.get() }.set(value);
        self.last.set(self.last.get().wrapping_add(1));
        self.tail.set(sequence + 1);
        sequence
    }

    #[cold]
    #[inline(never)]
    fn begin_block(&self) -> Result<()> {
        let (head, tail) = (self.head(), self.tail());
        if tail >= MAX_SEQUENCE {
            return Err(Error::LIMIT);
        }
        let block = self.blocks.borrow_mut().begin(head, tail)?.cast();
        self.last.set(block);
        if head == tail {
            self.first.set(block);
        }
        Ok(())
    }

    /// The element with this number, if it is in the queue.
    #[inline]
    fn cell(&self, sequence: u64) -> Option<&Cell<T>> {
        if sequence < self.head() || sequence >= self.tail() {
            return None;
        }
        let block = self.blocks.borrow().at(sequence);
        // SAFETY: an element between head and tail has its block in the directory. The
        // reference ends with the method of this file that called.
        Some(&unsafe { &*block }[offset(sequence)])
    }

    /// The element with this number, if it is in the queue.
    #[inline]
    pub fn get(&self, sequence: u64) -> Option<T> {
        self.cell(sequence).map(Cell::get)
    }

    /// Puts another element in the place of this one, if it is in the queue.
    #[inline]
    pub fn set(&self, sequence: u64, value: T) {
        if let Some(cell) = self.cell(sequence) {
            cell.set(value);
        }
    }

    /// The first element, left where it is.
    #[inline]
    pub fn peek(&self) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        // SAFETY: the queue is not empty, so `first` is the place of `head`.
        Some(unsafe { &*self.first.get() }.get())
    }

    /// Takes the first element.
    #[inline(always)] // a call's worth of instructions, in the middle of every dispatch
    pub fn pop(&self) -> Option<T> {
        match self.is_empty() {
            true => None,
            false => Some(self.pop_some()),
        }
    }

    /// Takes the first element, if its number is below `end`, which is not above the tail. (What
    /// `make` makes of it may be told from `None` at once; an element would be looked at for that.)
    #[inline(always)]
    pub fn pop_before<R>(&self, end: u64, make: impl FnOnce(u64, T) -> R) -> Option<R> {
        let sequence = self.head();
        (sequence < end).then(|| make(sequence, self.pop_some()))
    }

    #[inline(always)]
    fn pop_some(&self) -> T {
        let sequence = self.head();
        debug_assert!(sequence < self.tail());
        // SAFETY: the queue is not empty, so `first` is the place of `head`.
        let value = unsafe { &*self.first.get() }.get();
        self.first.set(self.first.get().wrapping_add(1));
        self.head.set(sequence + 1);
        if (sequence + 1).is_multiple_of(BLOCK_U64) {
            self.leave_block(sequence);
        }
        value
    }

    /// Puts the block of the element just taken aside: it was its last. (A queue that
    /// runs empty in mid-block goes on in the same block, which stays warm.)
    #[cold]
    #[inline(never)]
    fn leave_block(&self, sequence: u64) {
        let mut blocks = self.blocks.borrow_mut();
        blocks.end(sequence);
        if !self.is_empty() {
            self.first.set(blocks.at(self.head()).cast());
        }
    }

    /// Changes places with another queue.
    pub fn swap(&self, other: &Ring<T>) {
        self.head.swap(&other.head);
        self.tail.swap(&other.tail);
        self.first.swap(&other.first);
        self.last.swap(&other.last);
        self.blocks.swap(&other.blocks);
    }

    /// Makes sure that the next `count` pushes succeed.
    pub fn reserve(&self, count: usize) -> Result<()> {
        self.blocks.borrow_mut().reserve(self.head(), self.tail(), count)
    }

    /// Gives some of the memory back that no recent period needed, but for what `keep`
    /// further elements need.
    pub fn trim(&self, keep: usize) {
        let blocks = &mut *self.blocks.borrow_mut();
        for _ in 0..blocks.spare.end_period() {
            if blocks.spares.len() <= keep / BLOCK + 2 {
                return;
            }
            if let Some(block) = blocks.spares.pop() {
                blocks.spare.one_less();
                // SAFETY: made by `Box::into_raw`; a spare is nobody's.
                drop(unsafe { Box::from_raw(block) });
            }
        }
    }
}

/// Blocks from the head's to the last element's.
fn blocks_between(head: u64, tail: u64) -> usize {
    match head == tail {
        true => 0,
        false => ((tail - 1) / BLOCK_U64 - head / BLOCK_U64 + 1) as usize,
    }
}

impl<T: Copy> Blocks<T> {
    #[inline]
    fn place(&self, sequence: u64) -> usize {
        (sequence / BLOCK_U64) as usize & self.directory.len().wrapping_sub(1)
    }

    /// The block of an element; null when there is none.
    #[inline]
    fn at(&self, sequence: u64) -> *const Block<T> {
        self.directory.get(self.place(sequence)).map_or(ptr::null(), |block| block.cast_const())
    }

    /// A block for the element that is to come at `tail`.
    fn begin(&mut self, head: u64, tail: u64) -> Result<*const Block<T>> {
        if blocks_between(head, tail) >= self.directory.len() {
            self.grow_directory(head)?;
        }
        let block = match self.spares.pop() {
            Some(block) => {
                self.spare.one_less();
                block
            }
            None => Box::into_raw(new_block(Cell::new(self.empty))?),
        };
        let place = self.place(tail);
        self.directory[place] = block;
        Ok(block)
    }

    /// The last element of its block has been taken.
    fn end(&mut self, sequence: u64) {
        let place = self.place(sequence);
        let block = std::mem::replace(&mut self.directory[place], ptr::null_mut());
        match try_push(&mut self.spares, block) {
            Ok(()) => self.spare.one_more(),
            // No memory to remember it in.
            // SAFETY: made by `Box::into_raw`; it is in no list any more.
            Err(_) => drop(unsafe { Box::from_raw(block) }),
        }
    }

    fn grow_directory(&mut self, head: u64) -> Result<()> {
        let size = (self.directory.len() * 2).max(4);
        let mut larger = Vec::new();
        larger.try_reserve_exact(size)?;
        larger.resize(size, ptr::null_mut());
        let first = head / BLOCK_U64;
        for number in first..first + self.directory.len() as u64 {
            let old = self.place(number * BLOCK_U64);
            if let Some(slot) = self.directory.get_mut(old) {
                larger[number as usize & (size - 1)] = std::mem::replace(slot, ptr::null_mut());
            }
        }
        self.directory = larger;
        Ok(())
    }

    fn reserve(&mut self, head: u64, tail: u64, count: usize) -> Result<()> {
        // Beyond the one that the tail is in.
        let blocks = (offset(tail) + count).div_ceil(BLOCK) - usize::from(offset(tail) > 0);
        while blocks_between(head, tail) + blocks > self.directory.len() {
            self.grow_directory(head)?;
        }
        while self.spares.len() < blocks {
            self.spares.try_reserve(1)?;
            self.spares.push(Box::into_raw(new_block(Cell::new(self.empty))?));
            self.spare.one_more();
        }
        Ok(())
    }
}

impl<T> Drop for Blocks<T> {
    fn drop(&mut self) {
        let blocks = self.directory.drain(..).chain(self.spares.drain(..));
        for block in blocks.filter(|block| !block.is_null()) {
            // SAFETY: made by `Box::into_raw`; each is in one list, once.
            drop(unsafe { Box::from_raw(block) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    #[test]
    fn elements_come_out_in_order_and_keep_their_numbers() {
        let ring = Ring::new(0u64);
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
                assert_eq!(ring.get(sequence), Some(value));
            }
            assert_eq!(ring.is_empty(), model.is_empty());
        }
        let (head, tail) = (ring.head(), ring.tail());
        assert_eq!(ring.get(head.wrapping_sub(1)), None);
        assert_eq!(ring.get(tail), None);
        assert_eq!(ring.get(u64::MAX), None);
    }

    #[test]
    fn memory_goes_back_after_a_burst() {
        let ring = Ring::new(0u8);
        (0..100 * BLOCK).for_each(|_| {
            ring.push(1).unwrap();
        });
        while ring.pop().is_some() {}
        assert!(ring.blocks.borrow().spares.len() > 90);
        (0..200).for_each(|_| ring.trim(0));
        assert!(ring.blocks.borrow().spares.len() <= 2);
    }

    #[test]
    fn a_steady_reserve_needs_memory_once() {
        let ring = Ring::new(0u8);
        let spares = || ring.blocks.borrow().spares.len();
        for round in 0..20 * BLOCK {
            let before = spares();
            ring.reserve(3).unwrap();
            assert!(spares() <= before || round < BLOCK, "a block was made");
            (0..3).for_each(|_| {
                ring.push(1).unwrap();
            });
            while ring.pop().is_some() {}
            // Also between the last pop from a block and the first push to the next.
            ring.trim(3);
        }
    }

    #[test]
    fn a_reserve_lasts_for_the_pushes_it_promises() {
        let ring = Ring::new(0u8);
        ring.push(1).unwrap();
        ring.reserve(5 * BLOCK).unwrap();
        let spares = ring.blocks.borrow().spares.len();
        (0..100).for_each(|_| ring.trim(5 * BLOCK));
        assert!(ring.blocks.borrow().spares.len() >= 5);
        (0..5 * BLOCK).for_each(|_| {
            ring.push(1).unwrap();
        });
        assert!(ring.blocks.borrow().spares.len() < spares);
        let before = ring.blocks.borrow().directory.len();
        assert!(blocks_between(ring.head(), ring.tail()) <= before);
    }
}
