//! A fork in the middle of a program: both processes go on with it, the child first. The library's
//! child leaves what it saw in memory that its parent shares; the model's child (a process
//! as well, so that the same happens to its files) compares that with the laws.

use super::apart::{Ended, more_patience, wait_for};
use super::trace::{Event, Outcome};
use std::cell::Cell;
use std::ptr::null_mut;

/// A child hangs when it takes longer.
const PATIENCE_SECONDS: u32 = 60;

/// How often a program forks.
pub const MOST_FORKS: usize = 2;

const ROOM: usize = 4 << 20;

/// Memory that a child and its parent both see: a length, and what the child leaves.
struct Shared(*mut u8);

const HEAD: usize = 64;

impl Shared {
    fn new() -> Shared {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        // SAFETY: new memory, all zeros.
        let place = unsafe { libc::mmap(null_mut(), ROOM, protection, flags, -1, 0) };
        assert_ne!(place, libc::MAP_FAILED);
        Shared(place.cast())
    }

    /// Copies the bytes of what has no heap.
    fn leave<T>(&self, things: &[T]) {
        assert!(HEAD + size_of_val(things) <= ROOM);
        // SAFETY: there is room for them, and nobody else writes.
        unsafe {
            self.0.cast::<usize>().write(things.len());
            self.0.add(HEAD).cast::<T>().copy_from_nonoverlapping(things.as_ptr(), things.len());
        }
    }

    fn take<T>(&self) -> Vec<T> {
        // SAFETY: as many as the child has left, of the same type and program.
        unsafe {
            let count = self.0.cast::<usize>().read();
            (0..count).map(|index| self.0.add(HEAD).cast::<T>().add(index).read()).collect()
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: made by `new`, and nobody looks at it any more.
        unsafe { libc::munmap(self.0.cast(), ROOM) };
    }
}

thread_local! {
    /// In a child: where it leaves what it has to say.
    static REPORT: Cell<*mut u8> = const { Cell::new(null_mut()) };
}

pub fn is_child() -> bool {
    !REPORT.get().is_null()
}

/// What [`fork`] returns.
pub enum Forked<T> {
    Child,
    /// The child has ended, and has left this.
    Parent(Ended, Vec<T>),
}

/// Forks; returns in the parent when the child has ended.
pub fn fork<T>() -> Forked<T> {
    let shared = Shared::new();
    // SAFETY: this is the process' only thread, or the others are idle.
    match unsafe { libc::fork() } {
        0 => {
            REPORT.set(shared.0);
            std::mem::forget(shared);
            more_patience(PATIENCE_SECONDS);
            Forked::Child
        }
        child => {
            let ended = wait_for(child);
            Forked::Parent(ended, shared.take())
        }
    }
}

/// Ends a child, which leaves this.
fn end_child<T>(things: &[T]) -> ! {
    Shared(REPORT.get()).leave(things);
    // SAFETY: ends the process.
    unsafe { libc::_exit(0) }
}

/// The library's child is at the end of the program, and saw this since the fork.
pub fn end_real_child(seen: &[Event]) -> ! {
    let has_heap = |event: &Event| matches!(event, Event::Did { outcome: Outcome::Pulled(_), .. });
    assert!(!seen.iter().any(has_heap), "no program in pull mode forks");
    end_child(seen)
}

/// The model's child is at the end: it leaves a text that says what was different, if anything was.
pub fn end_model_child(difference: Option<String>) -> ! {
    end_child(difference.unwrap_or_default().as_bytes())
}
