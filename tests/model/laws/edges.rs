//! Edges: what only the kernel knows. The model asks it with a set of its own, about descriptors
//! of its own.

use crate::model::files::{Files, SLOTS, from_kernel, to_kernel};
use crate::model::library::EVENTS;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A set of the model's own: only the kernel knows what is an edge.
pub struct Edges(OwnedFd);

impl Edges {
    pub fn new() -> Edges {
        // SAFETY: makes a descriptor, which nobody else owns.
        unsafe {
            let fd = libc::epoll_create1(libc::EPOLL_CLOEXEC);
            assert!(fd >= 0);
            Edges(OwnedFd::from_raw_fd(fd))
        }
    }

    fn control(&self, operation: i32, number: i32, slot: usize, events: u32) {
        let mut event =
            libc::epoll_event { events: to_kernel(events) | libc::EPOLLET as u32, u64: slot as u64 };
        // SAFETY: reads one event. It is refused when the number is not (or already) in the set.
        unsafe { libc::epoll_ctl(self.0.as_raw_fd(), operation, number, &mut event) };
    }

    /// Watches from now on, or anew: what stands counts as an edge.
    pub fn watch(&self, files: &Files, slot: usize, mask: u32) {
        let number = files.number(slot);
        self.control(libc::EPOLL_CTL_ADD, number, slot, mask & EVENTS);
        self.control(libc::EPOLL_CTL_MOD, number, slot, mask & EVENTS);
    }

    pub fn forget(&self, files: &Files, slot: usize) {
        self.control(libc::EPOLL_CTL_DEL, files.number(slot), slot, 0);
    }

    /// What happened since the last time.
    pub fn collect(&self) -> [u32; SLOTS] {
        let mut found = [libc::epoll_event { events: 0, u64: 0 }; SLOTS];
        // SAFETY: writes as many events as there is room for.
        let count = unsafe { libc::epoll_wait(self.0.as_raw_fd(), found.as_mut_ptr(), SLOTS as i32, 0) };
        let mut events = [0; SLOTS];
        for event in &found[..count.max(0) as usize] {
            events[event.u64 as usize] = from_kernel(event.events);
        }
        events
    }
}
