//! Law 14 as a model: every order in which a post and the end of a run (or the loop's falling
//! asleep), and a call of the wake hook and its replacement, can meet. The file under test is
//! compiled here with loom's atomics in the place of the standard library's.
//!
//! Loom takes `SeqCst` for `AcqRel`. So each such access is made here as compilers make it on
//! weakly ordered processors: with a `SeqCst` fence, which loom knows, before all of them, or
//! after all of them. Every model is tried both ways. A weaker ordering gets no fence: to
//! weaken one that matters makes a model fail.

#[path = "../src/doorbell.rs"]
#[allow(dead_code, reason = "forks are tested elsewhere, with real processes")]
mod doorbell;

/// What `src/sync.rs` is in the library.
mod sync {
    pub use loom::sync::atomic::Ordering;
    use loom::sync::atomic::{self, fence};
    pub use loom::thread::yield_now;
    use std::cell::Cell;

    thread_local!(pub static IS_FENCE_AFTER: Cell<bool> = const { Cell::new(false) });

    fn ordered<T>(ordering: Ordering, access: impl FnOnce() -> T) -> T {
        let (has_fence, is_after) = (ordering == Ordering::SeqCst, IS_FENCE_AFTER.get());
        if has_fence && !is_after {
            fence(Ordering::SeqCst);
        }
        let result = access();
        if has_fence && is_after {
            fence(Ordering::SeqCst);
        }
        result
    }

    macro_rules! atomic {
        ($name:ident $(<$generic:ident>)?, $value:ty) => {
            pub struct $name $(<$generic>)? (atomic::$name $(<$generic>)?);

            #[allow(dead_code, reason = "not every type needs every access")]
            impl $(<$generic>)? $name $(<$generic>)? {
                pub fn new(value: $value) -> Self {
                    Self(atomic::$name::new(value))
                }
                pub fn load(&self, ordering: Ordering) -> $value {
                    ordered(ordering, || self.0.load(ordering))
                }
                pub fn store(&self, value: $value, ordering: Ordering) {
                    ordered(ordering, || self.0.store(value, ordering));
                }
                pub fn swap(&self, value: $value, ordering: Ordering) -> $value {
                    ordered(ordering, || self.0.swap(value, ordering))
                }
                pub fn compare_exchange(
                    &self,
                    current: $value,
                    new: $value,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    ordered(success, || self.0.compare_exchange(current, new, success, failure))
                }
            }
        };
    }

    atomic!(AtomicBool, bool);
    atomic!(AtomicU8, u8);
    atomic!(AtomicUsize, usize);
    atomic!(AtomicPtr<T>, *mut T);

    impl AtomicUsize {
        pub fn fetch_add(&self, value: usize, ordering: Ordering) -> usize {
            ordered(ordering, || self.0.fetch_add(value, ordering))
        }
        pub fn fetch_sub(&self, value: usize, ordering: Ordering) -> usize {
            ordered(ordering, || self.0.fetch_sub(value, ordering))
        }
    }
}

use doorbell::{Doorbell, HookCell, Tell};
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

/// All orders with at most three preemptions. (With eight, which takes minutes, no other
/// failure is found.)
fn model(body: impl Fn() + Clone + Send + Sync + 'static) {
    for is_fence_after in [false, true] {
        // All of a model's threads are run by this one, in turn.
        sync::IS_FENCE_AFTER.set(is_fence_after);
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(body.clone());
    }
}

/// The eventfd: a wake-up waits until somebody sleeps.
struct Waker(Mutex<bool>, Condvar);

impl Waker {
    fn new() -> Self {
        Waker(Mutex::new(false), Condvar::new())
    }

    fn wake(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_one();
    }

    /// Sleeps for ever if nobody wakes: loom then finds a deadlock.
    fn sleep(&self) {
        let mut woken = self.0.lock().unwrap();
        while !*woken {
            woken = self.1.wait(woken).unwrap();
        }
        *woken = false;
    }
}

/// What poster and loop share, as `src/remote.rs` has it: posts under a lock, flags beside it.
struct Shared {
    doorbell: Doorbell,
    hook: HookCell<Arc<Hook>>,
    waker: Waker,
    inbox: Mutex<usize>,
    has_posts: AtomicBool,
    /// What the hook wakes.
    host: Waker,
}

/// Counts its calls.
struct Hook(AtomicUsize);

impl Hook {
    fn new() -> Arc<Hook> {
        Arc::new(Hook(AtomicUsize::new(0)))
    }

    fn call(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn calls(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn new() -> Arc<Shared> {
        Arc::new(Shared {
            doorbell: Doorbell::new(),
            hook: HookCell::new(),
            waker: Waker::new(),
            inbox: Mutex::new(0),
            has_posts: AtomicBool::new(false),
            host: Waker::new(),
        })
    }

    fn call_hook(&self) {
        self.hook.call_once(|hook| {
            hook.call();
            self.host.wake();
        });
    }

    fn post(&self) -> Tell {
        let mut inbox = self.inbox.lock().unwrap();
        *inbox += 1;
        self.has_posts.store(true, Ordering::Relaxed);
        drop(inbox);
        let tell = self.doorbell.ring();
        if tell == Tell::Sleeper {
            self.waker.wake();
        }
        if tell == Tell::Host {
            self.call_hook();
        }
        tell
    }

    /// The loop takes what it sees without being told.
    fn take_posts(&self) -> usize {
        if !self.has_posts.load(Ordering::Relaxed) {
            return 0;
        }
        let mut inbox = self.inbox.lock().unwrap();
        self.has_posts.store(false, Ordering::Relaxed);
        std::mem::take(&mut *inbox)
    }

    fn begin_run(&self) {
        self.hook.arm(false);
        self.doorbell.begin_run();
    }

    /// The run ends; what came too late for it is looked for once more, and told. Was there any?
    fn end_run(&self) -> bool {
        self.hook.arm(true);
        self.doorbell.end_run();
        let has_posts = self.has_posts.load(Ordering::Relaxed);
        if has_posts {
            self.call_hook();
        }
        has_posts
    }

    /// One turn. How many posts did it take?
    fn turn(&self, may_sleep: bool) -> usize {
        if may_sleep && self.doorbell.fall_asleep() {
            self.waker.sleep();
        }
        self.doorbell.wake_up();
        self.take_posts()
    }
}

/// A loop that sleeps whenever it may has run all posts in the end.
fn posts_to_a_loop_that_sleeps(posters: usize, posts: usize) {
    model(move || {
        let shared = Shared::new();
        shared.begin_run();
        let threads: Vec<_> = (0..posters)
            .map(|_| {
                let shared = shared.clone();
                thread::spawn(move || {
                    for _ in 0..posts {
                        shared.post();
                    }
                })
            })
            .collect();
        let mut taken = 0;
        // A turn that finds something ready only polls; the next one sleeps.
        taken += shared.turn(false);
        while taken < posters * posts {
            taken += shared.turn(true);
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(shared.take_posts(), 0);
    });
}

#[test]
fn a_post_while_the_loop_falls_asleep_is_run() {
    posts_to_a_loop_that_sleeps(1, 2);
}

#[test]
fn two_posters_while_the_loop_falls_asleep_are_run() {
    posts_to_a_loop_that_sleeps(2, 1);
}

/// A descriptor ends the wait: the loop is awake as ever, and sleeps again if nobody rings.
#[test]
fn a_wait_that_nobody_rang_for_leaves_no_trace() {
    model(|| {
        let doorbell = Doorbell::new();
        doorbell.begin_run();
        for _ in 0..2 {
            assert!(doorbell.fall_asleep());
            assert!(!doorbell.wake_up());
        }
        assert_eq!(doorbell.ring(), Tell::Nobody);
        assert!(!doorbell.fall_asleep());
        assert!(doorbell.wake_up());
        assert!(doorbell.fall_asleep());
        assert_eq!(doorbell.ring(), Tell::Sleeper);
        assert!(doorbell.wake_up());
        doorbell.end_run();
        assert_eq!(doorbell.ring(), Tell::Host);
        assert_eq!(doorbell.ring(), Tell::Nobody);
    });
}

/// A post that comes as a run ends is run by it, or the host is told: never neither.
#[test]
fn a_post_while_the_run_ends_is_run_or_told() {
    model(|| {
        let shared = Shared::new();
        let hook = Hook::new();
        shared.hook.replace(Some(Box::new(hook.clone())));
        shared.begin_run();
        let poster = {
            let shared = shared.clone();
            thread::spawn(move || shared.post())
        };
        shared.doorbell.wake_up();
        let run_by_it = shared.take_posts();
        let announced = shared.end_run();
        let tell = poster.join().unwrap();
        let is_readable = announced || tell == Tell::Host;
        assert!(run_by_it == 1 || is_readable, "the descriptor is not readable");
        assert!(run_by_it == 1 || hook.calls() == 1, "the hook was not called");
        assert!(hook.calls() <= 1); // once in vain, if the run got to the post before it rang
    });
}

/// A host that runs the loop whenever its hook is called, and only then, misses nothing.
#[test]
fn a_host_that_runs_when_its_hook_is_called_runs_every_post() {
    model(|| {
        let shared = Shared::new();
        shared.hook.replace(Some(Box::new(Hook::new())));
        let poster = {
            let shared = shared.clone();
            thread::spawn(move || [shared.post(), shared.post()])
        };
        let mut taken = 0;
        while taken < 2 {
            shared.host.sleep();
            shared.begin_run();
            shared.doorbell.wake_up();
            taken += shared.take_posts();
            shared.end_run();
        }
        poster.join().unwrap();
    });
}

/// A burst costs one system call, however many threads it comes from; none while awake.
#[test]
fn of_a_burst_one_ring_has_to_tell() {
    for is_asleep in [true, false] {
        model(move || {
            let doorbell = Arc::new(Doorbell::new());
            doorbell.begin_run();
            if is_asleep {
                assert!(doorbell.fall_asleep());
            }
            let posters = [0, 1].map(|_| {
                let doorbell = doorbell.clone();
                thread::spawn(move || [doorbell.ring(), doorbell.ring()])
            });
            let tells = posters.map(|poster| poster.join().unwrap());
            let told = tells.iter().flatten().filter(|tell| **tell != Tell::Nobody).count();
            assert_eq!(told, usize::from(is_asleep));
            assert!(doorbell.wake_up());
            assert!(!doorbell.wake_up());
        });
    }
}

/// Loom notices when it is looked at while it is dropped, or after, or without an order.
struct Alive(UnsafeCell<bool>);

impl Alive {
    fn boxed() -> Option<Box<Alive>> {
        Some(Box::new(Alive(UnsafeCell::new(true))))
    }

    fn look(&self) {
        // SAFETY: the cell tells loom of every access; that is the test.
        self.0.with(|alive| assert!(unsafe { *alive }));
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        // SAFETY: as above.
        self.0.with_mut(|alive| unsafe { *alive = false });
    }
}

#[test]
fn a_replaced_hook_runs_on_no_thread() {
    model(|| {
        let cell = Arc::new(HookCell::new());
        cell.replace(Alive::boxed());
        let caller = {
            let cell = cell.clone();
            thread::spawn(move || cell.call_once(Alive::look))
        };
        cell.replace(None);
        caller.join().unwrap();
    });
}

#[test]
fn a_hook_that_is_replaced_again_and_again_runs_on_no_thread() {
    model(|| {
        let cell = Arc::new(HookCell::new());
        cell.replace(Alive::boxed());
        let callers = [0, 1].map(|_| {
            let cell = cell.clone();
            thread::spawn(move || cell.call_once(Alive::look))
        });
        cell.replace(Alive::boxed());
        cell.arm(true);
        cell.replace(None);
        for caller in callers {
            caller.join().unwrap();
        }
    });
}

/// However many threads call it.
#[test]
fn a_hook_is_called_once_until_it_is_armed_again() {
    model(|| {
        let cell = Arc::new(HookCell::new());
        let hook = Hook::new();
        cell.replace(Some(Box::new(hook.clone())));
        let callers = [0, 1].map(|_| {
            let cell = cell.clone();
            thread::spawn(move || cell.call_once(|hook: &Arc<Hook>| hook.call()))
        });
        for caller in callers {
            caller.join().unwrap();
        }
        assert_eq!(hook.calls(), 1);
        cell.arm(true);
        cell.call_once(|hook| hook.call());
        assert_eq!(hook.calls(), 2);
    });
}
