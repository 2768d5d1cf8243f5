//! A host that owns the main loop (a game, a GUI, another event loop) gives the loop a
//! slice of it: it waits for loop_fd with whatever it waits with, and calls
//! loop_run_once(loop, 0) or loop_run_ready when the descriptor is readable, or when
//! loop_timeout is over. The descriptor alone is enough: it covers descriptors, posts,
//! ready work and due timers, so the host may wait for it without any limit.
//!
//! Between the calls of the host the loop is complete: once loop_fd has been called, a watcher
//! or timer that is made while the loop rests reaches the kernel in the call that makes it.
//! Inside a callback changes are collected until the callback's turn is over; a
//! callback that runs the host's main loop (a modal dialog) calls loop_flush first: nothing else
//! would wake the host for what the callback has changed. A run call that returns to a callback
//! leaves the loop complete as well, so in the dialog nothing more is needed. A release
//! function that is owed while the loop rests is work: the host is told.
//!
//! Watch the descriptor level-triggered (poll, select, EPOLLIN). A host that can only watch for
//! edges must call loop_run_once(loop, 0) until loop_timeout is not 0 and the call has run
//! nothing. It is an epoll set that contains another one: two of the five levels that Linux
//! allows. It may be readable once although there is nothing to do.

use super::{change, drive, get, long_number, number, status, types, with};
use crate::error::Error;
use crate::event_loop::callback::WakeHook;
use crate::event_loop::{Loop, News, Pulled};
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;
use types::{LoopWakeCb, loop_handle_t};

/// A descriptor that is readable when the loop has anything to do.
///
/// It stays the same until loop_free, which closes it; do not close it, and do not read from
/// it. Calling this once is enough; the first call takes three more descriptors. Inside a
/// callback it does what loop_flush does. Returns it,
/// or an error: LOOP_ENULL, -ELOOP (sets of descriptors nested too deeply), -EMFILE, -ENFILE, -ENOMEM, -ENOSPC, LOOP_EWRONGTHREAD, LOOP_EFORKED,
/// LOOP_ECLOSED, LOOP_EPANIC. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn loop_fd(r#loop: *mut Loop) -> c_int {
    number(change(r#loop, Loop::fd))
}

/// How long a host may wait before it should run the loop, for hosts that wait with a time
/// limit: nanoseconds until the next timer, 0 when something is ready now (or a release is owed), LOOP_NEVER when no
/// timer is armed.
///
/// Descriptors are not in it: those are loop_fd's to tell. Round up if you have to round. When
/// very many timers are due close together, it may be early, never late. Returns it, or an
/// error. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_timeout(r#loop: *mut Loop) -> i64 {
    long_number(with(r#loop, Loop::timeout))
}

/// Inside a callback, before a host's nested main loop: tells the kernel what changed, and
/// lets changes reach it at once until the loop's next turn.
///
/// Outside of callbacks there is nothing to do. Returns 0, what the kernel says (-ENOMEM,
/// -ENOSPC), or another error. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn loop_flush(r#loop: *mut Loop) -> c_int {
    status(change(r#loop, Loop::flush))
}

/// Sets a function that is called when work, or an earlier deadline, comes while no run is on
/// the stack: the place to wake the host (SDL_PushEvent, glfwPostEmptyEvent, PostMessage).
///
/// It is called once, and then not before the next run has ended; on the thread that brought the
/// work (a signal handler's, if a signal handler calls loop_wake); never for descriptors, which
/// are loop_fd's to tell; never while the loop runs (but in a callback that has called loop_flush or
/// has run the loop it is as if that rested). It may call only loop_wake and the functions
/// that any thread may call. NULL takes it away; when this returns, the old one runs on no thread.
///
/// A C++ exception may leave it: it passes to whoever brought the work, which is taken all the same,
/// or to the caller of the run that ends with work left. (If another exception is just passing
/// through that run, the program ends, as always in C++.)
///
/// Returns 0, -ENOMEM, -EDEADLK inside the hook (on any of the threads that are inside it; where more
/// than eight are, on every thread), or another error. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_set_wake_hook(r#loop: *mut Loop, hook: LoopWakeCb, arg: *mut c_void) -> c_int {
    // SAFETY: the header asks for a function that may be called with `arg` on any thread.
    let hook = hook.map(|hook| unsafe { WakeHook::new(hook, arg) });
    status(with(r#loop, |target| target.set_wake_hook(hook)))
}

/// Makes a loop that has been inherited by fork usable in the child.
///
/// All its sources are there and go on in the child (those of the parent go on in the parent);
/// the kernel side is the child's own, under the same numbers, and the parent's is not disturbed.
/// What other threads were posting in the very moment of the fork stays the parent's. A loop that is
/// bound to a thread (LOOP_BOUND) is bound to the calling one from now on. A remote that was made
/// before works in the child, but keeps no loop_run going there: the thread that was to post is
/// the parent's. Only
/// this and loop_free work in a child before; everything else is LOOP_EFORKED. Returns 0 (also
/// when there was no fork), or an error: -EDEADLK (in the wake hook), LOOP_EWRONGTHREAD (another
/// thread was running the loop: it is in the middle of something for ever), -EAGAIN, -EMFILE, -ENFILE, -ENOMEM, -ENOSPC, and the loop is as before.
/// The child's only thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_after_fork(r#loop: *mut Loop) -> c_int {
    let after_fork = |target: &Loop| target.guarded(|| target.after_fork());
    status(get(r#loop).and_then(after_fork))
}

/// loop_event_t.kind: no source's event. The call ended before its time and has nothing to hand
/// out: loop_wake or loop_stop ended it, or callbacks ran. `handle` is 0, `arg` is NULL.
pub const LOOP_EVENT_WOKEN: u32 = 0;
/// loop_event_t.kind: loop_call_soon or loop_call_soon_threadsafe without a callback.
pub const LOOP_EVENT_SOON: u32 = 1;
/// loop_event_t.kind: loop_call_later or loop_call_at without a callback.
pub const LOOP_EVENT_TIMER: u32 = 2;
/// loop_event_t.kind: loop_call_every without a callback; see `ticks`.
pub const LOOP_EVENT_TICK: u32 = 3;
/// loop_event_t.kind: loop_watch_fd without a callback; see `fd` and `events`.
pub const LOOP_EVENT_FD: u32 = 4;
/// loop_event_t.kind: an operation without a callback has ended; see `result` and `data`.
pub const LOOP_EVENT_DONE: u32 = 14;
/// loop_event_t.kind: a LOOP_ON_INTERRUPT hook without a callback: a signal interrupted the wait.
/// The place where a language runs its own signal handlers.
pub const LOOP_EVENT_INTERRUPT: u32 = 16;

/// A source that is ready, for loop_next_events: 64 bytes. What a kind does not use is 0 (`fd`: -1).
#[derive(Clone, Copy)]
#[repr(C)]
pub struct LoopEvent {
    /// Which source it is.
    pub handle: loop_handle_t,
    /// The source's argument.
    pub arg: *mut c_void,
    /// LOOP_EVENT_SOON...; ignore kinds that you do not know.
    pub kind: u32,
    /// The descriptor of a LOOP_EVENT_FD, else -1.
    pub fd: i32,
    /// What happened to it: LOOP_READABLE...
    pub events: u32,
    /// 0
    pub flags: u32,
    /// How many ticks a LOOP_EVENT_TICK stands for, else 0.
    pub ticks: u64,
    /// What a LOOP_EVENT_DONE came to, or a negative error code; else 0.
    pub result: i64,
    /// What goes with the result, or NULL.
    pub data: *mut c_void,
    /// 0
    pub reserved: u64,
}

/// Pull mode, for a loop made with LOOP_PULL: makes one turn like loop_run_once, but hands
/// sources without a callback out as plain structs.
///
/// In such a loop every function that takes a callback takes NULL too (of the hooks only
/// LOOP_ON_INTERRUPT), and this function takes the place of the run functions, which are
/// LOOP_EPULL. Sources come in the order of the ready queue: those with a callback are called, the
/// others fill `events`, up to `capacity`, which may be more than the loop's `max_events`. What does
/// not fit, and what comes after a callback that is not at the front, is for the next call, which
/// then goes on without waiting; a cancel in between still holds. A level-triggered event that you
/// do not deal with comes again.
///
/// A source of the batch may cancel another one of it, whose event is then void. Ask
/// loop_is_active before you deal with an event: it is 1 for a source that was handed out, and 0
/// once it has been cancelled, whatever its kind. A one-shot that was handed out is finished, and
/// its release function called, by the next call; until then its handle is valid, and a timer can be
/// armed again with loop_reschedule.
///
/// Returns the number of events, or an error: -EINVAL when `capacity` is 0, LOOP_ENULL, LOOP_EPULL on
/// a loop without LOOP_PULL, and those of the run functions. 0 means that the time is over (with
/// `timeout_ns` 0: nothing was ready). A call that ends before that and has nothing to hand out
/// returns one event of the kind LOOP_EVENT_WOKEN. Threads as loop_run_forever.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn loop_next_events(
    r#loop: *mut Loop,
    events: *mut LoopEvent,
    capacity: usize,
    timeout_ns: i64,
) -> c_int {
    if events.is_null() {
        return Error::NULL.code();
    }
    // SAFETY: the header asks for room for `capacity` events.
    let put = |place: usize, pulled| unsafe { events.add(place).write(event_of(pulled)) };
    let capacity = capacity.min(c_int::MAX as usize);
    number(drive(r#loop, |target| target.next_events(capacity, u64::try_from(timeout_ns).ok(), put)))
}

fn event_of(Pulled { handle, arg, news }: Pulled) -> LoopEvent {
    let plain = LoopEvent {
        handle,
        arg,
        kind: LOOP_EVENT_SOON,
        fd: -1,
        events: 0,
        flags: 0,
        ticks: 0,
        result: 0,
        data: null_mut(),
        reserved: 0,
    };
    match news {
        News::Soon => plain,
        News::Timer => LoopEvent { kind: LOOP_EVENT_TIMER, ..plain },
        News::Tick { ticks } => LoopEvent { kind: LOOP_EVENT_TICK, ticks, ..plain },
        News::Fd { fd, events } => LoopEvent { kind: LOOP_EVENT_FD, fd, events, ..plain },
        News::Io { what, result, data } => LoopEvent { kind: what, result, data, ..plain },
        News::Interrupt => LoopEvent { kind: LOOP_EVENT_INTERRUPT, ..plain },
        News::Woken => LoopEvent { kind: LOOP_EVENT_WOKEN, ..plain },
    }
}
