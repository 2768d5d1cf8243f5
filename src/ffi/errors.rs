//! A negative number is an error in every function. What the system says is -errno (-EBADF,
//! -ENOMEM...); what the library finds has numbers from -20001 down. Nothing has changed
//! when a function returns an error, unless it says otherwise. No misuse ends the process.

use crate::error;
use std::ffi::{c_char, c_int};

/// The loop, or another pointer that is needed, is NULL.
pub const LOOP_ENULL: i32 = -20001;
/// The callback is NULL.
pub const LOOP_ENOCALLBACK: i32 = -20002;
/// The handle is finished, or was never given out by this loop.
pub const LOOP_ESTALE: i32 = -20003;
/// The handle is of another kind of source.
pub const LOOP_EKIND: i32 = -20004;
/// Unknown bits in an event mask.
pub const LOOP_EMASK: i32 = -20005;
/// Unknown option flags, a size too small, or a part that must be zero is not.
pub const LOOP_EOPTIONS: i32 = -20006;
/// Another thread runs this loop, or it is bound to another thread.
pub const LOOP_EWRONGTHREAD: i32 = -20007;
/// An edge-triggered watcher shares its descriptor with no other.
pub const LOOP_EBUSY: i32 = -20008;
/// A loop in pull mode is driven by loop_next_events alone, and other loops by the run functions.
pub const LOOP_EPULL: i32 = -20009;
/// This process is a forked child, and the loop is its parent's.
pub const LOOP_EFORKED: i32 = -20010;
/// The loop has been freed.
pub const LOOP_ECLOSED: i32 = -20011;
/// A bug inside the library was caught; only loop_free works now.
pub const LOOP_EPANIC: i32 = -20012;
/// More sources or nested runs than a loop can number.
pub const LOOP_ELIMIT: i32 = -20013;
/// The loop's clock is the system's and cannot be advanced.
pub const LOOP_ECLOCK: i32 = -20014;

/// The version of this header: LOOP_VERSION is 0xMMmmpp.
pub const LOOP_VERSION: u32 = LOOP_VERSION_MAJOR << 16 | LOOP_VERSION_MINOR << 8 | LOOP_VERSION_PATCH;
/// Only additions happen within a major version.
pub const LOOP_VERSION_MAJOR: u32 = 0;
/// New functions, options and constants.
pub const LOOP_VERSION_MINOR: u32 = 1;
/// Corrections.
pub const LOOP_VERSION_PATCH: u32 = 0;

/// A sentence for a code, in English; for 0 and above "success". A static string, never
/// NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn loop_strerror(code: c_int) -> *const c_char {
    error::describe(code).as_ptr()
}

/// The name of a code, such as "LOOP_ESTALE" or "EBADF"; "OK" for 0 and above, "UNKNOWN" when there
/// is none. A static string, never NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn loop_error_name(code: c_int) -> *const c_char {
    error::name(code).as_ptr()
}

/// The version of the library that is loaded, as LOOP_VERSION. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn loop_version() -> u32 {
    LOOP_VERSION
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constants_are_the_codes_and_the_version_is_cargos() {
        let cargo: Vec<u32> =
            env!("CARGO_PKG_VERSION").split('.').map(|part| part.parse().unwrap()).collect();
        assert_eq!(cargo, [LOOP_VERSION_MAJOR, LOOP_VERSION_MINOR, LOOP_VERSION_PATCH]);
        let constants = [
            (c"LOOP_ENULL", LOOP_ENULL),
            (c"LOOP_ENOCALLBACK", LOOP_ENOCALLBACK),
            (c"LOOP_ESTALE", LOOP_ESTALE),
            (c"LOOP_EKIND", LOOP_EKIND),
            (c"LOOP_EMASK", LOOP_EMASK),
            (c"LOOP_EOPTIONS", LOOP_EOPTIONS),
            (c"LOOP_EWRONGTHREAD", LOOP_EWRONGTHREAD),
            (c"LOOP_EBUSY", LOOP_EBUSY),
            (c"LOOP_EPULL", LOOP_EPULL),
            (c"LOOP_EFORKED", LOOP_EFORKED),
            (c"LOOP_ECLOSED", LOOP_ECLOSED),
            (c"LOOP_EPANIC", LOOP_EPANIC),
            (c"LOOP_ELIMIT", LOOP_ELIMIT),
            (c"LOOP_ECLOCK", LOOP_ECLOCK),
        ];
        for (name, code) in constants {
            assert_eq!(error::name(code), name);
        }
    }
}
