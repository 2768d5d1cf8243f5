//! What the chat server and the proxy promise when their peers are many, slow,
//! leave in the middle, or are not there. Everything is done once at full size
//! (10,000 clients, 1 GB), and once small under valgrind, which finds what is
//! leaked or used after it was freed.

mod chat_server;
mod proxy;

use std::fs;
use std::io::{ErrorKind, Read};
use std::net::{SocketAddrV4, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd};
use std::process::Command;
use std::ptr;
use std::thread;
use std::time::{Duration, Instant};

use super::{Running, TIME_LIMIT, signal};
pub use chat_server::chat_server;
pub use proxy::proxy;

/// Of a process that looks after something ten times a second.
const A_FEW_SWITCHES: u64 = 30;

/// A server that has said where it listens.
pub struct Server {
    pub running: Running,
    pub address: String,
}

impl Server {
    pub fn start(command: &mut Command) -> Server {
        let mut running = Running::start(command);
        let line = running.line();
        let address = line.trim_end().strip_prefix("listening on ").expect(&line).to_owned();
        Server { running, address }
    }

    pub fn connect(&self) -> TcpStream {
        super::connect(&self.address)
    }

    /// The server's kernel takes but a part of what is sent to such a client.
    pub fn connect_with_small_buffers(&self) -> TcpStream {
        let address: SocketAddrV4 = self.address.parse().unwrap();
        let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
        // SAFETY: it takes three numbers, and what it opens belongs to nobody else.
        let stream = unsafe { TcpStream::from_raw_fd(libc::socket(libc::AF_INET, kind, 0)) };
        set_option(&stream, libc::IPPROTO_TCP, libc::TCP_MAXSEG, 200);
        set_option(&stream, libc::SOL_SOCKET, libc::SO_RCVBUF, 4096);
        let name = libc::sockaddr_in {
            sin_family: libc::AF_INET as libc::sa_family_t,
            sin_port: address.port().to_be(),
            sin_addr: libc::in_addr { s_addr: address.ip().to_bits().to_be() },
            sin_zero: [0; 8],
        };
        let size = size_of_val(&name) as libc::socklen_t;
        // SAFETY: the name is of the socket's kind and of this size.
        let result = unsafe { libc::connect(stream.as_raw_fd(), (&raw const name).cast(), size) };
        assert_eq!(result, 0);
        with_time_limit(stream)
    }

    pub fn pid(&self) -> u32 {
        self.running.child.id()
    }

    pub fn open_descriptors(&self) -> usize {
        super::open_descriptors(&self.running)
    }

    pub fn wait_for_descriptors(&self, number: usize) {
        let start = Instant::now();
        while self.open_descriptors() != number {
            assert!(start.elapsed() < TIME_LIMIT, "it never has {number} descriptors open");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits for a while that it sleeps through, but for a few looks at a descriptor that may be
    /// free again. One that spins never does, nor does one that has something to do but is not given a
    /// processor.
    pub fn wait_until_it_rests(&self) {
        let start = Instant::now();
        loop {
            let before = self.switches_if_asleep();
            thread::sleep(Duration::from_millis(100));
            let after = self.switches_if_asleep();
            if before.zip(after).is_some_and(|(before, after)| after - before <= A_FEW_SWITCHES) {
                return;
            }
            assert!(start.elapsed() < TIME_LIMIT, "it spins");
        }
    }

    /// How often it gave the processor up, or had to; `None` while it is not asleep.
    fn switches_if_asleep(&self) -> Option<u64> {
        let status = self.proc("status");
        let is_asleep = status.lines().any(|line| line.starts_with("State:\tS"));
        let switches = status.lines().filter(|line| line.contains("voluntary_ctxt_switches:"));
        let counts = switches.map(|line| line.rsplit_once('\t').unwrap().1.parse::<u64>().unwrap());
        let sum = counts.sum();
        is_asleep.then_some(sum)
    }

    pub fn peak_memory_kb(&self) -> usize {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.pid())).unwrap()
    }

    pub fn ends_well_on_sigint(self) {
        signal(self.pid(), libc::SIGINT);
        assert_eq!(self.running.finish(), "");
    }
}

fn set_option(stream: &TcpStream, level: i32, option: i32, value: i32) {
    let (pointer, size) = ((&raw const value).cast(), size_of_val(&value) as libc::socklen_t);
    // SAFETY: the value is an int, as these options want, and of this size.
    let result = unsafe { libc::setsockopt(stream.as_raw_fd(), level, option, pointer, size) };
    assert_eq!(result, 0);
}

pub fn with_time_limit(stream: TcpStream) -> TcpStream {
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(TIME_LIMIT)).unwrap();
    stream.set_write_timeout(Some(TIME_LIMIT)).unwrap();
    stream
}

/// Gives a process (0: this one) this limit, or the highest that it may have.
/// Returns the limit.
pub fn set_descriptor_limit(pid: u32, wanted: usize) -> usize {
    let pid = i32::try_from(pid).unwrap();
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: null where it allows null, and else a place of the right type.
    let result = unsafe {
        libc::prlimit(pid, libc::RLIMIT_NOFILE, ptr::null(), &mut limit);
        limit.rlim_cur = limit.rlim_max.min(wanted as u64);
        libc::prlimit(pid, libc::RLIMIT_NOFILE, &limit, ptr::null_mut())
    };
    assert_eq!(result, 0);
    limit.rlim_cur as usize
}

/// What the other side reads when a connection was broken off.
fn is_reset(stream: &mut TcpStream) -> bool {
    stream.read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
}
