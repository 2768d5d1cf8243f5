//! What is made of the core's parts, one file a kind.

pub mod list;
pub mod poll_fd;
