//! Time in nanoseconds: the system's monotonic clock, or one that a test moves.

use std::sync::atomic::{AtomicU64, Ordering};

pub enum Clock {
    /// `CLOCK_MONOTONIC`, which stops while the machine is suspended.
    System,
    /// Moves only when it is moved: to the next deadline by a wait with nothing else to do
    /// (`jumps`), or by `loop_advance`.
    /// (`Relaxed`: a number that any thread may read, and nothing else hangs on it.)
    Virtual { now: AtomicU64, jumps: bool },
}

impl Clock {
    #[inline]
    pub fn now(&self) -> u64 {
        match self {
            Clock::System => monotonic(),
            Clock::Virtual { now, .. } => now.load(Ordering::Relaxed),
        }
    }

    /// Moves a virtual clock forward. Returns `false` if it is the system's.
    pub fn advance_to(&self, time: u64) -> bool {
        match self {
            Clock::System => false,
            Clock::Virtual { now, .. } => {
                now.fetch_max(time, Ordering::Relaxed);
                true
            }
        }
    }

    #[inline]
    pub fn is_virtual(&self) -> bool {
        matches!(self, Clock::Virtual { .. })
    }

    pub fn is_manual(&self) -> bool {
        matches!(self, Clock::Virtual { jumps: false, .. })
    }
}

/// `CLOCK_MONOTONIC` in nanoseconds; wraps after 584 years of uptime.
#[inline]
pub fn monotonic() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec, and the clock exists on every system.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
