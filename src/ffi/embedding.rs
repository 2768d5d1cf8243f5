//! A host that owns the main loop (a game, a GUI, another event loop) runs this loop inside it.
//! The host waits for loop_fd together with whatever else it waits for. When that descriptor is
//! readable, or when the time of loop_timeout is over, it calls loop_run_once with a timeout of
//! 0, or loop_run_ready. The descriptor alone is enough: it covers watched descriptors, posts,
//! ready callbacks and due timers, so the host may wait for it without a time limit.
//!
//! Once loop_fd has been called, a watcher or timer that is made or changed while the loop is at
//! rest takes effect in the call that makes or changes it. If a source with a release function is
//! cancelled while the loop is at rest, the call of the release function is work for the next
//! run, and the host is notified.
//!
//! Inside a callback, changes are collected, and the kernel gets them after the turn. So a
//! callback that runs the host's main loop (a modal dialog) calls loop_flush first. Without it
//! nothing would wake the host for what the callback has changed. Each run of the loop that the
//! dialog makes then flushes when it returns, so one loop_flush is enough.
//!
//! Watch the descriptor level-triggered (poll, select, EPOLLIN). If the host can only watch for
//! edges, it must call loop_run_once with a timeout of 0 again and again, until that returns 0
//! and loop_timeout does not. The descriptor is an epoll set that contains another one, which
//! takes two of the five levels that Linux allows. It may be readable once although there is
//! nothing to do.

use super::{change, drive, get, long_number, number, status, types, with};
use crate::error::Error;
use crate::event_loop::callback::WakeHook;
use crate::event_loop::{Loop, News, Pulled};
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;
use types::{LoopWakeCb, loop_handle_t};

/// Returns a descriptor that is readable when the loop has anything to do.
///
/// It stays the same until loop_free, which closes it. Do not close it, and do not read from it.
/// The first call opens three more descriptors; one call is enough. Inside a callback it also
/// does what loop_flush does.
///
/// Errors: -ELOOP (epoll sets are nested too deeply), -EMFILE, -ENFILE, -ENOSPC, or one of the
/// usual errors. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn loop_fd(r#loop: *mut Loop) -> c_int {
    number(change(r#loop, Loop::fd))
}

/// Returns how long a host may wait before it runs the loop, for hosts that wait with a time
/// limit: the nanoseconds until the next timer; 0 if something is ready now or a release function
/// must be called; LOOP_NEVER if no timer is armed; or one of the usual errors.
///
/// It says nothing about watched descriptors: those make loop_fd readable. If you must round,
/// round up. If very many timers are due close together, the time may be too short, but never too
/// long. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_timeout(r#loop: *mut Loop) -> i64 {
    long_number(with(r#loop, Loop::timeout))
}

/// Passes all collected changes to the kernel now. Call it inside a callback, before that runs a
/// host's main loop (a modal dialog).
///
/// Until the loop's next turn, further changes take effect in the call that makes them. After a
/// nested run it is not needed, because a run does the same when it returns to a callback.
/// Outside of callbacks it is not needed either.
///
/// Returns 0, -ENOSPC if the kernel refuses a change, or one of the usual errors. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn loop_flush(r#loop: *mut Loop) -> c_int {
    status(change(r#loop, Loop::flush))
}

/// Sets a function that wakes the host (SDL_PushEvent, glfwPostEmptyEvent, PostMessage). The
/// function is called when the loop is at rest and gets work or an earlier deadline.
///
/// It is called once, and not again before the next run has ended. It is called on the thread
/// that brings the work, and inside a signal handler that calls loop_wake, loop_stop or
/// loop_stop_all. It is not called for watched descriptors: those make loop_fd readable. It is
/// not called during a run, except in a callback after loop_flush or after a nested run, when the
/// loop counts as at rest. It may call only functions that any thread may call.
///
/// A C++ exception may leave the hook. It passes to the call that brought the work, which is
/// accepted all the same, or to the caller of the run that ends with work left. If another
/// exception is passing through that run at the time, the program ends, as always in C++.
///
/// NULL removes the hook. When this function returns, no thread is inside the old hook.
///
/// Returns 0; -EDEADLK inside the hook, on each thread that is inside it (if more than eight are,
/// on every thread); or one of the usual errors. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_set_wake_hook(r#loop: *mut Loop, hook: LoopWakeCb, arg: *mut c_void) -> c_int {
    // SAFETY: the header asks for a function that may be called with `arg` on any thread.
    let hook = hook.map(|hook| unsafe { WakeHook::new(hook, arg) });
    status(with(r#loop, |target| target.set_wake_hook(hook)))
}

/// Makes a loop that was inherited by fork usable in the child.
///
/// All its sources go on in the child, with the same handles and descriptors. Those of the parent
/// go on in the parent, undisturbed. Before this call, only it and loop_free work in a child;
/// everything else returns LOOP_EFORKED.
///
/// A loop with LOOP_BOUND becomes bound to the calling thread. A post that another thread was
/// making at the moment of the fork may be in the parent alone. An inherited remote works in the
/// child, but does not keep loop_run going there (see loop_remote_new).
///
/// Returns 0 (also if there was no fork), or an error: LOOP_EWRONGTHREAD (another thread was
/// running the loop at the moment of the fork: only loop_free is possible), -EDEADLK (inside the
/// wake hook), -EAGAIN, -EMFILE, -ENFILE, -ENOSPC, or one of the usual errors. After an error the
/// loop is as before. Call it on the child's only thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_after_fork(r#loop: *mut Loop) -> c_int {
    let after_fork = |target: &Loop| target.guarded(|| target.after_fork());
    status(get(r#loop).and_then(after_fork))
}

/// loop_event_t.kind: not the event of a source. The call has ended before its time limit and has
/// nothing to hand out: loop_wake or loop_stop ended it, or only sources with a callback were
/// ready. `handle` is 0 and `arg` is NULL.
pub const LOOP_EVENT_WOKEN: u32 = 0;
/// loop_event_t.kind: a loop_call_soon or loop_call_soon_threadsafe without a callback.
pub const LOOP_EVENT_SOON: u32 = 1;
/// loop_event_t.kind: a loop_call_later or loop_call_at without a callback.
pub const LOOP_EVENT_TIMER: u32 = 2;
/// loop_event_t.kind: a loop_call_every without a callback. See `ticks`.
pub const LOOP_EVENT_TICK: u32 = 3;
/// loop_event_t.kind: a loop_watch_fd without a callback. See `fd` and `events`.
pub const LOOP_EVENT_FD: u32 = 4;
/// loop_event_t.kind: an operation without a callback has ended. See `result` and `data`.
/// Callbacks of operations get this number as `what`.
pub const LOOP_EVENT_DONE: u32 = 14;
/// loop_event_t.kind: a LOOP_ON_INTERRUPT hook without a callback: a signal has interrupted the
/// wait. A language binding runs its own signal handlers here.
pub const LOOP_EVENT_INTERRUPT: u32 = 16;

/// A source that is ready, for loop_next_events: 64 bytes. A field that the kind does not use is
/// 0 (`fd`: -1).
#[derive(Clone, Copy)]
#[repr(C)]
pub struct LoopEvent {
    /// The source. 0 for LOOP_EVENT_WOKEN.
    pub handle: loop_handle_t,
    /// The argument of the source.
    pub arg: *mut c_void,
    /// LOOP_EVENT_SOON and so on. Ignore kinds that you do not know.
    pub kind: u32,
    /// The descriptor of a LOOP_EVENT_FD, otherwise -1.
    pub fd: i32,
    /// What happened to the descriptor: LOOP_READABLE and so on.
    pub events: u32,
    /// Always 0.
    pub flags: u32,
    /// The number of intervals that a LOOP_EVENT_TICK stands for, otherwise 0.
    pub ticks: u64,
    /// The result of a LOOP_EVENT_DONE, or a negative error code; otherwise 0.
    pub result: i64,
    /// What goes with the result, or NULL.
    pub data: *mut c_void,
    /// Always 0.
    pub reserved: u64,
}

/// Makes one turn like loop_run_once, in a loop made with LOOP_PULL, and returns the ready
/// sources without a callback as structs.
///
/// In such a loop every function that takes a callback accepts NULL (of the hooks only
/// LOOP_ON_INTERRUPT). The run functions return LOOP_EPULL. `timeout_ns` is as in loop_run_once.
///
/// Sources come in the order of the ready queue. Those with a callback are called, the others are
/// written to `events`, at most `capacity`, which may be more than `max_events`. If a source
/// with a callback comes after an event, the batch ends before it. The next call returns the rest
/// and does not wait then; sources that are cancelled in between are left out. A level-triggered
/// event that you do not handle comes again.
///
/// If handling one event cancels the source of a later event of the batch, that event is void. So
/// ask loop_is_active before you handle an event: it returns 1 for every source that was handed
/// out, and 0 once it has been cancelled. The next call ends the one-shots that were handed out,
/// and calls their release functions. Until then their handles are valid, and loop_reschedule can
/// arm a timer again.
///
/// Returns the number of events. 0 means that the time is over (with a `timeout_ns` of 0: nothing
/// was ready). If the call ends earlier and has nothing to hand out, it returns one
/// LOOP_EVENT_WOKEN. Or it returns an error: -EINVAL if `capacity` is 0, LOOP_EPULL if the loop
/// was made without LOOP_PULL, or an error of the run functions (see Run). Threads: see
/// loop_run_forever.
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
