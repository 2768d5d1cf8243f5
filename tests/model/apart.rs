//! Work in a process of its own, which may hang or crash.

use std::io::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    Well,
    /// It said so, or panicked.
    Badly,
    /// By a signal.
    Killed(i32),
}

/// Does the work in a child, which starts with as much patience and may ask for `more_patience`.
pub fn apart(seconds: u32, work: impl FnOnce() -> bool) -> Ended {
    // SAFETY: the child has this thread alone, and ends without running anything of the parent's.
    match unsafe { libc::fork() } {
        0 => {
            more_patience(seconds);
            let is_well = catch_unwind(AssertUnwindSafe(work)).unwrap_or(false);
            // SAFETY: ends the process.
            unsafe { libc::_exit(i32::from(!is_well)) }
        }
        child => wait_for(child),
    }
}

/// From now on a child has so many seconds, then it is killed by SIGALRM.
pub fn more_patience(seconds: u32) {
    // SAFETY: takes a number.
    unsafe { libc::alarm(seconds) };
}

pub fn wait_for(child: libc::pid_t) -> Ended {
    let mut status = 0;
    // SAFETY: a place for a number.
    while unsafe { libc::waitpid(child, &mut status, 0) } != child {
        let error = Error::last_os_error();
        assert_eq!(error.raw_os_error(), Some(libc::EINTR), "no child: {error}");
    }
    match status {
        _ if libc::WIFSIGNALED(status) => Ended::Killed(libc::WTERMSIG(status)),
        0 => Ended::Well,
        _ => Ended::Badly,
    }
}

/// Numbers that a child and its parent both see.
pub fn shared_numbers<T>() -> &'static T
where
    T: Sync,
{
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
    assert!(size_of::<T>() <= 4096);
    // SAFETY: new memory, all zeros, which nobody gives back.
    unsafe {
        let page = libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0);
        assert_ne!(page, libc::MAP_FAILED, "{}", Error::last_os_error());
        &*page.cast()
    }
}
