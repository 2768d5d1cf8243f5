//! Runs and turns: wait, collect, run the snapshot.

use super::{Entry, Kind, Laws, Leave, Thrown};
use crate::model::library::*;
use crate::model::program::Op;
use crate::model::trace::{Event, NO_SLOT, News, Outcome, Pulled};
use std::panic::resume_unwind;

/// A run on the stack.
pub struct Run {
    /// The source whose callback runs.
    pub current: Option<usize>,
    pub is_unbounded: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    Poll,
    Until(u64),
    Forever,
    /// As long as anything is left that could ever run.
    WhileWork,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Plan {
    Poll,
    /// Wait, which with this clock means to move it.
    Jump(u64),
    Block,
}

impl Laws<'_> {
    pub(super) fn run(&mut self, op: Op) -> Result<Outcome, Thrown> {
        let is_pull = matches!(op, Op::NextEvents(..));
        if self.closed {
            return Ok(Outcome::Code(ECLOSED));
        }
        if is_pull != self.program.setup.pull {
            return Ok(Outcome::Code(EPULL));
        }
        if matches!(op, Op::NextEvents(0, _)) {
            return Ok(Outcome::Code(EINVAL));
        }
        if is_pull {
            self.finish_handed();
        }
        let is_unbounded = op.is_unbounded();
        self.host.flushed = false;
        self.runs.push(Run { current: None, is_unbounded });
        let result = self.between_turns().and_then(|()| self.turns(op));
        if matches!(result, Err(Leave::Thrown(_))) {
            // The callback that threw counts as run, and has used a stop up.
            self.finish_current();
            self.stop = false;
        }
        if self.runs.len() == 1 {
            self.make_releases();
        }
        self.end_run();
        match result {
            Ok(outcome) => Ok(outcome),
            Err(Leave::Code(code)) => Ok(Outcome::Code(code)),
            Err(Leave::Thrown(thrown)) => Err(thrown),
        }
    }

    fn end_run(&mut self) {
        self.runs.pop();
        // A nested run leaves the loop as a flush does.
        self.host.flushed = !self.runs.is_empty();
        self.tell_host_of_end();
    }

    fn turns(&mut self, op: Op) -> Result<Outcome, Leave> {
        let code = match op {
            Op::RunOnce(timeout) => {
                let count = self.turn(self.limit(timeout), false)?;
                self.is_over(count)?;
                count
            }
            Op::RunReady(budget) => self.run_ready(budget)?,
            Op::RunForever => loop {
                let count = self.turn(Limit::Forever, false)?;
                if self.is_over(count)? {
                    break 0;
                }
            },
            Op::Run => loop {
                if !self.stop && !self.has_work() {
                    break 1;
                }
                let count = self.turn(Limit::WhileWork, false)?;
                if self.is_over(count)? {
                    break 0;
                }
            },
            Op::NextEvents(capacity, timeout) => {
                return Ok(Outcome::Pulled(self.next_events(capacity, self.limit(timeout))?));
            }
            _ => unreachable!("{op:?} is no run"),
        };
        Ok(Outcome::Code(code))
    }

    fn run_ready(&mut self, budget: u64) -> Result<i64, Leave> {
        let mut total = 0;
        loop {
            let count = self.turn(Limit::Poll, budget == 0)?;
            total += count;
            if self.is_over(count)? || count == 0 || budget == 0 {
                return Ok(total);
            }
        }
    }

    fn limit(&self, timeout: i64) -> Limit {
        match u64::try_from(timeout) {
            Err(_) => Limit::Forever,
            Ok(0) => Limit::Poll,
            Ok(ns) => Limit::Until(self.clock.saturating_add(ns)),
        }
    }

    fn is_over(&mut self, count: i64) -> Result<bool, Leave> {
        self.between_turns()?;
        let stopped = std::mem::take(&mut self.stop);
        // A manual clock never waits.
        Ok(stopped || self.program.setup.manual && count == 0 && self.ready.is_empty())
    }

    /// Where releases are made, and a run notices that the loop is freed.
    pub(super) fn between_turns(&mut self) -> Result<(), Leave> {
        if !self.closed {
            self.make_releases();
        }
        if self.closed { Err(Leave::Code(ECLOSED)) } else { Ok(()) }
    }

    fn turn(&mut self, limit: Limit, only_one: bool) -> Result<i64, Leave> {
        match self.is_real() {
            true => self.wait_in_time(limit)?,
            false => self.wait(limit)?,
        }
        self.collect();
        self.run_snapshot(only_one)
    }

    fn wait(&mut self, limit: Limit) -> Result<(), Leave> {
        self.host.flushed = false;
        loop {
            self.call_hooks(BEFORE_WAIT)?;
            self.between_turns()?;
            if self.plan(limit) != Plan::Poll {
                self.guard();
                self.call_hooks(WHEN_IDLE)?;
                self.between_turns()?;
            }
            let plan = self.plan(limit);
            if plan == Plan::Block {
                // Quietly: it may be a program on the way to be a smaller one.
                resume_unwind(Box::new("this waits for ever"));
            }
            let found = self.ask_kernel();
            if let Plan::Jump(time) = plan
                && !found
            {
                self.clock = self.clock.max(time);
            }
            if self.program.setup.dups {
                self.log(Event::Asked);
            }
            self.call_hooks(AFTER_WAIT)?;
            self.between_turns()?;
            if found || self.is_wait_over(limit) {
                return Ok(());
            }
        }
    }

    /// With something to do, a wait does not block.
    fn plan(&self, limit: Limit) -> Plan {
        let until = match limit {
            Limit::Until(time) => self.next_deadline().min(time),
            _ => self.next_deadline(),
        };
        let is_idle = self.is_idle(limit);
        match until {
            _ if !is_idle => Plan::Poll,
            NEVER => Plan::Block,
            _ if !matches!(limit, Limit::Until(_)) && self.is_held_by_waiting() => Plan::Block,
            time => Plan::Jump(time),
        }
    }

    /// Is there nothing to do but to wait?
    pub(super) fn is_idle(&self, limit: Limit) -> bool {
        let may_be_void = self.is_real() && self.has_suspects() && !self.is_surely_ready();
        (self.ready.is_empty() || may_be_void)
            && limit != Limit::Poll
            && (limit != Limit::WhileWork || self.has_work())
            && !self.stop
            && !self.wake
            && self.posts.is_empty()
            && !self.program.setup.manual
            && !self.has_always()
    }

    fn is_wait_over(&mut self, limit: Limit) -> bool {
        self.collect_timers();
        !self.ready.is_empty()
            || self.stop
            || !self.posts.is_empty()
            || self.program.setup.manual
            || match limit {
                Limit::Poll => true,
                Limit::Until(time) => self.clock >= time,
                Limit::Forever => false,
                Limit::WhileWork => !self.has_work(),
            }
    }

    pub(super) fn call_hooks(&mut self, when: u32) -> Result<(), Leave> {
        // Those that hooks add are for the next time.
        for source in 0..self.sources.len() {
            let is_one = matches!(self.sources[source].kind, Kind::Hook(other) if other == when);
            if is_one && self.sources[source].alive {
                self.call(source, if when == WHEN_IDLE { News::Idle } else { News::Plain })?;
                if self.closed {
                    return Err(Leave::Code(ECLOSED));
                }
                if when == WHEN_IDLE {
                    self.guard();
                }
            }
        }
        Ok(())
    }

    pub(super) fn push(&mut self, source: usize, events: u32) {
        let (sequence, look) = (self.sequence, self.looks);
        let (is_timer, may_be_gone) = (false, false);
        self.ready.push_back(Entry { sequence, source, events, is_timer, found: look, look, may_be_gone });
        self.sequence += 1;
    }

    pub(super) fn push_timer(&mut self, source: usize) {
        self.push(source, 0);
        if let Some(entry) = self.ready.back_mut() {
            entry.is_timer = true;
        }
    }

    /// Due timers, then posts; what happened to descriptors is in the queue already.
    fn collect(&mut self) {
        self.collect_timers();
        while let Some(source) = self.posts.pop_front() {
            self.push(source, 0);
        }
    }

    fn collect_timers(&mut self) {
        if self.is_real() {
            return self.collect_real_timers();
        }
        while let Some((deadline, _, source)) = self.timers.first().copied() {
            if deadline == NEVER || deadline > self.clock {
                return;
            }
            self.timers.remove(0);
            self.push_timer(source);
        }
    }

    fn run_snapshot(&mut self, only_one: bool) -> Result<i64, Leave> {
        let end = self.sequence;
        let mut count = 0;
        while let Some((source, news)) = self.next_in_snapshot(end) {
            self.call(source, news)?;
            count += 1;
            if only_one {
                break;
            }
        }
        Ok(count)
    }

    fn next_in_snapshot(&mut self, end: u64) -> Option<(usize, News)> {
        while !self.closed {
            if let Some(haunted) = self.haunted() {
                return Some(haunted);
            }
            if self.ready.front()?.sequence >= end {
                return None;
            }
            let entry = self.ready.pop_front()?;
            if let Some(news) = self.take(&entry) {
                return Some((entry.source, news));
            }
        }
        None
    }

    /// What the callback is told; none if there is nothing to tell any more.
    fn take(&mut self, entry: &Entry) -> Option<News> {
        let source = &self.sources[entry.source];
        match source.kind {
            Kind::Every { interval, policy } => {
                if self.is_real() {
                    return Some(News::Ticks(self.tick(entry.source, interval, policy)));
                }
                let late = self.clock.saturating_sub(source.deadline);
                let (ticks, next) = match policy {
                    // Skip, run, restart.
                    0 => {
                        let ticks = (late / interval).saturating_add(1);
                        (ticks, source.deadline.saturating_add(ticks.saturating_mul(interval)))
                    }
                    1 => (1, source.deadline.saturating_add(interval)),
                    _ => (1, self.clock.saturating_add(interval)),
                };
                self.schedule_between(entry.source, next, next);
                Some(News::Ticks(ticks))
            }
            Kind::Poll(..) if entry.is_timer => Some(News::Done(self.end_of_time(entry.source))),
            Kind::Watch(_) | Kind::Poll(..) => self.take_watch(entry),
            _ => Some(News::Plain),
        }
    }

    /// Pull mode: what a callback would get is handed out. A batch ends before a callback that
    /// comes after something handed out.
    fn next_events(&mut self, capacity: usize, limit: Limit) -> Result<Vec<Pulled>, Leave> {
        let mut waited = false;
        if self.ready.front().is_none_or(|entry| entry.sequence >= self.handed_end) {
            self.wait(limit)?;
            self.collect();
            self.handed_end = self.sequence;
            waited = true;
        }
        let end = self.handed_end;
        let mut batch: Vec<Pulled> = Vec::new();
        while let Some(entry) = self.ready.front() {
            let is_pulled = self.sources[entry.source].null;
            if entry.sequence >= end || batch.len() == capacity || (!batch.is_empty() && !is_pulled) {
                break;
            }
            let entry = self.ready.pop_front().unwrap();
            match self.take(&entry) {
                None => {}
                Some(news) if is_pulled => batch.push(self.hand_out(entry.source, news)),
                Some(news) => self.call(entry.source, news)?,
            }
        }
        self.is_over(batch.len() as i64)?;
        batch.iter_mut().for_each(|pulled| pulled.source = self.give_number(pulled.source));
        let is_time_over = match limit {
            Limit::Poll => true,
            Limit::Until(time) => waited && self.clock >= time,
            _ => false,
        };
        // With a manual clock nothing is waited for.
        if batch.is_empty() && !is_time_over && !self.program.setup.manual {
            batch.push(Pulled::WOKEN);
        }
        Ok(batch)
    }

    fn hand_out(&mut self, source: usize, news: News) -> Pulled {
        if self.is_one_shot(source) {
            self.handed.push(source);
        }
        let result = if let News::Done(result) = news { result } else { 0 };
        let (kind, slot, events, ticks) = match (news, &self.sources[source].kind) {
            (News::Fd { slot, events }, _) => (EVENT_FD, slot, events, 0),
            (News::Done(_), _) => (EVENT_DONE, NO_SLOT, 0, 0),
            (News::Ticks(ticks), _) => (EVENT_TICK, NO_SLOT, 0, ticks),
            (_, Kind::Timer) => (EVENT_TIMER, NO_SLOT, 0, 0),
            _ => (EVENT_SOON, NO_SLOT, 0, 0),
        };
        Pulled { source, arg: self.sources[source].arg, kind, slot, events, ticks, result }
    }

    /// What the last call handed out is over. (The order of the releases is left open; the library
    /// begins with soon-callbacks, and ends with operations.)
    fn finish_handed(&mut self) {
        self.voided.clear();
        let mut handed = std::mem::take(&mut self.handed);
        handed.sort_by_key(|source| match self.sources[*source].kind {
            Kind::Timer => 1,
            Kind::Poll(..) => 2,
            _ => 0,
        });
        for source in handed {
            self.finish(source);
        }
    }
}
