//! evloop: an event loop with asyncio's semantics for C and everything that can call C.
//!
//! The C interface is `include/evloop.h`, made from [`ffi`]; this is the core that it
//! calls, usable from Rust as well. See `docs/design.md` for the turn and the layers.
//!
//! What each method promises stands with the C function of the same name (`loop_call_soon`
//! is [`Loop::call_soon`]). A callback is a closure; its release drops it, exactly once.
//!
//! ```
//! use evloop::callback::once;
//! use evloop::{Ended, Loop, Options};
//!
//! // A clock that jumps: the hour below is over at once.
//! let on = Loop::with_options(&Options { virtual_clock: true, ..Options::default() })?;
//! let (callback, release) = once(|on: &Loop| println!("it is {} ns", on.clock()));
//! let timer = on.call_later(3_600_000_000_000, callback)?;
//! on.set_release(timer, Some(release))?;
//! assert_eq!(on.run()?, Ended::OutOfWork);
//! assert_eq!(on.clock(), 3_600_000_000_000);
//! # Ok::<(), evloop::Error>(())
//! ```

#![deny(unsafe_code, unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]
#![warn(missing_docs)]

#[cfg(not(target_pointer_width = "64"))]
compile_error!("evloop packs a slot's id into a pointer's 64 bits (src/ready.rs)");

// The rooms; an arrow points down only: ffi -> sources -> event_loop -> sys, base. `unsafe` lives where a
// room allows it, file by file, and nowhere else.
mod base;
pub mod error;
mod event_loop;
#[allow(unsafe_code)]
pub mod ffi;
mod sources;
mod sys;

pub use error::{Error, Result};
pub use event_loop::callback;
pub use event_loop::handle::RawHandle;
pub use event_loop::hooks::When;
pub use event_loop::inbox::Remote;
pub use event_loop::side_table::Missed;
pub use event_loop::timer::NEVER;
pub use event_loop::{Ended, Loop, News, Options, Pulled};
