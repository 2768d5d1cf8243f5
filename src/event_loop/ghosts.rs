//! Ghosts: files that were closed here and live on in a duplicate or in a child.
//!
//! Such a file reports for ever, and cannot be removed by its number: only a fresh set ends it.
//! How often the set may be renewed, and how often the kernel may be asked while a renewal has
//! to wait, follows from what these cost here: a hundredth of the CPU, on any machine.

use super::Loop;
use crate::error::Result;
use crate::event_loop::watch::Watchers;
use crate::sys::clock::monotonic;
use crate::sys::{Poller, Timeout, cpu_time};

/// A renewal is followed by a pause of so many times the CPU time that it took.
const SHARE: u64 = 100;
/// The shortest pause after a renewal.
const PAUSE: u64 = 5_000_000;
/// The shortest pause after one that failed.
const PAUSE_AFTER_FAILURE: u64 = 20_000_000;
/// The shortest and the longest nap.
const NAP: u64 = 1_000_000;
const LONGEST_NAP: u64 = 100_000_000;

/// What is to be seen to before the next wait.
#[derive(Clone, Copy)]
pub(super) struct Ghosts {
    /// Anything at all.
    pub needs_care: bool,
    /// The set holds ghosts.
    haunting: bool,
    /// When the set may be renewed again, on `CLOCK_MONOTONIC`.
    next_renewal: u64,
    /// How long the next nap may be.
    nap: u64,
}

impl Ghosts {
    pub const NONE: Ghosts = Ghosts { needs_care: false, haunting: false, next_renewal: 0, nap: NAP };
}

impl Loop {
    #[cold]
    pub(super) fn see_ghost(&self) {
        self.kernel.ghosts.set(Ghosts { needs_care: true, haunting: true, ..self.kernel.ghosts.get() });
    }

    /// A watcher has to be told that its file was closed, and there was no memory for it.
    #[cold]
    pub(super) fn see_owed(&self) {
        self.kernel.ghosts.set(Ghosts { needs_care: true, ..self.kernel.ghosts.get() });
    }

    /// When the host has to come to renew the set; `u64::MAX`: it need not.
    pub(super) fn next_renewal(&self) -> u64 {
        match self.kernel.ghosts.get() {
            Ghosts { haunting: true, next_renewal, .. } => next_renewal,
            _ => u64::MAX,
        }
    }

    /// Before a wait of the loop's own.
    #[cold]
    pub(super) fn take_care(
        &self,
        watchers: &mut Watchers,
        poller: &mut Poller,
        timeout: Timeout,
    ) -> Result<()> {
        match watchers.tell_owed(|id, watch| self.let_go(id, watch)) {
            // What is ready runs first.
            Err(error) if self.sources.ready.is_empty() => return Err(error),
            _ => {}
        }
        let ghosts = self.kernel.ghosts.get();
        let napped = match ghosts.haunting {
            true => self.end_ghosts(watchers, poller, timeout),
            false => Ok(()),
        };
        let ghosts = self.kernel.ghosts.get();
        self.kernel.ghosts.set(Ghosts { needs_care: ghosts.haunting || watchers.owes(), ..ghosts });
        napped
    }

    /// A host would be woken by a ghost again and again: until the set may be renewed, its
    /// descriptor looks only at time.
    pub(super) fn end_ghosts_for_host(&self, watchers: &mut Watchers, poller: &mut Poller) {
        if self.kernel.ghosts.get().needs_care {
            let _ = self.take_care(watchers, poller, Timeout::Poll);
            poller.mute(self.kernel.ghosts.get().haunting);
        }
    }

    fn end_ghosts(&self, watchers: &mut Watchers, poller: &mut Poller, timeout: Timeout) -> Result<()> {
        let left = self.kernel.ghosts.get().next_renewal.saturating_sub(monotonic());
        if left > 0 {
            return match timeout {
                _ if !self.sources.ready.is_empty() => Ok(()),
                Timeout::Poll => Ok(()),
                Timeout::For(ns) => self.nap(poller, ns.min(left)),
                Timeout::Forever => self.nap(poller, left),
            };
        }
        let begun = cpu_time();
        let haunting = self.renew_set(watchers, poller).is_err();
        let cost = cpu_time() - begun;
        let shortest = if haunting { PAUSE_AFTER_FAILURE } else { PAUSE };
        let next_renewal = monotonic() + shortest.max(SHARE * cost);
        self.kernel.ghosts.set(Ghosts { haunting, next_renewal, ..self.kernel.ghosts.get() });
        Ok(())
    }

    /// Waits without looking at the set. (The kernel is asked after it, which costs about as much
    /// again.)
    fn nap(&self, poller: &Poller, ns: u64) -> Result<()> {
        let ghosts = self.kernel.ghosts.get();
        let begun = cpu_time();
        let napped = poller.nap(ns.min(ghosts.nap));
        let nap = (2 * SHARE * (cpu_time() - begun)).clamp(NAP, LONGEST_NAP);
        self.kernel.ghosts.set(Ghosts { nap, ..ghosts });
        napped
    }

    fn renew_set(&self, watchers: &mut Watchers, poller: &mut Poller) -> Result<()> {
        let mut registrations = watchers.registrations_to_vec()?;
        // Is the file behind each number still the one that was registered?
        let mut asked = Ok(());
        registrations.retain(|change| {
            let is_same = poller.is_registered(*change);
            if is_same == Ok(false) {
                self.detach(watchers, change.fd);
            }
            asked = asked.and(is_same.map(drop));
            is_same == Ok(true)
        });
        asked?;
        poller.renew(&registrations)
    }
}
