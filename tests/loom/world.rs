//! What surrounds the files under test: a kernel that lets a thread sleep, a process that
//! never forks, a plain queue, and the loop's side of a turn as `src/event_loop/` has it.

use crate::callback::{Callback, WakeHook};
use crate::counted::Counted;
use crate::inbox::{Post, Posts, Shared, Stop};
use loom::sync::{Arc, Condvar, Mutex};

/// Callbacks name the loop; here none is called.
pub struct Loop;

pub mod fork {
    pub struct Process;

    impl Process {
        pub fn is_current(&self) -> bool {
            true
        }

        pub fn adopt(&self) {}
    }
}

/// The eventfd: a wake-up waits until somebody sleeps.
#[derive(Clone)]
pub struct Waker(Arc<(Mutex<bool>, Condvar)>);

impl Waker {
    pub fn new() -> Self {
        Waker(Arc::new((Mutex::new(false), Condvar::new())))
    }

    pub fn wake(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_one();
    }

    /// Sleeps for ever if nobody wakes: loom then finds a deadlock.
    pub fn sleep(&self) {
        let mut woken = self.0.0.lock().unwrap();
        while !*woken {
            woken = self.0.1.wait(woken).unwrap();
        }
        *woken = false;
    }

    pub fn is_woken(&self) -> bool {
        *self.0.0.lock().unwrap()
    }

    pub fn renew(&self) -> crate::error::Result<()> {
        Ok(())
    }
}

/// A queue that one thread at a time has: it is under the lock, or the loop's own.
pub mod ring {
    use std::cell::RefCell;
    use std::collections::VecDeque;

    pub struct Ring<T>(RefCell<VecDeque<T>>);

    impl<T> Ring<T> {
        pub fn new(_empty: T) -> Self {
            Ring(RefCell::default())
        }

        pub fn push(&self, value: T) -> crate::error::Result<u64> {
            self.0.borrow_mut().push_back(value);
            Ok(0)
        }

        pub fn pop(&self) -> Option<T> {
            self.0.borrow_mut().pop_front()
        }

        pub fn swap(&self, other: &Ring<T>) {
            self.0.swap(&other.0);
        }

        pub fn trim(&self, _keep: usize) {}
    }
}

/// A loop as far as other threads meet it.
pub struct Side {
    pub shared: Counted<Shared>,
    waker: Waker,
}

/// What a turn came to.
#[derive(Default)]
pub struct Turn {
    pub posts: usize,
    pub woken: bool,
    pub stopped: bool,
}

impl Side {
    pub fn new() -> Side {
        let waker = Waker::new();
        Side { shared: Shared::new(waker.clone(), fork::Process, true).unwrap(), waker }
    }

    /// At rest.
    pub fn set_hook(&self, host: &Host) {
        self.shared.set_hook(Some(host.hook())).unwrap();
        // A loop that has a host hears who rings at its rest; another one does not.
        self.shared.end_run();
    }

    /// The posts that the loop sees without being told.
    pub fn take_posts(&self) -> usize {
        if !self.shared.has_posts() {
            return 0;
        }
        let posts = Posts::new();
        self.shared.take_posts(&posts);
        std::iter::from_fn(|| posts.0.pop()).count()
    }

    /// One turn of a run; it sleeps if it may and knows of nothing to do.
    pub fn turn(&self, may_sleep: bool) -> Turn {
        let is_idle = !self.shared.is_stopping() && !self.shared.has_posts();
        if may_sleep && is_idle && self.shared.fall_asleep() {
            self.waker.sleep();
        }
        let woken = self.shared.wake_up();
        Turn { posts: self.take_posts(), woken, stopped: self.shared.take_stop() != Stop::No }
    }

    /// The run ends; what came too late for it is looked for once more, and told.
    pub fn end_run(&self) {
        self.shared.end_run();
        if self.shared.has_something(Stop::All) {
            self.shared.call_hook();
        }
    }

    /// Has somebody made the loop's descriptor readable?
    pub fn is_notified(&self) -> bool {
        self.waker.is_woken()
    }
}

/// A post without a callback or a release.
pub fn post() -> Post {
    Post { callback: Callback::pulled(std::ptr::null_mut()), release: None }
}

/// Who owns the main loop, and is told by the hook.
pub struct Host(Box<(Waker, Mutex<usize>)>);

impl Host {
    pub fn new() -> Host {
        Host(Box::new((Waker::new(), Mutex::new(0))))
    }

    fn hook(&self) -> WakeHook {
        unsafe extern "C-unwind" fn called(arg: *mut std::ffi::c_void) {
            // SAFETY: a host outlives its loop.
            let (waker, calls) = unsafe { &*arg.cast::<(Waker, Mutex<usize>)>() };
            *calls.lock().unwrap() += 1;
            waker.wake();
        }
        let arg = std::ptr::from_ref(&*self.0).cast_mut().cast();
        // SAFETY: as above; what it does is any thread's.
        unsafe { WakeHook::new(called, arg) }
    }

    pub fn sleep(&self) {
        self.0.0.sleep();
    }

    pub fn calls(&self) -> usize {
        *self.0.1.lock().unwrap()
    }
}
