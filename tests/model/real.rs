//! Runs a program on the library, and writes down what happens.

mod acts;

use super::files::Files;
use super::forks::{end_real_child, is_child};
use super::laws::LONG;
use super::library::*;
use super::program::*;
use super::trace::{Current, Event, NO_SLOT, News, Outcome, Probe, Pulled, Stage};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::null_mut;

pub struct Real<'a> {
    library: &'a Library,
    program: &'a Program,
    on: *mut Loop,
    begin: u64,
    files: RefCell<Files>,
    trace: RefCell<Vec<Event>>,
    handles: RefCell<Vec<Handle>>,
    places: RefCell<HashMap<Handle, usize>>,
    /// The script of each argument.
    args: RefCell<Vec<usize>>,
    /// With what `loop_unref` last said.
    watchers: RefCell<Vec<(Handle, bool)>>,
    /// Likewise, the operations that wait for a descriptor.
    waits: RefCell<Vec<(Handle, bool)>>,
    remotes: RefCell<Vec<*mut Remote>>,
    fuel: Cell<u32>,
    timers: Cell<u32>,
    /// The runs on the stack: may they wait without limit?
    runs: RefCell<Vec<bool>>,
    frames: RefCell<Vec<Frame>>,
    closed: Cell<bool>,
    /// What the children saw.
    children: RefCell<Vec<Vec<Event>>>,
    /// In a child: so much had been seen before.
    forked_at: Cell<usize>,
    host_fd: Cell<c_int>,
    /// The descriptors that the loop was made with.
    own: Vec<c_int>,
}

/// User code on the stack.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    Callback,
    /// Must not throw.
    Release,
}

/// An exception that has so many runs to pass.
struct Thrown(u32);

thread_local! {
    /// Is what is seen told at once? (For programs that hang or crash.)
    pub static LIVE: Cell<bool> = const { Cell::new(false) };
    static HERE: Cell<*const c_void> = const { Cell::new(std::ptr::null()) };
}

/// What is on the stack of this thread.
fn here() -> &'static Real<'static> {
    // SAFETY: set by `play`, which lasts longer than every callback of its loop.
    unsafe { &*HERE.get().cast() }
}

unsafe extern "C-unwind" fn plain(_: *mut Loop, arg: *mut c_void) {
    here().called(arg, News::Plain);
}

unsafe extern "C-unwind" fn tick(_: *mut Loop, ticks: u64, arg: *mut c_void) {
    here().called(arg, News::Ticks(ticks));
}

unsafe extern "C-unwind" fn ready(_: *mut Loop, fd: c_int, events: u32, arg: *mut c_void) {
    let slot = here().files.borrow().slot(fd);
    here().called(arg, News::Fd { slot, events });
}

unsafe extern "C-unwind" fn done(
    on: *mut Loop,
    handle: Handle,
    what: u32,
    result: i64,
    data: *mut c_void,
    arg: *mut c_void,
) {
    // SAFETY: a loop of ours that exists.
    let current = unsafe { (here().library.loop_current)(on) };
    assert_eq!((handle, what, data), (current, EVENT_DONE, null_mut()));
    here().called(arg, News::Done(result));
}

unsafe extern "C-unwind" fn idle(_: *mut Loop, arg: *mut c_void) {
    here().called(arg, News::Idle);
    here().guard();
}

unsafe extern "C-unwind" fn guard(_: *mut Loop, _: *mut c_void) {
    here().guard();
}

unsafe extern "C-unwind" fn before(_: *mut Loop, _: *mut c_void) {
    here().log_stage(Stage::Before);
}

unsafe extern "C-unwind" fn waits(_: *mut Loop, _: *mut c_void) {
    here().log_stage(Stage::Idle);
    here().guard();
}

unsafe extern "C-unwind" fn after(_: *mut Loop, _: *mut c_void) {
    here().log_stage(Stage::After);
}

unsafe extern "C-unwind" fn asked(_: *mut Loop, _: *mut c_void) {
    here().log(Event::Asked);
}

unsafe extern "C-unwind" fn woken(_: *mut c_void) {
    here().log(Event::Woken);
}

unsafe extern "C-unwind" fn quiet_release(arg: *mut c_void) {
    here().released(arg, By::Quiet);
}

unsafe extern "C-unwind" fn busy_release(arg: *mut c_void) {
    here().released(arg, By::Busy);
}

fn release_function(by: By) -> ReleaseCb {
    match by {
        By::Nobody => None,
        By::Quiet => Some(quiet_release),
        By::Busy => Some(busy_release),
    }
}

fn plain_function(body: Body) -> PlainCb {
    (!body.null).then_some(plain as _)
}

/// What was seen: also by the children, each since it was forked.
pub struct Seen {
    pub trace: Vec<Event>,
    pub children: Vec<Vec<Event>>,
    /// With the system's clock: when the loop was made.
    pub begin: u64,
}

/// Runs the program; its descriptors have the numbers from `base` on.
pub fn play(library: &Library, program: &Program, base: c_int) -> Seen {
    let free_before = lowest_free_number();
    let on = make_loop(library, program.setup);
    let real = Real {
        library,
        program,
        on,
        // SAFETY: a loop of ours.
        begin: if program.setup.system { unsafe { (library.loop_clock)(on) } } else { 0 },
        own: (free_before..lowest_free_number()).collect(),
        files: RefCell::new(Files::new(base)),
        trace: RefCell::default(),
        handles: RefCell::default(),
        places: RefCell::default(),
        args: RefCell::default(),
        watchers: RefCell::default(),
        waits: RefCell::default(),
        remotes: RefCell::default(),
        fuel: Cell::new(program.setup.fuel),
        timers: Cell::new(0),
        runs: RefCell::default(),
        frames: RefCell::default(),
        closed: Cell::new(false),
        children: RefCell::default(),
        forked_at: Cell::new(0),
        host_fd: Cell::new(-1),
    };
    HERE.set((&raw const real).cast());
    real.add_hooks();
    program.main.iter().for_each(|op| real.perform(*op));
    if !real.closed.get() {
        real.fuel.set(1);
        real.perform(Op::Free);
    }
    for remote in real.remotes.take() {
        // SAFETY: made by the library, and its last use.
        assert_eq!(unsafe { (library.loop_remote_free)(remote) }, 0);
    }
    drop(real.files.replace(Files::new(base)));
    if lowest_free_number() != free_before {
        real.log(Event::Leaked);
    }
    if is_child() {
        end_real_child(&real.trace.borrow()[real.forked_at.get()..]);
    }
    Seen { trace: real.trace.take(), children: real.children.take(), begin: real.begin }
}

/// The number that the next descriptor gets.
fn lowest_free_number() -> c_int {
    // SAFETY: makes a descriptor and closes it.
    unsafe {
        let number = libc::dup(2);
        assert_eq!(libc::close(number), 0);
        number
    }
}

fn make_loop(library: &Library, setup: Setup) -> *mut Loop {
    let clock = match setup {
        Setup { system: true, .. } => STRICT_POLL,
        Setup { manual: true, .. } => MANUAL_CLOCK,
        _ => VIRTUAL_CLOCK,
    };
    let flags = clock | if setup.pull { PULL } else { 0 } | if setup.bound { BOUND } else { 0 };
    let size = size_of::<Options>() as u32;
    let options = Options { size, flags, virtual_start_ns: setup.start, ..Options::default() };
    let mut on = null_mut();
    // SAFETY: options of the size they say, and a place for a pointer.
    assert_eq!(unsafe { (library.loop_new_with)(&options, &mut on) }, 0);
    on
}

impl Real<'_> {
    /// Hooks of the test's own, before any of the program's: one that shows when the kernel was
    /// asked (where the model has to know), one against waiting for ever.
    fn add_hooks(&self) {
        let (when, hook): (u32, PlainCb) = match self.program.setup {
            Setup { system: true, .. } => {
                let hooks: [(u32, PlainCb); 3] =
                    [(BEFORE_WAIT, Some(before)), (WHEN_IDLE, Some(waits)), (AFTER_WAIT, Some(after))];
                for (when, hook) in hooks {
                    // SAFETY: as below.
                    assert!(unsafe { (self.library.loop_add_hook)(self.on, when, hook, null_mut()) } > 0);
                }
                return;
            }
            Setup { dups: true, .. } => (AFTER_WAIT, Some(asked)),
            Setup { manual: false, .. } => (WHEN_IDLE, Some(guard)),
            _ => return,
        };
        // SAFETY: a loop of ours, and a function that takes any argument.
        assert!(unsafe { (self.library.loop_add_hook)(self.on, when, hook, null_mut()) } > 0);
    }

    fn log(&self, event: Event) {
        if LIVE.get() {
            eprintln!("{}{event:?}", if is_child() { "child: " } else { "" });
        }
        self.trace.borrow_mut().push(event);
    }

    /// Does the loop exist no more?
    fn is_dead(&self) -> bool {
        self.closed.get() && self.runs.borrow().is_empty()
    }

    /// Takes from the fuel; false when there is none.
    fn burn(&self) -> bool {
        let left = self.fuel.get();
        self.fuel.set(left.saturating_sub(1));
        left > 0
    }

    fn called(&self, arg: *mut c_void, news: News) {
        self.note_current();
        self.log(Event::Call { arg: arg as usize, news, probe: self.probe() });
        self.frames.borrow_mut().push(Frame::Callback);
        self.play_script(arg);
        self.frames.borrow_mut().pop();
    }

    fn play_script(&self, arg: *mut c_void) {
        let script = self.args.borrow().get(arg as usize).copied();
        if !self.burn() {
            // SAFETY: a loop of ours, which lives as long as a callback of its runs.
            unsafe { (self.library.loop_stop)(self.on) };
        } else if let Some(script) = script {
            self.program.scripts[script].iter().for_each(|op| self.perform(*op));
        }
    }

    fn released(&self, arg: *mut c_void, by: By) {
        if self.closed.get() {
            return self.log(Event::Left { arg: arg as usize, by });
        }
        self.log(Event::Release { arg: arg as usize, by });
        if by == By::Busy {
            self.frames.borrow_mut().push(Frame::Release);
            self.play_script(arg);
            self.frames.borrow_mut().pop();
        }
        // A release that was owed has kept the last guard from seeing an endless wait.
        self.guard();
    }

    /// Before a wait: if it would be one for something that never comes, it is to stop.
    fn guard(&self) {
        let is_unbounded = self.runs.borrow().last().copied().unwrap_or(false);
        if self.program.setup.system {
            // SAFETY: a loop of ours that exists.
            let is_long = || unsafe { (self.library.loop_timeout)(self.on) } > LONG as i64;
            if is_unbounded && !self.closed.get() && is_long() {
                self.log(Event::Stopped);
                // SAFETY: as above.
                unsafe { (self.library.loop_stop)(self.on) };
            }
            return;
        }
        // SAFETY: a loop of ours that exists.
        let is_late = || unsafe { (self.library.loop_clock)(self.on) } >= LATE;
        if self.program.setup.manual || self.closed.get() || !(is_unbounded || is_late()) {
            return;
        }
        let is_waiting = |(handle, unref): &(Handle, bool)| {
            // SAFETY: a loop of ours that is not closed. A negative number is an error.
            let mask = unsafe { (self.library.loop_watch_events)(self.on, *handle) };
            !unref && mask > 0 && mask as u32 & EVENTS != 0
        };
        let is_active = |(handle, unref): &(Handle, bool)| {
            // SAFETY: as above.
            !unref && unsafe { (self.library.loop_is_active)(self.on, *handle) } == 1
        };
        let holds =
            self.watchers.borrow().iter().any(is_waiting) || self.waits.borrow().iter().any(is_active);
        // SAFETY: as above.
        unsafe {
            if holds || (self.library.loop_timeout)(self.on) == i64::MAX {
                (self.library.loop_stop)(self.on);
            }
        }
    }

    fn probe(&self) -> Probe {
        // SAFETY: a loop of ours that exists, as whoever calls this made sure.
        unsafe {
            let current = match (self.library.loop_current)(self.on) {
                0 => Current::None,
                code @ ..0 => Current::Error(code),
                handle => Current::Source(self.places.borrow().get(&handle).map_or(usize::MAX, |n| *n)),
            };
            let depth = (self.library.loop_is_running)(self.on);
            let work = (self.library.loop_has_work)(self.on);
            let before = self.time();
            let timeout = (self.library.loop_timeout)(self.on);
            Probe { current, depth, work, timeout, time: [before, self.time()] }
        }
    }

    /// With the system's clock: the time.
    fn time(&self) -> u64 {
        match self.program.setup.system && !self.closed.get() {
            // SAFETY: a loop of ours that exists.
            true => unsafe { (self.library.loop_clock)(self.on) },
            false => 0,
        }
    }

    fn log_stage(&self, stage: Stage) {
        self.log(Event::Wait(stage, self.time()));
    }

    /// A post has a handle, which its callback sees first.
    fn note_current(&self) {
        // SAFETY: as above.
        let handle = unsafe { (self.library.loop_current)(self.on) };
        if handle > 0 && !self.places.borrow().contains_key(&handle) {
            self.note(handle);
        }
    }

    fn note(&self, handle: Handle) -> usize {
        let mut handles = self.handles.borrow_mut();
        handles.push(handle);
        self.places.borrow_mut().insert(handle, handles.len() - 1);
        handles.len() - 1
    }

    /// The answer of a function that makes a source.
    fn made(&self, handle: Handle) -> Outcome {
        match handle {
            ..=0 => Outcome::Code(handle),
            1..0x20_0000_0000_0000 if !self.places.borrow().contains_key(&handle) => {
                Outcome::Made(self.note(handle))
            }
            _ => Outcome::Odd(handle),
        }
    }

    fn handle(&self, pick: Pick) -> Handle {
        let handles = self.handles.borrow();
        match pick {
            Pick::Junk(which) => JUNK[which],
            // SAFETY: a loop of ours that exists.
            Pick::Current => unsafe { (self.library.loop_current)(self.on) },
            Pick::Last(_) if handles.is_empty() => 0,
            Pick::Last(back) => handles[handles.len() - 1 - back % handles.len()],
        }
    }

    fn argument(&self, script: usize) -> *mut c_void {
        let mut args = self.args.borrow_mut();
        args.push(script);
        (args.len() - 1) as *mut c_void
    }

    fn perform(&self, op: Op) {
        let outlives = matches!(op, Op::RemotePost(..) | Op::RemoteFree(_) | Op::Open(..) | Op::Close(_));
        if (self.is_dead() && !outlives) || !self.burn() {
            return;
        }
        if op.makes_timer() && self.timers.replace(self.timers.get() + 1) >= MOST_TIMERS {
            return;
        }
        match op {
            op if op.is_run() => self.run(op),
            Op::Throw(runs) => {
                if self.frames.borrow().last() == Some(&Frame::Callback) {
                    self.did(op, Outcome::Nothing);
                    resume_unwind(Box::new(Thrown(runs)));
                }
            }
            op => {
                let outcome = self.act(op);
                self.log_deadline(op, &outcome);
                self.did(op, outcome);
            }
        }
    }

    fn log_deadline(&self, op: Op, outcome: &Outcome) {
        let handle = match (op, outcome) {
            _ if !self.program.setup.system || !op.sets_deadline() => return,
            (Op::Reschedule(pick, _), Outcome::Code(0)) => self.handle(pick),
            (_, Outcome::Made(number)) => self.handles.borrow()[*number],
            _ => return,
        };
        let before = self.time();
        // SAFETY: a loop of ours that exists.
        let left = unsafe { (self.library.loop_remaining)(self.on, handle) };
        if left > 0 && left != i64::MAX {
            self.log(Event::Deadline(before + left as u64, self.time() + left as u64));
        }
    }

    fn did(&self, op: Op, outcome: Outcome) {
        let probe = (!self.is_dead()).then(|| self.probe());
        self.log(Event::Did { op, outcome, probe });
    }

    fn run(&self, op: Op) {
        // (What it hands out would be written down before what was handed out already.)
        let is_hidden = self.program.setup.pull && self.frames.borrow().last() == Some(&Frame::Release);
        if self.runs.borrow().len() == DEEPEST || is_hidden {
            return;
        }
        self.log(Event::Begins(op));
        self.runs.borrow_mut().push(op.is_unbounded());
        let frames = self.frames.borrow().len();
        let result = catch_unwind(AssertUnwindSafe(|| self.call_run(op)));
        self.frames.borrow_mut().truncate(frames);
        self.runs.borrow_mut().pop();
        match result {
            Ok(outcome) => self.did(op, outcome),
            Err(payload) => {
                let Thrown(runs) = *payload.downcast::<Thrown>().unwrap_or_else(|other| resume_unwind(other));
                self.did(op, Outcome::Caught);
                if runs > 1 && self.frames.borrow().last() == Some(&Frame::Callback) {
                    resume_unwind(Box::new(Thrown(runs - 1)));
                }
            }
        }
    }

    fn call_run(&self, op: Op) -> Outcome {
        let (library, on) = (self.library, self.on);
        // SAFETY: a loop of ours that exists.
        let result = unsafe {
            match op {
                Op::Run => (library.loop_run)(on),
                Op::RunForever => (library.loop_run_forever)(on),
                Op::RunOnce(limit) => (library.loop_run_once)(on, limit),
                Op::RunReady(budget) => (library.loop_run_ready)(on, budget),
                Op::NextEvents(capacity, limit) => return self.next_events(capacity, limit),
                _ => unreachable!("{op:?} is no run"),
            }
        };
        Outcome::Code(result.into())
    }

    fn next_events(&self, capacity: usize, limit: i64) -> Outcome {
        let unset = PulledEvent {
            handle: -1,
            arg: null_mut(),
            kind: 77,
            fd: 0,
            events: 0,
            flags: 77,
            ticks: 0,
            result: 77,
            data: std::ptr::dangling_mut(),
            reserved: 77,
        };
        let mut events = vec![unset; capacity.max(1)];
        // SAFETY: a loop of ours that exists, and room for as many events as it says.
        let count = unsafe { (self.library.loop_next_events)(self.on, events.as_mut_ptr(), capacity, limit) };
        if count < 0 {
            return Outcome::Code(count.into());
        }
        let pulled = |event: &PulledEvent| {
            assert_eq!((event.flags, event.data, event.reserved), (0, null_mut(), 0));
            assert!(event.result == 0 || event.kind == EVENT_DONE);
            if event.kind == EVENT_WOKEN {
                assert_eq!((event.handle, event.arg, event.fd, event.events), (0, null_mut(), -1, 0));
                return Pulled::WOKEN;
            }
            let known = self.places.borrow().get(&event.handle).copied();
            Pulled {
                source: known.unwrap_or_else(|| self.note(event.handle)),
                arg: event.arg as usize,
                kind: event.kind,
                slot: if event.fd == -1 { NO_SLOT } else { self.files.borrow().slot(event.fd) },
                events: event.events,
                ticks: event.ticks,
                result: event.result,
            }
        };
        Outcome::Pulled(events[..count as usize].iter().map(pulled).collect())
    }
}
