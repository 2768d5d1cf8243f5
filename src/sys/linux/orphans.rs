//! Linux: orphans, which are files that were closed here and stay open in a duplicate or in a child.
//!
//! epoll goes on reporting such a file, and it cannot be removed by its number: only a fresh set ends
//! that. How often the set may be renewed, and how often the kernel may be asked while a renewal has
//! to wait, follows from what these cost here: a hundredth of the CPU, on any machine.

use super::epoll::{Poller, cpu_time};
use crate::error::Result;
use crate::sys::clock::monotonic;
use crate::sys::{Change, Timeout};
use std::cell::Cell;

/// A renewal is followed by a pause of so many times the CPU time that it took.
const SHARE: u64 = 100;
/// The shortest pause after a renewal.
const PAUSE: u64 = 5_000_000;
/// The shortest pause after one that failed.
const PAUSE_AFTER_FAILURE: u64 = 20_000_000;
/// The shortest and the longest nap.
const NAP: u64 = 1_000_000;
const LONGEST_NAP: u64 = 100_000_000;

pub struct Orphans {
    /// The set holds some.
    are_there: Cell<bool>,
    /// When the set may be renewed again, on `CLOCK_MONOTONIC`.
    next_renewal: Cell<u64>,
    /// How long the next nap may be.
    nap: Cell<u64>,
}

impl Orphans {
    pub fn new() -> Orphans {
        Orphans { are_there: Cell::new(false), next_renewal: Cell::new(0), nap: Cell::new(NAP) }
    }
}

impl Poller {
    /// An event came from a file that is not watched any more.
    pub fn note_orphan(&self) {
        self.orphans.are_there.set(true);
    }

    /// Returns whether the set reports files that are not watched any more.
    pub fn has_orphans(&self) -> bool {
        self.orphans.are_there.get()
    }

    /// Returns when the set is to be renewed; `u64::MAX`: it need not be.
    pub fn next_renewal(&self) -> u64 {
        if self.has_orphans() { self.orphans.next_renewal.get() } else { u64::MAX }
    }

    /// Called before a wait of `timeout`: ends the orphans, or naps if it is too early for that.
    /// `registrations` returns what the fresh set begins with.
    pub fn end_orphans(
        &mut self,
        timeout: Timeout,
        registrations: impl FnOnce(&Poller) -> Result<Vec<Change>>,
    ) -> Result<()> {
        let left = self.orphans.next_renewal.get().saturating_sub(monotonic());
        if left > 0 {
            return match timeout {
                Timeout::Poll => Ok(()),
                Timeout::For(ns) => self.nap(ns.min(left)),
                Timeout::Forever => self.nap(left),
            };
        }
        let begun = cpu_time();
        let renewed = registrations(self).and_then(|registrations| self.renew(&registrations));
        let cost = cpu_time() - begun;
        let shortest = if renewed.is_ok() { PAUSE } else { PAUSE_AFTER_FAILURE };
        self.orphans.next_renewal.set(monotonic() + shortest.max(SHARE * cost));
        self.orphans.are_there.set(renewed.is_err());
        Ok(())
    }

    /// Waits without looking at the set. (The kernel is asked after it, which costs about as much
    /// again.)
    fn nap(&self, ns: u64) -> Result<()> {
        let begun = cpu_time();
        let napped = self.sleep(ns.min(self.orphans.nap.get()));
        self.orphans.nap.set((2 * SHARE * (cpu_time() - begun)).clamp(NAP, LONGEST_NAP));
        napped
    }
}
