//! The C interface as `include/evloop.h` declares it, called through function pointers: found
//! in the shared library at run time, so that the test drives exactly what a C program gets (and
//! `EVLOOP_LIBRARY` can name another build: a release, a sanitized or a broken one).

#[cfg(not(fuzzing))]
use super::loading::{find, load};
use std::ffi::{c_char, c_int, c_void};
#[cfg(not(fuzzing))]
use std::path::Path;

/// `loop_t`.
pub enum Loop {}
/// `loop_remote_t`.
pub enum Remote {}

pub type Handle = i64;
pub type PlainCb = Option<unsafe extern "C-unwind" fn(*mut Loop, *mut c_void)>;
pub type TickCb = Option<unsafe extern "C-unwind" fn(*mut Loop, u64, *mut c_void)>;
pub type FdCb = Option<unsafe extern "C-unwind" fn(*mut Loop, c_int, u32, *mut c_void)>;
pub type IoCb = Option<unsafe extern "C-unwind" fn(*mut Loop, Handle, u32, i64, *mut c_void, *mut c_void)>;
pub type ReleaseCb = Option<unsafe extern "C-unwind" fn(*mut c_void)>;

/// `loop_options_t`.
#[derive(Default)]
#[repr(C)]
pub struct Options {
    pub size: u32,
    pub flags: u32,
    pub poll_gap_ns: u64,
    pub max_events: u32,
    pub reserved: u32,
    pub virtual_start_ns: u64,
}

/// `loop_event_t`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct PulledEvent {
    pub handle: Handle,
    pub arg: *mut c_void,
    pub kind: u32,
    pub fd: i32,
    pub events: u32,
    pub flags: u32,
    pub ticks: u64,
    pub result: i64,
    pub data: *mut c_void,
    pub reserved: u64,
}

pub const STRICT_POLL: u32 = 1;
pub const PULL: u32 = 4;
pub const BOUND: u32 = 2;
pub const VIRTUAL_CLOCK: u32 = 8;
pub const MANUAL_CLOCK: u32 = 16;

pub const READABLE: u32 = 1;
pub const WRITABLE: u32 = 2;
pub const PRIORITY: u32 = 4;
pub const HANGUP: u32 = 8;
pub const ERROR: u32 = 16;
pub const READ_CLOSED: u32 = 32;
pub const EDGE: u32 = 256;
pub const ONESHOT: u32 = 512;
pub const ALWAYS: u32 = 1024;
/// The bits that can be reported.
pub const EVENTS: u32 = 63;
/// The bits that a mask may have.
pub const MASK: u32 = EVENTS | EDGE | ONESHOT | ALWAYS;

pub const BEFORE_WAIT: u32 = 1;
pub const AFTER_WAIT: u32 = 2;
pub const WHEN_IDLE: u32 = 3;

pub const ON_INTERRUPT: u32 = 4;

pub const EVENT_WOKEN: u32 = 0;
pub const EVENT_SOON: u32 = 1;
pub const EVENT_TIMER: u32 = 2;
pub const EVENT_TICK: u32 = 3;
pub const EVENT_FD: u32 = 4;
pub const EVENT_DONE: u32 = 14;

pub const ENOCALLBACK: i64 = -20002;
pub const ESTALE: i64 = -20003;
pub const EKIND: i64 = -20004;
pub const EMASK: i64 = -20005;
pub const EWRONGTHREAD: i64 = -20007;
pub const EBUSY: i64 = -20008;
pub const EPULL: i64 = -20009;
pub const ECLOSED: i64 = -20011;
pub const ECLOCK: i64 = -20014;
pub const EBADF: i64 = -(libc::EBADF as i64);
pub const EPERM: i64 = -(libc::EPERM as i64);
pub const TIMED_OUT: i64 = -(libc::ETIMEDOUT as i64);
pub const EINVAL: i64 = -(libc::EINVAL as i64);

/// `UINT64_MAX` as a time.
pub const NEVER: u64 = u64::MAX;

macro_rules! interface {
    ($(fn $name:ident($($type:ty),*) -> $result:ty;)*) => {
        /// Every function that the test calls.
        pub struct Library {
            $(pub $name: unsafe extern "C-unwind" fn($($type),*) -> $result,)*
        }

        impl Library {
            /// The functions of a shared library.
            #[cfg(not(fuzzing))]
            pub fn open(path: &Path) -> Library {
                let library = load(path);
                Library {
                    // SAFETY: the header declares the function with this type.
                    $($name: unsafe { std::mem::transmute::<
                        *mut c_void,
                        unsafe extern "C-unwind" fn($($type),*) -> $result,
                    >(find(library, stringify!($name))) },)*
                }
            }

            /// The functions that are linked into this program.
            #[cfg(fuzzing)]
            pub fn linked() -> Library {
                #[allow(clashing_extern_declarations, reason = "opaque types have names of their own here")]
                mod linked {
                    use super::*;
                    unsafe extern "C-unwind" {
                        $(pub fn $name($(_: $type),*) -> $result;)*
                    }
                }
                Library { $($name: linked::$name,)* }
            }
        }
    };
}

interface! {
    fn loop_new_with(*const Options, *mut *mut Loop) -> c_int;
    fn loop_free(*mut Loop) -> c_int;
    fn loop_after_fork(*mut Loop) -> c_int;
    fn loop_run_forever(*mut Loop) -> c_int;
    fn loop_run(*mut Loop) -> c_int;
    fn loop_run_once(*mut Loop, i64) -> c_int;
    fn loop_run_ready(*mut Loop, u64) -> c_int;
    fn loop_stop(*mut Loop) -> c_int;
    fn loop_is_running(*mut Loop) -> c_int;
    fn loop_has_work(*mut Loop) -> c_int;
    fn loop_in_thread(*mut Loop) -> c_int;
    fn loop_call_soon(*mut Loop, PlainCb, *mut c_void) -> Handle;
    fn loop_call_later(*mut Loop, u64, PlainCb, *mut c_void) -> Handle;
    fn loop_call_at(*mut Loop, u64, PlainCb, *mut c_void) -> Handle;
    fn loop_call_every(*mut Loop, u64, u64, u32, TickCb, *mut c_void) -> Handle;
    fn loop_reschedule(*mut Loop, Handle, u64) -> c_int;
    fn loop_reschedule_at(*mut Loop, Handle, u64) -> c_int;
    fn loop_remaining(*mut Loop, Handle) -> i64;
    fn loop_cancel(*mut Loop, Handle) -> c_int;
    fn loop_is_active(*mut Loop, Handle) -> c_int;
    fn loop_current(*mut Loop) -> Handle;
    fn loop_set_arg(*mut Loop, Handle, *mut c_void) -> c_int;
    fn loop_set_release(*mut Loop, Handle, ReleaseCb) -> c_int;
    fn loop_set_name(*mut Loop, Handle, *const c_char) -> c_int;
    fn loop_ref(*mut Loop, Handle) -> c_int;
    fn loop_unref(*mut Loop, Handle) -> c_int;
    fn loop_watch_fd(*mut Loop, c_int, u32, FdCb, *mut c_void) -> Handle;
    fn loop_watch_update(*mut Loop, Handle, u32) -> c_int;
    fn loop_watch_events(*mut Loop, Handle) -> c_int;
    fn loop_poll_fd(*mut Loop, c_int, u32, i64, IoCb, *mut c_void) -> Handle;
    fn loop_add_hook(*mut Loop, u32, PlainCb, *mut c_void) -> Handle;
    fn loop_call_soon_threadsafe(*mut Loop, PlainCb, *mut c_void, ReleaseCb) -> c_int;
    fn loop_wake(*mut Loop) -> c_int;
    fn loop_remote_new(*mut Loop) -> *mut Remote;
    fn loop_remote_call_soon(*mut Remote, PlainCb, *mut c_void, ReleaseCb) -> c_int;
    fn loop_remote_free(*mut Remote) -> c_int;
    fn loop_fd(*mut Loop) -> c_int;
    fn loop_timeout(*mut Loop) -> i64;
    fn loop_flush(*mut Loop) -> c_int;
    fn loop_set_wake_hook(*mut Loop, ReleaseCb, *mut c_void) -> c_int;
    fn loop_next_events(*mut Loop, *mut PulledEvent, usize, i64) -> c_int;
    fn loop_now(*mut Loop) -> u64;
    fn loop_clock(*mut Loop) -> u64;
    fn loop_advance(*mut Loop, u64) -> c_int;
}
