//! The kernel side: one set of descriptors to wait for. Everything that depends on the
//! operating system is behind this contract, in one file a system.
//!
//! * [`Poller::new`] makes a set and the [`Waker`] that ends a wait in it from any
//!   thread or signal handler.
//! * [`Poller::register`] makes a level-triggered (or, with the EDGE bit, edge-triggered)
//!   registration; [`Poller::update`] changes one, or makes it again; [`Poller::remove`] removes one.
//!   An event comes back with the registration's token. What they found behind the number they
//!   return as types ([`Registered`], [`Updated`]); an error means that nothing was found out.
//! * [`Poller::is_registered`] asks whether the number still means the same open file;
//!   [`Poller::file`] returns what identifies one that cannot be registered.
//! * [`Poller::wait`] waits, at the longest for the time given and never longer than
//!   about the system's wake-up latency beyond it; it may return early with nothing. It
//!   fails with `EINTR`.
//! * [`Poller::events`] are what the last wait found, in the kernel's order, in the bits
//!   below.
//!   [`Poller::is_full`] says that there may have been more; [`Poller::look`] asks for one.
//!   [`Poller::expect`] and [`Poller::make_room`] let a wait find more.
//! * [`Poller::note_orphan`] says that an event was of no registration; [`Poller::end_orphans`] sees to
//!   it that such events end, before a wait, and [`Poller::next_renewal`] when a host must come for that.
//! * [`Poller::after_fork`] starts over with a fresh set in a forked child, and does not disturb the
//!   parent's. [`Poller::is_inherited`] says which registrations the child may take over.
//! * [`Poller::embed`] makes the one descriptor that a host waits for, and
//!   [`Poller::announce`] keeps it true; [`Poller::mute`] takes the set out of it for a while.
//!
//! All descriptors of a poller are above the three standard ones, and are made by
//! [`Poller::new`] and [`Poller::embed`] alone: nothing else ever takes a number.
//!
//! Here: Linux. kqueue and Windows follow through `mio::Poll` in files of their own.

#[allow(unsafe_code)]
pub mod clock;
#[allow(unsafe_code)]
pub mod fork;
#[cfg(target_os = "linux")]
mod linux;
#[allow(unsafe_code)]
pub mod thread;

#[cfg(target_os = "linux")]
pub use linux::{Poller, Waker};

#[cfg(not(target_os = "linux"))]
compile_error!("evloop has a poller for Linux only, so far");

use crate::error::Error;

/// How long to wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timeout {
    /// Not at all.
    Poll,
    /// For so many nanoseconds.
    For(u64),
    /// Until something happens.
    Forever,
}

/// What was behind a number that was to be registered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Registered {
    /// A file that was not registered under this number: it is now.
    New,
    /// The open file that is registered under this number already.
    Same,
    /// A file that the system cannot wait for.
    Unwatchable,
}

/// What was behind a number whose registration was to be changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Updated {
    /// The file that was registered: the change is made.
    Done,
    /// Nothing, or another file: -EBADF or -ENOENT.
    Gone(Error),
}

/// Something happened to a registration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    pub token: u64,
    pub events: u32,
}

/// What can happen to a descriptor, and be asked for.
pub const READABLE: u32 = 1;
pub const WRITABLE: u32 = 2;
pub const PRIORITY: u32 = 4;
pub const HANGUP: u32 = 8;
pub const ERROR: u32 = 16;
pub const READ_CLOSED: u32 = 32;
/// Asked for with these: report changes only.
pub const EDGE: u32 = 256;

/// The bits that can be reported.
pub const EVENTS: u32 = READABLE | WRITABLE | PRIORITY | HANGUP | ERROR | READ_CLOSED;

/// A change to be made in the kernel's set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Change {
    pub fd: i32,
    pub what: What,
    pub events: u32,
    pub token: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    Add,
    Modify,
    Remove,
}

/// What identifies a file that the kernel cannot watch. (Opened twice, it is the same.)
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileId {
    pub device: u64,
    pub number: u64,
}
