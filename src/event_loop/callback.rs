//! User code, as typed values: a C function and its argument.
//!
//! One of the few files with `unsafe`. The code that makes such a value promises that
//! calling the function with that argument is sound for as long as the value can be
//! called; then calling is a safe method here. All are `C-unwind`: a C++ exception
//! may leave a callback and passes through the loop to the caller of its run function
//! (a release function must not throw).
//!
//! A Rust closure takes the same road: see `rust.rs`.

use crate::event_loop::Loop;
use std::ffi::c_void;

/// A callback without details of an event: soon, later, at, and hooks.
pub type RawCallback = unsafe extern "C-unwind" fn(*mut Loop, *mut c_void);
/// A periodic timer's callback: how many ticks it stands for.
pub type RawTickCallback = unsafe extern "C-unwind" fn(*mut Loop, u64, *mut c_void);
/// A descriptor's callback: the descriptor and its events.
pub type RawFdCallback = unsafe extern "C-unwind" fn(*mut Loop, i32, u32, *mut c_void);
/// The callback of operations: which one, what happened, its result, and what goes with it.
pub type RawIoCallback = unsafe extern "C-unwind" fn(*mut Loop, i64, u32, i64, *mut c_void, *mut c_void);
/// Called exactly once when a source's argument is no longer needed.
pub type RawRelease = unsafe extern "C-unwind" fn(*mut c_void);

macro_rules! callback_type {
    ($(#[$doc:meta])* $name:ident, $raw:ident $(, $extra:ident: $kind:ty)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name {
            /// `None` in a loop in pull mode: the source is handed out instead of called.
            function: Option<$raw>,
            /// What the function is called with.
            pub arg: *mut c_void,
        }

        impl $name {
            /// # Safety
            /// Calling `function` with `arg` on the loop's thread must be sound until the
            /// source that gets this value is cancelled or finished.
            pub unsafe fn new(function: $raw, arg: *mut c_void) -> Self {
                $name { function: Some(function), arg }
            }

            /// No function: in pull mode the source is handed out with this argument.
            pub fn pulled(arg: *mut c_void) -> Self {
                $name { function: None, arg }
            }

            /// Returns whether the source is handed out instead of called.
            #[inline]
            pub fn is_pulled(self) -> bool {
                self.function.is_none()
            }

            /// Runs user code: it may call back into the loop, and may unwind.
            #[inline]
            pub(crate) fn call(self, on: &Loop $(, $extra: $kind)*) {
                let on = std::ptr::from_ref(on).cast_mut();
                if let Some(function) = self.function {
                    // SAFETY: the code that made `self` promised it (see `new`). The pointer is only
                    // ever turned back into a shared reference.
                    unsafe { function(on $(, $extra)*, self.arg) }
                }
            }
        }
    };
}

callback_type!(/** Called with the loop. */ Callback, RawCallback);
callback_type!(/** Called with the number of ticks. */ TickCallback, RawTickCallback, ticks: u64);
callback_type!(/** Called with the descriptor and its events. */ FdCallback, RawFdCallback, fd: i32, events: u32);

callback_type!(/** Called with the source and what happened to it. */ IoCallback, RawIoCallback,
    source: i64, what: u32, result: i64, data: *mut c_void);

/// A callback that has a function, so that a call needs no check.
#[derive(Clone, Copy)]
pub struct Callable {
    function: RawCallback,
    /// What the function is called with.
    pub arg: *mut c_void,
}

impl Callable {
    /// The function alone; the argument is for the caller to keep.
    #[inline(always)]
    pub(crate) fn word(self) -> Word {
        let address = self.function as *const ();
        debug_assert_eq!(address.addr() & (NUMBER | MARK), 0);
        Word(address)
    }

    /// Runs user code: it may call back into the loop, and may unwind.
    #[inline(always)]
    pub(crate) fn call(self, on: &Loop) {
        // SAFETY: made of a `Callback`, whose maker promised it.
        unsafe { (self.function)(std::ptr::from_ref(on).cast_mut(), self.arg) }
    }
}

impl Callback {
    /// As one that can be called; `None`: it is handed out instead.
    #[inline(always)]
    pub fn callable(self) -> Option<Callable> {
        self.function.map(|function| Callable { function, arg: self.arg })
    }
}

impl From<Callable> for Callback {
    fn from(Callable { function, arg }: Callable) -> Callback {
        Callback { function: Some(function), arg }
    }
}

/// A callback's function or a number, and a mark, in one word. (They are distinguished by a bit that
/// no function's address has: user space ends below 2^56, on x86-64 and on aarch64.)
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Word(*const ());

const NUMBER: usize = 1 << 62;
const MARK: usize = 1 << 63;

impl Word {
    /// `number` is below 2^62.
    pub(crate) const fn number(number: usize) -> Word {
        Word(std::ptr::without_provenance(NUMBER | number))
    }

    pub(crate) fn marked(self, value: bool) -> Word {
        Word(self.0.map_addr(|address| (address & !MARK) | (usize::from(value) * MARK)))
    }

    #[inline]
    pub(crate) fn is_marked(self) -> bool {
        self.0.addr() & MARK != 0
    }

    /// The function, without the mark, with an argument; or the number.
    #[inline]
    pub(crate) fn callable(self, arg: *mut c_void) -> Result<Callable, usize> {
        match self.0.addr() & NUMBER {
            // SAFETY: not a number, and the mark is taken away.
            0 => Ok(Callable { function: unsafe { self.marked(false).function() }, arg }),
            _ => Err(self.0.addr() & !(NUMBER | MARK)),
        }
    }

    /// The function with an argument, if that is all: not a number, not marked.
    #[inline(always)]
    pub(crate) fn plain_callable(self, arg: *mut c_void) -> Option<Callable> {
        match self.0.addr() & (NUMBER | MARK) {
            // SAFETY: neither a number nor marked.
            0 => Some(Callable { function: unsafe { self.function() }, arg }),
            _ => None,
        }
    }

    /// # Safety
    /// It is neither a number nor marked.
    #[inline(always)]
    unsafe fn function(self) -> RawCallback {
        // SAFETY: then it is as `Callable::word` made it, of a function.
        unsafe { std::mem::transmute::<*const (), RawCallback>(self.0) }
    }
}

/// The function that releases a source's argument when the source has ended.
#[derive(Clone, Copy, Debug)]
pub struct Release(RawRelease);

impl Release {
    /// # Safety
    /// Calling `function` once with the source's argument must be sound, on the thread
    /// that runs or frees the loop, and must not unwind.
    pub unsafe fn new(function: RawRelease) -> Release {
        Release(function)
    }

    /// Runs user code: it may call back into the loop.
    pub(crate) fn call(self, arg: *mut c_void) {
        // SAFETY: the code that made `self` promised it; the caller takes care of "once".
        unsafe { (self.0)(arg) }
    }
}

/// Notifies a host that its loop has work.
pub type RawWake = unsafe extern "C-unwind" fn(*mut c_void);

/// A host's hook, with its argument.
#[derive(Debug)]
pub struct WakeHook {
    function: RawWake,
    arg: *mut c_void,
    /// Called when the hook is no longer needed.
    release: Option<RawRelease>,
}

// SAFETY: the code that makes one promises that it may be called on any thread.
unsafe impl Send for WakeHook {}
// SAFETY: as above.
unsafe impl Sync for WakeHook {}

impl WakeHook {
    /// # Safety
    /// Calling `function` with `arg` must be sound on any thread, until another hook has
    /// been put in its place or the loop has been freed; and must not unwind.
    pub unsafe fn new(function: RawWake, arg: *mut c_void) -> WakeHook {
        WakeHook { function, arg, release: None }
    }

    /// A hook that owns its argument.
    ///
    /// # Safety
    /// As for `new`; and calling `release` with `arg` once, on any thread, must be sound as well.
    #[allow(dead_code, reason = "where this file is compiled for a test, all hooks are C's")]
    pub unsafe fn owning(function: RawWake, arg: *mut c_void, release: RawRelease) -> WakeHook {
        WakeHook { function, arg, release: Some(release) }
    }

    pub(crate) fn call(&self) {
        // SAFETY: the code that made `self` promised it.
        unsafe { (self.function)(self.arg) }
    }
}

impl Drop for WakeHook {
    fn drop(&mut self) {
        if let Some(release) = self.release {
            // SAFETY: the code that made `self` promised it; this is the only time.
            unsafe { release(self.arg) }
        }
    }
}
