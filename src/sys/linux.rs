//! Linux: epoll, eventfd, timerfd.

#[allow(unsafe_code)]
mod epoll;
#[allow(unsafe_code)]
mod host_set;
#[allow(unsafe_code)]
mod lineage;
mod orphans;

pub use epoll::{Poller, Waker};
