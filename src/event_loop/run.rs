//! Runs and turns.
//!
//! A run is a guard on the stack: its destructor puts the loop in order when the run ends, also when
//! an exception passes through. A turn is wait, collect, run.

use super::Loop;
use super::wait::Limit;
use crate::base::memory::try_push;
use crate::error::{Error, Result};
use crate::event_loop::inbox::Stop;
use crate::sys::clock;
use crate::sys::thread;
use std::mem::ManuallyDrop;
use std::sync::atomic::Ordering;

/// The most runs that may be nested: a limit before the stack overflows.
const MAX_NESTED_RUNS: u32 = 1_000;

/// Why a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// `stop` was called, or a manual clock has nothing more to do now.
    Stopped,
    /// Nothing is left that could ever run.
    OutOfWork,
}

/// A run on the stack. Dropped when the run returns and when an exception passes.
pub(super) struct Run<'a> {
    on: &'a Loop,
}

impl<'a> Run<'a> {
    #[inline(always)]
    pub(super) fn begin(on: &'a Loop) -> Result<Run<'a>> {
        // (Only the loop's thread may read the depth: the fast path is checked first.)
        match on.takes_fast_path() && on.runs.depth.get() == 0 {
            // The loop has no owner. (No atomic exchange: users must not start runs in two threads at
            // once, and an exchange would cost as much as several callbacks.)
            true => on.access.owner.store(thread::current(), Ordering::Relaxed),
            false => on.begin_otherwise()?,
        }
        on.runs.depth.set(on.runs.depth.get() + 1);
        // The first turn of every run asks the kernel.
        on.runs.next_poll.set(0);
        on.stop_resting();
        let run = Run { on };
        if !on.sources.releases.is_empty() {
            on.between_turns()?;
        }
        Ok(run)
    }
}

impl Run<'_> {
    /// The run returns and no exception passes: the usual end, inlined.
    #[inline(always)]
    fn end(self) {
        ManuallyDrop::new(self).put_in_order();
    }

    #[inline(always)]
    fn put_in_order(&self) {
        let on = self.on;
        let depth = on.runs.depth.get() - 1;
        if depth == 0 {
            on.make_releases();
        }
        on.runs.depth.set(depth);
        on.runs.now.set(0);
        // Also in a nested run: a dialog's main loop may wait for the descriptor. And again even if a
        // callback of the last turn has flushed: the host must be notified of what changed since.
        let owes_hook = on.rest();
        if depth > 0 {
            on.go_on_outside(depth);
        } else if on.access.owner.load(Ordering::Relaxed) == thread::current() {
            // (Unless the loop was closed meanwhile.)
            on.access.owner.store(on.owner_at_rest(), Ordering::Relaxed);
        }
        if owes_hook {
            // Last, with everything in order: it may throw.
            on.call_hook();
        }
    }
}

impl Drop for Run<'_> {
    #[inline(never)]
    fn drop(&mut self) {
        // Only when an exception passes is a callback still current.
        if self.on.runs.current.handle() != 0 {
            self.on.finish_thrown();
        }
        self.put_in_order();
    }
}

impl Loop {
    /// Runs until [`Loop::stop`].
    pub fn run_forever(&self) -> Result<Ended> {
        self.run_turns(Limit::Forever)
    }

    /// Runs until [`Loop::stop`], or until nothing is left that could ever run.
    pub fn run(&self) -> Result<Ended> {
        self.run_turns(Limit::WhileWork)
    }

    fn run_turns(&self, limit: Limit) -> Result<Ended> {
        let run = self.begin_pushed_run()?;
        loop {
            if limit == Limit::WhileWork && !self.is_kept_going() && !self.shared.is_stopping() {
                return Ok(Ended::OutOfWork);
            }
            let count = self.turn(limit, None)?;
            if self.is_over(&run, count)? {
                return Ok(Ended::Stopped);
            }
        }
    }

    /// Runs one turn, which waits for at most `timeout` nanoseconds (`None`: without limit). Returns
    /// the number of callbacks that ran.
    pub fn run_once(&self, timeout: Option<u64>) -> Result<u64> {
        let run = self.begin_pushed_run()?;
        let count = self.turn(self.limit(timeout), None)?;
        self.is_over(&run, count)?;
        run.end();
        Ok(count)
    }

    /// Runs turns that never wait, until nothing is ready or `budget` nanoseconds have passed. Returns
    /// the number of callbacks that ran.
    pub fn run_ready(&self, budget: u64) -> Result<u64> {
        let run = self.begin_pushed_run()?;
        let deadline = clock::monotonic().saturating_add(budget);
        let mut total = 0;
        loop {
            let count = self.turn(Limit::Poll, Some(deadline))?;
            total += count;
            if self.is_over(&run, count)? || count == 0 || clock::monotonic() >= deadline {
                run.end();
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

    #[inline(always)]
    fn begin_pushed_run(&self) -> Result<Run<'_>> {
        match self.pull {
            // The error of a wrong thread or of a closed loop comes first.
            Some(_) => self.check().and(Err(Error::PULL)),
            None => Run::begin(self),
        }
    }

    /// The slow path of [`Run::begin`]: the run is nested, the first in this thread, of a loop with a
    /// host or bound to a thread, or not allowed.
    #[inline(never)]
    fn begin_otherwise(&self) -> Result<()> {
        self.check()?;
        let depth = self.runs.depth.get();
        if depth == MAX_NESTED_RUNS {
            return Err(Error::LIMIT);
        }
        if depth > 0 {
            try_push(&mut self.runs.outer.borrow_mut(), self.runs.current.get())?;
            self.runs.current.clear();
            if self.runs.stops_up_to.get() >= depth {
                // `stop_all` was for the outer runs: this one has begun since.
                self.shared.take_stop_all();
            }
        }
        self.access.owner.store(thread::current(), Ordering::Relaxed);
        self.set_fast_path_here();
        Ok(())
    }

    /// A nested run is over: `depth` outer runs are left.
    #[inline(never)]
    fn go_on_outside(&self, depth: u32) {
        if let Some(outer) = self.runs.outer.borrow_mut().pop() {
            self.runs.current.set(outer);
        }
        if self.runs.stops_up_to.get() >= depth {
            self.shared.ask_to_stop_all();
        }
    }

    /// Returns whether the innermost run has to end, and clears the request as far as it is for this
    /// run.
    #[cold]
    fn take_stop(&self) -> bool {
        let asked = self.shared.take_stop();
        let outside = self.runs.depth.get() - 1;
        if asked == Stop::All {
            // The next outer run sees it between its turns.
            self.runs.stops_up_to.set(outside);
            if outside > 0 {
                self.shared.ask_to_stop_all();
            }
        }
        asked != Stop::No
    }

    /// Returns whether there are requests for the next run. (Not a `stop_all` that is only for the runs
    /// on the stack.)
    pub(super) fn has_requests(&self) -> bool {
        let depth = self.runs.depth.get();
        let is_for_outside = depth > 0 && self.runs.stops_up_to.get() >= depth;
        self.shared.has_something(if is_for_outside { Stop::One } else { Stop::All })
    }

    /// An exception passes: finishes its callback. The exception ends the run, so a request to stop that
    /// was made for it is cleared.
    #[cold]
    fn finish_thrown(&self) {
        self.finish_current();
        if self.shared.is_stopping() {
            self.take_stop();
        }
    }

    /// Between turns: returns whether the innermost run is over.
    #[inline(always)]
    pub(super) fn is_over(&self, _run: &Run<'_>, count: u64) -> Result<bool> {
        if !self.sources.releases.is_empty() {
            self.between_turns()?;
        }
        // (A fork is checked for after each callback.)
        let owner = self.access.owner.load(Ordering::Relaxed);
        if owner != thread::current() {
            return Err(self.refusal(owner));
        }
        if self.shared.is_stopping() && self.take_stop() {
            return Ok(true);
        }
        Ok(self.clock.is_manual() && count == 0 && self.sources.ready.is_empty())
    }

    /// Makes the releases that are due, also in a nested run, since a dialog may last. (If the loop was
    /// freed in a run, its releases wait for the end of the outermost run.)
    #[inline]
    pub(super) fn between_turns(&self) -> Result<()> {
        if !self.sources.releases.is_empty() && !self.is_closed() {
            self.make_releases();
        }
        // User code may have freed the loop, or forked, and this is the child.
        self.check()
    }

    /// One turn. Returns the number of callbacks that ran.
    #[inline(always)]
    fn turn(&self, limit: Limit, deadline: Option<u64>) -> Result<u64> {
        self.wait(limit)?;
        self.collect()?;
        self.run_snapshot(deadline)
    }
}
