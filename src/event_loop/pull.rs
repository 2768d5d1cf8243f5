//! Pull mode: sources without a callback are handed out as plain values instead.
//!
//! The order is the ready queue's, with or without a callback. A batch therefore ends before a
//! callback that follows an event that was handed out: the user handles the event first, and the next
//! call goes on in the same snapshot, without polling the kernel in between. So no event that was
//! handed out is lost when a callback throws.
//!
//! Until the next call, a one-shot that was handed out counts as one whose callback runs. But it is
//! active until it is cancelled, so that the user can see whether another event of the batch has
//! cancelled it.
//!
//! A hook without a callback has an entry in the queue as well, put there when its event happens.

use super::dispatch::Call;
use super::object::{Notice, PartId};
use super::run::Run;
use super::wait::Limit;
use super::{Current, Loop};
use crate::base::slots::SlotId;
use crate::error::{Error, Result};
use crate::event_loop::callback::Callback;
use crate::event_loop::handle::{Handle, Kind, RawHandle};
use crate::event_loop::hooks::When;
use crate::event_loop::ready::Entry;
use crate::event_loop::timer::State;
use std::ffi::c_void;

/// What happened to a source.
#[derive(Clone, Copy, Debug)]
pub enum News {
    /// A callback of the next turn.
    Soon,
    /// A timer that fires once.
    Timer,
    /// A timer that goes on.
    Tick {
        /// How many ticks this stands for.
        ticks: u64,
    },
    /// A watcher.
    Fd {
        /// Its descriptor.
        fd: i32,
        /// What happened to it: the bits of `ffi::descriptors`.
        events: u32,
    },
    /// An operation.
    Io {
        /// The number of the event in the C interface.
        what: u32,
        /// What it came to, or a negative error code.
        result: i64,
        /// What goes with it.
        data: *mut c_void,
    },
    /// A hook: a signal interrupted the wait.
    Interrupt,
    /// Of no source: the call ended before its timeout, with nothing to hand out.
    Woken,
}

/// A source that is ready, handed out.
#[derive(Clone, Copy, Debug)]
pub struct Pulled {
    /// Which source it is.
    pub handle: RawHandle,
    /// The argument that it was made with.
    pub arg: *mut c_void,
    /// What happened.
    pub news: News,
}

impl Pulled {
    const WOKEN: Pulled = Pulled { handle: 0, arg: std::ptr::null_mut(), news: News::Woken };
}

/// A soon-callback that is handed out.
struct Soon {
    source: Current,
    is_cancelled: bool,
}

/// One-shots that are handed out, and where the snapshot ends.
#[derive(Default)]
pub(super) struct Handed {
    /// By handle, since they were handed out in the order of the queue.
    soons: Vec<Soon>,
    timers: Vec<SlotId>,
    objects: Vec<SlotId>,
    /// The event that an object's step has to hand out.
    told: Option<Pulled>,
    end: u64,
    /// A signal interrupted a wait, and there was no memory to hand that out.
    owes_interrupt: bool,
}

impl Handed {
    fn reserve(&mut self, count: usize) -> Result<()> {
        self.soons.try_reserve(count)?;
        self.objects.try_reserve(count)?;
        Ok(self.timers.try_reserve(count)?)
    }

    fn find(&mut self, handle: RawHandle) -> Option<&mut Soon> {
        let place = self.soons.binary_search_by_key(&handle, |soon| soon.source.handle).ok()?;
        Some(&mut self.soons[place])
    }
}

impl Loop {
    /// One batch: calls what has a callback, and hands at most `capacity` others to `put`, with
    /// their number. Waits like [`Loop::run_once`] if nothing is left of the last snapshot. Nothing
    /// is handed out only when the time is over.
    pub fn next_events(
        &self,
        capacity: usize,
        timeout: Option<u64>,
        mut put: impl FnMut(usize, Pulled),
    ) -> Result<usize> {
        self.check()?;
        let handed = self.pull.as_ref().ok_or(Error::PULL)?;
        if capacity == 0 {
            return Err(Error::INVALID);
        }
        self.guarded(|| self.finish_handed())?;
        let run = Run::begin(self)?;
        let mut limit = if timeout == Some(0) { Limit::Poll } else { Limit::Forever };
        let rest = handed.borrow().end;
        if self.sources.ready.peek_before(rest).is_none() {
            limit = self.limit(timeout);
            self.wait_for_events(capacity, limit)?;
            handed.borrow_mut().end = self.sources.ready.end();
        }
        let end = handed.borrow().end;
        let mut count = 0;
        while count < capacity && (count == 0 || self.is_next_pulled(end)) {
            // One at a time, since the caller's `capacity` may be any number.
            match self.guarded(|| handed.borrow_mut().reserve(1)) {
                Err(error) if count == 0 => return Err(error),
                Err(_) => break,
                Ok(()) => {}
            }
            let Some((sequence, packed)) = self.sources.ready.pop_before(end) else { break };
            // One that turns out to be stale may be followed by a callback: look again.
            let Some(call) = self.guarded(|| Ok(self.take(sequence, packed.entry())))? else { continue };
            match self.hand_out(call) {
                Ok(pulled) => {
                    put(count, pulled);
                    count += 1;
                }
                Err(call) => {
                    call.make(self);
                    self.finish_current();
                    self.check()?;
                    // It may have been the step of an object without a callback.
                    if let Some(pulled) = handed.borrow_mut().told.take() {
                        put(count, pulled);
                        count += 1;
                    }
                }
            }
        }
        self.is_over(&run, count as u64)?;
        if count == 0 && !self.is_time_over(limit) {
            put(0, Pulled::WOKEN);
            count = 1;
        }
        Ok(count)
    }

    /// The first two steps of a turn.
    fn wait_for_events(&self, capacity: usize, limit: Limit) -> Result<()> {
        self.guarded(|| {
            let watchers = self.sources.watchers.borrow().slots.len();
            self.kernel.poller.borrow_mut().make_room(watchers, capacity);
            Ok(())
        })?;
        let owes = self.pull.as_ref().is_some_and(|handed| handed.borrow().owes_interrupt);
        if owes {
            self.call_hooks(When::OnInterrupt)?;
            self.with_pull(|handed| handed.owes_interrupt = false);
        }
        self.wait(limit)?;
        self.collect()
    }

    /// Returns whether the timeout of a call that found nothing is over. (With a manual clock no call
    /// waits.)
    fn is_time_over(&self, limit: Limit) -> bool {
        self.clock.is_manual()
            || match limit {
                Limit::Poll => true,
                Limit::Until(time) => self.clock.now() >= time,
                Limit::Forever | Limit::WhileWork => false,
            }
    }

    /// Makes a hook without a callback ready, unless it is.
    pub(super) fn push_interrupt(&self, id: SlotId) -> Result<()> {
        let mut hooks = self.sources.hooks.borrow_mut();
        let Some(hook) = hooks.slots.get_mut(id).filter(|hook| hook.pending == 0) else { return Ok(()) };
        let pushed = self.sources.ready.push(Entry::Hook { id });
        match pushed {
            Ok(sequence) => hook.pending = sequence,
            Err(_) => self.with_pull(|handed| handed.owes_interrupt = true),
        }
        pushed.map(drop)
    }

    pub(super) fn take_hook(&self, id: SlotId) -> Option<Call> {
        let mut hooks = self.sources.hooks.borrow_mut();
        let hook = hooks.slots.get_mut(id)?;
        hook.pending = 0;
        let callback = hook.callback;
        self.set_current(Kind::Hook, id, callback.arg);
        Some(Call::Plain(callback))
    }

    fn with_pull(&self, change: impl FnOnce(&mut Handed)) {
        if let Some(handed) = &self.pull {
            change(&mut handed.borrow_mut());
        }
    }

    /// Returns whether the next entry of the snapshot has no callback.
    fn is_next_pulled(&self, end: u64) -> bool {
        let next = self.sources.ready.peek_before(end);
        match next {
            Some(Entry::Soon { callback, .. }) => callback.is_pulled(),
            Some(Entry::SoonWithExtras { extras, arg, .. }) => {
                self.sources.side_table.borrow_mut().soon(extras, arg).is_some_and(Callback::is_pulled)
            }
            Some(Entry::Watch { id, .. }) => {
                let mut watchers = self.sources.watchers.borrow_mut();
                let watch = watchers.slots.at(id.index);
                match watch.is_part() {
                    true => self.is_part_pulled(PartId::from_arg(watch.callback.arg)),
                    false => watch.callback.is_pulled(),
                }
            }
            Some(Entry::Timer { id, .. }) => {
                let mut timers = self.sources.timers.borrow_mut();
                match self.sources.side_table.borrow_mut().period(timers.extras(id)) {
                    Some(period) => period.callback.is_pulled(),
                    None => {
                        let callback = timers.callback(id);
                        match timers.slots.at(id.index).is_part() {
                            true => self.is_part_pulled(PartId::from_arg(callback.arg)),
                            false => callback.is_pulled(),
                        }
                    }
                }
            }
            Some(Entry::Hook { .. }) => true,
            Some(Entry::Gone) | None => false,
        }
    }

    /// Records an event as handed out. Returns the call if it has a callback.
    fn hand_out(&self, call: Call) -> std::result::Result<Pulled, Call> {
        let (arg, news) = match &call {
            Call::Plain(callback) if callback.is_pulled() => (callback.arg, News::Soon),
            Call::Tick(callback, ticks) if callback.is_pulled() => {
                (callback.arg, News::Tick { ticks: *ticks })
            }
            Call::Fd(callback, fd, events) if callback.is_pulled() => {
                (callback.arg, News::Fd { fd: *fd, events: *events })
            }
            _ => return Err(call),
        };
        let current = self.runs.current.get();
        self.runs.current.clear();
        let mut pulled = Pulled { handle: current.handle, arg, news };
        if let (News::Soon, Some(handed)) = (news, &self.pull) {
            let mut handed = handed.borrow_mut();
            match Handle::from_raw(current.handle) {
                Some(Handle::Slot(Kind::Timer, id)) => {
                    handed.timers.push(id);
                    self.sources.timers.borrow_mut().slots.at(id.index).set_state(State::HandedOut);
                    pulled.news = News::Timer;
                }
                Some(Handle::Slot(..)) => pulled.news = News::Interrupt,
                _ => handed.soons.push(Soon { source: current, is_cancelled: false }),
            }
        }
        Ok(pulled)
    }

    /// Hands out an object's event; room for it was reserved before its entry was taken.
    pub(super) fn hand_out_object(&self, id: SlotId, arg: *mut c_void, told: Notice) -> Result<()> {
        let handed = self.pull.as_ref().ok_or(Error::PULL)?;
        let Notice { what, result, data } = told;
        let handle = Handle::Slot(Kind::Object, id).to_raw();
        self.set_object_handed_out(id);
        let mut handed = handed.borrow_mut();
        handed.objects.push(id);
        handed.told = Some(Pulled { handle, arg, news: News::Io { what, result, data } });
        Ok(())
    }

    /// Finishes the one-shots that the last call handed out.
    pub(super) fn finish_handed(&self) -> Result<()> {
        let Some(handed) = &self.pull else { return Ok(()) };
        let mut handed = handed.borrow_mut();
        for Soon { source, .. } in handed.soons.drain(..) {
            self.end_extras(source.extras, source.arg);
        }
        for id in handed.timers.drain(..) {
            self.finish_timer(id, Handle::Slot(Kind::Timer, id).to_raw());
        }
        for id in handed.objects.drain(..) {
            self.finish_object(id, Handle::Slot(Kind::Object, id).to_raw());
        }
        Ok(())
    }

    /// Calls `change` with a soon-callback that is handed out.
    pub(super) fn with_handed<T>(
        &self,
        handle: RawHandle,
        change: impl FnOnce(&mut Current) -> T,
    ) -> Option<T> {
        let mut handed = self.pull.as_ref()?.borrow_mut();
        handed.find(handle).map(|soon| change(&mut soon.source))
    }

    /// Returns whether this is a soon-callback that is handed out and has not been cancelled.
    pub(super) fn is_handed_out(&self, handle: RawHandle) -> bool {
        let Some(handed) = &self.pull else { return false };
        handed.borrow_mut().find(handle).is_some_and(|soon| !soon.is_cancelled)
    }

    /// Marks its event as cancelled; the next call finishes it.
    pub(super) fn cancel_handed(&self, handle: RawHandle) {
        self.with_pull(|handed| {
            if let Some(soon) = handed.find(handle) {
                soon.is_cancelled = true;
            }
        });
    }
}
