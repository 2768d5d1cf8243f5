//! Linux: epoll, eventfd, timerfd.

#[allow(unsafe_code)]
mod epoll;
#[allow(unsafe_code)]
mod host_set;

pub use epoll::{Poller, Waker};
