//! The number of the calling thread: one load where the processor keeps a thread pointer.
//!
//! No two living threads share a number, but a new thread may get the number of one that has
//! ended. So a loop that is bound to its thread also checks its [`Binding`], but only while it is at
//! rest: while a run is on the stack, its thread lives. The frequent calls do not pay for it.

use crate::base::counted::Counted;
use crate::error::{Error, Result};
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

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

/// A thread, as long as somebody remembers it: until then no other one has this address.
struct Mark {
    has_ended: AtomicBool,
}

/// The thread that a loop is bound to, if it is bound: never mistaken for a later one.
///
/// The pointer is null or [`Counted::into_raw`] of a mark. It changes in a forked child alone,
/// before that has other threads, so it is read `Relaxed`.
pub struct Binding(AtomicPtr<c_void>);

impl Binding {
    /// Bound to no thread.
    pub const fn none() -> Binding {
        Binding(AtomicPtr::new(std::ptr::null_mut()))
    }

    /// Bound to the thread that calls.
    pub fn to_current() -> Result<Binding> {
        Ok(Binding(AtomicPtr::new(mark_of_current()?.into_raw())))
    }

    fn pointer(&self) -> *mut c_void {
        self.0.load(Ordering::Relaxed)
    }

    /// Returns whether there is a thread that it is bound to.
    pub fn is_some(&self) -> bool {
        !self.pointer().is_null()
    }

    /// Returns whether it is bound to the thread that calls.
    pub fn is_here(&self) -> bool {
        // What this thread remembers is alive, and so is what `self` does: equal addresses are
        // the same mark.
        self.is_some() && self.pointer() == remembered()
    }

    /// Returns whether the thread has ended. What it did before is seen then.
    pub fn has_ended(&self) -> bool {
        if !self.is_some() {
            return false;
        }
        // SAFETY: of `into_raw`, and not taken back before `drop`.
        let mark = std::mem::ManuallyDrop::new(unsafe { Counted::<Mark>::from_raw(self.pointer()) });
        mark.has_ended.load(Ordering::Acquire)
    }

    /// In a forked child, by its only thread: it is bound to this one from now on.
    pub fn move_here(&self) -> Result<()> {
        if self.is_some() && !self.is_here() {
            let before = self.pointer();
            self.0.store(mark_of_current()?.into_raw(), Ordering::Relaxed);
            // SAFETY: of `into_raw`, and nobody finds it here any more. (A thread that does not exist
            // in the child counts for ever.)
            drop(unsafe { Counted::<Mark>::from_raw(before) });
        }
        Ok(())
    }
}

impl Drop for Binding {
    fn drop(&mut self) {
        if !self.is_some() {
            return;
        }
        let is_here = self.is_here();
        // SAFETY: of `into_raw`, and this is its only use.
        let mark = unsafe { Counted::<Mark>::from_raw(self.pointer()) };
        if is_here && mark.count() == 2 {
            // The last binding of this thread: it need not be remembered any more. (No other thread
            // counts it up or down while this one lives.)
            forget_current();
        }
    }
}

/// The key under which a thread keeps its mark, plus 1; 0: not made yet. (Not a thread-local with a
/// destructor: these end the process when there is no memory for them, and those of the main
/// thread run before the functions of `atexit`.)
static KEY: AtomicU64 = AtomicU64::new(0);

fn key() -> Option<libc::pthread_key_t> {
    let key = KEY.load(Ordering::Relaxed);
    (key != 0).then(|| (key - 1) as libc::pthread_key_t)
}

fn key_or_make() -> Result<libc::pthread_key_t> {
    if let Some(key) = key() {
        return Ok(key);
    }
    let mut fresh: libc::pthread_key_t = 0;
    // SAFETY: writes one key; the function fits the values that are stored under it.
    check(unsafe { libc::pthread_key_create(&mut fresh, Some(thread_ends)) })?;
    match KEY.compare_exchange(0, u64::from(fresh) + 1, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => Ok(fresh),
        Err(others) => {
            // SAFETY: just made, and used by nobody.
            unsafe { libc::pthread_key_delete(fresh) };
            Ok((others - 1) as libc::pthread_key_t)
        }
    }
}

/// The mark of the thread that calls; null if it has none.
fn remembered() -> *mut c_void {
    // SAFETY: a key of ours, never deleted.
    key().map_or(std::ptr::null_mut(), |key| unsafe { libc::pthread_getspecific(key) })
}

fn mark_of_current() -> Result<Counted<Mark>> {
    let pointer = remembered();
    if !pointer.is_null() {
        // SAFETY: of `into_raw` below, and the thread keeps its own.
        let kept = std::mem::ManuallyDrop::new(unsafe { Counted::<Mark>::from_raw(pointer) });
        return Ok(Counted::clone(&kept));
    }
    let key = key_or_make()?;
    let mark = Counted::new(Mark { has_ended: AtomicBool::new(false) })?;
    // SAFETY: a key of ours.
    check(unsafe { libc::pthread_setspecific(key, mark.as_raw()) })?;
    // The thread counts, too.
    let _ = mark.clone().into_raw();
    Ok(mark)
}

/// The thread that calls no longer keeps its mark.
fn forget_current() {
    let Some(key) = key() else { return };
    let pointer = remembered();
    // SAFETY: a key of ours. (To store null needs no memory.)
    if !pointer.is_null() && check(unsafe { libc::pthread_setspecific(key, std::ptr::null()) }).is_ok() {
        // SAFETY: of `mark_of_current`, and the thread's.
        drop(unsafe { Counted::<Mark>::from_raw(pointer) });
    }
}

/// A thread with a mark ends.
unsafe extern "C" fn thread_ends(pointer: *mut c_void) {
    // SAFETY: of `mark_of_current`, and the thread's; the system calls this once for it.
    let mark = unsafe { Counted::<Mark>::from_raw(pointer) };
    mark.has_ended.store(true, Ordering::Release);
}

fn check(code: libc::c_int) -> Result<()> {
    match code {
        0 => Ok(()),
        code => Err(Error::from_os(code)),
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
            let binding = Binding::to_current().unwrap();
            assert!(binding.is_here() && !binding.has_ended());
            binding
        });
        let binding = binding.join().unwrap();
        assert!(binding.has_ended());
        // Each next thread mostly has the address of the last one.
        for _ in 0..100 {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let own = Binding::to_current().unwrap();
                    assert!(own.is_here() && !binding.is_here());
                });
            });
        }
        binding.move_here().unwrap();
        assert!(binding.is_here() && !binding.has_ended());
        drop(binding);
        assert!(remembered().is_null());
        assert!(!Binding::none().is_here() && !Binding::none().has_ended());
    }
}
