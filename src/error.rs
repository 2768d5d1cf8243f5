//! Error codes: what every function returns when it refuses.
//!
//! An error is one number: `-errno` for an error of the system, a number from
//! -20001 down for one that the library itself found. [`Error`] is that number with a
//! type; the tables below are the only place where a code, its name and
//! its explanation meet.

use std::ffi::CStr;
use std::fmt;

/// A negative error code of the C interface.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Error(i32);

/// The result of everything that can be refused.
pub type Result<T> = std::result::Result<T, Error>;

macro_rules! own_errors {
    ($($constant:ident $code:literal $name:literal $text:literal)*) => {
        impl Error {
            $(#[doc = concat!($name, ": ", $text, ".")]
              pub const $constant: Error = Error($code);)*
        }
        const OWN: &[(i32, &CStr, &CStr)] = &[$(($code, as_cstr(concat!($name, "\0")), as_cstr(concat!($text, "\0")))),*];
    };
}

own_errors! {
    NULL -20001 "LOOP_ENULL" "the loop, or another pointer that is needed, is NULL"
    NO_CALLBACK -20002 "LOOP_ENOCALLBACK" "the callback is NULL"
    STALE -20003 "LOOP_ESTALE" "the handle is finished, or was never given out by this loop"
    KIND -20004 "LOOP_EKIND" "the handle is of another kind of source"
    MASK -20005 "LOOP_EMASK" "unknown bits in an event mask"
    OPTIONS -20006 "LOOP_EOPTIONS" "unknown option flags, a size too small, or a part that must be zero is not"
    WRONG_THREAD -20007 "LOOP_EWRONGTHREAD" "another thread runs this loop, or it is bound to another thread"
    BUSY -20008 "LOOP_EBUSY" "an edge-triggered watcher shares its descriptor with no other"
    PULL -20009 "LOOP_EPULL" "a loop in pull mode is driven by loop_next_events alone, and other loops by the run functions"
    FORKED -20010 "LOOP_EFORKED" "this process is a forked child, and the loop is its parent's"
    CLOSED -20011 "LOOP_ECLOSED" "the loop has been freed"
    PANIC -20012 "LOOP_EPANIC" "a bug inside the library was caught; only loop_free works now"
    LIMIT -20013 "LOOP_ELIMIT" "more sources or nested runs than a loop can number"
    CLOCK -20014 "LOOP_ECLOCK" "the loop's clock is the system's and cannot be advanced"
}

macro_rules! os_errors {
    ($($name:ident $text:literal)*) => {
        const OS: &[(i32, &CStr, &CStr)] = &[$((-libc::$name, as_cstr(concat!(stringify!($name), "\0")), as_cstr(concat!($text, "\0")))),*];
    };
}

// What the system calls of the library, and those round a user's socket, answer.
os_errors! {
    EPERM "operation not permitted, or a descriptor that cannot be waited for"
    ENOENT "no such file or directory"
    ESRCH "no such process"
    EINTR "interrupted by a signal"
    EIO "input or output error"
    ENXIO "no such device or address"
    E2BIG "argument list too long"
    EBADF "bad file descriptor: negative, closed, or never opened"
    ECHILD "no child processes"
    EAGAIN "would block, try again"
    ENOMEM "out of memory"
    EACCES "permission denied"
    EFAULT "bad address"
    EBUSY "device or resource busy"
    EEXIST "exists already"
    ENODEV "no such device"
    ENOTDIR "not a directory"
    EISDIR "is a directory"
    EINVAL "invalid argument"
    ENFILE "too many open files in the system"
    EMFILE "too many open files in this process"
    ENOTTY "not a terminal"
    EFBIG "file too large"
    ENOSPC "no space left, or the limit of watched descriptors is reached"
    ESPIPE "cannot seek"
    EROFS "read-only file system"
    EPIPE "broken pipe"
    EDOM "argument out of domain"
    ERANGE "result out of range"
    EDEADLK "would wait for itself for ever"
    ENAMETOOLONG "name too long"
    ENOSYS "function not implemented by this system"
    ELOOP "too many levels of symbolic links, or of nested sets of descriptors"
    EPROTO "protocol error"
    EOVERFLOW "value too large"
    ENOTSOCK "not a socket"
    EDESTADDRREQ "destination address required"
    EMSGSIZE "message too long"
    EPROTOTYPE "wrong protocol for this socket"
    ENOPROTOOPT "protocol option not available"
    EPROTONOSUPPORT "protocol not supported"
    EOPNOTSUPP "operation not supported"
    EAFNOSUPPORT "address family not supported"
    EADDRINUSE "address already in use"
    EADDRNOTAVAIL "address not available"
    ENETDOWN "network is down"
    ENETUNREACH "network is unreachable"
    ENETRESET "connection aborted by the network"
    ECONNABORTED "connection aborted"
    ECONNRESET "connection reset by the peer"
    ENOBUFS "no buffer space"
    EISCONN "already connected"
    ENOTCONN "not connected"
    ETIMEDOUT "timed out"
    ECONNREFUSED "connection refused"
    EHOSTUNREACH "no route to the host"
    EALREADY "already in progress"
    EINPROGRESS "now in progress"
    ECANCELED "cancelled"
}

const fn as_cstr(text: &str) -> &CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(text) => text,
        Err(_) => panic!("a text of the tables ends in its only NUL"),
    }
}

impl Error {
    /// Out of memory, as the system would say it.
    pub const NO_MEMORY: Error = Error(-libc::ENOMEM);
    /// A signal ended a wait.
    pub const INTERRUPTED: Error = Error(-libc::EINTR);
    /// A deadline came first.
    pub const TIMED_OUT: Error = Error(-libc::ETIMEDOUT);
    /// An argument that no call accepts: interval 0, an unknown hook or policy.
    pub const INVALID: Error = Error(-libc::EINVAL);
    /// A wake hook that would wait for its own end.
    pub const DEADLOCK: Error = Error(-libc::EDEADLK);
    /// A descriptor that the kernel cannot watch.
    pub const UNWATCHABLE: Error = Error(-libc::EPERM);
    /// A descriptor that is negative, closed, or was never opened.
    pub const BAD_FD: Error = Error(-libc::EBADF);
    /// -ENOENT: another file is behind the descriptor.
    pub const NO_FILE: Error = Error(-libc::ENOENT);

    /// The error that a system call has just left in `errno`.
    pub fn last_os() -> Error {
        std::io::Error::last_os_error().into()
    }

    /// What a function returned that returns an error number instead of setting `errno`.
    pub fn from_os(errno: i32) -> Error {
        Error(-errno)
    }

    /// What a number is that is given for a handle and is none: an error, passed on by a caller
    /// who has not looked at it, or nothing at all.
    #[cold]
    pub(crate) fn of_handle(raw: i64) -> Error {
        match i32::try_from(raw) {
            Ok(code) if code < 0 => Error(code),
            _ => Error::STALE,
        }
    }

    /// The negative number of the C interface.
    pub const fn code(self) -> i32 {
        self.0
    }

    /// Returns whether the kernel lacks memory or another resource, which says nothing about the descriptor.
    pub const fn is_shortage(self) -> bool {
        self.is_os(libc::ENOMEM) || self.is_os(libc::ENOSPC)
    }

    /// Returns whether the error is this `errno`.
    pub const fn is_os(self, errno: i32) -> bool {
        self.0 == -errno
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Error {
        Error(-error.raw_os_error().unwrap_or(libc::EIO))
    }
}

impl From<std::collections::TryReserveError> for Error {
    fn from(_: std::collections::TryReserveError) -> Error {
        Error::NO_MEMORY
    }
}

fn find(code: i32) -> Option<&'static (i32, &'static CStr, &'static CStr)> {
    OWN.iter().chain(OS).find(|row| row.0 == code)
}

/// A sentence for a code; never fails, never allocates.
pub fn describe(code: i32) -> &'static CStr {
    match (code, find(code)) {
        (_, Some(row)) => row.2,
        (0.., None) => c"success",
        (_, None) => c"unknown error",
    }
}

/// The symbol of a code, such as `LOOP_ESTALE` or `EBADF`.
pub fn name(code: i32) -> &'static CStr {
    match (code, find(code)) {
        (_, Some(row)) => row.1,
        (0.., None) => c"OK",
        (_, None) => c"UNKNOWN",
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", name(self.0).to_string_lossy(), self.0)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&describe(self.0).to_string_lossy())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_are_distinct() {
        let rows: Vec<_> = OWN.iter().chain(OS).collect();
        for (i, a) in rows.iter().enumerate() {
            for b in &rows[i + 1..] {
                assert_ne!(a.0, b.0);
                assert_ne!(a.1, b.1);
            }
        }
    }

    #[test]
    fn any_number_has_a_text() {
        assert_eq!(describe(0), c"success");
        assert_eq!(name(-99_999), c"UNKNOWN");
        assert_eq!(name(i32::MIN), c"UNKNOWN");
        assert_eq!(name(Error::STALE.code()), c"LOOP_ESTALE");
        assert_eq!(name(-libc::EBADF), c"EBADF");
    }
}
