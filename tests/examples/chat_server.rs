//! The chat server: what one says, all others hear, and nobody waits for the slow.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::super::harness::tools::{self, watched};
use super::{Server, set_descriptor_limit};

pub fn chat_server(program: &Path) {
    // Two crowds at once would need more descriptors than this process has.
    static ONE_CROWD_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_CROWD_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    if tools::current().is_some() {
        // A tool needs memory and descriptors of its own.
        chat(Server::start(watched(program).arg("0")), 100);
        return;
    }
    // The servers have this limit too, since they are started from here.
    let crowd = (set_descriptor_limit(0, 15_000) - 1000).min(10_000);
    let server = Server::start(watched(program).arg("0"));
    let memory = chat(server, crowd);
    assert!(memory < crowd * 40 + 20_000, "{memory} KB for {crowd} clients");
    newcomers_wait_for_descriptors(program);
}

/// A long evening with a crowd of this size. Returns the server's peak memory.
fn chat(server: Server, crowd: usize) -> usize {
    let at_rest = server.open_descriptors();
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.extend((0..crowd / 10).map(|_| server.connect()));
        server.wait_for_descriptors(at_rest + clients.len());
        let last = clients.len() - 1;
        says(&mut clients, last, b"good evening\n");
    }

    slow_readers_are_dropped_and_hold_up_nobody(&server, &mut clients);
    a_line_may_come_in_parts(&mut clients);
    who_leaves_in_mid_message_is_not_heard(&server, &mut clients);
    too_long_a_line_is_the_end(clients.pop().unwrap());
    says(&mut clients, 1, b"good night\n");
    server.wait_for_descriptors(at_rest + clients.len());
    server.wait_until_it_rests();

    let memory = server.peak_memory_kb();
    server.ends_well_on_sigint();
    for client in &mut clients {
        assert_eq!(client.read(&mut [0]).unwrap_or(0), 0, "nothing more is said");
    }
    memory
}

fn says(clients: &mut [TcpStream], speaker: usize, text: &[u8]) {
    clients[speaker].write_all(text).unwrap();
    all_others_hear(clients, speaker, text);
}

/// This, and nothing else before it.
fn all_others_hear(clients: &mut [TcpStream], speaker: usize, text: &[u8]) {
    let mut heard = vec![0; text.len()];
    for (i, client) in clients.iter_mut().enumerate().filter(|(i, _)| *i != speaker) {
        client.read_exact(&mut heard).unwrap_or_else(|error| panic!("client {i}: {error}"));
        assert!(heard == text, "client {i} hears {:.80}", String::from_utf8_lossy(&heard));
    }
}

/// A client that does not read, or less than it is told.
struct SlowReader {
    stream: TcpStream,
    heard: Vec<u8>,
}

fn slow_readers_are_dropped_and_hold_up_nobody(server: &Server, clients: &mut [TcpStream]) {
    let without_them = server.open_descriptors();
    let slow = || SlowReader { stream: server.connect_with_small_buffers(), heard: Vec::new() };
    let mut slow_readers: Vec<SlowReader> = (0..=clients.len() / 50).map(|_| slow()).collect();
    server.wait_for_descriptors(without_them + slow_readers.len());

    let mut said = Vec::new();
    while server.open_descriptors() > without_them {
        assert!(said.len() < 4 << 20, "there is no limit to how far they may fall behind");
        // 16 KB, so that the others, who hear all of it before the next, are never 32 KB behind.
        let line = |i: usize| format!("{:07}\n", said.len() / 8 + i);
        let lines: String = (0..2048).map(line).collect();
        says(clients, 0, lines.as_bytes());
        said.extend_from_slice(lines.as_bytes());
        for (i, SlowReader { stream, heard }) in slow_readers.iter_mut().enumerate() {
            stream.take(32 * i as u64).read_to_end(heard).unwrap();
        }
    }
    for SlowReader { mut stream, mut heard } in slow_readers {
        stream.read_to_end(&mut heard).unwrap();
        assert!(heard.len() < said.len() && said.starts_with(&heard), "they miss the end alone");
    }
}

fn a_line_may_come_in_parts(clients: &mut [TcpStream]) {
    clients[1].write_all(b"in ").unwrap();
    says(clients, 0, b"between the parts\n");
    clients[1].write_all(b"two parts\nand ").unwrap();
    all_others_hear(clients, 1, b"in two parts\n");
    clients[1].write_all(b"a second line\n").unwrap();
    all_others_hear(clients, 1, b"and a second line\n");
}

/// A tenth of the clients goes. Half of them have something unread, so that
/// the server gets a reset instead of an end.
fn who_leaves_in_mid_message_is_not_heard(server: &Server, clients: &mut Vec<TcpStream>) {
    let before = server.open_descriptors();
    let mut leaving = clients.split_off(clients.len() - clients.len() / 10);
    says(clients, 0, b"who is going?\n");
    for (i, client) in leaving.iter_mut().enumerate() {
        if i % 2 == 0 {
            client.read_exact(&mut [0; 14]).unwrap();
        }
        client.write_all(b"I a").unwrap();
    }
    let gone = leaving.len();
    drop(leaving);
    server.wait_for_descriptors(before - gone);
    says(clients, 0, b"never mind\n");
}

fn too_long_a_line_is_the_end(mut client: TcpStream) {
    client.write_all(&[b'x'; 5000]).unwrap();
    let end = client.read(&mut [0]);
    assert!(matches!(end, Ok(0)) || end.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset));
}

fn newcomers_wait_for_descriptors(program: &Path) {
    let server = Server::start(watched(program).arg("0"));
    let at_rest = server.open_descriptors();
    set_descriptor_limit(server.pid(), at_rest + 10);
    let mut inside: Vec<TcpStream> = (0..15).map(|_| server.connect()).collect();
    server.wait_until_it_rests();
    let mut waiting = inside.split_off(server.open_descriptors() - at_rest);
    assert!(!waiting.is_empty());
    says(&mut inside, 0, b"it is full\n");
    drop(inside);
    let last = waiting.len() - 1;
    says(&mut waiting, last, b"now there is room\n");
    server.ends_well_on_sigint();
}
