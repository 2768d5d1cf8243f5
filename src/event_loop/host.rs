//! Hosts: between its runs, and after a flush, the loop is complete for whoever owns the
//! main loop. What changes then reaches the kernel, the host's descriptor and its hook in
//! the call that changes it. A loop without a host pays one branch a call, or none (`fast_path_here`).

use super::Loop;
use crate::error::{Error, Result};
use crate::event_loop::callback::WakeHook;
use crate::event_loop::inbox::Remote;
use crate::event_loop::timer::NEVER;
use crate::sys::clock::Clock;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

/// Who sees to it that the loop runs when there is something to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attendant {
    /// A run on the stack.
    Run,
    /// Nobody: none is on the stack, or a callback has flushed or has run the loop itself.
    Nobody,
    /// Likewise, and a host is told of what changes, also by whoever brings work from another thread.
    Host,
}

/// The host, if there is one, and what it knows.
pub(super) struct Host {
    attendant: Cell<Attendant>,
    /// Somebody has asked for the host's descriptor.
    is_embedded: Cell<bool>,
    /// Changed by the loop's thread alone; `Relaxed` for those that ask without being it.
    has_hook: AtomicBool,
    /// There is something to do when the loop comes to rest: for a host, or as it is bound.
    acts_at_rest: Cell<bool>,
    /// The hook of a call from C is called when the guard against bugs is left: it may throw.
    defers_hook: Cell<bool>,
    /// It is to be called after this call. As `has_hook`.
    owes_hook: AtomicBool,
    /// What the hook knows.
    notified_deadline: Cell<u64>,
    notified_work: Cell<bool>,
}

impl Host {
    pub(super) fn new(is_bound: bool) -> Host {
        Host {
            attendant: Cell::new(Attendant::Nobody),
            is_embedded: Cell::new(false),
            has_hook: AtomicBool::new(false),
            acts_at_rest: Cell::new(is_bound),
            defers_hook: Cell::new(false),
            owes_hook: AtomicBool::new(false),
            notified_deadline: Cell::new(NEVER),
            notified_work: Cell::new(false),
        }
    }

    /// Returns whether no run looks after the loop.
    #[inline]
    pub(super) fn is_resting(&self) -> bool {
        self.attendant.get() != Attendant::Run
    }

    /// Returns whether a host is to be told of changes.
    #[inline]
    pub(super) fn is_notified(&self) -> bool {
        self.attendant.get() == Attendant::Host
    }

    /// Returns whether there is one.
    #[inline]
    fn is_there(&self) -> bool {
        self.is_embedded.get() || self.has_hook.load(Ordering::Relaxed)
    }
}

impl Loop {
    /// The descriptor that is readable when the loop has anything to do.
    pub fn fd(&self) -> Result<i32> {
        self.check()?;
        let fd = self.kernel.poller.borrow_mut().embed()?;
        if !self.host.is_embedded.replace(true) {
            let mut watchers = self.sources.watchers.borrow_mut();
            // The numbers may be some that the user has closed: no watcher means them any more.
            let numbers = self.kernel.poller.borrow().host_numbers();
            numbers.into_iter().for_each(|number| self.detach(&mut watchers, number));
            // Some may be paused that the kernel was not told of: they would wake a host.
            for change in watchers.registrations_to_vec()? {
                watchers.try_again(change.fd);
            }
        }
        self.host.acts_at_rest.set(true);
        // (With a hook it hears them already, and may have told of one.)
        if self.host.attendant.get() == Attendant::Nobody {
            self.hand_over_to_host();
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
        let left = match self.sources.timers.borrow_mut().next() {
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
        if self.runs.depth.get() > 0 && !self.host.is_resting() && self.rest() {
            self.call_hook_of_call();
        }
        Ok(())
    }

    /// Tells `hook` of work that comes while no run is on the stack.
    pub fn set_wake_hook(&self, hook: Option<WakeHook>) -> Result<()> {
        self.check()?;
        let is_some = hook.is_some();
        self.shared.set_hook(hook)?;
        self.host.has_hook.store(is_some, Ordering::Relaxed);
        self.host.acts_at_rest.set(self.host.is_there() || self.access.bound_to.is_some());
        // Only what comes from now on is news; and it is, whatever somebody rang for before.
        if self.host.is_resting() && self.host.is_there() {
            self.shared.ring_again();
            self.hand_over_to_host();
        }
        self.host.notified_deadline.set(self.sources.timers.borrow_mut().next());
        self.host.notified_work.set(self.is_work_left());
        self.settle()
    }

    /// A sender for other threads that may outlive the loop.
    pub fn remote(&self) -> Result<Box<Remote>> {
        self.check()?;
        Remote::new(&self.shared)
    }

    /// In a forked child: the same sources with a kernel side of the child's own.
    pub fn after_fork(&self) -> Result<()> {
        if self.access.process.is_current() {
            return self.check();
        }
        if self.is_closed() {
            return Err(Error::CLOSED);
        }
        self.check_thread_after_fork()?;
        self.shared.refuse_in_hook()?;
        // (Harmless if something below fails.)
        self.access.bound_to.move_here()?;
        let mut watchers = self.sources.watchers.borrow_mut();
        let mut poller = self.kernel.poller.borrow_mut();
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
        self.access.process.adopt();
        // Whoever rang before the fork told the parent: here nobody has been told.
        if self.host.is_notified() {
            self.shared.end_run();
        }
        // What cannot be told now (no memory) is told before the next wait.
        let _ = self.settle();
        Ok(())
    }

    /// A source was made or changed: if a host relies on the loop now, it is told.
    #[inline]
    pub(super) fn changed(&self) {
        if self.host.is_notified() {
            // What cannot be told now (no memory) is told before the next wait.
            let _ = self.settle();
            self.call_hook_for_news();
        }
    }

    /// No run looks after the loop from now on: its host does. Returns whether the hook is to be called
    /// as soon as all is in order.
    #[inline]
    pub(super) fn rest(&self) -> bool {
        if !self.host.is_resting() {
            self.host.attendant.set(Attendant::Nobody);
        }
        self.host.acts_at_rest.get() && self.rest_otherwise()
    }

    #[cold]
    #[inline(never)]
    fn rest_otherwise(&self) -> bool {
        match self.host.is_there() {
            true => self.guarded(|| Ok(self.rest_with_host())).unwrap_or(false),
            false => {
                self.set_fast_path_here();
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
        match self.host.defers_hook.get() {
            true => self.host.owes_hook.store(true, Ordering::Relaxed),
            false => self.shared.call_hook(),
        }
    }

    /// The loop is called from C, each time under a guard that no exception may pass: after each
    /// call the hook is called that [`Loop::owes_hook`].
    pub(crate) fn defer_hook(&self) {
        self.host.defers_hook.set(true);
    }

    /// Returns whether [`Loop::call_owed_hook`] is to follow. Any thread may ask.
    #[inline]
    pub(crate) fn owes_hook(&self) -> bool {
        self.host.owes_hook.load(Ordering::Relaxed)
    }

    /// Calls the hook that is owed. It may throw.
    #[cold]
    pub(crate) fn call_owed_hook(&self) {
        if self.check().is_ok() && self.host.owes_hook.swap(false, Ordering::Relaxed) {
            self.shared.call_hook();
        }
    }

    /// From now on whoever brings work tells the host. (Nobody is told at the rest of a loop
    /// without one: its next run looks for work before it waits.)
    fn hand_over_to_host(&self) {
        self.host.attendant.set(Attendant::Host);
        self.shared.end_run();
    }

    fn rest_with_host(&self) -> bool {
        self.hand_over_to_host();
        if !self.access.process.is_current() {
            // A callback has forked, and this is the child: the rest is the parent's.
            return false;
        }
        // What cannot be told now (no memory) is told before the next wait.
        let _ = self.settle();
        self.host.notified_deadline.set(self.sources.timers.borrow_mut().next());
        self.host.notified_work.set(self.is_work_left());
        // Posts that came while the run ended, too late for it, with nobody told.
        self.has_requests()
    }

    /// A run looks after the loop again.
    #[inline]
    pub(super) fn stop_resting(&self) {
        match self.host.is_notified() {
            true => self.take_over_from_host(),
            false => self.host.attendant.set(Attendant::Run),
        }
    }

    #[inline(never)]
    fn take_over_from_host(&self) {
        self.host.attendant.set(Attendant::Run);
        self.set_fast_path_here();
        self.shared.begin_run();
    }

    /// Passes everything on that the host's descriptor depends on.
    fn settle(&self) -> Result<()> {
        self.set_fast_path_here();
        let mut watchers = self.sources.watchers.borrow_mut();
        let mut poller = self.kernel.poller.borrow_mut();
        if self.host.is_embedded.get() {
            self.maintain_for_host(&mut watchers, &mut poller);
        }
        let told = self.apply_changes(&mut watchers, &poller, self.host.is_embedded.get());
        drop(watchers);
        if !self.host.is_embedded.get() {
            return told;
        }
        let deadline = match self.clock {
            Clock::System => self.sources.timers.borrow_mut().next(),
            Clock::Virtual { .. } => NEVER,
        };
        let deadline = deadline.min(poller.next_renewal());
        // Also when the kernel has no room for a change: the host must hear of the rest, and comes to
        // try again.
        poller.announce(self.is_work_left() || told.is_err(), deadline).and(told)
    }

    /// Would a run that must not wait find something, descriptors aside?
    fn is_work_left(&self) -> bool {
        if !self.sources.ready.is_empty()
            || self.has_requests()
            || !self.sources.releases.is_empty()
            || !self.sources.incoming.0.is_empty()
            || self.sources.watchers.borrow().has_always()
        {
            return true;
        }
        let next = self.sources.timers.borrow_mut().next();
        // (In real time the host's timerfd tells.)
        self.clock.is_virtual() && next != NEVER && next <= self.clock.now()
    }

    /// The hook is told of work and of an earlier deadline, as far as they are news.
    fn call_hook_for_news(&self) {
        let deadline = self.sources.timers.borrow_mut().next();
        let earlier = deadline < self.host.notified_deadline.replace(deadline);
        let work = self.is_work_left();
        // Also when there is none any more: what comes next is news again.
        let told = self.host.notified_work.replace(work);
        let more = work && !told;
        if earlier || more {
            self.call_hook_of_call();
        }
    }
}
