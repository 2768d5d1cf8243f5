//! Hosts: the wake hook, and the descriptor that is readable when there is something to do.

use super::Laws;
use crate::model::library::ALWAYS;
use crate::model::program::Op;
use crate::model::trace::{Event, Outcome};

#[derive(Default)]
pub struct Host {
    pub has_fd: bool,
    /// A callback has flushed, and no turn has begun since.
    pub flushed: bool,
    has_hook: bool,
    /// The hook has been called since the last run.
    is_told: bool,
    /// It was called while releases were made. If that is the end of a run, was it for what the
    /// release did, or for the end? Both may be, and the hook need not be called again.
    pub told_by_release: bool,
    is_perhaps_told: bool,
    /// In a forked child, where nobody has been told of what was left.
    is_forked: bool,
    /// So many runs have found nothing to do since the descriptor was readable without need.
    needless: Option<u32>,
}

/// So often the descriptor may be readable without need; each time a run looks after it. (Once for
/// what has been done meanwhile, once for a paused descriptor that has something to say.)
const NEEDLESS: u32 = 2;

/// Before an operation: is there work, when is the next deadline, and is there a hook?
pub struct Before {
    work: bool,
    deadline: u64,
    has_hook: bool,
}

impl Host {
    /// Whoever was told is the parent's.
    pub fn begin_in_child(&mut self) {
        self.is_told = false;
        self.is_perhaps_told = false;
        self.is_forked = true;
        self.needless = None;
    }
}

impl Laws<'_> {
    /// In a callback: the host looks after the loop, as if the run had ended.
    pub(super) fn flush(&mut self) {
        if !self.runs.is_empty() && !self.host.flushed {
            self.host.flushed = true;
            self.host.is_told = false;
        }
    }

    pub(super) fn set_wake_hook(&mut self, has_hook: bool) {
        self.host.has_hook = has_hook;
        if self.runs.is_empty() || self.host.flushed {
            // It is to be told of what comes from now on.
            self.host.is_told = false;
        }
    }

    pub(super) fn what_host_knows(&self) -> Before {
        let (work, deadline) = (self.is_work_left(), self.next_deadline());
        Before { work, deadline, has_hook: self.host.has_hook }
    }

    /// The hook is called when work, or an earlier deadline, comes while no run is on the stack;
    /// not twice before the next run has ended, and not for descriptors.
    pub(super) fn tell_host(&mut self, op: Op, before: Before) {
        self.forget_needless(op);
        let is_resting = self.runs.is_empty() && !self.closed;
        let brings_more = self.is_work_left() && !before.work || self.next_latest() < before.deadline;
        let is_for_fd = match op {
            Op::Watch(_, _, mask) | Op::Update(_, mask) => mask & ALWAYS == 0,
            _ => false,
        };
        let is_about_fd = matches!(op, Op::Watch(..) | Op::Update(..));
        // (That a file was closed may be found out, and be news.)
        let is_for_fd = is_for_fd && !self.has_suspects();
        let may_be_for_fd = self.host.is_forked || !(is_resting && is_for_fd);
        let can = !self.host.is_told && self.host.has_hook && may_be_for_fd;
        // (What the library takes for ready, rightly or not, has been told of.)
        let is_news = brings_more && !is_about_fd && !self.has_suspects();
        let must = can && is_resting && before.has_hook && is_news && !self.host.is_perhaps_told;
        let may = can && (is_resting || self.host.flushed);
        self.call_hook(must, may);
    }

    /// A post that arrives as a run ends is run by it, or the host is told.
    pub(super) fn tell_host_of_end(&mut self) {
        let is_resting = self.runs.is_empty();
        if is_resting {
            self.host.needless = self.host.needless.map(|runs| runs + 1);
        }
        self.host.is_told = false;
        let can = self.host.has_hook && !self.closed;
        let must = can && is_resting && !self.posts.is_empty();
        self.call_hook(must, can && (self.stop || self.wake || !self.posts.is_empty()));
        let told_by_release = std::mem::take(&mut self.host.told_by_release);
        self.host.is_perhaps_told = told_by_release && !self.host.is_told;
    }

    pub(super) fn is_told(&self) -> bool {
        self.host.is_told
    }

    fn call_hook(&mut self, must: bool, may: bool) {
        if must || may && self.seen() == Some(&Event::Woken) {
            self.host.is_told = true;
            self.log(Event::Woken);
        }
    }

    fn forget_needless(&mut self, op: Op) {
        if op != Op::HostPoll {
            self.host.needless = None;
        }
    }

    pub(super) fn poll_by_host(&mut self) -> Outcome {
        if !self.host.has_fd || !self.runs.is_empty() {
            return Outcome::Nothing;
        }
        let must = self.is_surely_ready() || self.is_other_work_left() || self.is_any_level_ready();
        let allowed = match self.host.needless {
            _ if must => &[1][..],
            // In real time the host's timer tells, and the host may have to look again.
            _ if self.is_real() => &[0, 1],
            Some(NEEDLESS..) if !self.has_suspects() => &[0],
            _ => &[0, 1],
        };
        let answer = self.any_of(allowed);
        if answer == 1 && !must {
            self.host.needless.get_or_insert(0);
        }
        Outcome::Code(answer)
    }
}
