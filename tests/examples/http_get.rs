//! The HTTP client: what it asks, what it makes of all kinds of answers, and that each way to fail
//! has its own exit code.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::chat_and_proxy::{Server, with_time_limit};
use super::harness::tools::{self, watched};
use super::harness::{build, in_repository, limited, output_folder};

const LOCAL: i32 = 1;
const USAGE: i32 = 2;
const HTTPS: i32 = 3;
const NO_HOST: i32 = 4;
const UNREACHABLE: i32 = 5;
const TIMEOUT: i32 = 6;
const TRUNCATED: i32 = 7;
const NO_HTTP: i32 = 8;
const REDIRECT: i32 = 9;
const STATUS: i32 = 10;

pub fn http_get(program: &Path) {
    let is_checked = tools::current().is_some();
    let client = Client { program, is_checked };
    if is_checked {
        return each_ending_leaves_nothing(client);
    }
    what_it_asks(client);
    documents_of_all_kinds(client);
    what_it_does_not_follow_or_like(client);
    answers_that_end_too_early(client);
    answers_that_are_none(client);
    nobody_there(client);
    deadlines(client);
    outputs(client);
    urls(client);
    it_reads_no_more_than_it_can_write(client);
    from_the_other_example(client);
}

/// One of each kind, since the tools take their time.
fn each_ending_leaves_nothing(client: Client) {
    what_it_asks(client);
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    assert_eq!(in_pieces(client, &format!("{chunked}0\r\n\r\n"), 7).stdout, b"hello");
    client.is_answered(chunked.as_bytes(), TRUNCATED, "ended before");
    client.is_answered(b"HTTP/1.1 301 X\r\nLocation: y\r\n\r\n", REDIRECT, "301 X, to y");
    client.is_answered(b"HTTP/1.1 200 OK\r\nno field\r\n", NO_HTTP, "no field");
    nobody_there(client);
    let (url, server) = serve(wait_for_the_client);
    client.fails(&["--deadline", "3", &url], TIMEOUT, "the deadline is over");
    server.join().unwrap();
}

#[derive(Clone, Copy)]
struct Client<'a> {
    program: &'a Path,
    /// By a tool.
    is_checked: bool,
}

impl Client<'_> {
    fn command(&self) -> Command {
        if self.is_checked { watched(self.program) } else { limited(self.program) }
    }

    fn get(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().unwrap()
    }

    /// Must end with this code, and say this. Returns what it wrote.
    fn fails(&self, arguments: &[&str], code: i32, says: &str) -> Vec<u8> {
        let output = self.get(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
        output.stdout
    }

    /// Asks a server that answers so, and must end with this code.
    fn is_answered(&self, answer: &[u8], code: i32, says: &str) -> Vec<u8> {
        let answer = answer.to_owned();
        let (url, server) = serve(move |mut stream| stream.write_all(&answer).unwrap());
        let written = self.fails(&[&url], code, says);
        server.join().unwrap();
        written
    }
}

/// A server for one request, which it has read when `answer` begins. Returns the URL.
fn serve(answer: impl FnOnce(TcpStream) + Send + 'static) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/a/path?with=query", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let mut stream = with_time_limit(listener.accept().unwrap().0);
        let request = read_head(&mut stream);
        answer(stream);
        request
    });
    (url, server)
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Waits until the client has gone, so that it cannot have waited for the end of the connection.
fn wait_for_the_client(mut stream: TcpStream) {
    match stream.read(&mut [0]) {
        Ok(n) => assert_eq!(n, 0, "it says more than its request"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}

fn what_it_asks(client: Client) {
    let (url, server) = serve(|mut stream| {
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes, and what is not asked for")
            .unwrap();
        wait_for_the_client(stream);
    });
    let output = client.get(&[&format!("{url}#fragment")]);
    let request = server.join().unwrap();
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b"yes"[..]));
    if !client.is_checked {
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }
    let address = url.trim_start_matches("http://").split('/').next().unwrap();
    let mut lines: Vec<&str> = request.trim_end().split("\r\n").collect();
    assert_eq!(lines.remove(0), "GET /a/path?with=query HTTP/1.1");
    assert!(
        lines.contains(&&*format!("Host: {address}")) && lines.contains(&"Connection: close"),
        "{lines:?}"
    );
    assert!(lines.iter().all(|line| line.contains(": ")), "{lines:?}");
}

/// The answer comes in pieces of this many bytes; the connection stays open.
fn in_pieces(client: Client, answer: &str, size: usize) -> Output {
    let answer = answer.to_owned();
    let (url, server) = serve(move |mut stream| {
        stream.set_nodelay(true).unwrap();
        for piece in answer.as_bytes().chunks(size) {
            stream.write_all(piece).unwrap();
        }
        wait_for_the_client(stream);
    });
    let output = client.get(&[&url]);
    server.join().unwrap();
    output
}

fn documents_of_all_kinds(client: Client) {
    let documents = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello", "hello"),
        ("HTTP/1.1 200\r\ncontent-length:  5 \t\r\nContent-Length: 5\r\n\r\nhello", "hello"),
        ("HTTP/1.0 200 OK\nContent-Length: 5\n\nhello", "hello"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ""),
        ("HTTP/1.1 204 No Content\r\n\r\n", ""),
        (
            "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "ok",
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", ""),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
             5;a=b\r\nhello\r\n00A \r\n, chunks\n\n\r\n0\r\nTrailer: x\r\n\r\n",
            "hello, chunks\n\n",
        ),
    ];
    for (answer, document) in documents {
        for size in [1, 7, 1000] {
            let output = in_pieces(client, answer, size);
            assert!(output.status.success(), "{answer}: {output:?}");
            assert_eq!(String::from_utf8_lossy(&output.stdout), document, "{answer}");
        }
    }
    // One whose end is the connection's.
    let long = "0123456789abcdef".repeat(40_000);
    let answer = format!("HTTP/1.1 200 OK\r\n\r\n{long}");
    assert!(client.is_answered(answer.as_bytes(), 0, "") == long.as_bytes());
}

fn what_it_does_not_follow_or_like(client: Client) {
    for status in ["301 Moved", "302 Found", "303 See Other", "307 X", "308 X"] {
        let answer =
            format!("HTTP/1.1 {status}\r\nlocation: http://example.org/there\r\nContent-Length: 1\r\n\r\nx");
        let says = format!("{status}, to http://example.org/there");
        assert_eq!(client.is_answered(answer.as_bytes(), REDIRECT, &says), b"");
    }
    assert_eq!(client.is_answered(b"HTTP/1.1 301 X\r\n\r\nx", REDIRECT, "301 X, to nowhere"), b"");
    let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nsorry";
    assert_eq!(client.is_answered(answer, STATUS, "404 Not Found"), b"sorry");
    client.is_answered(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", STATUS, "304");
}

fn answers_that_end_too_early(client: Client) {
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for answer in ["", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nX: y\r\n", length, chunked] {
        assert_eq!(client.is_answered(answer.as_bytes(), TRUNCATED, "ended before"), b"", "{answer}");
    }
    for end in ["hello", "5\r\nhello", "5\r\nhello\r\n0\r\n", "5\r\nhello\r\n0\r\nX: y\r\n", "6\r\nhello"] {
        let answer = format!("{}{end}", if end == "hello" { length } else { chunked });
        assert_eq!(client.is_answered(answer.as_bytes(), TRUNCATED, "ended before"), b"hello", "{answer}");
    }
    let (url, server) = serve(|mut stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n").unwrap();
        let reset = libc::linger { l_onoff: 1, l_linger: 0 };
        let (pointer, size) = ((&raw const reset).cast(), size_of_val(&reset) as libc::socklen_t);
        // SAFETY: this option takes such a struct, of this size.
        unsafe { libc::setsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, pointer, size) };
    });
    client.fails(&[&url], TRUNCATED, "broke off: Connection reset");
    server.join().unwrap();
}

fn answers_that_are_none(client: Client) {
    let fields = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nhello");
    let chunks = |chunks: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
    let answers = [
        "SSH-2.0-OpenSSH_9.2\r\n".to_owned(),
        "HTTP/2 200 OK\r\n\r\n".to_owned(),
        "HTTP/1.1 20 OK\r\n\r\n".to_owned(),
        "HTTP/1.1  200 OK\r\n\r\n".to_owned(),
        "HTTP/1.1 101 Switching Protocols\r\n\r\n".to_owned(),
        "HTTP/1.1 200 O\x1b[2JK\r\n\r\n".to_owned(),
        fields("no field"),
        fields(": x"),
        fields("Content-Length : 5"),
        fields("X: y\r\n continued: 5"),
        fields("Content-Length: -5"),
        fields("Content-Length: 5, 5"),
        fields("Content-Length:"),
        fields("Content-Length: 18446744073709551621"), // 2^64 + 5
        fields("Content-Length: 5\r\nContent-Length: 4"),
        fields("Content-Length: 5\r\nTransfer-Encoding: chunked"),
        fields("Transfer-Encoding: gzip, chunked"),
        fields(&format!("X: {}", "y".repeat(20_000))),
        chunks("hello\r\n"),
        chunks("-5\r\nhello\r\n0\r\n\r\n"),
        chunks("5x\r\nhello\r\n0\r\n\r\n"),
        chunks("4\r\nhello\r\n0\r\n\r\n"),
        chunks("10000000000000005\r\nhello\r\n0\r\n\r\n"),
    ];
    for answer in answers {
        let (url, server) = serve({
            let answer = answer.clone();
            move |mut stream| {
                let _ = stream.write_all(answer.as_bytes());
                let _ = stream.shutdown(Shutdown::Write);
            }
        });
        let said = client.get(&[&url]);
        assert_eq!(said.status.code(), Some(NO_HTTP), "{answer:.200}: {said:?}");
        let said = String::from_utf8_lossy(&said.stderr);
        assert!(!said.contains('\x1b') && said.contains("http_get"), "{said}");
        server.join().unwrap();
    }
}

fn nobody_there(client: Client) {
    // Holds the port: nobody is given the same one of another address.
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    let says = format!("127.0.0.2, port {port}: Connection refused");
    client.fails(&[&format!("http://127.0.0.2:{port}/")], UNREACHABLE, &says);
    client.fails(&[&format!("http://{}/", "x".repeat(64))], NO_HOST, "xxxx: "); // a name has no such part
}

fn deadlines(client: Client) {
    let in_time = |url: &str, says: &str| {
        let start = Instant::now();
        client.fails(&["--deadline", "1", url], TIMEOUT, says);
        assert!(start.elapsed() >= Duration::from_secs(1));
    };
    let beginnings = ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"];
    for beginning in beginnings {
        let (url, server) = serve(move |mut stream| {
            stream.write_all(beginning.as_bytes()).unwrap();
            wait_for_the_client(stream);
        });
        in_time(&url, "the answer is not complete");
        server.join().unwrap();
    }
    // A queue that is full: the kernel does not answer a connect.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // SAFETY: it takes two numbers.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    let _first = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    in_time(&format!("http://{}/", listener.local_addr().unwrap()), "there is no connection");
}

fn outputs(client: Client) {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";
    let written_to = |stdout: Stdio| {
        let (url, server) = serve(|mut stream| {
            let _ = stream.write_all(&[&answer[..], &[b'x'; 100_000]].concat());
        });
        let output = client.command().arg(&url).stdout(stdout).output().unwrap();
        server.join().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let file = client.program.with_extension("output");
    assert_eq!(written_to(File::create(&file).unwrap().into()).0, Some(0));
    assert_eq!(fs::read(&file).unwrap(), [b'x'; 100_000]);
    assert_eq!(written_to(Stdio::null()).0, Some(0));
    let (code, says) = written_to(File::create("/dev/full").unwrap().into());
    assert!(code == Some(LOCAL) && says.contains("No space left"), "{says}");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let (code, says) = written_to(writer.into());
    assert!(code == Some(LOCAL) && says.contains("Broken pipe"), "{says}");
}

fn urls(client: Client) {
    let not_urls = [
        "",
        "http:",
        "http://",
        "http:///x",
        "localhost/x",
        "/x",
        "http://:80/",
        "http://a:b/",
        "http://a:0/",
        "http://a:65536/",
        "http://a:100000/",
        "http://a b/",
        "http://a/b c",
        "http://a/\r\nX: y",
        "http://a/\n",
        "http://me@a/",
        "http://[::1/",
        "http://a]/",
        "http://ä/",
        "http://a/ä",
    ];
    not_urls.iter().for_each(|url| drop(client.fails(&[url], USAGE, "not a URL")));
    client.fails(&["https://127.0.0.1/"], HTTPS, "only http:// is supported: https://127.0.0.1/");
    let bad: [&[&str]; 6] = [
        &[],
        &["http://a", "http://b"],
        &["--deadline", "x", "http://a"],
        &["--deadline", "0", "http://a"],
        &["--deadline", "", "http://a"],
        &["--other", "http://a"],
    ];
    bad.iter().for_each(|arguments| drop(client.fails(arguments, USAGE, "usage: ")));

    let (url, server) = serve(|mut stream| stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nfound").unwrap());
    let port = url.split(['/', ':']).nth(4).unwrap();
    // localhost may have an IPv6 address as well, at which nobody listens.
    assert_eq!(client.fails(&[&format!("HTTP://localhost:{port}?q")], 0, ""), b"found");
    let request = server.join().unwrap();
    assert!(request.starts_with(&format!("GET /?q HTTP/1.1\r\nHost: localhost:{port}\r\n")), "{request}");
}

fn it_reads_no_more_than_it_can_write(client: Client) {
    const LONG: usize = 64 << 20; // more than all buffers on the way can hold
    let (url, server) = serve(|mut stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let part: Vec<u8> = (0..LONG / 64).map(|i| (i % 251) as u8).collect();
        (0..64).for_each(|_| stream.write_all(&part).unwrap());
    });
    let mut running =
        client.command().args(["--deadline", "100", &url]).stdout(Stdio::piped()).spawn().unwrap();
    thread::sleep(Duration::from_millis(500)); // until all buffers are full
    assert!(!server.is_finished(), "it reads more than it can write");
    let mut document = Vec::new();
    running.stdout.take().unwrap().read_to_end(&mut document).unwrap();
    assert!(running.wait().unwrap().success());
    server.join().unwrap();
    assert_eq!(document.len(), LONG);
    let is_right = document.iter().enumerate().all(|(i, byte)| *byte == ((i % (LONG / 64)) % 251) as u8);
    assert!(is_right, "64 MB came changed");

    // The deadline holds also while nobody takes the output; its buffer is left nearly full.
    let (url, server) = serve(|mut stream| {
        let _ = stream.write_all(&[&b"HTTP/1.1 200 OK\r\n\r\n"[..], &[b'x'; 5000]].concat());
        thread::sleep(Duration::from_millis(100)); // long enough, as a rule, for these to come first
        let _ = stream.write_all(&vec![b'x'; LONG]);
    });
    let mut running =
        client.command().args(["--deadline", "1", &url]).stdout(Stdio::piped()).spawn().unwrap();
    assert_eq!(running.wait().unwrap().code(), Some(TIMEOUT));
    server.join().unwrap();
}

/// The server among the examples, built for this test alone.
fn other_example(program: &Path) -> PathBuf {
    let compiler = if program.to_str().unwrap().ends_with("clang") { "clang" } else { "gcc" };
    let folder = output_folder().join(format!("for-http_get-{compiler}"));
    fs::create_dir_all(&folder).unwrap();
    let source = folder.join("http_server.c");
    fs::copy(in_repository("c_examples/http_server.c"), &source).unwrap();
    build(compiler, &source).unwrap()
}

fn from_the_other_example(client: Client) {
    let server =
        Server::start(Command::new(other_example(client.program)).arg("0").arg(in_repository("docs")));
    let url = |path: &str| format!("http://{}/{path}", server.address);
    let document = client.fails(&[&url("design.md")], 0, "");
    assert!(document == fs::read(in_repository("docs/design.md")).unwrap());
    client.fails(&[&url("guide")], REDIRECT, "301 Moved Permanently, to /guide/");
    client.fails(&[&url("guide/")], STATUS, "404 Not Found");
    server.ends_well_on_sigint();
}
