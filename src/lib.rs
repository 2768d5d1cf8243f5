//! evloop: an event loop with asyncio's semantics for C and everything that can call C.
//!
//! The C interface is `include/evloop.h`, made from [`ffi`]. This is the same core for Rust, with
//! closures as callbacks; whatever safe code does with it is sound. See `docs/design.md` for the turn and
//! the modules.
//!
//! What each method promises stands with the C function of the same name (`loop_call_soon`
//! is [`Loop::call_soon`]). The library drops each closure exactly once: after its last run, after a
//! cancel, with the loop, or before an error is returned. A panic in a closure passes through the run
//! call to its caller, as a C++ exception does, and the loop can be run again.
//!
//! ```
//! use evloop::{Ended, Loop, Options};
//!
//! // A clock that jumps: the hour below is over at once.
//! let on = Loop::with_options(&Options { virtual_clock: true, ..Options::default() })?;
//! on.call_later(3_600_000_000_000, |on| println!("it is {} ns", on.clock()))?;
//! assert_eq!(on.run()?, Ended::OutOfWork);
//! assert_eq!(on.clock(), 3_600_000_000_000);
//! # Ok::<(), evloop::Error>(())
//! ```

#![deny(unsafe_code, unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]
#![warn(missing_docs)]

#[cfg(not(target_pointer_width = "64"))]
compile_error!("evloop packs a slot's id into a pointer's 64 bits (src/event_loop/ready.rs)");

// Dependencies point one way: ffi, rust -> sources -> event_loop -> sys, base (`sources/list.rs` is the
// exception). `unsafe` is allowed file by file, and denied everywhere else.
mod base;
pub mod error;
mod event_loop;
#[allow(unsafe_code)]
pub mod ffi;
#[allow(unsafe_code)]
mod rust;
mod sources;
mod sys;

/// Where the files of this crate are, as the compiler names them, with the separator.
const SOURCE_FOLDER: &str = {
    let (folder, _) = file!().split_at(file!().len() - "lib.rs".len());
    folder
};

pub use error::{Error, Result};
pub use event_loop::Ended;
pub use event_loop::handle::RawHandle;
pub use event_loop::hooks::When;
pub use event_loop::side_table::Missed;
pub use event_loop::timer::NEVER;
pub use rust::{Loop, Options, Remote};
