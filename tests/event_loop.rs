//! The core from Rust: closures as callbacks, dropped exactly once, and the order that the
//! laws promise. (The C tests prove each law; here it is the Rust face that is tested.)

use evloop::callback::{once, repeating, ticking, watching};
use evloop::{Ended, Error, Loop, Missed, Options, RawHandle, When};
use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

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
    let (callback, release) = once(closure);
    let handle = on.call_soon(callback).unwrap();
    on.set_release(handle, Some(release)).unwrap();
    handle
}

fn later(on: &Loop, delay: u64, closure: impl FnOnce(&Loop) + 'static) -> RawHandle {
    let (callback, release) = once(closure);
    let handle = on.call_later(delay, callback).unwrap();
    on.set_release(handle, Some(release)).unwrap();
    handle
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
    let (callback, release) = watching(move |on, _, events| {
        assert_eq!(events, 1);
        let mut byte = [0];
        (&ours).read_exact(&mut byte).unwrap();
        inner.add("fd ");
        soon(on, inner.line("nested "));
        assert_eq!(on.depth(), Ok(1));
        on.run_once(Some(0)).unwrap();
        inner.add("after ");
        on.cancel(on.current().unwrap()).unwrap();
    });
    let watch = on.watch_fd(fd, 1, callback).unwrap();
    on.set_release(watch, Some(release)).unwrap();
    assert_eq!(on.run(), Ok(Ended::OutOfWork));
    assert_eq!(journal.take(), "fd nested after ");
}

#[test]
fn a_periodic_timer_tells_missed_ticks() {
    let on = Loop::with_options(&Options { manual_clock: true, ..Options::default() }).unwrap();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let inner = seen.clone();
    let (callback, release) = ticking(move |_, ticks| inner.borrow_mut().push(ticks));
    let timer = on.call_every(10, 10, Missed::Skip, callback).unwrap();
    on.set_release(timer, Some(release)).unwrap();
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
        let (callback, release) = repeating(journal.line(text));
        let hook = on.add_hook(when, callback).unwrap();
        on.set_release(hook, Some(release)).unwrap();
    }
    later(&on, 1_000_000, journal.line("timer "));
    on.run_once(None).unwrap();
    let seen = journal.take();
    assert!(seen.starts_with("before idle after ") && seen.ends_with("after timer "), "{seen}");
}

#[test]
fn another_thread_posts_and_is_refused_the_rest() {
    struct Shared(*const Loop);
    // SAFETY: the thread calls only what any thread may call, and ends before the loop.
    unsafe impl Send for Shared {}
    let on = Loop::with_options(&Options { bound: true, ..Options::default() }).unwrap();
    let there = Shared(&*on);
    let thread = std::thread::spawn(move || {
        let there = there;
        // SAFETY: alive until the thread has been joined.
        let on = unsafe { &*there.0 };
        let (callback, release) = once(|on| on.stop().unwrap());
        on.call_soon_threadsafe(callback, Some(release)).unwrap();
        assert_eq!(on.depth(), Err(Error::WRONG_THREAD));
        assert_eq!(on.is_in_thread(), Ok(false));
    });
    assert_eq!(on.run_forever(), Ok(Ended::Stopped));
    thread.join().unwrap();
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
