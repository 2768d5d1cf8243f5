//! A box and a counted pointer (like `std::sync::Arc`) whose making can fail: `Box::new`
//! and `Arc::new` end the process when there is no memory, and that is not ours to do.

use crate::error::Result;
use crate::sync::{AtomicUsize, Ordering};
use std::ffi::c_void;
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

/// `Box::new`, but without memory it says so.
pub fn try_box<T>(value: T) -> Result<Box<T>> {
    let mut place = Vec::new();
    place.try_reserve_exact(1)?;
    place.push(value);
    Ok(the_only(place))
}

/// Like [`try_box`], for what is large: it is made in its place and not on the stack.
pub fn try_box_with<T>(make: impl FnMut() -> T) -> Result<Box<T>> {
    let mut place = Vec::new();
    place.try_reserve_exact(1)?;
    place.resize_with(1, make);
    Ok(the_only(place))
}

fn the_only<T>(place: Vec<T>) -> Box<T> {
    debug_assert_eq!((place.len(), place.capacity()), (1, 1));
    let one = Box::into_raw(place.into_boxed_slice()).cast::<T>();
    // SAFETY: a boxed slice of one element has the layout of a box of that element.
    unsafe { Box::from_raw(one) }
}

#[allow(dead_code, reason = "tests/loom.rs compiles this file without its user")]
impl<T> Counted<T> {
    /// As a pointer that counts as much as `self`; [`Counted::from_raw`] takes it back.
    pub fn into_raw(self) -> *mut c_void {
        let pointer = self.as_raw();
        std::mem::forget(self);
        pointer
    }

    /// The pointer of [`Counted::into_raw`], which counts nothing here: it tells one value from
    /// another.
    pub fn as_raw(&self) -> *mut c_void {
        self.0.as_ptr().cast()
    }

    /// # Safety
    /// `pointer` is one of `into_raw`'s, of the same type, and this is its only use.
    pub unsafe fn from_raw(pointer: *mut c_void) -> Counted<T> {
        // SAFETY: `into_raw` made it from a pointer that is not null.
        Counted(unsafe { NonNull::new_unchecked(pointer.cast()) })
    }

    /// How many there are, where nobody else can make or drop one meanwhile.
    pub fn count(&self) -> usize {
        // SAFETY: alive as long as `self` counts.
        unsafe { self.0.as_ref() }.count.load(Ordering::Relaxed)
    }
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
