//! The examples: each file of `c_examples` is short, opens with a comment, is
//! built under every compiler, and is run and checked by a function of its own.

#[path = "examples/chat_and_proxy.rs"]
mod chat_and_proxy;
mod harness;
#[path = "examples/http_get.rs"]
mod http_get;
#[path = "examples/http_server.rs"]
mod http_server;
#[path = "examples/threads_and_hosts.rs"]
mod threads_and_hosts;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use harness::tools::{self, watched};
use harness::{TIME_LIMIT_SECONDS, c_compilers, files, in_repository, read, run, title, trial};
use libtest_mimic::Trial;

const TIME_LIMIT: Duration = Duration::from_secs(TIME_LIMIT_SECONDS);

type Check = fn(&Path);

/// Longer than the others: half a protocol would teach what nobody should copy.
const WHOLE_PROTOCOLS: [&str; 2] = ["c_examples/http_get", "c_examples/http_server"];

fn main() {
    let checks: BTreeMap<&str, Check> = BTreeMap::from([
        ("chat_server", chat_and_proxy::chat_server as Check),
        ("dialog", dialog),
        ("echo_server", echo_server),
        ("fake_clock", fake_clock),
        ("first", first),
        ("foreign_poll", threads_and_hosts::foreign_poll),
        ("fork_child", fork_child),
        ("frame_loop", threads_and_hosts::frame_loop),
        ("greeting", greeting),
        ("guest_mode", threads_and_hosts::guest_mode),
        ("hello", hello),
        ("hooks", hooks),
        ("http_get", http_get::http_get),
        ("http_server", http_server::http_server),
        ("pause", pause),
        ("proxy", chat_and_proxy::proxy),
        ("pull_events", pull_events),
        ("remote", remote),
        ("signals", signals),
        ("stdin_lines", stdin_lines),
        ("timers", timers),
        ("tour", tour),
        ("versions", versions),
        ("virtual_time", virtual_time),
        ("wake_hook", wake_hook),
        ("workers", threads_and_hosts::workers),
    ]);
    let mut trials = Vec::new();
    for source in files("c_examples", &["c"]) {
        let check = checks.get(source.file_stem().unwrap().to_str().unwrap()).copied();
        for compiler in c_compilers() {
            trials.push(trial(&source, compiler, move |program| {
                check.ok_or("tests/examples.rs has no check of this example")?(program);
                Ok(())
            }));
        }
        if tools::current().is_some() {
            continue;
        }
        let name = format!("{} is short and says what it shows", title(&source));
        trials.push(Trial::test(name, move || {
            let text = read(&source);
            assert!(text.starts_with("/*") || text.starts_with("//"), "opens with a comment");
            let limit = if WHOLE_PROTOCOLS.contains(&title(&source).as_str()) { 320 } else { 120 };
            assert!(text.lines().count() < limit, "has {} lines", text.lines().count());
            Ok(())
        }));
    }
    for name in checks.into_keys().filter(|_| tools::current().is_none()) {
        let source = in_repository(&format!("c_examples/{name}.c"));
        trials.push(Trial::test(format!("{name} is there"), move || {
            source.exists().then_some(()).ok_or_else(|| "is missing".into())
        }));
    }
    run(trials)
}

/// A program that runs; killed when this is dropped, or when its time is up.
struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    _watchdog: Sender<()>,
}

impl Running {
    fn start(command: &mut Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (watchdog, dropped) = channel();
        let pid = child.id();
        thread::spawn(move || {
            if dropped.recv_timeout(TIME_LIMIT) == Err(RecvTimeoutError::Timeout) {
                signal(pid, libc::SIGKILL);
            }
        });
        Running { child, stdout, _watchdog: watchdog }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }

    /// The rest of its output, once it has ended well.
    fn finish(mut self) -> String {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}, after:\n{rest}");
        rest
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Of a server that greets, of a silent one, and of none.
fn greeting(program: &Path) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let greet = |ms: &str| {
        let output = watched(program).args(["127.0.0.1", &port, ms]).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    };
    // The kernel accepts the connection; nobody says anything.
    assert_eq!(greet("20"), (false, String::new(), "greeting: Connection timed out\n".into()));
    let server = thread::spawn(move || {
        let _silent = listener.accept().unwrap();
        let (mut client, _) = listener.accept().unwrap();
        client.write_all(b"220 hello\r\n").unwrap();
        (client, listener)
    });
    assert_eq!(greet("60000"), (true, "220 hello\r\n".into(), String::new()));
    drop(server.join().unwrap());
    assert_eq!(greet("60000"), (false, String::new(), "connect: Connection refused\n".into()));
}

fn signal(pid: u32, number: i32) {
    let pid = i32::try_from(pid).unwrap();
    // SAFETY: kill takes two numbers; the child has not been waited for.
    assert_eq!(unsafe { libc::kill(pid, number) }, 0);
}

fn output(program: &Path) -> String {
    Running::start(watched(program).stdin(Stdio::null())).finish()
}

/// Runs it to the end, which must not come before its timers allow.
fn output_after(program: &Path, at_least: Duration) -> String {
    let start = Instant::now();
    let output = output(program);
    assert!(start.elapsed() >= at_least, "too early:\n{output}");
    output
}

fn first(program: &Path) {
    let output = output_after(program, Duration::from_millis(300));
    assert_eq!(output, "hello\ntick 1\ntick 2\ntick 3\n");
}

fn hello(program: &Path) {
    let output = output_after(program, Duration::from_millis(300));
    let (later, others): (Vec<_>, Vec<_>) = output.lines().partition(|line| *line == "later");
    assert_eq!(others, ["soon", "tick, 2 to go", "tick, 1 to go", "tick, 0 to go"]);
    // Not before the first tick; a machine that stalls may join the others.
    assert!(later.len() == 1 && output.starts_with("soon\ntick"), "{output}");
}

fn timers(program: &Path) {
    let output = output_after(program, Duration::from_millis(350));
    // On a machine that stalls the reminder may come before the last messages.
    let (reminder, others): (Vec<_>, Vec<_>) = output.lines().partition(|line| line.starts_with("reminder"));
    assert_eq!(reminder, ["reminder: the time-out is still to come"]);
    let messages = ["message 1", "message 2", "message 3", "time-out, after 3 messages"];
    assert_eq!(others, [&messages[..], &["the heartbeat is still active"]].concat());
}

fn pause(program: &Path) {
    let output = output_after(program, Duration::from_millis(40));
    assert_eq!(output, "read one\nreading off\nreading on\nread two\n");
}

fn remote(program: &Path) {
    let output = output(program);
    // A machine that stalls may run a fourth result in the turn of the third.
    assert!(output.starts_with("result: 1\nresult: 4\nresult: 9\n"), "{output}");
    assert!(output.ends_with("\nworker: LOOP_ECLOSED\n"), "{output}");
}

fn dialog(program: &Path) {
    let output = output_after(program, Duration::from_millis(150));
    let (guest, others): (Vec<_>, Vec<_>) =
        output.lines().partition(|line| line.starts_with("guest: ") && line.len() == 8);
    assert_eq!(guest, ["guest: 2", "guest: 1", "guest: 0"]);
    assert_eq!(others, ["guest: a dialog opens", "host: got yes", "guest: the dialog closes, in 1 run"]);
}

fn wake_hook(program: &Path) {
    let output = output_after(program, Duration::from_millis(50));
    let mut lines: Vec<&str> = output.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["a monster wakes up", "a texture has come"]);
}

fn pull_events(program: &Path) {
    let output = output_after(program, Duration::from_millis(40));
    let expected = ["soon: first", "pipe: 5 bytes", "timer: 20 ms are over", "tick: 40 ms", "pipe: 0 bytes"];
    let lines: Vec<_> = output.lines().collect();
    // On a machine that stalls there is a tick more.
    let (expected_lines, more) = lines.split_at(expected.len().min(lines.len()));
    assert_eq!(expected_lines, expected);
    assert!(more.iter().all(|line| *line == "tick: 40 ms"), "{output}");
}

fn fork_child(program: &Path) {
    let output = output_after(program, Duration::from_millis(50));
    let mut lines: Vec<&str> = output.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["child: LOOP_EFORKED", "child: the timer rings", "parent: the timer rings"]);
}

fn fake_clock(program: &Path) {
    assert_eq!(output(program), "80 seconds of a door, tested; the clock says 80 s\n");
}

fn hooks(program: &Path) {
    let output = output_after(program, Duration::from_millis(100));
    assert_eq!(output, "the signal's work is done here\nwaited: 1, idle: 1\n");
}

fn signals(program: &Path) {
    let mut running = Running::start(&mut watched(program));
    assert_eq!(running.line(), "waiting for signals\n");
    for reload in 1..=2 {
        signal(running.child.id(), libc::SIGHUP);
        assert_eq!(running.line(), format!("reload {reload}\n"));
    }
    signal(running.child.id(), libc::SIGTERM);
    assert_eq!(running.finish(), "stopped\n");
}

fn versions(program: &Path) {
    let output = output(program);
    let answers: Vec<&str> = output.lines().skip(1).filter_map(|line| line.split(": ").nth(1)).collect();
    let names: Vec<&str> = answers.iter().map(|answer| answer.split(' ').next().unwrap()).collect();
    assert_eq!(names, ["EBADF", "LOOP_ENOCALLBACK", "LOOP_ENULL", "LOOP_ESTALE", "OK"]);
}

fn virtual_time(program: &Path) {
    let output = output(program);
    let (story, last) = output.split_once("an hour in ").expect("its last line");
    let expected = "\
        00:00:00 no answer, trying again later\n\
        00:00:30 no answer, trying again later\n\
        00:01:30 no answer, trying again later\n\
        00:03:30 no answer, trying again later\n\
        00:07:30 no answer, trying again later\n\
        00:10:00 heartbeat\n\
        00:15:30 no answer, trying again later\n\
        00:20:00 heartbeat\n\
        00:25:00 time-out, no more tries\n\
        00:30:00 heartbeat\n\
        00:40:00 heartbeat\n\
        00:50:00 heartbeat\n\
        01:00:00 heartbeat\n";
    assert_eq!(story, expected);
    assert!(last.ends_with(" microseconds of processor time\n"), "{last}");
}

fn tour(program: &Path) {
    let output = output_after(program, Duration::from_millis(500));
    let mut lines: Vec<&str> = output.lines().collect();
    let summary = lines.pop().unwrap();
    let events = lines.iter().map(|line| line.split_once(" ms  ").expect(line));
    let (times, events): (Vec<&str>, Vec<&str>) = events.unzip();
    let times: Vec<u32> = times.iter().map(|time| time.trim().parse().unwrap()).collect();
    assert!(times.is_sorted(), "{output}");

    let count = |event: &str| events.iter().filter(|e| **e == event).count();
    assert_eq!(events[0], "soon: the loop runs");
    assert_eq!(count("server: a client has come"), 3);
    assert_eq!(count("server: a client has gone"), 3);
    for name in ["Ada", "Bob", "Cleo"] {
        assert_eq!(count(&format!("thread: {name} was told \"welcome, {name}\"")), 1, "{output}");
    }
    assert_eq!(count("timer: the late one is cancelled"), 1);
    assert_eq!(count("timer: never printed"), 0);
    let told = 1 + 3 + 3 + 3 + 1 + count("timer: tick");
    assert_eq!(events.len(), told, "{output}");

    let (ticks, rest) = summary.split_once(' ').unwrap();
    assert!(ticks.parse::<usize>().unwrap() >= 6, "{summary}");
    assert_eq!(rest, "ticks, 3 clients served, 3 results");
}

fn stdin_lines(program: &Path) {
    stdin_lines_of_a_pipe(program);
    stdin_lines_of_a_file(program);
    stdin_lines_of_a_terminal(program);
    let nothing = output(program);
    assert_eq!(nothing, "", "of /dev/null");
}

/// Lines of many lengths, some longer than any buffer, the last one without
/// its newline; and what is expected of them.
fn many_lines() -> (String, String) {
    let lengths = (0..3000).map(|i| if i % 500 == 499 { 9000 } else { i % 97 });
    let lines: Vec<String> = lengths.map(|length| "x".repeat(length)).collect();
    let numbered = lines.iter().enumerate();
    let numbered = numbered.map(|(i, line)| format!("{}: {line}\n", i + 1)).collect();
    (lines.join("\n"), numbered)
}

fn stdin_lines_of_a_pipe(program: &Path) {
    let mut running = Running::start(watched(program).stdin(Stdio::piped()));
    let mut stdin = running.child.stdin.take().unwrap();
    stdin.write_all(b"one\ntw").unwrap();
    assert_eq!(running.line(), "1: one\n");
    stdin.write_all(b"o\n\nfour").unwrap();
    assert_eq!(running.line(), "2: two\n");
    drop(stdin);
    assert_eq!(running.finish(), "3: \n4: four\n");

    let (input, expected) = many_lines();
    let mut running = Running::start(watched(program).stdin(Stdio::piped()));
    let mut stdin = running.child.stdin.take().unwrap();
    let writer = thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    assert_eq!(running.finish(), expected);
    writer.join().unwrap();
}

fn stdin_lines_of_a_file(program: &Path) {
    let (input, expected) = many_lines();
    let path = program.with_extension("input");
    fs::write(&path, input).unwrap();
    let file = File::open(&path).unwrap();
    assert_eq!(Running::start(watched(program).stdin(file)).finish(), expected);
}

fn stdin_lines_of_a_terminal(program: &Path) {
    let (mut user, terminal) = open_terminal();
    let stdin = terminal.try_clone().unwrap();
    let mut running = Running::start(watched(program).stdin(stdin));
    user.write_all(b"one\n").unwrap();
    assert_eq!(running.line(), "1: one\n");
    assert!(!is_nonblocking(&terminal), "the shell would share that");
    user.write_all(b"two\nthree\n\x04").unwrap(); // ^D
    assert_eq!(running.finish(), "2: two\n3: three\n");
    assert!(!is_nonblocking(&terminal));
}

fn open_terminal() -> (File, File) {
    let (mut user, mut terminal) = (-1, -1);
    let (name, settings, size) = (std::ptr::null_mut(), std::ptr::null(), std::ptr::null());
    // SAFETY: two places for the results, and null where it allows null.
    let result = unsafe { libc::openpty(&mut user, &mut terminal, name, settings, size) };
    assert_eq!(result, 0);
    // SAFETY: both are open, and belong to nobody else.
    unsafe { (File::from_raw_fd(user), File::from_raw_fd(terminal)) }
}

fn is_nonblocking(file: &File) -> bool {
    // SAFETY: F_GETFL takes no further argument.
    let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) };
    assert!(flags >= 0);
    flags & libc::O_NONBLOCK != 0
}

fn echo_server(program: &Path) {
    let mut server = Running::start(watched(program).arg("0"));
    let line = server.line();
    let address = line.trim_end().strip_prefix("listening on ").expect(&line).to_owned();
    let connect = || connect(&address);
    let open_at_rest = open_descriptors(&server);

    many_clients_at_once(&connect);
    a_client_that_does_not_read_delays_nobody(&connect);
    what_came_before_the_end_is_echoed(&connect);
    connect().write_all(b"and gone, with the answer unread").unwrap();
    let start = Instant::now();
    while open_descriptors(&server) != open_at_rest {
        assert!(start.elapsed() < TIME_LIMIT, "it does not close clients that have gone");
        thread::sleep(Duration::from_millis(1));
    }

    let mut still_there = connect();
    exchange(&mut still_there, b"before the signal");
    signal(server.child.id(), libc::SIGINT);
    assert_eq!(server.finish(), "");
    assert_eq!(still_there.read(&mut [0; 1]).unwrap_or(0), 0, "the server has gone");
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(TIME_LIMIT)).unwrap();
    stream.set_write_timeout(Some(TIME_LIMIT)).unwrap();
    stream
}

/// Without the timerfd, which a loop makes when it first waits for a few microseconds.
fn open_descriptors(running: &Running) -> usize {
    let entries = fs::read_dir(format!("/proc/{}/fd", running.child.id())).unwrap();
    let files = entries.map(|entry| fs::read_link(entry.unwrap().path()).unwrap_or_default());
    files.filter(|file| !file.to_string_lossy().contains("timerfd")).count()
}

fn exchange(stream: &mut TcpStream, message: &[u8]) {
    stream.write_all(message).unwrap();
    let mut answer = vec![0; message.len()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, message);
}

fn many_clients_at_once(connect: &impl Fn() -> TcpStream) {
    let mut clients: Vec<TcpStream> = (0..200).map(|_| connect()).collect();
    for round in 0..3 {
        let message = |i: usize| format!("round {round} of client {i}");
        for (i, client) in clients.iter_mut().enumerate() {
            client.write_all(message(i).as_bytes()).unwrap();
        }
        for (i, client) in clients.iter_mut().enumerate().rev() {
            let mut answer = vec![0; message(i).len()];
            client.read_exact(&mut answer).unwrap();
            assert_eq!(answer, message(i).as_bytes());
        }
    }
}

/// More than the buffers on the way usually hold: the server has to write it in
/// parts, and to stop reading.
fn a_client_that_does_not_read_delays_nobody(connect: &impl Fn() -> TcpStream) {
    let bytes: Vec<u8> = (0..32_u32 << 20).map(|i| (i ^ (i >> 8) ^ (i >> 16)) as u8).collect();
    let mut greedy = connect();
    thread::scope(|scope| {
        let mut writer = greedy.try_clone().unwrap();
        let bytes = &bytes;
        scope.spawn(move || writer.write_all(bytes).unwrap());
        thread::sleep(Duration::from_millis(200)); // until all buffers are full
        exchange(&mut connect(), b"meanwhile");
        let mut answer = vec![0; bytes.len()];
        greedy.read_exact(&mut answer).unwrap();
        assert!(answer == *bytes, "32 MB came back changed");
    });
}

fn what_came_before_the_end_is_echoed(connect: &impl Fn() -> TcpStream) {
    let mut client = connect();
    let message: Vec<u8> = (0..100_000_u32).map(|i| i as u8).collect();
    client.write_all(&message).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert!(answer == message, "got {} bytes", answer.len());
}
