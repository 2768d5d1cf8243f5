//! A loop can be made on any thread, filled, run, and freed at any time. A loop at rest belongs
//! to no thread: make it on one, run it on another and free it on a third, but do not use it from
//! two threads at once. (See LOOP_BOUND for a loop that belongs to one thread.)

use super::{drive, status, with};
use crate::error::{Error, Result};
use crate::event_loop::{Loop, Options};
use std::ffi::{c_int, c_void};
use std::panic::{self, Location, PanicHookInfo};
use std::sync::{Once, OnceLock};

/// Polls the kernel in every turn, also while callbacks stay ready (see poll_gap_ns).
pub const LOOP_STRICT_POLL: u32 = 1;
/// Binds the loop to the thread that makes it. Every call from another thread returns
/// LOOP_EWRONGTHREAD, also while the loop is at rest; functions that any thread may call are
/// allowed. After that thread has ended, any thread may call loop_free, but nothing else.
/// loop_after_fork binds the loop to the calling thread of the child.
pub const LOOP_BOUND: u32 = 2;
/// Pull mode: a source may have a NULL callback. loop_next_events returns such sources as structs
/// when they are ready, and takes the place of the run functions.
pub const LOOP_PULL: u32 = 4;
/// Gives the loop a clock for tests and simulations. It begins at virtual_start_ns. Where the
/// loop would wait for a timer, the clock jumps to the timer's deadline, so that an hour of
/// timers takes a millisecond.
///
/// While a descriptor is watched, the loop waits for it in real time and the clock does not move.
/// Call loop_unref for watchers that should not hold the clock. A loop_run_once with a time limit
/// never waits in real time: the clock jumps to the next deadline or to the limit.
pub const LOOP_VIRTUAL_CLOCK: u32 = 8;
/// Gives the loop a clock that moves only by loop_advance. The loop never waits: a run returns
/// when nothing is ready.
pub const LOOP_MANUAL_CLOCK: u32 = 16;
/// Sets the thread's timer slack (50 us by default on Linux) to its minimum while the loop waits
/// for a timer. Timers are more exact, and each such wait makes three more system calls.
pub const LOOP_TIMER_SLACK: u32 = 32;

/// The options of loop_new_with. Zero means the default in every field. Set the whole struct to
/// zero, set `size`, and set the fields that you want to change. Later versions add fields at the
/// end.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct LoopOptions {
    /// sizeof(loop_options_t)
    pub size: u32,
    /// LOOP_STRICT_POLL | LOOP_BOUND | ..., or 0.
    pub flags: u32,
    /// How long the turns of a run may skip the poll for descriptor events while callbacks stay
    /// ready, in nanoseconds (default 50 us). A system call costs more than twenty callbacks. Due
    /// timers and posts of other threads are collected in every turn all the same.
    pub poll_gap_ns: u64,
    /// The most descriptor events that one turn takes from the kernel (default 1,024, at most
    /// 1,048,576). A loop_next_events with a larger capacity takes more. Memory for more than 1,024
    /// events, 12 bytes each, is allocated when that many descriptors are watched.
    pub max_events: u32,
    /// Must be 0.
    pub reserved: u32,
    /// The first time of a virtual or manual clock, in nanoseconds.
    pub virtual_start_ns: u64,
}

/// Makes a loop with the default options.
///
/// It opens three descriptors: an epoll set, an eventfd and a timerfd. All are close-on-exec.
///
/// Returns the loop, or NULL if there is no memory or no free descriptor; loop_new_with returns
/// the reason. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn loop_new() -> *mut Loop {
    keep_panics_quiet();
    Loop::new().map_or(std::ptr::null_mut(), into_raw)
}

/// Makes a loop with options and stores it in `*out`.
///
/// Returns 0, or an error, and then `*out` is unchanged: LOOP_ENULL if a pointer is NULL;
/// LOOP_EOPTIONS if a flag is unknown, two flags contradict each other, `size` is less than 8,
/// `max_events` is too large, or a field that this version does not know is not zero; -EMFILE,
/// -ENFILE, -ENOMEM or -ENOSPC. Any thread.
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
/// panics, in a Rust program that this is linked into, are reported as before.
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

/// Frees a loop with everything in it, at any time: all sources end, and each release function
/// that has not been called is called once.
///
/// If the loop is at rest, this happens inside the call, and the pointer is invalid when it
/// returns. Inside a callback, the loop is closed at once: no other callback runs, and every
/// further call with the loop returns LOOP_ECLOSED. Every run on the stack returns LOOP_ECLOSED;
/// the outermost calls the release functions and frees the memory, and after it the pointer is
/// invalid.
///
/// The descriptors that were watched stay open. The function works in a forked child and after
/// LOOP_EPANIC. No other thread may use the pointer any more; a remote may be used (see
/// loop_remote_new).
///
/// Returns 0, LOOP_ENULL, LOOP_EWRONGTHREAD, LOOP_ECLOSED if a callback that has not returned has
/// freed the loop before, or -EDEADLK inside the wake hook. After an error nothing has happened.
/// Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_free(r#loop: *mut Loop) -> c_int {
    status(drive(r#loop, Loop::close))
}

/// Sets a pointer of your own, which loop_data returns. The loop neither uses nor frees it.
///
/// Returns 0 or one of the usual errors. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_set_data(r#loop: *mut Loop, data: *mut c_void) -> c_int {
    status(with(r#loop, |target| target.set_data(data)))
}

/// Returns the pointer that loop_set_data has set; NULL if none was set or the call is not
/// allowed. Loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn loop_data(r#loop: *mut Loop) -> *mut c_void {
    with(r#loop, Loop::data).unwrap_or(std::ptr::null_mut())
}
