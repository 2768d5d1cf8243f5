//! Linux: an epoll set, an eventfd to be woken, a timerfd for the last microseconds.
//!
//! mio makes and owns the set. Registrations and waits go to it directly: mio registers
//! edge-triggered only, waits in whole milliseconds, and its events do not distinguish
//! `EPOLLHUP` from `EPOLLRDHUP` or `EPOLLIN` from `EPOLLPRI`, as the interface promises to.
//!
//! Waiting exactly: `epoll_pwait2` takes nanoseconds, but the kernel lets it sleep
//! longer by the thread's timer slack (50 us), or by a thousandth of the time if that is
//! more. So it is asked to wait shorter by this, and ends within (deadline - slack,
//! deadline]: in one system call, later than the deadline only by the time a wake-up takes
//! (measured: 14 us; a timerfd 21 us, and a call more for each deadline; without the
//! correction 74 us, and 4 ms for a wait of 4 s). Only when less than the slack is left does
//! a timerfd take over, which has none.

use super::host_set::HostSet;
use super::lineage::{self, Known, Removals};
use super::orphans::Orphans;
use crate::error::{Error, Result};
use crate::sys::thread;
use crate::sys::{self, Change, Event, FileId, Registered, Timeout, Updated, What};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

const BITS: [(u32, u32); 6] = [
    (sys::READABLE, libc::EPOLLIN as u32),
    (sys::WRITABLE, libc::EPOLLOUT as u32),
    (sys::PRIORITY, libc::EPOLLPRI as u32),
    (sys::HANGUP, libc::EPOLLHUP as u32),
    (sys::ERROR, libc::EPOLLERR as u32),
    (sys::READ_CLOSED, libc::EPOLLRDHUP as u32),
];

const WAKER_TOKEN: u64 = u64::MAX;
const TIMER_TOKEN: u64 = u64::MAX - 1;
/// A shorter rest is left to the timerfd.
const SHORTEST_PWAIT: u64 = 5_000;
/// How many events there is room for at first.
const FIRST_EVENTS: usize = 1024;
/// A wait that finds all there is and the poller's own descriptors has one place left.
const OWN_EVENTS: usize = 3;

/// Ends a wait from another thread or a signal handler. An eventfd of our own, made
/// with the set, so that waking cannot fail later.
pub struct Waker(OwnedFd);

impl Waker {
    fn new() -> Result<Waker> {
        Ok(Waker(above_standard(new_eventfd)?))
    }

    /// In a forked child: an eventfd of its own under the same number. The parent's lives on
    /// in the parent.
    pub fn renew(&self) -> Result<()> {
        replace_fd(self.0.as_raw_fd(), new_eventfd()?.as_raw_fd())
    }

    /// Async-signal-safe, and leaves `errno` as it was. Fails only when 2^64 wake-ups
    /// are pending, and then there is one.
    pub fn wake(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: eight bytes to a descriptor that lives as long as `self`; `errno` is
        // this thread's own.
        unsafe {
            let errno = *libc::__errno_location();
            let fd = self.0.as_raw_fd();
            let _ = uninterrupted(|| libc::write(fd, one.as_ptr().cast(), one.len()) as libc::c_int);
            *libc::__errno_location() = errno;
        }
    }
}

pub struct Poller {
    set: mio::Poll,
    waker: RawFd,
    /// For waits that are shorter than the timer slack. Made with the set, so that it never takes
    /// a number that the user has closed; added to it by the first such wait.
    timer: OwnedFd,
    is_timer_added: bool,
    removals: Removals,
    pub(super) orphans: Orphans,
    /// As long as what one wait may find; grows with the number of descriptors.
    found: Vec<libc::epoll_event>,
    /// It does not grow beyond this by itself.
    max_events: usize,
    count: usize,
    /// The slack of the thread that waited last.
    slack: u64,
    slack_of: usize,
    /// Set the thread's slack to its minimum during a wait.
    without_slack: bool,
    has_pwait2: bool,
    /// For hosts that wait for one descriptor; made when one asks for it.
    host_set: Option<HostSet>,
}

/// Makes one of the library's own descriptors, above the standard ones: a process that was
/// started without these may open them at any time, by their numbers.
pub(super) fn above_standard<T: AsRawFd>(make: fn() -> Result<T>) -> Result<T> {
    let made = make()?;
    match made.as_raw_fd() {
        // It is closed when a higher one has been found.
        ..=libc::STDERR_FILENO => above_standard(make),
        _ => Ok(made),
    }
}

pub(super) fn new_set() -> Result<mio::Poll> {
    Ok(mio::Poll::new()?)
}

pub(super) fn new_eventfd() -> Result<OwnedFd> {
    // SAFETY: makes a descriptor, which nobody else owns.
    unsafe {
        let fd = libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC);
        check(fd)?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

pub(super) fn new_timerfd() -> Result<OwnedFd> {
    // SAFETY: makes a descriptor, which nobody else owns.
    unsafe {
        let fd = libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC);
        check(fd)?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Puts the file of `new` under the number `old`.
pub(super) fn replace_fd(old: RawFd, new: RawFd) -> Result<()> {
    // SAFETY: both are open and ours.
    uninterrupted(|| unsafe { libc::dup3(new, old, libc::O_CLOEXEC) })?;
    Ok(())
}

pub(super) fn check(result: libc::c_int) -> Result<libc::c_int> {
    match result {
        -1 => Err(Error::last_os()),
        result => Ok(result),
    }
}

/// Makes a system call until no signal interrupts it.
pub(super) fn uninterrupted(mut call: impl FnMut() -> libc::c_int) -> Result<libc::c_int> {
    loop {
        match check(call()) {
            Err(error) if error.is_os(libc::EINTR) => {}
            result => return result,
        }
    }
}

/// The kernel's bits for each set of ours.
const TO_KERNEL: [u32; 64] = {
    let mut table = [0; 64];
    let mut events = 0;
    while events < 64 {
        let mut bit = 0;
        while bit < BITS.len() {
            if events as u32 & BITS[bit].0 != 0 {
                table[events] |= BITS[bit].1;
            }
            bit += 1;
        }
        events += 1;
    }
    table
};

/// The lower five bits of the kernel's are permuted; `EPOLLRDHUP` stands apart.
const FROM_KERNEL: [u8; 32] = {
    let mut table = [0; 32];
    let mut events = 0;
    while events < 64 {
        if TO_KERNEL[events] < 32 {
            table[TO_KERNEL[events] as usize] = events as u8;
        }
        events += 1;
    }
    table
};

#[inline]
fn to_kernel(events: u32) -> u32 {
    let edge = if events & sys::EDGE != 0 { libc::EPOLLET as u32 } else { 0 };
    TO_KERNEL[events as usize % 64] | edge
}

#[inline]
fn from_kernel(events: u32) -> u32 {
    let half_closed = if events & libc::EPOLLRDHUP as u32 != 0 { sys::READ_CLOSED } else { 0 };
    u32::from(FROM_KERNEL[events as usize % 32]) | half_closed
}

impl Poller {
    /// At most `max_events` are found by one wait.
    pub fn new(max_events: usize, without_slack: bool) -> Result<(Poller, Waker)> {
        let mut found = Vec::new();
        add_room(&mut found, max_events.min(FIRST_EVENTS))?;
        let waker = Waker::new()?;
        let poller = Poller {
            set: above_standard(new_set)?,
            waker: waker.0.as_raw_fd(),
            timer: above_standard(new_timerfd)?,
            is_timer_added: false,
            removals: Removals::new(),
            orphans: Orphans::new(),
            found,
            max_events,
            count: 0,
            slack: 0,
            slack_of: 0,
            without_slack,
            has_pwait2: true,
            host_set: None,
        };
        poller.add_own(poller.waker, WAKER_TOKEN)?;
        Ok((poller, waker))
    }

    /// Edge-triggered: a wake-up is reported once and needs no read.
    fn add_own(&self, fd: RawFd, token: u64) -> Result<()> {
        control(&self.set, own(fd, token))
    }

    /// Registers the file behind a number. Fails when there is none, or for want of something.
    #[inline]
    pub fn register(&self, addition: Change) -> Result<Registered> {
        match self.change(addition) {
            Ok(()) => Ok(Registered::New),
            Err(error) if error.is_os(libc::EEXIST) => Ok(Registered::Same),
            Err(error) if error.is_os(libc::EPERM) => Ok(Registered::Unwatchable),
            Err(error) => Err(error),
        }
    }

    /// Changes a registration, or makes it (again). Fails for want of something, and nothing has
    /// changed then.
    pub fn update(&self, change: Change) -> Result<Updated> {
        let mut changed = self.change(change);
        if changed.is_err_and(|error| error.is_os(libc::EEXIST)) {
            changed = self.change(Change { what: What::Modify, ..change });
        }
        match changed {
            Ok(()) => Ok(Updated::Done),
            Err(error) if error.is_shortage() => Err(error),
            Err(error) => Ok(Updated::Gone(error)),
        }
    }

    fn change(&self, change: Change) -> Result<()> {
        control(&self.set, change)
    }

    /// Removes a registration that a forked child may have inherited.
    #[inline]
    pub fn remove(&self, registration: Change) -> Result<()> {
        self.removals.count();
        self.change(registration)
    }

    /// Returns whether the file behind the number is still the one that is registered. `change` is what
    /// would add it. (Unlike a modification, asking this way does not report an old edge again.)
    /// Fails if the system has no memory to find out.
    pub fn is_registered(&self, change: Change) -> Result<bool> {
        match self.change(change) {
            Err(error) if error.is_shortage() => Err(error),
            Err(error) => Ok(error.is_os(libc::EEXIST)),
            Ok(()) => {
                // Another file by now, which nobody wants to watch.
                let _ = self.change(Change { what: What::Remove, ..change });
                Ok(false)
            }
        }
    }

    /// The file behind a number.
    pub fn file(&self, fd: RawFd) -> Result<FileId> {
        let mut status = std::mem::MaybeUninit::<libc::stat>::uninit();
        // SAFETY: the kernel writes one status, which is read only if it has.
        unsafe {
            // (The system call: the C library's function is one of glibc 2.33.)
            check(libc::syscall(libc::SYS_fstat, fd, status.as_mut_ptr()) as libc::c_int)?;
            let status = status.assume_init();
            Ok(FileId { device: status.st_dev, number: status.st_ino })
        }
    }

    /// Returns which of `events` a descriptor has right now; asks for this one alone.
    pub fn look(&self, fd: RawFd, events: u32) -> u32 {
        // The bits of poll(2) are those of epoll.
        let mut entry = libc::pollfd { fd, events: to_kernel(events) as i16, revents: 0 };
        // SAFETY: the kernel reads and writes one entry.
        match unsafe { libc::poll(&mut entry, 1, 0) } {
            1 => from_kernel(entry.revents as u16 as u32),
            _ => 0,
        }
    }

    /// Returns whether the last wait found nothing.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns whether the last wait found as much as there is room for, and so perhaps not all.
    pub fn is_full(&self) -> bool {
        self.count == self.found.len()
    }

    /// So many descriptors may be registered soon.
    #[cold]
    #[inline(never)]
    pub fn expect(&mut self, registered: usize) {
        self.make_room(registered, self.max_events);
    }

    /// The next wait finds all that `registered` descriptors report, or `wanted` events if that is
    /// less; fewer if there is no memory for it.
    pub fn make_room(&mut self, registered: usize, wanted: usize) {
        let (room, needed) = (self.found.len(), registered.saturating_add(OWN_EVENTS).min(wanted));
        if needed > room {
            let _ = add_room(&mut self.found, needed.max(2 * room).min(wanted));
        }
    }

    /// Starts over with a set that holds the poller's own descriptors and these registrations. Nothing
    /// has changed when it fails.
    pub(super) fn renew(&mut self, registrations: &[Change]) -> Result<()> {
        let fresh = new_set()?;
        control(&fresh, own(self.waker, WAKER_TOKEN))?;
        if self.is_timer_added {
            control(&fresh, own(self.timer.as_raw_fd(), TIMER_TOKEN))?;
        }
        for change in registrations {
            control(&fresh, *change)?;
        }
        // The last that may fail comes before anything changes.
        if let Some(host_set) = &self.host_set {
            host_set.add(fresh.as_raw_fd())?;
        }
        // Under the old number: the fresh number may be one that the user has just closed and expects
        // to be free. Closing the old set removes it from the host set.
        replace_fd(self.set.as_raw_fd(), fresh.as_raw_fd())?;
        if let Some(host_set) = &mut self.host_set {
            host_set.renumber(fresh.as_raw_fd(), self.set.as_raw_fd());
        }
        self.count = 0;
        self.removals.forget_others();
        Ok(())
    }

    /// In a forked child, before [`Poller::after_fork`]: returns whether the number still means the
    /// file that was registered. `change` is what would add it.
    pub fn is_inherited(&self, change: Change) -> bool {
        match lineage::compare(self.set.as_raw_fd(), change.fd) {
            Known::Same => true,
            Known::Other => false,
            // Closed before the fork, or removed after it by the parent, who has no use for it.
            Known::Nothing => self.may_be_inherited(change),
            Known::Unknown => {
                // An ADD that the parent takes no notice of, and that is taken back at once.
                self.is_registered(own(change.fd, TIMER_TOKEN)) == Ok(true) || self.may_be_inherited(change)
            }
        }
    }

    /// Returns whether the parent may have removed the registration, and the number means a file
    /// that can be registered. (A set that is made for this tells.)
    fn may_be_inherited(&self, change: Change) -> bool {
        let can_be_registered = || new_set().is_ok_and(|probe| control(&probe, change).is_ok());
        self.removals.may_be_others() && can_be_registered()
    }

    /// In a forked child, after [`Waker::renew`]: sets of its own, with these registrations. The
    /// parent's are only closed, which the parent does not notice. When it fails it may be
    /// called again.
    pub fn after_fork(&mut self, registrations: &[Change]) -> Result<()> {
        replace_fd(self.timer.as_raw_fd(), new_timerfd()?.as_raw_fd())?;
        self.is_timer_added = false;
        self.slack_of = 0;
        if let Some(host_set) = &mut self.host_set {
            host_set.after_fork()?;
        }
        self.renew(registrations)
    }

    /// The descriptor for hosts: readable when there are events in the set, and when
    /// [`Poller::announce`] said that there is something to do or that it is time.
    pub fn embed(&mut self) -> Result<RawFd> {
        if self.host_set.is_none() {
            let host_set = HostSet::new()?;
            host_set.add(self.set.as_raw_fd())?;
            self.host_set = Some(host_set);
        }
        Ok(self.host_set.as_ref().map_or(-1, HostSet::fd))
    }

    /// Sets the host's descriptor to whether work is left now, and to when a timer is due on
    /// `CLOCK_MONOTONIC` (`u64::MAX`: never). Makes no system call if neither has changed.
    pub fn announce(&mut self, left: bool, deadline: u64) -> Result<()> {
        match &mut self.host_set {
            Some(host_set) => host_set.announce(left, deadline),
            None => Ok(()),
        }
    }

    /// The numbers that [`Poller::embed`] has taken.
    pub fn host_numbers(&self) -> [RawFd; 3] {
        self.host_set.as_ref().map_or([-1; 3], HostSet::numbers)
    }

    /// While muted, the host's descriptor is not readable for events in the set.
    pub fn mute(&mut self, muted: bool) {
        if let Some(host_set) = &mut self.host_set {
            host_set.mute(self.set.as_raw_fd(), muted);
        }
    }

    /// Returns whether this is one of the poller's own descriptors.
    pub fn owns(&self, fd: RawFd) -> bool {
        fd == self.waker
            || fd == self.set.as_raw_fd()
            || fd == self.timer.as_raw_fd()
            || self.host_set.as_ref().is_some_and(|host_set| host_set.owns(fd))
    }

    pub fn wait(&mut self, timeout: Timeout) -> Result<()> {
        self.count = 0;
        let count = match timeout {
            Timeout::Poll => self.wait_ms(0),
            Timeout::Forever => self.wait_ms(-1),
            Timeout::For(ns) if self.without_slack => self.wait_without_slack(ns),
            Timeout::For(ns) => self.wait_ns(ns),
        }?;
        self.count = count as usize;
        Ok(())
    }

    /// Waits without looking at the set, for so long or until a signal comes (`EINTR`).
    pub(super) fn sleep(&self, ns: u64) -> Result<()> {
        let time = to_timespec(ns);
        // SAFETY: the kernel reads one timespec and, with a null pointer, writes none.
        check(unsafe { libc::nanosleep(&time, std::ptr::null_mut()) })?;
        Ok(())
    }

    fn wait_ms(&mut self, ms: libc::c_int) -> Result<libc::c_int> {
        let (found, size) = (self.found.as_mut_ptr(), self.found.len() as libc::c_int);
        // SAFETY: the kernel writes at most `size` events.
        check(unsafe { libc::epoll_wait(self.set.as_raw_fd(), found, size, ms) })
    }

    fn wait_ns(&mut self, ns: u64) -> Result<libc::c_int> {
        let slack = self.slack().max(thousandth(ns));
        match ns.checked_sub(slack) {
            Some(shorter) if shorter >= SHORTEST_PWAIT => self.pwait2(shorter),
            _ => self.wait_by_timer(ns),
        }
    }

    fn pwait2(&mut self, ns: u64) -> Result<libc::c_int> {
        if self.has_pwait2 {
            let timeout = to_timespec(ns);
            let (found, size) = (self.found.as_mut_ptr(), self.found.len() as libc::c_int);
            // SAFETY: the kernel reads one timespec and writes at most `size` events; with
            // no signal mask its size is not looked at.
            let count = unsafe {
                libc::syscall(
                    libc::SYS_epoll_pwait2,
                    self.set.as_raw_fd(),
                    found,
                    size,
                    &raw const timeout,
                    std::ptr::null::<libc::sigset_t>(),
                    0usize,
                )
            };
            match check(count as libc::c_int) {
                // Before Linux 5.11, or behind a filter that does not know it.
                Err(error) if error.is_os(libc::ENOSYS) || error.is_os(libc::EPERM) => {
                    self.has_pwait2 = false
                }
                result => return result,
            }
        }
        // Whole milliseconds as far as they go, and the timer for the rest.
        match i32::try_from(ns / 1_000_000).unwrap_or(i32::MAX) {
            0 => self.wait_by_timer(ns),
            ms => self.wait_ms(ms),
        }
    }

    fn wait_without_slack(&mut self, ns: u64) -> Result<libc::c_int> {
        // One that is not known could not be set back.
        let Some(slack) = ask_slack() else { return self.wait_by_timer(ns) };
        set_slack(1);
        let result = self.pwait2(ns - thousandth(ns));
        set_slack(slack);
        self.slack_of = 0;
        result
    }

    /// What the kernel adds to a sleep of this thread, asked once per thread.
    fn slack(&mut self) -> u64 {
        let thread = thread::current();
        if self.slack_of != thread {
            // Unless it is known, only the timerfd is exact.
            self.slack = ask_slack().unwrap_or(u64::MAX);
            self.slack_of = thread;
        }
        self.slack
    }

    fn wait_by_timer(&mut self, ns: u64) -> Result<libc::c_int> {
        let timer = self.timer.as_raw_fd();
        if !self.is_timer_added {
            // Where the set takes no more: later by the slack, or by a millisecond.
            match self.add_own(timer, TIMER_TOKEN) {
                Ok(()) => self.is_timer_added = true,
                Err(_) if self.has_pwait2 => return self.pwait2(ns),
                Err(_) => return self.wait_ms(1),
            }
        }
        let zero = to_timespec(0);
        let setting = libc::itimerspec { it_interval: zero, it_value: to_timespec(ns.max(1)) };
        // SAFETY: the kernel reads one setting and, with a null pointer, writes none.
        check(unsafe { libc::timerfd_settime(timer, 0, &setting, std::ptr::null_mut()) })?;
        self.wait_ms(-1)
    }

    /// What the last wait found, but for the poller's own descriptors.
    pub fn events(&self) -> impl Iterator<Item = Event> + '_ {
        let own = |token| token == WAKER_TOKEN || token == TIMER_TOKEN;
        let found = self.found[..self.count].iter().filter(move |event| !own(event.u64));
        found.map(|event| Event { token: event.u64, events: from_kernel(event.events) })
    }
}

/// Room for `size` events, if there is less.
fn add_room(found: &mut Vec<libc::epoll_event>, size: usize) -> Result<()> {
    if size > found.len() {
        found.try_reserve_exact(size - found.len())?;
        found.resize(size, libc::epoll_event { events: 0, u64: 0 });
    }
    Ok(())
}

fn own(fd: RawFd, token: u64) -> Change {
    Change { fd, what: What::Add, events: sys::READABLE | sys::EDGE, token }
}

#[inline(always)] // in the one place that counts
fn control(set: &mio::Poll, change: Change) -> Result<()> {
    let operation = match change.what {
        What::Add => libc::EPOLL_CTL_ADD,
        What::Modify => libc::EPOLL_CTL_MOD,
        What::Remove => libc::EPOLL_CTL_DEL,
    };
    let mut event = libc::epoll_event { events: to_kernel(change.events), u64: change.token };
    // SAFETY: the kernel reads one event, and says so when `fd` is none.
    check(unsafe { libc::epoll_ctl(set.as_raw_fd(), operation, change.fd, &mut event) })?;
    Ok(())
}

/// What the calling thread has used of the CPU, in nanoseconds.
pub(super) fn cpu_time() -> u64 {
    let mut time = to_timespec(0);
    // SAFETY: the kernel writes one timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// What the kernel adds to a sleep whatever the thread's slack (100 ms at the most; to one of a
/// niced process it adds more).
fn thousandth(ns: u64) -> u64 {
    (ns / 1000).min(100_000_000)
}

/// The slack of the calling thread. `None`: unknown, or more than an `int` can hold.
fn ask_slack() -> Option<u64> {
    // SAFETY: asks for a property of this thread.
    u64::try_from(unsafe { libc::prctl(libc::PR_GET_TIMERSLACK) }).ok()
}

fn set_slack(ns: u64) {
    // SAFETY: changes a property of this thread.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, ns as libc::c_ulong) };
}

pub(super) fn to_timespec(ns: u64) -> libc::timespec {
    libc::timespec {
        tv_sec: (ns / 1_000_000_000) as libc::time_t,
        tv_nsec: (ns % 1_000_000_000) as libc::c_long,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::clock::monotonic;

    /// Every way to wait ends at the time, not a slack before or a millisecond after.
    fn waits_well(poller: &mut Poller) {
        for ns in [1, 20_000, 60_000, 400_000, 3_700_000] {
            let end = monotonic() + ns;
            let mut waits = 0;
            while let left @ 1.. = end.saturating_sub(monotonic()) {
                poller.wait(Timeout::For(left)).unwrap();
                assert_eq!(poller.events().count(), 0);
                waits += 1;
            }
            assert!(waits <= 10, "{waits} waits for {ns} ns");
        }
    }

    #[test]
    fn with_the_slack_of_the_thread() {
        waits_well(&mut Poller::new(8, false).unwrap().0);
    }

    #[test]
    fn without_slack() {
        let (mut poller, _waker) = Poller::new(8, true).unwrap();
        waits_well(&mut poller);
        // SAFETY: asks for a property of this thread.
        assert!(unsafe { libc::prctl(libc::PR_GET_TIMERSLACK) } > 1, "the slack was set back");
    }

    #[test]
    fn on_a_kernel_without_epoll_pwait2() {
        let (mut poller, _waker) = Poller::new(8, false).unwrap();
        poller.has_pwait2 = false;
        waits_well(&mut poller);
    }

    #[test]
    fn a_wake_up_ends_a_wait_once() {
        let (mut poller, waker) = Poller::new(8, false).unwrap();
        waker.wake();
        waker.wake();
        poller.wait(Timeout::Forever).unwrap();
        assert_eq!(poller.events().count(), 0);
        poller.wait(Timeout::Poll).unwrap();
        assert_eq!(poller.count, 0);
        waker.wake();
        poller.renew(&[]).unwrap();
        poller.wait(Timeout::Forever).unwrap();
    }

    #[test]
    fn bits_survive_the_trip_to_the_kernel_and_back() {
        for bits in 0..64 {
            assert_eq!(from_kernel(to_kernel(bits)), bits);
        }
    }

    #[test]
    fn events_are_translated_bit_by_bit() {
        for events in 0..64 {
            let theirs =
                BITS.iter().filter(|(ours, _)| events & ours != 0).fold(0, |all, (_, bit)| all | bit);
            assert_eq!(to_kernel(events), theirs);
            assert_eq!(to_kernel(events | sys::EDGE), theirs | libc::EPOLLET as u32);
            assert_eq!(from_kernel(theirs), events);
            assert_eq!(from_kernel(theirs | libc::EPOLLRDNORM as u32 | libc::EPOLLMSG as u32), events);
        }
    }
}
