//! Running the snapshot: the third line of a turn.
//!
//! Take, let go, then call: a callback is taken out of the structures with everything
//! it needs, every borrow is dropped, and only then user code runs. It may call back
//! in, run the loop again, free it, or throw. If it throws, the destructor of `Run` does what has to
//! be done after it (`finish_current`).

use super::{Current, Loop};
use crate::base::slots::SlotId;
use crate::error::Result;
use crate::event_loop::callback::{Callback, FdCallback, TickCallback};
use crate::event_loop::handle::{Handle, Kind};
use crate::event_loop::hooks::When;
use crate::event_loop::ready::{Entry, Next, Packed};
use crate::event_loop::side_table::Missed;
use crate::event_loop::timer::State;
use crate::event_loop::watch::{ONESHOT, Truth};
use crate::sys::clock;
use std::ffi::c_void;

/// If very many timers are due together, the timer so many entries ahead is prefetched. Among a
/// million this makes each more than twice as fast.
const AHEAD: u64 = 8;

/// A callback with everything that calling it needs.
pub(super) enum Call {
    Plain(Callback),
    Tick(TickCallback, u64),
    Fd(FdCallback, i32, u32),
}

impl Call {
    /// Runs user code.
    #[inline]
    pub(super) fn make(self, on: &Loop) {
        match self {
            Call::Plain(callback) => callback.call(on),
            Call::Tick(callback, ticks) => callback.call(on, ticks),
            Call::Fd(callback, fd, events) => callback.call(on, fd, events),
        }
    }
}
impl Loop {
    /// Runs what is ready now; what that schedules is for the next turn.
    #[inline(always)]
    pub(super) fn run_snapshot(&self, deadline: Option<u64>) -> Result<u64> {
        match deadline {
            None => self.run_ready_before(self.sources.ready.end(), || false),
            Some(time) => self.run_ready_before(self.sources.ready.end(), || clock::monotonic() >= time),
        }
    }

    /// Runs the callbacks that are ready before `end`, until `is_over` returns true after one of them.
    #[inline(always)]
    fn run_ready_before(&self, end: u64, is_over: impl Fn() -> bool) -> Result<u64> {
        let mut count = 0;
        let process = self.access.process.now();
        while let Some(next) = self.sources.ready.next_before(end) {
            match next {
                Next::PlainSoon(sequence, callable) => {
                    self.runs.current.set_plain(sequence as i64, callable.arg);
                    callable.call(self);
                    if self.runs.current.extras().is_some() {
                        self.end_current_extras();
                    }
                }
                Next::Other(sequence, packed) => {
                    if !self.run_source(sequence, packed)? {
                        continue;
                    }
                }
            }
            count += 1;
            if process.is_over() {
                self.check_after_fork()?;
            }
            if is_over() {
                break;
            }
        }
        // Not cleared after each callback: the next one overwrites it.
        self.runs.current.clear();
        Ok(count)
    }

    /// The callback has forked, and this is the child: returns an error unless the callback has called
    /// `loop_after_fork`.
    #[cold]
    fn check_after_fork(&self) -> Result<()> {
        self.runs.current.clear();
        self.check()
    }

    /// Runs a callback of any kind. Returns `false` if the entry was stale. The functions for each kind
    /// are not inlined: that leaves the registers to the loop above, and each saves only those it needs.
    #[inline(always)]
    fn run_source(&self, sequence: u64, packed: Packed) -> Result<bool> {
        self.runs.current.clear();
        match packed.entry() {
            Entry::Watch { id, events, .. } => self.run_watch(sequence, id, events),
            Entry::Timer { id, .. } => self.run_timer(sequence, id),
            _ => self.run_with_extras(sequence, packed),
        }
    }

    #[inline(never)]
    fn run_watch(&self, sequence: u64, id: SlotId, events: u32) -> Result<bool> {
        let plain = self.guarded(|| Ok(self.sources.watchers.borrow_mut().take_plain(id, events)))?;
        let Some((callback, fd)) = plain else {
            return self.run_entry(sequence, Entry::Watch { id, events, unref: false });
        };
        self.set_current(Kind::Watch, id, callback.arg);
        callback.call(self, fd, events);
        // (Not cleared here: the next callback overwrites it, or the end of the snapshot clears it.)
        if self.runs.current.extras().is_some() {
            self.end_current_extras();
        }
        Ok(true)
    }

    #[inline(never)]
    fn run_timer(&self, sequence: u64, id: SlotId) -> Result<bool> {
        let plain = self.guarded(|| {
            let mut timers = self.sources.timers.borrow_mut();
            if timers.are_many()
                && let Some(id) = self.sources.ready.timer_at(sequence + AHEAD)
            {
                timers.slots.prefetch(id.index);
            }
            Ok(timers.take_plain(id))
        })?;
        let Some(callback) = plain else {
            return self.run_entry(sequence, Entry::Timer { id, unref: false });
        };
        self.set_current(Kind::Timer, id, callback.arg);
        callback.call(self);
        self.finish_plain_timer(id).map(|()| true)
    }

    /// A soon-callback with extras.
    #[inline(never)]
    fn run_with_extras(&self, sequence: u64, packed: Packed) -> Result<bool> {
        self.run_entry(sequence, packed.entry())
    }

    /// The slow path of all kinds. (`unref` of an entry that was taken has no meaning any more.)
    #[inline(never)]
    fn run_entry(&self, sequence: u64, entry: Entry) -> Result<bool> {
        let Some(call) = self.guarded(|| Ok(self.take(sequence, entry)))? else { return Ok(false) };
        call.make(self);
        self.finish_current();
        Ok(true)
    }

    /// A one-shot timer without extras has run: usually it only has to be freed.
    #[inline]
    fn finish_plain_timer(&self, id: SlotId) -> Result<()> {
        let may_be_outer = self.runs.depth.get() > 1;
        if may_be_outer || !self.guarded(|| Ok(self.sources.timers.borrow_mut().end_plain(id)))? {
            self.finish_current();
        } else {
            self.runs.current.clear();
        }
        Ok(())
    }

    /// Takes the callback of an entry out of the structures and makes its source current. Returns
    /// `None` if the entry is stale.
    pub(super) fn take(&self, sequence: u64, entry: Entry) -> Option<Call> {
        match entry {
            Entry::Gone => None,
            Entry::Soon { callback, .. } => {
                self.runs.current.set_plain(sequence as i64, callback.arg);
                Some(Call::Plain(callback))
            }
            Entry::SoonWithExtras { extras, arg, .. } => {
                let callback = self.sources.side_table.borrow_mut().soon(extras, arg)?;
                self.runs.current.set(Current { handle: sequence as i64, extras, arg });
                Some(Call::Plain(callback))
            }
            Entry::Timer { id, .. } => self.take_timer(id),
            Entry::Watch { id, events, .. } => self.take_watch(id, sequence, events),
            Entry::Hook { id } => self.take_hook(id),
        }
    }

    #[inline]
    pub(super) fn set_current(&self, kind: Kind, id: SlotId, arg: *mut c_void) {
        self.runs.current.set_plain(Handle::Slot(kind, id).to_raw(), arg);
    }

    fn take_timer(&self, id: SlotId) -> Option<Call> {
        let mut timers = self.sources.timers.borrow_mut();
        let timer = timers.slots.get_mut(id)?;
        timer.set_state(State::Idle);
        let deadline = timer.deadline();
        let callback = timers.callback(id);
        self.set_current(Kind::Timer, id, callback.arg);
        let period = self.sources.side_table.borrow_mut().period(timers.extras(id));
        let Some(period) = period else { return Some(Call::Plain(callback)) };
        // Armed again before the callback: it may cancel or re-schedule itself, or throw.
        let (ticks, next) = match period.missed {
            Missed::Run => (1, deadline.saturating_add(period.interval)),
            Missed::Restart => (1, self.clock.now().saturating_add(period.interval)),
            Missed::Skip => {
                let late = self.turn_now().saturating_sub(deadline);
                let ticks = (late / period.interval).saturating_add(1);
                (ticks, deadline.saturating_add(ticks.saturating_mul(period.interval)))
            }
        };
        timers.schedule(id, next);
        Some(Call::Tick(period.callback, ticks))
    }

    fn take_watch(&self, id: SlotId, sequence: u64, reported: u32) -> Option<Call> {
        let mut watchers = self.sources.watchers.borrow_mut();
        let watch = watchers.slots.get_mut(id)?;
        debug_assert_eq!(watch.pending, sequence, "an entry goes with its watcher");
        watch.pending = 0;
        let watch = watchers.slots.get(id)?;
        // An entry that a budget, an exception or an outer run left over must still be true.
        let reported = match watchers.truth(watch) {
            Truth::Reported => reported,
            Truth::Over => return None,
            kept => {
                let (fd, mask) = (watch.fd, watch.mask());
                // (`look` goes by the number, which may refer to another file by now.)
                if !self.is_same_file(&watchers, fd).ok()? {
                    self.detach(&mut watchers, fd);
                    return None;
                }
                if kept == Truth::Kept { reported } else { self.kernel.poller.borrow().look(fd, mask) }
            }
        };
        let watch = watchers.slots.get(id)?;
        let events = watch.share_of(reported);
        if events == 0 {
            return None;
        }
        let (callback, fd) = (watch.callback, watch.fd);
        if watch.mask() & ONESHOT != 0 {
            watchers.set_mask(id, 0);
        }
        self.set_current(Kind::Watch, id, callback.arg);
        Some(Call::Fd(callback, fd, events))
    }

    /// A callback has returned that has extras by now: a soon-callback that was given it, or a
    /// source that was ended meanwhile.
    #[cold]
    #[inline(never)]
    fn end_current_extras(&self) {
        let current = self.runs.current.get();
        self.runs.current.clear();
        self.end_extras(current.extras, current.arg);
    }

    /// The current callback has returned (or thrown): finishes a one-shot, and a source that was ended
    /// meanwhile.
    #[inline]
    pub(super) fn finish_current(&self) {
        let current = self.runs.current.get();
        self.runs.current.clear();
        match Handle::from_raw(current.handle) {
            Some(Handle::Slot(Kind::Timer, id)) => {
                let _ = self.guarded(|| {
                    self.finish_timer(id, current.handle);
                    Ok(())
                });
            }
            Some(Handle::Slot(Kind::Object, id)) => {
                let _ = self.guarded(|| {
                    self.finish_object(id, current.handle);
                    Ok(())
                });
            }
            _ => {}
        }
        self.end_extras(current.extras, current.arg);
    }

    pub(super) fn finish_timer(&self, id: SlotId, handle: i64) {
        // In an outer run the same timer's callback may still be on the stack.
        if self.is_on_outer_stack(handle) {
            return;
        }
        let ended = self.sources.timers.borrow_mut().remove_idle(id);
        if let Some((extras, arg)) = ended {
            self.end_extras(extras, arg);
        }
    }

    pub(super) fn call_hooks(&self, when: When) -> Result<()> {
        if self.sources.hooks.borrow().is_empty(when) {
            return Ok(());
        }
        let newest = self.sources.hooks.borrow().newest();
        let mut last = 0;
        loop {
            let next = self.sources.hooks.borrow().after(when, last, newest);
            let Some((order, id, callback)) = next else {
                return Ok(());
            };
            last = order;
            let Some(callable) = callback.callable() else {
                self.guarded(|| self.push_interrupt(id))?;
                continue;
            };
            self.set_current(Kind::Hook, id, callable.arg);
            callable.call(self);
            self.finish_current();
            self.check()?;
        }
    }

    /// Returns whether the callback of this handle is on the stack of an outer run.
    pub(super) fn is_on_outer_stack(&self, handle: i64) -> bool {
        self.runs.depth.get() > 1 && self.runs.outer.borrow().iter().any(|outer| outer.handle == handle)
    }
}
