//! The Rust interface: the core with closures as callbacks. No method is `unsafe`, and whatever safe
//! code does with them is sound.
//!
//! A closure becomes what a C user would pass: a function that knows its type, the closure in a
//! box as its argument, and a release function that drops it. The library drops each closure exactly
//! once: when its source has ended, or before an error is returned. A call of a closure keeps the closure
//! alive, so soundness does not depend on when the release is made.
//!
//! A panic in a closure passes through the run call to its caller, like a C++ exception, and
//! the loop can be run again. A panic in a closure's destructor or in a wake hook goes no further.

use crate::base::counted::try_box;
use crate::error::{Error, Result};
use crate::event_loop::callback::{
    Callback, FdCallback, RawFdCallback, RawTickCallback, Release, TickCallback, WakeHook,
};
use crate::event_loop::handle::RawHandle;
use crate::event_loop::hooks::When;
use crate::event_loop::inbox::{Post, Remote as CoreRemote};
use crate::event_loop::side_table::Missed;
use crate::event_loop::{Ended, Loop as Core, Options as CoreOptions};
use std::cell::Cell;
use std::ffi::{CStr, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

/// How a loop differs from the usual one.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Ask the kernel in every turn, also while callbacks stay ready.
    pub strict_poll: bool,
    /// A clock that jumps to the next deadline when there is nothing else to do.
    pub virtual_clock: bool,
    /// A clock that moves by [`Loop::advance`] alone.
    pub manual_clock: bool,
    /// Wait without the thread's timer slack.
    pub timer_slack: bool,
    /// How long callbacks that stay ready may keep the kernel unasked.
    pub poll_gap_ns: u64,
    /// The most events that one wait takes from the kernel.
    pub max_events: usize,
    /// Where a virtual or manual clock begins.
    pub virtual_start_ns: u64,
}

impl Default for Options {
    fn default() -> Self {
        let CoreOptions { poll_gap_ns, max_events, virtual_start_ns, .. } = CoreOptions::default();
        Options {
            strict_poll: false,
            virtual_clock: false,
            manual_clock: false,
            timer_slack: false,
            poll_gap_ns,
            max_events,
            virtual_start_ns,
        }
    }
}

/// An event loop. See `include/evloop.h` for what it promises.
///
/// It belongs to its thread: other threads have a [`Remote`].
///
/// ```compile_fail,E0277
/// let on = evloop::Loop::new().unwrap();
/// std::thread::spawn(move || on.run()); // not Send
/// ```
///
/// ```compile_fail,E0277
/// let on = evloop::Loop::new().unwrap();
/// std::thread::scope(|scope| { scope.spawn(|| on.stop()); }); // not Sync
/// ```
///
/// A closure outlives the call that it is given to, so it borrows nothing:
///
/// ```compile_fail,E0597
/// let on = evloop::Loop::new().unwrap();
/// let text = String::from("gone");
/// on.call_soon(|_| println!("{text}")).unwrap();
/// ```
///
/// and it cannot keep the loop that it is called with:
///
/// ```compile_fail
/// use std::cell::Cell;
/// thread_local!(static KEPT: Cell<Option<&'static evloop::Loop>> = Cell::new(None));
/// let on = evloop::Loop::new().unwrap();
/// on.call_soon(|on| KEPT.set(Some(on))).unwrap();
/// ```
///
/// A loop is not dropped while it runs:
///
/// ```compile_fail,E0505
/// let on = evloop::Loop::new().unwrap();
/// let run = || on.run();
/// drop(on);
/// run().unwrap();
/// ```
///
/// The core, with C functions and pointers as they are, is not for safe code to reach:
///
/// ```compile_fail,E0603
/// use evloop::callback::Callback;
/// ```
///
/// ```compile_fail,E0599
/// let on = evloop::Loop::new().unwrap();
/// let handle = on.call_soon(|_| ()).unwrap();
/// on.set_arg(handle, std::ptr::dangling_mut()).unwrap();
/// ```
#[repr(transparent)]
pub struct Loop(Core);

impl Loop {
    /// Makes a loop with the usual options.
    pub fn new() -> Result<Box<Loop>> {
        Loop::with_options(&Options::default())
    }

    /// Makes a loop with these options.
    pub fn with_options(options: &Options) -> Result<Box<Loop>> {
        let core = Core::with_options(&CoreOptions {
            strict_poll: options.strict_poll,
            virtual_clock: options.virtual_clock,
            manual_clock: options.manual_clock,
            timer_slack: options.timer_slack,
            poll_gap_ns: options.poll_gap_ns,
            max_events: options.max_events,
            virtual_start_ns: options.virtual_start_ns,
            ..CoreOptions::default()
        })?;
        // SAFETY: a `Loop` is a `Core`, in memory as well (`transparent`).
        Ok(unsafe { Box::from_raw(Box::into_raw(core).cast()) })
    }

    /// Calls a method that runs no closure; a bug in it is caught.
    fn with<T>(&self, method: impl FnOnce(&Core) -> Result<T>) -> Result<T> {
        self.0.guarded(|| method(&self.0))
    }

    /// Makes a source whose argument is `closure`, and which drops it when it ends.
    fn add<T>(
        &self,
        closure: T,
        make: impl FnOnce(&Core, *mut c_void) -> Result<RawHandle>,
    ) -> Result<RawHandle> {
        self.0.check()?;
        let arg = Held::new(closure)?.into_arg();
        // SAFETY: `arg` is a closure of this type, which the source has from now on. Does not unwind.
        let release = unsafe { Release::new(end_events_of::<T>) };
        let made = self.with(|core| {
            let handle = make(core, arg)?;
            let promised = core.set_release(handle, Some(release));
            promised.or_else(|error| core.cancel(handle).and(Err(error)))?;
            Ok(handle)
        });
        // (After a bug nobody knows whether a source has it: it is leaked.)
        if made.is_err_and(|error| error != Error::PANIC) {
            // SAFETY: made above, and no source has it.
            drop(unsafe { Held::<T>::from_arg(arg) });
        }
        made
    }

    /// Runs a closure in the next turn: `loop_call_soon`.
    pub fn call_soon<F: FnOnce(&Loop) + 'static>(&self, closure: F) -> Result<RawHandle> {
        self.add(Cell::new(Some(closure)), |core, arg| core.call_soon(once::<F>(arg)))
    }

    /// Runs a closure `delay` nanoseconds from now: `loop_call_later`.
    pub fn call_later<F: FnOnce(&Loop) + 'static>(&self, delay: u64, closure: F) -> Result<RawHandle> {
        self.add(Cell::new(Some(closure)), |core, arg| core.call_later(delay, once::<F>(arg)))
    }

    /// Runs a closure when the clock says `deadline`: `loop_call_at`.
    pub fn call_at<F: FnOnce(&Loop) + 'static>(&self, deadline: u64, closure: F) -> Result<RawHandle> {
        self.add(Cell::new(Some(closure)), |core, arg| core.call_at(deadline, once::<F>(arg)))
    }

    /// Runs a closure `first` nanoseconds from now and then every `interval`, with the number of ticks that a
    /// call stands for: `loop_call_every`. (`Fn`, here and below: a nested run may call it while it
    /// runs.)
    pub fn call_every<F: Fn(&Loop, u64) + 'static>(
        &self,
        first: u64,
        interval: u64,
        missed: Missed,
        closure: F,
    ) -> Result<RawHandle> {
        // SAFETY: `run_ticks` fits the closure in `arg`, which lives as long as the source.
        let callback = |arg| unsafe { TickCallback::new(run_ticks::<F> as RawTickCallback, arg) };
        self.add(closure, |core, arg| core.call_every(first, interval, missed, callback(arg)))
    }

    /// Calls a closure whenever `fd` is ready for what `events` asks for, with `fd` and what happened:
    /// `loop_watch_fd`.
    pub fn watch_fd<F: Fn(&Loop, i32, u32) + 'static>(
        &self,
        fd: i32,
        events: u32,
        closure: F,
    ) -> Result<RawHandle> {
        // SAFETY: `run_events` fits the closure in `arg`, which lives as long as the source.
        let callback = |arg| unsafe { FdCallback::new(run_events::<F> as RawFdCallback, arg) };
        self.add(closure, |core, arg| core.watch_fd(fd, events, callback(arg)))
    }

    /// Calls a closure round the waits: `loop_add_hook`.
    pub fn add_hook<F: Fn(&Loop) + 'static>(&self, when: When, closure: F) -> Result<RawHandle> {
        // SAFETY: `run` fits the closure in `arg`, which lives as long as the source.
        let callback = |arg| unsafe { Callback::new(run::<F>, arg) };
        self.add(closure, |core, arg| core.add_hook(when, callback(arg)))
    }

    /// Gives a watcher another mask; 0 pauses it.
    pub fn update_watch(&self, watch: RawHandle, events: u32) -> Result<()> {
        self.with(|core| core.update_watch(watch, events))
    }

    /// Returns a watcher's mask.
    pub fn watch_events(&self, watch: RawHandle) -> Result<u32> {
        self.with(|core| core.watch_events(watch))
    }

    /// Gives a timer the deadline `delay` nanoseconds from now.
    pub fn reschedule(&self, timer: RawHandle, delay: u64) -> Result<()> {
        self.with(|core| core.reschedule(timer, delay))
    }

    /// Gives a timer another deadline.
    pub fn reschedule_at(&self, timer: RawHandle, deadline: u64) -> Result<()> {
        self.with(|core| core.reschedule_at(timer, deadline))
    }

    /// Nanoseconds until a timer is due; `i64::MAX`: never.
    pub fn remaining(&self, timer: RawHandle) -> Result<i64> {
        self.with(|core| core.remaining(timer))
    }

    /// Ends a source: its closure will not run, and is dropped between two turns.
    pub fn cancel(&self, handle: RawHandle) -> Result<()> {
        self.with(|core| core.cancel(handle))
    }

    /// Returns whether the source's closure may still run.
    pub fn is_active(&self, handle: RawHandle) -> Result<bool> {
        self.with(|core| core.is_active(handle))
    }

    /// The handle of the closure that runs now, or 0.
    pub fn current(&self) -> Result<RawHandle> {
        self.with(Core::current)
    }

    /// Names a source, for people who look for it; `None` takes the name away.
    pub fn set_name(&self, handle: RawHandle, name: Option<&CStr>) -> Result<()> {
        self.with(|core| core.set_name(handle, name))
    }

    /// Says whether a source no longer keeps [`Loop::run`] going: `loop_unref` and `loop_ref`.
    pub fn set_unref(&self, handle: RawHandle, unref: bool) -> Result<()> {
        self.with(|core| core.set_unref(handle, unref))
    }

    /// Runs until [`Loop::stop`].
    pub fn run_forever(&self) -> Result<Ended> {
        self.0.run_forever()
    }

    /// Runs until [`Loop::stop`], or until nothing is left that could ever run.
    pub fn run(&self) -> Result<Ended> {
        self.0.run()
    }

    /// Makes one turn that waits `timeout` nanoseconds at the longest (`None`: without limit). Returns how
    /// many closures ran.
    pub fn run_once(&self, timeout: Option<u64>) -> Result<u64> {
        self.0.run_once(timeout)
    }

    /// Makes turns that never wait, until nothing is ready or `budget` nanoseconds are over. Returns how
    /// many closures ran.
    pub fn run_ready(&self, budget: u64) -> Result<u64> {
        self.0.run_ready(budget)
    }

    /// Ends the innermost run after its snapshot.
    pub fn stop(&self) -> Result<()> {
        self.with(Core::stop)
    }

    /// Ends the next wait.
    pub fn wake(&self) -> Result<()> {
        self.with(Core::wake)
    }

    /// Ends all sources and refuses every call from now on; inside a run, which then ends. Dropping the
    /// loop does it as well.
    pub fn close(&self) -> Result<()> {
        self.0.close()
    }

    /// Returns how many runs are on the stack.
    pub fn depth(&self) -> Result<u32> {
        self.with(Core::depth)
    }

    /// Returns whether [`Loop::run`] would go on.
    pub fn has_work(&self) -> Result<bool> {
        self.with(Core::has_work)
    }

    /// The time of this turn; between runs the time.
    pub fn now(&self) -> Result<u64> {
        self.with(Core::now)
    }

    /// The time; 0 when the loop has been closed.
    pub fn clock(&self) -> u64 {
        self.0.clock()
    }

    /// Moves a virtual or manual clock forward.
    pub fn advance(&self, ns: u64) -> Result<()> {
        self.with(|core| core.advance(ns))
    }

    /// A sender for other threads, which may outlive the loop.
    pub fn remote(&self) -> Result<Remote> {
        self.with(Core::remote).map(Remote)
    }

    /// A descriptor for a host, readable when the loop has anything to do: `loop_fd`.
    pub fn fd(&self) -> Result<i32> {
        self.with(Core::fd)
    }

    /// Nanoseconds until the loop wants to run, descriptors aside; `i64::MAX`: never.
    pub fn timeout(&self) -> Result<i64> {
        self.with(Core::timeout)
    }

    /// Inside a closure, before a host's nested main loop: `loop_flush`.
    pub fn flush(&self) -> Result<()> {
        self.with(Core::flush)
    }

    /// Sets the closure that notifies a host of work that arrives while no run is on the stack. It is
    /// called on the thread that brings the work: `loop_set_wake_hook`.
    ///
    /// ```compile_fail,E0277
    /// let on = evloop::Loop::new().unwrap();
    /// let here = std::rc::Rc::new(());
    /// on.set_wake_hook(move || drop(here.clone())).unwrap(); // other threads call it, too
    /// ```
    pub fn set_wake_hook<F: Fn() + Send + Sync + 'static>(&self, hook: F) -> Result<()> {
        let arg = Box::into_raw(try_box(hook)?).cast();
        // SAFETY: `run_hook` fits the closure in `arg`, which the hook owns and may be called by any
        // thread; neither function unwinds.
        let hook = unsafe { WakeHook::owning(run_hook::<F>, arg, drop_hook::<F>) };
        self.with(|core| core.set_wake_hook(Some(hook)))
    }

    /// Takes the hook away. When this returns, it runs on no thread.
    pub fn clear_wake_hook(&self) -> Result<()> {
        self.with(|core| core.set_wake_hook(None))
    }

    /// In a forked child: the same sources with a kernel side of the child's own.
    pub fn after_fork(&self) -> Result<()> {
        self.with(Core::after_fork)
    }

    /// What a bug of the library said before it was caught; empty when there was none.
    pub fn panic_message(&self) -> String {
        self.0.panic_message()
    }
}

/// A sender for other threads. It may outlive its loop, and keeps [`Loop::run`] going until it is dropped.
///
/// ```compile_fail,E0277
/// let on = evloop::Loop::new().unwrap();
/// let here = std::rc::Rc::new(());
/// on.remote().unwrap().call_soon(move |_| drop(here)).unwrap(); // not Send
/// ```
pub struct Remote(Box<CoreRemote>);

impl Remote {
    /// Runs a closure on the loop's thread, in the next turn: `loop_remote_call_soon`. Any thread. When it
    /// fails, the closure is dropped here.
    pub fn call_soon<F: FnOnce(&Loop) + Send + 'static>(&self, closure: F) -> Result<()> {
        let arg = Held::new(Cell::new(Some(closure)))?.into_arg();
        // SAFETY: `end_events_of` fits the closure in `arg`, and does not unwind.
        let release = unsafe { Release::new(end_events_of::<Cell<Option<F>>>) };
        let posted = self.0.post(Post { callback: once::<F>(arg), release: Some(release) });
        if posted.is_err() {
            // SAFETY: made above, and nothing was taken.
            drop(unsafe { Held::<Cell<Option<F>>>::from_arg(arg) });
        }
        posted
    }
}

/// A closure in a box, which its source has, and each call of it that is on the stack.
struct Shared<T> {
    holders: Cell<usize>,
    closure: T,
}

/// One of those that have it.
struct Held<T>(NonNull<Shared<T>>);

impl<T> Held<T> {
    fn new(closure: T) -> Result<Self> {
        let shared = try_box(Shared { holders: Cell::new(1), closure })?;
        Ok(Held(NonNull::from(Box::leak(shared))))
    }

    /// For a source to have.
    fn into_arg(self) -> *mut c_void {
        std::mem::ManuallyDrop::new(self).0.as_ptr().cast()
    }

    /// Takes it back from a source.
    ///
    /// # Safety
    /// `arg` is of `into_arg` with this type, and has not been taken back.
    unsafe fn from_arg(arg: *mut c_void) -> Self {
        // SAFETY: as above: not null.
        Held(unsafe { NonNull::new_unchecked(arg.cast()) })
    }

    /// For a call: beside the source.
    ///
    /// # Safety
    /// As for `from_arg`.
    unsafe fn beside(arg: *mut c_void) -> Self {
        // SAFETY: as above.
        let held = unsafe { Held::from_arg(arg) };
        held.shared().holders.update(|holders| holders + 1);
        held
    }

    fn shared(&self) -> &Shared<T> {
        // SAFETY: alive as long as anybody has it. (On another thread than the loop's it is the only one.)
        unsafe { self.0.as_ref() }
    }
}

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        let left = self.shared().holders.get() - 1;
        self.shared().holders.set(left);
        if left == 0 {
            // SAFETY: of `Box::leak`, and nobody else has it.
            let shared = unsafe { Box::from_raw(self.0.as_ptr()) };
            quietly(|| drop(shared));
        }
    }
}

/// A panic goes no further: the panic hook has reported it.
fn quietly(work: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(work))
        // Its destructor may panic as well, and so on.
        && let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(payload)))
    {
        std::mem::forget(payload);
    }
}

/// # Safety
/// The loop that calls, for as long as the call lasts.
unsafe fn face<'a>(on: *mut Core) -> &'a Loop {
    // SAFETY: as above; a `Loop` is a `Core`, in memory as well (`transparent`).
    unsafe { &*on.cast::<Loop>() }
}

fn once<F: FnOnce(&Loop)>(arg: *mut c_void) -> Callback {
    // SAFETY: whoever calls this has put such a closure into `arg`, for the source to have.
    unsafe { Callback::new(run_once::<F>, arg) }
}

unsafe extern "C-unwind" fn run_once<F: FnOnce(&Loop)>(on: *mut Core, arg: *mut c_void) {
    // SAFETY: the argument of a source that has not been released.
    let held = unsafe { Held::<Cell<Option<F>>>::beside(arg) };
    if let Some(closure) = held.shared().closure.take() {
        // SAFETY: the loop calls.
        closure(unsafe { face(on) });
    }
}

unsafe extern "C-unwind" fn run<F: Fn(&Loop)>(on: *mut Core, arg: *mut c_void) {
    // SAFETY: the argument of a source that has not been released; the loop calls.
    let (held, on) = unsafe { (Held::<F>::beside(arg), face(on)) };
    (held.shared().closure)(on);
}

unsafe extern "C-unwind" fn run_ticks<F: Fn(&Loop, u64)>(on: *mut Core, ticks: u64, arg: *mut c_void) {
    // SAFETY: as in `run`.
    let (held, on) = unsafe { (Held::<F>::beside(arg), face(on)) };
    (held.shared().closure)(on, ticks);
}

unsafe extern "C-unwind" fn run_events<F: Fn(&Loop, i32, u32)>(
    on: *mut Core,
    fd: i32,
    events: u32,
    arg: *mut c_void,
) {
    // SAFETY: as in `run`.
    let (held, on) = unsafe { (Held::<F>::beside(arg), face(on)) };
    (held.shared().closure)(on, fd, events);
}

unsafe extern "C-unwind" fn end_events_of<T>(arg: *mut c_void) {
    // SAFETY: the source's, which ends.
    drop(unsafe { Held::<T>::from_arg(arg) });
}

unsafe extern "C-unwind" fn run_hook<F: Fn()>(arg: *mut c_void) {
    // SAFETY: the hook's own closure, which any number of threads may call.
    quietly(unsafe { &*arg.cast::<F>() });
}

unsafe extern "C-unwind" fn drop_hook<F>(arg: *mut c_void) {
    // SAFETY: the hook's own closure, which nobody calls any more.
    let hook = unsafe { Box::from_raw(arg.cast::<F>()) };
    quietly(|| drop(hook));
}
