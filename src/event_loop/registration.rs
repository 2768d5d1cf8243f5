//! Watching descriptors: passes what the watchers ask for (`watch.rs`) to the poller, and the poller's
//! events to the ready queue.

use super::Loop;
use crate::base::slots::SlotId;
use crate::error::{Error, Result};
use crate::event_loop::callback::FdCallback;
use crate::event_loop::handle::{Handle, Kind, RawHandle};
use crate::event_loop::ready::{Entry, Ready};
use crate::event_loop::watch::{self, CLOSED, Change, EDGE, Report, Watch, Watchers, What};
use crate::sys::{Event, Poller, Registered, Timeout, Updated};

/// The result of a wait.
pub(super) struct Asked {
    /// Something is ready, or `wake` was called.
    pub found: bool,
    /// A signal ended the wait.
    pub interrupted: bool,
}

/// What became of the events of a wait.
struct Collected {
    /// At least one was delivered to a watcher.
    delivered: bool,
    /// Whether all of those were put into the ready queue.
    pushed: Result<()>,
}

impl Loop {
    /// Watches a descriptor; see `loop_watch_fd` in the header.
    pub fn watch_fd(&self, fd: i32, mask: u32, callback: FdCallback) -> Result<RawHandle> {
        self.check()?;
        self.may_be_pulled(callback.is_pulled())?;
        check_mask(mask)?;
        let id = self.add_watch(fd, mask, callback)?;
        self.changed();
        Ok(Handle::Slot(Kind::Watch, id).to_raw())
    }

    /// Makes a watcher, for a user or for an object.
    #[inline(always)] // in the one place that counts
    pub(super) fn add_watch(&self, fd: i32, mask: u32, callback: FdCallback) -> Result<SlotId> {
        // The loop's own descriptors cannot be watched: to the user these numbers are not open.
        let mut poller = self.kernel.poller.borrow_mut();
        if fd < 0 || poller.owns(fd) {
            return Err(Error::BAD_FD);
        }
        let mask = mask & !watch::NOW;
        let mut watchers = self.sources.watchers.borrow_mut();
        let id = watchers.insert(fd, mask, callback, |most| poller.expect(most))?;
        if let Err(error) = self.register(&mut watchers, &poller, (id, mask), fd) {
            watchers.slots.release(id);
            return Err(error);
        }
        Ok(id)
    }

    /// Registers at once: this shows whether `fd` can be watched at all, and whether it still is the
    /// file that older watchers of the number watch.
    #[inline(always)]
    fn register(
        &self,
        watchers: &mut Watchers,
        poller: &Poller,
        (id, mask): (SlotId, u32),
        fd: i32,
    ) -> Result<()> {
        let addition = watchers.addition(fd, mask);
        match poller.register(addition) {
            Ok(Registered::New) => {}
            Ok(Registered::Same) => return self.join(watchers, poller, (id, mask), addition),
            Ok(Registered::Unwatchable) => return self.watch_always(watchers, poller, (id, mask), fd),
            Err(error) => return self.refuse_number(watchers, fd, error),
        }
        let added = watchers.added(id, mask, addition, |id, watch| self.end_events_of(id, watch));
        if added.is_err() {
            let _ = poller.remove(Change { what: What::Remove, ..addition });
        }
        added
    }

    /// The same open file is registered under this number.
    #[cold]
    fn join(
        &self,
        watchers: &mut Watchers,
        poller: &Poller,
        (id, mask): (SlotId, u32),
        addition: Change,
    ) -> Result<()> {
        let fd = addition.fd;
        watchers.prepare(fd)?;
        if watchers.is_busy(fd, mask, None) {
            return Err(Error::BUSY);
        }
        if !watchers.is_registered(fd) {
            // An orphan that was opened again under its number.
            self.detach(watchers, fd);
            let change = Change { what: What::Modify, ..addition };
            match poller.update(change)? {
                Updated::Done => watchers.set_registered(change),
                Updated::Gone(error) => return Err(error),
            }
        }
        watchers.link(id);
        Ok(())
    }

    /// The poller cannot watch this file.
    #[cold]
    fn watch_always(
        &self,
        watchers: &mut Watchers,
        poller: &Poller,
        (id, mask): (SlotId, u32),
        fd: i32,
    ) -> Result<()> {
        if mask & watch::ALWAYS == 0 {
            if watchers.is_registered(fd) {
                // The file that was watched under this number was closed.
                self.detach(watchers, fd);
            }
            return Err(Error::UNWATCHABLE);
        }
        watchers.prepare(fd)?;
        let file = poller.file(fd)?;
        let shares = watchers.always_file(fd) == Some(file);
        if shares && watchers.is_busy(fd, mask, None) {
            return Err(Error::BUSY);
        }
        watchers.always(fd, file, id, |id, watch| self.end_events_of(id, watch))
    }

    #[cold]
    fn refuse_number(&self, watchers: &mut Watchers, fd: i32, error: Error) -> Result<()> {
        if error == Error::BAD_FD {
            // The file that was watched under this number was closed.
            self.detach(watchers, fd);
        }
        Err(error)
    }

    /// The fast path of [`Loop::update_watch`].
    #[inline(always)]
    pub(crate) fn update_watch_fast(&self, handle: RawHandle, mask: u32) -> Option<()> {
        if !self.takes_fast_path() {
            return None;
        }
        let id = Handle::slot_from_raw(Kind::Watch, handle)?;
        self.sources.watchers.try_borrow_mut().ok()?.set_plain_mask(id, mask).then_some(())
    }

    /// Gives a watcher another mask; see `loop_watch_update` in the header.
    pub fn update_watch(&self, handle: RawHandle, mask: u32) -> Result<()> {
        self.check()?;
        let id = self.slot_of(handle, Kind::Watch)?;
        let mut watchers = self.sources.watchers.borrow_mut();
        let watch = watchers.get_users(id).ok_or(Error::STALE)?;
        check_mask(mask)?;
        let (mask, now) = (mask & !watch::NOW, mask & watch::NOW != 0);
        let (fd, pending) = (watch.fd, watch.pending);
        if watch.is_detached() {
            return Err(Error::BAD_FD);
        }
        if watchers.is_busy(fd, mask, Some(id)) {
            return Err(Error::BUSY);
        }
        if watchers.is_always(fd) && mask & watch::EVENTS != 0 && mask & watch::ALWAYS == 0 {
            return Err(Error::UNWATCHABLE);
        }
        watchers.set_mask(id, mask);
        if pending != 0 {
            self.narrow_pending(watchers.slots.at(id.index));
        }
        let told = if now { self.apply_change_now(&mut watchers, fd) } else { Ok(()) };
        drop(watchers);
        self.changed();
        told
    }

    /// Updates the registration of a descriptor even if nothing changed. If the file is gone, detaches
    /// its watchers and returns the kernel's error.
    fn apply_change_now(&self, watchers: &mut Watchers, fd: i32) -> Result<()> {
        let poller = self.kernel.poller.borrow();
        let updated = match (watchers.always_file(fd), watchers.change_now(fd)) {
            (Some(file), _) => match poller.file(fd) {
                Ok(other) if other != file => Updated::Gone(Error::NO_FILE),
                Err(error) => Updated::Gone(error),
                Ok(_) => Updated::Done,
            },
            (None, Some(change)) => {
                let updated = poller.update(change)?;
                if updated == Updated::Done {
                    watchers.set_registered(change);
                }
                updated
            }
            (None, None) => Updated::Done,
        };
        match updated {
            Updated::Done => Ok(()),
            Updated::Gone(error) => {
                self.detach(watchers, fd);
                Err(error)
            }
        }
    }

    /// Removes the events from a watcher's ready entry that it no longer asks for.
    fn narrow_pending(&self, watch: &mut Watch) {
        let ready = &self.sources.ready;
        let Some(Entry::Watch { id, events, unref }) = ready.get(watch.pending) else { return };
        match watch.share_of(events) {
            0 => {
                ready.discard(watch.pending);
                watch.pending = 0;
            }
            events => ready.set(watch.pending, Entry::Watch { id, events, unref }),
        }
    }

    /// Returns a watcher's mask.
    pub fn watch_events(&self, handle: RawHandle) -> Result<u32> {
        self.check()?;
        let id = self.slot_of(handle, Kind::Watch)?;
        let watchers = self.sources.watchers.borrow();
        match watchers.get_users(id).ok_or(Error::STALE)? {
            watch if watch.is_detached() => Err(Error::BAD_FD),
            watch => Ok(watch.mask()),
        }
    }

    #[inline(always)] // in the cancel that counts
    pub(super) fn end_watch(&self, id: SlotId) -> Result<()> {
        let removed = self.sources.watchers.borrow_mut().remove(id);
        let removed = removed.ok_or(Error::STALE)?;
        if removed.pending != 0 {
            self.sources.ready.discard(removed.pending);
        }
        if let Some(change) = removed.change {
            // Removed in the cancel itself, since a child may hold the file. This fails if the
            // descriptor was closed before.
            let _ = self.kernel.poller.borrow().remove(change);
        }
        self.end_source(Handle::Slot(Kind::Watch, id).to_raw(), removed.extras, removed.arg);
        Ok(())
    }

    /// Registers what changed, then polls or waits, and collects the events.
    #[inline(always)] // removes the code for timeouts where the caller only polls
    pub(super) fn ask_kernel(&self, timeout: Timeout) -> Result<Asked> {
        let mut watchers = self.sources.watchers.borrow_mut();
        let mut poller = self.kernel.poller.borrow_mut();
        let (mut timeout, mut napped) = (timeout, Ok(()));
        if self.kernel.needs_maintenance.get() {
            napped = self.maintain(&mut watchers, &mut poller, timeout);
            // Orphans that report nothing just now must not make the wait twice as long.
            timeout = Timeout::Poll;
        }
        if watchers.has_changes() {
            self.apply_changes(&mut watchers, &poller, false)?;
            if !self.sources.ready.is_empty() {
                // A watcher gets CLOSED.
                timeout = Timeout::Poll;
            }
        }
        let may_sleep = timeout == Timeout::Poll || self.shared.fall_asleep();
        let waited = poller.wait(if may_sleep { timeout } else { Timeout::Poll }).and(napped);
        let woken = self.shared.wake_up();
        let interrupted = match waited {
            Ok(()) => false,
            Err(Error::INTERRUPTED) => true,
            Err(error) => return Err(self.failed_to_ask(woken, error)),
        };
        watchers.count_poll(poller.is_full());
        let mut found = woken;
        if !poller.is_empty() || watchers.has_always() {
            match self.collect_events(&mut watchers, &poller) {
                Ok(delivered) => found |= delivered,
                Err(error) => return Err(self.failed_to_ask(woken, error)),
            }
        }
        Ok(Asked { found, interrupted })
    }

    /// The wait failed: a wake-up that it has consumed is kept for the next one.
    #[cold]
    fn failed_to_ask(&self, woken: bool, error: Error) -> Error {
        if woken {
            self.shared.wake_again();
        }
        error
    }

    /// Registers what changed since the last wait; `all`: also lazy pauses.
    pub(super) fn apply_changes(&self, watchers: &mut Watchers, poller: &Poller, all: bool) -> Result<()> {
        while let Some(change) = watchers.next_change(all) {
            match poller.update(change) {
                Ok(Updated::Done) => watchers.set_registered(change),
                // The watchers of the old file are detached.
                Ok(Updated::Gone(_)) => self.detach(watchers, change.fd),
                Err(error) => {
                    watchers.try_again(change.fd);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// The file behind `fd` is gone.
    pub(super) fn detach(&self, watchers: &mut Watchers, fd: i32) {
        watchers.detach_all(fd, |id, watch| self.end_events_of(id, watch));
        if watchers.owes() {
            self.see_owed();
        }
    }

    /// A watcher's file is gone: discards its entry in the ready queue, and queues CLOSED if it asks for
    /// that.
    #[cold]
    pub(super) fn end_events_of(&self, id: SlotId, watch: &mut Watch) -> Result<()> {
        let pending = std::mem::take(&mut watch.pending);
        if pending != 0 {
            self.sources.ready.discard(pending);
        }
        if watch.mask() & CLOSED != 0 {
            let entry = Entry::Watch { id, events: CLOSED, unref: watch.is_unref() };
            watch.pending = self.sources.ready.push(entry)?;
        }
        Ok(())
    }

    /// Returns whether a number still refers to the file that is watched under it.
    pub(super) fn is_same_file(&self, watchers: &Watchers, fd: i32) -> Result<bool> {
        let poller = self.kernel.poller.borrow();
        match (watchers.registration(fd), watchers.always_file(fd)) {
            (Some(registration), _) => poller.is_registered(registration),
            (None, Some(file)) => Ok(poller.file(fd) == Ok(file)),
            (None, None) => Ok(false),
        }
    }

    /// Puts the poller's events into the ready queue. Returns whether any was delivered to a watcher.
    #[inline(never)]
    fn collect_events(&self, watchers: &mut Watchers, poller: &Poller) -> Result<bool> {
        let mut collected = Collected { delivered: false, pushed: Ok(()) };
        let ready = &self.sources.ready;
        for event in poller.events() {
            if let Some((id, watch, events)) = watchers.report_fast(event.token, event.events)
                && let Ok(sequence) = ready.push(Entry::Watch { id, events, unref: false })
            {
                watch.pending = sequence;
                collected.delivered = true;
                continue;
            }
            self.collect_event(watchers, poller, event, &mut collected);
        }
        if watchers.has_always() {
            self.collect_always(watchers, poller)?;
            collected.delivered = true;
        }
        match collected.pushed {
            // What was queued runs first; the kernel reports the rest again.
            Err(error) if ready.is_empty() => Err(error),
            _ => Ok(collected.delivered),
        }
    }

    #[cold]
    fn collect_always(&self, watchers: &mut Watchers, poller: &Poller) -> Result<()> {
        let emit = |id, watch: &mut Watch, share| push_event(&self.sources.ready, id, watch, share);
        let closed = watchers.report_always(|fd, file| poller.file(fd) == Ok(file), emit)?;
        if let Some(fd) = closed {
            self.detach(watchers, fd);
        }
        Ok(())
    }

    /// The slow path of [`Loop::collect_events`], for one event.
    #[inline(never)]
    fn collect_event(
        &self,
        watchers: &mut Watchers,
        poller: &Poller,
        event: Event,
        collected: &mut Collected,
    ) {
        let emit = |id, watch: &mut Watch, share| {
            let result = push_event(&self.sources.ready, id, watch, share);
            collected.pushed = collected.pushed.and(result);
            result
        };
        match watchers.report(event.token, event.events, emit) {
            Report::Delivered => collected.delivered = true,
            Report::Unwanted => {}
            Report::Orphan => self.see_orphan(poller),
            Report::Check(change) => {
                collected.delivered = true;
                self.check_registration(watchers, poller, change);
            }
        }
    }

    #[cold]
    fn check_registration(&self, watchers: &mut Watchers, poller: &Poller, change: Change) {
        if poller.is_registered(change) == Ok(false) {
            self.detach(watchers, change.fd);
            self.see_orphan(poller);
        }
    }
}

/// Puts an event into the ready queue, or updates the entry that the watcher has there already.
#[inline]
fn push_event(ready: &Ready, id: SlotId, watch: &mut Watch, share: u32) -> Result<()> {
    if watch.pending != 0 && renew_event(ready, id, watch, share) {
        return Ok(());
    }
    watch.pending = ready.push(Entry::Watch { id, events: share, unref: watch.is_unref() })?;
    Ok(())
}

#[cold]
fn renew_event(ready: &Ready, id: SlotId, watch: &Watch, share: u32) -> bool {
    let Some(Entry::Watch { events, unref, .. }) = ready.get(watch.pending) else { return false };
    let events = if watch.mask() & EDGE != 0 { events | share } else { share };
    ready.set(watch.pending, Entry::Watch { id, events, unref });
    true
}

fn check_mask(mask: u32) -> Result<()> {
    match mask & !(watch::MASK | watch::NOW) {
        0 => Ok(()),
        _ => Err(Error::MASK),
    }
}
