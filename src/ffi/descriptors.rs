//! A watcher calls back while its descriptor is ready: a socket, pipe, terminal, eventfd,
//! or anything else that can be polled.
//!
//! Watching is level-triggered: as long as there is something to read and you do not
//! read it, you are called every turn. Any number of watchers may share a descriptor, each
//! with a mask of its own; they are called in the order of their making, each once a turn
//! with all its bits. The library never changes a descriptor's flags, never duplicates and
//! never closes it; blocking descriptors work as well as non-blocking ones.
//!
//! What is reported, beside what was asked for:
//!
//! ```text
//!     happened                    READABLE  WRITABLE  HANGUP  ERROR  READ_CLOSED
//!     data can be read            asked     -         -       -      -
//!     there is room to write      -         asked     -       -      -
//!     peer shut down its writing  asked     -         -       -      asked
//!     both directions are down    asked     asked     yes     -      asked (sockets)
//!     all writers of a pipe gone  asked     asked     yes     -      -
//!     reader of a pipe gone       asked     asked     -       yes    -
//!     reset, refused connect      asked     asked     yes     yes    asked
//!     error pending (UDP)         asked     asked     -       yes    -
//!     a terminal's program ended  asked     asked     yes     -      -
//!     a terminal was hung up      asked     asked     yes     yes    -
//! ```
//!
//! "asked": if it is in the mask. "yes": whoever asks for anything is told, again and
//! again while it stands. So after a hang-up or error a reader reads, a writer writes, and
//! read or write tells the reason. Out-of-band data is LOOP_PRIORITY.
//!
//! A mask of 0 pauses a watcher: it is told nothing, not even a hang-up, and costs nothing.
//!
//! Closing: cancel the watcher first, or close first, as you like. A watcher whose descriptor
//! was closed is silent until it is cancelled. Its number may be reused at once: a new watcher on
//! the number hears nothing that was meant for the old file, and the old watcher hears nothing of
//! the new one. Two cases remain; cancel first where they matter:
//!
//! - If the file lives on in a duplicate or in a child process, the kernel goes on reporting it under
//!   the old number. The library finds out after 16 reports, on a long-lived busy watcher after 256,
//!   and the watcher is silent from then on.
//! - Two watchers are ready in the same turn. The callback of the first closes the descriptor of the
//!   second and opens another file, which gets the number and is not watched. Then the second
//!   callback is still called in this turn, because nothing has told the library.
//!
//! A watcher does not notice by itself that its descriptor was closed, and the library makes no
//! system call only to find out. It learns of it when it tells the kernel something about the
//! descriptor and the kernel refuses, when a new watcher is made on the number, or when a closed file
//! keeps reporting. From then on loop_is_active is 0, loop_watch_update and loop_watch_events are
//! -EBADF, and only loop_cancel is of use. LOOP_CLOSED in the mask tells the callback so, once.
//! loop_watch_update with LOOP_NOW asks the kernel in the call.

use super::{change, fast, fd_callback, long_number, number, status, types, with};
use crate::event_loop::Loop;
use std::ffi::{c_int, c_void};
use types::{LoopFdCb, loop_handle_t};

/// Reading would not block: there is data, the end of the file, an error, or a connection to
/// accept.
pub const LOOP_READABLE: u32 = 1;
/// Writing would not block, or a connect is decided.
pub const LOOP_WRITABLE: u32 = 2;
/// Out-of-band data on a socket, or what else the kernel calls priority (EPOLLPRI).
pub const LOOP_PRIORITY: u32 = 4;
/// Both directions are down. Notice to whoever asks for anything. Alone in a mask it asks for nothing
/// but this and LOOP_ERROR: for who neither reads nor writes, and wants to know of the end.
pub const LOOP_HANGUP: u32 = 8;
/// An error is pending (getsockopt SO_ERROR tells which). Notice to whoever asks for anything.
pub const LOOP_ERROR: u32 = 16;
/// The peer has shut down its writing: what it sent can still be read. Only if asked for.
pub const LOOP_READ_CLOSED: u32 = 32;
/// The library has found out that the descriptor was closed, or that its number means another file by
/// now. Only if asked for, also by a watcher that is paused otherwise. Notice once, alone; what is left
/// to do is loop_cancel.
pub const LOOP_CLOSED: u32 = 64;
/// Edge-triggered: called when something new happens, not while it lasts; read and write until
/// EAGAIN. Such a watcher shares its descriptor with no other: LOOP_EBUSY. Every
/// loop_watch_update reports anew what stands.
pub const LOOP_EDGE: u32 = 256;
/// Called once, then paused (its mask is 0) until loop_watch_update.
pub const LOOP_ONESHOT: u32 = 512;
/// If the kernel cannot watch the descriptor (a regular file, a directory, /dev/null), it
/// counts as ready once every turn, as poll(2) has it; the loop does not wait meanwhile.
/// Without this flag such a descriptor is -EPERM. The library asks before each call whether the number
/// still means the same file, by its device and inode: the same file opened a second time under the
/// same number is not told from the first.
pub const LOOP_ALWAYS: u32 = 1024;
/// For loop_watch_update: tell the kernel in the call, and return what it says. (loop_watch_fd
/// always does.) It is not part of the mask.
pub const LOOP_NOW: u32 = 2048;

/// Calls `cb` whenever `fd` is ready for what `events` asks for.
///
/// The kernel is told at once, so that a bad descriptor is found out here. When the number
/// was closed and opened anew since older watchers were made on it, those fall silent.
///
/// Returns the watcher's handle, or an error: LOOP_ENULL, LOOP_ENOCALLBACK, LOOP_EMASK (unknown
/// bits), LOOP_EBUSY (see LOOP_EDGE), -EBADF (negative or closed), -EPERM (see LOOP_ALWAYS),
/// -ENOSPC (the system's limit of watched descriptors), -ELOOP (sets of descriptors nested too deeply),
/// -ENOMEM, LOOP_ELIMIT, LOOP_EWRONGTHREAD,
/// LOOP_EFORKED, LOOP_ECLOSED, LOOP_EPANIC. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn loop_watch_fd(
    r#loop: *mut Loop,
    fd: c_int,
    events: u32,
    cb: LoopFdCb,
    arg: *mut c_void,
) -> loop_handle_t {
    long_number(change(r#loop, |target| target.watch_fd(fd, events, fd_callback(cb, arg))))
}

/// Gives a watcher another mask with its flags; 0 pauses it.
///
/// What this takes away is not reported any more, not even if it happened already in this
/// turn. The kernel is told before the next wait, and only if something changed by then:
/// to change a mask back and forth costs no system call. A watcher that fired with
/// LOOP_ONESHOT is armed again.
///
/// So 0 does not mean that the descriptor is still open. With LOOP_NOW in `events` the kernel is told
/// in the call, whether anything changed or not: -EBADF if the descriptor is closed, -ENOENT if its
/// number means another file by now. Then the watcher is silent until it is cancelled, and
/// loop_watch_fd watches the new file.
///
/// Returns 0 or an error: LOOP_ESTALE, LOOP_EKIND, LOOP_EMASK, LOOP_EBUSY, -EPERM (an unwatchable
/// descriptor without LOOP_ALWAYS), -EBADF (the descriptor was closed meanwhile, and the library
/// knows; only loop_cancel is left), with LOOP_NOW also -ENOENT, or another
/// one. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn loop_watch_update(
    r#loop: *mut Loop,
    watch: loop_handle_t,
    events: u32,
) -> c_int {
    match fast(r#loop, |target| target.update_watch_fast(watch, events).map(|()| 0)) {
        Some(code) => code,
        None => watch_update_slow(r#loop, watch, events),
    }
}

#[cold]
#[inline(never)]
extern "C-unwind" fn watch_update_slow(r#loop: *mut Loop, watch: loop_handle_t, events: u32) -> c_int {
    status(change(r#loop, |target| target.update_watch(watch, events)))
}

/// A watcher's mask with its flags: 0 when it is paused. Or an error: LOOP_ESTALE, LOOP_EKIND,
/// -EBADF (the library knows that the descriptor was closed), or another one. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_watch_events(r#loop: *mut Loop, watch: loop_handle_t) -> c_int {
    number(with(r#loop, |target| target.watch_events(watch)))
}
