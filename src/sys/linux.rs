//! Linux: epoll, eventfd, timerfd.

#[allow(unsafe_code)]
mod epoll;
#[allow(unsafe_code)]
mod host_set;
#[allow(unsafe_code)]
mod lineage;

pub use epoll::{Poller, Waker, cpu_time};
