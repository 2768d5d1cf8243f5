//! What `src/base/sync.rs` is in the library, of loom's parts. See `tests/loom.rs` for the fences.

use loom::sync::atomic;
pub use loom::sync::atomic::{Ordering, fence};
pub use loom::sync::{Mutex, MutexGuard};
pub use loom::thread::yield_now;

/// A number that no other thread has.
pub fn this_thread() -> usize {
    let number = format!("{:?}", loom::thread::current().id());
    number.chars().filter(char::is_ascii_digit).fold(1, |sum, digit| sum * 10 + digit as usize)
}
use std::cell::Cell;

/// Where a `SeqCst` access has its fence; without one it is an `AcqRel` access.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fence {
    Before,
    After,
    Nowhere,
}

thread_local!(pub static FENCE: Cell<Fence> = const { Cell::new(Fence::Nowhere) });

fn ordered<T>(ordering: Ordering, access: impl FnOnce() -> T) -> T {
    let place = if ordering == Ordering::SeqCst { FENCE.get() } else { Fence::Nowhere };
    if place == Fence::Before {
        fence(Ordering::SeqCst);
    }
    let result = access();
    if place == Fence::After {
        fence(Ordering::SeqCst);
    }
    result
}

macro_rules! atomic {
    ($name:ident $(<$generic:ident>)?, $value:ty) => {
        pub struct $name $(<$generic>)? (atomic::$name $(<$generic>)?);

        #[allow(dead_code, reason = "not every type needs every access")]
        impl $(<$generic>)? $name $(<$generic>)? {
            pub fn new(value: $value) -> Self {
                Self(atomic::$name::new(value))
            }
            pub fn load(&self, ordering: Ordering) -> $value {
                ordered(ordering, || self.0.load(ordering))
            }
            pub fn store(&self, value: $value, ordering: Ordering) {
                ordered(ordering, || self.0.store(value, ordering));
            }
            pub fn swap(&self, value: $value, ordering: Ordering) -> $value {
                ordered(ordering, || self.0.swap(value, ordering))
            }
            pub fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                ordered(success, || self.0.compare_exchange(current, new, success, failure))
            }
        }
    };
}

atomic!(AtomicBool, bool);
atomic!(AtomicU8, u8);
atomic!(AtomicUsize, usize);
atomic!(AtomicPtr<T>, *mut T);

/// Fewer than the library's: what is beyond them is to be met here, too.
pub const KNOWN_CALLERS: usize = 1;

impl AtomicU8 {
    pub fn fetch_or(&self, value: u8, ordering: Ordering) -> u8 {
        ordered(ordering, || self.0.fetch_or(value, ordering))
    }
    pub fn fetch_and(&self, value: u8, ordering: Ordering) -> u8 {
        ordered(ordering, || self.0.fetch_and(value, ordering))
    }
}

impl AtomicUsize {
    pub fn fetch_add(&self, value: usize, ordering: Ordering) -> usize {
        ordered(ordering, || self.0.fetch_add(value, ordering))
    }
    pub fn fetch_sub(&self, value: usize, ordering: Ordering) -> usize {
        ordered(ordering, || self.0.fetch_sub(value, ordering))
    }
}
