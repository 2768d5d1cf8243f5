//! Asking the processor for memory that will be needed soon.

/// Begins to fetch the line of the cache where `place` begins. Nothing is read, so this is
/// never wrong, only in vain; where the instruction is not known nothing happens.
#[inline(always)]
pub fn prefetch<T>(place: &T) {
    let place: *const T = place;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instruction reads nothing that the program could see.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(place.cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{}]", in(reg) place, options(nostack, readonly, preserves_flags));
    }
    let _ = place;
}
