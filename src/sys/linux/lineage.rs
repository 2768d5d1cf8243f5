//! Linux: what a forked child can find out about the epoll set that it has inherited.
//!
//! The set of a forked child is its parent's: what the child changes in it is changed for
//! the parent. So the child only asks, with kcmp(2) (`KCMP_EPOLL_TFD`), whether the file behind
//! a number is the one that was registered under it.
//!
//! A registration that is missing was removed by the kernel, because its file was closed
//! before the fork, or by the parent's DEL after it. To distinguish these, every DEL is
//! counted twice: in this process's memory and in a page that is shared with forked
//! children. As long as both counts are equal, nobody else has removed anything.

use std::cell::Cell;
use std::os::fd::RawFd;
use std::sync::Once;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// Each poller counts in a cache line of its own.
const LINE: usize = 64;
const LINES: usize = 64;
const KCMP_EPOLL_TFD: libc::c_int = 7;

static PAGE: AtomicPtr<[Line; LINES]> = AtomicPtr::new(std::ptr::null_mut());
static PAGE_IS_MADE: Once = Once::new();
/// The lines that are in use, one bit each.
static TAKEN: AtomicU64 = AtomicU64::new(0);

#[repr(align(64))]
struct Line(AtomicU64);

/// Counts the registrations that a poller has removed.
pub struct Removals {
    shared: &'static AtomicU64,
    own: Cell<u64>,
    /// `None`: all lines are in use, or there was no memory. Then nothing is known.
    line: Option<usize>,
}

/// What a set knows about the file behind a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Known {
    /// It is registered under this number.
    Same,
    /// Another file is registered under this number.
    Other,
    /// No file is registered under this number.
    Nothing,
    /// The system does not say.
    Unknown,
}

impl Removals {
    pub fn new() -> Removals {
        PAGE_IS_MADE.call_once(|| PAGE.store(make_page(), Ordering::Relaxed));
        static NOWHERE: Line = Line(AtomicU64::new(0));
        let place = page().and_then(|page| take_line().map(|line| (&page[line].0, line)));
        let (shared, line) = match place {
            Some((shared, line)) => (shared, Some(line)),
            None => (&NOWHERE.0, None),
        };
        let removals = Removals { shared, own: Cell::new(0), line };
        removals.forget_others();
        removals
    }

    /// Before a registration is removed.
    #[inline]
    pub fn count(&self) {
        // SeqCst: a child that misses the registration must see the count.
        self.shared.fetch_add(1, Ordering::SeqCst);
        self.own.set(self.own.get().wrapping_add(1));
    }

    /// Returns whether another process may have removed a registration from this set.
    pub fn may_be_others(&self) -> bool {
        self.line.is_none() || self.shared.load(Ordering::SeqCst) != self.own.get()
    }

    /// The set is a new one, which no other process has changed.
    pub fn forget_others(&self) {
        self.own.set(self.shared.load(Ordering::SeqCst));
    }
}

impl Drop for Removals {
    fn drop(&mut self) {
        if let Some(line) = self.line {
            TAKEN.fetch_and(!(1 << line), Ordering::Relaxed);
        }
    }
}

fn page() -> Option<&'static [Line; LINES]> {
    // SAFETY: null, or a mapping that is never taken back.
    unsafe { PAGE.load(Ordering::Relaxed).as_ref() }
}

fn take_line() -> Option<usize> {
    let mut line = None;
    let _ = TAKEN.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
        line = (taken != u64::MAX).then(|| taken.trailing_ones() as usize);
        Some(taken | 1 << line?)
    });
    line
}

fn make_page() -> *mut [Line; LINES] {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: a fresh mapping, filled with zeros.
    match unsafe { libc::mmap(std::ptr::null_mut(), LINES * LINE, protection, flags, -1, 0) } {
        libc::MAP_FAILED => std::ptr::null_mut(),
        page => page.cast(),
    }
}

/// Asks a set about the file behind `fd`, and changes nothing in it.
pub fn compare(set: RawFd, fd: RawFd) -> Known {
    let mut known = Known::Nothing;
    // More than one file may be registered under a number: those of files that were closed here,
    // and live on in a duplicate, stay.
    for offset in 0.. {
        let place: [u32; 3] = [set as u32, fd as u32, offset];
        // SAFETY: the kernel reads three numbers.
        let result = unsafe {
            let me = libc::getpid();
            libc::syscall(libc::SYS_kcmp, me, me, KCMP_EPOLL_TFD, fd, place.as_ptr())
        };
        match result {
            0 => return Known::Same,
            1.. => known = Known::Other,
            _ if std::io::Error::last_os_error().raw_os_error() == Some(libc::ENOENT) => break,
            _ => return Known::Unknown,
        }
    }
    known
}
