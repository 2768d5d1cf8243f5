//! What the cross-thread parts are made of, in one place, so that `tests/loom.rs` can
//! compile the same files with loom's types instead.

pub use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicUsize, Ordering};
pub use std::sync::{Mutex, MutexGuard};
pub use std::thread::yield_now;

/// How many threads that are inside a wake hook at once are known one by one.
pub const KNOWN_CALLERS: usize = 8;
