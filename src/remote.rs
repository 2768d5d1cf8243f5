//! What other threads and signal handlers may touch: posts, stop, and the wake-up.
//!
//! A post goes into a queue under a mutex held for a few instructions; the loop takes
//! the whole queue at once by swapping it with an empty one. `state` says whether a
//! wake-up call is needed: only the first post after the loop went to sleep (or to
//! rest) makes it, so a burst costs one system call, and none while the loop is awake.
//!
//! No wake-up is lost: a poster first puts its work down, then swaps in `NOTIFIED`; the
//! loop first swaps out `NOTIFIED`, then looks for work, and goes to sleep only by
//! exchanging `AWAKE` for `ASLEEP`, which fails when somebody notified it meanwhile.

use crate::callback::{Callback, Release};
use crate::error::{Error, Result};
use crate::fork::Process;
use crate::poller::Waker;
use crate::ring::Ring;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A callback from another thread.
#[derive(Clone, Copy)]
pub struct Post {
    pub callback: Callback,
    pub release: Option<Release>,
}

/// A queue of posts on its way between threads.
pub struct Posts(pub Ring<Option<Post>>);

// SAFETY: posts are C functions and pointers; whoever posts promises that the callback
// may run on the loop's thread (`Callback::new`).
unsafe impl Send for Posts {}

impl Posts {
    pub fn new() -> Self {
        Posts(Ring::new(None))
    }
}

/// Runs: looks for posts by itself before it sleeps.
const AWAKE: u8 = 0;
/// Somebody has something for it, and it will see.
const NOTIFIED: u8 = 1;
/// Waits in the kernel: needs a wake-up.
const ASLEEP: u8 = 2;
/// No run call is on the stack: whoever embeds the loop needs a wake-up.
const RESTING: u8 = 3;

pub struct Shared {
    state: AtomicU8,
    stop: AtomicBool,
    /// Somebody called `wake`, which ends a wait even with nothing to do.
    wake: AtomicBool,
    /// There is something in `posts`.
    has_posts: AtomicBool,
    posts: Mutex<Inbox>,
    waker: Waker,
    process: Process,
}

struct Inbox {
    posts: Posts,
    closed: bool,
}

impl Shared {
    pub fn new(waker: Waker, process: Process) -> Self {
        Shared {
            state: AtomicU8::new(RESTING),
            stop: AtomicBool::new(false),
            wake: AtomicBool::new(false),
            has_posts: AtomicBool::new(false),
            posts: Mutex::new(Inbox { posts: Posts::new(), closed: false }),
            waker,
            process,
        }
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        // A panic while it was held left the queue in order: a push happens or not.
        self.posts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// In a forked child the mutex may be held by a thread that does not exist there.
    fn inbox_or_fork(&self) -> Option<MutexGuard<'_, Inbox>> {
        match self.process.is_current() {
            true => Some(self.inbox()),
            false => self.posts.try_lock().ok(),
        }
    }

    fn check(&self) -> Result<()> {
        match self.process.is_current() {
            true => Ok(()),
            false => Err(Error::FORKED),
        }
    }

    /// Any thread. Nothing is taken when it fails.
    pub fn post(&self, post: Post) -> Result<()> {
        self.check()?;
        let mut inbox = self.inbox();
        if inbox.closed {
            return Err(Error::CLOSED);
        }
        inbox.posts.0.push(Some(post))?;
        self.has_posts.store(true, Ordering::Relaxed);
        drop(inbox);
        self.notify();
        Ok(())
    }

    /// Any thread, signal handlers too: the innermost run ends.
    pub fn stop(&self) -> Result<()> {
        self.check()?;
        self.stop.store(true, Ordering::Relaxed);
        self.notify();
        Ok(())
    }

    /// Any thread, signal handlers too: a wait ends.
    pub fn wake(&self) -> Result<()> {
        self.check()?;
        self.wake.store(true, Ordering::Relaxed);
        self.notify();
        Ok(())
    }

    fn notify(&self) {
        if self.state.swap(NOTIFIED, Ordering::SeqCst) >= ASLEEP {
            self.waker.wake();
        }
    }

    /// The loop's side of the protocol, from here on.
    pub fn begin_run(&self) {
        let _ = self.state.compare_exchange(RESTING, AWAKE, Ordering::SeqCst, Ordering::SeqCst);
    }

    pub fn end_run(&self) {
        let _ = self.state.compare_exchange(AWAKE, RESTING, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// May the loop block now? Then it counts as asleep.
    pub fn fall_asleep(&self) -> bool {
        self.state.compare_exchange(AWAKE, ASLEEP, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// The loop is awake, and sees all that was put down before. Did somebody `wake` it?
    #[inline]
    pub fn wake_up(&self) -> bool {
        // A plain load first: while nobody notifies, the flag stays in this core's cache.
        self.state.load(Ordering::Relaxed) != AWAKE
            && self.state.swap(AWAKE, Ordering::SeqCst) == NOTIFIED
            && self.wake.swap(false, Ordering::Relaxed)
    }

    #[inline]
    pub fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Uses the request to stop up.
    #[inline]
    pub fn take_stop(&self) -> bool {
        self.is_stopping() && self.stop.swap(false, Ordering::Relaxed)
    }

    #[inline]
    pub fn has_posts(&self) -> bool {
        self.has_posts.load(Ordering::Relaxed)
    }

    /// Swaps the posts out against an empty queue.
    pub fn take_posts(&self, empty: &mut Posts) {
        let Some(mut inbox) = self.inbox_or_fork() else {
            self.has_posts.store(false, Ordering::Relaxed);
            return;
        };
        std::mem::swap(&mut inbox.posts, empty);
        self.has_posts.store(false, Ordering::Relaxed);
    }

    /// No further post is taken.
    pub fn close(&self) {
        if let Some(mut inbox) = self.inbox_or_fork() {
            inbox.closed = true;
        }
    }

    /// Gives some of the memory back that no recent period needed.
    pub fn trim(&self) {
        self.inbox().posts.0.trim(0);
    }
}
