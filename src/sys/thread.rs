//! Which thread is this? One load where the processor keeps a thread pointer.

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

#[cfg(test)]
mod tests {
    #[test]
    fn threads_differ_and_a_thread_is_itself() {
        let here = super::current();
        assert_eq!(here, super::current());
        assert_eq!(here ^ 5 << 48, super::current_xor(5 << 48));
        assert!(here >= 4096);
        let there = std::thread::spawn(super::current).join().unwrap();
        // The other thread was alive while this one was.
        assert_ne!(here, there);
    }
}
