//! Runs and turns.
//!
//! A run is a guard on the stack: whatever has to be put in order when it ends is done when
//! it is dropped, also when an exception passes through. A turn is three lines.

use super::Loop;
use super::wait::Limit;
use crate::base::memory::try_push;
use crate::error::{Error, Result};
use crate::event_loop::inbox::Stop;
use crate::sys::clock;
use crate::sys::thread;
use std::mem::ManuallyDrop;
use std::sync::atomic::Ordering;

/// No more runs than this are nested, so that the stack does not end before the patience.
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
        // (Only this thread may look at the depth: that comes first.)
        match on.takes_fast_path() && on.runs.depth.get() == 0 {
            // It is nobody's. (No exchange: that two threads do not begin
            // at once is up to them, and it would cost as much as ten callbacks.)
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
    /// The run returns, and no exception passes: the usual end, in line with it.
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
        // Also in a callback: whoever has run the loop there may wait for its descriptor. And anew, even
        // if a callback of the last turn has flushed: the host was told then.
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

    /// One turn that waits at the longest for `timeout` nanoseconds (`None`: without
    /// limit). How many callbacks ran?
    pub fn run_once(&self, timeout: Option<u64>) -> Result<u64> {
        let run = self.begin_pushed_run()?;
        let count = self.turn(self.limit(timeout), None)?;
        self.is_over(&run, count)?;
        run.end();
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
            // A run of a wrong thread, or of a closed loop, says so first.
            Some(_) => self.check().and(Err(Error::PULL)),
            None => Run::begin(self),
        }
    }

    /// A run that is nested, or the first by this thread, or that ends the rest with a host or of
    /// a bound loop; or that may not be.
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
                // Those outside end. This one has begun since.
                self.shared.take_stop_all();
            }
        }
        self.access.owner.store(thread::current(), Ordering::Relaxed);
        self.set_fast_path_here();
        Ok(())
    }

    /// A nested run is over: those outside are `depth`.
    #[inline(never)]
    fn go_on_outside(&self, depth: u32) {
        if let Some(outer) = self.runs.outer.borrow_mut().pop() {
            self.runs.current.set(outer);
        }
        if self.runs.stops_up_to.get() >= depth {
            self.shared.ask_to_stop_all();
        }
    }

    /// Returns whether the innermost run is to end, and uses the request up as far as it is for this
    /// run.
    #[cold]
    fn take_stop(&self) -> bool {
        let asked = self.shared.take_stop();
        let outside = self.runs.depth.get() - 1;
        if asked == Stop::All {
            // The next one outside sees it between its turns.
            self.runs.stops_up_to.set(outside);
            if outside > 0 {
                self.shared.ask_to_stop_all();
            }
        }
        asked != Stop::No
    }

    /// Returns whether anything has been asked for that the next run has to look after. (Not a request
    /// to stop that only those are to hear that are on the stack.)
    pub(super) fn has_requests(&self) -> bool {
        let depth = self.runs.depth.get();
        let is_for_outside = depth > 0 && self.runs.stops_up_to.get() >= depth;
        self.shared.has_something(if is_for_outside { Stop::One } else { Stop::All })
    }

    /// An exception passes: its callback is finished. It ends the run, as the stop would have
    /// that was asked for in it.
    #[cold]
    fn finish_thrown(&self) {
        self.finish_current();
        if self.shared.is_stopping() {
            self.take_stop();
        }
    }

    /// Between turns: is the innermost run over?
    #[inline(always)]
    pub(super) fn is_over(&self, _run: &Run<'_>, count: u64) -> Result<bool> {
        if !self.sources.releases.is_empty() {
            self.between_turns()?;
        }
        // (Whether a callback has forked is looked at after each.)
        let owner = self.access.owner.load(Ordering::Relaxed);
        if owner != thread::current() {
            return Err(self.refusal(owner));
        }
        if self.shared.is_stopping() && self.take_stop() {
            return Ok(true);
        }
        Ok(self.clock.is_manual() && count == 0 && self.sources.ready.is_empty())
    }

    /// The boundary of a run where releases are made, also of a nested one: a dialog may last. (Not of
    /// a run in which the loop was freed: then they wait for the end of the outermost.)
    #[inline]
    pub(super) fn between_turns(&self) -> Result<()> {
        if !self.sources.releases.is_empty() && !self.is_closed() {
            self.make_releases();
        }
        // User code may have freed the loop, or forked, and this is the child.
        self.check()
    }

    /// One turn. The design's three lines.
    #[inline(always)]
    fn turn(&self, limit: Limit, deadline: Option<u64>) -> Result<u64> {
        self.wait(limit)?;
        self.collect()?;
        self.run_snapshot(deadline)
    }
}
