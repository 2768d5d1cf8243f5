//! The operations on handles of every kind, and how sources end.

use super::{Current, Loop};
use crate::base::slots::SlotId;
use crate::error::{Error, Result};
use crate::event_loop::callback::{Callback, Release};
use crate::event_loop::handle::{Handle, Kind, RawHandle};
use crate::event_loop::ready::Entry;
use crate::event_loop::side_table::ExtrasRef;
use crate::event_loop::timer::State;
use std::ffi::{CStr, c_void};

/// The source that a handle names.
enum Found {
    /// A soon-callback in the ready queue.
    Queued(u64),
    /// A soon-callback that runs, in this run or in an outer one, or is handed out.
    Running(RawHandle),
    Timer(SlotId),
    Watch(SlotId),
    Hook(SlotId),
    Object(SlotId),
}

impl Loop {
    #[inline]
    fn find(&self, handle: RawHandle) -> Result<Found> {
        let found = match Handle::from_raw(handle).ok_or_else(|| Error::of_handle(handle))? {
            Handle::Soon(sequence) => match self.sources.ready.get(sequence) {
                Some(Entry::Soon { .. } | Entry::SoonWithExtras { .. }) => Some(Found::Queued(sequence)),
                _ if self.is_on_stack(handle) => Some(Found::Running(handle)),
                _ if self.with_handed(handle, |_| ()).is_some() => Some(Found::Running(handle)),
                _ => None,
            },
            Handle::Slot(Kind::Timer, id) => {
                self.sources.timers.borrow().get_users(id).map(|_| Found::Timer(id))
            }
            Handle::Slot(Kind::Watch, id) => {
                self.sources.watchers.borrow().get_users(id).map(|_| Found::Watch(id))
            }
            Handle::Slot(Kind::Hook, id) => {
                self.sources.hooks.borrow().slots.get(id).map(|_| Found::Hook(id))
            }
            Handle::Slot(Kind::Object, id) => {
                self.sources.objects.borrow().get(id).map(|_| Found::Object(id))
            }
        };
        found.ok_or(Error::STALE)
    }

    /// Returns the slot that a handle names, if it is of this kind.
    pub(super) fn slot_of(&self, handle: RawHandle, expected: Kind) -> Result<SlotId> {
        match Handle::from_raw(handle) {
            Some(Handle::Slot(kind, id)) if kind == expected => Ok(id),
            _ => self.find(handle).and(Err(Error::KIND)),
        }
    }

    fn is_on_stack(&self, handle: RawHandle) -> bool {
        self.runs.current.handle() == handle || self.is_on_outer_stack(handle)
    }

    /// Calls `change` with the record of a soon-callback that runs or is handed out.
    fn with_running<T>(&self, handle: RawHandle, change: impl FnOnce(&mut Current) -> T) -> Result<T> {
        let mut current = self.runs.current.get();
        if current.handle == handle {
            let result = change(&mut current);
            self.runs.current.set(current);
            return Ok(result);
        }
        if let Some(running) = self.runs.outer.borrow_mut().iter_mut().find(|outer| outer.handle == handle) {
            return Ok(change(running));
        }
        self.with_handed(handle, change).ok_or(Error::STALE)
    }

    /// The fast path of [`Loop::cancel`]: an armed timer whose callback is not on the stack.
    #[inline(always)]
    pub(crate) fn cancel_fast(&self, handle: RawHandle) -> Option<()> {
        let id = Handle::slot_from_raw(Kind::Timer, handle)?;
        if !self.takes_fast_path() || self.runs.depth.get() > 1 || self.runs.current.handle() == handle {
            return None;
        }
        self.sources.timers.borrow_mut().remove_plain(id).then_some(())
    }

    /// Ends a source: its callback will not run.
    pub fn cancel(&self, handle: RawHandle) -> Result<()> {
        self.check()?;
        let found = match Handle::slot_from_raw(Kind::Watch, handle) {
            // Its removal checks whether it is stale.
            Some(id) => Found::Watch(id),
            None if self.cancel_queued(handle) => {
                self.changed();
                return Ok(());
            }
            None => self.find(handle)?,
        };
        match found {
            Found::Queued(_) => {} // (It has been removed.)
            Found::Running(handle) => self.cancel_handed(handle),
            Found::Timer(id) => self.cancel_timer(id, handle),
            Found::Watch(id) => self.end_watch(id)?,
            Found::Hook(id) => {
                let removed = self.sources.hooks.borrow_mut().remove(id);
                if let Some(hook) = removed {
                    self.sources.ready.discard(hook.pending);
                    self.end_source(handle, hook.extras, hook.callback.arg);
                }
            }
            Found::Object(id) => self.cancel_object(id),
        }
        self.changed();
        Ok(())
    }

    /// Ends a soon-callback. Returns `false` if the handle names none in the ready queue.
    #[inline]
    fn cancel_queued(&self, handle: RawHandle) -> bool {
        let Some(Handle::Soon(sequence)) = Handle::from_raw(handle) else { return false };
        let removed = self.sources.ready.remove_soon(sequence);
        if let Some((extras, arg)) = removed {
            self.end_extras(extras, arg);
        }
        removed.is_some()
    }

    fn cancel_timer(&self, id: SlotId, handle: RawHandle) {
        let mut timers = self.sources.timers.borrow_mut();
        let timer = timers.slots.at(id.index);
        let has_fired = timer.has_fired();
        if let Some(sequence) = timer.place() {
            self.sources.ready.remove(sequence);
            timer.set_state(State::Idle);
        }
        // A one-shot's handle lives until its callback returns.
        let is_one_shot = self.sources.side_table.borrow_mut().period(timers.extras(id)).is_none();
        if is_one_shot && (has_fired || self.is_on_stack(handle)) {
            timers.disarm(id);
            timers.slots.at(id.index).set_state(State::Idle);
            return;
        }
        drop(timers);
        self.end_timer(id);
    }

    /// Frees a timer that is not in the ready queue.
    pub(super) fn end_timer(&self, id: SlotId) {
        let ended = self.sources.timers.borrow_mut().remove(id);
        if let Some((extras, arg)) = ended {
            self.end_source(Handle::Slot(Kind::Timer, id).to_raw(), extras, arg);
        }
    }

    /// Frees the extras of a source that was ended by a call: its release falls due, but not
    /// before its callback has returned.
    #[inline]
    pub(super) fn end_source(&self, handle: RawHandle, extras: ExtrasRef, arg: *mut c_void) {
        if extras.is_some() && !self.leave_to_callback(handle, extras, arg) {
            self.free_extras(extras, arg);
        }
    }

    /// If a callback of the source is on the stack, leaves its extras there, so that they are freed
    /// after it; after the outermost, if there are several. (This needs no memory and no search.)
    fn leave_to_callback(&self, handle: RawHandle, extras: ExtrasRef, arg: *mut c_void) -> bool {
        let ended = Current { handle, extras, arg };
        if let Some(running) = self.runs.outer.borrow_mut().iter_mut().find(|outer| outer.handle == handle) {
            *running = ended;
            return true;
        }
        let is_current = self.runs.current.handle() == handle;
        if is_current {
            self.runs.current.set(ended);
        }
        is_current
    }

    /// Frees the extras of a source that has ended; its release falls due.
    #[inline]
    pub(super) fn end_extras(&self, extras: ExtrasRef, arg: *mut c_void) {
        if extras.is_some() {
            self.free_extras(extras, arg);
        }
    }

    fn free_extras(&self, extras: ExtrasRef, arg: *mut c_void) {
        let extras = self.sources.side_table.borrow_mut().take(extras);
        if let Some(release) = extras.and_then(|extras| extras.release) {
            self.sources.releases.fall_due(release, arg);
        }
    }

    /// Returns whether the source's callback can still run, or its event was handed out and has not been
    /// cancelled since.
    pub fn is_active(&self, handle: RawHandle) -> Result<bool> {
        self.check()?;
        Ok(match self.find(handle) {
            // (A negative handle is an error that was passed on.)
            Err(error) if handle < 0 => return Err(error),
            Err(_) => false,
            Ok(Found::Running(handle)) => self.is_handed_out(handle),
            Ok(Found::Timer(id)) => {
                self.sources.timers.borrow_mut().slots.at(id.index).state() != State::Idle
            }
            Ok(Found::Object(id)) => self.is_object_active(id),
            Ok(Found::Watch(id)) => !self.sources.watchers.borrow_mut().slots.at(id.index).is_detached(),
            Ok(Found::Queued(_) | Found::Hook(_)) => true,
        })
    }

    /// Returns the handle of the callback that runs now, or 0.
    pub fn current(&self) -> Result<RawHandle> {
        self.check()?;
        Ok(self.runs.current.handle())
    }

    /// Gives a source's callback another argument. The old one is not released.
    pub fn set_arg(&self, handle: RawHandle, arg: *mut c_void) -> Result<()> {
        self.check()?;
        match self.find(handle)? {
            Found::Queued(sequence) => self.sources.ready.set_arg(sequence, arg),
            Found::Running(handle) => self.with_running(handle, |running| running.arg = arg)?,
            Found::Watch(id) => self.sources.watchers.borrow_mut().slots.at(id.index).callback.arg = arg,
            Found::Hook(id) => self.sources.hooks.borrow_mut().slots.at(id.index).callback.arg = arg,
            Found::Object(id) => self.sources.objects.borrow_mut().at(id.index).callback.arg = arg,
            Found::Timer(id) => {
                let mut timers = self.sources.timers.borrow_mut();
                // Of a periodic timer too: for its release.
                timers.set_arg(id, arg);
                let mut side_table = self.sources.side_table.borrow_mut();
                if let Some(period) =
                    side_table.get(timers.extras(id)).and_then(|extras| extras.period.as_mut())
                {
                    period.callback.arg = arg;
                }
            }
        }
        Ok(())
    }

    /// Calls `change` with a source's reference to its extras.
    fn with_extras_ref<T>(
        &self,
        handle: RawHandle,
        change: impl FnOnce(&mut ExtrasRef) -> Result<T>,
    ) -> Result<T> {
        match self.find(handle)? {
            Found::Queued(sequence) => {
                let entry = self.sources.ready.get(sequence);
                let Some((mut extras, _)) = entry.and_then(Entry::as_soon) else { return Err(Error::STALE) };
                let result = change(&mut extras);
                if let Some(Entry::Soon { callback, unref }) = entry {
                    self.sources.ready.set(sequence, self.soon_entry(callback, extras, unref));
                }
                result
            }
            Found::Running(handle) => self.with_running(handle, |running| change(&mut running.extras))?,
            Found::Timer(id) => {
                let mut timers = self.sources.timers.borrow_mut();
                let mut extras = timers.extras(id);
                let result = change(&mut extras);
                timers.set_extras(id, extras);
                result
            }
            Found::Watch(id) => change(&mut self.sources.watchers.borrow_mut().slots.at(id.index).extras),
            Found::Hook(id) => change(&mut self.sources.hooks.borrow_mut().slots.at(id.index).extras),
            Found::Object(id) => change(&mut self.sources.objects.borrow_mut().at(id.index).extras),
        }
    }

    /// Returns the entry of a soon-callback. If it has extras, its function is stored there.
    pub(super) fn soon_entry(&self, callback: Callback, extras: ExtrasRef, unref: bool) -> Entry {
        match self.sources.side_table.borrow_mut().get(extras) {
            None => Entry::Soon { callback, unref },
            Some(things) => {
                things.soon = Some(callback);
                Entry::SoonWithExtras { extras, arg: callback.arg, unref }
            }
        }
    }

    /// Sets or, with `None`, removes the release function of a source's argument.
    pub fn set_release(&self, handle: RawHandle, release: Option<Release>) -> Result<()> {
        self.check()?;
        self.with_extras_ref(handle, |place| match release {
            Some(release) => self.promise_release(place, release),
            None => {
                let mut side_table = self.sources.side_table.borrow_mut();
                let had = side_table.get(*place).and_then(|extras| extras.release.take());
                if had.is_some() {
                    self.sources.releases.withdraw();
                }
                Ok(())
            }
        })
    }

    /// Stores a release in a source's extras and reserves room for it. Nothing changes without memory.
    pub(super) fn promise_release(&self, place: &mut ExtrasRef, release: Release) -> Result<()> {
        let releases = &self.sources.releases;
        releases.promise()?;
        let mut side_table = self.sources.side_table.borrow_mut();
        let extras = side_table.get_or_make(place);
        if !matches!(&extras, Ok(extras) if extras.release.is_none()) {
            // No room for it, or there was one before, for which room is reserved.
            releases.withdraw();
        }
        extras?.release = Some(release);
        Ok(())
    }

    /// Gives a source a name, for debugging; `None` removes the name.
    pub fn set_name(&self, handle: RawHandle, name: Option<&CStr>) -> Result<()> {
        self.check()?;
        let name = name.map(copy_of).transpose()?;
        self.with_extras_ref(handle, |place| {
            if place.is_some() || name.is_some() {
                self.sources.side_table.borrow_mut().get_or_make(place)?.name = name;
            }
            Ok(())
        })
    }

    /// Sets whether a source keeps [`Loop::run`] going.
    pub fn set_unref(&self, handle: RawHandle, unref: bool) -> Result<()> {
        self.check()?;
        match self.find(handle)? {
            Found::Queued(sequence) => self.sources.ready.set_unref(sequence, unref),
            Found::Running(_) | Found::Hook(_) => {}
            Found::Timer(id) => self.set_timer_unref(id, unref),
            Found::Watch(id) => self.set_watch_unref(id, unref),
            Found::Object(id) => self.set_object_unref(id, unref),
        }
        Ok(())
    }

    pub(super) fn set_timer_unref(&self, id: SlotId, unref: bool) {
        let mut timers = self.sources.timers.borrow_mut();
        timers.set_unref(id, unref);
        if let Some(sequence) = timers.slots.get(id).and_then(|timer| timer.place()) {
            self.sources.ready.set_unref(sequence, unref);
        }
    }

    pub(super) fn set_watch_unref(&self, id: SlotId, unref: bool) {
        let mut watchers = self.sources.watchers.borrow_mut();
        watchers.set_unref(id, unref);
        if let Some(watch) = watchers.slots.get(id) {
            self.sources.ready.set_unref(watch.pending, unref);
        }
    }

    /// Ends all sources; their releases fall due. Needs no memory.
    pub(super) fn end_all_sources(&self) -> Result<()> {
        while let Some((_, packed)) = self.sources.ready.pop_before(self.sources.ready.end()) {
            if let Some((extras, arg)) = packed.entry().as_soon() {
                self.end_extras(extras, arg);
            }
        }
        self.finish_handed()?;
        // Objects before their parts.
        let mut from = 0;
        while let Some(id) = self.next_after(&mut from, |from| self.sources.objects.borrow().first_from(from))
        {
            let removed = self.sources.objects.borrow_mut().remove(id);
            if let Some(member) = removed {
                let handle = Handle::Slot(Kind::Object, id).to_raw();
                self.end_source(handle, member.extras, member.callback.arg);
            }
        }
        from = 0;
        while let Some(id) =
            self.next_after(&mut from, |from| self.sources.timers.borrow().slots.first_from(from))
        {
            self.end_timer(id);
        }
        from = 0;
        while let Some(id) =
            self.next_after(&mut from, |from| self.sources.watchers.borrow().slots.first_from(from))
        {
            // Not removed from the kernel's set: the set is closed as a whole, and in a forked child it
            // is the parent's.
            self.sources.watchers.borrow_mut().free_part(id);
            let removed = self.sources.watchers.borrow_mut().remove(id);
            if let Some(watch) = removed {
                self.end_source(Handle::Slot(Kind::Watch, id).to_raw(), watch.extras, watch.arg);
            }
        }
        from = 0;
        while let Some(id) =
            self.next_after(&mut from, |from| self.sources.hooks.borrow().slots.first_from(from))
        {
            let removed = self.sources.hooks.borrow_mut().remove(id);
            if let Some(hook) = removed {
                self.end_source(Handle::Slot(Kind::Hook, id).to_raw(), hook.extras, hook.callback.arg);
            }
        }
        Ok(())
    }

    fn next_after(&self, from: &mut u32, find: impl FnOnce(u32) -> Option<SlotId>) -> Option<SlotId> {
        let id = find(*from)?;
        *from = id.index + 1;
        Some(id)
    }
}

fn copy_of(name: &CStr) -> Result<Box<CStr>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(name.count_bytes() + 1)?;
    bytes.extend_from_slice(name.to_bytes_with_nul());
    match std::ffi::CString::from_vec_with_nul(bytes) {
        Ok(copy) => Ok(copy.into_boxed_c_str()),
        Err(_) => unreachable!("a C string ends in its only NUL"),
    }
}
