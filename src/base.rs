//! Structures that know no loop, no clock, no system call and no user code: a queue that numbers
//! its elements, numbered slots, blocks of memory whose growth can fail.

#[allow(unsafe_code)] // a box and an `Arc` whose making can fail
pub mod counted;
pub mod memory;
#[allow(unsafe_code)] // an instruction without a name in Rust
pub mod prefetch;
#[allow(unsafe_code)] // pointers to the first and the last block of a queue
pub mod ring;
pub mod slots;
pub mod sync;
