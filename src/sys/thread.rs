//! The number of the calling thread: one load where the processor keeps a thread pointer.
//!
//! No two living threads share a number, but a new thread may get the number of one that has
//! ended. So a loop that is bound to its thread also checks its [`Binding`], but only while it is at
//! rest: while a run is on the stack, its thread lives. The frequent calls do not pay for it.

use std::cell::Cell;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

/// A number that no two living threads share; never below 4096.
#[inline]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub fn current() -> usize {
    let pointer: usize;
    // SAFETY: reads the thread control block's pointer to itself (System V ABI, variant
    // II): always mapped, never written after the thread has begun.
    unsafe {
        std::arch::asm!("mov {}, fs:[0]", out(reg) pointer, options(nostack, readonly, preserves_flags, pure));
    }
    pointer
}

/// [`current`] with the bits of `number` turned over.
#[inline(always)]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub fn current_xor(number: usize) -> usize {
    let mut mixed = number;
    // SAFETY: as above. (One instruction; the compiler makes two of a read and a xor.)
    unsafe {
        std::arch::asm!("xor {}, fs:[0]", inout(reg) mixed, options(nostack, readonly, pure));
    }
    mixed
}

/// [`current`] with the bits of `number` turned over.
#[inline(always)]
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub fn current_xor(number: usize) -> usize {
    current() ^ number
}

/// A number that no two living threads share; never below 4096.
#[inline]
#[cfg(all(target_os = "linux", target_arch = "aarch64"))]
pub fn current() -> usize {
    let pointer: usize;
    // SAFETY: reads a register that user code may always read.
    unsafe {
        std::arch::asm!("mrs {}, tpidr_el0", out(reg) pointer, options(nostack, nomem, preserves_flags, pure));
    }
    pointer
}

/// A number that no two living threads share; never below 4096.
#[inline]
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
pub fn current() -> usize {
    thread_local!(static MARK: u8 = const { 0 });
    MARK.with(|mark| std::ptr::from_ref(mark) as usize)
}

/// The thread that a loop is bound to, if it is bound: never mistaken for a later one.
///
/// Each thread that has bound a loop has a number of its own, which is never given out again. (No
/// destructor notes that a thread has ended: thread-specific keys are symbols of glibc 2.34, and
/// destructors of thread-locals end the process when there is no memory for them. The kernel
/// knows.) The fields change in a forked child alone, before that has other threads: `Relaxed`.
pub struct Binding {
    /// 0: bound to no thread.
    number: AtomicU64,
    /// What the kernel calls it.
    tid: AtomicI32,
}

thread_local!(static NUMBER: Cell<u64> = const { Cell::new(0) });

/// The number of the thread that calls, which gets one if it has none.
fn number_of_current() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    NUMBER.with(|number| {
        if number.get() == 0 {
            number.set(LAST.fetch_add(1, Ordering::Relaxed) + 1);
        }
        number.get()
    })
}

fn tid_of_current() -> i32 {
    // SAFETY: asks for a number.
    unsafe { libc::syscall(libc::SYS_gettid) as i32 }
}

impl Binding {
    /// Bound to no thread.
    pub const fn none() -> Binding {
        Binding { number: AtomicU64::new(0), tid: AtomicI32::new(0) }
    }

    /// Bound to the thread that calls.
    pub fn to_current() -> Binding {
        let binding = Binding::none();
        binding.set_here();
        binding
    }

    fn set_here(&self) {
        self.number.store(number_of_current(), Ordering::Relaxed);
        self.tid.store(tid_of_current(), Ordering::Relaxed);
    }

    /// Returns whether there is a thread that it is bound to.
    pub fn is_some(&self) -> bool {
        self.number.load(Ordering::Relaxed) != 0
    }

    /// Returns whether it is bound to the thread that calls.
    pub fn is_here(&self) -> bool {
        self.is_some() && self.number.load(Ordering::Relaxed) == NUMBER.get()
    }

    /// Returns whether the thread has ended. (If the kernel has given its thread id to another thread of
    /// this process, it is taken to live.)
    pub fn has_ended(&self) -> bool {
        if !self.is_some() || self.is_here() {
            return false;
        }
        let tid = self.tid.load(Ordering::Relaxed);
        // SAFETY: signal 0 only asks whether the thread is there.
        unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), tid, 0) != 0 }
    }

    /// In a forked child, by its only thread: it is bound to this one from now on.
    pub fn move_here(&self) {
        if self.is_some() {
            self.set_here();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_differ_and_a_thread_is_itself() {
        let here = current();
        assert_eq!(here, current());
        assert_eq!(here ^ 5 << 48, current_xor(5 << 48));
        assert!(here >= 4096);
        let there = std::thread::spawn(current).join().unwrap();
        // The other thread was alive while this one was.
        assert_ne!(here, there);
    }

    #[test]
    fn a_binding_is_to_one_thread_for_ever() {
        let binding = std::thread::spawn(|| {
            let binding = Binding::to_current();
            assert!(binding.is_here() && !binding.has_ended());
            binding
        });
        let binding = binding.join().unwrap();
        assert!(binding.has_ended());
        // Each next thread mostly has the address of the last one.
        for _ in 0..100 {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let own = Binding::to_current();
                    assert!(own.is_here() && !binding.is_here());
                });
            });
        }
        binding.move_here();
        assert!(binding.is_here() && !binding.has_ended());
        assert!(!Binding::none().is_here() && !Binding::none().has_ended());
    }
}
