//! Hosts: a main loop that embeds this one. Between runs, and after a flush, each call that changes
//! something updates the kernel and the host's descriptor and calls the wake hook before it returns.
//! A loop without a host pays one branch a call, or none (`fast_path_here`).

use super::Loop;
use crate::error::{Error, Result};
use crate::event_loop::callback::WakeHook;
use crate::event_loop::inbox::Remote;
use crate::event_loop::timer::NEVER;
use crate::sys::clock::Clock;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

/// What makes the loop run when there is something to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attendant {
    /// A run on the stack.
    Run,
    /// Nothing: no run is on the stack, or a callback has flushed or has run the loop itself.
    Nobody,
    /// A host: as `Nobody`, but the host is notified of changes and of work from other threads.
    Host,
}

/// The host, if there is one, and what it was notified of.
pub(super) struct Host {
    attendant: Cell<Attendant>,
    /// `loop_fd` was called.
    is_embedded: Cell<bool>,
    /// Written by the loop's thread only; `Relaxed`, as other threads may read it.
    has_hook: AtomicBool,
    /// When the loop comes to rest there is more to do: it has a host, or is bound.
    acts_at_rest: Cell<bool>,
    /// In a call from C the hook is called after `guarded` has returned, because it may throw.
    defers_hook: Cell<bool>,
    /// The hook has to be called after this call. `Relaxed`, as `has_hook`.
    owes_hook: AtomicBool,
    /// The deadline and whether there was work, as of the last call of the hook.
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

    /// Returns whether no run drives the loop.
    #[inline]
    pub(super) fn is_resting(&self) -> bool {
        self.attendant.get() != Attendant::Run
    }

    /// Returns whether a host has to be notified of changes.
    #[inline]
    pub(super) fn is_notified(&self) -> bool {
        self.attendant.get() == Attendant::Host
    }

    /// Returns whether there is a host.
    #[inline]
    fn is_there(&self) -> bool {
        self.is_embedded.get() || self.has_hook.load(Ordering::Relaxed)
    }
}

impl Loop {
    /// Returns the descriptor that is readable when the loop has anything to do.
    pub fn fd(&self) -> Result<i32> {
        self.check()?;
        let fd = self.kernel.poller.borrow_mut().embed()?;
        if !self.host.is_embedded.replace(true) {
            let mut watchers = self.sources.watchers.borrow_mut();
            // The new descriptors may have numbers that the user has closed: detach older watchers.
            let numbers = self.kernel.poller.borrow().host_numbers();
            numbers.into_iter().for_each(|number| self.detach(&mut watchers, number));
            // The kernel may not know of some paused watchers, which would wake the host.
            for change in watchers.registrations_to_vec()? {
                watchers.try_again(change.fd);
            }
        }
        self.host.acts_at_rest.set(true);
        // (With a wake hook the host is notified already.)
        if self.host.attendant.get() == Attendant::Nobody {
            self.hand_over_to_host();
        }
        self.flush()?;
        Ok(fd)
    }

    /// Returns the nanoseconds until the loop has to run, not counting descriptors; `i64::MAX`: never.
    pub fn timeout(&self) -> Result<i64> {
        self.check()?;
        if self.is_work_left() {
            return Ok(0);
        }
        let next = self.sources.timers.borrow_mut().next();
        Ok(self.time_left(next))
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

    /// Sets the hook that is called when work arrives while no run is on the stack.
    pub fn set_wake_hook(&self, hook: Option<WakeHook>) -> Result<()> {
        self.check()?;
        let is_some = hook.is_some();
        self.shared.set_hook(hook)?;
        self.host.has_hook.store(is_some, Ordering::Relaxed);
        self.host.acts_at_rest.set(self.host.is_there() || self.access.bound_to.is_some());
        // The new hook is called only for later work, even if a thread has rung before.
        if self.host.is_resting() && self.host.is_there() {
            self.shared.ring_again();
            self.hand_over_to_host();
        }
        self.host.notified_deadline.set(self.sources.timers.borrow_mut().next());
        self.host.notified_work.set(self.is_work_left());
        self.settle()
    }

    /// Returns a sender for other threads. It may outlive the loop.
    pub fn remote(&self) -> Result<Box<Remote>> {
        self.check()?;
        Remote::new(&self.shared)
    }

    /// In a forked child: keeps the sources and gives them kernel objects of the child's own.
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
        self.access.bound_to.move_here();
        let mut watchers = self.sources.watchers.borrow_mut();
        let mut poller = self.kernel.poller.borrow_mut();
        let mut registrations = watchers.registrations_to_vec()?;
        // A number may refer to another file by now, which is not watched.
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
        // A ring before the fork notified the parent's host, not this one.
        if self.host.is_notified() {
            self.shared.end_run();
        }
        // What fails now for want of memory is tried again before the next wait.
        let _ = self.settle();
        Ok(())
    }

    /// A source was made or changed. If there is a host to notify, notifies it.
    #[inline]
    pub(super) fn changed(&self) {
        if self.host.is_notified() {
            // What fails now for want of memory is tried again before the next wait.
            let _ = self.settle();
            self.call_hook_for_news();
        }
    }

    /// From now on the host drives the loop, not a run. Returns whether the caller must call the hook
    /// once the loop is consistent.
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

    /// Calls the hook at the end of a run, where `guarded` is not on the stack.
    pub(super) fn call_hook(&self) {
        self.shared.call_hook();
    }

    /// Calls the hook from a call between runs, or defers it to the end of that call.
    fn call_hook_of_call(&self) {
        match self.host.defers_hook.get() {
            true => self.host.owes_hook.store(true, Ordering::Relaxed),
            false => self.shared.call_hook(),
        }
    }

    /// The loop is called from C, through wrappers that no exception may pass. After each call the
    /// wrapper checks [`Loop::owes_hook`] and calls the hook outside.
    pub(crate) fn defer_hook(&self) {
        self.host.defers_hook.set(true);
    }

    /// Returns whether [`Loop::call_owed_hook`] has to be called. Any thread.
    #[inline]
    pub(crate) fn owes_hook(&self) -> bool {
        self.host.owes_hook.load(Ordering::Relaxed)
    }

    /// Calls the deferred hook. It may throw.
    #[cold]
    pub(crate) fn call_owed_hook(&self) {
        if self.check().is_ok() && self.host.owes_hook.swap(false, Ordering::Relaxed) {
            self.shared.call_hook();
        }
    }

    /// From now on, a thread that brings work notifies the host. (A loop without a host needs no
    /// notification at rest: its next run checks for work before it waits.)
    fn hand_over_to_host(&self) {
        self.host.attendant.set(Attendant::Host);
        self.shared.end_run();
    }

    fn rest_with_host(&self) -> bool {
        self.hand_over_to_host();
        if !self.access.process.is_current() {
            // A callback has forked, and this is the child: the loop still belongs to the parent.
            return false;
        }
        // What fails now for want of memory is tried again before the next wait.
        let _ = self.settle();
        self.host.notified_deadline.set(self.sources.timers.borrow_mut().next());
        self.host.notified_work.set(self.is_work_left());
        // Posts that arrived while the run ended have notified nobody yet.
        self.has_requests()
    }

    /// A run drives the loop again.
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

    /// Updates the kernel with everything that the host's descriptor depends on.
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
        // Also when a change fails: the host must learn of the rest, and its next
        // run tries again.
        poller.announce(self.is_work_left() || told.is_err(), deadline).and(told)
    }

    /// Returns whether a run that does not wait would find work, not counting descriptors.
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
        // (In real time the host's timerfd reports it.)
        self.clock.is_virtual() && next != NEVER && next <= self.clock.now()
    }

    /// Calls the hook if there is new work or an earlier deadline.
    fn call_hook_for_news(&self) {
        let deadline = self.sources.timers.borrow_mut().next();
        let earlier = deadline < self.host.notified_deadline.replace(deadline);
        let work = self.is_work_left();
        // Stored also when there is no work any more, so that later work counts as new.
        let told = self.host.notified_work.replace(work);
        let more = work && !told;
        if earlier || more {
            self.call_hook_of_call();
        }
    }
}
