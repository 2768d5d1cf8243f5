//! Hosts: between its runs, and after a flush, the loop is complete for whoever owns the
//! main loop. What changes then reaches the kernel, the host's descriptor and its hook in
//! the call that changes it. A loop without a host pays one branch a call, or none (`plain_here`).

use super::Loop;
use crate::error::{Error, Result};
use crate::event_loop::callback::WakeHook;
use crate::event_loop::inbox::Remote;
use crate::event_loop::timer::NEVER;
use crate::sys::clock::Clock;
use std::sync::atomic::Ordering;

impl Loop {
    /// The descriptor that is readable when the loop has anything to do.
    pub fn fd(&self) -> Result<i32> {
        self.check()?;
        let fd = self.poller.borrow_mut().embed()?;
        if !self.is_embedded.replace(true) {
            let mut watchers = self.watchers.borrow_mut();
            // The numbers may be some that the user has closed: no watcher means them any more.
            let numbers = self.poller.borrow().host_numbers();
            numbers.into_iter().for_each(|number| self.detach(&mut watchers, number));
            // Some may be paused that the kernel was not told of: they would wake a host.
            for change in watchers.registrations_to_vec()? {
                watchers.try_again(change.fd);
            }
        }
        self.minds_rest.set(true);
        // (With a hook it hears them already, and may have told of one.)
        if self.is_resting.get() && !self.hears_rings.get() {
            self.hear_rings();
        }
        self.flush()?;
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
        if self.depth.get() > 0 && !self.is_resting.get() && self.rest() {
            self.call_hook_of_call();
        }
        Ok(())
    }

    /// Tells `hook` of work that comes while no run is on the stack.
    pub fn set_wake_hook(&self, hook: Option<WakeHook>) -> Result<()> {
        self.check()?;
        let is_some = hook.is_some();
        self.shared.set_hook(hook)?;
        self.has_hook.store(is_some, Ordering::Relaxed);
        self.minds_rest.set(self.has_host() || self.bound_to.is_some());
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
        self.shared.refuse_in_hook()?;
        // (Harmless if something below fails.)
        self.bound_to.move_here()?;
        let mut watchers = self.watchers.borrow_mut();
        let mut poller = self.poller.borrow_mut();
        let mut registrations = watchers.registrations_to_vec()?;
        // Another file may be behind a number by now, which nobody has asked to watch.
        registrations.retain(|change| {
            let is_same = poller.is_inherited(*change);
            if !is_same {
                self.detach(&mut watchers, change.fd);
            }
            is_same
        });
        self.shared.renew_waker()?;
        poller.after_fork(&registrations)?;
        self.shared.after_fork()?;
        drop((watchers, poller));
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

    /// No run looks after the loop from now on: its host does. Returns whether the hook is to be called
    /// as soon as all is in order.
    #[inline]
    pub(super) fn rest(&self) -> bool {
        self.is_resting.set(true);
        self.minds_rest.get() && self.rest_otherwise()
    }

    #[cold]
    #[inline(never)]
    fn rest_otherwise(&self) -> bool {
        match self.has_host() {
            true => self.guarded(|| Ok(self.rest_with_host())).unwrap_or(false),
            false => {
                self.set_plain_here();
                false
            }
        }
    }

    /// A run that ends brings work to the host, no guard against bugs being on the stack.
    pub(super) fn call_hook(&self) {
        self.shared.call_hook();
    }

    /// A call between runs brings work to the host.
    fn call_hook_of_call(&self) {
        match self.defers_hook.get() {
            true => self.owes_hook.store(true, Ordering::Relaxed),
            false => self.shared.call_hook(),
        }
    }

    /// The loop is called from C, each time under a guard that no exception may pass: after each
    /// call the hook is called that [`Loop::owes_hook`].
    pub(crate) fn defer_hook(&self) {
        self.defers_hook.set(true);
    }

    /// Returns whether [`Loop::call_owed_hook`] is to follow. Any thread may ask.
    #[inline]
    pub(crate) fn owes_hook(&self) -> bool {
        self.owes_hook.load(Ordering::Relaxed)
    }

    /// Calls the hook that is owed. It may throw.
    #[cold]
    pub(crate) fn call_owed_hook(&self) {
        if self.check().is_ok() && self.owes_hook.swap(false, Ordering::Relaxed) {
            self.shared.call_hook();
        }
    }

    /// From now on whoever brings work tells the host. (Nobody is told at the rest of a loop
    /// without one: its next run looks for work before it waits.)
    fn hear_rings(&self) {
        self.hears_rings.set(true);
        self.shared.end_run();
    }

    fn rest_with_host(&self) -> bool {
        self.hear_rings();
        if !self.process.is_current() {
            // A callback has forked, and this is the child: the rest is the parent's.
            return false;
        }
        // What cannot be told now (no memory) is told before the next wait.
        let _ = self.settle();
        self.told_deadline.set(self.timers.borrow_mut().next());
        self.told_work.set(self.is_work_left());
        // Posts that came while the run ended, too late for it, with nobody told.
        self.has_requests()
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
        self.is_embedded.get() || self.has_hook.load(Ordering::Relaxed)
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
        let told = self.tell_kernel(&mut watchers, &poller, self.is_embedded.get());
        drop(watchers);
        if !self.is_embedded.get() {
            return told;
        }
        let deadline = match self.clock {
            Clock::System => self.timers.borrow_mut().next(),
            Clock::Virtual { .. } => NEVER,
        };
        let deadline = deadline.min(self.next_renewal());
        // Also when the kernel has no room for a change: the host must hear of the rest, and comes to
        // try again.
        poller.announce(self.is_work_left() || told.is_err(), deadline).and(told)
    }

    /// Would a run that must not wait find something, descriptors aside?
    fn is_work_left(&self) -> bool {
        if !self.ready.is_empty()
            || self.has_requests()
            || !self.releases.is_empty()
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
            self.call_hook_of_call();
        }
    }
}
