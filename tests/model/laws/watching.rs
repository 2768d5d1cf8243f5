//! Watchers: who is told what. The kernel is asked about descriptors of the model's own, to which
//! the same happens as to the library's.

use super::edges::Edges;
use super::{Entry, Kind, Laws, Source};
use crate::model::files::SLOTS;
use crate::model::forks::is_child;
use crate::model::library::*;
use crate::model::program::{Body, Op};
use crate::model::trace::{Event, News, Outcome};

pub struct Watch {
    slot: usize,
    /// The open file that is meant.
    file: usize,
    mask: u32,
    standing: Standing,
    /// The kernel cannot watch it.
    always: bool,
    /// Of an edge-triggered one: it has been updated since the kernel was asked.
    changed: bool,
}

/// In a forked child the library registers numbers, whatever file they are by now.
const HEARS_STRANGERS: bool = false;

/// When a source that is not called any more is called next.
const NO_TURN: (usize, usize) = (usize::MAX, 0);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Standing {
    /// Its file is behind its number.
    Attached,
    /// The number was closed, and the file with it: it hears nothing. The library may know.
    Gone,
    /// The number was closed, but the file lives on: it may hear of it until the library finds out.
    Suspect,
    /// The library has been told: it hears nothing.
    Detached,
}

impl Watch {
    fn is_paused(&self) -> bool {
        self.mask & EVENTS == 0
    }

    fn is_edge(&self) -> bool {
        self.mask & EDGE != 0
    }

    /// Is it ready once every turn?
    fn is_always_ready(&self) -> bool {
        let asks = self.share_of(READABLE | WRITABLE) != 0;
        self.always && self.standing == Standing::Attached && asks
    }

    /// What it is told of this: what it asked for, and what everybody is told.
    fn share_of(&self, events: u32) -> u32 {
        let ended = events & (HANGUP | ERROR);
        let implied = if ended != 0 { READABLE | WRITABLE } else { 0 };
        if self.is_paused() { 0 } else { (events | implied) & self.mask & EVENTS | ended }
    }
}

impl Laws<'_> {
    /// All that have not ended.
    pub(super) fn watchers(&self) -> impl Iterator<Item = (usize, &Watch)> {
        let alive = self.sources.iter().enumerate().filter(|(_, source)| source.alive);
        alive.filter_map(|(number, source)| match &source.kind {
            Kind::Watch(watch) | Kind::Poll(watch, false) => Some((number, watch)),
            _ => None,
        })
    }

    fn watch_mut(&mut self, source: usize) -> &mut Watch {
        match &mut self.sources[source].kind {
            Kind::Watch(watch) | Kind::Poll(watch, _) => watch,
            _ => unreachable!("it is a watcher"),
        }
    }

    /// The watcher that the source is.
    fn watch(&self, source: usize) -> Option<&Watch> {
        match &self.sources[source].kind {
            Kind::Watch(watch) => Some(watch),
            _ => None,
        }
    }

    /// The watcher that the source is or has.
    fn any_watch(&self, source: usize) -> Option<&Watch> {
        match &self.sources[source].kind {
            Kind::Watch(watch) | Kind::Poll(watch, _) => Some(watch),
            _ => None,
        }
    }

    /// Is there one that the library may take for ready, or may not?
    pub(super) fn has_suspects(&self) -> bool {
        self.watchers().any(|(_, watch)| match watch.standing {
            Standing::Suspect | Standing::Gone => true,
            Standing::Attached | Standing::Detached => false,
        }) || self.has_closed_waits()
    }

    /// Does the callback run of an operation whose file was closed?
    pub(super) fn is_closed_wait_told(&self) -> bool {
        let watch = self.current().and_then(|source| match &self.sources[source].kind {
            Kind::Poll(watch, true) => Some(watch),
            _ => None,
        });
        watch.is_some_and(|watch| watch.standing != Standing::Attached)
    }

    fn has_closed_waits(&self) -> bool {
        let is_wait = |source: usize| matches!(self.sources[source].kind, Kind::Poll(..));
        self.watchers().any(|(source, watch)| is_wait(source) && watch.standing == Standing::Detached)
    }

    /// Is any watcher ready once every turn?
    pub(super) fn has_always(&self) -> bool {
        self.watchers().any(|(_, watch)| watch.is_always_ready())
    }

    /// Is there one that waits for something, and keeps the loop going?
    pub(super) fn is_held_by_watchers(&self) -> bool {
        let handed = self.handed.iter().filter(|source| !self.voided.contains(source));
        let mut handed = handed.filter(|source| matches!(self.sources[**source].kind, Kind::Poll(..)));
        handed.any(|source| !self.sources[*source].unref)
            || self.watchers().any(|(source, watch)| !watch.is_paused() && !self.sources[source].unref)
    }

    /// Not counting those that are known to be silent for ever.
    pub(super) fn is_held_by_waiting(&self) -> bool {
        let mut all = self.watchers();
        all.any(|(source, watch)| {
            !watch.is_paused() && !self.sources[source].unref && watch.standing == Standing::Attached
        })
    }

    /// Would a level-triggered watcher have something to say?
    pub(super) fn is_any_level_ready(&self) -> bool {
        let states = self.files.states();
        let mut all = self.watchers();
        all.any(|(_, watch)| {
            watch.standing == Standing::Attached
                && !watch.is_edge()
                && watch.share_of(states[watch.slot]) != 0
        })
    }

    fn others_on(&self, slot: usize, but: Option<usize>) -> impl Iterator<Item = &Watch> {
        let on_slot = move |(source, watch): &(usize, &Watch)| {
            watch.slot == slot && watch.standing != Standing::Detached && Some(*source) != but
        };
        self.watchers().filter(on_slot).map(|(_, watch)| watch)
    }

    pub(super) fn make_watch(
        &mut self,
        body: Body,
        arg: usize,
        slot: usize,
        mask: u32,
    ) -> Result<usize, i64> {
        if mask & !MASK != 0 {
            return Err(EMASK);
        }
        let watch = self.attach(slot, mask)?;
        Ok(self.make(Kind::Watch(watch), body.null, arg))
    }

    pub(super) fn make_poll(
        &mut self,
        body: Body,
        arg: usize,
        (slot, mask): (usize, u32),
        limit: i64,
    ) -> Result<usize, i64> {
        let is_wrong = mask & EVENTS == 0 || mask & !(EVENTS | ALWAYS) != 0;
        let has_none = body.null && !self.program.setup.pull;
        // Which of two errors is told first is left open.
        match (is_wrong, has_none) {
            (true, true) => return Err(self.any_of(&[EMASK, ENOCALLBACK])),
            (true, false) => return Err(EMASK),
            (false, true) => return Err(ENOCALLBACK),
            (false, false) => {}
        }
        let watch = self.attach(slot, mask)?;
        let source = self.make(Kind::Poll(watch, false), body.null, arg);
        self.sources[source].deadline = NEVER;
        self.sources[source].latest = NEVER;
        if let Ok(ns) = u64::try_from(limit) {
            self.schedule_in(source, ns);
        }
        Ok(source)
    }

    /// A watcher of what is behind the number now.
    fn attach(&mut self, slot: usize, mask: u32) -> Result<Watch, i64> {
        let Some(file) = self.files.file(slot) else {
            // The library has found out that the number is closed.
            for source in 0..self.sources.len() {
                if self.any_watch(source).is_some_and(|watch| watch.slot == slot) {
                    self.detach(source);
                }
            }
            return Err(EBADF);
        };
        let always = self.files.is_unwatchable(slot);
        if always && mask & ALWAYS == 0 {
            return Err(EPERM);
        }
        // Those of another file hear of it that theirs is gone. (All that the kernel cannot
        // watch look the same.)
        let is_same = |watch: &Watch| if always { watch.always } else { !watch.always && watch.file == file };
        if self.others_on(slot, None).any(|watch| is_same(watch) && (mask | watch.mask) & EDGE != 0) {
            return Err(EBUSY);
        }
        let standing = if self.has_come_back(slot) { Standing::Suspect } else { Standing::Attached };
        for source in 0..self.sources.len() {
            let is_other = self.any_watch(source).is_some_and(|watch| watch.slot == slot && !is_same(watch));
            let may_hear = HEARS_STRANGERS
                && is_child()
                && self.any_watch(source).is_some_and(|watch| watch.standing == Standing::Suspect);
            if is_other && self.sources[source].alive && standing == Standing::Attached && !may_hear {
                self.detach(source);
            }
        }
        if mask & EDGE != 0 {
            self.edges.watch(&self.files, slot, mask);
        }
        Ok(Watch { slot, file, mask, standing, always, changed: false })
    }

    fn detach(&mut self, source: usize) {
        self.watch_mut(source).standing = Standing::Detached;
        self.ready.retain(|entry| entry.source != source || entry.is_timer);
    }

    pub(super) fn update_watch(&mut self, source: usize, mask: u32) -> Result<i64, i64> {
        let watch = self.watch(source).ok_or(EKIND)?;
        if mask & !MASK != 0 {
            return Err(EMASK);
        }
        let Watch { slot, standing, always, .. } = *watch;
        let refused = if self.others_on(slot, Some(source)).any(|other| (mask | other.mask) & EDGE != 0) {
            EBUSY
        } else if always && mask & EVENTS != 0 && mask & ALWAYS == 0 {
            EPERM
        } else {
            0
        };
        let answer = match standing {
            Standing::Attached => refused,
            Standing::Detached => EBADF,
            Standing::Gone | Standing::Suspect => self.any_of(&[EBADF, refused]),
        };
        match answer {
            EBADF => self.detach(source),
            0 => self.set_mask(source, mask),
            _ => {}
        }
        if answer == 0 { Ok(0) } else { Err(answer) }
    }

    fn set_mask(&mut self, source: usize, mask: u32) {
        let watch = self.watch_mut(source);
        watch.mask = mask;
        watch.changed = true;
        // What is taken away is not reported any more.
        let watch = self.any_watch(source).map(|watch| Watch { ..*watch }).unwrap();
        let own = self.ready.iter_mut().filter(|entry| entry.source == source);
        own.for_each(|entry| entry.events = watch.share_of(entry.events));
        self.ready.retain(|entry| entry.source != source || entry.events != 0);
    }

    pub(super) fn watch_events(&mut self, source: usize) -> Result<i64, i64> {
        let Watch { mask, standing, .. } = *self.watch(source).ok_or(EKIND)?;
        match self.answer_of(source, standing, mask.into(), EBADF) {
            EBADF => Err(EBADF),
            answer => Ok(answer),
        }
    }

    /// Whether a watcher is active: not if the library knows that its file was closed.
    pub(super) fn is_watch_active(&mut self, source: usize) -> bool {
        let Some(Watch { standing, .. }) = self.watch(source) else { return true };
        self.answer_of(source, *standing, 1, 0) == 1
    }

    /// What the library says of a watcher, if it may or may not know that its file was closed.
    fn answer_of(&mut self, source: usize, standing: Standing, open: i64, closed: i64) -> i64 {
        let answer = match standing {
            Standing::Attached => open,
            Standing::Detached => closed,
            Standing::Gone | Standing::Suspect => self.any_of(&[closed, open]),
        };
        if answer == closed && standing != Standing::Attached {
            self.detach(source);
        }
        answer
    }

    pub(super) fn forget_watch(&mut self, source: usize) {
        if let Some(Watch { slot, mask, standing: Standing::Attached, .. }) = self.any_watch(source)
            && mask & EDGE != 0
        {
            self.edges.forget(&self.files, *slot);
        }
    }

    /// One look at the descriptors. Is there news?
    pub(super) fn ask_kernel(&mut self) -> bool {
        self.tell_edges();
        self.looks += 1;
        let look = self.looks;
        self.find_closed_always();
        let (levels, edges) = (self.files.states(), self.edges.collect());
        let mut found = std::mem::take(&mut self.wake);
        let mut fresh = Vec::new();
        let watchers: Vec<usize> = self.watchers().map(|(source, _)| source).collect();
        for source in watchers {
            let share = self.news_of(source, &levels, &edges);
            let is_edge = self.watch_mut(source).is_edge();
            if share != 0 && self.is_gone_from_queue(source) {
                self.ready.retain(|entry| entry.source != source || entry.is_timer);
            }
            match self.ready.iter_mut().find(|entry| entry.source == source && !entry.is_timer) {
                Some(entry) if share != 0 => {
                    entry.events = if is_edge { entry.events | share } else { share };
                    entry.look = look;
                    entry.may_be_gone = false;
                }
                None if share != 0 => fresh.push((source, share)),
                _ => {}
            }
            found |= share != 0;
        }
        for (source, share) in self.in_kernels_order(fresh) {
            self.push(source, share);
        }
        found
    }

    /// Has the library let it go, as it may have? Then something comes before it that was behind
    /// it, or is found only now.
    fn is_gone_from_queue(&self, source: usize) -> bool {
        let mut behind = self.ready.iter().skip_while(|entry| entry.source != source || entry.is_timer);
        let may_be_gone = behind.next().is_some_and(|entry| entry.may_be_gone);
        let found_now = self.watchers().map(|(other, _)| other).filter(|other| !self.is_ready(*other));
        let mut others = behind.map(|entry| entry.source).chain(found_now);
        may_be_gone && others.any(|other| self.turn_of(other) < self.turn_of(source))
    }

    /// What is found by the same look is in an order of which nothing more is known.
    fn note_turn_of(&mut self, taken: &Entry) {
        for index in 0..self.ready.len() {
            let entry = &self.ready[index];
            let is_void_mate = entry.found == taken.found && self.is_old(entry);
            self.ready[index].may_be_gone |= is_void_mate;
        }
    }

    fn tell_edges(&mut self) {
        let may_hear = HEARS_STRANGERS && is_child();
        let come_back: [bool; SLOTS] = std::array::from_fn(|slot| self.has_come_back(slot));
        for source in 0..self.sources.len() {
            let Source { kind: Kind::Watch(watch) | Kind::Poll(watch, _), alive: true, .. } =
                &mut self.sources[source]
            else {
                continue;
            };
            let is_changed = std::mem::take(&mut watch.changed);
            match watch.standing {
                Standing::Attached if is_changed && watch.is_edge() => {
                    self.edges.watch(&self.files, watch.slot, watch.mask);
                }
                Standing::Attached if is_changed => self.edges.forget(&self.files, watch.slot),
                // Nothing comes from it any more, but for what was found before.
                Standing::Suspect
                    if !self.files.is_alive(watch.file) && !come_back[watch.slot] && !may_hear =>
                {
                    watch.standing = Standing::Gone;
                }
                _ => {}
            }
        }
    }

    /// Those that the kernel cannot watch are looked after once a turn, if they wait for anything.
    fn find_closed_always(&mut self) {
        let is_lost = |watch: &Watch| watch.is_always_ready() && !self.files.is_unwatchable(watch.slot);
        let lost: Vec<usize> =
            self.watchers().filter(|(_, watch)| is_lost(watch)).map(|(_, watch)| watch.slot).collect();
        let watchers: Vec<usize> = self.watchers().map(|(source, _)| source).collect();
        for source in watchers {
            let Watch { slot, always, .. } = *self.watch_mut(source);
            if always && lost.contains(&slot) {
                self.detach(source);
            }
        }
    }

    fn news_of(&self, source: usize, levels: &[u32; SLOTS], edges: &[u32; SLOTS]) -> u32 {
        let watch = self.any_watch(source).unwrap();
        match watch.standing {
            Standing::Attached if watch.always => watch.share_of(READABLE | WRITABLE),
            Standing::Attached if watch.is_edge() => watch.share_of(edges[watch.slot]),
            Standing::Attached => watch.share_of(levels[watch.slot]),
            Standing::Suspect | Standing::Gone | Standing::Detached => 0,
        }
    }

    /// A watcher whose file is closed but lives on: is it told of it now? When the library finds it
    /// out is left open.
    pub(super) fn haunted(&mut self) -> Option<(usize, News)> {
        let is_next = |(source, watch): &(usize, &Watch)| {
            let told = self.seen()?.events_of(self.sources[*source].number?)?;
            let is_allowed = watch.standing == Standing::Suspect && watch.share_of(told) == told;
            (is_allowed && told != 0).then_some((*source, self.news(*source, told)))
        };
        // An operation ends when the library finds out that its file was closed.
        let is_closed = |(source, watch): &(usize, &Watch)| {
            let result = self.seen()?.result_of(self.sources[*source].number?)?;
            let is_wait = matches!(self.sources[*source].kind, Kind::Poll(..));
            (is_wait && watch.standing != Standing::Attached && result == EBADF)
                .then_some((*source, News::Done(EBADF)))
        };
        let (source, news) =
            self.watchers().find_map(|watcher| is_next(&watcher).or_else(|| is_closed(&watcher)))?;
        self.fired(source);
        Some((source, news))
    }

    /// The order of descriptors is the kernel's: that of the library's calls. But the watchers of
    /// one descriptor stay in the order of their making.
    fn in_kernels_order(&self, fresh: Vec<(usize, u32)>) -> Vec<(usize, u32)> {
        let slot_of = |source: usize| self.any_watch(source).unwrap().slot;
        // (If an operation's time is over already, its turn is that of its deadline.)
        let is_overtaken = |source: usize| self.ready.iter().any(|entry| entry.source == source);
        let turn = |source: usize| if is_overtaken(source) { NO_TURN } else { self.turn_of(source) };
        let mut keyed: Vec<_> = fresh.iter().map(|(source, _)| turn(*source)).collect();
        for index in (0..fresh.len()).rev() {
            let later =
                (index + 1..fresh.len()).filter(|other| slot_of(fresh[*other].0) == slot_of(fresh[index].0));
            keyed[index] = later.map(|other| keyed[other]).fold(keyed[index], Ord::min);
        }
        let mut order: Vec<usize> = (0..fresh.len()).collect();
        order.sort_by_key(|index| keyed[*index]);
        order.into_iter().map(|index| fresh[index]).collect()
    }

    /// When the library calls it next.
    pub(super) fn turn_of(&self, source: usize) -> (usize, usize) {
        let number = self.sources[source].number.unwrap_or(usize::MAX);
        let place = |(index, event): (usize, &Event)| Some((index, event.is_turn_of(number)?));
        let mut ahead = self.real.iter().skip(self.trace.len()).enumerate();
        ahead.find_map(place).unwrap_or(NO_TURN)
    }

    /// Is something there that the library must take for ready?
    pub(super) fn is_surely_ready(&self) -> bool {
        let is_sure =
            |source: usize| self.any_watch(source).is_none_or(|watch| watch.standing == Standing::Attached);
        self.ready.iter().any(|entry| entry.is_timer || is_sure(entry.source) && !self.is_old(entry))
    }

    fn has_turn_ahead(&self, source: usize) -> bool {
        self.turn_of(source) != NO_TURN
    }

    /// What a budget, an exception or an outer turn left in the queue must still hold, as the last
    /// look tells.
    fn is_old(&self, entry: &Entry) -> bool {
        let is_level = self.any_watch(entry.source).is_some_and(|watch| !watch.is_edge());
        is_level && !entry.is_timer && entry.look != self.looks
    }

    pub(super) fn take_watch(&mut self, entry: &Entry) -> Option<News> {
        self.note_turn_of(entry);
        // Of what was found before the number was closed it may be told, or not any more.
        let is_gone = self.any_watch(entry.source).is_some_and(|watch| watch.standing == Standing::Gone);
        let is_void = self.is_old(entry) || (is_gone && !self.has_turn_ahead(entry.source));
        let watch = self.watch_mut(entry.source);
        let events = watch.share_of(entry.events);
        if events == 0 || is_void {
            return None;
        }
        let news = self.news(entry.source, events);
        self.fired(entry.source);
        Some(news)
    }

    fn is_result_told(&self, source: usize, result: i64) -> bool {
        let number = self.sources[source].number;
        self.seen().zip(number).and_then(|(event, number)| event.result_of(number)) == Some(result)
    }

    fn news(&self, source: usize, events: u32) -> News {
        match &self.sources[source].kind {
            Kind::Watch(watch) => News::Fd { slot: watch.slot, events },
            _ => News::Done(events.into()),
        }
    }

    /// An operation's time is over: what is ready by then wins.
    pub(super) fn end_of_time(&mut self, source: usize) -> i64 {
        let states = self.files.states();
        let watch = self.watch_mut(source);
        let events = match watch.standing {
            Standing::Attached => watch.share_of(states[watch.slot]),
            Standing::Gone | Standing::Suspect | Standing::Detached => 0,
        };
        let is_closed = watch.standing != Standing::Attached;
        let is_told_closed = is_closed && self.is_result_told(source, EBADF);
        self.fired(source);
        match events {
            0 if is_told_closed => EBADF,
            0 => TIMED_OUT,
            events => events.into(),
        }
    }

    fn fired(&mut self, source: usize) {
        if let Kind::Poll(_, has_ended) = &mut self.sources[source].kind {
            *has_ended = true;
            self.unschedule(source);
        } else if self.watch_mut(source).mask & ONESHOT != 0 {
            self.set_mask(source, 0);
        }
    }

    pub(super) fn do_to_files(&mut self, op: Op) -> Outcome {
        match op {
            Op::Open(slot, sort) => {
                self.files.open(slot, sort);
                self.closed_number(slot);
            }
            Op::Close(slot) => {
                self.files.close(slot);
                self.closed_number(slot);
            }
            Op::Dup(from, to) if from != to && self.files.file(from).is_some() => {
                self.files.dup(from, to);
                self.closed_number(to);
            }
            Op::Dup(..) => {}
            Op::Do(slot, deed) => self.files.deed(slot, deed),
            _ => unreachable!("{op:?} does nothing to files"),
        }
        Outcome::Nothing
    }

    /// The child's set is new: what is an edge stands anew. A number that was closed may be another
    /// file's by now, which the library must not take for the one that was watched.
    pub(super) fn watch_in_child(&mut self) {
        self.edges = Edges::new();
        for source in 0..self.sources.len() {
            let is_alive = self.sources[source].alive;
            let Some(&Watch { slot, mask, standing, always, .. }) = self.any_watch(source) else { continue };
            match standing {
                Standing::Attached if is_alive && mask & EDGE != 0 && !always => {
                    self.edges.watch(&self.files, slot, mask);
                }
                Standing::Gone if HEARS_STRANGERS => self.watch_mut(source).standing = Standing::Suspect,
                _ => {}
            }
        }
    }

    /// Is the file behind the number one that was watched there before another was? Then the kernel
    /// may know it from those days, and take the one for the other.
    fn has_come_back(&self, slot: usize) -> bool {
        let all = self.sources.iter().filter_map(|source| match &source.kind {
            Kind::Watch(watch) | Kind::Poll(watch, _) if watch.slot == slot && !watch.always => {
                Some(watch.file)
            }
            _ => None,
        });
        let mut files: Vec<usize> = all.collect();
        files.dedup();
        let present = self.files.file(slot);
        self.program.setup.dups && files.iter().any(|file| Some(*file) == present) && files.len() > 1
    }

    /// What was behind the number is closed, if nothing else has it.
    fn closed_number(&mut self, slot: usize) {
        let has_come_back = self.has_come_back(slot);
        for source in 0..self.sources.len() {
            let Some(watch) = self.any_watch(source) else { continue };
            let lives_on = self.files.is_alive(watch.file) || has_come_back;
            let standing = match watch.standing {
                Standing::Attached if watch.slot == slot && !watch.always && lives_on => Standing::Suspect,
                Standing::Gone if watch.slot == slot && has_come_back => Standing::Suspect,
                Standing::Attached if watch.slot == slot && !watch.always => Standing::Gone,
                standing => standing,
            };
            self.watch_mut(source).standing = standing;
            if standing == Standing::Suspect {
                self.ready.retain(|entry| entry.source != source || entry.is_timer);
            }
        }
    }
}
