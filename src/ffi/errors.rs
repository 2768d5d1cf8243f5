//! In every function a negative result is an error: -errno for an error of the system (-EBADF,
//! -ENOMEM), or one of these codes, from -20001 down. The usual errors are explained at the top
//! of this file.

use crate::error;
use std::ffi::{c_char, c_int};

/// The loop, or another pointer that must not be NULL, is NULL.
pub const LOOP_ENULL: i32 = -20001;
/// The callback is NULL, and the loop is not in pull mode.
pub const LOOP_ENOCALLBACK: i32 = -20002;
/// The source of the handle has ended, or the number is no handle of this loop.
pub const LOOP_ESTALE: i32 = -20003;
/// The handle names a source of a kind that the function is not for.
pub const LOOP_EKIND: i32 = -20004;
/// There are unknown bits in an event mask, or the function does not accept them.
pub const LOOP_EMASK: i32 = -20005;
/// An option flag is unknown, flags contradict each other, a size is too small, or a field that
/// must be zero is not.
pub const LOOP_EOPTIONS: i32 = -20006;
/// Another thread runs this loop, or the loop is bound to another thread.
pub const LOOP_EWRONGTHREAD: i32 = -20007;
/// An edge-triggered watcher cannot share its descriptor with another one.
pub const LOOP_EBUSY: i32 = -20008;
/// A run function was called on a loop in pull mode, or loop_next_events on a loop that is not.
pub const LOOP_EPULL: i32 = -20009;
/// This is a forked child, and the loop is the parent's until loop_after_fork.
pub const LOOP_EFORKED: i32 = -20010;
/// The loop has been freed.
pub const LOOP_ECLOSED: i32 = -20011;
/// A bug in the library was caught. Only loop_free still works.
pub const LOOP_EPANIC: i32 = -20012;
/// A limit is reached: sources of one kind, or nested runs (see the usual errors).
pub const LOOP_ELIMIT: i32 = -20013;
/// The loop uses the system's clock, which cannot be advanced.
pub const LOOP_ECLOCK: i32 = -20014;

/// The version of this header, 0xMMmmpp.
pub const LOOP_VERSION: u32 = LOOP_VERSION_MAJOR << 16 | LOOP_VERSION_MINOR << 8 | LOOP_VERSION_PATCH;
/// Within one major version, later versions only add.
pub const LOOP_VERSION_MAJOR: u32 = 0;
/// It grows with new functions, options and constants.
pub const LOOP_VERSION_MINOR: u32 = 1;
/// It grows with corrections.
pub const LOOP_VERSION_PATCH: u32 = 0;

/// Returns a description of an error code in English; "success" for 0 and above. A static string,
/// never NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn loop_strerror(code: c_int) -> *const c_char {
    error::describe(code).as_ptr()
}

/// Returns the name of an error code, such as "LOOP_ESTALE" or "EBADF"; "OK" for 0 and above,
/// "UNKNOWN" if the code has no name. A static string, never NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn loop_error_name(code: c_int) -> *const c_char {
    error::name(code).as_ptr()
}

/// Returns the version of the loaded library, in the form of LOOP_VERSION. Any thread.
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
