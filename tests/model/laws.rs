//! The model: what a loop does, by the laws, in the simplest words. A ready queue, a sorted list
//! of timers, sources that are looked for by going through all of them; nothing is fast.
//!
//! It runs a program by itself and writes down what can be seen. Where the laws leave something
//! open (the kernel's order of descriptors, when a closed file that lives on is found out) it
//! looks at what the library did at this place, and takes that if it is allowed.

mod edges;
mod handles;
mod host;
mod runs;
mod time;
mod watching;

use super::apart::Ended;
use super::files::Files;
use super::forks::{Forked, MOST_FORKS, end_model_child, fork, is_child};
use super::library::*;
use super::program::{By, DEEPEST, LATE, MOST_TIMERS, Op, Program};
use super::real::{Frame, Seen};
use super::trace::{Current, Event, News, Outcome, Probe, left};
use edges::Edges;
use host::Host;
use runs::Run;
use std::collections::VecDeque;
pub use time::LONG;
use watching::Watch;

/// What the model says as it gives up a program that would wait for ever.
pub const WAITS_FOR_EVER: &str = "this waits for ever";

pub struct Laws<'a> {
    program: &'a Program,
    /// What the library did.
    real: &'a [Event],
    trace: Vec<Event>,
    files: Files,
    edges: Edges,
    fuel: u32,
    timers_made: u32,
    frames: Vec<Frame>,
    runs: Vec<Run>,
    clock: u64,
    sources: Vec<Source>,
    /// The sources that have a handle, in the order in which the program got them.
    handles: Vec<usize>,
    /// The script of each argument.
    args: Vec<usize>,
    /// How often the kernel was asked.
    looks: u32,
    ready: VecDeque<Entry>,
    sequence: u64,
    /// By (deadline, order of scheduling).
    timers: Vec<(u64, u64, usize)>,
    scheduled: u64,
    posts: VecDeque<usize>,
    due_releases: VecDeque<(usize, By)>,
    stop: bool,
    wake: bool,
    remotes: usize,
    /// One-shots that the last call handed out, and where its snapshot ended.
    handed: Vec<usize>,
    /// Those that have been cancelled since.
    voided: Vec<usize>,
    handed_end: u64,
    host: Host,
    closed: bool,
    /// What the library's children saw, and how many forks there were.
    childrens: &'a [Vec<Event>],
    children: &'a mut Vec<Child>,
    /// With the system's clock: when the loop was made, and which way is taken where there are two.
    begin: u64,
    asked_at: u64,
    ways: &'a mut Ways,
}

/// Where there are two ways to take what was seen: which of them were the less likely ones.
#[derive(Default)]
pub struct Ways {
    pub others: Vec<bool>,
    /// So often there were two.
    made: usize,
    /// Likewise, before the first difference.
    before_difference: Option<usize>,
}

impl Ways {
    fn choose(&mut self, likely: bool) -> bool {
        let is_other = self.others.get(self.made).copied().unwrap_or(false);
        self.made += 1;
        likely != is_other
    }

    /// The next ways to try: the last choice before the difference was wrong, and then the one before.
    pub fn next(mut self) -> Option<Ways> {
        self.others.resize(self.before_difference.unwrap_or(self.made), false);
        while self.others.pop_if(|is_other| *is_other).is_some() {}
        *self.others.last_mut()? = true;
        Some(Ways { others: self.others, ..Ways::default() })
    }
}

/// A child of the model's.
pub struct Child {
    /// In it: all that the library's child saw.
    pub seen: Vec<Event>,
    /// In its parent: the child has found this.
    pub difference: Option<String>,
}

/// Something that gets a callback.
struct Source {
    kind: Kind,
    arg: usize,
    by: By,
    /// Without a callback: it is handed out.
    null: bool,
    unref: bool,
    alive: bool,
    /// It has ended, and its release is not due yet.
    owed: bool,
    /// Of a timer; with the system's clock it is not before this.
    deadline: u64,
    /// And not after this.
    latest: u64,
    /// Its place among the handles.
    number: Option<usize>,
}

enum Kind {
    Soon,
    Timer,
    Every {
        interval: u64,
        policy: u32,
    },
    Watch(Watch),
    /// One wait for a descriptor. Has it ended?
    Poll(Watch, bool),
    Hook(u32),
}

/// A place in the ready queue.
struct Entry {
    sequence: u64,
    source: usize,
    /// What happened to a descriptor.
    events: u32,
    /// It is a deadline's.
    is_timer: bool,
    /// When the kernel said so first, and last.
    found: u32,
    look: u32,
    /// It was void while another that was found with it had its turn: in the kernel's order, which
    /// is not known of what is void, it may have come before that one, and is gone.
    may_be_gone: bool,
}

/// Why a run is left.
enum Leave {
    Code(i64),
    Thrown(Thrown),
}

/// An exception that has so many runs to pass.
struct Thrown(u32);

impl From<Thrown> for Leave {
    fn from(thrown: Thrown) -> Leave {
        Leave::Thrown(thrown)
    }
}

/// Runs the program; its descriptors have the numbers from `base` on.
pub fn play(
    program: &Program,
    base: i32,
    real: &Seen,
    children: &mut Vec<Child>,
    ways: &mut Ways,
) -> Vec<Event> {
    let mut laws = Laws {
        program,
        real: &real.trace,
        childrens: &real.children,
        children,
        begin: real.begin,
        asked_at: 0,
        ways,
        trace: Vec::new(),
        files: Files::new(base),
        edges: Edges::new(),
        fuel: program.setup.fuel,
        timers_made: 0,
        frames: Vec::new(),
        runs: Vec::new(),
        clock: if program.setup.system { real.begin } else { program.setup.start },
        sources: Vec::new(),
        handles: Vec::new(),
        args: Vec::new(),
        looks: 0,
        ready: VecDeque::new(),
        sequence: 1,
        timers: Vec::new(),
        scheduled: 0,
        posts: VecDeque::new(),
        due_releases: VecDeque::new(),
        stop: false,
        wake: false,
        remotes: 0,
        handed: Vec::new(),
        voided: Vec::new(),
        handed_end: 0,
        host: Host::default(),
        closed: false,
    };
    for op in &program.main {
        let _ = laws.perform(*op);
    }
    if !laws.closed {
        laws.fuel = 1;
        let _ = laws.perform(Op::Free);
    }
    laws.trace
}

impl Laws<'_> {
    fn log(&mut self, event: Event) {
        let seen = self.seen();
        let is_same = seen == Some(&event) || matches!(event, Event::Left { .. });
        if !is_same && self.ways.before_difference.is_none() {
            self.ways.before_difference = Some(self.ways.made);
        }
        if let (true, Some([_, after])) = (self.is_real(), event.time()) {
            self.clock = self.clock.max(after);
        }
        self.trace.push(event);
    }

    /// What the library did at this place.
    fn seen(&self) -> Option<&Event> {
        self.real.get(self.trace.len())
    }

    /// What it answered at this place, if that is among what is allowed; else the first of these.
    fn any_of(&self, allowed: &[i64]) -> i64 {
        match self.seen() {
            Some(Event::Did { outcome: Outcome::Code(code), .. }) if allowed.contains(code) => *code,
            _ => allowed[0],
        }
    }

    fn is_dead(&self) -> bool {
        self.closed && self.runs.is_empty()
    }

    fn burn(&mut self) -> bool {
        let had = self.fuel > 0;
        self.fuel = self.fuel.saturating_sub(1);
        had
    }

    fn current(&self) -> Option<usize> {
        self.runs.last()?.current
    }

    fn probe(&self) -> Probe {
        const CODE: i32 = ECLOSED as i32;
        if self.closed {
            let time = self.seen_time();
            let current = Current::Error(ECLOSED);
            return Probe { current, depth: CODE, work: CODE, timeout: ECLOSED, time };
        }
        let number = self.current().map(|source| self.sources[source].number.unwrap_or(usize::MAX));
        Probe {
            current: number.map_or(Current::None, Current::Source),
            depth: self.runs.len() as i32,
            work: self.has_work().into(),
            timeout: self.told_timeout(),
            time: self.seen_time(),
        }
    }

    /// The timeout; or what the library says, if that is allowed too.
    fn told_timeout(&self) -> i64 {
        let seen = match self.seen() {
            Some(Event::Call { probe, .. } | Event::Did { probe: Some(probe), .. }) => probe.timeout,
            _ => -1,
        };
        // A closed file that lives on may count as ready; what was left in the queue, and holds no
        // more, may count until its turn, which depends on the kernel's order.
        let may_be_ready = (self.has_suspects() || self.is_closed_wait_told()) && seen == 0;
        let may_be_gone = !self.is_surely_ready() && !self.is_other_work_left();
        let without = self.time_left(seen, self.next_deadline(), self.next_latest(), self.now_at_probe());
        match () {
            () if may_be_ready => 0,
            () if may_be_gone && seen == without => without,
            () if self.is_work_left() => 0,
            () => without,
        }
    }

    fn now_at_probe(&self) -> [u64; 2] {
        if self.is_real() { self.seen_time() } else { [self.clock; 2] }
    }

    /// Nanoseconds until the loop wants to run.
    fn timeout(&self) -> i64 {
        if self.is_work_left() { 0 } else { left(self.next_deadline(), self.clock) }
    }

    fn next_deadline(&self) -> u64 {
        self.timers.first().map_or(NEVER, |(deadline, ..)| *deadline)
    }

    /// Would a run that must not wait find something, descriptors aside?
    fn is_work_left(&self) -> bool {
        !self.ready.is_empty() || self.is_other_work_left()
    }

    fn is_other_work_left(&self) -> bool {
        let next = self.next_deadline();
        !self.posts.is_empty()
            || self.stop
            || self.wake
            || !self.due_releases.is_empty()
            || self.has_always()
            || !self.is_real() && next != NEVER && next <= self.clock
    }

    /// Would `loop_run` go on?
    fn has_work(&self) -> bool {
        let keeps = |source: usize| !self.sources[source].unref;
        self.ready.iter().any(|entry| keeps(entry.source))
            || self.timers.iter().any(|(.., source)| keeps(*source))
            || self.watchers().any(|(source, _)| keeps(source))
            || !self.posts.is_empty()
            || self.remotes > 0
    }

    fn perform(&mut self, op: Op) -> Result<(), Thrown> {
        let outlives = matches!(op, Op::RemotePost(..) | Op::RemoteFree(_) | Op::Open(..) | Op::Close(_));
        if (self.is_dead() && !outlives) || !self.burn() {
            return Ok(());
        }
        self.timers_made += u32::from(op.makes_timer());
        if op.makes_timer() && self.timers_made > MOST_TIMERS {
            return Ok(());
        }
        match op {
            op if op.is_run() => self.perform_run(op),
            Op::Throw(runs) if self.frames.last() == Some(&Frame::Callback) => {
                self.did(op, Outcome::Nothing);
                Err(Thrown(runs))
            }
            Op::Throw(_) => Ok(()),
            op => {
                let before = self.what_host_knows();
                let outcome = self.act(op);
                self.tell_host(op, before);
                if op.sets_deadline()
                    && let Some(deadline @ Event::Deadline(..)) = self.seen().cloned()
                {
                    self.log(deadline);
                }
                self.did(op, outcome);
                Ok(())
            }
        }
    }

    fn did(&mut self, op: Op, outcome: Outcome) {
        let probe = (!self.is_dead()).then(|| self.probe());
        self.log(Event::Did { op, outcome, probe });
    }

    fn perform_run(&mut self, op: Op) -> Result<(), Thrown> {
        let is_hidden = self.program.setup.pull && self.frames.last() == Some(&Frame::Release);
        if self.runs.len() == DEEPEST || is_hidden {
            return Ok(());
        }
        self.log(Event::Begins(op));
        let frames = self.frames.len();
        let result = self.run(op);
        self.frames.truncate(frames);
        match result {
            Ok(outcome) => self.did(op, outcome),
            Err(Thrown(runs)) => {
                self.did(op, Outcome::Caught);
                if runs > 1 && self.frames.last() == Some(&Frame::Callback) {
                    return Err(Thrown(runs - 1));
                }
            }
        }
        Ok(())
    }

    /// A callback or hook.
    fn call(&mut self, source: usize, news: News) -> Result<(), Thrown> {
        self.runs.last_mut().unwrap().current = Some(source);
        self.give_number(source);
        let arg = self.sources[source].arg;
        self.log(Event::Call { arg, news, probe: self.probe() });
        self.frames.push(Frame::Callback);
        self.play_script(arg)?;
        self.frames.pop();
        if news == News::Idle {
            // While the hook is on the stack, and what is owed to it is not due.
            self.guard();
        }
        self.finish_current();
        Ok(())
    }

    fn play_script(&mut self, arg: usize) -> Result<(), Thrown> {
        if !self.burn() {
            self.call_stop();
            return Ok(());
        }
        let program = self.program;
        program.scripts[self.args[arg]].iter().try_for_each(|op| self.perform(*op))
    }

    fn finish_current(&mut self) {
        if let Some(source) = self.runs.last_mut().unwrap().current.take() {
            self.owe(source);
            self.finish(source);
        }
    }

    /// A one-shot is over when its callback has returned and nothing has armed it again.
    fn finish(&mut self, source: usize) {
        let waits = self.is_ready(source) || self.is_armed(source);
        if self.is_one_shot(source) && !waits && !self.is_running(source) {
            self.end(source);
        }
    }

    /// The source is no more; its release is due.
    fn end(&mut self, source: usize) {
        if std::mem::replace(&mut self.sources[source].alive, false) {
            self.sources[source].owed = true;
            self.owe(source);
        }
    }

    /// What is owed to a callback that is on the stack falls due when it has returned.
    fn owe(&mut self, source: usize) {
        let is_soon = matches!(self.sources[source].kind, Kind::Soon);
        if self.is_running(source) && (is_soon || !self.closed) {
            return;
        }
        let Source { owed, arg, by, .. } = &mut self.sources[source];
        if std::mem::take(owed) && *by != By::Nobody {
            self.due_releases.push_back((*arg, *by));
        }
    }

    /// Where no callback is on the stack.
    fn make_releases(&mut self) {
        while !self.closed
            && let Some((arg, by)) = self.due_releases.pop_front()
        {
            self.log(Event::Release { arg, by });
            let was_told = self.is_told();
            if by == By::Busy {
                self.frames.push(Frame::Release);
                // It cannot throw.
                let _ = self.play_script(arg);
                self.frames.pop();
            }
            // A release that was owed has kept the last guard from seeing an endless wait.
            self.guard();
            self.host.told_by_release |= self.is_told() && !was_told;
        }
        if self.closed {
            self.make_last_releases();
        }
    }

    /// Of a loop that was freed: in any order. If that was in a nested run, what belongs to callbacks
    /// outside of it waits for their end.
    fn make_last_releases(&mut self) {
        let is_seen = |seen: Option<&Event>, arg, by| seen == Some(&Event::Left { arg, by });
        while !self.due_releases.is_empty() {
            let seen = self.seen();
            let place = self.due_releases.iter().position(|(arg, by)| is_seen(seen, *arg, *by));
            if place.is_none() && self.runs.len() > 1 {
                return;
            }
            if let Some((arg, by)) = self.due_releases.remove(place.unwrap_or(0)) {
                self.log(Event::Left { arg, by });
            }
        }
    }

    /// `loop_free`: everything ends.
    fn close(&mut self) {
        self.closed = true;
        (0..self.sources.len()).for_each(|source| {
            self.end(source);
            self.owe(source);
        });
        self.ready.clear();
        self.timers.clear();
        self.posts.clear();
        if self.runs.is_empty() {
            self.make_releases();
        }
    }

    /// The test's own: a wait for something that never comes is to stop.
    fn guard(&mut self) {
        if self.is_real() {
            if self.seen() == Some(&Event::Stopped) {
                self.log(Event::Stopped);
                self.call_stop();
            }
            return;
        }
        let is_unbounded = self.runs.last().is_some_and(|run| run.is_unbounded) || self.clock >= LATE;
        if self.program.setup.manual || self.closed || !is_unbounded {
            return;
        }
        if self.is_held_by_watchers() || self.timeout() == i64::MAX {
            self.call_stop();
        }
    }

    /// The child goes on with what the library's child saw.
    fn fork(&mut self) -> Outcome {
        let count = self.children.len();
        if is_child() || self.closed || self.remotes > 0 || count == MOST_FORKS {
            return Outcome::Nothing;
        }
        let childs = self.childrens.get(count).map_or(&[][..], |seen| seen);
        match fork::<u8>() {
            Forked::Child if childs.is_empty() => end_model_child(None),
            Forked::Child => {
                let seen = [&self.trace[..], childs].concat();
                self.real = seen.clone().leak();
                self.children.push(Child { seen, difference: None });
                self.files.hold();
                self.begin_in_child();
                Outcome::Code(0)
            }
            Forked::Parent(ended, text) => {
                let text = String::from_utf8_lossy(&text).into_owned();
                let text =
                    if ended == Ended::Well { text } else { format!("the model's child {ended:?}: {text}") };
                let difference = Some(text).filter(|text| !text.is_empty());
                self.children.push(Child { seen: Vec::new(), difference });
                self.log(Event::ChildEnded(Ended::Well));
                Outcome::Nothing
            }
        }
    }

    /// `loop_after_fork`: a kernel side of the child's own.
    fn begin_in_child(&mut self) {
        self.watch_in_child();
        self.host.begin_in_child();
    }

    /// As if the program had done it.
    fn call_stop(&mut self) {
        let before = self.what_host_knows();
        self.stop |= !self.closed;
        self.tell_host(Op::Stop, before);
    }
}
