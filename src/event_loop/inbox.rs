//! What other threads and signal handlers may touch: posts, stop, the wake-up, the hook.
//!
//! A post goes into a queue under a mutex held for a few instructions; the loop takes
//! the whole queue at once by swapping it with an empty one. (A lock-free list would cost
//! an allocation a post.) Who has to be told is `doorbell.rs`.

use crate::base::counted::{Counted, try_box};
use crate::base::ring::Ring;
use crate::base::sync::{AtomicBool, AtomicPtr, AtomicU8, AtomicUsize, Mutex, MutexGuard, Ordering};
use crate::error::{Error, Result};
use crate::event_loop::callback::{Callback, Release, WakeHook};
use crate::event_loop::doorbell::{Doorbell, HookCell, Tell};
use crate::sys::Waker;
use crate::sys::fork::Process;
use std::sync::PoisonError;

/// A callback from another thread.
#[derive(Clone, Copy)]
pub struct Post {
    pub callback: Callback,
    pub release: Option<Release>,
}

/// A queue of posts on its way between threads.
pub struct Posts(pub Ring<Post>);

// SAFETY: posts are C functions and pointers; whoever posts promises that the callback
// may run on the loop's thread (`Callback::new`). The blocks of the queue are its own.
unsafe impl Send for Posts {}

impl Posts {
    pub fn new() -> Self {
        Posts(Ring::new(Post { callback: Callback::pulled(std::ptr::null_mut()), release: None }))
    }
}

struct Inbox {
    posts: Posts,
    /// Whoever put the first of them here has rung.
    is_rung_for: bool,
    closed: bool,
}

/// Which runs are to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// None.
    No,
    /// The innermost.
    One,
    /// All that are on the stack.
    All,
}

/// Bits of `Shared::stop`.
const STOP_ONE: u8 = 1;
const STOP_ALL: u8 = 2;

/// The flags are `Relaxed`: whoever sets one rings afterwards, and the doorbell orders the two
/// (or, for what the posts are, the lock). A flag that is seen early does no harm.
pub struct Shared {
    doorbell: Doorbell,
    hook: HookCell<WakeHook>,
    stop: AtomicU8,
    /// Somebody called `wake`, which ends a wait even with nothing to do.
    wake: AtomicBool,
    /// There is something in the inbox.
    has_posts: AtomicBool,
    /// A boxed mutex: a forked child may find it locked for ever, and then takes another.
    inbox: AtomicPtr<Mutex<Inbox>>,
    /// How many remotes keep `loop_run` going: those that were made since the last fork.
    remotes: AtomicUsize,
    /// How often a child has adopted the loop: the threads that had the remotes of before are the
    /// parent's.
    forks: AtomicUsize,
    waker: Waker,
    process: Process,
    /// A post may have no callback.
    is_pulled: bool,
}

fn new_inbox() -> Result<Box<Mutex<Inbox>>> {
    try_box(Mutex::new(Inbox { posts: Posts::new(), is_rung_for: false, closed: false }))
}

impl Shared {
    pub fn new(waker: Waker, process: Process, is_pulled: bool) -> Result<Counted<Shared>> {
        Counted::new(Shared {
            doorbell: Doorbell::new(),
            hook: HookCell::new(),
            stop: AtomicU8::new(0),
            wake: AtomicBool::new(false),
            has_posts: AtomicBool::new(false),
            inbox: AtomicPtr::new(Box::into_raw(new_inbox()?)),
            remotes: AtomicUsize::new(0),
            forks: AtomicUsize::new(0),
            waker,
            process,
            is_pulled,
        })
    }

    fn mutex(&self) -> &Mutex<Inbox> {
        // Relaxed: it changes only in a forked child, before that has other threads.
        // SAFETY: made by `new_inbox`; freed by `drop` alone. A forked child that puts
        // another one in its place has no other thread, and leaks the first.
        unsafe { &*self.inbox.load(Ordering::Relaxed) }
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        // A panic while it was held left the queue in order: a push happens or not.
        self.mutex().lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// In a forked child the mutex may be held by a thread that does not exist there.
    fn inbox_or_fork(&self) -> Option<MutexGuard<'_, Inbox>> {
        match self.process.is_current() {
            true => Some(self.inbox()),
            false => self.mutex().try_lock().ok(),
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
        if post.callback.is_pulled() && !self.is_pulled {
            return Err(Error::NO_CALLBACK);
        }
        let mut inbox = self.inbox();
        if inbox.closed {
            return Err(Error::CLOSED);
        }
        inbox.posts.0.push(post)?;
        // Only the first since the loop took them rings, under the lock: whoever comes later
        // knows that it has been done.
        if !std::mem::replace(&mut inbox.is_rung_for, true) {
            self.has_posts.store(true, Ordering::Relaxed);
            let tell = self.doorbell.ring();
            drop(inbox);
            self.tell(tell);
        }
        Ok(())
    }

    /// Any thread, signal handlers too: the innermost run ends.
    pub fn stop(&self) -> Result<()> {
        self.check()?;
        self.stop.fetch_or(STOP_ONE, Ordering::Relaxed);
        self.ring();
        Ok(())
    }

    /// Any thread, signal handlers too: every run on the stack ends.
    pub fn stop_all(&self) -> Result<()> {
        self.check()?;
        self.ask_to_stop_all();
        self.ring();
        Ok(())
    }

    /// The loop's thread, which is awake: the request is passed on to the next run outside.
    pub fn ask_to_stop_all(&self) {
        self.stop.fetch_or(STOP_ALL, Ordering::Relaxed);
    }

    /// The loop's thread: the request is not for the run that begins.
    pub fn take_stop_all(&self) {
        self.stop.fetch_and(!STOP_ALL, Ordering::Relaxed);
    }

    /// Any thread, signal handlers too: a wait ends.
    pub fn wake(&self) -> Result<()> {
        self.check()?;
        self.wake.store(true, Ordering::Relaxed);
        self.ring();
        Ok(())
    }

    fn ring(&self) {
        self.tell(self.doorbell.ring());
    }

    #[inline]
    fn tell(&self, tell: Tell) {
        if tell != Tell::Nobody {
            self.waker.wake();
        }
        if tell == Tell::Host {
            self.call_hook();
        }
    }

    /// Tells the host that there is work, once until the next run. It may throw.
    pub fn call_hook(&self) {
        self.hook.call_once(|hook| hook.call());
    }

    /// Is the calling thread inside the hook, and so must neither replace it nor end the loop?
    pub fn refuse_in_hook(&self) -> Result<()> {
        let is_inside = match self.process.is_current() {
            true => self.hook.is_called_here(),
            // Nobody but this thread can be inside it in a child.
            false => self.hook.is_surely_called_here(),
        };
        if is_inside { Err(Error::DEADLOCK) } else { Ok(()) }
    }

    pub fn set_hook(&self, hook: Option<WakeHook>) -> Result<()> {
        self.refuse_in_hook()?;
        self.hook.replace(hook.map(try_box).transpose()?);
        Ok(())
    }

    /// A run begins: its loop sees by itself what there is.
    pub fn begin_run(&self) {
        self.hook.arm(false);
        self.doorbell.begin_run();
    }

    /// The run ends: from now on whoever brings work tells the host. What came before is seen
    /// by `has_something` afterwards.
    pub fn end_run(&self) {
        self.hook.arm(true);
        self.doorbell.end_run();
    }

    /// May the loop block now? Then it counts as asleep.
    pub fn fall_asleep(&self) -> bool {
        self.doorbell.fall_asleep()
    }

    /// The loop is awake, and sees all that was put down before. Did somebody `wake` it?
    #[inline]
    pub fn wake_up(&self) -> bool {
        self.doorbell.wake_up();
        self.is_woken() && self.wake.swap(false, Ordering::Relaxed)
    }

    /// Has somebody called `wake` since?
    pub fn is_woken(&self) -> bool {
        self.wake.load(Ordering::Relaxed)
    }

    /// The call that was woken came to nothing: the next one is.
    pub fn wake_again(&self) {
        self.wake.store(true, Ordering::Relaxed);
    }

    #[inline]
    pub fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed) != 0
    }

    /// Uses the request to stop up.
    pub fn take_stop(&self) -> Stop {
        match self.stop.swap(0, Ordering::Relaxed) {
            0 => Stop::No,
            bits if bits & STOP_ALL != 0 => Stop::All,
            _ => Stop::One,
        }
    }

    #[inline]
    pub fn has_posts(&self) -> bool {
        self.has_posts.load(Ordering::Relaxed)
    }

    /// Has anything been asked for that a run has to look after? Of requests to stop those up to
    /// `stop` count.
    pub fn has_something(&self, stop: Stop) -> bool {
        let bits = match stop {
            Stop::No => 0,
            Stop::One => STOP_ONE,
            Stop::All => STOP_ONE | STOP_ALL,
        };
        self.has_posts() || self.is_woken() || self.stop.load(Ordering::Relaxed) & bits != 0
    }

    /// Is there a post, or may one still come?
    pub fn awaits_posts(&self) -> bool {
        // Remotes first, and `Acquire`: one that posts and then goes, between two looks or
        // before both, must leave its post to be seen.
        self.remotes.load(Ordering::Acquire) > 0 || self.has_posts()
    }

    /// Swaps the posts out against an empty queue.
    pub fn take_posts(&self, empty: &Posts) {
        let inbox = self.inbox_or_fork();
        // Under the lock, or a post that comes now would lie there unseen.
        self.has_posts.store(false, Ordering::Relaxed);
        if let Some(mut inbox) = inbox {
            inbox.is_rung_for = false;
            inbox.posts.0.swap(&empty.0);
        }
    }

    /// Whoever posts next rings, also when there are posts already.
    pub fn ring_again(&self) {
        self.inbox().is_rung_for = false;
    }

    /// No further post is taken, and the hook is called no more.
    pub fn close(&self) {
        if let Some(mut inbox) = self.inbox_or_fork() {
            inbox.closed = true;
        }
        if self.process.is_current() {
            self.hook.replace(None);
        }
    }

    /// In a forked child: a waker of its own, under the same number.
    pub fn renew_waker(&self) -> Result<()> {
        self.waker.renew()
    }

    /// In a forked child: the same queue with, if need be, a lock of its own.
    pub fn after_fork(&self) -> Result<()> {
        self.hook.after_fork();
        if self.mutex().try_lock().is_err() {
            // Posts in the middle of which the parent forked stay the parent's.
            self.inbox.store(Box::into_raw(new_inbox()?), Ordering::Relaxed);
            self.has_posts.store(false, Ordering::Relaxed);
        }
        self.ring_again();
        // Relaxed: the child has no other thread yet.
        self.remotes.store(0, Ordering::Relaxed);
        self.forks.fetch_add(1, Ordering::Relaxed);
        self.process.adopt();
        Ok(())
    }

    /// Frees some of the memory that was not needed recently.
    pub fn trim(&self) {
        self.inbox().posts.0.trim(0);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: made by `Box::into_raw`, and this is the last reference.
        drop(unsafe { Box::from_raw(self.inbox.load(Ordering::Relaxed)) });
    }
}

/// A sender that may outlive its loop.
pub struct Remote {
    shared: Counted<Shared>,
    /// `Shared::forks` when it was made: since another fork it is not counted any more.
    forks: usize,
}

impl Remote {
    /// One more sender for a loop; see `Loop::remote`.
    pub fn new(shared: &Counted<Shared>) -> Result<Box<Remote>> {
        // Counted first: one that finds no memory is dropped, and then counted off.
        // Relaxed: this thread is the loop's, which is all that looks at the number.
        shared.remotes.fetch_add(1, Ordering::Relaxed);
        let forks = shared.forks.load(Ordering::Relaxed);
        try_box(Remote { shared: shared.clone(), forks })
    }

    /// Any thread. Nothing is taken when it fails.
    pub fn post(&self, post: Post) -> Result<()> {
        self.shared.post(post)
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        if self.forks == self.shared.forks.load(Ordering::Relaxed) {
            // Release: who sees it gone sees what it posted (`awaits_posts`).
            self.shared.remotes.fetch_sub(1, Ordering::Release);
        }
        // The loop may have waited for nothing else.
        let _ = self.shared.wake();
    }
}
