//! A box and a counted pointer (like `std::sync::Arc`) whose making can fail: `Box::new`
//! and `Arc::new` end the process when there is no memory, which a library must not do.
//!
//! What is large is written in its place on the heap, one element after the other: built on the
//! stack first, a block of 17 KB overflows the stack of a small thread or fiber.

use crate::base::sync::{AtomicUsize, Ordering};
use crate::error::Result;
use std::ops::Deref;
use std::ptr::NonNull;

struct Inner<T> {
    count: AtomicUsize,
    value: T,
}

pub struct Counted<T>(NonNull<Inner<T>>);

// SAFETY: as for `Arc`: shared references to `T` on several threads, dropped on any.
unsafe impl<T: Send + Sync> Send for Counted<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Counted<T> {}

impl<T> Counted<T> {
    pub fn new(value: T) -> Result<Self> {
        let inner = try_box(Inner { count: AtomicUsize::new(1), value })?;
        Ok(Counted(NonNull::from(Box::leak(inner))))
    }
}

/// `Box::new`, but returns an error when there is no memory.
pub fn try_box<T>(value: T) -> Result<Box<T>> {
    let mut place = Vec::new();
    place.try_reserve_exact(1)?;
    place.push(value);
    Ok(the_only(place))
}

/// A block of `N` elements in one piece of memory: the parts that are read often, the parts that are
/// not, and the marks of the block as a whole. In this order, so that the elements have the block's
/// alignment.
#[repr(C)]
pub struct Block<S, O, M, const N: usize> {
    pub slots: [S; N],
    pub others: [O; N],
    pub marks: M,
}

/// A block on the heap. No more than one element of it is ever on the stack.
pub fn try_block<S, O, M, const N: usize>(
    mut slot: impl FnMut() -> S,
    mut other: impl FnMut() -> O,
    marks: M,
) -> Result<Box<Block<S, O, M, N>>> {
    let mut place = Vec::<Block<S, O, M, N>>::new();
    place.try_reserve_exact(1)?;
    let block = place.as_mut_ptr();
    // SAFETY: there is room for one block, and nothing in it yet. Each pointer is to a field or an
    // element of that block. (A panic of `slot` or `other` leaves a vector without elements.)
    unsafe {
        let (slots, others) = ((&raw mut (*block).slots).cast::<S>(), (&raw mut (*block).others).cast::<O>());
        for place in 0..N {
            slots.add(place).write(slot());
            others.add(place).write(other());
        }
        (&raw mut (*block).marks).write(marks);
        place.set_len(1);
    }
    Ok(the_only(place))
}

fn the_only<T>(place: Vec<T>) -> Box<T> {
    debug_assert_eq!((place.len(), place.capacity()), (1, 1));
    let one = Box::into_raw(place.into_boxed_slice()).cast::<T>();
    // SAFETY: a boxed slice of one element has the layout of a box of that element.
    unsafe { Box::from_raw(one) }
}

impl<T> Deref for Counted<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: alive as long as this counts.
        unsafe { &self.0.as_ref().value }
    }
}

impl<T> Clone for Counted<T> {
    fn clone(&self) -> Self {
        // SAFETY: alive as long as `self` counts. Relaxed: whoever has one may make more.
        unsafe { self.0.as_ref() }.count.fetch_add(1, Ordering::Relaxed);
        Counted(self.0)
    }
}

impl<T> Drop for Counted<T> {
    fn drop(&mut self) {
        // SAFETY: alive as long as `self` counts.
        let count = unsafe { &self.0.as_ref().count };
        if count.fetch_sub(1, Ordering::Release) == 1 {
            // Everything the others did with it comes before its end. (Not a fence:
            // ThreadSanitizer does not know those.)
            count.load(Ordering::Acquire);
            // SAFETY: the last one; `new` leaked the box.
            drop(unsafe { Box::from_raw(self.0.as_ptr()) });
        }
    }
}
