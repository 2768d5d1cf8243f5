//! Waiting and collecting: the first two steps of a turn.

use super::Loop;
use crate::error::Result;
use crate::event_loop::hooks::When;
use crate::event_loop::inbox::Post;
use crate::event_loop::ready::Entry;
use crate::event_loop::side_table::ExtrasRef;
use crate::event_loop::timer::NEVER;
use crate::sys::Timeout;
use crate::sys::clock;

/// Unused memory is freed once in so many turns.
const TURNS_OF_A_PERIOD: u32 = 64;

/// How long a turn may wait.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    Poll,
    /// Until this time on the loop's clock.
    Until(u64),
    Forever,
    /// While any source could still run. (A hook may cancel the last one.)
    WhileWork,
}

/// How to wait in the kernel.
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
impl Loop {
    /// Waits for descriptors, timers and other threads, unless something is ready; what
    /// happened to descriptors is in the ready queue afterwards.
    #[inline(always)]
    pub(super) fn wait(&self, limit: Limit) -> Result<()> {
        self.runs.now.set(0);
        if self.host.is_resting() {
            // A callback of the last turn has flushed.
            self.stop_resting();
        }
        match self.may_skip_the_kernel() {
            true => Ok(()),
            false if limit == Limit::Poll && self.sources.hooks.borrow().is_all_empty() => self.poll_kernel(),
            false => self.wait_in_kernel(limit),
        }
    }

    /// The fast path of [`Loop::wait_in_kernel`], for a poll without hooks.
    #[inline(never)] // the turns that skip it stay small
    fn poll_kernel(&self) -> Result<()> {
        self.guarded(|| self.ask_kernel(Timeout::Poll))?;
        self.runs.now.set(0);
        Ok(())
    }

    #[inline(never)] // the turns that skip it stay small
    fn wait_in_kernel(&self, limit: Limit) -> Result<()> {
        loop {
            let is_hooked = !self.sources.hooks.borrow().is_all_empty();
            if is_hooked {
                self.call_hooks(When::BeforeWait)?;
                // Sources that the hook has cancelled are released before a wait that may be long.
                self.between_turns()?;
            }
            let mut plan = self.guarded(|| self.plan(limit))?;
            if is_hooked && plan != Plan::Poll && !self.sources.hooks.borrow().is_empty(When::WhenIdle) {
                plan = self.plan_when_idle(limit)?;
            }
            let asked = self.guarded(|| self.ask_kernel(plan.timeout()))?;
            self.runs.now.set(0);
            if let Plan::Jump(time) = plan
                && !asked.found
                && !asked.interrupted
            {
                self.clock.advance_to(time);
            }
            if is_hooked {
                if asked.interrupted {
                    self.call_hooks(When::OnInterrupt)?;
                }
                self.call_hooks(When::AfterWait)?;
                self.between_turns()?;
            }
            // A wait that ended early and found nothing goes on.
            if asked.found || limit == Limit::Poll || self.guarded(|| self.is_wait_over(limit))? {
                return Ok(());
            }
        }
    }

    /// Returns whether this turn may skip the system call. While callbacks stay ready, the kernel is
    /// polled only at intervals, because a system call costs as much as many callbacks.
    #[inline]
    fn may_skip_the_kernel(&self) -> bool {
        if self.sources.ready.is_empty() {
            self.runs.next_poll.set(0);
            return false;
        }
        if self.runs.always_polls {
            return false;
        }
        let now = clock::monotonic(); // (A virtual clock polls always.)
        self.runs.now.set(now);
        if now < self.runs.next_poll.get() {
            return true;
        }
        self.runs.next_poll.set(now.saturating_add(self.runs.poll_gap));
        false
    }

    /// Calls the idle hooks, and then returns how to wait.
    #[cold]
    fn plan_when_idle(&self, limit: Limit) -> Result<Plan> {
        self.call_hooks(When::WhenIdle)?;
        self.between_turns()?;
        self.guarded(|| self.plan(limit))
    }

    /// Returns how to wait.
    #[inline(always)]
    fn plan(&self, limit: Limit) -> Result<Plan> {
        match limit {
            Limit::Poll => Ok(Plan::Poll),
            limit => self.plan_to_wait(limit),
        }
    }

    #[inline(always)] // in the one place that counts
    fn plan_to_wait(&self, limit: Limit) -> Result<Plan> {
        let idle = self.sources.ready.is_empty()
            && (limit != Limit::WhileWork || self.is_kept_going())
            && !self.shared.is_stopping()
            && !self.has_posts()
            && !self.shared.is_woken()
            && !self.clock.is_manual()
            && !self.sources.watchers.borrow().has_always();
        if !idle {
            return Ok(Plan::Poll);
        }
        let next = self.sources.timers.borrow_mut().next();
        let until = match limit {
            Limit::Until(time) => next.min(time),
            _ => next,
        };
        // A virtual clock does not jump while descriptors are watched, since they need real time. But a
        // wait with a limit always ends.
        let is_limited = matches!(limit, Limit::Until(_));
        Ok(match self.clock.is_virtual() {
            true if is_limited => Plan::Jump(until),
            _ if until == NEVER => Plan::Forever,
            true if !self.sources.watchers.borrow().has_waiting() => Plan::Jump(until),
            true => Plan::Forever,
            false => match until.saturating_sub(self.clock.now()) {
                0 => Plan::Poll,
                ns => Plan::For(ns),
            },
        })
    }

    /// After a wait that found nothing: returns whether it is over nevertheless.
    fn is_wait_over(&self, limit: Limit) -> Result<bool> {
        self.collect_timers()?;
        if !self.sources.ready.is_empty() || self.shared.is_stopping() || self.has_posts() {
            return Ok(true);
        }
        Ok(match limit {
            Limit::Poll => true, // (not reached: the caller handles a poll)
            Limit::Until(time) => self.clock.is_manual() || self.turn_now() >= time,
            Limit::Forever => self.clock.is_manual(),
            Limit::WhileWork => self.clock.is_manual() || !self.is_kept_going(),
        })
    }

    /// Puts due timers and then posts into the ready queue. The events of descriptors are there
    /// already, from the wait.
    #[inline(always)]
    pub(super) fn collect(&self) -> Result<()> {
        let turns = self.runs.turns.get().wrapping_add(1);
        self.runs.turns.set(turns);
        if self.has_timers() || self.has_posts() || turns.is_multiple_of(TURNS_OF_A_PERIOD) {
            return self.guarded(|| self.collect_what_there_is(turns));
        }
        Ok(())
    }

    fn collect_what_there_is(&self, turns: u32) -> Result<()> {
        self.collect_timers()?;
        if self.has_posts() {
            self.collect_posts()?;
        }
        if turns.is_multiple_of(TURNS_OF_A_PERIOD) {
            self.trim();
        }
        Ok(())
    }

    /// Returns whether a timer may be armed. (Must not panic: if a bug has left the timers borrowed, the
    /// guarded code finds out.)
    #[inline(always)]
    fn has_timers(&self) -> bool {
        !self.sources.timers.try_borrow().is_ok_and(|timers| timers.next_at_least() == NEVER)
    }

    fn collect_timers(&self) -> Result<()> {
        match self.has_timers() {
            true => self.collect_due_timers(),
            false => Ok(()),
        }
    }

    #[inline(never)]
    fn collect_due_timers(&self) -> Result<()> {
        let mut timers = self.sources.timers.borrow_mut();
        let ready = &self.sources.ready;
        timers.collect(self.turn_now(), |id, timer| ready.push(Entry::Timer { id, unref: timer.is_unref() }))
    }

    /// Returns whether there are posts that are not in the ready queue yet.
    #[inline]
    fn has_posts(&self) -> bool {
        self.shared.has_posts() || !self.sources.incoming.0.is_empty()
    }

    #[inline(never)]
    fn collect_posts(&self) -> Result<()> {
        let incoming = &self.sources.incoming;
        // Once a turn, so that threads that post all the time cannot prolong it. (If a lack of memory
        // left posts here, the turn takes only those.)
        if incoming.0.is_empty() {
            self.shared.take_posts(incoming);
        }
        while let Some(post) = incoming.0.peek() {
            let takes_fast_path =
                post.release.is_none() && self.sources.ready.push_soon(post.callback).is_some();
            if !takes_fast_path {
                self.accept(post)?;
            }
            incoming.0.pop();
        }
        Ok(())
    }

    /// Puts one post into the ready queue. Nothing changes if there is no memory.
    fn accept(&self, Post { callback, release }: Post) -> Result<()> {
        let mut extras = ExtrasRef::NONE;
        if let Some(release) = release {
            self.promise_release(&mut extras, release)?;
        }
        let pushed = self.sources.ready.push(self.soon_entry(callback, extras, false));
        if pushed.is_err() && extras.is_some() {
            self.sources.side_table.borrow_mut().take(extras);
            self.sources.releases.withdraw();
        }
        pushed.map(drop)
    }

    #[cold]
    fn trim(&self) {
        self.sources.ready.trim();
        self.sources.timers.borrow_mut().trim();
        self.sources.watchers.borrow_mut().trim();
        self.sources.objects.borrow_mut().trim();
        self.sources.side_table.borrow_mut().trim();
        self.sources.releases.trim();
        self.sources.incoming.0.trim(0);
        self.shared.trim();
    }
}
