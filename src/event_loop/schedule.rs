//! Making sources: soon, later, at, every, hooks. (Descriptors: `registration.rs`.)

use super::Loop;
use crate::base::slots::SlotId;
use crate::error::{Error, Result};
use crate::event_loop::callback::{Callback, Release, TickCallback};
use crate::event_loop::handle::{Handle, Kind, RawHandle};
use crate::event_loop::hooks::When;
use crate::event_loop::inbox::Post;
use crate::event_loop::ready::Entry;
use crate::event_loop::side_table::{ExtrasRef, Missed, Period};
use crate::event_loop::timer::{NEVER, Timer, Timers};

impl Loop {
    /// Runs a callback in the next turn.
    #[inline]
    pub fn call_soon(&self, callback: Callback) -> Result<RawHandle> {
        self.check()?;
        self.may_be_pulled(callback.is_pulled())?;
        let sequence = self.sources.ready.push(Entry::Soon { callback, unref: false })?;
        self.changed();
        Ok(Handle::Soon(sequence).to_raw())
    }

    /// The fast path of [`Loop::call_soon`].
    #[inline(always)]
    pub(crate) fn call_soon_fast(&self, callback: Callback) -> Option<RawHandle> {
        if !self.takes_fast_path() {
            return None;
        }
        self.sources.ready.push_soon(callback).map(|sequence| sequence as RawHandle)
    }

    /// Runs a callback in the next turn after this moment; any thread.
    pub fn call_soon_threadsafe(&self, callback: Callback, release: Option<Release>) -> Result<()> {
        self.check_open()?;
        self.shared.post(Post { callback, release })
    }

    /// Runs a callback `delay` nanoseconds from now.
    pub fn call_later(&self, delay: u64, callback: Callback) -> Result<RawHandle> {
        self.check()?;
        self.add_timer(self.clock.now().saturating_add(delay), callback)
    }

    /// Runs a callback when the clock says `deadline`.
    pub fn call_at(&self, deadline: u64, callback: Callback) -> Result<RawHandle> {
        self.check()?;
        self.add_timer(deadline, callback)
    }

    /// The fast path of [`Loop::call_at`].
    #[inline(always)]
    pub(crate) fn call_at_fast(&self, deadline: u64, callback: Callback) -> Option<RawHandle> {
        self.add_timer_fast(|| deadline, callback)
    }

    /// The fast path of [`Loop::call_later`].
    #[inline(always)]
    pub(crate) fn call_later_fast(&self, delay: u64, callback: Callback) -> Option<RawHandle> {
        self.add_timer_fast(|| self.clock.now().saturating_add(delay), callback)
    }

    #[inline(always)]
    fn add_timer_fast(&self, deadline: impl FnOnce() -> u64, callback: Callback) -> Option<RawHandle> {
        if !self.takes_fast_path() || callback.is_pulled() {
            return None;
        }
        let deadline = deadline();
        let id = self.sources.timers.borrow_mut().insert_fast(deadline, callback)?;
        Some(Handle::Slot(Kind::Timer, id).to_raw())
    }

    fn add_timer(&self, deadline: u64, callback: Callback) -> Result<RawHandle> {
        self.may_be_pulled(callback.is_pulled())?;
        let mut timers = self.sources.timers.borrow_mut();
        timers.set_time_if_empty(|| self.clock.now());
        let id = timers.insert(deadline, callback, ExtrasRef::NONE)?;
        drop(timers);
        self.changed();
        Ok(Handle::Slot(Kind::Timer, id).to_raw())
    }

    /// Runs a callback `first` nanoseconds from now and then every `interval`.
    pub fn call_every(
        &self,
        first: u64,
        interval: u64,
        missed: Missed,
        callback: TickCallback,
    ) -> Result<RawHandle> {
        self.check()?;
        self.may_be_pulled(callback.is_pulled())?;
        if interval == 0 {
            return Err(Error::INVALID);
        }
        let deadline = self.clock.now().saturating_add(first);
        let mut side_table = self.sources.side_table.borrow_mut();
        let mut extras = ExtrasRef::NONE;
        side_table.get_or_make(&mut extras)?.period = Some(Period { callback, interval, missed });
        let inserted =
            self.sources.timers.borrow_mut().insert(deadline, Callback::pulled(callback.arg), extras);
        if inserted.is_err() {
            side_table.take(extras);
        }
        drop(side_table);
        self.changed();
        Ok(Handle::Slot(Kind::Timer, inserted?).to_raw())
    }

    /// Gives a timer the deadline `delay` nanoseconds from now.
    pub fn reschedule(&self, handle: RawHandle, delay: u64) -> Result<()> {
        self.check()?;
        self.set_deadline(handle, self.clock.now().saturating_add(delay))
    }

    /// Gives a timer another deadline.
    pub fn reschedule_at(&self, handle: RawHandle, deadline: u64) -> Result<()> {
        self.check()?;
        self.set_deadline(handle, deadline)
    }

    /// The fast path of [`Loop::reschedule_at`].
    #[inline(always)]
    pub(crate) fn reschedule_at_fast(&self, handle: RawHandle, deadline: u64) -> Option<()> {
        self.restart_fast(handle, || deadline)
    }

    /// The fast path of [`Loop::reschedule`].
    #[inline(always)]
    pub(crate) fn reschedule_fast(&self, handle: RawHandle, delay: u64) -> Option<()> {
        self.restart_fast(handle, || self.clock.now().saturating_add(delay))
    }

    #[inline(always)]
    fn restart_fast(&self, handle: RawHandle, deadline: impl FnOnce() -> u64) -> Option<()> {
        if !self.takes_fast_path() {
            return None;
        }
        let deadline = deadline();
        let id = Handle::slot_from_raw(Kind::Timer, handle)?;
        self.sources.timers.borrow_mut().restart(id, deadline).then_some(())
    }

    fn set_deadline(&self, handle: RawHandle, deadline: u64) -> Result<()> {
        if let Some(id) = Handle::slot_from_raw(Kind::Object, handle) {
            self.set_object_deadline(id, deadline)?;
            self.changed();
            return Ok(());
        }
        let id = self.slot_of(handle, Kind::Timer)?;
        let mut timers = self.sources.timers.borrow_mut();
        timers.get_users(id).ok_or(Error::STALE)?;
        self.move_timer(&mut timers, id, deadline);
        drop(timers);
        self.changed();
        Ok(())
    }

    /// Gives a timer another deadline. If it is ready, it leaves the queue.
    pub(super) fn move_timer(&self, timers: &mut Timers, id: SlotId, deadline: u64) {
        if let Some(sequence) = timers.slots.get(id).and_then(Timer::place) {
            self.sources.ready.discard(sequence);
        }
        timers.schedule(id, deadline);
    }

    /// Returns the nanoseconds until a timer is due; `i64::MAX` for [`NEVER`].
    pub fn remaining(&self, handle: RawHandle) -> Result<i64> {
        self.check()?;
        let deadline = match Handle::slot_from_raw(Kind::Object, handle) {
            Some(id) => self.object_deadline(id)?,
            None => {
                let id = self.slot_of(handle, Kind::Timer)?;
                let timers = self.sources.timers.borrow();
                let timer = timers.get_users(id).ok_or(Error::STALE)?;
                timer.is_armed().then_some(timer.deadline())
            }
        };
        Ok(deadline.map_or(0, |deadline| self.time_left(deadline)))
    }

    /// Returns the nanoseconds until a deadline; `i64::MAX` for [`NEVER`].
    pub(super) fn time_left(&self, deadline: u64) -> i64 {
        let left = match deadline {
            NEVER => NEVER,
            deadline => deadline.saturating_sub(self.clock.now()),
        };
        i64::try_from(left).unwrap_or(i64::MAX)
    }

    /// Adds a hook. Only an `OnInterrupt` hook may have no callback: then it is handed out.
    pub fn add_hook(&self, when: When, callback: Callback) -> Result<RawHandle> {
        self.check()?;
        let may_be_pulled = self.pull.is_some() && when == When::OnInterrupt;
        if callback.is_pulled() && !may_be_pulled {
            return Err(Error::NO_CALLBACK);
        }
        let id = self.sources.hooks.borrow_mut().insert(when, callback)?;
        Ok(Handle::Slot(Kind::Hook, id).to_raw())
    }

    /// Returns an error for a source without a callback, unless the loop is in pull mode.
    #[inline]
    pub(super) fn may_be_pulled(&self, is_pulled: bool) -> Result<()> {
        match is_pulled && self.pull.is_none() {
            true => Err(Error::NO_CALLBACK),
            false => Ok(()),
        }
    }
}
