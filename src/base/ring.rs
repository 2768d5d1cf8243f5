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
//!   then it is a spare. Blocks are freed by `trim` (spares only), `retire` and `drop` alone.
//! * `first` is the place of `head` unless the queue is empty at a block's end; `last` is that of
//!   `tail` unless `tail` is at a block's beginning.
//!
//! An element that is taken out of the middle leaves a *tombstone* in its place, since the others keep
//! their numbers. Each block counts its tombstones. When a block has no other element left, its memory
//! is no longer needed: in the directory, one shared block of tombstones replaces all such blocks, and
//! `pop` skips them. So an element that was taken out holds no memory, whatever else is in the queue.

use crate::base::counted::{self, try_block};
use crate::base::memory::{BLOCK, Spare, try_push};
use crate::error::{Error, Result};
use std::cell::{Cell, RefCell};
use std::ptr;

/// The numbers of a queue's elements stay below this.
pub const MAX_SEQUENCE: u64 = 1 << 52;

/// The elements, and how many of them have been taken out.
type Block<T> = counted::Block<Cell<T>, (), Cell<usize>, BLOCK>;

pub struct Ring<T: Copy> {
    head: Cell<u64>,
    tail: Cell<u64>,
    /// Tombstones in the queue.
    gone: Cell<u64>,
    first: Cell<*const Cell<T>>,
    last: Cell<*const Cell<T>>,
    blocks: RefCell<Blocks<T>>,
}

struct Blocks<T> {
    /// Block n stands at `n % directory.len()`; null: none.
    directory: Vec<*mut Block<T>>,
    spares: Vec<*mut Block<T>>,
    spare: Spare,
    /// The tombstone. It also fills fresh memory.
    empty: T,
    /// The shared block: replaces each block that has no element left. Null: there is none.
    tombstones: *mut Block<T>,
    /// How many blocks it replaces.
    tombstone_blocks: u32,
}

const BLOCK_U64: u64 = BLOCK as u64;

fn offset(sequence: u64) -> usize {
    (sequence % BLOCK_U64) as usize
}

impl<T: Copy> Ring<T> {
    /// An empty queue; numbers begin at the beginning of a block. `empty` fills fresh memory.
    pub fn new(empty: T) -> Self {
        let (directory, spares, tombstones) = (Vec::new(), Vec::new(), ptr::null_mut());
        let blocks = Blocks { directory, spares, spare: Spare::NEW, empty, tombstones, tombstone_blocks: 0 };
        Ring {
            head: Cell::new(BLOCK_U64),
            tail: Cell::new(BLOCK_U64),
            gone: Cell::new(0),
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

    /// Nothing is in the queue, not even a tombstone.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.head() == self.tail()
    }

    /// How many elements there are, without the tombstones.
    #[inline]
    pub fn len(&self) -> u64 {
        self.tail() - self.head() - self.gone.get()
    }

    /// Appends, and returns the element's number. Nothing changes when there is no memory.
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
        Some(&unsafe { &*block }.slots[offset(sequence)])
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

    /// Takes out and returns the element with this number, if it is in the queue and `is_wanted` accepts
    /// it. A tombstone is left in its place. Whoever pops that calls [`Ring::count_tombstone`].
    #[inline]
    pub fn take_out(&self, sequence: u64, is_wanted: impl FnOnce(T) -> bool) -> Option<T> {
        if sequence < self.head() || sequence >= self.tail() {
            return None;
        }
        let (block, empty) = self.block_and_empty(sequence);
        // SAFETY: as in `cell`.
        let block = unsafe { &*block };
        let cell = &block.slots[offset(sequence)];
        let value = cell.get();
        if !is_wanted(value) {
            return None;
        }
        cell.set(empty);
        self.gone.set(self.gone.get() + 1);
        let gone = block.marks.get() + 1;
        block.marks.set(gone);
        if gone == BLOCK {
            self.retire(sequence);
        }
        Some(value)
    }

    #[inline]
    fn block_and_empty(&self, sequence: u64) -> (*const Block<T>, T) {
        let blocks = self.blocks.borrow();
        (blocks.at(sequence), blocks.empty)
    }

    /// Notes that the element which was popped was a tombstone.
    #[inline]
    pub fn count_tombstone(&self) {
        self.gone.set(self.gone.get() - 1);
    }

    /// All elements of this one's block have been taken out (some of the tombstones popped, perhaps).
    #[cold]
    #[inline(never)]
    fn retire(&self, sequence: u64) {
        let head = self.head();
        let mut blocks = self.blocks.borrow_mut();
        blocks.retire(sequence);
        if head / BLOCK_U64 == sequence / BLOCK_U64 {
            self.first.set(blocks.at(head).cast::<Cell<T>>().wrapping_add(offset(head)));
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
    /// `make` returns is known to differ from `None`; an element would have to be compared for that.)
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
    /// runs empty in mid-block goes on in the same block, which stays warm.) Then jumps over blocks
    /// of tombstones.
    #[cold]
    #[inline(never)]
    fn leave_block(&self, sequence: u64) {
        let mut blocks = self.blocks.borrow_mut();
        blocks.end(sequence);
        while !self.is_empty() && blocks.is_tombstone_block(self.head()) {
            blocks.end(self.head());
            self.head.set(self.head() + BLOCK_U64);
            self.gone.set(self.gone.get() - BLOCK_U64);
        }
        if !self.is_empty() {
            self.first.set(blocks.at(self.head()).cast());
        }
    }

    /// Changes places with another queue.
    pub fn swap(&self, other: &Ring<T>) {
        self.head.swap(&other.head);
        self.tail.swap(&other.tail);
        self.gone.swap(&other.gone);
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
        if blocks.directory.is_empty() {
            return; // Never used.
        }
        for _ in 0..blocks.spare.end_period() {
            if blocks.spares.len() <= keep / BLOCK + 2 {
                return;
            }
            if let Some(block) = blocks.spares.pop() {
                blocks.spare.one_less();
                blocks.free(block);
            }
        }
    }
}

/// Blocks from the head's to the tail's. (A queue that is empty in mid-block has one.)
fn blocks_between(head: u64, tail: u64) -> usize {
    (tail.div_ceil(BLOCK_U64) - head / BLOCK_U64) as usize
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
            None => self.make()?,
        };
        // SAFETY: made by `make`, and nobody else's.
        unsafe { &*block }.marks.set(0);
        let place = self.place(tail);
        self.directory[place] = block;
        Ok(block)
    }

    fn make(&mut self) -> Result<*mut Block<T>> {
        let block = try_block(|| Cell::new(self.empty), || (), Cell::new(0))?;
        self.spare.made();
        Ok(Box::into_raw(block))
    }

    fn free(&mut self, block: *mut Block<T>) {
        self.spare.freed();
        // SAFETY: made by `make`; the caller has taken it from the list that it was in.
        drop(unsafe { Box::from_raw(block) });
    }

    /// The last element of its block has been taken.
    fn end(&mut self, sequence: u64) {
        let place = self.place(sequence);
        let block = std::mem::replace(&mut self.directory[place], ptr::null_mut());
        if block == self.tombstones {
            self.tombstone_blocks -= 1;
            if self.tombstone_blocks > 0 {
                return;
            }
            self.tombstones = ptr::null_mut();
        }
        self.put_aside(block);
    }

    fn put_aside(&mut self, block: *mut Block<T>) {
        match try_push(&mut self.spares, block) {
            Ok(()) => self.spare.one_more(),
            // No memory to remember it in.
            Err(_) => self.free(block),
        }
    }

    /// Gives up the block of this element, which holds only tombstones.
    fn retire(&mut self, sequence: u64) {
        let place = self.place(sequence);
        self.tombstone_blocks += 1;
        if self.tombstones.is_null() {
            self.tombstones = self.directory[place];
            return;
        }
        let block = std::mem::replace(&mut self.directory[place], self.tombstones);
        match self.spare.is_enough() {
            true => self.free(block),
            false => self.put_aside(block),
        }
    }

    /// Returns whether the block of this element is the shared one.
    fn is_tombstone_block(&self, sequence: u64) -> bool {
        self.tombstone_blocks > 0 && self.at(sequence) == self.tombstones.cast_const()
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
        let end = tail + count as u64;
        while blocks_between(head, end) > self.directory.len() {
            self.grow_directory(head)?;
        }
        // Beyond the one that the tail is in.
        let blocks = blocks_between(head, end) - blocks_between(head, tail);
        while self.spares.len() < blocks {
            self.spares.try_reserve(1)?;
            let block = self.make()?;
            self.spares.push(block);
            self.spare.one_more();
        }
        Ok(())
    }
}

impl<T> Drop for Blocks<T> {
    fn drop(&mut self) {
        if self.directory.is_empty() {
            return; // Never used: then there are no spares, either.
        }
        let tombstones = self.tombstones;
        let of_elements = self.directory.iter().filter(|block| **block != tombstones);
        for block in of_elements.chain(&self.spares).chain([&tombstones]) {
            if !block.is_null() {
                // SAFETY: made by `make`; each is in one list, once, but for the one of tombstones.
                drop(unsafe { Box::from_raw(*block) });
            }
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

    /// What is taken out is 0 from then on, also where a whole block of it is jumped over.
    #[test]
    fn what_is_taken_out_keeps_no_place_but_its_number() {
        let ring = Ring::new(0u64);
        let mut model = VecDeque::new();
        let mut random = 1u64;
        let mut gone = 0;
        for round in 1..1_000_000u64 {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            // Phases in which most of it is taken out, and phases in which most is popped.
            match (random >> 60, round / 50_000 % 2) {
                (0..6, _) => model.push_back((ring.push(round).unwrap(), round)),
                (6..15, 0) | (15, 1) if !model.is_empty() => {
                    let place = random as usize % model.len().min(5000);
                    let (sequence, value) = model[place];
                    assert_eq!(ring.take_out(sequence, |value| value != 0), (value != 0).then_some(value));
                    gone += u64::from(value != 0);
                    model[place].1 = 0;
                }
                (15, 0) | (6..15, 1) => {
                    let popped = ring.pop();
                    while model.front().is_some_and(|(_, value)| *value == 0) && popped != Some(0) {
                        model.pop_front();
                        gone -= 1;
                    }
                    if popped == Some(0) {
                        ring.count_tombstone();
                        gone -= 1;
                    }
                    assert_eq!(popped, model.pop_front().map(|(_, value)| value));
                    // The jump comes with the pop of what was before it.
                    while model.front().is_some_and(|(sequence, _)| *sequence < ring.head()) {
                        assert_eq!(model.pop_front().map(|(_, value)| value), Some(0));
                        gone -= 1;
                    }
                }
                _ => {}
            }
            assert_eq!(ring.len(), model.len() as u64 - gone);
            if let Some((sequence, value)) = model.get(random as usize % model.len().max(1)) {
                assert_eq!(ring.get(*sequence), Some(*value));
            }
            if round % 1000 == 0 {
                ring.trim(0);
            }
        }
    }

    #[test]
    fn what_is_taken_out_holds_no_memory() {
        let ring = Ring::new(0u8);
        let blocks = || {
            let blocks = ring.blocks.borrow();
            let in_use = blocks_between(ring.head(), ring.tail()) - blocks.tombstone_blocks as usize;
            in_use + usize::from(!blocks.tombstones.is_null()) + blocks.spares.len()
        };
        ring.push(1).unwrap();
        for _ in 0..100 * BLOCK {
            let sequence = ring.push(1).unwrap();
            assert_eq!(ring.take_out(sequence, |value| value == 1), Some(1));
            assert!(blocks() <= 4);
        }
        let sequences: Vec<_> = (0..100 * BLOCK).map(|_| ring.push(1).unwrap()).collect();
        assert!(blocks() > 100);
        sequences.iter().for_each(|sequence| assert!(ring.take_out(*sequence, |_| true).is_some()));
        assert!(blocks() <= 20);
        assert_eq!(ring.pop(), Some(1));
        let mut tombstones = 0;
        while let Some(value) = ring.pop() {
            assert_eq!(value, 0);
            ring.count_tombstone();
            tombstones += 1;
        }
        assert!(tombstones < 2 * BLOCK, "whole blocks of them are jumped over");
        assert_eq!((ring.len(), blocks()), (0, ring.blocks.borrow().spares.len() + 1));
        assert!(ring.blocks.borrow().tombstones.is_null());
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
    fn a_queue_that_is_empty_in_mid_block_has_a_block() {
        let ring = Ring::new(0u8);
        ring.push(1).unwrap();
        ring.pop();
        ring.reserve(4 * BLOCK).unwrap();
        let (spares, directory) = (ring.blocks.borrow().spares.len(), ring.blocks.borrow().directory.len());
        (0..4 * BLOCK).for_each(|_| {
            ring.push(1).unwrap();
        });
        let blocks = ring.blocks.borrow();
        assert_eq!((blocks.spares.len(), blocks.directory.len()), (spares - 4, directory));
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
