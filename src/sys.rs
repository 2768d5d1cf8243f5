//! The kernel side: one set of descriptors to wait for. Everything that depends on the
//! operating system is behind this contract, in one file a system.
//!
//! * [`Poller::new`] makes a set and the [`Waker`] that ends a wait in it from any
//!   thread or signal handler.
//! * [`Poller::change`] adds, modifies or removes a level-triggered (or, with the EDGE
//!   bit, edge-triggered) registration. An event comes back with the registration's
//!   token. Errors are the system's: `EEXIST` when the same open file is registered
//!   under this number, `ENOENT` when another one is behind the number now, `EBADF`
//!   when none is, `EPERM` when it cannot be waited for.
//! * [`Poller::remove`] removes one that a forked child may have inherited.
//! * [`Poller::is_registered`] asks whether the number still means the same open file;
//!   [`Poller::file`] tells what identifies one that cannot be registered.
//! * [`Poller::wait`] waits, at the longest for the time given and never longer than
//!   about the system's wake-up latency beyond it; it may return early with nothing. It
//!   fails with `EINTR`.
//! * [`Poller::nap`] waits likewise for nothing but time and signals.
//! * [`Poller::events`] are what the last wait found, in the kernel's order, in the bits
//!   below.
//!   [`Poller::is_full`] says that there may have been more; [`Poller::look`] asks for one.
//!   [`Poller::expect`] and [`Poller::make_room`] let a wait find more.
//! * [`Poller::renew`] starts over with a fresh set; [`Poller::after_fork`] does so in a
//!   forked child, and does not disturb the parent's. [`Poller::is_inherited`] says which
//!   registrations the child may take over.
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
pub use linux::{Poller, Waker, cpu_time};

#[cfg(not(target_os = "linux"))]
compile_error!("evloop has a poller for Linux only, so far");

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

/// Something that the kernel has to be told.
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
