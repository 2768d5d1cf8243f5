//! The core from Rust: closures as callbacks, dropped exactly once, and the order that the
//! laws promise. (The C tests prove each law; here it is the Rust face that is tested.)

use evloop::{Ended, Error, Loop, Missed, Options, RawHandle, Remote, When};
use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Writes down what happens.
#[derive(Clone, Default)]
struct Journal(Rc<RefCell<String>>);

impl Journal {
    fn add(&self, text: &str) {
        self.0.borrow_mut().push_str(text);
    }

    fn take(&self) -> String {
        self.0.take()
    }

    /// A closure that adds `text`.
    fn line(&self, text: &'static str) -> impl Fn(&Loop) + 'static {
        let journal = self.clone();
        move |_| journal.add(text)
    }
}

fn soon(on: &Loop, closure: impl FnOnce(&Loop) + 'static) -> RawHandle {
    on.call_soon(closure).unwrap()
}

fn later(on: &Loop, delay: u64, closure: impl FnOnce(&Loop) + 'static) -> RawHandle {
    on.call_later(delay, closure).unwrap()
}

fn virtual_loop() -> Box<Loop> {
    Loop::with_options(&Options { virtual_clock: true, ..Options::default() }).unwrap()
}

#[test]
fn what_a_callback_schedules_runs_in_the_next_turn() {
    let (on, journal) = (Loop::new().unwrap(), Journal::default());
    let inner = journal.clone();
    soon(&on, move |on| {
        inner.add("a");
        soon(on, inner.line("c"));
    });
    soon(&on, journal.line("b"));
    assert_eq!(on.run_once(Some(0)), Ok(2));
    assert_eq!(journal.take(), "ab");
    assert_eq!(on.run(), Ok(Ended::OutOfWork));
    assert_eq!(journal.take(), "c");
}

#[test]
fn timers_fire_by_deadline_and_order_on_a_virtual_clock() {
    let (on, journal) = (virtual_loop(), Journal::default());
    later(&on, 2_000_000_000, journal.line("c"));
    later(&on, 1_000_000_000, journal.line("a"));
    later(&on, 1_000_000_000, journal.line("b"));
    assert_eq!(on.run(), Ok(Ended::OutOfWork));
    assert_eq!(journal.take(), "abc");
    assert_eq!(on.clock(), 2_000_000_000);
}

#[test]
fn closures_are_dropped_once_run_cancelled_or_left_over() {
    struct Counted(Rc<Cell<i32>>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    let dropped = Rc::new(Cell::new(0));
    let on = Loop::new().unwrap();
    let closure = || {
        let counted = Counted(dropped.clone());
        move |_: &Loop| drop(counted)
    };
    soon(&on, closure());
    let cancelled = soon(&on, closure());
    later(&on, 60_000_000_000, closure());
    on.cancel(cancelled).unwrap();
    assert_eq!(dropped.get(), 0, "never inside cancel");
    on.run_once(Some(0)).unwrap();
    assert_eq!(dropped.get(), 2);
    drop(on);
    assert_eq!(dropped.get(), 3);
}

#[test]
fn a_descriptor_and_a_timer_and_a_nested_run() {
    let (on, journal) = (Loop::new().unwrap(), Journal::default());
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let fd = ours.as_raw_fd();
    let inner = journal.clone();
    theirs.write_all(b"x").unwrap();
    let read = move |on: &Loop, _, events| {
        assert_eq!(events, 1);
        let mut byte = [0];
        (&ours).read_exact(&mut byte).unwrap();
        inner.add("fd ");
        soon(on, inner.line("nested "));
        assert_eq!(on.depth(), Ok(1));
        on.run_once(Some(0)).unwrap();
        inner.add("after ");
        on.cancel(on.current().unwrap()).unwrap();
    };
    on.watch_fd(fd, 1, read).unwrap();
    assert_eq!(on.run(), Ok(Ended::OutOfWork));
    assert_eq!(journal.take(), "fd nested after ");
}

#[test]
fn a_periodic_timer_tells_missed_ticks() {
    let on = Loop::with_options(&Options { manual_clock: true, ..Options::default() }).unwrap();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let inner = seen.clone();
    let tick = move |_: &Loop, ticks| inner.borrow_mut().push(ticks);
    let timer = on.call_every(10, 10, Missed::Skip, tick).unwrap();
    for step in [9, 1, 35, 5] {
        on.advance(step).unwrap();
        on.run_once(None).unwrap();
    }
    assert_eq!(*seen.borrow(), [1, 3, 1]);
    assert_eq!(on.remaining(timer), Ok(10));
}

#[test]
fn hooks_surround_the_wait() {
    let (on, journal) = (Loop::new().unwrap(), Journal::default());
    let hooks = [(When::AfterWait, "after "), (When::BeforeWait, "before "), (When::WhenIdle, "idle ")];
    for (when, text) in hooks {
        on.add_hook(when, journal.line(text)).unwrap();
    }
    later(&on, 1_000_000, journal.line("timer "));
    on.run_once(None).unwrap();
    let seen = journal.take();
    assert!(seen.starts_with("before idle after ") && seen.ends_with("after timer "), "{seen}");
}

#[test]
fn other_threads_have_remotes() {
    fn is_for_all_threads<T: Send + Sync>(_: &T) {}
    let on = Loop::new().unwrap();
    let seen = Arc::new(AtomicU32::new(0));
    let remote = Arc::new(on.remote().unwrap());
    is_for_all_threads::<Remote>(&remote);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (remote, seen) = (remote.clone(), seen.clone());
            std::thread::spawn(move || {
                for _ in 0..100 {
                    let seen = seen.clone();
                    remote.call_soon(move |_| _ = seen.fetch_add(1, Ordering::Relaxed)).unwrap();
                }
            })
        })
        .collect();
    drop(remote);
    assert_eq!(on.run(), Ok(Ended::OutOfWork), "until the last remote is gone");
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(seen.load(Ordering::Relaxed), 400);
    assert_eq!(Arc::strong_count(&seen), 1);
}

#[test]
fn a_remote_outlives_its_loop_and_drops_what_it_cannot_post() {
    let on = Loop::new().unwrap();
    let (remote, kept) = (on.remote().unwrap(), Arc::new(()));
    let inner = kept.clone();
    remote.call_soon(move |_| drop(inner)).unwrap();
    drop(on);
    assert_eq!(Arc::strong_count(&kept), 1, "dropped with the loop");
    let inner = kept.clone();
    assert_eq!(remote.call_soon(move |_| drop(inner)), Err(Error::CLOSED));
    assert_eq!(Arc::strong_count(&kept), 1);
}

/// Every way to make a source drops the closure when it makes none.
#[test]
fn a_closure_is_dropped_once_when_an_error_comes_back() {
    let (on, kept) = (Loop::new().unwrap(), Rc::new(()));
    let closed = Loop::new().unwrap();
    closed.close().unwrap();
    let once = || {
        let kept = kept.clone();
        move |_: &Loop| drop(kept)
    };
    let again = || {
        let kept = kept.clone();
        move |_: &Loop| drop(kept.clone())
    };
    let (event, tick) = (again(), again());
    assert_eq!(closed.call_soon(once()), Err(Error::CLOSED));
    assert_eq!(closed.call_later(0, once()), Err(Error::CLOSED));
    assert_eq!(closed.call_at(0, once()), Err(Error::CLOSED));
    assert_eq!(closed.add_hook(When::WhenIdle, again()), Err(Error::CLOSED));
    assert!(on.watch_fd(-1, 1, move |on, _, _| event(on)).is_err());
    assert_eq!(on.call_every(0, 0, Missed::Run, move |on, _| tick(on)), Err(Error::INVALID));
    assert_eq!(Rc::strong_count(&kept), 1);
}

/// A closure that is on the stack lives until it returns, whoever has ended its source.
#[test]
fn a_closure_may_end_its_source_and_run_the_loop() {
    let (on, journal) = (virtual_loop(), Journal::default());
    let inner = journal.clone();
    let text = String::from("whole");
    let tick = move |on: &Loop, _| {
        on.cancel(on.current().unwrap()).unwrap();
        for _ in 0..3 {
            on.run_once(Some(1)).unwrap();
        }
        inner.add(&text);
    };
    on.call_every(1, 1, Missed::Run, tick).unwrap();
    assert_eq!(on.run(), Ok(Ended::OutOfWork));
    assert_eq!(journal.take(), "whole");
    let inner = journal.clone();
    let text = String::from("closed");
    on.call_every(1, 1, Missed::Run, move |on, _| {
        on.close().unwrap();
        inner.add(&text);
    })
    .unwrap();
    assert_eq!(on.run(), Err(Error::CLOSED));
    assert_eq!(journal.take(), "closed");
}

/// A loop that its own closures own is never dropped: a leak, and nothing worse.
#[test]
fn closures_may_own_a_loop() {
    let (inner, journal) = (Loop::new().unwrap(), Journal::default());
    let on = Loop::new().unwrap();
    soon(&inner, journal.line("inner "));
    let mine = journal.clone();
    soon(&on, move |_| {
        inner.run().unwrap();
        drop(inner); // a loop inside another one's callback
        mine.add("outer");
    });
    on.run().unwrap();
    assert_eq!(journal.take(), "inner outer");
    let own: Rc<Loop> = Rc::from(Loop::new().unwrap());
    let kept = own.clone();
    soon(&own, move |on| assert!(std::ptr::eq(on, &*kept)));
    own.run().unwrap();
    assert_eq!(Rc::strong_count(&own), 1, "it ran, and is gone");
}

#[test]
fn a_panic_in_a_destructor_goes_no_further() {
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new("of a destructor"));
        }
    }
    let (on, journal) = (Loop::new().unwrap(), Journal::default());
    let bad = Bad;
    let handle = soon(&on, move |_| drop(bad));
    on.cancel(handle).unwrap();
    soon(&on, journal.line("next"));
    assert_eq!(on.run(), Ok(Ended::OutOfWork));
    assert_eq!((journal.take().as_str(), on.depth()), ("next", Ok(0)));
    let bad = Bad;
    soon(&on, move |_| drop(bad));
    drop(on);
}

#[test]
fn a_wake_hook_is_called_and_dropped() {
    let (on, calls) = (Loop::new().unwrap(), Arc::new(AtomicU32::new(0)));
    let inner = calls.clone();
    on.set_wake_hook(move || _ = inner.fetch_add(1, Ordering::Relaxed)).unwrap();
    let remote = on.remote().unwrap();
    std::thread::spawn(move || remote.call_soon(|_| ()).unwrap()).join().unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    let inner = calls.clone();
    on.set_wake_hook(move || _ = inner.load(Ordering::Relaxed)).unwrap();
    assert_eq!(Arc::strong_count(&calls), 2, "the first is dropped");
    on.clear_wake_hook().unwrap();
    assert_eq!(Arc::strong_count(&calls), 1);
    let inner = calls.clone();
    on.set_wake_hook(move || _ = inner.load(Ordering::Relaxed)).unwrap();
    drop(on);
    assert_eq!(Arc::strong_count(&calls), 1);
}

/// The C functions keep the library's own panics quiet, and nobody else's.
#[test]
fn a_rust_hosts_panics_are_not_silenced() {
    static TOLD: AtomicU32 = AtomicU32::new(0);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        match info.payload().downcast_ref::<&str>() {
            Some(&"of the host") => _ = TOLD.fetch_add(1, Ordering::Relaxed),
            _ => before(info),
        };
    }));
    let on = evloop::ffi::life::loop_new();
    assert!(std::panic::catch_unwind(|| panic!("of the host")).is_err());
    let other = Loop::new().unwrap();
    soon(&other, |_| panic!("of the host"));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| other.run())).is_err());
    assert_eq!(TOLD.load(Ordering::Relaxed), 2);
    // SAFETY: made above, and freed once.
    assert_eq!(unsafe { evloop::ffi::life::loop_free(on) }, 0);
}

#[test]
fn a_rust_panic_in_a_callback_passes_and_the_loop_goes_on() {
    let (on, journal) = (Loop::new().unwrap(), Journal::default());
    soon(&on, |_| std::panic::resume_unwind(Box::new("the user's own")));
    soon(&on, journal.line("next"));
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| on.run()));
    assert_eq!(*caught.unwrap_err().downcast::<&str>().unwrap(), "the user's own");
    assert_eq!(on.run(), Ok(Ended::OutOfWork));
    assert_eq!(journal.take(), "next");
}
