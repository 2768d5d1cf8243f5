//! How memory grows and goes back, for all structures of the loop.
//!
//! Everything grows by blocks of a fixed number of elements that never move, so no
//! call ever copies a table (a doubling vector of a million entries stalls for
//! milliseconds), and every growth can fail without harm. Emptied blocks are kept for
//! the next burst and given back a few at a time: [`Spare`] decides how many.

use crate::error::Result;

/// Elements in a block. At 24 to 64 bytes each a block is small enough to fill in
/// microseconds and large enough that the directory of blocks stays tiny.
pub const BLOCK: usize = 1024;

/// Appends, or returns an error when there is no memory.
pub fn try_push<T>(vec: &mut Vec<T>, value: T) -> Result<()> {
    if vec.len() == vec.capacity() {
        vec.try_reserve(1)?;
    }
    vec.push(value);
    Ok(())
}

/// How many empty blocks there are, and how many of them to give back.
///
/// At the end of a period half of the blocks that stayed empty all through it may go,
/// at most so many at once: a steady load keeps what it needs and never allocates, a
/// burst's memory is gone after a dozen periods.
///
/// What a burst of cancelled sources has left is not kept at all ([`Spare::is_enough`]), unless the
/// last period needed as much.
/// (Numbers of blocks in 32 bits: a loop has several queues, and is small.)
pub struct Spare {
    count: u32,
    low: u32,
    /// All blocks, in use or not, and the most of them in this period.
    all: u32,
    most: u32,
    /// How many were in use at once in the last period.
    needed: u32,
}

impl Spare {
    const AT_MOST: u32 = 128;
    /// So many may be kept beyond what the last period needed.
    const MORE: u32 = 16;
    pub const NEW: Spare = Spare { count: 0, low: 0, all: 0, most: 0, needed: 0 };

    /// A block has been allocated.
    pub fn made(&mut self) {
        self.all += 1;
        self.most = self.most.max(self.all);
    }

    /// A block has been freed.
    pub fn freed(&mut self) {
        self.all -= 1;
    }

    pub fn one_more(&mut self) {
        self.count += 1;
    }

    pub fn one_less(&mut self) {
        self.count -= 1;
        self.low = self.low.min(self.count);
    }

    /// Returns whether enough empty blocks are kept.
    pub fn is_enough(&self) -> bool {
        self.all > self.needed + Self::MORE
    }

    /// Ends a period; the caller frees as many blocks as this returns, and calls
    /// [`Spare::one_less`] and [`Spare::freed`] for each.
    pub fn end_period(&mut self) -> u32 {
        self.needed = self.most - self.low;
        let surplus = self.low.div_ceil(2).min(Self::AT_MOST);
        self.low = self.count - surplus;
        self.most = self.all - surplus;
        surplus
    }
}

/// A sparse array that is allocated block by block where it is used. Side tables and
/// the table of descriptors are made of it: an index is two loads away.
pub struct Sparse<T, const N: usize> {
    blocks: Vec<Option<Box<[T; N]>>>,
}

impl<T: Clone, const N: usize> Sparse<T, N> {
    pub const fn new() -> Self {
        Sparse { blocks: Vec::new() }
    }

    pub fn get(&self, index: usize) -> Option<&T> {
        let block = self.blocks.get(index / N)?.as_ref()?;
        Some(&block[index % N])
    }

    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        let block = self.blocks.get_mut(index / N)?.as_mut()?;
        Some(&mut block[index % N])
    }

    /// The element, in a block filled with `empty` if there was none.
    pub fn get_or_make(&mut self, index: usize, empty: T) -> Result<&mut T> {
        if self.get(index).is_none() {
            self.make_block(index / N, empty)?;
        }
        match self.get_mut(index) {
            Some(element) => Ok(element),
            None => unreachable!("the block has just been made"),
        }
    }

    #[cold]
    fn make_block(&mut self, number: usize, empty: T) -> Result<()> {
        if number >= self.blocks.len() {
            self.blocks.try_reserve(number + 1 - self.blocks.len())?;
            self.blocks.resize_with(number + 1, || None);
        }
        let mut block = Vec::new();
        block.try_reserve_exact(N)?;
        block.resize(N, empty);
        self.blocks[number] = block.into_boxed_slice().try_into().ok();
        Ok(())
    }

    /// Every element of every block that exists, with its index.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut T)> {
        let blocks = self.blocks.iter_mut().enumerate();
        blocks.flat_map(|(number, block)| {
            let elements = block.iter_mut().flat_map(|block| block.iter_mut());
            elements.enumerate().map(move |(offset, element)| (number * N + offset, element))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparse_array_allocates_only_where_it_is_used() {
        let mut sparse: Sparse<u32, 256> = Sparse::new();
        assert_eq!(sparse.get(100_000), None);
        *sparse.get_or_make(100_000, 7).unwrap() += 1;
        assert_eq!(sparse.get(100_000), Some(&8));
        assert_eq!(sparse.get(100_001), Some(&7));
        assert_eq!(sparse.get(5), None);
        assert_eq!(
            sparse.iter_mut().filter(|(_, v)| **v == 8).map(|(i, _)| i).collect::<Vec<_>>(),
            [100_000]
        );
    }

    fn give(spare: &mut Spare) -> u32 {
        let surplus = spare.end_period();
        for _ in 0..surplus {
            spare.one_less();
            spare.freed();
        }
        surplus
    }

    fn make(spare: &mut Spare, blocks: u32) {
        for _ in 0..blocks {
            spare.made();
            spare.one_more();
        }
    }

    #[test]
    fn spare_blocks_go_slowly_and_a_steady_load_keeps_its_own() {
        let mut spare = Spare::NEW;
        make(&mut spare, 1000);
        assert_eq!(give(&mut spare), 0, "they were in use in this period");
        let mut periods = 0;
        while spare.count > 0 {
            assert!(give(&mut spare) <= Spare::AT_MOST);
            periods += 1;
        }
        assert!((8..20).contains(&periods), "{periods}");

        make(&mut spare, 4);
        give(&mut spare);
        for _ in 0..100 {
            (0..4).for_each(|_| spare.one_less());
            (0..4).for_each(|_| spare.one_more());
            assert_eq!(give(&mut spare), 0, "all four are used in every period");
        }
    }

    #[test]
    fn what_the_last_period_needed_is_kept_for_this_one() {
        let mut spare = Spare::NEW;
        make(&mut spare, 100);
        while spare.is_enough() {
            spare.one_less();
            spare.freed();
        }
        assert_eq!(spare.all, Spare::MORE, "nobody knows yet whether the rest is needed again");
        give(&mut spare);
        make(&mut spare, 100 - Spare::MORE);
        assert!(!spare.is_enough(), "it was");
        (0..10).for_each(|_| assert!(give(&mut spare) < 50));
        assert!(spare.all <= Spare::MORE, "not any more");
        make(&mut spare, 100);
        assert!(spare.is_enough());
    }
}
