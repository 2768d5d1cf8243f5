//! Noticing a fork for the price of a load.
//!
//! One page per process holds a number; the kernel empties it in a forked child
//! (`MADV_WIPEONFORK`). A loop remembers the number it was made under: if the page
//! holds another number, the loop is the parent's. Where the kernel cannot do this (before
//! Linux 4.14, and under some tools), a fork goes unnoticed.

use crate::sys::thread;
use std::sync::Once;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

static FALLBACK: AtomicUsize = AtomicUsize::new(0);
static PAGE: AtomicPtr<AtomicUsize> = AtomicPtr::new(std::ptr::null_mut());
static PAGE_IS_MADE: Once = Once::new();
static LAST: AtomicUsize = AtomicUsize::new(0);
/// The numbers of processes begin in the upper bits, where those of threads (addresses) have
/// none: so [`Process::here`] may mix the two.
const NUMBER_BITS: u32 = 16;

/// The process that something was made in. The numbers are `Relaxed`: they are compared, and
/// nothing else is read on the strength of them.
pub struct Process {
    page: &'static AtomicUsize,
    number: AtomicUsize,
}

impl Process {
    /// The process that calls.
    pub fn current() -> Process {
        // Relaxed: `call_once` returns after the one call has, to every thread.
        PAGE_IS_MADE.call_once(|| PAGE.store(make_page(), Ordering::Relaxed));
        // SAFETY: either the static or a mapping that is never taken back.
        let page: &'static AtomicUsize = unsafe { &*PAGE.load(Ordering::Relaxed) };
        let process = Process { page, number: AtomicUsize::new(0) };
        process.adopt();
        process
    }

    /// A number for the thread that calls in the process that calls: another one on every other
    /// thread, and another one in a forked child.
    #[inline(always)]
    pub fn here(&self) -> usize {
        thread::current_xor(self.page.load(Ordering::Relaxed))
    }

    /// Returns the present process, to check later whether it has forked.
    #[inline(always)]
    pub fn now(&self) -> Now {
        Now { page: self.page, number: self.page.load(Ordering::Relaxed) }
    }

    /// Returns whether the calling process is still the same.
    #[inline]
    pub fn is_current(&self) -> bool {
        self.page.load(Ordering::Relaxed) == self.number.load(Ordering::Relaxed)
    }

    /// Belongs to the process that calls, from now on.
    pub fn adopt(&self) {
        let mut number = self.page.load(Ordering::Relaxed);
        if number == 0 {
            // The first one here, or the first one in a forked child.
            let fresh = (LAST.fetch_add(1, Ordering::Relaxed) + 1).rotate_right(NUMBER_BITS);
            let exchanged = self.page.compare_exchange(0, fresh, Ordering::Relaxed, Ordering::Relaxed);
            number = exchanged.map_or_else(|other| other, |_| fresh);
        }
        self.number.store(number, Ordering::Relaxed);
    }
}

/// The process in a certain moment.
pub struct Now {
    page: &'static AtomicUsize,
    number: usize,
}

impl Now {
    /// Returns whether the process has forked meanwhile and this is the child.
    #[inline(always)]
    pub fn is_over(&self) -> bool {
        self.page.load(Ordering::Relaxed) != self.number
    }
}

fn make_page() -> *mut AtomicUsize {
    const SIZE: usize = 4096;
    let fallback = std::ptr::from_ref(&FALLBACK).cast_mut();
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a fresh private mapping; given back only if nobody has seen it.
    unsafe {
        let page = libc::mmap(std::ptr::null_mut(), SIZE, protection, flags, -1, 0);
        if page == libc::MAP_FAILED {
            return fallback;
        }
        if libc::madvise(page, SIZE, libc::MADV_WIPEONFORK) != 0 {
            libc::munmap(page, SIZE);
            return fallback;
        }
        page.cast()
    }
}
