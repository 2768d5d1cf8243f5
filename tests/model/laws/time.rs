//! The system's clock. What happens when is taken from what the library did: each thing seen says
//! the time before and after it, so that what is in between is known to lie in between. Checked
//! are the order, and that nothing comes early; never that something comes soon.

use super::runs::Limit;
use super::{Laws, Leave};
use crate::model::library::*;
use crate::model::trace::{Event, Outcome, Stage, left};

/// A wait for this long is one without end.
pub const LONG: u64 = 1_000_000_000;

/// So often a wait may look in vain, where no file is closed that lives on.
const MOST_LOOKS: u32 = 200;

/// When its turn is, its deadline at the earliest, its order among equals, and the timer.
type Due = ((usize, usize), u64, u64, usize);

impl Laws<'_> {
    pub(super) fn is_real(&self) -> bool {
        self.program.setup.system
    }

    /// The present is not before `self.clock`, and not after this.
    pub(super) fn latest_now(&self) -> u64 {
        if !self.is_real() {
            return self.clock;
        }
        self.real.iter().skip(self.trace.len()).find_map(Event::time).map_or(NEVER, |time| time[0])
    }

    /// A deadline that may be in doubt: at the earliest, and at the latest.
    pub(super) fn deadline_in(&self, ns: u64) -> (u64, u64) {
        let (earliest, latest) = (self.clock.saturating_add(ns), self.latest_now().saturating_add(ns));
        let mut ahead = self.real.iter().skip(self.trace.len());
        let said =
            ahead.find(|event| matches!(event, Event::Deadline(..) | Event::Did { .. } | Event::Call { .. }));
        match said {
            // The library knows it better; but it has to be what was asked for.
            Some(Event::Deadline(from, to)) if *from <= latest && *to >= earliest => {
                (earliest.max(*from), latest.min(*to))
            }
            _ => (earliest, latest),
        }
    }

    /// A time on the clock of the program, which begins with the loop.
    pub(super) fn deadline_at(&self, when: u64) -> (u64, u64) {
        let time = if when == NEVER { NEVER } else { self.begin.saturating_add(when) };
        (time, time)
    }

    /// The next deadline, at the latest.
    pub(super) fn next_latest(&self) -> u64 {
        self.timers.iter().map(|(.., source)| self.sources[*source].latest).min().unwrap_or(NEVER)
    }

    /// When what is seen next was seen.
    pub(super) fn seen_time(&self) -> [u64; 2] {
        self.seen().and_then(Event::time).unwrap_or_default()
    }

    /// What `loop_timeout` may say at this place: `said`, or the first that is allowed.
    pub(super) fn time_left(&self, said: i64, earliest: u64, latest: u64, now: [u64; 2]) -> i64 {
        let (least, most) = (left(earliest, now[1]), left(latest, now[0]));
        if (least..=most).contains(&said) { said } else { least }
    }

    /// The answer of `loop_remaining`.
    pub(super) fn remaining(&self, source: usize) -> i64 {
        let said = match self.seen() {
            Some(Event::Did { outcome: Outcome::Code(code), .. }) => *code,
            _ => -1,
        };
        let now = [self.clock, self.latest_now()];
        self.time_left(said, self.sources[source].deadline, self.sources[source].latest, now)
    }

    /// What `loop_clock` says.
    pub(super) fn told_clock(&self) -> u64 {
        match self.seen() {
            Some(Event::Did { outcome: Outcome::Time(time), .. })
                if (self.clock..=self.latest_now()).contains(time) =>
            {
                *time
            }
            _ => self.clock,
        }
    }

    /// Of a periodic timer: how many ticks, and the next deadline. (Those that were missed are
    /// counted by the time of the turn.)
    pub(super) fn tick(&mut self, source: usize, interval: u64, policy: u32) -> u64 {
        let (deadline, latest) = (self.sources[source].deadline, self.sources[source].latest);
        let after = |ticks: u64| {
            let all = ticks.saturating_mul(interval);
            (deadline.saturating_add(all), latest.saturating_add(all))
        };
        let most = (self.latest_now().saturating_sub(deadline) / interval).saturating_add(1);
        let said = self.seen().and_then(Event::ticks).unwrap_or(0);
        let (ticks, (earliest, latest)) = match policy {
            0 if (1..=most).contains(&said) => (said, after(said)),
            0 => (most, after(most)),
            1 => (1, after(1)),
            _ => (1, self.deadline_in(interval)),
        };
        self.schedule_between(source, earliest, latest);
        ticks
    }

    /// Which timers are due: those that surely are, and of the others those whose turn comes
    /// before the next wait. (Where that is not so in the end, the other way is tried.)
    pub(super) fn collect_real_timers(&mut self) {
        // (The time may be read before the hooks that come after the wait.)
        let (now, until) = (self.asked_at, self.latest_now());
        let next_wait = self.ahead(|event| matches!(event, Event::Wait(Stage::Before, _)));
        let mut due: Vec<Due> = Vec::new();
        for (deadline, order, source) in self.timers.clone() {
            if deadline == NEVER || deadline > until {
                continue;
            }
            let turn = self.turn_of(source);
            let is_due = self.sources[source].latest <= now || self.ways.choose(turn.0 < next_wait);
            if is_due {
                due.push((turn, deadline, order, source));
            }
        }
        due.sort();
        // In the order of the library, as far as that is allowed.
        let is_surely_before = |a: &Due, b: &Due| {
            let latest = self.sources[a.3].latest;
            latest < b.1 || latest == a.1 && b.1 == self.sources[b.3].latest && (a.1, a.2) < (b.1, b.2)
        };
        let mut in_order = Vec::new();
        while !due.is_empty() {
            let is_first = |one: &Due| !due.iter().any(|other| is_surely_before(other, one));
            let first = due.iter().position(is_first).unwrap_or(0);
            in_order.push(due.remove(first));
        }
        for (.., source) in in_order {
            self.timers.retain(|(.., other)| *other != source);
            self.push_timer(source);
        }
    }

    /// How far away is it?
    fn ahead(&self, is_it: impl Fn(&Event) -> bool) -> usize {
        let mut ahead = self.real.iter().skip(self.trace.len());
        ahead.position(is_it).unwrap_or(usize::MAX)
    }

    fn is_seen_next(&self, stage: Stage) -> bool {
        matches!(self.seen(), Some(Event::Wait(other, _)) if *other == stage)
    }

    fn log_stage(&mut self, stage: Stage) {
        let time = if self.is_seen_next(stage) { self.seen_time()[0] } else { 0 };
        self.log(Event::Wait(stage, time));
        if stage == Stage::After {
            self.asked_at = self.clock;
        }
    }

    /// How often the library looks until a wait is over is not known; but each time it calls the hooks.
    pub(super) fn wait_in_time(&mut self, limit: Limit) -> Result<(), Leave> {
        self.host.flushed = false;
        for _ in 0..MOST_LOOKS {
            self.log_stage(Stage::Before);
            self.call_hooks(BEFORE_WAIT)?;
            self.between_turns()?;
            if self.blocks(limit) {
                self.log_stage(Stage::Idle);
                self.guard();
                self.call_hooks(WHEN_IDLE)?;
                self.between_turns()?;
            }
            let found = self.ask_kernel();
            self.log_stage(Stage::After);
            self.call_hooks(AFTER_WAIT)?;
            self.between_turns()?;
            if found || self.is_real_wait_over(limit) {
                return Ok(());
            }
        }
        Err(Leave::Code(i64::MIN))
    }

    fn blocks(&self, limit: Limit) -> bool {
        let until = match limit {
            Limit::Until(time) => self.next_deadline().min(time),
            _ => self.next_deadline(),
        };
        let is_surely_due = self.next_latest() <= self.clock;
        // (What is not known of closed files that live on is taken from the library, too.)
        let is_surely_not = until > self.latest_now() && !self.has_suspects();
        self.is_idle(limit) && !is_surely_due && (is_surely_not || self.is_seen_next(Stage::Idle))
    }

    fn is_real_wait_over(&mut self, limit: Limit) -> bool {
        if limit == Limit::Poll {
            return true;
        }
        self.collect_real_timers();
        if !self.ready.is_empty() || self.stop || !self.posts.is_empty() {
            return true;
        }
        let goes_on = self.is_seen_next(Stage::Before);
        match limit {
            Limit::Until(time) => !goes_on && (time <= self.latest_now() || self.has_suspects()),
            Limit::WhileWork => !self.has_work() || !goes_on && self.has_suspects(),
            _ => !goes_on && self.has_suspects(),
        }
    }
}
