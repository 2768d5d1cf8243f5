//! Hosts: between its runs, and after a flush, the loop is complete for whoever owns the
//! main loop. What changes then reaches the kernel, the host's descriptor and its hook in
//! the call that changes it. A loop without a host pays one branch a call, or none (`plain_here`).

use super::Loop;
use crate::error::{Error, Result};
use crate::event_loop::callback::WakeHook;
use crate::event_loop::inbox::Remote;
use crate::event_loop::timer::NEVER;
use crate::sys::clock::Clock;

impl Loop {
    /// The descriptor that is readable when the loop has anything to do.
    pub fn fd(&self) -> Result<i32> {
        self.check()?;
        let fd = self.poller.borrow_mut().embed()?;
        self.is_embedded.set(true);
        // (With a hook it hears them already, and may have told of one.)
        if self.is_resting.get() && !self.hears_rings.get() {
            self.hear_rings();
        }
        self.settle()?;
        Ok(fd)
    }

    /// Nanoseconds until the loop wants to run, descriptors aside; `i64::MAX`: never.
    pub fn timeout(&self) -> Result<i64> {
        self.check()?;
        if self.is_work_left() {
            return Ok(0);
        }
        let left = match self.timers.borrow_mut().next() {
            NEVER => NEVER,
            next => next.saturating_sub(self.clock.now()),
        };
        Ok(i64::try_from(left).unwrap_or(i64::MAX))
    }

    /// Inside a callback: makes the loop complete for a host's nested main loop, until its
    /// next turn.
    pub fn flush(&self) -> Result<()> {
        self.check()?;
        self.settle()?;
        if self.depth.get() > 0 && !self.is_resting.get() {
            self.rest();
        }
        Ok(())
    }

    /// Tells `hook` of work that comes while no run is on the stack.
    pub fn set_wake_hook(&self, hook: Option<WakeHook>) -> Result<()> {
        self.check()?;
        let is_some = hook.is_some();
        self.shared.set_hook(hook)?;
        self.has_hook.set(is_some);
        // Only what comes from now on is news; and it is, whatever somebody rang for before.
        if self.is_resting.get() && self.has_host() {
            self.shared.ring_again();
            self.hear_rings();
        }
        self.told_deadline.set(self.timers.borrow_mut().next());
        self.told_work.set(self.is_work_left());
        self.settle()
    }

    /// A sender for other threads that may outlive the loop.
    pub fn remote(&self) -> Result<Box<Remote>> {
        self.check()?;
        Remote::new(&self.shared)
    }

    /// In a forked child: the same sources with a kernel side of the child's own.
    pub fn after_fork(&self) -> Result<()> {
        if self.process.is_current() {
            return self.check();
        }
        if self.is_closed() {
            return Err(Error::CLOSED);
        }
        self.check_thread_after_fork()?;
        let mut watchers = self.watchers.borrow_mut();
        let registrations = watchers.registrations_to_vec()?;
        self.shared.renew_waker()?;
        self.poller.borrow_mut().after_fork()?;
        self.shared.after_fork()?;
        for change in registrations {
            watchers.lost_registration(change.fd);
        }
        drop(watchers);
        self.process.adopt();
        // Whoever rang before the fork told the parent: here nobody has been told.
        if self.hears_rings.get() {
            self.shared.end_run();
        }
        // What cannot be told now (no memory) is told before the next wait.
        let _ = self.settle();
        Ok(())
    }

    /// A source was made or changed: if a host relies on the loop now, it is told.
    #[inline]
    pub(super) fn changed(&self) {
        if self.tells_host.get() {
            // What cannot be told now (no memory) is told before the next wait.
            let _ = self.settle();
            self.call_hook_for_news();
        }
    }

    /// No run looks after the loop from now on: its host does.
    #[inline]
    pub(super) fn rest(&self) {
        self.is_resting.set(true);
        if self.has_host() {
            let _ = self.guarded(|| self.rest_with_host());
        }
    }

    /// From now on whoever brings work tells the host. (Nobody is told at the rest of a loop
    /// without one: its next run looks for work before it waits.)
    fn hear_rings(&self) {
        self.hears_rings.set(true);
        self.shared.end_run();
    }

    #[inline(never)]
    fn rest_with_host(&self) -> Result<()> {
        self.hear_rings();
        if !self.process.is_current() {
            // A callback has forked, and this is the child: the rest is the parent's.
            return Ok(());
        }
        let settled = self.settle();
        self.told_deadline.set(self.timers.borrow_mut().next());
        self.told_work.set(self.is_work_left());
        // Posts that came while the run ended, too late for it, with nobody told.
        if self.shared.has_something() {
            self.shared.call_hook();
        }
        settled
    }

    /// A run looks after the loop again.
    #[inline]
    pub(super) fn stop_resting(&self) {
        self.is_resting.set(false);
        if self.hears_rings.get() {
            self.hear_no_rings();
        }
    }

    #[inline(never)]
    fn hear_no_rings(&self) {
        self.hears_rings.set(false);
        self.tells_host.set(false);
        self.set_plain_here();
        self.shared.begin_run();
    }

    #[inline]
    fn has_host(&self) -> bool {
        self.is_embedded.get() || self.has_hook.get()
    }

    /// Passes everything on that the host's descriptor depends on.
    fn settle(&self) -> Result<()> {
        self.tells_host.set(self.is_resting.get() && self.has_host());
        self.set_plain_here();
        let mut watchers = self.watchers.borrow_mut();
        let mut poller = self.poller.borrow_mut();
        if self.is_embedded.get() {
            self.end_ghosts_for_host(&mut watchers, &mut poller);
        }
        let told = self.tell_kernel(&mut watchers, &poller);
        drop(watchers);
        if !self.is_embedded.get() {
            return told;
        }
        let deadline = match self.clock {
            Clock::System => self.timers.borrow_mut().next(),
            Clock::Virtual { .. } => NEVER,
        };
        // Also when the kernel has no room for a change: the host must hear of the rest, and comes to
        // try again.
        poller.announce(self.is_work_left() || told.is_err(), deadline).and(told)
    }

    /// Would a run that must not wait find something, descriptors aside?
    fn is_work_left(&self) -> bool {
        if !self.ready.is_empty()
            || self.shared.has_something()
            || !self.incoming.0.is_empty()
            || self.watchers.borrow().has_always()
        {
            return true;
        }
        let next = self.timers.borrow_mut().next();
        // (In real time the host's timerfd tells.)
        self.clock.is_virtual() && next != NEVER && next <= self.clock.now()
    }

    /// The hook is told of work and of an earlier deadline, as far as they are news.
    fn call_hook_for_news(&self) {
        let deadline = self.timers.borrow_mut().next();
        let earlier = deadline < self.told_deadline.replace(deadline);
        let work = self.is_work_left();
        // Also when there is none any more: what comes next is news again.
        let told = self.told_work.replace(work);
        let more = work && !told;
        if earlier || more {
            self.shared.call_hook();
        }
    }
}
