//! Watchers of file descriptors, and the registrations that the kernel has for them.
//!
//! Any number of watchers share one descriptor: the kernel holds one registration
//! with the union of their masks. Changes only mark the descriptor as *changed*;
//! before the next wait [`Watchers::next_change`] returns what has to be registered,
//! so a change undone in between costs nothing. This file makes no system call.
//!
//! A registration carries a *generation*. If an event's generation is not the descriptor's current
//! one, the event comes from an *orphan*: a file that was closed here and stays open in a duplicate.
//!
//! Pausing is lazy: when all watchers of a descriptor are paused, its registration changes only
//! once an unwanted event arrives. The mask then becomes 0, edge-triggered, because a hang-up is
//! reported for a mask of 0 as well. (If the mask has WRITABLE, an unwanted event would come at once,
//! so the registration changes before the next wait.) The registration stays, so that the kernel
//! can always tell whether the number still refers to the same file.

use crate::base::memory::Sparse;
use crate::base::slots::{BLOCK, SlotId, Slots};
use crate::error::Result;
use crate::event_loop::callback::FdCallback;
use crate::event_loop::side_table::ExtrasRef;
use std::ffi::c_void;

pub use crate::sys::{Change, EDGE, EVENTS, FileId, What};
use crate::sys::{ERROR, HANGUP, READABLE, WRITABLE};

/// The library has found that the file was closed; reported once.
pub const CLOSED: u32 = 64;
pub const ONESHOT: u32 = 512;
pub const ALWAYS: u32 = 1024;
/// The update is made in the call. Never part of a watcher's mask.
pub const NOW: u32 = 2048;

/// The bits that a mask may have.
pub const MASK: u32 = EVENTS | CLOSED | EDGE | ONESHOT | ALWAYS;

/// A flag in a watcher's state, above its mask: it does not keep `loop_run` going.
const UNREF: u32 = 1 << 16;
/// Likewise: its file is known to be closed, and it gets no events until it is cancelled.
const DETACHED: u32 = 1 << 17;
/// Likewise: CLOSED has to be reported to it, and there was no memory for that.
const OWED: u32 = 1 << 18;
/// Likewise: it belongs to an object, and no user has its handle. (Updates take the slow path.)
const PART: u32 = 1 << 19;

/// The end of a list of watchers.
const NONE: u32 = u32::MAX;
/// The end of the list of changed descriptors, and the link of a descriptor that is not in the list.
const LAST: i32 = -1;
const UNCHANGED: i32 = -2;

pub struct Watch {
    pub callback: FdCallback,
    pub fd: i32,
    /// The mask and the flags above it: one comparison shows that only event bits are set.
    state: u32,
    /// In its descriptor's list; the first watcher's `previous` is the last one. NONE: it is alone.
    previous: u32,
    next: u32,
    /// Its entry in the ready queue, or 0.
    pub pending: u64,
    /// The number of the poll that reported it last.
    pub seen: u32,
    pub extras: ExtrasRef,
}

impl Default for Watch {
    fn default() -> Self {
        Watch {
            callback: FdCallback::pulled(std::ptr::null_mut()),
            fd: -1,
            state: 0,
            previous: NONE,
            next: NONE,
            pending: 0,
            seen: 0,
            extras: ExtrasRef::NONE,
        }
    }
}

impl Watch {
    #[inline]
    fn is(&self, flag: u32) -> bool {
        self.state & flag != 0
    }

    /// Returns the events that it asks for, with the flags; 0 if it is paused.
    #[inline]
    pub fn mask(&self) -> u32 {
        self.state & MASK
    }

    #[inline]
    pub fn is_unref(&self) -> bool {
        self.is(UNREF)
    }

    /// Returns whether it belongs to an object.
    pub fn is_part(&self) -> bool {
        self.is(PART)
    }

    pub fn is_detached(&self) -> bool {
        self.is(DETACHED)
    }

    /// Returns whether it waits for events and keeps `loop_run` going.
    fn is_waiting(&self) -> bool {
        self.is(EVENTS) && !self.is(UNREF | DETACHED)
    }

    /// Returns the part of `reported` that this watcher gets.
    #[inline]
    pub fn share_of(&self, reported: u32) -> u32 {
        let ended = reported & (HANGUP | ERROR);
        if ended == 0 {
            // (`reported` has no other bits than those of EVENTS.)
            return reported & self.state;
        }
        match self.is(EVENTS) {
            // Then read and write return at once, with the reason.
            true => (reported | READABLE | WRITABLE) & self.state & EVENTS | ended,
            false => 0,
        }
    }
}

/// A watcher that is ready once every turn, as long as its number refers to this file.
#[derive(Clone, Copy)]
struct Always {
    id: SlotId,
    file: FileId,
}

/// Whether a watcher's report is still true.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Truth {
    /// The last poll reported it.
    Reported,
    /// The last poll would have reported it again, and did not.
    Over,
    /// An edge from an earlier poll: true if the number still refers to the same file.
    Kept,
    /// From an earlier poll, and the last poll did not report all that was ready.
    Unknown,
}

/// The state of one descriptor number: small, since the table has one for each number in use.
#[derive(Clone)]
struct Fd {
    first: u32,
    generation: u32,
    /// The next in the list of changed descriptors.
    next_changed: i32,
    /// The registered events, if REGISTERED, and the flags below.
    state: u16,
    /// Counts its reports since the last update, starting from NO_REPORTS. At intervals the kernel is
    /// asked whether the file is still open, since an orphan is reported for ever.
    reports: u16,
}

/// The 16th report makes this 256, and a check is due. `AFTER_FIRST_CHECK` then corrects the count.
const NO_REPORTS: u16 = 256 - 16;
const FIRST_CHECK: u16 = 256;
const AFTER_FIRST_CHECK: u16 = 256 + 16;

/// The kernel's part of a descriptor's state.
const KERNEL: u16 = (EVENTS | EDGE) as u16;
const REGISTERED: u16 = 1 << 9;
/// An event arrived that no watcher wants.
const UNWANTED: u16 = 1 << 10;
/// Update the registration even if nothing changed: that re-arms an edge.
const REARM: u16 = 1 << 11;
/// The kernel cannot watch it; ready once every turn.
const UNWATCHABLE: u16 = 1 << 12;
const FLAGS: u16 = REGISTERED | UNWANTED | REARM | UNWATCHABLE;

impl Fd {
    const EMPTY: Fd =
        Fd { first: NONE, generation: 0, next_changed: UNCHANGED, state: 0, reports: NO_REPORTS };

    #[inline]
    fn is(&self, flag: u16) -> bool {
        self.state & flag != 0
    }

    #[inline]
    fn set_registered(&mut self, change: Change) {
        let registered = if change.what == What::Remove { 0 } else { REGISTERED };
        self.state = self.state & UNWATCHABLE | change.events as u16 | registered;
        self.generation = (change.token >> 32) as u32;
    }

    /// Puts it at the head of the list `changed`, unless it is in the list already.
    #[inline]
    fn mark_changed(&mut self, fd: i32, changed: &mut i32) {
        if self.next_changed == UNCHANGED {
            self.next_changed = std::mem::replace(changed, fd);
        }
    }

    /// Its last watcher has gone: returns the change that removes the registration.
    #[inline]
    fn remove(&mut self, fd: i32) -> Change {
        self.state &= !(REGISTERED | UNWATCHABLE);
        Change { fd, what: What::Remove, events: 0, token: token(fd, self.generation) }
    }

    /// Returns the registered events.
    fn kernel(&self) -> u32 {
        u32::from(self.state & KERNEL)
    }
}

/// Returns whether the registration may stay as it is while all watchers are paused.
#[inline]
fn is_pause_lazy(state: u16) -> bool {
    state & (UNWANTED | WRITABLE as u16) == 0
}

/// What is left of a watcher that has ended.
pub struct Removed {
    /// Its entry in the ready queue, or 0.
    pub pending: u64,
    pub extras: ExtrasRef,
    pub arg: *mut c_void,
    /// Removes the registration, if it was the last watcher of a registered descriptor.
    pub change: Option<Change>,
}

/// What became of a reported event.
#[derive(PartialEq, Eq, Debug)]
pub enum Report {
    Delivered,
    /// No watcher wants it: the registration is updated before the next wait.
    Unwanted,
    /// From a file that is no longer watched under this number.
    Orphan,
    /// Delivered, and a check is due whether the file is still open.
    Check(Change),
}

pub struct Watchers {
    pub slots: Slots<Watch>,
    fds: Sparse<Fd, 256>,
    /// The head of the list of descriptors whose masks changed since their last registration.
    changed: i32,
    /// Watchers that are ready once every turn.
    always: Vec<Always>,
    /// Counts polls of the kernel.
    polls: u32,
    /// The last poll that reported all that was ready.
    last_whole_poll: u32,
    unref: usize,
    /// How many wait for something and keep `loop_run` going.
    waiting: usize,
    /// How many are OWED.
    owed: usize,
}

fn is_check_due(reports: u16) -> bool {
    reports.is_multiple_of(256)
}

fn token(fd: i32, generation: u32) -> u64 {
    u64::from(generation) << 32 | u64::from(fd as u32)
}

impl Watchers {
    pub const fn new() -> Self {
        Watchers {
            slots: Slots::new(),
            fds: Sparse::new(),
            changed: LAST,
            always: Vec::new(),
            polls: 0,
            last_whole_poll: 0,
            unref: 0,
            waiting: 0,
            owed: 0,
        }
    }

    fn fd_mut(&mut self, fd: i32) -> &mut Fd {
        match self.fds.get_mut(fd as usize) {
            Some(entry) => entry,
            None => unreachable!("a watched descriptor has its place in the table"),
        }
    }

    /// Makes a watcher that is not yet linked to its descriptor. If the table of watchers has to grow
    /// for it, calls `grow` with an upper bound for the number of watchers.
    #[inline(always)]
    pub fn insert(
        &mut self,
        fd: i32,
        mask: u32,
        callback: FdCallback,
        grow: impl FnOnce(usize),
    ) -> Result<SlotId> {
        let seen = self.polls;
        let watch = || Watch { callback, fd, state: mask, seen, ..Watch::default() };
        match self.slots.insert_fast() {
            Some((id, place, _)) => {
                *place = watch();
                Ok(id)
            }
            None => {
                grow(self.slots.len() + BLOCK);
                self.insert_in_new_place(watch())
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn insert_in_new_place(&mut self, watch: Watch) -> Result<SlotId> {
        self.slots.insert(watch)
    }

    /// Marks a new watcher as part of an object.
    pub fn set_part(&mut self, id: SlotId) {
        self.slots.at(id.index).state |= PART;
    }

    /// Takes the mark of a part away, so that it can be removed.
    pub fn free_part(&mut self, id: SlotId) {
        if let Some(watch) = self.slots.get_mut(id) {
            watch.state &= !PART;
        }
    }

    /// Returns a watcher, unless it is stale or belongs to an object.
    pub fn get_users(&self, id: SlotId) -> Option<&Watch> {
        self.slots.get(id).filter(|watch| !watch.is_part())
    }

    /// Makes room for `fd` in the table.
    pub fn prepare(&mut self, fd: i32) -> Result<()> {
        self.fds.get_or_make(fd as usize, Fd::EMPTY).map(drop)
    }

    /// Returns the registration for a new watcher of `fd` with this mask.
    pub fn addition(&self, fd: i32, mask: u32) -> Change {
        let generation = self.fds.get(fd as usize).map_or(0, |entry| entry.generation);
        let events = mask & (EVENTS | EDGE);
        Change { fd, what: What::Add, events, token: token(fd, generation.wrapping_add(1)) }
    }

    /// Returns whether the descriptor has another watcher and either is edge-triggered.
    pub fn is_busy(&mut self, fd: i32, mask: u32, but: Option<SlotId>) -> bool {
        let first = self.fds.get(fd as usize).map_or(NONE, |entry| entry.first);
        let mut is_busy = false;
        self.each(first, |id, other| is_busy |= but != Some(id) && (mask | other.state) & EDGE != 0);
        is_busy
    }

    /// Calls `look` with each watcher of a descriptor, in the order of their creation.
    fn each(&mut self, first: u32, mut look: impl FnMut(SlotId, &mut Watch)) {
        let mut index = first;
        while index != NONE {
            let (id, watch) = self.slots.at_with_id(index);
            index = watch.next;
            look(id, watch);
        }
    }

    /// The kernel accepted [`Watchers::addition`]: the registration is new. If the number was
    /// registered before, its file was closed, and its older watchers are detached (see
    /// [`Watchers::detach_all`]). Nothing changes if there is no memory.
    #[inline(always)]
    pub fn added(
        &mut self,
        id: SlotId,
        mask: u32,
        change: Change,
        end_events_of: impl FnMut(SlotId, &mut Watch) -> Result<()>,
    ) -> Result<()> {
        let mut entry = self.fds.get_or_make(change.fd as usize, Fd::EMPTY)?;
        if entry.is(REGISTERED | UNWATCHABLE) {
            self.detach_all(change.fd, end_events_of);
            entry = self.fd_mut(change.fd);
        }
        entry.set_registered(change);
        if entry.first == NONE {
            entry.first = id.index;
            self.waiting += usize::from(mask & EVENTS != 0);
        } else {
            self.link(id);
        }
        Ok(())
    }

    /// The kernel cannot watch `file`, to which `fd` refers: `id` is ready once every turn.
    pub fn always(
        &mut self,
        fd: i32,
        file: FileId,
        id: SlotId,
        end_events_of: impl FnMut(SlotId, &mut Watch) -> Result<()>,
    ) -> Result<()> {
        self.always.try_reserve(1)?;
        if self.is_registered(fd) || self.always_file(fd).is_some_and(|older| older != file) {
            self.detach_all(fd, end_events_of);
        }
        self.fd_mut(fd).state |= UNWATCHABLE;
        self.always.push(Always { id, file });
        self.link(id);
        Ok(())
    }

    /// Returns the file that `fd` referred to when it was watched, if the kernel cannot watch it.
    pub fn always_file(&self, fd: i32) -> Option<FileId> {
        let is_here = |always: &&Always| self.slots.get(always.id).is_some_and(|watch| watch.fd == fd);
        self.always.iter().find(is_here).map(|always| always.file)
    }

    /// The kernel has accepted `change`.
    pub fn set_registered(&mut self, change: Change) {
        self.fd_mut(change.fd).set_registered(change);
    }

    /// Changes a watcher and updates `waiting`.
    fn change(&mut self, index: u32, change: impl FnOnce(&mut Watch)) {
        let watch = self.slots.at(index);
        let before = watch.is_waiting();
        change(watch);
        self.waiting += usize::from(watch.is_waiting());
        self.waiting -= usize::from(before);
    }

    /// Puts a watcher at the end of its descriptor's list.
    pub fn link(&mut self, id: SlotId) {
        let Watch { fd, state, .. } = *self.slots.at(id.index);
        self.waiting += usize::from(state & EVENTS != 0);
        let entry = self.fd_mut(fd);
        let first = entry.first;
        if first == NONE {
            entry.first = id.index;
            return;
        }
        let last = match std::mem::replace(&mut self.slots.at(first).previous, id.index) {
            NONE => first,
            last => last,
        };
        self.slots.at(last).next = id.index;
        self.slots.at(id.index).previous = last;
        self.mark_changed(fd);
    }

    fn unlink(&mut self, index: u32) {
        let Watch { previous, next, fd, .. } = *self.slots.at(index);
        if self.fd_mut(fd).is(UNWATCHABLE) {
            self.always.retain(|always| always.id.index != index);
        }
        let entry = self.fd_mut(fd);
        if entry.first == index {
            entry.first = next;
        } else {
            self.slots.at(previous).next = next;
        }
        // The first watcher's `previous` is the last one.
        let follower = if next == NONE { self.fd_mut(fd).first } else { next };
        if follower != NONE {
            self.slots.at(follower).previous = if follower == previous { NONE } else { previous };
        }
    }

    fn mark_changed(&mut self, fd: i32) {
        let mut changed = self.changed;
        self.fd_mut(fd).mark_changed(fd, &mut changed);
        self.changed = changed;
    }

    /// Gives a watcher another mask, which is registered before the next wait.
    pub fn set_mask(&mut self, id: SlotId, mask: u32) {
        self.change(id.index, |watch| watch.state = watch.state & !MASK | mask);
        let Watch { fd, state, .. } = *self.slots.at(id.index);
        if state & DETACHED == 0 {
            let entry = self.fd_mut(fd);
            if mask & EDGE != 0 {
                entry.state |= REARM;
            }
            // The descriptor is in use: count its reports from the start.
            entry.reports = NO_REPORTS;
            self.mark_changed(fd);
        }
    }

    /// Like [`Watchers::set_mask`], if neither mask has a flag and the watcher is not ready.
    /// Otherwise does nothing and returns `false`.
    #[inline]
    pub fn set_plain_mask(&mut self, id: SlotId, mask: u32) -> bool {
        let Some(watch) = self.slots.get_mut(id) else { return false };
        if (mask | watch.state) & !EVENTS != 0 || watch.pending != 0 {
            return false;
        }
        let Some(entry) = self.fds.get_mut(watch.fd as usize) else { return false };
        // Usually no change is needed: these events are registered, or the pause is lazy.
        let is_known = entry.state == REGISTERED | mask as u16
            || mask == 0 && entry.state & (FLAGS | WRITABLE as u16) == REGISTERED;
        if !is_known || watch.previous != NONE {
            if entry.is(UNWATCHABLE) {
                return false;
            }
            entry.mark_changed(watch.fd, &mut self.changed);
        }
        entry.reports = NO_REPORTS;
        let before = std::mem::replace(&mut watch.state, mask);
        self.waiting = self.waiting + usize::from(mask != 0) - usize::from(before != 0);
        true
    }

    /// Returns the callback and the descriptor of a ready watcher that is not ONESHOT, if the last
    /// poll reported it.
    #[inline]
    pub fn take_plain(&mut self, id: SlotId, reported: u32) -> Option<(FdCallback, i32)> {
        let polls = self.polls;
        let watch = self.slots.get_mut(id)?;
        if watch.seen != polls || watch.is(ONESHOT) {
            return None;
        }
        // An update has already removed the events that the watcher no longer asks for.
        debug_assert_eq!(reported, watch.share_of(reported));
        watch.pending = 0;
        Some((watch.callback, watch.fd))
    }

    /// Ends a watcher. Returns `None` if it is stale or belongs to an object.
    #[inline(always)] // what it returns stays in registers
    pub fn remove(&mut self, id: SlotId) -> Option<Removed> {
        let watch = self.slots.get_mut(id)?;
        let Watch { fd, previous, state, pending, extras, .. } = *watch;
        if state & PART != 0 {
            return None;
        }
        let arg = watch.callback.arg;
        self.unref -= usize::from(watch.is_unref());
        self.waiting -= usize::from(watch.is_waiting());
        self.owed -= usize::from(watch.is(OWED));
        let mut change = None;
        if state & DETACHED == 0 {
            let entry = self.fd_mut(fd);
            if previous == NONE && entry.state & (REGISTERED | UNWATCHABLE) == REGISTERED {
                entry.first = NONE;
                change = Some(entry.remove(fd));
            } else {
                change = self.leave(id.index, fd);
            }
        }
        self.slots.release(id);
        Some(Removed { pending, extras, arg, change })
    }

    /// Unlinks a watcher from its descriptor. Returns the change that has to be made at once, if any.
    #[cold]
    fn leave(&mut self, index: u32, fd: i32) -> Option<Change> {
        self.unlink(index);
        let entry = self.fd_mut(fd);
        if entry.first != NONE {
            self.mark_changed(fd);
            return None;
        }
        let was_registered = entry.is(REGISTERED);
        let change = entry.remove(fd);
        was_registered.then_some(change)
    }

    /// The file behind `fd` is gone: its watchers get no events from now on. `end_events_of` discards
    /// their entries in the ready queue and reports CLOSED to those that ask for it. If it has no
    /// memory for this, [`Watchers::report_owed`] does it later.
    #[cold]
    #[inline(never)]
    pub fn detach_all(&mut self, fd: i32, mut end_events_of: impl FnMut(SlotId, &mut Watch) -> Result<()>) {
        let first = |fds: &Sparse<Fd, 256>| fds.get(fd as usize).map_or(NONE, |entry| entry.first);
        while first(&self.fds) != NONE {
            let index = first(&self.fds);
            self.unlink(index);
            self.change(index, |watch| watch.state |= DETACHED);
            let (id, watch) = self.slots.at_with_id(index);
            if end_events_of(id, watch).is_err() {
                watch.state |= OWED;
                self.owed += 1;
            }
        }
        if let Some(entry) = self.fds.get_mut(fd as usize) {
            entry.state &= !(REGISTERED | UNWATCHABLE);
        }
    }

    /// Returns whether CLOSED still has to be reported to a watcher.
    pub fn owes(&self) -> bool {
        self.owed > 0
    }

    /// Calls `end_events_of` with each watcher to which CLOSED could not be reported.
    pub fn report_owed(
        &mut self,
        mut end_events_of: impl FnMut(SlotId, &mut Watch) -> Result<()>,
    ) -> Result<()> {
        let mut from = 0;
        while self.owed > 0
            && let Some(id) = self.slots.first_from(from)
        {
            from = id.index + 1;
            let watch = self.slots.at(id.index);
            if watch.is(OWED) {
                end_events_of(id, watch)?;
                watch.state &= !OWED;
                self.owed -= 1;
            }
        }
        Ok(())
    }

    /// Returns the union of the masks of a descriptor's watchers.
    fn wanted(&mut self, first: u32) -> u32 {
        let mut all = 0;
        self.each(first, |_, watch| {
            if watch.is(EVENTS) {
                all |= watch.state & (EVENTS | EDGE);
            }
        });
        all
    }

    /// Returns whether a descriptor is in the list of changed ones.
    #[inline]
    pub fn has_changes(&self) -> bool {
        self.changed != LAST
    }

    /// Returns the change that registers what `fd`'s watchers ask for, even if it is registered already.
    pub fn change_now(&mut self, fd: i32) -> Option<Change> {
        let Fd { first, generation, state, .. } = *self.fds.get(fd as usize)?;
        let events = self.wanted(first);
        let (what, generation) = match (state & REGISTERED != 0, events) {
            (false, 0) => return None,
            (false, _) => (What::Add, generation.wrapping_add(1)),
            (true, _) => (What::Modify, generation),
        };
        let events = if events == 0 { EDGE } else { events };
        Some(Change { fd, what, events, token: token(fd, generation) })
    }

    /// Returns the next change to register before a wait, if any. `all`: also lazy pauses.
    pub fn next_change(&mut self, all: bool) -> Option<Change> {
        while self.has_changes() {
            let fd = self.changed;
            let entry = self.fd_mut(fd);
            let next = std::mem::replace(&mut entry.next_changed, UNCHANGED);
            let Fd { first, generation, state, .. } = *entry;
            let kernel = entry.kernel();
            self.changed = next;
            if first == NONE || state & UNWATCHABLE != 0 {
                continue;
            }
            let events = self.wanted(first);
            let (what, generation) = match (state & REGISTERED != 0, events) {
                (false, 0) => continue,
                (false, _) => (What::Add, generation.wrapping_add(1)),
                (true, 0) if kernel == EDGE || !all && is_pause_lazy(state) => continue,
                (true, 1..) if events == kernel && state & REARM == 0 => continue,
                (true, _) => (What::Modify, generation),
            };
            let events = if events == 0 { EDGE } else { events };
            return Some(Change { fd, what, events, token: token(fd, generation) });
        }
        None
    }

    /// Returns whether `fd` is registered.
    pub fn is_registered(&self, fd: i32) -> bool {
        self.fds.get(fd as usize).is_some_and(|entry| entry.is(REGISTERED))
    }

    /// Returns whether the kernel cannot watch `fd`.
    pub fn is_always(&self, fd: i32) -> bool {
        self.fds.get(fd as usize).is_some_and(|entry| entry.is(UNWATCHABLE))
    }

    /// A change failed: it is tried again before the next wait.
    pub fn try_again(&mut self, fd: i32) {
        self.mark_changed(fd);
    }

    /// The fast path of [`Watchers::report`]: the descriptor has one watcher, which wants the event, is
    /// not in the ready queue, and is not unref. Returns it with its share of the events.
    #[inline(always)]
    pub fn report_fast(&mut self, event_token: u64, events: u32) -> Option<(SlotId, &mut Watch, u32)> {
        let entry = self.fds.get_mut(event_token as u32 as usize)?;
        let reports = entry.reports.wrapping_add(1);
        let is_usual =
            entry.generation == (event_token >> 32) as u32 && (REGISTERED..UNWANTED).contains(&entry.state);
        if !is_usual || is_check_due(reports) {
            return None;
        }
        let (id, watch) = self.slots.at_with_id(entry.first);
        let share = watch.share_of(events);
        if share == 0 || watch.is_unref() || watch.previous != NONE || watch.pending != 0 {
            return None;
        }
        entry.reports = reports;
        watch.seen = self.polls;
        Some((id, watch, share))
    }

    /// Delivers an event to the watchers that want it, in the order of their creation: `emit` gets
    /// each with its share. Returns what else has to be done.
    pub fn report(
        &mut self,
        event_token: u64,
        events: u32,
        mut emit: impl FnMut(SlotId, &mut Watch, u32) -> Result<()>,
    ) -> Report {
        let (fd, generation) = (event_token as u32 as i32, (event_token >> 32) as u32);
        let polls = self.polls;
        let Some(entry) = self.fds.get_mut(fd as usize) else {
            return Report::Orphan;
        };
        if !entry.is(REGISTERED) || entry.generation != generation {
            return Report::Orphan;
        }
        let reports = entry.reports.wrapping_add(1);
        entry.reports = if reports == FIRST_CHECK { AFTER_FIRST_CHECK } else { reports };
        let (kernel, was_unwanted) = (entry.kernel(), entry.is(UNWANTED));
        let first = entry.first;
        let (mut wanted, mut lost) = (false, false);
        self.each(first, |id, watch| {
            let share = watch.share_of(events);
            if share != 0 {
                wanted = true;
                watch.seen = polls;
                lost |= emit(id, watch, share).is_err();
            }
        });
        if !wanted || lost || was_unwanted {
            let entry = self.fd_mut(fd);
            entry.state &= !UNWANTED;
            entry.state |= if wanted { 0 } else { UNWANTED } | if lost { REARM } else { 0 };
            if !wanted || lost {
                self.mark_changed(fd);
            }
        }
        match wanted {
            false => Report::Unwanted,
            true if is_check_due(reports) => {
                Report::Check(Change { fd, what: What::Add, events: kernel, token: event_token })
            }
            true => Report::Delivered,
        }
    }

    /// Counts a poll. If its buffer was full, an older report that was not repeated may still be true.
    pub fn count_poll(&mut self, is_full: bool) {
        self.polls = self.polls.wrapping_add(1);
        if !is_full {
            self.last_whole_poll = self.polls;
        }
    }

    /// Returns whether a watcher's report is still true, as far as the last poll shows.
    pub fn truth(&self, watch: &Watch) -> Truth {
        match self.polls.wrapping_sub(watch.seen) {
            // (A detached watcher has nothing but CLOSED in the queue.)
            0 => Truth::Reported,
            _ if watch.is_detached() => Truth::Reported,
            _ if watch.is(EDGE) => Truth::Kept,
            age if age > self.polls.wrapping_sub(self.last_whole_poll) => Truth::Over,
            _ => Truth::Unknown,
        }
    }

    /// Calls `emit` with each active watcher of an unwatchable file, if its descriptor still refers to
    /// the file. Returns a descriptor that does not.
    pub fn report_always(
        &mut self,
        is_behind: impl Fn(i32, FileId) -> bool,
        mut emit: impl FnMut(SlotId, &mut Watch, u32) -> Result<()>,
    ) -> Result<Option<i32>> {
        let mut closed = None;
        for Always { id, file } in &self.always {
            let watch = self.slots.at(id.index);
            let share = watch.share_of(READABLE | WRITABLE);
            if share == 0 {
                continue;
            }
            if !is_behind(watch.fd, *file) {
                closed = Some(watch.fd);
                continue;
            }
            watch.seen = self.polls;
            emit(*id, watch, share)?;
        }
        Ok(closed)
    }

    /// Returns whether an active watcher is ready once every turn.
    #[inline]
    pub fn has_always(&self) -> bool {
        !self.always.is_empty()
            && self.always.iter().any(|always| {
                self.slots.get(always.id).is_some_and(|watch| watch.share_of(READABLE | WRITABLE) != 0)
            })
    }

    /// Returns every registration, for a new set.
    pub fn registrations_to_vec(&mut self) -> Result<Vec<Change>> {
        let mut all = Vec::new();
        all.try_reserve(self.slots.len())?;
        all.extend(self.registrations());
        Ok(all)
    }

    fn registrations(&mut self) -> impl Iterator<Item = Change> + '_ {
        self.fds.iter_mut().filter(|(_, entry)| entry.is(REGISTERED)).map(|(fd, entry)| Change {
            fd: fd as i32,
            what: What::Add,
            events: entry.kernel(),
            token: token(fd as i32, entry.generation),
        })
    }

    /// Returns the registration of `fd`, if it is registered.
    pub fn registration(&self, fd: i32) -> Option<Change> {
        let entry = self.fds.get(fd as usize).filter(|entry| entry.is(REGISTERED))?;
        let token = token(fd, entry.generation);
        Some(Change { fd, what: What::Add, events: entry.kernel(), token })
    }

    /// Sets whether a watcher keeps `loop_run` going.
    pub fn set_unref(&mut self, id: SlotId, unref: bool) {
        let had = self.slots.at(id.index).is_unref();
        let state = if unref { UNREF } else { 0 };
        self.change(id.index, |watch| watch.state = watch.state & !UNREF | state);
        self.unref += usize::from(unref);
        self.unref -= usize::from(had);
    }

    /// Returns whether a watcher waits for events and keeps `loop_run` going.
    pub fn has_waiting(&self) -> bool {
        self.waiting > 0
    }

    /// Returns whether a watcher keeps `loop_run` going.
    pub fn has_work(&self) -> bool {
        self.slots.len() > self.unref
    }

    /// Frees some of the memory that was not needed recently.
    pub fn trim(&mut self) {
        self.slots.trim();
    }
}

#[cfg(test)]
mod tests;
