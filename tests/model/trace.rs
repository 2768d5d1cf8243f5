//! What can be seen of a loop: the library and the model each write it down, and it must be the
//! same.

use super::apart::Ended;
use super::files::SLOTS;
use super::library::{EVENT_DONE, EVENT_WOKEN, NEVER};
use super::program::{By, Op};

/// What a callback is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum News {
    Plain,
    /// A hook before a wait that blocks.
    Idle,
    Ticks(u64),
    /// An operation has ended, with this result.
    Done(i64),
    Fd {
        slot: usize,
        events: u32,
    },
}

/// What an operation answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// 0, an answer, or an error's code.
    Code(i64),
    Time(u64),
    /// A new source, the n-th.
    Made(usize),
    /// A handle that was given out before, or is too large.
    Odd(i64),
    Pulled(Vec<Pulled>),
    /// An exception arrived.
    Caught,
    Nothing,
}

/// A source that was handed out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pulled {
    pub source: usize,
    pub arg: usize,
    pub kind: u32,
    pub slot: usize,
    pub events: u32,
    pub ticks: u64,
    pub result: i64,
}

/// Of an event that is no source's.
const NO_SOURCE: usize = usize::MAX;

impl Pulled {
    /// The call ended early, and had nothing to hand out.
    pub const WOKEN: Pulled = Pulled {
        source: NO_SOURCE,
        arg: 0,
        kind: EVENT_WOKEN,
        slot: NO_SLOT,
        events: 0,
        ticks: 0,
        result: 0,
    };
}

/// What a loop says of itself; asked after every operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Probe {
    pub current: Current,
    pub depth: i32,
    pub work: i32,
    pub timeout: i64,
    /// With the system's clock: the time before and after.
    pub time: [u64; 2],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Current {
    None,
    Source(usize),
    Error(i64),
}

/// Of a wait: what the hooks show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    Before,
    Idle,
    After,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A callback begins.
    Call {
        arg: usize,
        news: News,
        probe: Probe,
    },
    /// An operation that runs the loop begins.
    Begins(Op),
    Did {
        op: Op,
        outcome: Outcome,
        probe: Option<Probe>,
    },
    Release {
        arg: usize,
        by: By,
    },
    /// A release made by a loop that is freed, which does not say in which order.
    Left {
        arg: usize,
        by: By,
    },
    /// The kernel was asked (written down where files may have several numbers).
    Asked,
    /// With the system's clock: how far a wait is, and the time.
    Wait(Stage, u64),
    /// With the system's clock: the deadline that has been given, at the earliest and at the latest.
    Deadline(u64, u64),
    /// With the system's clock: the test itself stops a wait for something that never comes.
    Stopped,
    /// The host's hook was called.
    Woken,
    /// A child came to the end of the program, or did not.
    ChildEnded(Ended),
    /// The loop is freed, but not all its descriptors are closed.
    Leaked,
}

impl Event {
    /// When it was seen, if it says so.
    pub fn time(&self) -> Option<[u64; 2]> {
        match self {
            Event::Call { probe, .. } | Event::Did { probe: Some(probe), .. } => Some(probe.time),
            Event::Wait(_, time) => Some([*time; 2]),
            _ => None,
        }
    }

    pub fn ticks(&self) -> Option<u64> {
        match self {
            Event::Call { news: News::Ticks(ticks), .. } => Some(*ticks),
            _ => None,
        }
    }

    /// Is it the turn of this source: is it called or handed out?
    pub fn is_turn_of(&self, source: usize) -> Option<usize> {
        match self {
            Event::Call { probe, .. } => (probe.current == Current::Source(source)).then_some(0),
            Event::Did { outcome: Outcome::Pulled(all), .. } => {
                all.iter().position(|pulled| pulled.source == source)
            }
            _ => None,
        }
    }

    /// The result that an operation is told in its turn.
    pub fn result_of(&self, source: usize) -> Option<i64> {
        let place = self.is_turn_of(source)?;
        match self {
            Event::Call { news: News::Done(result), .. } => Some(*result),
            Event::Did { outcome: Outcome::Pulled(all), .. } => Some(all[place].result),
            _ => None,
        }
    }

    /// The events that a watcher is told in its turn.
    pub fn events_of(&self, source: usize) -> Option<u32> {
        let place = self.is_turn_of(source)?;
        match self {
            Event::Call { news: News::Fd { events, .. }, .. } => Some(*events),
            Event::Call { news: News::Done(result), .. } => u32::try_from(*result).ok(),
            Event::Did { outcome: Outcome::Pulled(all), .. } if all[place].kind == EVENT_DONE => {
                u32::try_from(all[place].result).ok()
            }
            Event::Did { outcome: Outcome::Pulled(all), .. } => Some(all[place].events),
            _ => None,
        }
    }
}

/// A place that is no descriptor's.
pub const NO_SLOT: usize = SLOTS;

/// `LOOP_NEVER` and the like: a time that may not fit.
pub fn signed(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

/// A time from now, where the last one means never.
pub fn left(deadline: u64, now: u64) -> i64 {
    if deadline == NEVER { i64::MAX } else { signed(deadline.saturating_sub(now)) }
}

/// What loops leave in no particular order is sorted.
pub fn in_order(mut trace: Vec<Event>) -> Vec<Event> {
    let argument = |event: &Event| match event {
        Event::Left { arg, by } => (*arg, *by == By::Busy),
        _ => (0, false),
    };
    for part in trace.chunk_by_mut(|a, b| matches!((a, b), (Event::Left { .. }, Event::Left { .. }))) {
        part.sort_by_key(argument);
    }
    trace
}
