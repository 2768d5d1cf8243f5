//! Maintenance before a wait, which is seldom needed: events of orphans (files that were closed here
//! and stay open elsewhere; the poller ends them), and watchers whose `LOOP_CLOSED` could not be
//! queued for want of memory.

use super::Loop;
use crate::error::Result;
use crate::event_loop::watch::Watchers;
use crate::sys::{Change, Poller, Timeout};

impl Loop {
    #[cold]
    pub(super) fn see_orphan(&self, poller: &Poller) {
        poller.note_orphan();
        self.kernel.needs_maintenance.set(true);
    }

    /// A watcher is owed `LOOP_CLOSED`, for which there was no memory.
    #[cold]
    pub(super) fn see_owed(&self) {
        self.kernel.needs_maintenance.set(true);
    }

    /// Before a wait of the loop's own.
    #[cold]
    pub(super) fn maintain(
        &self,
        watchers: &mut Watchers,
        poller: &mut Poller,
        timeout: Timeout,
    ) -> Result<()> {
        match watchers.report_owed(|id, watch| self.end_events_of(id, watch)) {
            // What is ready runs first.
            Err(error) if self.sources.ready.is_empty() => return Err(error),
            _ => {}
        }
        let timeout = if self.sources.ready.is_empty() { timeout } else { Timeout::Poll };
        let ended = match poller.has_orphans() {
            true => poller.end_orphans(timeout, |poller| self.registrations(watchers, poller)),
            false => Ok(()),
        };
        self.kernel.needs_maintenance.set(poller.has_orphans() || watchers.owes());
        ended
    }

    /// Orphans would wake a host again and again. Until they can be ended, the host's descriptor is
    /// muted and reports only time.
    pub(super) fn maintain_for_host(&self, watchers: &mut Watchers, poller: &mut Poller) {
        if self.kernel.needs_maintenance.get() {
            let _ = self.maintain(watchers, poller, Timeout::Poll);
            poller.mute(poller.has_orphans());
        }
    }

    /// The registrations whose files are still behind their numbers; the others are detached.
    fn registrations(&self, watchers: &mut Watchers, poller: &Poller) -> Result<Vec<Change>> {
        let mut registrations = watchers.registrations_to_vec()?;
        let mut asked = Ok(());
        registrations.retain(|change| {
            let is_same = poller.is_registered(*change);
            if is_same == Ok(false) {
                self.detach(watchers, change.fd);
            }
            asked = asked.and(is_same.map(drop));
            is_same == Ok(true)
        });
        asked.map(|()| registrations)
    }
}
