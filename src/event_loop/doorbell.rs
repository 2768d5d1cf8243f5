//! Which party has to be notified of work: none, the sleeping loop, or its host.
//!
//! A poster first stores its work, then [`Doorbell::ring`]s, which swaps `NOTIFIED` in:
//! only the first ring after the loop went to sleep or to rest needs a system call, so
//! a burst costs one, and none while the loop is awake. The loop first swaps `NOTIFIED`
//! out, then checks for work; it goes to sleep only by exchanging `AWAKE` for `ASLEEP`, which
//! fails if a thread rang meanwhile, and to rest by swapping `RESTING` in, after which it
//! checks once more. So either the loop sees the work, or the poster notifies it or its host.
//! All of it is SeqCst: the work (a queue, a flag) and the state are two places, and each side
//! writes one and then reads the other. (As each such step of the bell also writes the state,
//! `AcqRel` would do for it; for the hook, whose callers are counted in another place, it
//! would not: `tests/loom.rs` fails.)

use crate::base::sync::{AtomicBool, AtomicPtr, AtomicU8, AtomicUsize, KNOWN_CALLERS, Ordering, yield_now};
use crate::sys::thread::current as this_thread;

/// A run is on the stack and checks for work by itself before it sleeps.
const AWAKE: u8 = 0;
/// A thread rang: the loop will see the work, or it was notified.
const NOTIFIED: u8 = 1;
/// Waits in the kernel.
const ASLEEP: u8 = 2;
/// No run is on the stack.
const RESTING: u8 = 3;

/// Which party the thread that rang has to notify.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tell {
    Nobody,
    /// End the wait.
    Sleeper,
    /// Make the loop's descriptor readable, and call the host's hook.
    Host,
}

pub struct Doorbell(AtomicU8);

impl Doorbell {
    /// A doorbell for a loop at rest without a host.
    pub fn new() -> Self {
        Doorbell(AtomicU8::new(AWAKE))
    }

    /// Any thread, after it has stored its work. Returns which party it has to notify.
    #[inline]
    pub fn ring(&self) -> Tell {
        match self.0.swap(NOTIFIED, Ordering::SeqCst) {
            ASLEEP => Tell::Sleeper,
            RESTING => Tell::Host,
            _ => Tell::Nobody,
        }
    }

    fn exchange(&self, from: u8, to: u8) -> bool {
        self.0.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// A run begins. (If a thread has rung, the run's first wait does not block.)
    pub fn begin_run(&self) {
        self.exchange(RESTING, AWAKE);
    }

    /// The run ends. The caller must check for work once more: a ring while the loop was awake has
    /// notified nobody.
    pub fn end_run(&self) {
        self.0.swap(RESTING, Ordering::SeqCst);
    }

    /// Returns whether the loop may wait. `false`: a thread has rung.
    #[must_use]
    pub fn fall_asleep(&self) -> bool {
        self.exchange(AWAKE, ASLEEP)
    }

    /// The loop is awake and sees all work that was stored before a ring. Returns whether a thread rang.
    #[inline]
    pub fn wake_up(&self) -> bool {
        // A plain load first: while no thread rings, the line stays in this core's cache. What
        // is missed here makes `fall_asleep` fail, or is seen after `end_run`.
        self.0.load(Ordering::Relaxed) != AWAKE && self.0.swap(AWAKE, Ordering::SeqCst) == NOTIFIED
    }
}

/// A hook that any thread may call, at most once until it is armed again, and that can be
/// replaced: when the replacement returns, the old hook runs on no thread.
pub struct HookCell<T> {
    hook: AtomicPtr<T>,
    armed: AtomicBool,
    /// The number of threads between their load of `hook` and the end of their call. (Several, if it is
    /// armed again while it is being called.)
    callers: AtomicUsize,
    /// Those threads, each once; 0: a free place. Relaxed, as the next: a thread only searches for
    /// itself, and sees what it wrote.
    known: [AtomicUsize; KNOWN_CALLERS],
    /// The number of calls for which there was no place.
    unknown: AtomicUsize,
}

/// A call of the hook, also while an exception leaves it.
struct Call<'a, T> {
    cell: &'a HookCell<T>,
    noted: Noted,
}

/// Where it is noted which thread makes a call.
enum Noted {
    /// By an earlier call that this one is nested in.
    Already,
    At(usize),
    Nowhere,
}

impl<T> Drop for Call<'_, T> {
    fn drop(&mut self) {
        match self.noted {
            Noted::Already => {}
            Noted::At(place) => self.cell.known[place].store(0, Ordering::Relaxed),
            Noted::Nowhere => {
                self.cell.unknown.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.cell.callers.fetch_sub(1, Ordering::SeqCst);
    }
}

impl<T> HookCell<T> {
    pub fn new() -> Self {
        HookCell {
            hook: AtomicPtr::new(std::ptr::null_mut()),
            armed: AtomicBool::new(true),
            callers: AtomicUsize::new(0),
            known: std::array::from_fn(|_| AtomicUsize::new(0)),
            unknown: AtomicUsize::new(0),
        }
    }

    /// Allows one call of the hook from now on, or none.
    pub fn arm(&self, armed: bool) {
        self.armed.store(armed, Ordering::SeqCst);
    }

    /// Calls the hook, if there is one and it has not been called since it was armed. It may throw.
    pub fn call_once(&self, call: impl FnOnce(&T)) {
        if !self.armed.swap(false, Ordering::SeqCst) {
            return;
        }
        self.callers.fetch_add(1, Ordering::SeqCst);
        let _call = Call { cell: self, noted: self.note(this_thread()) };
        // SAFETY: null, or a box that `replace` frees only when it sees no callers, after
        // it has taken the pointer away: a thread that reads it here was counted before.
        if let Some(hook) = unsafe { self.hook.load(Ordering::SeqCst).as_ref() } {
            call(hook);
        }
    }

    /// Notes that `me` is inside the hook. (No lock, and no waiting: this may be a signal handler.)
    fn note(&self, me: usize) -> Noted {
        if self.is_known(me) {
            return Noted::Already;
        }
        let is_taken =
            |place: &AtomicUsize| place.compare_exchange(0, me, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        match self.known.iter().position(is_taken) {
            Some(place) => Noted::At(place),
            None => {
                self.unknown.fetch_add(1, Ordering::Relaxed);
                Noted::Nowhere
            }
        }
    }

    fn is_known(&self, thread: usize) -> bool {
        self.known.iter().any(|place| place.load(Ordering::Relaxed) == thread)
    }

    /// Returns whether the calling thread may be inside the hook. Then it must not wait for the hook to
    /// return. (If too many threads are inside to be recorded, this is true for any thread.)
    pub fn is_called_here(&self) -> bool {
        self.is_surely_called_here() || self.unknown.load(Ordering::Relaxed) > 0
    }

    /// Returns whether the calling thread is recorded as inside the hook.
    pub fn is_surely_called_here(&self) -> bool {
        self.is_known(this_thread())
    }

    /// In a forked child, outside of the hook: threads that were calling do not exist here.
    pub fn after_fork(&self) {
        self.known.iter().for_each(|place| place.store(0, Ordering::Relaxed));
        self.unknown.store(0, Ordering::Relaxed);
        self.callers.store(0, Ordering::SeqCst);
    }

    /// Puts another hook in its place, or none, and waits until the old one has returned.
    pub fn replace(&self, hook: Option<Box<T>>) {
        let new = hook.map_or(std::ptr::null_mut(), Box::into_raw);
        let old = self.hook.swap(new, Ordering::SeqCst);
        while self.callers.load(Ordering::SeqCst) != 0 {
            yield_now();
        }
        if !old.is_null() {
            // SAFETY: made by `Box::into_raw`, and no thread can reach it any more.
            drop(unsafe { Box::from_raw(old) });
        }
    }
}

impl<T> Drop for HookCell<T> {
    fn drop(&mut self) {
        // Relaxed: who drops the last reference to this has seen all that was done with it.
        let hook = self.hook.load(Ordering::Relaxed);
        if !hook.is_null() {
            // SAFETY: made by `Box::into_raw`; no other thread can reach `self` any more. (In a
            // forked child `callers` may count threads that do not exist there.)
            drop(unsafe { Box::from_raw(hook) });
        }
    }
}
