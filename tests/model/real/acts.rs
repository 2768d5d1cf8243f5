//! What a program can do to the library: one arm an operation.

use super::{HERE, Real, done, here, idle, plain_function, ready, release_function, tick, woken};
use crate::model::forks::{Forked, MOST_FORKS, fork, is_child};
use crate::model::library::*;
use crate::model::program::{Body, Errand, Op, Pick};
use crate::model::trace::{Event, NO_SLOT, Outcome};
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

impl Real<'_> {
    pub(super) fn act(&self, op: Op) -> Outcome {
        let (library, on) = (self.library, self.on);
        let code = |code: c_int| Outcome::Code(code.into());
        // SAFETY: a loop of ours that exists; numbers of any kind; functions that take them.
        unsafe {
            match op {
                Op::Cancel(pick) => code((library.loop_cancel)(on, self.handle(pick))),
                Op::IsActive(pick) => code((library.loop_is_active)(on, self.handle(pick))),
                Op::Remaining(pick) => Outcome::Code((library.loop_remaining)(on, self.handle(pick))),
                Op::SetArg(pick, script) => {
                    code((library.loop_set_arg)(on, self.handle(pick), self.argument(script)))
                }
                Op::SetRelease(pick, by) => {
                    code((library.loop_set_release)(on, self.handle(pick), release_function(by)))
                }
                Op::SetName(pick, named) => {
                    let name = if named { c"a name".as_ptr() } else { std::ptr::null() };
                    code((library.loop_set_name)(on, self.handle(pick), name))
                }
                Op::Ref(pick) => self.set_unref(pick, false),
                Op::Unref(pick) => self.set_unref(pick, true),
                Op::Reschedule(pick, delay) => code((library.loop_reschedule)(on, self.handle(pick), delay)),
                Op::RescheduleAt(pick, when) => {
                    let when = self.moment(when);
                    code((library.loop_reschedule_at)(on, self.handle(pick), when))
                }
                Op::Update(pick, mask) => code((library.loop_watch_update)(on, self.handle(pick), mask)),
                Op::WatchEvents(pick) => code((library.loop_watch_events)(on, self.handle(pick))),
                Op::Stop => code((library.loop_stop)(on)),
                Op::Wake => code((library.loop_wake)(on)),
                Op::Advance(ns) => code((library.loop_advance)(on, ns)),
                Op::Clock => {
                    let time = (library.loop_clock)(on);
                    assert!((library.loop_now)(on) == time || self.program.setup.system);
                    Outcome::Time(time)
                }
                Op::InThread => code((library.loop_in_thread)(on)),
                Op::Flush => code((library.loop_flush)(on)),
                Op::WakeHook(set) => {
                    code((library.loop_set_wake_hook)(on, set.then_some(woken as _), null_mut()))
                }
                Op::Elsewhere(errand) => self.act_elsewhere(errand),
                Op::Free => self.free(),
                Op::Fork => self.fork(),
                Op::LoopFd | Op::HostPoll => self.ask_host_fd(op),
                Op::RemoteNew | Op::RemoteFree(_) => self.change_remotes(op),
                Op::Open(..) | Op::Close(_) | Op::Dup(..) | Op::Do(..) => self.do_to_files(op),
                _ => self.make(op),
            }
        }
    }

    fn make(&self, op: Op) -> Outcome {
        let (library, on) = (self.library, self.on);
        let fd_function = |body: Body| -> FdCb { (!body.null).then_some(ready as _) };
        let arg = |body: Body| self.argument(body.script);
        let code = |code: c_int| Outcome::Code(code.into());
        // SAFETY: as above.
        let handle = unsafe {
            match op {
                Op::Soon(body) => (library.loop_call_soon)(on, plain_function(body), arg(body)),
                Op::Later(body, delay) => {
                    (library.loop_call_later)(on, delay, plain_function(body), arg(body))
                }
                Op::At(body, when) => {
                    (library.loop_call_at)(on, self.moment(when), plain_function(body), arg(body))
                }
                Op::Every(body, first, interval, policy) => {
                    let function: TickCb = (!body.null).then_some(tick as _);
                    (library.loop_call_every)(on, first, interval, policy, function, arg(body))
                }
                Op::Watch(body, slot, mask) => {
                    let number = self.files.borrow().number(slot);
                    (library.loop_watch_fd)(on, number, mask, fd_function(body), arg(body))
                }
                Op::WatchBad(body, which) => {
                    let number = match which {
                        0 => -1,
                        1 => self.files.borrow().number(NO_SLOT),
                        2 => self.host_fd.get(),
                        own => self.own.get(own % self.own.len().max(1)).copied().unwrap_or(-1),
                    };
                    (library.loop_watch_fd)(on, number, READABLE, fd_function(body), arg(body))
                }
                Op::PollFd(body, slot, mask, limit) => {
                    let number = self.files.borrow().number(slot);
                    let function: IoCb = (!body.null).then_some(done as _);
                    (library.loop_poll_fd)(on, number, mask, limit, function, arg(body))
                }
                Op::Hook(body, WHEN_IDLE) if !body.null => {
                    (library.loop_add_hook)(on, WHEN_IDLE, Some(idle), arg(body))
                }
                Op::Hook(body, when) => (library.loop_add_hook)(on, when, plain_function(body), arg(body)),
                Op::Post(body, by) => {
                    let (function, arg) = (plain_function(body), arg(body));
                    return code((library.loop_call_soon_threadsafe)(
                        on,
                        function,
                        arg,
                        release_function(by),
                    ));
                }
                Op::RemotePost(which, body, by) => {
                    let remotes = self.remotes.borrow();
                    let Some(remote) = remotes.get(which % remotes.len().max(1)) else {
                        return Outcome::Nothing;
                    };
                    let (function, arg) = (plain_function(body), arg(body));
                    return code((library.loop_remote_call_soon)(
                        *remote,
                        function,
                        arg,
                        release_function(by),
                    ));
                }
                _ => unreachable!("{op:?} makes no source"),
            }
        };
        if handle > 0 && matches!(op, Op::Watch(..) | Op::WatchBad(..)) {
            self.watchers.borrow_mut().push((handle, false));
        }
        if handle > 0 && matches!(op, Op::PollFd(..)) {
            self.waits.borrow_mut().push((handle, false));
        }
        self.made(handle)
    }

    /// A time on the system's clock is one since the loop was made.
    fn moment(&self, when: u64) -> u64 {
        if when == NEVER { NEVER } else { self.begin.saturating_add(when) }
    }

    fn act_elsewhere(&self, errand: Errand) -> Outcome {
        let place = (&raw const *self) as usize;
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                HERE.set(place as *const c_void);
                here().act(errand.op())
            });
            // (Nobody else uses it meanwhile.)
            thread.join().expect("an errand does not panic")
        })
    }

    fn set_unref(&self, pick: Pick, unref: bool) -> Outcome {
        let function = if unref { self.library.loop_unref } else { self.library.loop_ref };
        let handle = self.handle(pick);
        // SAFETY: a loop of ours that exists.
        let code = unsafe { function(self.on, handle) };
        for list in [&self.watchers, &self.waits] {
            if let Some(source) = list.borrow_mut().iter_mut().find(|source| source.0 == handle) {
                source.1 = unref;
            }
        }
        Outcome::Code(code.into())
    }

    fn free(&self) -> Outcome {
        let was_closed = self.closed.get();
        if self.runs.borrow().is_empty() {
            // From now on the pointer is dead.
            self.closed.set(true);
        }
        // SAFETY: a loop of ours that exists.
        let code = unsafe { (self.library.loop_free)(self.on) };
        self.closed.set(code == 0 || was_closed);
        Outcome::Code(code.into())
    }

    /// Not where a remote would keep the child's runs going for ever.
    fn fork(&self) -> Outcome {
        let may = !is_child() && !self.closed.get() && self.remotes.borrow().is_empty();
        if !may || self.children.borrow().len() == MOST_FORKS {
            return Outcome::Nothing;
        }
        match fork() {
            Forked::Child => {
                self.forked_at.set(self.trace.borrow().len());
                // SAFETY: a loop of ours that exists.
                let code = unsafe { (self.library.loop_after_fork)(self.on) };
                Outcome::Code(code.into())
            }
            Forked::Parent(ended, seen) => {
                self.children.borrow_mut().push(seen);
                self.log(Event::ChildEnded(ended));
                Outcome::Nothing
            }
        }
    }

    fn ask_host_fd(&self, op: Op) -> Outcome {
        if op == Op::LoopFd {
            // SAFETY: a loop of ours that exists.
            let fd = unsafe { (self.library.loop_fd)(self.on) };
            let known = self.host_fd.get();
            if fd >= 0 && (known < 0 || known == fd) {
                self.host_fd.set(fd);
                return Outcome::Code(0);
            }
            return Outcome::Code(fd.into());
        }
        if self.host_fd.get() < 0 || !self.runs.borrow().is_empty() {
            return Outcome::Nothing;
        }
        let mut polled = libc::pollfd { fd: self.host_fd.get(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry.
        Outcome::Code(unsafe { libc::poll(&mut polled, 1, 0) }.into())
    }

    fn change_remotes(&self, op: Op) -> Outcome {
        let mut remotes = self.remotes.borrow_mut();
        match op {
            Op::RemoteNew => {
                // SAFETY: a loop of ours that exists.
                let remote = unsafe { (self.library.loop_remote_new)(self.on) };
                if !remote.is_null() {
                    remotes.push(remote);
                }
                Outcome::Code((!remote.is_null()).into())
            }
            Op::RemoteFree(which) if !remotes.is_empty() => {
                let count = remotes.len();
                let remote = remotes.remove(which % count);
                drop(remotes);
                // SAFETY: made by the library; its last use.
                Outcome::Code(unsafe { (self.library.loop_remote_free)(remote) }.into())
            }
            _ => Outcome::Nothing,
        }
    }

    fn do_to_files(&self, op: Op) -> Outcome {
        let mut files = self.files.borrow_mut();
        match op {
            Op::Open(slot, sort) => files.open(slot, sort),
            Op::Close(slot) => files.close(slot),
            Op::Dup(from, to) => files.dup(from, to),
            Op::Do(slot, deed) => files.deed(slot, deed),
            _ => unreachable!("{op:?} does nothing to files"),
        }
        Outcome::Nothing
    }
}
