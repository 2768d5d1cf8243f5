//! A watcher calls back while its descriptor is ready. It works with a socket, pipe, terminal,
//! eventfd, or anything else that can be polled.
//!
//! Watching is level-triggered: as long as there is something to read and you do not read it, the
//! callback is called in every turn. Any number of watchers may share a descriptor, each with its
//! own mask. They are called in the order in which they were made, each once a turn with all its
//! bits.
//!
//! Set O_NONBLOCK yourself: the library never changes, duplicates or closes your descriptors. On
//! a blocking descriptor every call that has to wait stops the whole loop. Examples: a write of
//! more than there is room for; a read that waits for more than has arrived (fread, MSG_WAITALL,
//! reading until EAGAIN); two watchers that read one descriptor, when the first has read
//! everything and the second reads too. Also protect the process from SIGPIPE: send with
//! MSG_NOSIGNAL, or ignore the signal.
//!
//! What is reported, by what happened:
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
//! "asked": reported if it is in the mask. "yes": reported to every watcher that is not paused,
//! in every turn as long as it lasts. So after a hang-up or an error a reader may simply read and
//! a writer may simply write: read or write returns the reason. Out-of-band data is
//! LOOP_PRIORITY.
//!
//! A mask of 0 pauses a watcher: nothing is reported to it, not even a hang-up, and it costs
//! nothing.
//!
//! Closing a descriptor: cancel its watcher before or after you close it. A watcher whose
//! descriptor was closed reports nothing until it is cancelled. The number may be reused
//! immediately: a new watcher on it gets no event of the old file, and the old watcher gets no
//! event of the new file. There are two exceptions. Where they matter, cancel first:
//!
//! - The file lives on in a duplicate or in a child process. Then the kernel goes on reporting it
//!   under the old number. The library detects it after 16 reports (after 256 on a watcher that
//!   has long been busy), and the watcher reports nothing from then on.
//!
//! - Two watchers are ready in the same turn. The callback of the first closes the descriptor of
//!   the second and opens another file, which gets the same number and is not watched. Then the
//!   second callback is still called in this turn, because nothing has notified the library. (If
//!   the new file is watched, by a loop_watch_fd in the same callback, the old event is dropped.)
//!
//! The library makes no system call only to find out whether a descriptor was closed. It finds
//! out when it changes the registration of the descriptor and the kernel refuses, when a new
//! watcher is made on the number, or when a closed file keeps reporting. From then on
//! loop_is_active returns 0, loop_watch_update and loop_watch_events return -EBADF, and all that
//! is left to do is loop_cancel. A watcher with LOOP_CLOSED in its mask is notified once. To ask
//! the kernel immediately, call loop_watch_update with LOOP_NOW.

use super::{change, fast, fd_callback, long_number, number, status, types, with};
use crate::event_loop::Loop;
use std::ffi::{c_int, c_void};
use types::{LoopFdCb, loop_handle_t};

/// A read will not block: there is data, end of file, an error, or a connection to accept.
pub const LOOP_READABLE: u32 = 1;
/// A write will not block, or a connect has succeeded or failed.
pub const LOOP_WRITABLE: u32 = 2;
/// There is out-of-band data on a socket, or another condition that the kernel reports as
/// EPOLLPRI.
pub const LOOP_PRIORITY: u32 = 4;
/// Both directions are down. It is reported to every watcher that is not paused. As the only bit
/// of a mask it asks for LOOP_HANGUP and LOOP_ERROR alone: for a watcher that neither reads nor
/// writes but must know when the connection ends.
pub const LOOP_HANGUP: u32 = 8;
/// An error is pending; getsockopt with SO_ERROR returns which. It is reported to every watcher
/// that is not paused.
pub const LOOP_ERROR: u32 = 16;
/// The peer has shut down its writing direction; what it has sent before can still be read. It is
/// reported only if it is in the mask.
pub const LOOP_READ_CLOSED: u32 = 32;
/// The library has detected that the descriptor was closed, or that its number now names another
/// file. It is reported only if it is in the mask, also if it is the only bit there (a watcher
/// that is paused otherwise). It is reported once, without other bits. All that is left to do is
/// loop_cancel.
pub const LOOP_CLOSED: u32 = 64;
/// Edge-triggered: the callback is called when something new happens, not as long as it lasts.
/// Read and write until EAGAIN. Such a watcher cannot share its descriptor with another one
/// (LOOP_EBUSY). After each loop_watch_update the conditions that hold at that time are reported
/// again.
pub const LOOP_EDGE: u32 = 256;
/// The callback is called once. Then the watcher is paused (its mask is 0) until
/// loop_watch_update.
pub const LOOP_ONESHOT: u32 = 512;
/// If the kernel cannot poll the descriptor (a regular file, a directory, /dev/null), it counts
/// as ready once every turn, as in poll(2), and the loop does not wait. Without this flag such a
/// descriptor is -EPERM.
///
/// Before each call the library checks by device and inode whether the number still names the
/// same file. It cannot distinguish the file from the same file opened again under the same
/// number.
pub const LOOP_ALWAYS: u32 = 1024;
/// For loop_watch_update: passes the change to the kernel in the call, and returns the kernel's
/// error. (loop_watch_fd always does so.) It does not become part of the mask.
pub const LOOP_NOW: u32 = 2048;

/// Watches a descriptor: calls `cb` whenever `fd` is ready for one of the conditions in `events`.
///
/// `events` is a mask of LOOP_READABLE and so on, with the flags LOOP_EDGE, LOOP_ONESHOT and
/// LOOP_ALWAYS. 0 makes a watcher that is paused. The kernel checks the descriptor in the call.
/// If the number was closed and reused since older watchers were made on it, those report nothing
/// from now on.
///
/// Returns the watcher's handle, or an error: LOOP_EMASK (unknown bits), LOOP_EBUSY (see
/// LOOP_EDGE), -EBADF (the descriptor is negative, closed, or one of the loop's own), -EPERM (see
/// LOOP_ALWAYS), -ENOSPC (the system's limit of watched descriptors), -ELOOP (epoll sets are
/// nested too deeply), or one of the usual errors. Loop's thread.
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

/// Replaces the mask of a watcher, with its flags. 0 pauses it.
///
/// What the new mask does not contain is no longer reported, even if it has happened already in
/// this turn. The kernel is informed before the next wait, and only if something has changed by
/// then: to change a mask back and forth costs no system call. A watcher that has fired with
/// LOOP_ONESHOT is armed again.
///
/// So a result of 0 does not mean that the descriptor is still open. With LOOP_NOW in `events`
/// the kernel is asked in the call, even if nothing has changed: -EBADF if the descriptor is
/// closed, -ENOENT if its number now names another file. After either, the watcher reports
/// nothing until it is cancelled. Use loop_watch_fd to watch the new file.
///
/// Returns 0, or an error: LOOP_ESTALE or LOOP_EKIND (see Handles), LOOP_EMASK, LOOP_EBUSY,
/// -EPERM (the kernel cannot poll the descriptor and LOOP_ALWAYS is missing), -EBADF (the
/// descriptor is known to be closed), with LOOP_NOW also -ENOENT, or one of the usual errors.
/// Loop's thread.
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

/// Returns the mask of a watcher with its flags, 0 if it is paused; or an error: LOOP_ESTALE or
/// LOOP_EKIND (see Handles), -EBADF (the descriptor is known to be closed), or one of the usual
/// errors. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_watch_events(r#loop: *mut Loop, watch: loop_handle_t) -> c_int {
    number(with(r#loop, |target| target.watch_events(watch)))
}
