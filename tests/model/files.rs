//! Descriptors for a program to watch: six numbers, behind each a pipe's end, a socket, an
//! eventfd or `/dev/null`. The library and the model have each a set of their own, under other
//! numbers, and do the same with it; so the model asks the kernel what is ready.

use super::library::{ERROR, HANGUP, PRIORITY, READ_CLOSED, READABLE, WRITABLE};
use std::cell::RefCell;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;

pub const SLOTS: usize = 6;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sort {
    PipeIn,
    PipeOut,
    Socket,
    Counter,
    /// `/dev/null`: cannot be waited for.
    Null,
}

pub const SORTS: [Sort; 5] = [Sort::PipeIn, Sort::PipeOut, Sort::Socket, Sort::Counter, Sort::Null];

/// What happens to a descriptor, or to its other end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deed {
    /// A byte more to read.
    Feed,
    /// Nothing more to read.
    Drain,
    /// No room to write.
    Fill,
    /// The other end reads all.
    Relieve,
    /// The other end is closed.
    HangUp,
    /// The other end writes no more.
    Shut,
}

pub const DEEDS: [Deed; 6] = [Deed::Feed, Deed::Drain, Deed::Fill, Deed::Relieve, Deed::HangUp, Deed::Shut];

/// An open file, by one of its numbers.
#[derive(Clone)]
struct Held {
    file: usize,
    sort: Sort,
    peer: Rc<RefCell<Option<OwnedFd>>>,
}

pub struct Files {
    base: RawFd,
    slots: [Option<Held>; SLOTS],
    files: usize,
    /// Those that live on in the process that this one was forked by.
    held: Vec<usize>,
}

impl Files {
    /// With the numbers from `base` on.
    pub fn new(base: RawFd) -> Files {
        Files { base, slots: [const { None }; SLOTS], files: 0, held: Vec::new() }
    }

    pub fn number(&self, slot: usize) -> RawFd {
        self.base + slot as RawFd
    }

    /// The place of a number.
    pub fn slot(&self, number: RawFd) -> usize {
        usize::try_from(number - self.base).unwrap_or(usize::MAX)
    }

    /// Which open file is behind the number, if any.
    pub fn file(&self, slot: usize) -> Option<usize> {
        Some(self.slots[slot].as_ref()?.file)
    }

    pub fn is_unwatchable(&self, slot: usize) -> bool {
        self.slots[slot].as_ref().is_some_and(|held| held.sort == Sort::Null)
    }

    /// Does the file live on under any number?
    pub fn is_alive(&self, file: usize) -> bool {
        self.held.contains(&file) || self.slots.iter().flatten().any(|held| held.file == file)
    }

    /// In a child: the files of now live on in its parent.
    pub fn hold(&mut self) {
        self.held.extend(self.slots.iter().flatten().map(|held| held.file));
    }

    /// A new file behind the number; what was there is closed.
    pub fn open(&mut self, slot: usize, sort: Sort) {
        let (ours, peer) = make(sort);
        // SAFETY: puts a file that is ours behind a number that is ours.
        let done = unsafe { libc::dup3(ours.as_raw_fd(), self.number(slot), libc::O_CLOEXEC) };
        assert_eq!(done, self.number(slot));
        self.files += 1;
        self.slots[slot] = Some(Held { file: self.files, sort, peer: Rc::new(RefCell::new(peer)) });
    }

    pub fn close(&mut self, slot: usize) {
        if self.slots[slot].take().is_some() {
            // SAFETY: a number of ours, with a file behind it.
            unsafe { libc::close(self.number(slot)) };
        }
    }

    /// The same file under another number too; what was there is closed.
    pub fn dup(&mut self, from: usize, to: usize) {
        if from == to || self.slots[from].is_none() {
            return;
        }
        // SAFETY: both numbers are ours.
        let done = unsafe { libc::dup3(self.number(from), self.number(to), libc::O_CLOEXEC) };
        assert_eq!(done, self.number(to));
        self.slots[to] = self.slots[from].clone();
    }

    pub fn deed(&mut self, slot: usize, deed: Deed) {
        let Some(held) = &self.slots[slot] else { return };
        let number = self.number(slot);
        let is_counter = held.sort == Sort::Counter;
        let mut peer = held.peer.borrow_mut();
        let peer_number = peer.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        match deed {
            Deed::Feed if is_counter => write(number, &1u64.to_ne_bytes()),
            Deed::Feed => write(peer_number, b"x"),
            Deed::Drain => read_all(number),
            Deed::Fill if is_counter => write(number, &(u64::MAX - 1).to_ne_bytes()),
            Deed::Fill if held.sort != Sort::Null => write_all(number),
            Deed::Fill => {}
            Deed::Relieve => read_all(if is_counter { number } else { peer_number }),
            Deed::HangUp => drop(peer.take()),
            Deed::Shut => {
                // SAFETY: a number, or -1, or not a socket: then it is refused.
                unsafe { libc::shutdown(peer_number, libc::SHUT_WR) };
            }
        }
    }

    /// What the kernel says of each number, in the header's bits.
    pub fn states(&self) -> [u32; SLOTS] {
        let asked = libc::POLLIN | libc::POLLOUT | libc::POLLPRI | libc::POLLRDHUP;
        let mut polled = [libc::pollfd { fd: -1, events: asked, revents: 0 }; SLOTS];
        for (slot, entry) in polled.iter_mut().enumerate() {
            entry.fd = if self.slots[slot].is_some() { self.number(slot) } else { -1 };
        }
        // SAFETY: as many entries as it says.
        unsafe { libc::poll(polled.as_mut_ptr(), SLOTS as libc::nfds_t, 0) };
        polled.map(|entry| from_kernel(entry.revents as u32))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        (0..SLOTS).for_each(|slot| self.close(slot));
    }
}

/// The bits of poll and epoll are the same numbers.
pub fn from_kernel(events: u32) -> u32 {
    let bits = [
        (libc::EPOLLIN, READABLE),
        (libc::EPOLLOUT, WRITABLE),
        (libc::EPOLLPRI, PRIORITY),
        (libc::EPOLLHUP, HANGUP),
        (libc::EPOLLERR, ERROR),
        (libc::EPOLLRDHUP, READ_CLOSED),
    ];
    bits.iter().filter(|(theirs, _)| events & *theirs as u32 != 0).fold(0, |all, (_, ours)| all | ours)
}

pub fn to_kernel(events: u32) -> u32 {
    (0..32).map(|bit| 1 << bit).filter(|theirs| from_kernel(*theirs) & events != 0).sum()
}

fn make(sort: Sort) -> (OwnedFd, Option<OwnedFd>) {
    let flags = libc::O_NONBLOCK | libc::O_CLOEXEC;
    let mut ends = [-1; 2];
    // SAFETY: each makes one or two descriptors, which nobody else owns.
    unsafe {
        match sort {
            Sort::PipeIn | Sort::PipeOut => assert_eq!(libc::pipe2(ends.as_mut_ptr(), flags), 0),
            Sort::Socket => {
                let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
                assert_eq!(libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()), 0);
            }
            Sort::Counter => ends[0] = libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC),
            Sort::Null => ends[0] = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | flags),
        }
        assert!(ends[0] >= 0, "{}", std::io::Error::last_os_error());
        let [first, second] = ends.map(|fd| (fd >= 0).then(|| OwnedFd::from_raw_fd(fd)));
        let first = first.unwrap();
        match second {
            Some(second) if sort == Sort::PipeOut => (second, Some(first)),
            second => (first, second),
        }
    }
}

fn write(number: RawFd, bytes: &[u8]) {
    // SAFETY: reads the bytes; a number of ours, or -1, or a full one: then it is refused.
    unsafe { libc::write(number, bytes.as_ptr().cast(), bytes.len()) };
}

fn write_all(number: RawFd) {
    static BYTES: [u8; 1 << 16] = [0; 1 << 16];
    // SAFETY: as above.
    while unsafe { libc::write(number, BYTES.as_ptr().cast(), BYTES.len()) } > 0 {}
}

fn read_all(number: RawFd) {
    let mut bytes = [0u8; 1 << 14];
    // SAFETY: writes to the bytes at the most.
    while unsafe { libc::read(number, bytes.as_mut_ptr().cast(), bytes.len()) } > 0 {}
}
