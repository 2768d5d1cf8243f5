//! Objects: sources that are made of other sources. The one extension point of the core.
//!
//! The core knows four kinds of source: soon-callbacks, timers, watchers and posts. Everything else
//! is an *object*: a state machine with *parts*, which are an ordinary watcher or timer whose callback
//! is the library's own. So the ready queue, the wheel, the table of descriptors and dispatch know
//! nothing of objects, and an object's user is called at the place of the part's own entry.
//!
//! What an object does is in `sources/`: [`Object::step`] makes its system calls and its book-keeping
//! and runs no user code. All else is written once, here: who is called, and in which order;
//! cancel (the parts end at once, so that nothing can fire any more), release, name, ref and unref, pull mode, free.
//!
//! A part's handle is never given out, and a guessed one is stale: timers and watchers are marked
//! as parts in fields that the fast paths check anyway.

#[allow(unsafe_code)] // C functions as values
mod callbacks;

use super::{Current, Loop};
use crate::base::slots::SlotId;
use crate::error::{Error, Result};
use crate::event_loop::callback::IoCallback;
use crate::event_loop::handle::{Handle, KIND_SHIFT, Kind, RawHandle, slot_from_low_bits, slot_to_low_bits};
use crate::event_loop::side_table::ExtrasRef;
use crate::event_loop::timer::{NEVER, Timer};
use crate::event_loop::watch::CLOSED;
use crate::sources::list::AnyObject;
use std::ffi::c_void;

/// How many parts an object may have.
pub const PARTS: usize = 2;

/// What happened to a part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fired {
    /// A timer is due.
    Timer,
    /// A descriptor has these events.
    Ready(u32),
}

/// An event for the user: the body of `loop_event_t`.
#[derive(Clone, Copy, Debug)]
pub struct Notice {
    /// LOOP_EVENT_...
    pub what: u32,
    /// The result, or a negative error code.
    pub result: i64,
    /// What goes with it.
    pub data: *mut c_void,
}

/// What a step comes to.
pub enum Step {
    /// No event for the user.
    Quiet,
    /// The last event for the user: the object has ended.
    Last(Notice),
}

/// A kind of object.
pub trait Object {
    /// Handles what happened to a part: makes system calls and updates the state, runs no user code.
    fn step(&mut self, parts: &mut Parts<'_>, part: u8, fired: Fired) -> Step;

    /// Returns the part that is the deadline of `loop_reschedule` and `loop_remaining`.
    fn deadline(&self) -> u8;
}

/// Which part of which object, in one word: the argument of the part's callback.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PartId {
    object: SlotId,
    part: u8,
}

impl PartId {
    pub(crate) fn to_arg(self) -> *mut c_void {
        let bits = u64::from(self.part) << KIND_SHIFT | slot_to_low_bits(self.object);
        std::ptr::without_provenance_mut(bits as usize)
    }

    pub(crate) fn from_arg(arg: *mut c_void) -> PartId {
        let bits = arg.addr() as u64;
        PartId { object: slot_from_low_bits(bits), part: (bits >> KIND_SHIFT) as u8 }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Active,
    /// Its last event has been handed out and has not been cancelled.
    HandedOut,
    /// Its last event was passed to its callback, or was handed out and then cancelled: the slot stays
    /// until that callback returns, or until the next call of `loop_next_events`.
    Ended,
}

/// An object in its slot.
pub struct Member {
    object: AnyObject,
    pub callback: IoCallback,
    /// The handles of its parts; 0: there is none. One that has ended is stale.
    parts: [RawHandle; PARTS],
    pub extras: ExtrasRef,
    unref: bool,
    state: State,
}

impl Default for Member {
    fn default() -> Self {
        Member {
            object: AnyObject::default(),
            callback: IoCallback::pulled(std::ptr::null_mut()),
            parts: [0; PARTS],
            extras: ExtrasRef::NONE,
            unref: false,
            state: State::Active,
        }
    }
}

/// What an object may do with its parts, and with the kernel.
pub struct Parts<'a> {
    on: &'a Loop,
    id: SlotId,
    handles: &'a mut [RawHandle; PARTS],
    unref: bool,
}

impl Parts<'_> {
    fn id_of(&self, part: u8) -> PartId {
        PartId { object: self.id, part }
    }

    /// Watches a descriptor.
    pub fn watch(&mut self, part: u8, fd: i32, events: u32) -> Result<()> {
        let id = self.on.add_watch(fd, events, callbacks::of_watcher(self.id_of(part)))?;
        let mut watchers = self.on.sources.watchers.borrow_mut();
        watchers.set_part(id);
        watchers.set_unref(id, self.unref);
        self.handles[usize::from(part)] = Handle::Slot(Kind::Watch, id).to_raw();
        Ok(())
    }

    /// Gives a part's timer a deadline; makes it first, if there is none.
    pub fn arm(&mut self, part: u8, deadline: u64) -> Result<()> {
        let place = &mut self.handles[usize::from(part)];
        let mut timers = self.on.sources.timers.borrow_mut();
        if let Some(Handle::Slot(Kind::Timer, id)) = Handle::from_raw(*place)
            && timers.slots.get(id).is_some()
        {
            self.on.move_timer(&mut timers, id, deadline);
            return Ok(());
        }
        timers.set_time_if_empty(|| self.on.clock.now());
        let extras = self.on.sources.side_table.borrow_mut().of_parts()?;
        let part = PartId { object: self.id, part };
        let id = timers.insert_part(deadline, callbacks::of_timer(part), extras)?;
        timers.set_unref(id, self.unref);
        *place = Handle::Slot(Kind::Timer, id).to_raw();
        Ok(())
    }

    /// Returns the events that a part's watcher would get now, `CLOSED` if its file was closed; 0 if the
    /// part is not a watcher.
    pub fn look(&self, part: u8) -> u32 {
        let Some(Handle::Slot(Kind::Watch, id)) = Handle::from_raw(self.handles[usize::from(part)]) else {
            return 0;
        };
        let mut watchers = self.on.sources.watchers.borrow_mut();
        let Some(watch) = watchers.slots.get(id) else { return 0 };
        let (fd, mask) = (watch.fd, watch.mask());
        if watch.is_detached() {
            return CLOSED;
        }
        if !self.on.is_same_file(&watchers, fd).unwrap_or(true) {
            self.on.detach(&mut watchers, fd);
            return CLOSED;
        }
        let reported = self.on.kernel.poller.borrow().look(fd, mask);
        watchers.slots.get(id).map_or(0, |watch| watch.share_of(reported))
    }
}

impl Loop {
    /// Makes an object; `start` makes its parts. Nothing changes when that fails.
    pub(crate) fn add_object(
        &self,
        object: AnyObject,
        callback: IoCallback,
        start: impl FnOnce(&mut Parts<'_>) -> Result<()>,
    ) -> Result<RawHandle> {
        self.may_be_pulled(callback.is_pulled())?;
        let mut objects = self.sources.objects.borrow_mut();
        let id = objects.insert(Member { object, callback, ..Member::default() })?;
        let mut handles = [0; PARTS];
        let started = start(&mut Parts { on: self, id, handles: &mut handles, unref: false });
        if let Err(error) = started {
            self.end_parts(handles);
            objects.release(id);
            return Err(error);
        }
        objects.at(id.index).parts = handles;
        drop(objects);
        self.changed();
        Ok(Handle::Slot(Kind::Object, id).to_raw())
    }

    /// Something happened to a part: the object takes its step, and its user is called. Called by
    /// dispatch in the place of a user's callback.
    pub(crate) fn step_object(&self, PartId { object: id, part }: PartId, fired: Fired) {
        let notice = self.guarded(|| Ok(self.take_step(id, part, fired)));
        let Ok(Some((notice, callback))) = notice else { return };
        if callback.is_pulled() {
            let _ = self.guarded(|| self.hand_out_object(id, callback.arg, notice));
            return;
        }
        // The part stays current for dispatch, which finishes it.
        let part = self.runs.current.get();
        let handle = Handle::Slot(Kind::Object, id).to_raw();
        self.runs.current.set(Current { handle, arg: callback.arg, ..Current::NONE });
        callback.call(self, handle, notice.what, notice.result, notice.data);
        self.finish_current();
        self.runs.current.set(part);
    }

    fn take_step(&self, id: SlotId, part: u8, fired: Fired) -> Option<(Notice, IoCallback)> {
        let mut objects = self.sources.objects.borrow_mut();
        let member = objects.get_mut(id).filter(|member| member.state == State::Active)?;
        let Member { object, parts, unref, .. } = member;
        match object.step(&mut Parts { on: self, id, handles: parts, unref: *unref }, part, fired) {
            Step::Quiet => None,
            Step::Last(notice) => {
                member.state = State::Ended;
                self.end_parts(std::mem::take(&mut member.parts));
                Some((notice, member.callback))
            }
        }
    }

    /// Ends an object. In the callback of its last event it has ended already. An event that was handed
    /// out is cancelled.
    pub(super) fn cancel_object(&self, id: SlotId) {
        let mut objects = self.sources.objects.borrow_mut();
        if let Some(member) = objects.get_mut(id).filter(|member| member.state != State::Active) {
            member.state = State::Ended;
            return;
        }
        let Some(member) = objects.remove(id) else { return };
        drop(objects);
        self.end_parts(member.parts);
        let handle = Handle::Slot(Kind::Object, id).to_raw();
        self.end_source(handle, member.extras, member.callback.arg);
    }

    /// The callback of an object has returned.
    pub(super) fn finish_object(&self, id: SlotId, handle: RawHandle) {
        let mut objects = self.sources.objects.borrow_mut();
        let has_ended = |member: &Member| member.state != State::Active;
        if !objects.get(id).is_some_and(has_ended) || self.is_on_outer_stack(handle) {
            return;
        }
        let ended = objects.remove(id);
        drop(objects);
        if let Some(member) = ended {
            self.end_extras(member.extras, member.callback.arg);
        }
    }

    fn end_parts(&self, handles: [RawHandle; PARTS]) {
        for handle in handles {
            match Handle::from_raw(handle) {
                Some(Handle::Slot(Kind::Timer, id)) => self.end_part_timer(id),
                Some(Handle::Slot(Kind::Watch, id)) => {
                    self.sources.watchers.borrow_mut().free_part(id);
                    let _ = self.end_watch(id); // (or it has ended)
                }
                _ => {}
            }
        }
    }

    fn end_part_timer(&self, id: SlotId) {
        let mut timers = self.sources.timers.borrow_mut();
        if let Some(sequence) = timers.slots.get(id).and_then(|timer| timer.place()) {
            self.sources.ready.discard(sequence);
        }
        timers.remove(id);
    }

    /// Sets whether an object keeps [`Loop::run`] going: its parts do.
    pub(super) fn set_object_unref(&self, id: SlotId, unref: bool) {
        let mut objects = self.sources.objects.borrow_mut();
        let member = objects.at(id.index);
        member.unref = unref;
        for handle in member.parts {
            match Handle::from_raw(handle) {
                Some(Handle::Slot(Kind::Timer, id)) => self.set_timer_unref(id, unref),
                Some(Handle::Slot(Kind::Watch, id)) => self.set_watch_unref(id, unref),
                _ => {}
            }
        }
    }

    /// Returns whether it can still call its callback, or its event was handed out and has not been
    /// cancelled since.
    pub(super) fn is_object_active(&self, id: SlotId) -> bool {
        self.sources.objects.borrow().get(id).is_some_and(|member| member.state != State::Ended)
    }

    /// The last event of an object has been handed out.
    pub(super) fn set_object_handed_out(&self, id: SlotId) {
        self.sources.objects.borrow_mut().at(id.index).state = State::HandedOut;
    }

    /// Gives an operation another deadline.
    pub(super) fn set_object_deadline(&self, id: SlotId, deadline: u64) -> Result<()> {
        let mut objects = self.sources.objects.borrow_mut();
        let is_active = |member: &&mut Member| member.state == State::Active;
        let member = objects.get_mut(id).filter(is_active).ok_or(Error::STALE)?;
        let Member { object, parts, unref, .. } = member;
        let part = object.deadline();
        Parts { on: self, id, handles: parts, unref: *unref }.arm(part, deadline)
    }

    /// Returns an operation's deadline; [`NEVER`] if it has none, `None` if it has ended.
    pub(super) fn object_deadline(&self, id: SlotId) -> Result<Option<u64>> {
        let objects = self.sources.objects.borrow();
        let member = objects.get(id).ok_or(Error::STALE)?;
        if member.state != State::Active {
            return Ok(None);
        }
        Ok(match Handle::from_raw(member.parts[usize::from(member.object.deadline())]) {
            Some(Handle::Slot(Kind::Timer, id)) => {
                self.sources.timers.borrow().slots.get(id).map(Timer::deadline)
            }
            _ => Some(NEVER),
        })
    }

    /// Returns whether the events of this part's object are handed out.
    pub(super) fn is_part_pulled(&self, part: PartId) -> bool {
        let objects = self.sources.objects.borrow();
        objects.get(part.object).is_some_and(|member| member.callback.is_pulled())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::slots::{MAX_GENERATION, MAX_SLOTS};

    #[test]
    fn a_part_survives_the_trip_through_an_argument() {
        for index in [0, 1, MAX_SLOTS - 1] {
            for generation in [1, MAX_GENERATION - 1] {
                for part in [0, 1, 7] {
                    let part = PartId { object: SlotId { index, generation }, part };
                    assert_eq!(PartId::from_arg(part.to_arg()), part);
                }
            }
        }
    }
}
