//! The loop: its parts, who may use it, and how it ends.
//!
//! All methods take `&self`, since callbacks call back in. Invariant: no borrow of a part
//! is held while user code runs. The turn is in `run.rs`, its parts are in `wait.rs` and
//! `dispatch.rs`, the sources in `schedule.rs`, `registration.rs` and `handles.rs`, hosts in
//! `host.rs` and `pull.rs`.

#[allow(unsafe_code)] // calls C functions: the code that makes such a value promises that the call is sound
pub mod callback;
mod dispatch;
#[allow(unsafe_code)] // the hook behind an atomic pointer
mod doorbell;
pub mod handle;
mod handles;
pub mod hooks;
mod host;
#[allow(unsafe_code)] // the inbox and the hook behind atomic pointers; posts sent between threads
pub mod inbox;
mod maintenance;
pub mod object;
mod pull;
mod ready;
mod registration;
mod releases;
mod run;
mod schedule;
pub mod side_table;
pub mod timer;
mod wait;
pub mod watch;

use crate::base::counted::{Counted, try_box};
use crate::base::slots::Slots;
use crate::error::{Error, Result};
use crate::event_loop::handle::RawHandle;
use crate::event_loop::hooks::Hooks;
use crate::event_loop::inbox::{Post, Posts, Shared};
use crate::event_loop::object::Member;
use crate::event_loop::ready::Ready;
use crate::event_loop::releases::Releases;
use crate::event_loop::side_table::{ExtrasRef, SideTable};
use crate::event_loop::timer::Timers;
use crate::event_loop::watch::Watchers;
use crate::sys::Poller;
use crate::sys::clock::Clock;
use crate::sys::fork::Process;
use crate::sys::thread::{self, Binding};
use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};

use host::Host;
pub use pull::{News, Pulled};
pub use run::Ended;

/// How a loop differs from the usual one.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Poll the kernel in every turn, also while callbacks stay ready.
    pub strict_poll: bool,
    /// Only the thread that made the loop may use it.
    pub bound: bool,
    /// Sources may have no callback; `next_events` hands them out.
    pub pull: bool,
    /// A clock that jumps to the next deadline when there is nothing else to do.
    pub virtual_clock: bool,
    /// A clock that moves by [`Loop::advance`] alone.
    pub manual_clock: bool,
    /// Wait without the thread's timer slack.
    pub timer_slack: bool,
    /// How long the loop may go without polling the kernel while callbacks stay ready.
    pub poll_gap_ns: u64,
    /// The most events that one wait takes from the kernel.
    pub max_events: usize,
    /// Where a virtual or manual clock begins.
    pub virtual_start_ns: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            strict_poll: false,
            bound: false,
            pull: false,
            virtual_clock: false,
            manual_clock: false,
            timer_slack: false,
            poll_gap_ns: 50_000,
            max_events: 1024,
            virtual_start_ns: 0,
        }
    }
}

/// Values of `owner` that no thread has.
const NOBODY: usize = 0;
const CLOSED: usize = 1;
const POISONED: usize = 2;
/// At rest, and bound to a thread: [`Binding`] knows to which.
const BOUND: usize = 3;
/// A value of `fast_path_here` that equals no thread and process.
const NOWHERE: usize = 0;

/// The source whose callback runs.
#[derive(Clone, Copy)]
struct Current {
    handle: RawHandle,
    /// The extras of a soon-callback, or of a source that has ended since: such a source has no slot
    /// that could hold them.
    extras: ExtrasRef,
    arg: *mut c_void,
}

impl Current {
    const NONE: Current = Current { handle: 0, extras: ExtrasRef::NONE, arg: std::ptr::null_mut() };
}

/// The current one, in cells of their own: what a callback does not need is not written.
/// While no source is current, `extras` is `NONE`.
struct CurrentCell {
    handle: Cell<RawHandle>,
    extras: Cell<ExtrasRef>,
    arg: Cell<*mut c_void>,
}

impl CurrentCell {
    fn new() -> Self {
        let Current { handle, extras, arg } = Current::NONE;
        CurrentCell { handle: Cell::new(handle), extras: Cell::new(extras), arg: Cell::new(arg) }
    }

    /// The current source's handle; 0 if no callback runs.
    #[inline]
    fn handle(&self) -> RawHandle {
        self.handle.get()
    }

    #[inline]
    fn extras(&self) -> ExtrasRef {
        self.extras.get()
    }

    #[inline]
    fn arg(&self) -> *mut c_void {
        self.arg.get()
    }

    fn get(&self) -> Current {
        Current { handle: self.handle(), extras: self.extras(), arg: self.arg() }
    }

    #[inline]
    fn set(&self, current: Current) {
        self.handle.set(current.handle);
        self.extras.set(current.extras);
        self.arg.set(current.arg);
    }

    /// Sets a source without extras; the previous one must have had none either.
    #[inline]
    fn set_plain(&self, handle: RawHandle, arg: *mut c_void) {
        debug_assert!(!self.extras().is_some());
        self.handle.set(handle);
        self.arg.set(arg);
    }

    /// No callback runs.
    #[inline]
    fn clear(&self) {
        self.handle.set(0);
        self.extras.set(ExtrasRef::NONE);
    }
}

/// Which thread may use the loop.
struct Access {
    /// The thread that runs the loop now, or one of the constants above. `Relaxed`: a thread only
    /// compares it with itself. Users who pass a loop to another thread must synchronize.
    owner: AtomicUsize,
    /// The thread and process ([`Process::here`]) whose calls may take the fast path: see
    /// `takes_fast_path`. `Relaxed`, as `owner`.
    fast_path_here: AtomicUsize,
    process: Process,
    bound_to: Binding,
}

/// The runs on the stack, and their turns.
struct Runs {
    /// The number of runs on the stack.
    depth: Cell<u32>,
    current: CurrentCell,
    /// The current sources of the outer runs.
    outer: RefCell<Vec<Current>>,
    /// This turn's time; 0 if it has not been read yet.
    now: Cell<u64>,
    /// While callbacks stay ready, the kernel is not polled before this time; 0: poll now.
    next_poll: Cell<u64>,
    turns: Cell<u32>,
    /// `stop_all` is in progress: the runs of this depth or less still have to end. 0: it is not.
    stops_up_to: Cell<u32>,
    /// Strict, or with a virtual clock.
    always_polls: bool,
    poll_gap: u64,
}

/// The sources, and the queues that they pass through.
struct Sources {
    ready: Ready,
    timers: RefCell<Timers>,
    watchers: RefCell<Watchers>,
    hooks: RefCell<Hooks>,
    objects: RefCell<Slots<Member>>,
    side_table: RefCell<SideTable>,
    releases: Releases,
    /// Posts that have been taken over and are not yet in the ready queue.
    incoming: Posts,
}

/// The kernel's side of the loop.
struct Kernel {
    poller: RefCell<Poller>,
    /// Maintenance is due before the next wait: see `maintenance.rs`.
    needs_maintenance: Cell<bool>,
}

/// An event loop. See `include/evloop.h` for what it promises.
pub struct Loop {
    access: Access,
    runs: Runs,
    sources: Sources,
    kernel: Kernel,
    host: Host,
    pull: Option<RefCell<pull::Handed>>,
    clock: Clock,
    shared: Counted<Shared>,
    data: Cell<*mut c_void>,
    /// The message of the panic that poisoned the loop.
    panic_message: RefCell<String>,
}

impl Runs {
    fn new(poll_gap: u64, always_polls: bool) -> Runs {
        Runs {
            depth: Cell::new(0),
            current: CurrentCell::new(),
            outer: RefCell::new(Vec::new()),
            now: Cell::new(0),
            next_poll: Cell::new(0),
            turns: Cell::new(0),
            stops_up_to: Cell::new(0),
            always_polls,
            poll_gap,
        }
    }
}

impl Sources {
    fn new() -> Sources {
        Sources {
            ready: Ready::new(),
            timers: RefCell::new(Timers::new()),
            watchers: RefCell::new(Watchers::new()),
            hooks: RefCell::new(Hooks::new()),
            objects: RefCell::new(Slots::new()),
            side_table: RefCell::new(SideTable::new()),
            releases: Releases::new(),
            incoming: Posts::new(),
        }
    }
}

impl Loop {
    /// A loop with the usual options.
    pub fn new() -> Result<Box<Loop>> {
        Loop::with_options(&Options::default())
    }

    /// A loop with these options.
    pub fn with_options(options: &Options) -> Result<Box<Loop>> {
        let process = Process::current();
        let (poller, waker) = Poller::new(options.max_events, options.timer_slack)?;
        let clock = match options.virtual_clock || options.manual_clock {
            true => Clock::Virtual { now: options.virtual_start_ns.into(), jumps: !options.manual_clock },
            false => Clock::System,
        };
        let bound_to = if options.bound { Binding::to_current() } else { Binding::none() };
        // While a bound loop rests, every call has to check the thread.
        let fast_path_here = if options.bound { NOWHERE } else { process.here() };
        try_box(Loop {
            access: Access {
                owner: AtomicUsize::new(if options.bound { BOUND } else { NOBODY }),
                fast_path_here: AtomicUsize::new(fast_path_here),
                process,
                bound_to,
            },
            runs: Runs::new(options.poll_gap_ns, options.strict_poll || clock.is_virtual()),
            sources: Sources::new(),
            kernel: Kernel { poller: RefCell::new(poller), needs_maintenance: Cell::new(false) },
            host: Host::new(options.bound),
            pull: options.pull.then(RefCell::default),
            clock,
            shared: Shared::new(waker, Process::current(), options.pull)?,
            data: Cell::new(std::ptr::null_mut()),
            panic_message: RefCell::new(String::new()),
        })
    }

    /// Returns an error unless the calling thread may use the loop now.
    #[inline]
    pub(crate) fn check(&self) -> Result<()> {
        match self.is_mine() {
            true => Ok(()),
            false => self.check_bound(),
        }
    }

    /// The slow path of [`Loop::check`]: the loop rests and is bound, or the call is refused.
    #[cold]
    fn check_bound(&self) -> Result<()> {
        let owner = self.access.owner.load(Ordering::Relaxed);
        match owner == BOUND && self.access.process.is_current() && self.access.bound_to.is_here() {
            true => Ok(()),
            false => Err(self.refusal(owner)),
        }
    }

    /// Returns whether the loop is bound to a thread that has ended. Then it can only be freed.
    fn is_orphaned(&self) -> bool {
        self.access.owner.load(Ordering::Relaxed) == BOUND
            && self.access.process.is_current()
            && self.access.bound_to.has_ended()
    }

    /// The value of `owner` while no run is on the stack.
    fn owner_at_rest(&self) -> usize {
        if self.access.bound_to.is_some() { BOUND } else { NOBODY }
    }

    #[inline(always)]
    fn is_mine(&self) -> bool {
        let owner = self.access.owner.load(Ordering::Relaxed);
        (owner == NOBODY || owner == thread::current()) && self.access.process.is_current()
    }

    /// Returns whether a call may take the fast path: it is allowed, and no host has to be notified.
    /// The fast paths are the methods called `..._fast`. If one returns `None` it has done nothing,
    /// and the caller takes the slow path.
    ///
    /// This is one comparison: `fast_path_here` is the thread and process for which both conditions
    /// hold, if there is one. While no run is on the stack, it is the thread that made the loop or ran it
    /// last. All other threads take the slow path, and so does every thread while a bound loop
    /// rests, because checking the thread then takes more than a comparison.
    #[inline(always)]
    fn takes_fast_path(&self) -> bool {
        self.access.fast_path_here.load(Ordering::Relaxed) == self.access.process.here()
    }

    /// Computes `fast_path_here` again, after something that it depends on has changed.
    fn set_fast_path_here(&self) {
        let rests_bound = self.runs.depth.get() == 0 && self.access.bound_to.is_some();
        let takes_fast_path = self.is_mine() && !self.host.is_notified() && !rests_bound;
        self.access
            .fast_path_here
            .store(if takes_fast_path { self.access.process.here() } else { NOWHERE }, Ordering::Relaxed);
    }

    #[cold]
    fn refusal(&self, owner: usize) -> Error {
        match owner {
            CLOSED => Error::CLOSED,
            _ if !self.access.process.is_current() => Error::FORKED,
            POISONED => Error::PANIC,
            _ => Error::WRONG_THREAD,
        }
    }

    /// In a forked child: returns an error if another thread was running the loop at the time of the
    /// fork. That run never completes in the child.
    fn check_thread_after_fork(&self) -> Result<()> {
        match self.runs.depth.get() > 0 && self.access.owner.load(Ordering::Relaxed) != thread::current() {
            true => Err(Error::WRONG_THREAD),
            false => Ok(()),
        }
    }

    /// Returns whether the calling thread may use the loop now.
    pub fn is_in_thread(&self) -> Result<bool> {
        match self.check() {
            Err(Error::WRONG_THREAD) => Ok(false),
            answer => answer.map(|()| true),
        }
    }

    /// Returns the number of runs on the stack.
    pub fn depth(&self) -> Result<u32> {
        self.check()?;
        Ok(self.runs.depth.get())
    }

    /// Returns the user's pointer.
    pub fn data(&self) -> Result<*mut c_void> {
        self.check()?;
        Ok(self.data.get())
    }

    /// Sets the user's pointer.
    pub fn set_data(&self, data: *mut c_void) -> Result<()> {
        self.check()?;
        self.data.set(data);
        Ok(())
    }

    /// Ends the innermost run after its snapshot. Any thread, signal handlers too.
    pub fn stop(&self) -> Result<()> {
        self.check_open()?;
        self.shared.stop()
    }

    /// Ends every run on the stack, each after its snapshot. Any thread, signal handlers too.
    pub fn stop_all(&self) -> Result<()> {
        self.check_open()?;
        self.shared.stop_all()
    }

    /// Ends a wait. Any thread, signal handlers too.
    pub fn wake(&self) -> Result<()> {
        self.check_open()?;
        self.shared.wake()
    }

    fn check_open(&self) -> Result<()> {
        if self.is_closed() { Err(Error::CLOSED) } else { Ok(()) }
    }

    /// Returns the time of this turn, which is read on first use; between runs, the current time.
    pub fn now(&self) -> Result<u64> {
        self.check()?;
        Ok(self.turn_now())
    }

    /// Returns the clock's time `ns` nanoseconds from now.
    pub(crate) fn time_after(&self, ns: u64) -> u64 {
        self.clock.now().saturating_add(ns)
    }

    fn turn_now(&self) -> u64 {
        if self.runs.depth.get() == 0 {
            return self.clock.now();
        }
        if self.runs.now.get() == 0 {
            self.runs.now.set(self.clock.now());
        }
        self.runs.now.get()
    }

    /// Returns the current time; 0 if the loop was closed or belongs to the parent process. Any thread.
    pub fn clock(&self) -> u64 {
        if self.is_closed() || !self.access.process.is_current() { 0 } else { self.clock.now() }
    }

    /// Moves a virtual or manual clock forward.
    pub fn advance(&self, ns: u64) -> Result<()> {
        self.check()?;
        match self.clock.advance_to(self.clock.now().saturating_add(ns)) {
            true => {
                self.runs.now.set(0);
                self.changed();
                Ok(())
            }
            false => Err(Error::CLOCK),
        }
    }

    /// Returns whether [`Loop::run`] would go on.
    pub fn has_work(&self) -> Result<bool> {
        self.check()?;
        Ok(self.is_kept_going())
    }

    #[inline]
    fn is_kept_going(&self) -> bool {
        self.sources.ready.has_work()
            || self.sources.timers.borrow().has_work()
            || self.sources.watchers.borrow().has_work()
            || self.shared.awaits_posts()
            || !self.sources.incoming.0.is_empty()
    }

    /// Runs internal work. A panic in it is a bug and poisons the loop instead of ending the process.
    /// Never used around user code, because a foreign exception must pass.
    #[inline]
    pub(crate) fn guarded<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)) {
            Ok(result) => result,
            Err(payload) => Err(self.poison(&*payload)),
        }
    }

    #[cold]
    fn poison(&self, payload: &(dyn std::any::Any + Send)) -> Error {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("a panic without a message");
        if let Ok(mut message) = self.panic_message.try_borrow_mut() {
            message.clear();
            // Without memory the message is dropped.
            if message.try_reserve_exact(text.len()).is_ok() {
                message.push_str(text);
            }
        }
        self.access.owner.store(POISONED, Ordering::Relaxed);
        self.access.fast_path_here.store(NOWHERE, Ordering::Relaxed);
        Error::PANIC
    }

    /// Returns the message of the panic that poisoned the loop; empty if there was none.
    pub fn panic_message(&self) -> String {
        self.panic_message.borrow().clone()
    }

    /// Ends all sources and refuses every call from now on. Inside a run, the releases
    /// are made when the outermost run ends; else now.
    pub fn close(&self) -> Result<()> {
        match self.check() {
            // In a child of fork, or after a bug, closing is all that still works.
            Err(Error::FORKED) => {
                self.check_thread_after_fork()?;
                self.shared.refuse_in_hook()?;
            }
            // Its thread has ended: any thread may free it.
            Err(Error::WRONG_THREAD) if self.is_orphaned() => {}
            Ok(()) | Err(Error::PANIC) => self.shared.refuse_in_hook()?,
            Err(refused) => return Err(refused),
        }
        if self.access.owner.swap(CLOSED, Ordering::Relaxed) != CLOSED {
            self.access.fast_path_here.store(NOWHERE, Ordering::Relaxed);
            self.shared.close();
            // After a bug the structures may be broken; then some releases are lost.
            let _ = self.guarded(|| self.end_all_sources());
            self.access.owner.store(CLOSED, Ordering::Relaxed);
        }
        if self.is_at_rest() {
            // A release function must not be able to free the loop again.
            self.runs.depth.set(1);
            self.make_releases();
            self.runs.depth.set(0);
        }
        Ok(())
    }

    pub(crate) fn is_at_rest(&self) -> bool {
        self.runs.depth.get() == 0
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.access.owner.load(Ordering::Relaxed) == CLOSED
    }

    /// Calls the release functions that are due. Only between turns, or when the loop is freed. The
    /// release of a source whose callback is on the stack falls due when that callback has returned.
    #[inline]
    fn make_releases(&self) {
        if !self.sources.releases.is_empty() || self.is_closed() {
            self.make_some_releases();
        }
    }

    #[cold]
    fn make_some_releases(&self) {
        loop {
            let due = self.sources.releases.pop();
            let Some((release, arg)) = due else { break };
            release.call(arg);
        }
        if self.is_closed() {
            self.release_posts();
        }
    }

    /// Releases the posts that will never run.
    fn release_posts(&self) {
        loop {
            match self.sources.incoming.0.pop() {
                Some(Post { callback, release: Some(release) }) => release.call(callback.arg),
                Some(_) => {}
                None if self.shared.has_posts() => self.shared.take_posts(&self.sources.incoming),
                None => break,
            }
        }
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        if !self.is_closed() {
            let _ = Loop::close(self);
        }
    }
}
