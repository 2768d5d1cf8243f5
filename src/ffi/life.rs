//! A loop is made on any thread, filled, run, and freed at any time. It belongs to
//! nobody while it rests: make it here, run it there, free it elsewhere, as long as
//! two threads do not use it at once.

use super::{drive, status, with};
use crate::error::{Error, Result};
use crate::event_loop::{Loop, Options};
use std::ffi::{c_int, c_void};
use std::panic::{self, Location, PanicHookInfo};
use std::sync::{Once, OnceLock};

/// Ask the kernel in every turn, also while callbacks stay ready (see poll_gap_ns).
pub const LOOP_STRICT_POLL: u32 = 1;
/// The loop belongs to the thread that makes it: every call from another thread is
/// LOOP_EWRONGTHREAD, also while the loop rests. When that thread has ended, any other may free it,
/// and no more.
pub const LOOP_BOUND: u32 = 2;
/// Pull mode: sources may have no callback and are handed out by loop_next_events, which
/// takes the place of the run functions.
pub const LOOP_PULL: u32 = 4;
/// A clock for tests and simulations: it begins at virtual_start_ns, and where the loop
/// would wait for a timer it moves to the timer's time instead. An hour of timers takes a
/// millisecond. While a descriptor is watched, the loop waits for it in real time and its clock
/// stands still: loop_unref watchers that shall not hold the clock. (A loop_run_once with a time
/// limit never waits in real time.)
pub const LOOP_VIRTUAL_CLOCK: u32 = 8;
/// A clock that moves by loop_advance alone. The loop never waits: a run call returns when
/// nothing is ready.
pub const LOOP_MANUAL_CLOCK: u32 = 16;
/// Sets the thread's timer slack (on Linux 50 us) to its minimum while the loop waits for a
/// timer: still more exact timers for three more system calls a wait.
pub const LOOP_TIMER_SLACK: u32 = 32;

/// What loop_new_with can change. Zero means the usual in every field; set it all to zero,
/// then `size`, then what you want. Later versions add fields at the end.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct LoopOptions {
    /// sizeof(loop_options_t)
    pub size: u32,
    /// LOOP_STRICT_POLL | LOOP_BOUND | ...
    pub flags: u32,
    /// While callbacks stay ready, the kernel is asked for descriptor events at least this
    /// often (default 50 us) and not necessarily every turn: a system call costs more than
    /// twenty callbacks. Due timers and posts of other threads are looked for every turn.
    pub poll_gap_ns: u64,
    /// The most descriptor events taken from the kernel at once (default 1,024, at most
    /// 1,048,576; loop_next_events with a larger capacity takes more). The memory for more than
    /// 1,024, 12 bytes each, is taken when so many descriptors are watched.
    pub max_events: u32,
    /// 0
    pub reserved: u32,
    /// Where a virtual or manual clock begins.
    pub virtual_start_ns: u64,
}

/// Makes a loop.
///
/// Returns NULL when there is no memory or no descriptor left; loop_new_with says which.
/// Takes two descriptors (an epoll set and an eventfd, close-on-exec), and a third (a timerfd) when
/// it first waits for less than about 60 us. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn loop_new() -> *mut Loop {
    keep_panics_quiet();
    Loop::new().map_or(std::ptr::null_mut(), into_raw)
}

/// Makes a loop with options and stores it in `*out`.
///
/// Returns 0, or with `*out` untouched: LOOP_ENULL when a pointer is NULL, LOOP_EOPTIONS
/// when a flag is unknown, flags contradict each other, `size` is less than 8, or a field
/// that this version does not know is not zero; -EMFILE, -ENFILE, -ENOMEM, -ENOSPC; -EAGAIN (LOOP_BOUND:
/// the process has no thread-specific key left). Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_new_with(options: *const LoopOptions, out: *mut *mut Loop) -> c_int {
    keep_panics_quiet();
    if options.is_null() || out.is_null() {
        return Error::NULL.code();
    }
    // SAFETY: the header asks for a struct of the size it states.
    let options = unsafe { read_options(options) };
    let made = options.and_then(check_options).and_then(|options| Loop::with_options(&options));
    // SAFETY: the header asks for a place where a pointer can be stored.
    status(made.map(|made| unsafe { out.write(into_raw(made)) }))
}

/// A loop that is called from C.
fn into_raw(made: Box<Loop>) -> *mut Loop {
    made.defer_hook();
    Box::into_raw(made)
}

/// # Safety
/// `options` points to a struct of at least the size that its first field states.
unsafe fn read_options(options: *const LoopOptions) -> Result<LoopOptions> {
    const KNOWN: usize = size_of::<LoopOptions>();
    // SAFETY: the first field is there.
    let size = unsafe { (*options).size } as usize;
    if size < 2 * size_of::<u32>() {
        return Err(Error::OPTIONS);
    }
    let mut known = LoopOptions::default();
    let bytes = options.cast::<u8>();
    // SAFETY: copies no more than both structs have; all fields are plain integers.
    unsafe { std::ptr::copy_nonoverlapping(bytes, (&raw mut known).cast(), size.min(KNOWN)) };
    // SAFETY: `size` bytes are there to be read.
    let tail_is_zero = (KNOWN..size).all(|i| unsafe { bytes.add(i).read() } == 0);
    if tail_is_zero { Ok(known) } else { Err(Error::OPTIONS) }
}

fn check_options(given: LoopOptions) -> Result<Options> {
    const FLAGS: u32 =
        LOOP_STRICT_POLL | LOOP_BOUND | LOOP_PULL | LOOP_VIRTUAL_CLOCK | LOOP_MANUAL_CLOCK | LOOP_TIMER_SLACK;
    let has = |flag| given.flags & flag != 0;
    let two_clocks = has(LOOP_VIRTUAL_CLOCK) && has(LOOP_MANUAL_CLOCK);
    if given.flags & !FLAGS != 0 || two_clocks || given.reserved != 0 || given.max_events > 1 << 20 {
        return Err(Error::OPTIONS);
    }
    let usual = Options::default();
    Ok(Options {
        strict_poll: has(LOOP_STRICT_POLL),
        bound: has(LOOP_BOUND),
        pull: has(LOOP_PULL),
        virtual_clock: has(LOOP_VIRTUAL_CLOCK),
        manual_clock: has(LOOP_MANUAL_CLOCK),
        timer_slack: has(LOOP_TIMER_SLACK),
        poll_gap_ns: if given.poll_gap_ns == 0 { usual.poll_gap_ns } else { given.poll_gap_ns },
        max_events: if given.max_events == 0 { usual.max_events } else { given.max_events as usize },
        virtual_start_ns: given.virtual_start_ns,
    })
}

type PanicHook = Box<dyn Fn(&PanicHookInfo<'_>) + Send + Sync>;

/// A bug of the library prints nothing: its message is kept by the loop that was hit. Everybody else's
/// panics, in a Rust program that this is linked into, are told as before.
pub(super) fn keep_panics_quiet() {
    static ONCE: Once = Once::new();
    // In a static, so that the closure below captures nothing and needs no memory.
    static OTHERS: OnceLock<PanicHook> = OnceLock::new();
    // (A thread that panics, and makes a loop in a destructor, may not change the hook. And this crate's
    // own tests shall say why they fail.)
    if ONCE.is_completed() || std::thread::panicking() || cfg!(test) {
        return;
    }
    ONCE.call_once(|| {
        let _ = OTHERS.set(panic::take_hook());
        panic::set_hook(Box::new(|info| {
            if let Some(others) = OTHERS.get()
                && !info.location().is_some_and(is_ours)
            {
                others(info);
            }
        }));
    });
}

/// Is this place in the library's own source?
pub(super) fn is_ours(place: &Location<'_>) -> bool {
    place.file().strip_prefix(crate::SOURCE_FOLDER).is_some_and(|file| !file.starts_with(".."))
}

/// Frees a loop, at any time, with whatever is still in it: all sources end, and the
/// release functions that are owed are called, each once.
///
/// Between runs it all happens here, and the pointer is dead when this returns. Inside a
/// callback the loop ends as soon as the callback returns: nothing more runs, every call
/// with the loop answers LOOP_ECLOSED from now on, the releases are called, and every run
/// function on the stack returns LOOP_ECLOSED; when the outermost has returned, the pointer
/// is dead. Descriptors that were watched are not touched.
///
/// Returns 0, LOOP_ENULL, LOOP_EWRONGTHREAD or, in the wake hook, -EDEADLK (nothing happens
/// then), or LOOP_ECLOSED when it has been freed already in this callback. Works in a forked
/// child and after LOOP_EPANIC. Other threads must no longer use the pointer. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_free(r#loop: *mut Loop) -> c_int {
    status(drive(r#loop, Loop::close))
}

/// Sets a pointer of your own, for loop_data. It is never released.
///
/// Returns 0 or an error. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_set_data(r#loop: *mut Loop, data: *mut c_void) -> c_int {
    status(with(r#loop, |target| target.set_data(data)))
}

/// Your pointer of loop_set_data; NULL before, and when the call is not allowed.
/// Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_data(r#loop: *mut Loop) -> *mut c_void {
    with(r#loop, Loop::data).unwrap_or(std::ptr::null_mut())
}
