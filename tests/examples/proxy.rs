//! The proxy: every byte and every end goes through, in both directions, and
//! who does not read stops the one who sends, not the proxy or anybody else.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use super::super::TIME_LIMIT;
use super::super::harness::tools::{self, watched};
use super::{Server, is_reset, set_descriptor_limit, with_time_limit};

/// Up to how much memory a proxy may have, however much goes through it.
const PROXY_MEMORY_KB: usize = 30_000;

pub fn proxy(program: &Path) {
    let target = listen("127.0.0.1:0".parse().unwrap());
    a_target_that_refuses(watched(program));
    if tools::current().is_some() {
        // A tool needs memory and descriptors of its own.
        relay(Proxy::start(watched(program), &target), 16 << 20, 50);
        return;
    }
    let memory = relay(Proxy::start(watched(program), &target), 512 << 20, 1000);
    assert!(memory < PROXY_MEMORY_KB, "{memory} KB");
    newcomers_wait_for_descriptors(program);
}

/// A proxy and its target.
struct Proxy<'a> {
    server: Server,
    target: &'a TcpListener,
}

impl Proxy<'_> {
    fn start(mut command: Command, target: &TcpListener) -> Proxy<'_> {
        Proxy { server: Server::start(arguments(&mut command, target.local_addr().unwrap())), target }
    }

    /// Both ends of a connection through it.
    fn connect(&self) -> (TcpStream, TcpStream) {
        (self.server.connect(), self.accept())
    }

    fn accept(&self) -> TcpStream {
        let start = Instant::now();
        loop {
            match self.target.accept() {
                Ok((stream, _)) => return with_time_limit(stream),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
            assert!(start.elapsed() < TIME_LIMIT, "the proxy does not connect");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn listen(address: SocketAddr) -> TcpListener {
    let listener = TcpListener::bind(address).unwrap();
    listener.set_nonblocking(true).unwrap(); // see accept
    listener
}

fn arguments(command: &mut Command, target: SocketAddr) -> &mut Command {
    command.args(["0", &target.ip().to_string(), &target.port().to_string()])
}

/// Everything that goes through a proxy. Returns its peak memory.
fn relay(proxy: Proxy, bytes: usize, short_connections: usize) -> usize {
    let at_rest = proxy.server.open_descriptors();
    both_directions_at_once(proxy.connect(), bytes);
    the_client_ends_first_and_is_answered(&proxy);
    the_target_ends_first_and_is_answered(&proxy);
    who_does_not_read_stops_the_sender(&proxy);
    a_reset_is_passed_on(&proxy);
    many_short_connections(&proxy, short_connections);
    proxy.server.wait_for_descriptors(at_rest);
    proxy.server.wait_until_it_rests();

    let memory = proxy.server.peak_memory_kb();
    let (mut client, mut target) = proxy.connect();
    send(&mut client, &mut target, b"in the middle");
    proxy.server.ends_well_on_sigint();
    assert!(is_reset(&mut client) && is_reset(&mut target), "it was not the end");
    memory
}

/// Bytes that repeat after a prime number of them, so that a block that is
/// lost, doubled or moved is found. There are two periods: from each position of the
/// first, a whole period can be taken.
fn pattern() -> &'static [u8] {
    static PATTERN: OnceLock<Vec<u8>> = OnceLock::new();
    let byte = |i: u32| (i % PERIOD as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0];
    PATTERN.get_or_init(|| (0..2 * PERIOD as u32).map(byte).collect())
}

const PERIOD: usize = 65_521;

fn write_pattern(mut stream: &TcpStream, bytes: usize) {
    let mut position = 0;
    while position < bytes {
        let start = position % PERIOD;
        let n = stream.write(&pattern()[start..start + PERIOD.min(bytes - position)]).unwrap();
        position += n;
    }
    stream.shutdown(Shutdown::Write).unwrap();
}

fn read_pattern(mut stream: &TcpStream, bytes: usize) {
    let (mut position, mut buffer) = (0, vec![0; PERIOD]);
    loop {
        let n = stream.read(&mut buffer).unwrap();
        if n == 0 {
            break;
        }
        let start = position % PERIOD;
        assert!(buffer[..n] == pattern()[start..start + n], "changed after byte {position}");
        position += n;
    }
    assert_eq!(position, bytes);
}

fn both_directions_at_once((client, target): (TcpStream, TcpStream), bytes: usize) {
    thread::scope(|scope| {
        for (from, to) in [(&client, &target), (&target, &client)] {
            scope.spawn(move || write_pattern(from, bytes));
            scope.spawn(move || read_pattern(to, bytes));
        }
    });
}

fn send(from: &mut TcpStream, to: &mut TcpStream, message: &[u8]) {
    from.write_all(message).unwrap();
    let mut received = vec![0; message.len()];
    to.read_exact(&mut received).unwrap();
    assert_eq!(received, message);
}

fn the_client_ends_first_and_is_answered(proxy: &Proxy) {
    let (client, target) = proxy.connect();
    one_ends_first_and_is_answered(proxy, client, target);
}

fn the_target_ends_first_and_is_answered(proxy: &Proxy) {
    let (client, target) = proxy.connect();
    one_ends_first_and_is_answered(proxy, target, client);
}

fn one_ends_first_and_is_answered(proxy: &Proxy, mut first: TcpStream, mut second: TcpStream) {
    first.write_all(b"a question").unwrap();
    first.shutdown(Shutdown::Write).unwrap();
    let mut question = String::new();
    second.read_to_string(&mut question).unwrap();
    assert_eq!(question, "a question");
    proxy.server.wait_until_it_rests();
    for part in ["the ", "answer"] {
        send(&mut second, &mut first, part.as_bytes());
    }
    drop(second);
    assert_eq!(first.read(&mut [0]).unwrap(), 0, "the end of the answer");
}

/// More than all the buffers on the way can hold.
const LONG: usize = 64 << 20;

fn who_does_not_read_stops_the_sender(proxy: &Proxy) {
    let client = proxy.server.connect_with_small_buffers();
    let target = proxy.accept();
    // So the proxy is done when it has sent the last bytes, which are not read yet.
    client.shutdown(Shutdown::Write).unwrap();
    thread::scope(|scope| {
        let sender = scope.spawn(|| write_pattern(&target, LONG));
        proxy.server.wait_until_it_rests();
        assert!(!sender.is_finished(), "the proxy has taken more than it can pass on");
        let (mut another, mut its_target) = proxy.connect();
        send(&mut another, &mut its_target, b"meanwhile");
        send(&mut its_target, &mut another, b"and back");
        read_pattern(&client, LONG);
    });
}

/// To close with something unread breaks a connection off.
fn a_reset_is_passed_on(proxy: &Proxy) {
    for client_breaks_off in [true, false] {
        let (mut client, mut target) = proxy.connect();
        send(&mut client, &mut target, b"from the client");
        send(&mut target, &mut client, b"from the target");
        let (one, mut other) = if client_breaks_off { (client, target) } else { (target, client) };
        other.write_all(b"never read").unwrap();
        one.peek(&mut [0]).unwrap();
        drop(one);
        assert!(is_reset(&mut other), "it looks as if that was all");
    }
}

fn many_short_connections(proxy: &Proxy, number: usize) {
    const CLIENTS: usize = 4;
    thread::scope(|scope| {
        for i in 0..CLIENTS {
            scope.spawn(move || (0..number / CLIENTS).for_each(|n| ask(&proxy.server, &format!("{i}: {n}"))));
        }
        for _ in 0..number / CLIENTS * CLIENTS {
            answer(proxy.accept());
        }
    });
}

fn ask(server: &Server, question: &str) {
    let mut stream = server.connect();
    stream.write_all(question.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, format!("{question}?"));
}

fn answer(mut stream: TcpStream) {
    let mut question = Vec::new();
    stream.read_to_end(&mut question).unwrap();
    question.push(b'?');
    stream.write_all(&question).unwrap();
}

fn a_target_that_refuses(mut command: Command) {
    // Holds the port: nobody is given the same one of another address.
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = SocketAddr::from(([127, 0, 0, 2], holder.local_addr().unwrap().port()));
    let server = Server::start(arguments(&mut command, address));
    let at_rest = server.open_descriptors();
    for _ in 0..100 {
        assert!(is_reset(&mut server.connect()));
    }
    server.wait_for_descriptors(at_rest);

    let target = listen(address);
    let proxy = Proxy { server, target: &target };
    let (mut client, mut server_side) = proxy.connect();
    send(&mut client, &mut server_side, b"now it is there");
    proxy.server.ends_well_on_sigint();
}

fn newcomers_wait_for_descriptors(program: &Path) {
    let target = listen("127.0.0.1:0".parse().unwrap());
    let proxy = Proxy::start(watched(program), &target);
    let at_rest = proxy.server.open_descriptors();
    for room in [8, 9] {
        set_descriptor_limit(proxy.server.pid(), at_rest + room);
        let clients: Vec<TcpStream> = (0..20).map(|_| proxy.server.connect()).collect();
        proxy.server.wait_until_it_rests();
        let served = (proxy.server.open_descriptors() - at_rest) / 2;
        assert!((1..=10).contains(&served), "{served}");
        // Each that leaves makes room for one.
        for mut client in clients {
            let mut its_target = proxy.accept();
            send(&mut client, &mut its_target, b"now there is room");
        }
        proxy.server.wait_for_descriptors(at_rest);
    }
    proxy.server.ends_well_on_sigint();
}
