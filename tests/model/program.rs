//! Programs: a list of operations, and scripts of operations that callbacks run. Made from
//! bytes, so that a random number generator and a fuzzer can both write them; any bytes are a
//! program.

use super::files::{DEEDS, Deed, SLOTS, SORTS, Sort};
use super::library::{
    AFTER_WAIT, ALWAYS, BEFORE_WAIT, EDGE, HANGUP, NEVER, ONESHOT, PRIORITY, READ_CLOSED, READABLE, WRITABLE,
};
use std::fmt;

pub const SCRIPTS: usize = 8;
const FUEL: u32 = 300;
/// No more runs than this are nested.
pub const DEEPEST: usize = 5;

/// No more timers than this are made: of more than 64 that are due together, the library may tell
/// the first deadline too early.
pub const MOST_TIMERS: u32 = 60;

/// How the loop is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Setup {
    /// A manual clock, else a virtual one.
    pub manual: bool,
    /// The system's clock.
    pub system: bool,
    pub pull: bool,
    pub bound: bool,
    /// Numbers may be closed and opened again. (Not with a virtual clock, and not in pull mode,
    /// where it matters when the library finds out.)
    pub closes: bool,
    /// Files may have several numbers. (Then there are no edge-triggered watchers: a closed file
    /// that lives on may make the library start a new set, which reports all edges again.)
    pub dups: bool,
    /// It may fork. (Not in real time; not in pull mode, where more is seen than a child can report; and where numbers
    /// are closed only with `dups`, since a file of a child's lives on in its parent. Without edge
    /// watchers: a child's library does not see them on a number whose watchers are all paused.)
    pub forks: bool,
    pub start: u64,
    /// No more callbacks and operations than this are run; then callbacks only call `loop_stop`.
    pub fuel: u32,
}

/// A callback: what it does, or that it is NULL.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Body {
    pub script: usize,
    pub null: bool,
}

/// Which handle: one of no source, the current one, or one of the last that were made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    Junk(usize),
    Current,
    Last(usize),
}

/// Numbers that are never handles.
pub const JUNK: [i64; 8] =
    [0, -1, i64::MIN, i64::MAX, 1 << 53, 1 << 52, (1 << 52) | (7 << 49), (1 << 52) | (1 << 49)];

/// A release function: one that only says so, or one that runs its argument's script as well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    Nobody,
    Quiet,
    Busy,
}

/// What another thread does: what any thread may, and what it may not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Errand {
    Post(Body, By),
    Stop,
    Wake,
    InThread,
    Soon(Body),
    Cancel(Pick),
}

impl Errand {
    pub fn op(self) -> Op {
        match self {
            Errand::Post(body, by) => Op::Post(body, by),
            Errand::Stop => Op::Stop,
            Errand::Wake => Op::Wake,
            Errand::InThread => Op::InThread,
            Errand::Soon(body) => Op::Soon(body),
            Errand::Cancel(pick) => Op::Cancel(pick),
        }
    }

    pub fn is_for_any_thread(self) -> bool {
        matches!(self, Errand::Post(..) | Errand::Stop | Errand::Wake)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    Soon(Body),
    Later(Body, u64),
    At(Body, u64),
    /// First, interval, policy.
    Every(Body, u64, u64, u32),
    Watch(Body, usize, u32),
    /// A number that is not to be watched: -1, one never opened, the loop's own.
    WatchBad(Body, usize),
    /// One wait for a descriptor, with a time limit; a negative one is none.
    PollFd(Body, usize, u32, i64),
    Hook(Body, u32),
    Post(Body, By),
    RemotePost(usize, Body, By),
    Cancel(Pick),
    IsActive(Pick),
    Remaining(Pick),
    SetArg(Pick, usize),
    SetRelease(Pick, By),
    SetName(Pick, bool),
    Ref(Pick),
    Unref(Pick),
    Reschedule(Pick, u64),
    RescheduleAt(Pick, u64),
    Update(Pick, u32),
    WatchEvents(Pick),
    Stop,
    Wake,
    /// On a thread of its own, which ends before the program goes on.
    Elsewhere(Errand),
    Advance(u64),
    Clock,
    InThread,
    Flush,
    LoopFd,
    /// Is the loop's descriptor readable?
    HostPoll,
    WakeHook(bool),
    RemoteNew,
    RemoteFree(usize),
    Free,
    /// An exception that passes through so many runs.
    Throw(u32),
    Run,
    RunForever,
    RunOnce(i64),
    /// With no budget at all, or without end.
    RunReady(u64),
    NextEvents(usize, i64),
    Open(usize, Sort),
    Close(usize),
    Dup(usize, usize),
    /// The child calls `loop_after_fork`; both go on with the program, the child first.
    Fork,
    Do(usize, Deed),
}

impl Op {
    pub fn is_run(self) -> bool {
        use Op::{NextEvents, Run, RunForever, RunOnce, RunReady};
        matches!(self, Run | RunForever | RunOnce(_) | RunReady(_) | NextEvents(..))
    }

    /// Does it give a deadline that is counted from the present?
    pub fn sets_deadline(self) -> bool {
        matches!(self, Op::Later(..) | Op::Every(..) | Op::PollFd(..) | Op::Reschedule(..))
    }

    pub fn makes_timer(self) -> bool {
        matches!(self, Op::Later(..) | Op::At(..) | Op::Every(..) | Op::PollFd(..))
    }

    /// Does it wait without limit?
    pub fn is_unbounded(self) -> bool {
        matches!(self, Op::Run | Op::RunForever | Op::RunOnce(..0) | Op::NextEvents(_, ..0))
    }
}

/// With a clock that says this, the end of a limited wait may be the end of time as well.
pub const LATE: u64 = 1 << 63;

#[derive(Clone, PartialEq, Eq)]
pub struct Program {
    pub setup: Setup,
    pub main: Vec<Op>,
    pub scripts: Vec<Vec<Op>>,
}

/// Bytes, read one by one; zeros behind the end.
struct Bytes<'a> {
    left: &'a [u8],
    setup: Setup,
    /// In pull mode all watchers are handed out, or none: where a batch ends must not depend on the
    /// kernel's order.
    pulls_watchers: bool,
}

impl Program {
    pub fn decode(bytes: &[u8]) -> Program {
        let setup = Setup {
            manual: true,
            system: false,
            pull: false,
            bound: false,
            closes: false,
            dups: false,
            forks: false,
            start: 0,
            fuel: FUEL,
        };
        let mut bytes = Bytes { left: bytes, setup, pulls_watchers: false };
        bytes.setup = bytes.read_setup();
        bytes.pulls_watchers = bytes.one_in(2);
        let openings = bytes.below(6);
        let mut main: Vec<Op> = (0..openings).map(|_| bytes.opening()).collect();
        let scripts = (0..SCRIPTS).map(|_| (0..bytes.below(6)).map(|_| bytes.op()).collect()).collect();
        while !bytes.left.is_empty() {
            main.push(bytes.op());
        }
        Program { setup: bytes.setup, main, scripts }
    }

    /// All lists of operations: the main one, and the scripts.
    pub fn lists(&mut self) -> impl Iterator<Item = &mut Vec<Op>> {
        std::iter::once(&mut self.main).chain(&mut self.scripts)
    }
}

impl Bytes<'_> {
    fn byte(&mut self) -> usize {
        match self.left.split_first() {
            Some((first, rest)) => {
                self.left = rest;
                (*first).into()
            }
            None => 0,
        }
    }

    fn below(&mut self, end: usize) -> usize {
        self.byte() % end
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.byte() % count == count - 1
    }

    fn read_setup(&mut self) -> Setup {
        let clock = self.byte();
        // What happens when on a busy machine is not known to the nanosecond: these are for a calm one.
        let system = clock / 2 % 8 == 7 && std::env::var_os("EVLOOP_REAL_TIME").is_some();
        let (manual, pull) = (clock % 2 == 1 && !system, self.one_in(4) && !system);
        let closes = (manual || system) && !pull;
        let (bits, dups) = (self.byte(), closes && self.one_in(2));
        Setup {
            manual,
            system,
            pull,
            bound: bits % 8 == 7,
            closes,
            dups,
            forks: !pull && !system && !closes && !dups && bits / 8 % 4 == 3,
            start: [0, 0, 0, 1_000_000, 1 << 40, 1 << 62, u64::MAX - 1000][self.below(7)],
            fuel: FUEL,
        }
    }

    fn opening(&mut self) -> Op {
        Op::Open(self.below(SLOTS), SORTS[self.below(SORTS.len())])
    }

    fn body(&mut self) -> Body {
        let byte = self.byte();
        let null = if self.setup.pull { byte & 64 != 0 } else { byte >= 252 };
        Body { script: byte % SCRIPTS, null }
    }

    fn watcher_body(&mut self) -> Body {
        let body = self.body();
        Body { null: if self.setup.pull { self.pulls_watchers } else { body.null }, ..body }
    }

    fn time(&mut self) -> u64 {
        const TIMES: [u64; 16] =
            [0, 0, 0, 1, 1, 2, 3, 5, 10, 50, 1000, 65_536, 70_000, 1 << 30, 1 << 50, NEVER - 1];
        // At once, or far behind what is seen meanwhile: else nobody knows what is due in which turn.
        const REAL_TIMES: [u64; 16] = [
            0,
            0,
            0,
            0,
            1,
            1,
            20_000,
            30_000,
            40_000,
            50_000,
            50_000,
            100_000,
            150_000,
            200_000,
            1 << 50,
            NEVER - 1,
        ];
        let times = if self.setup.system { &REAL_TIMES } else { &TIMES };
        match self.byte() {
            255 => NEVER,
            254 => i64::MAX as u64,
            byte => times[byte % 16],
        }
    }

    /// (In real time not so short that ticks fall between any two things that are seen.)
    fn interval(&mut self) -> u64 {
        match self.time() {
            time @ 2..200_000 if self.setup.system => time.max(100_000),
            time => time,
        }
    }

    /// A time on the clock, mostly near the present.
    fn moment(&mut self) -> u64 {
        match self.byte() {
            255 => NEVER,
            254 => 0,
            byte if self.setup.system => (byte % 16) as u64 * 20_000,
            byte => self.setup.start.saturating_add((byte % 16) as u64),
        }
    }

    fn pick(&mut self) -> Pick {
        match self.byte() {
            byte @ 0..8 => Pick::Junk(byte),
            8..64 => Pick::Current,
            byte => Pick::Last((byte - 64) % 24),
        }
    }

    fn by(&mut self) -> By {
        [By::Quiet, By::Quiet, By::Busy, By::Nobody][self.below(4)]
    }

    fn mask(&mut self) -> u32 {
        const BOTH: u32 = READABLE | WRITABLE;
        const MASKS: [u32; 24] = [
            READABLE,
            READABLE,
            READABLE,
            WRITABLE,
            BOTH,
            BOTH,
            0,
            0,
            READABLE | ONESHOT,
            BOTH | ONESHOT,
            READABLE | EDGE,
            BOTH | EDGE,
            WRITABLE | EDGE | ONESHOT,
            READABLE | ALWAYS,
            BOTH | ALWAYS,
            READABLE | ALWAYS | ONESHOT,
            READ_CLOSED,
            READABLE | READ_CLOSED,
            HANGUP,
            PRIORITY | ONESHOT,
            EDGE,
            ALWAYS,
            READABLE | WRITABLE | PRIORITY | HANGUP | READ_CLOSED,
            128 | READABLE,
        ];
        let mask = MASKS[self.below(MASKS.len())];
        if self.setup.dups || self.setup.forks { mask & !EDGE } else { mask }
    }

    fn wait_limit(&mut self) -> i64 {
        let limits = match self.setup.system {
            true => [0, 0, 0, 1, 20_000, 100_000, -1, -1],
            false => [0, 0, 0, 1, 5, 1000, -1, i64::MAX],
        };
        limits[self.below(8)]
    }

    /// (In real time none between the wait and the time that the turn takes for the present.)
    fn hook(&mut self) -> Op {
        match (self.body(), self.below(5) as u32) {
            (body, AFTER_WAIT) if self.setup.system => Op::Hook(body, BEFORE_WAIT),
            (body, when) => Op::Hook(body, when),
        }
    }

    fn poll_fd(&mut self) -> Op {
        let (body, slot, mask) = (self.watcher_body(), self.below(SLOTS), self.mask());
        let mask = if self.one_in(8) { mask } else { mask & !(EDGE | ONESHOT) };
        let limits = match self.setup.system {
            true => [-1, -1, 0, 0, 1, 20_000, 100_000, i64::MAX],
            false => [-1, -1, 0, 0, 1, 5, 50, i64::MAX],
        };
        Op::PollFd(body, slot, mask, limits[self.below(8)])
    }

    fn errand(&mut self) -> Errand {
        match self.below(8) {
            0..3 => Errand::Post(self.body(), self.by()),
            3 => Errand::Stop,
            4 => Errand::Wake,
            5 => Errand::InThread,
            6 => Errand::Soon(self.body()),
            _ => Errand::Cancel(self.pick()),
        }
    }

    fn op(&mut self) -> Op {
        match self.byte() {
            0..16 => Op::Soon(self.body()),
            16..26 => Op::Later(self.body(), self.time()),
            26..32 => Op::At(self.body(), self.moment()),
            32..38 => Op::Every(self.body(), self.time(), self.interval(), self.below(4) as u32),
            38..54 => Op::Watch(self.watcher_body(), self.below(SLOTS), self.mask()),
            54 => Op::WatchBad(self.watcher_body(), self.below(6)),
            55..60 => self.hook(),
            60..66 => Op::Post(self.body(), self.by()),
            66..70 => Op::RemotePost(self.below(4), self.body(), self.by()),
            70..88 => Op::Cancel(self.pick()),
            88..92 => Op::IsActive(self.pick()),
            92..96 => Op::Remaining(self.pick()),
            96..100 => Op::SetArg(self.pick(), self.below(SCRIPTS)),
            100..110 => Op::SetRelease(self.pick(), self.by()),
            110 => Op::SetName(self.pick(), self.one_in(2)),
            111..113 => Op::Ref(self.pick()),
            113..117 => Op::Unref(self.pick()),
            117..127 => Op::Reschedule(self.pick(), self.time()),
            127..131 => Op::RescheduleAt(self.pick(), self.moment()),
            131..145 => Op::Update(self.pick(), self.mask()),
            145..147 => Op::WatchEvents(self.pick()),
            byte => self.other_op(byte),
        }
    }

    fn other_op(&mut self, byte: usize) -> Op {
        match byte {
            147..152 => Op::Stop,
            152..155 => Op::Wake,
            155..162 => Op::Advance(self.time()),
            162 => Op::Clock,
            163 => Op::InThread,
            164..166 => Op::Flush,
            166..168 => Op::LoopFd,
            168..172 => Op::HostPoll,
            172..174 => Op::WakeHook(self.one_in(4)),
            174..176 => Op::RemoteNew,
            176..178 => Op::RemoteFree(self.below(4)),
            178 if self.one_in(4) => Op::Free,
            178 => Op::InThread,
            179..183 => Op::Throw(self.below(3) as u32 + 1),
            183..218 if self.setup.pull && !self.one_in(8) => {
                Op::NextEvents([1, 1, 2, 3, 64, 0][self.below(6)], self.wait_limit())
            }
            183..188 => Op::Run,
            188..191 => Op::RunForever,
            191..210 => Op::RunOnce(self.wait_limit()),
            210..217 => Op::RunReady(if self.one_in(2) { NEVER } else { 0 }),
            217 => Op::NextEvents(1, 0),
            218..222 if self.setup.closes => self.opening(),
            222..226 if self.setup.closes => Op::Close(self.below(SLOTS)),
            226..230 if self.setup.dups => Op::Dup(self.below(SLOTS), self.below(SLOTS)),
            230..233 if self.setup.forks => Op::Fork,
            230..234 => Op::Elsewhere(self.errand()),
            // (When the library finds out that a file was closed, and ends the operation, is not known.)
            248.. if !self.setup.closes => self.poll_fd(),
            _ => Op::Do(self.below(SLOTS), DEEDS[[0, 0, 0, 1, 1, 1, 2, 3, 4, 5][self.below(10)]]),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.null { write!(f, "NULL") } else { write!(f, "script {}", self.script) }
    }
}

impl fmt::Debug for Pick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pick::Junk(which) => write!(f, "{}", JUNK[*which]),
            Pick::Current => write!(f, "current"),
            Pick::Last(back) => write!(f, "last-{back}"),
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}", self.setup)?;
        for (number, script) in self.scripts.iter().enumerate().filter(|(_, script)| !script.is_empty()) {
            writeln!(f, "script {number}: {script:?}")?;
        }
        self.main.iter().try_for_each(|op| writeln!(f, "  {op:?}"))
    }
}
