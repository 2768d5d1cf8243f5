//! Linux: what a host waits for. An epoll set that contains the loop's own set, with an eventfd that
//! says "work is left" and a timerfd for the next deadline.
//!
//! The loop itself never waits here, so a loop that nobody embeds pays nothing, and the
//! loop's set may be replaced (see `orphans.rs`) while the host's
//! descriptor stays what it is. All three are level-triggered: the descriptor stays
//! readable until a run has seen to it.

use super::epoll::{
    above_standard, check, new_eventfd, new_set, new_timerfd, replace_fd, to_timespec, uninterrupted,
};
use crate::error::Result;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

pub struct HostSet {
    set: mio::Poll,
    left: OwnedFd,
    timer: OwnedFd,
    is_left: bool,
    /// What the timerfd is set to; `u64::MAX`: off.
    armed: u64,
    /// Events of the loop's set are not reported.
    muted: bool,
}

impl HostSet {
    pub fn new() -> Result<HostSet> {
        let host_set = HostSet {
            set: above_standard(new_set)?,
            left: above_standard(new_eventfd)?,
            timer: above_standard(new_timerfd)?,
            is_left: false,
            armed: u64::MAX,
            muted: false,
        };
        host_set.add(host_set.left.as_raw_fd())?;
        host_set.add(host_set.timer.as_raw_fd())?;
        Ok(host_set)
    }

    pub fn fd(&self) -> RawFd {
        self.set.as_raw_fd()
    }

    pub fn owns(&self, fd: RawFd) -> bool {
        self.numbers().contains(&fd)
    }

    pub fn numbers(&self) -> [RawFd; 3] {
        [self.fd(), self.left.as_raw_fd(), self.timer.as_raw_fd()]
    }

    /// Makes the host's descriptor readable while `fd` is.
    pub fn add(&self, fd: RawFd) -> Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, libc::EPOLLIN as u32)
    }

    fn control(&self, operation: libc::c_int, fd: RawFd, events: u32) -> Result<()> {
        let mut event = libc::epoll_event { events, u64: 0 };
        // SAFETY: the kernel reads one event.
        check(unsafe { libc::epoll_ctl(self.fd(), operation, fd, &mut event) })?;
        Ok(())
    }

    /// The loop's set, added as `from`, is behind `to` as well, and `from` will be closed. A
    /// registration is found by the number that it was made with. (Where there is no memory for
    /// another one, the first stays, and the set cannot be muted.)
    pub fn renumber(&mut self, from: RawFd, to: RawFd) {
        self.muted = false;
        if self.add(to).is_ok() {
            let _ = self.control(libc::EPOLL_CTL_DEL, from, 0);
        }
    }

    /// Stops reporting events of the loop's set, or reports them again.
    pub fn mute(&mut self, set: RawFd, muted: bool) {
        let events = if muted { 0 } else { libc::EPOLLIN as u32 };
        if muted != self.muted && self.control(libc::EPOLL_CTL_MOD, set, events).is_ok() {
            self.muted = muted;
        }
    }

    pub fn announce(&mut self, left: bool, deadline: u64) -> Result<()> {
        let armed = self.arm(deadline);
        // A host that cannot be woken in time comes to see.
        self.say(left || armed.is_err()).and(armed)
    }

    fn say(&mut self, left: bool) -> Result<()> {
        if left != self.is_left {
            let mut bytes = 1u64.to_ne_bytes();
            let fd = self.left.as_raw_fd();
            // SAFETY: eight bytes from or to an eventfd of ours.
            let written = uninterrupted(|| unsafe {
                match left {
                    true => libc::write(fd, bytes.as_ptr().cast(), bytes.len()) as libc::c_int,
                    false => libc::read(fd, bytes.as_mut_ptr().cast(), bytes.len()) as libc::c_int,
                }
            });
            // EAGAIN: nothing to read any more, or as much as can be written.
            written.map(drop).or_else(|error| if error.is_os(libc::EAGAIN) { Ok(()) } else { Err(error) })?;
            self.is_left = left;
        }
        Ok(())
    }

    fn arm(&mut self, deadline: u64) -> Result<()> {
        if deadline != self.armed {
            let value = if deadline == u64::MAX { 0 } else { deadline.max(1) };
            let setting = libc::itimerspec { it_interval: to_timespec(0), it_value: to_timespec(value) };
            let (timer, absolute) = (self.timer.as_raw_fd(), libc::TFD_TIMER_ABSTIME);
            // SAFETY: the kernel reads one setting and, with a null pointer, writes none.
            check(unsafe { libc::timerfd_settime(timer, absolute, &setting, std::ptr::null_mut()) })?;
            self.armed = deadline;
        }
        Ok(())
    }

    /// In a forked child: descriptors of its own under the same numbers.
    pub fn after_fork(&mut self) -> Result<()> {
        let fresh = HostSet::new()?;
        for (old, new) in [(&self.left, &fresh.left), (&self.timer, &fresh.timer)] {
            replace_fd(old.as_raw_fd(), new.as_raw_fd())?;
        }
        // The fresh set holds the files that are behind the old numbers now.
        replace_fd(self.fd(), fresh.fd())?;
        (self.is_left, self.armed, self.muted) = (false, u64::MAX, false);
        Ok(())
    }
}
