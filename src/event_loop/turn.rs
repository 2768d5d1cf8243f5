//! Runs and turns: wait, collect, run the snapshot.
//!
//! Take, let go, then call: a callback is taken out of the structures with everything
//! it needs, every borrow is dropped, and only then user code runs. It may call back
//! in, run the loop again, free it, or throw: what has to be done after it
//! (`finish_current`) is done by the guard of the run when it unwinds.

use super::{Current, Loop};
use crate::callback::{Callback, FdCallback, TickCallback};
use crate::clock;
use crate::error::{Error, Result};
use crate::handle::{Handle, Kind, SlotId};
use crate::hooks::When;
use crate::memory::try_push;
use crate::poller::Timeout;
use crate::rare::{Missed, RareRef};
use crate::ready::Entry;
use crate::remote::Post;
use crate::thread;
use crate::timers::{NEVER, State};
use crate::watchers::{EDGE, ONESHOT};
use std::sync::atomic::Ordering;

/// Runs are numbered below this; the stack ends long before.
const DEEPEST: u32 = 1 << 16;
/// After so many turns memory is looked through for what can be given back.
const TURNS_OF_A_PERIOD: u32 = 64;

/// Why a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// `stop` was called, or a manual clock has nothing more to do now.
    Stopped,
    /// Nothing is left that could ever run.
    OutOfWork,
}

/// How long a turn may wait.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    Poll,
    /// Until this time on the loop's clock.
    Until(u64),
    Forever,
}

/// How to ask the kernel.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plan {
    Poll,
    For(u64),
    Forever,
    /// Poll; if nothing is found, the virtual clock moves to this time.
    Jump(u64),
}

impl Plan {
    fn timeout(self) -> Timeout {
        match self {
            Plan::Poll | Plan::Jump(_) => Timeout::Poll,
            Plan::For(ns) => Timeout::For(ns),
            Plan::Forever => Timeout::Forever,
        }
    }
}

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

/// A run on the stack. Dropped when the run returns and when an exception passes.
pub(super) struct Run<'a> {
    on: &'a Loop,
    /// The run is nested in a callback that has flushed: that holds again afterwards.
    rests_after: bool,
}

impl<'a> Run<'a> {
    pub(super) fn begin(on: &'a Loop) -> Result<Run<'a>> {
        on.check()?;
        let depth = on.depth.get();
        if depth == 0 {
            let me = thread::current();
            let taken = on.owner.compare_exchange(on.bound_to, me, Ordering::Relaxed, Ordering::Relaxed);
            taken.map_err(|owner| on.refusal(owner))?;
        } else if depth == DEEPEST {
            return Err(Error::LIMIT);
        } else {
            try_push(&mut on.outer.borrow_mut(), on.current.replace(Current::NONE))?;
        }
        on.depth.set(depth + 1);
        // The first turn of every run asks the kernel.
        on.last_poll.set(0);
        let rests_after = depth == 0 || on.is_resting.get();
        on.stop_resting();
        let run = Run { on, rests_after };
        on.between_turns()?;
        Ok(run)
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        let on = self.on;
        // Only when an exception passes is a callback still current. It ends the run, as
        // the stop would have that was asked for in it.
        if on.current.get().handle != 0 {
            on.finish_current();
            on.shared.take_stop();
        }
        let depth = on.depth.get() - 1;
        if depth == 0 {
            on.make_releases();
        }
        on.depth.set(depth);
        on.now.set(0);
        if self.rests_after && !on.is_resting.get() {
            on.rest();
        }
        if depth == 0 {
            let me = thread::current();
            // Unless the loop was closed meanwhile.
            let _ = on.owner.compare_exchange(me, on.bound_to, Ordering::Relaxed, Ordering::Relaxed);
        } else if let Some(outer) = on.outer.borrow_mut().pop() {
            on.current.set(outer);
        }
    }
}

impl Loop {
    /// Runs until [`Loop::stop`].
    pub fn run_forever(&self) -> Result<Ended> {
        let run = self.begin_pushed_run()?;
        loop {
            let count = self.turn(Limit::Forever, None)?;
            if self.is_over(&run, count)? {
                return Ok(Ended::Stopped);
            }
        }
    }

    /// Runs until [`Loop::stop`], or until nothing is left that could ever run.
    pub fn run(&self) -> Result<Ended> {
        let run = self.begin_pushed_run()?;
        loop {
            if !self.shared.is_stopping() && !self.is_kept_going() {
                return Ok(Ended::OutOfWork);
            }
            let count = self.turn(Limit::Forever, None)?;
            if self.is_over(&run, count)? {
                return Ok(Ended::Stopped);
            }
        }
    }

    /// One turn that waits at the longest for `timeout` nanoseconds (`None`: without
    /// limit). How many callbacks ran?
    pub fn run_once(&self, timeout: Option<u64>) -> Result<u64> {
        let run = self.begin_pushed_run()?;
        let count = self.turn(self.limit(timeout), None)?;
        self.is_over(&run, count)?;
        Ok(count)
    }

    /// Turns that never wait, until nothing is ready or `budget` nanoseconds are over.
    /// How many callbacks ran?
    pub fn run_ready(&self, budget: u64) -> Result<u64> {
        let run = self.begin_pushed_run()?;
        let deadline = clock::monotonic().saturating_add(budget);
        let mut total = 0;
        loop {
            let count = self.turn(Limit::Poll, Some(deadline))?;
            total += count;
            if self.is_over(&run, count)? || count == 0 || clock::monotonic() >= deadline {
                return Ok(total);
            }
        }
    }

    pub(super) fn limit(&self, timeout: Option<u64>) -> Limit {
        match timeout {
            None => Limit::Forever,
            Some(0) => Limit::Poll,
            Some(ns) => Limit::Until(self.clock.now().saturating_add(ns)),
        }
    }

    fn begin_pushed_run(&self) -> Result<Run<'_>> {
        match self.pull {
            // A run of a wrong thread, or of a closed loop, says so first.
            Some(_) => self.check().and(Err(Error::PULL)),
            None => Run::begin(self),
        }
    }

    /// Between turns: is the innermost run over?
    pub(super) fn is_over(&self, _run: &Run<'_>, count: u64) -> Result<bool> {
        self.between_turns()?;
        let idle = self.clock.is_manual() && count == 0;
        Ok(self.shared.take_stop() || (idle && self.ready.borrow().is_empty()))
    }

    /// The boundary of the outermost run where releases are made.
    fn between_turns(&self) -> Result<()> {
        if self.depth.get() == 1 && !self.is_closed() {
            self.make_releases();
        }
        match self.is_closed() {
            true => Err(Error::CLOSED),
            false => Ok(()),
        }
    }

    /// One turn. The design's three lines.
    fn turn(&self, limit: Limit, deadline: Option<u64>) -> Result<u64> {
        self.wait(limit)?;
        self.guarded(|| self.collect())?;
        self.run_snapshot(deadline)
    }

    /// Waits for descriptors, timers and other threads, unless something is ready; what
    /// happened to descriptors is in the ready queue afterwards.
    pub(super) fn wait(&self, limit: Limit) -> Result<()> {
        self.now.set(0);
        // A callback of the last turn may have flushed.
        self.stop_resting();
        if self.may_skip_the_kernel() {
            return Ok(());
        }
        loop {
            self.call_hooks(When::BeforeWait)?;
            // What the hook has cancelled is released before a wait that may be long.
            self.between_turns()?;
            let mut plan = self.guarded(|| self.plan(limit))?;
            if plan != Plan::Poll && !self.hooks.borrow().is_empty(When::WhenIdle) {
                self.call_hooks(When::WhenIdle)?;
                self.between_turns()?;
                plan = self.guarded(|| self.plan(limit))?;
            }
            let asked = self.guarded(|| self.ask_kernel(plan.timeout()))?;
            self.now.set(0);
            if asked.interrupted {
                self.call_hooks(When::OnInterrupt)?;
            } else if let Plan::Jump(time) = plan
                && !asked.found
            {
                self.clock.advance_to(time);
            }
            self.call_hooks(When::AfterWait)?;
            // A wait that ended early, with nothing to show for it, goes on.
            if asked.found || self.guarded(|| self.is_wait_over(limit))? {
                return Ok(());
            }
        }
    }

    /// While callbacks stay ready, the kernel is asked once in a while only: a system
    /// call costs more than twenty callbacks.
    #[inline]
    fn may_skip_the_kernel(&self) -> bool {
        if self.ready.borrow().is_empty() {
            self.last_poll.set(0);
            return false;
        }
        if self.strict_poll || self.clock.is_virtual() {
            return false;
        }
        let last = self.last_poll.get();
        let now = self.clock.now();
        self.now.set(now);
        if last != 0 && now.saturating_sub(last) < self.poll_gap {
            return true;
        }
        self.last_poll.set(now);
        false
    }

    /// How to wait, as things are now.
    fn plan(&self, limit: Limit) -> Result<Plan> {
        let idle = self.ready.borrow().is_empty()
            && limit != Limit::Poll
            && !self.shared.is_stopping()
            && !self.shared.has_posts()
            && !self.clock.is_manual()
            && !self.watchers.borrow().has_always();
        if !idle {
            return Ok(Plan::Poll);
        }
        let next = self.timers.borrow_mut().next();
        let until = match limit {
            Limit::Until(time) => next.min(time),
            _ => next,
        };
        // Descriptors that are waited for live in real time.
        let jumps = || limit != Limit::Forever || !self.watchers.borrow().has_waiting();
        Ok(match self.clock.is_virtual() {
            _ if until == NEVER => Plan::Forever,
            true if jumps() => Plan::Jump(until),
            true => Plan::Forever,
            false => match until.saturating_sub(self.clock.now()) {
                0 => Plan::Poll,
                ns => Plan::For(ns),
            },
        })
    }

    /// After a wait that found nothing: is it over all the same?
    fn is_wait_over(&self, limit: Limit) -> Result<bool> {
        self.collect_timers()?;
        if !self.ready.borrow().is_empty() || self.shared.is_stopping() || self.shared.has_posts() {
            return Ok(true);
        }
        Ok(match limit {
            Limit::Poll => true,
            Limit::Until(time) => self.clock.is_manual() || self.turn_now() >= time,
            Limit::Forever => self.clock.is_manual(),
        })
    }

    /// Puts what became ready meanwhile into the ready queue: descriptors have been
    /// collected with the wait, now due timers, then posts.
    pub(super) fn collect(&self) -> Result<()> {
        self.collect_timers()?;
        if self.shared.has_posts() || !self.incoming.borrow().0.is_empty() {
            self.collect_posts()?;
        }
        let turns = self.turns.get().wrapping_add(1);
        self.turns.set(turns);
        if turns.is_multiple_of(TURNS_OF_A_PERIOD) {
            self.trim();
        }
        Ok(())
    }

    #[inline]
    fn collect_timers(&self) -> Result<()> {
        let mut timers = self.timers.borrow_mut();
        if timers.next_at_least() == NEVER {
            return Ok(());
        }
        let mut ready = self.ready.borrow_mut();
        timers.collect(self.turn_now(), |id, timer| ready.push(Entry::Timer { id, unref: timer.unref }))
    }

    fn collect_posts(&self) -> Result<()> {
        let mut incoming = self.incoming.borrow_mut();
        loop {
            let head = incoming.0.head();
            let Some(post) = incoming.0.get_mut(head).and_then(|post| *post) else {
                if !self.shared.has_posts() {
                    return Ok(());
                }
                self.shared.take_posts(&mut incoming);
                continue;
            };
            self.accept(post)?;
            incoming.0.pop();
        }
    }

    /// One post into the ready queue; nothing changes when there is no memory.
    fn accept(&self, Post { callback, release }: Post) -> Result<()> {
        let mut rare = RareRef::NONE;
        if let Some(release) = release {
            self.promise_release(&mut rare, release)?;
        }
        let pushed = self.ready.borrow_mut().push(Entry::Soon { callback, rare, unref: false });
        if pushed.is_err() && rare.is_some() {
            self.rares.borrow_mut().take(rare);
            self.releases.borrow_mut().withdraw();
        }
        pushed.map(drop)
    }

    fn trim(&self) {
        self.ready.borrow_mut().trim();
        self.timers.borrow_mut().trim();
        self.watchers.borrow_mut().trim();
        self.rares.borrow_mut().trim();
        self.releases.borrow_mut().trim();
        self.incoming.borrow_mut().0.trim(0);
        self.shared.trim();
    }

    /// Runs what is ready now; what that schedules is for the next turn.
    fn run_snapshot(&self, deadline: Option<u64>) -> Result<u64> {
        let end = self.ready.borrow().end();
        let mut count = 0;
        while let Some(call) = self.guarded(|| self.take_call(end))? {
            call.make(self);
            self.finish_current();
            count += 1;
            if deadline.is_some_and(|deadline| clock::monotonic() >= deadline) {
                break;
            }
        }
        Ok(count)
    }

    /// Takes the next callback of the snapshot out of the structures; its source is
    /// current from now on.
    #[inline]
    pub(super) fn take_call(&self, end: u64) -> Result<Option<Call>> {
        loop {
            let popped = self.ready.borrow_mut().pop_before(end);
            let Some((sequence, entry)) = popped else {
                return Ok(None);
            };
            let call = match entry {
                Entry::Gone => None,
                Entry::Soon { callback, rare, .. } => {
                    self.current.set(Current { handle: sequence as i64, rare, arg: callback.arg });
                    Some(Call::Plain(callback))
                }
                Entry::Timer { id, .. } => self.take_timer(id),
                Entry::Watch { id, events, .. } => self.take_watch(id, sequence, events),
            };
            if call.is_some() {
                return Ok(call);
            }
        }
    }

    fn set_current(&self, kind: Kind, id: SlotId) {
        self.current.set(Current { handle: Handle::Slot(kind, id).to_raw(), ..Current::NONE });
    }

    fn take_timer(&self, id: SlotId) -> Option<Call> {
        let mut timers = self.timers.borrow_mut();
        let timer = timers.slots.get_mut(id)?;
        timer.state = State::Idle;
        self.set_current(Kind::Timer, id);
        let period = self.rares.borrow_mut().period(timer.rare);
        let Some(period) = period else { return Some(Call::Plain(timer.callback)) };
        // Armed again before the callback: it may cancel or re-schedule itself, or throw.
        let (ticks, next) = match period.missed {
            Missed::Run => (1, timer.deadline.saturating_add(period.interval)),
            Missed::Restart => (1, self.clock.now().saturating_add(period.interval)),
            Missed::Skip => {
                let late = self.turn_now().saturating_sub(timer.deadline);
                let ticks = (late / period.interval).saturating_add(1);
                (ticks, timer.deadline.saturating_add(ticks.saturating_mul(period.interval)))
            }
        };
        timers.schedule(id, next);
        Some(Call::Tick(period.callback, ticks))
    }

    fn take_watch(&self, id: SlotId, sequence: u64, reported: u32) -> Option<Call> {
        let mut watchers = self.watchers.borrow_mut();
        let polls = watchers.polls;
        let watch = watchers.slots.get_mut(id)?;
        debug_assert_eq!(watch.pending, sequence, "an entry goes with its watcher");
        watch.pending = 0;
        // What a budget, an exception or an outer run left lying must still be true.
        if watch.mask & EDGE == 0 && watch.seen != polls {
            return None;
        }
        let events = watch.share_of(reported);
        if events == 0 {
            return None;
        }
        let (callback, fd) = (watch.callback, watch.fd);
        if watch.mask & ONESHOT != 0 {
            watchers.set_mask(id, 0);
        }
        self.set_current(Kind::Watch, id);
        Some(Call::Fd(callback, fd, events))
    }

    /// The current callback has returned (or thrown): a one-shot is finished.
    #[inline]
    pub(super) fn finish_current(&self) {
        let current = self.current.replace(Current::NONE);
        match Handle::from_raw(current.handle) {
            None => {}
            Some(Handle::Soon(_)) if !current.rare.is_some() => {}
            Some(Handle::Soon(_)) => self.end_rare(current.rare, current.arg),
            Some(Handle::Slot(Kind::Timer, id)) => self.finish_timer(id, current.handle),
            Some(Handle::Slot(..)) => {}
        }
    }

    pub(super) fn finish_timer(&self, id: SlotId, handle: i64) {
        let idle = self.timers.borrow().slots.get(id).is_some_and(|timer| timer.state == State::Idle);
        // In an outer run the same timer's callback may still be on the stack.
        if idle && !self.is_on_outer_stack(handle) {
            self.end_timer(id);
        }
    }

    fn call_hooks(&self, when: When) -> Result<()> {
        if self.hooks.borrow().is_empty(when) {
            return Ok(());
        }
        let newest = self.hooks.borrow().newest();
        let mut last = 0;
        loop {
            let next = self.hooks.borrow().after(when, last, newest);
            let Some((order, id, callback)) = next else {
                return Ok(());
            };
            last = order;
            self.set_current(Kind::Hook, id);
            callback.call(self);
            self.finish_current();
            if self.is_closed() {
                return Err(Error::CLOSED);
            }
        }
    }

    /// Is this the handle of a callback that an outer run is in the middle of?
    pub(super) fn is_on_outer_stack(&self, handle: i64) -> bool {
        self.depth.get() > 1 && self.outer.borrow().iter().any(|outer| outer.handle == handle)
    }
}
