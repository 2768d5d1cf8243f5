//! What a program can do to sources: one arm an operation.

use super::{Kind, Laws, Source};
use crate::model::library::*;
use crate::model::program::{Body, By, Errand, JUNK, Op, Pick};
use crate::model::trace::Outcome;

impl Laws<'_> {
    pub(super) fn is_one_shot(&self, source: usize) -> bool {
        matches!(self.sources[source].kind, Kind::Soon | Kind::Timer | Kind::Poll(..))
    }

    pub(super) fn is_ready(&self, source: usize) -> bool {
        self.ready.iter().any(|entry| entry.source == source)
    }

    pub(super) fn is_armed(&self, source: usize) -> bool {
        self.timers.iter().any(|(.., other)| *other == source)
    }

    /// Is its callback on the stack?
    pub(super) fn is_running(&self, source: usize) -> bool {
        self.runs.iter().any(|run| run.current == Some(source))
    }

    /// The place of a source among the handles. A post gets one when it runs.
    pub(super) fn give_number(&mut self, source: usize) -> usize {
        if let Some(number) = self.sources[source].number {
            return number;
        }
        self.handles.push(source);
        self.sources[source].number = Some(self.handles.len() - 1);
        self.handles.len() - 1
    }

    /// Does something that cannot fail.
    fn set(&mut self, change: impl FnOnce(&mut Self)) -> i64 {
        change(self);
        0
    }

    pub(super) fn argument(&mut self, script: usize) -> usize {
        self.args.push(script);
        self.args.len() - 1
    }

    pub(super) fn make(&mut self, kind: Kind, null: bool, arg: usize) -> usize {
        let (by, unref, alive, deadline, latest, number) = (By::Nobody, false, true, 0, 0, None);
        self.sources.push(Source {
            kind,
            arg,
            by,
            null,
            unref,
            alive,
            owed: false,
            deadline,
            latest,
            number,
        });
        self.sources.len() - 1
    }

    pub(super) fn schedule_in(&mut self, source: usize, ns: u64) {
        let (earliest, latest) = self.deadline_in(ns);
        self.schedule_between(source, earliest, latest);
    }

    fn schedule_at(&mut self, source: usize, when: u64) {
        let (earliest, latest) = self.deadline_at(when);
        self.schedule_between(source, earliest, latest);
    }

    pub(super) fn schedule_between(&mut self, source: usize, deadline: u64, latest: u64) {
        self.timers.retain(|(.., other)| *other != source);
        self.ready.retain(|entry| entry.source != source || !entry.is_timer);
        self.sources[source].deadline = deadline;
        self.sources[source].latest = latest;
        self.scheduled += 1;
        self.timers.push((deadline, self.scheduled, source));
        self.timers.sort();
    }

    /// Takes a source out of everything that would call it.
    pub(super) fn unschedule(&mut self, source: usize) {
        self.timers.retain(|(.., other)| *other != source);
        self.ready.retain(|entry| entry.source != source);
    }

    fn find(&self, pick: Pick) -> Result<usize, i64> {
        let found = match pick {
            // An error that was passed on.
            Pick::Junk(which) if (i32::MIN.into()..0).contains(&JUNK[which]) => return Err(JUNK[which]),
            Pick::Junk(_) => None,
            Pick::Current => self.current(),
            Pick::Last(_) if self.handles.is_empty() => None,
            Pick::Last(back) => Some(self.handles[self.handles.len() - 1 - back % self.handles.len()]),
        };
        found.filter(|source| self.sources[*source].alive).ok_or(ESTALE)
    }

    fn find_timer(&self, pick: Pick) -> Result<usize, i64> {
        let is_timer = |kind: &Kind| matches!(kind, Kind::Timer | Kind::Every { .. } | Kind::Poll(..));
        let found = self.find(pick)?;
        Some(found).filter(|source| is_timer(&self.sources[*source].kind)).ok_or(EKIND)
    }

    /// An operation is done once: when it has ended, it has no deadline any more.
    fn find_deadline(&self, pick: Pick) -> Result<usize, i64> {
        let found = self.find_timer(pick)?;
        let has_ended = matches!(self.sources[found].kind, Kind::Poll(_, true));
        if has_ended { Err(ESTALE) } else { Ok(found) }
    }

    pub(super) fn act(&mut self, op: Op) -> Outcome {
        match op {
            Op::Open(..) | Op::Close(_) | Op::Dup(..) | Op::Do(..) => self.do_to_files(op),
            Op::RemoteFree(_) if self.remotes > 0 => {
                self.remotes -= 1;
                self.wake |= !self.closed;
                Outcome::Code(0)
            }
            Op::RemotePost(..) | Op::RemoteFree(_) if self.remotes == 0 => Outcome::Nothing,
            Op::Clock if self.closed => Outcome::Time(0),
            Op::Clock => Outcome::Time(self.told_clock()),
            Op::RemoteNew => {
                self.remotes += usize::from(!self.closed);
                Outcome::Code((!self.closed).into())
            }
            Op::HostPoll => self.poll_by_host(),
            Op::Fork => self.fork(),
            Op::Elsewhere(errand) => self.act_elsewhere(errand),
            _ => {
                // Every argument has a number, whatever becomes of it.
                let arg = self.script_of(op).map(|script| self.argument(script));
                let result = match self.closed {
                    // Which of two errors is told first is left open.
                    true if is_invalid(op) => Err(self.any_of(&[ECLOSED, EINVAL, ENOCALLBACK])),
                    true => Err(ECLOSED),
                    false => self.try_to(op, arg.unwrap_or(0)),
                };
                result.unwrap_or_else(Outcome::Code)
            }
        }
    }

    /// Another thread may use a loop that rests, unless it is bound to this one.
    fn act_elsewhere(&mut self, errand: Errand) -> Outcome {
        let may = self.runs.is_empty() && !self.program.setup.bound;
        if may || errand.is_for_any_thread() {
            return self.act(errand.op());
        }
        if let Errand::Soon(body) = errand {
            self.argument(body.script);
        }
        let refusal = if self.closed { self.any_of(&[ECLOSED, EWRONGTHREAD]) } else { EWRONGTHREAD };
        Outcome::Code(match errand {
            Errand::InThread if !self.closed => 0,
            Errand::InThread => self.any_of(&[ECLOSED, 0]),
            // Which of two errors is told first is left open.
            Errand::Soon(Body { null: true, .. }) => self.any_of(&[refusal, ENOCALLBACK]),
            _ => refusal,
        })
    }

    fn script_of(&self, op: Op) -> Option<usize> {
        match op {
            Op::Soon(body) | Op::Later(body, _) | Op::At(body, _) | Op::Every(body, ..) => Some(body.script),
            Op::Watch(body, ..) | Op::WatchBad(body, _) | Op::Hook(body, _) => Some(body.script),
            Op::PollFd(body, ..) => Some(body.script),
            Op::Post(body, _) | Op::RemotePost(_, body, _) => Some(body.script),
            Op::SetArg(_, script) => Some(script),
            _ => None,
        }
    }

    fn try_to(&mut self, op: Op, arg: usize) -> Result<Outcome, i64> {
        let code = match op {
            Op::Cancel(pick) => self.cancel(self.find(pick)?),
            Op::IsActive(pick) => match self.find(pick) {
                Ok(source) => (self.is_active(source) && self.is_watch_active(source)).into(),
                // (A negative number that is no error's is no handle either.)
                Err(ESTALE) if !matches!(pick, Pick::Junk(which) if JUNK[which] < 0) => 0,
                Err(passed_on) => passed_on,
            },
            Op::Remaining(pick) => {
                let source = self.find_timer(pick)?;
                let is_waiting = matches!(self.sources[source].kind, Kind::Poll(_, false));
                match self.is_armed(source) || is_waiting {
                    true => self.remaining(source),
                    false => 0,
                }
            }
            Op::SetArg(pick, _) => self.change(pick, |source| source.arg = arg)?,
            Op::SetRelease(pick, by) => self.change(pick, |source| source.by = by)?,
            Op::SetName(pick, _) => self.change(pick, |_| ())?,
            Op::Ref(pick) => self.set_unref(self.find(pick)?, false),
            Op::Unref(pick) => self.set_unref(self.find(pick)?, true),
            Op::Reschedule(pick, delay) => {
                let source = self.find_deadline(pick)?;
                self.schedule_in(source, delay);
                0
            }
            Op::RescheduleAt(pick, when) => {
                let source = self.find_deadline(pick)?;
                self.schedule_at(source, when);
                0
            }
            Op::Update(pick, mask) => self.update_watch(self.find(pick)?, mask)?,
            Op::WatchEvents(pick) => self.watch_events(self.find(pick)?)?,
            Op::Stop => self.set(|laws| laws.stop = true),
            Op::Wake => self.set(|laws| laws.wake = true),
            Op::Advance(_) if self.is_real() => ECLOCK,
            Op::Advance(ns) => self.set(|laws| laws.clock = laws.clock.saturating_add(ns)),
            Op::InThread => 1,
            Op::Flush => self.set(Self::flush),
            Op::LoopFd => self.set(|laws| {
                laws.host.has_fd = true;
                laws.flush();
            }),
            Op::WakeHook(has_hook) => self.set(|laws| laws.set_wake_hook(has_hook)),
            Op::Free => self.set(Self::close),
            _ => return self.try_to_make(op, arg),
        };
        Ok(Outcome::Code(code))
    }

    fn try_to_make(&mut self, op: Op, arg: usize) -> Result<Outcome, i64> {
        if is_invalid(op) && !matches!(op, Op::RemotePost(..)) {
            return Err(self.any_of(&[EINVAL, ENOCALLBACK]));
        }
        let source = match op {
            Op::Soon(body) => {
                self.check_body(body)?;
                let source = self.make(Kind::Soon, body.null, arg);
                self.push(source, 0);
                source
            }
            Op::Later(body, delay) => {
                let source = self.make_timer(body, arg)?;
                self.schedule_in(source, delay);
                source
            }
            Op::At(body, when) => {
                let source = self.make_timer(body, arg)?;
                self.schedule_at(source, when);
                source
            }
            Op::Every(body, first, interval, policy) => {
                self.check_body(body)?;
                let source = self.make(Kind::Every { interval, policy }, body.null, arg);
                self.schedule_in(source, first);
                source
            }
            Op::Hook(body, when) => {
                if body.null && when != ON_INTERRUPT {
                    return Err(ENOCALLBACK);
                }
                self.check_body(body)?;
                self.make(Kind::Hook(when), body.null, arg)
            }
            Op::Watch(body, slot, mask) => {
                self.check_body(body)?;
                self.make_watch(body, arg, slot, mask)?
            }
            Op::PollFd(body, slot, mask, limit) => self.make_poll(body, arg, (slot, mask), limit)?,
            Op::WatchBad(body, _) => {
                self.check_body(body)?;
                return Err(EBADF);
            }
            Op::Post(body, by) | Op::RemotePost(_, body, by) => {
                self.check_body(body)?;
                let source = self.make(Kind::Soon, body.null, arg);
                self.sources[source].by = by;
                self.posts.push_back(source);
                return Ok(Outcome::Code(0));
            }
            _ => unreachable!("{op:?} makes no source"),
        };
        Ok(Outcome::Made(self.give_number(source)))
    }

    fn check_body(&self, body: Body) -> Result<(), i64> {
        if body.null && !self.program.setup.pull { Err(ENOCALLBACK) } else { Ok(()) }
    }

    fn make_timer(&mut self, body: Body, arg: usize) -> Result<usize, i64> {
        self.check_body(body)?;
        Ok(self.make(Kind::Timer, body.null, arg))
    }

    /// A one-shot whose callback is on the stack lives until that is over; one that is handed out
    /// as well, unless it was armed again.
    fn cancel(&mut self, source: usize) -> i64 {
        let is_handed = self.handed.contains(&source) && !self.is_ready(source) && !self.is_armed(source);
        self.unschedule(source);
        self.forget_watch(source);
        if is_handed {
            self.voided.push(source);
        }
        let is_told = self.is_running(source) || is_handed;
        if !(self.is_one_shot(source) && is_told) {
            self.end(source);
        }
        0
    }

    fn is_active(&self, source: usize) -> bool {
        !self.is_one_shot(source)
            || matches!(self.sources[source].kind, Kind::Poll(_, false))
            || self.is_ready(source)
            || self.is_armed(source)
            || self.handed.contains(&source) && !self.voided.contains(&source)
    }

    fn change(&mut self, pick: Pick, change: impl FnOnce(&mut Source)) -> Result<i64, i64> {
        let source = self.find(pick)?;
        change(&mut self.sources[source]);
        Ok(0)
    }

    /// Hooks do not keep `loop_run` going anyway, nor do callbacks that run already.
    fn set_unref(&mut self, source: usize, unref: bool) -> i64 {
        let is_soon = matches!(self.sources[source].kind, Kind::Soon);
        if !is_soon || self.is_ready(source) {
            self.sources[source].unref = unref;
        }
        0
    }
}

/// Does it ask for something that there is not?
fn is_invalid(op: Op) -> bool {
    match op {
        Op::Every(_, _, interval, policy) => interval == 0 || policy > 2,
        Op::Hook(_, when) => !(1..=4).contains(&when),
        Op::RemotePost(_, Body { null: true, .. }, _) => true,
        _ => false,
    }
}
