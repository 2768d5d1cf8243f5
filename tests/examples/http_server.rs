//! The HTTP server: every file and nothing else, any number of requests on a connection, and
//! clients that are slow, silent, malicious or many.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use super::chat_and_proxy::{Server, set_descriptor_limit};
use super::harness::tools::{self, watched};
use super::harness::{is_absent, output_folder};
use super::signal;

const BIG: usize = 50_000_000;
/// Up to how much memory it may have, however big the files are.
const MEMORY_KB: usize = 20_000;

pub fn http_server(program: &Path) {
    if tools::current().is_some() {
        return as_a_tool_sees_it(program);
    }
    let server = start(Command::new(program), "30");
    let at_rest = server.open_descriptors();
    all_requests(&server);
    who_reads_slowly_delays_nobody(&server);
    files_change_meanwhile(&server);
    if !is_absent("curl", "curl") {
        as_curl_sees_it(&server);
    }
    if !is_absent("wrk", "wrk") {
        under_load(&server);
    }
    server.wait_for_descriptors(at_rest);
    server.wait_until_it_rests();
    assert!(server.peak_memory_kb() < MEMORY_KB, "{} KB", server.peak_memory_kb());
    who_is_silent_has_to_go(start(Command::new(program), "0.5"));
    newcomers_wait_for_descriptors(start(Command::new(program), "30"));
    it_stops_in_the_middle(server);
}

fn as_a_tool_sees_it(program: &Path) {
    let server = start(watched(program), "60");
    all_requests(&server);
    who_reads_slowly_delays_nobody(&server);
    it_stops_in_the_middle(server);
}

fn start(mut command: Command, seconds: &str) -> Server {
    Server::start(command.arg("0").arg(folder()).arg(seconds))
}

/// What is served: made once, next to a file that must not be.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let above = output_folder().join("http_server-files");
        let folder = above.join("public");
        let _ = fs::remove_dir_all(&above);
        fs::create_dir_all(folder.join("sub/deeper")).unwrap();
        fs::create_dir_all(folder.join("empty")).unwrap();
        fs::write(above.join("secret"), "secret").unwrap();
        let files = [
            ("index.html", "<p>the first page"),
            ("a.txt", "some text\n"),
            ("style.css", "p { color: red }"),
            ("with space & %.html", "<p>spaces"),
            ("sub/index.html", "<p>below"),
            ("sub/deeper/data.json", "{}"),
            ("nothing", ""),
            (".hidden", "secret"),
        ];
        files.iter().for_each(|(name, text)| fs::write(folder.join(name), text).unwrap());
        let big: Vec<u8> = (0..BIG as u32).map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
        fs::write(folder.join("big"), big).unwrap();
        symlink("../secret", folder.join("link")).unwrap();
        symlink("..", folder.join("up")).unwrap();
        folder
    })
}

fn file(name: &str) -> Vec<u8> {
    fs::read(folder().join(name)).unwrap()
}

/// A connection on which answers are understood.
struct Connection(BufReader<TcpStream>);

struct Answer {
    status: String,
    fields: String,
    body: Vec<u8>,
}

impl Connection {
    fn new(server: &Server) -> Connection {
        Connection(BufReader::new(server.connect()))
    }

    fn says(&mut self, text: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(text.as_ref()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.strip_suffix("\r\n").unwrap_or_else(|| panic!("not a line: {line:?}")).to_owned()
    }

    fn answer(&mut self, has_body: bool) -> Answer {
        let status = self.line().strip_prefix("HTTP/1.1 ").expect("a status").to_owned();
        let mut fields = String::from("\n");
        loop {
            match self.line() {
                line if line.is_empty() => break,
                line => fields += &format!("{line}\n"),
            }
        }
        let (_, length) = fields.split_once("\nContent-Length: ").expect("a length");
        let length = length.split('\n').next().unwrap().parse().unwrap();
        let mut body = vec![0; if has_body { length } else { 0 }];
        self.0.read_exact(&mut body).unwrap();
        Answer { status, fields, body }
    }

    fn gets(&mut self, target: &str) -> Answer {
        self.says(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
        self.answer(true)
    }

    /// A reset would not do: it may take the answer away that was sent before.
    fn ends_cleanly(&mut self) -> bool {
        self.0.read(&mut [0]).is_ok_and(|n| n == 0)
    }

    fn is_over(&mut self) -> bool {
        self.0.read(&mut [0]).unwrap_or(0) == 0
    }
}

/// On one connection, as far as that is kept.
fn all_requests(server: &Server) {
    let mut connection = Connection::new(server);
    files_and_folders(&mut connection);
    what_is_not_served(&mut connection);
    heads(&mut connection);
    one_after_the_other(server);
    bad_requests(server);
    kept_or_not(server);
}

fn files_and_folders(connection: &mut Connection) {
    let files = [
        ("/", "index.html", "text/html; charset=utf-8"),
        ("/a.txt", "a.txt", "text/plain; charset=utf-8"),
        ("/%61%2etxt?a=/../b", "a.txt", "text/plain; charset=utf-8"),
        ("http://x/style.css", "style.css", "text/css; charset=utf-8"),
        ("/with%20space%20&%20%25.html", "with space & %.html", "text/html; charset=utf-8"),
        ("/sub/", "sub/index.html", "text/html; charset=utf-8"),
        ("//sub//deeper/data.json", "sub/deeper/data.json", "application/json"),
        ("/nothing", "nothing", "application/octet-stream"),
        ("/big", "big", "application/octet-stream"),
    ];
    for (target, name, kind) in files {
        let answer = connection.gets(target);
        assert_eq!(answer.status, "200 OK", "{target}");
        assert!(answer.fields.contains(&format!("\nContent-Type: {kind}\n")), "{}", answer.fields);
        assert!(answer.fields.contains("\nConnection: keep-alive\n"), "{}", answer.fields);
        assert!(answer.fields.contains(" GMT\n"), "{}", answer.fields);
        assert!(answer.body == file(name), "{target}: {} bytes", answer.body.len());
    }
    for (target, location) in [("/sub", "/sub/"), ("/sub/deeper?x", "/sub/deeper/"), ("//sub", "/sub/")] {
        let answer = connection.gets(target);
        assert_eq!(answer.status, "301 Moved Permanently", "{target}");
        assert!(answer.fields.contains(&format!("\nLocation: {location}\n")), "{}", answer.fields);
    }
}

fn what_is_not_served(connection: &mut Connection) {
    let missing = ["/none", "/a.txt/", "/a.txt/x", "/none/a.txt", "/empty/", "/a.tx", "/A.TXT"];
    let forbidden = [
        "/../secret",
        "/sub/../../secret",
        "/sub/../a.txt",
        "/..%2fsecret",
        "/%2e%2e/secret",
        "/%2E%2E%2Fsecret",
        "/..",
        "/../",
        "/.",
        "/./a.txt",
        "/.hidden",
        "/link",
        "/up/secret",
        "/up/public/a.txt",
        "/up",
        "//../secret",
    ];
    let too_long = format!("/{}", "x".repeat(300));
    for target in missing.into_iter().chain([&*too_long]) {
        let answer = connection.gets(target);
        assert_eq!(
            (&*answer.status, &answer.body[..]),
            ("404 Not Found", &b"404 Not Found\n"[..]),
            "{target}"
        );
    }
    for target in forbidden {
        let answer = connection.gets(target);
        assert_eq!(
            (&*answer.status, &answer.body[..]),
            ("403 Forbidden", &b"403 Forbidden\n"[..]),
            "{target}"
        );
    }
}

fn heads(connection: &mut Connection) {
    for (target, status, length) in [("/big", "200 OK", BIG), ("/none", "404 Not Found", 14)] {
        connection.says(format!("HEAD {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let answer = connection.answer(false);
        assert_eq!(answer.status, status);
        assert!(answer.fields.contains(&format!("\nContent-Length: {length}\n")), "{}", answer.fields);
    }
    assert_eq!(connection.gets("/a.txt").body, file("a.txt"), "there is something in between");
}

/// Many requests before the first answer is read, cut anywhere; the end of the sending among them.
fn one_after_the_other(server: &Server) {
    let files = ["a.txt", "nothing", "sub/index.html", "style.css"];
    let requests: String = (0..2000)
        .map(|i| format!("\r\nGET /{} HTTP/1.1\r\nHost: x\r\nX: {i}\r\n\r\n", files[i % 4]))
        .collect();
    let mut connection = Connection::new(server);
    let mut sender = connection.0.get_ref().try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            requests.as_bytes().chunks(997).for_each(|part| sender.write_all(part).unwrap());
            sender.shutdown(Shutdown::Write).unwrap();
        });
        for i in 0..2000 {
            assert_eq!(connection.answer(true).body, file(files[i % 4]), "answer {i}");
        }
    });
    assert!(connection.ends_cleanly());
}

fn bad_requests(server: &Server) {
    let bad = "400 Bad Request";
    let requests = [
        ("\r\n\r\n".to_owned(), bad),
        ("hello\r\n\r\n".to_owned(), bad),
        ("GET /\r\n\r\n".to_owned(), bad),
        ("GET / HTTP/2.0\r\nHost: x\r\n\r\n".to_owned(), bad),
        ("GET / HTTP/1.1 \r\nHost: x\r\n\r\n".to_owned(), bad),
        ("GET  / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), bad),
        ("GET a.txt HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), bad),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), bad),
        ("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n".to_owned(), bad),
        ("GET / HTTP/1.1\r\nHost : x\r\n\r\n".to_owned(), bad),
        ("GET / HTTP/1.1\r\nHost: x\r\nno field\r\n\r\n".to_owned(), bad),
        ("GET / HTTP/1.1\r\nHost: x\r\nX: \0\r\n\r\n".to_owned(), bad),
        ("GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), bad),
        ("GET /%4 HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), bad),
        ("GET /% HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), bad),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello".to_owned(), "405 Method Not Allowed"),
        (format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(8192)), "431 Request Header Fields Too Large"),
        ("x".repeat(100_000), "431 Request Header Fields Too Large"),
    ];
    for (request, status) in requests {
        let mut connection = Connection::new(server);
        connection.says(&request);
        let answer = connection.answer(true);
        assert_eq!(answer.status, status, "{request:.80}");
        assert!(answer.fields.contains("\nConnection: close\n"), "{request:.80}");
        assert!(status != "405 Method Not Allowed" || answer.fields.contains("\nAllow: GET, HEAD\n"));
        assert!(connection.ends_cleanly(), "{request:.80}");
    }
}

fn kept_or_not(server: &Server) {
    let requests = [
        ("GET /a.txt HTTP/1.1\nHost: x\n\n", true),
        ("GET /a.txt HTTP/1.1\r\nHost: x\r\nConnection: Keep-Alive\r\n\r\n", true),
        ("GET /a.txt HTTP/1.1\r\nHost: x\r\nConnection: Close\r\n\r\n", false),
        ("GET /a.txt HTTP/1.0\r\n\r\n", false),
        ("GET /a.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true),
        ("GET /a.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", true),
        ("GET /a.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", false),
        ("GET /a.txt HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false),
    ];
    for (request, is_kept) in requests {
        let mut connection = Connection::new(server);
        connection.says(request);
        let answer = connection.answer(true);
        assert_eq!((&*answer.status, answer.body), ("200 OK", file("a.txt")), "{request}");
        let says = if is_kept { "\nConnection: keep-alive\n" } else { "\nConnection: close\n" };
        assert!(answer.fields.contains(says), "{request}");
        if is_kept {
            assert_eq!(connection.gets("/style.css").body, file("style.css"), "{request}");
        } else {
            assert!(connection.ends_cleanly(), "{request}");
        }
    }
}

fn who_reads_slowly_delays_nobody(server: &Server) {
    let mut slow = Connection(BufReader::new(server.connect_with_small_buffers()));
    slow.says("GET /big HTTP/1.1\r\nHost: x\r\n\r\nGET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n");
    server.wait_until_it_rests(); // until all buffers are full; it does not spin
    assert_eq!(Connection::new(server).gets("/a.txt").body, file("a.txt"));
    assert!(slow.answer(true).body == file("big"), "the slow one gets something else");
    assert_eq!(slow.answer(true).body, file("a.txt"), "and then the next file");
}

/// What was promised of a file is sent, and not what somebody adds meanwhile; if the end is taken
/// away, the connection ends instead.
fn files_change_meanwhile(server: &Server) {
    let name = format!("changes-{}", server.pid());
    let path = folder().join(&name);
    let before = &file("big")[..BIG / 2];
    for is_growing in [true, false] {
        fs::write(&path, before).unwrap();
        let mut slow = Connection(BufReader::new(server.connect_with_small_buffers()));
        slow.says(format!("GET /{name} HTTP/1.1\r\nHost: x\r\n\r\nGET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n"));
        server.wait_until_it_rests();
        let file_now = fs::File::options().append(true).open(&path).unwrap();
        if is_growing {
            (&file_now).write_all(b"one more line").unwrap();
            assert!(slow.answer(true).body == before);
            assert_eq!(slow.answer(true).body, file("a.txt"));
        } else {
            file_now.set_len(1000).unwrap();
            let mut got = Vec::new();
            slow.0.read_to_end(&mut got).unwrap();
            assert!(got.len() < before.len(), "{} bytes", got.len());
        }
    }
    fs::remove_file(path).unwrap();
}

fn who_is_silent_has_to_go(server: Server) {
    let at_rest = server.open_descriptors();
    let half_a_second = Duration::from_millis(500);
    let start = Instant::now();
    let (mut silent, mut in_mid_request) = (Connection::new(&server), Connection::new(&server));
    in_mid_request.says("GET / HT");
    let mut taking_nothing = Connection(BufReader::new(server.connect_with_small_buffers()));
    taking_nothing.says("GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(silent.is_over() && in_mid_request.is_over() && start.elapsed() >= half_a_second);
    server.wait_for_descriptors(at_rest);
    let mut rest = Vec::new();
    let _ = taking_nothing.0.read_to_end(&mut rest);
    assert!(rest.len() < BIG, "it waits for whoever takes nothing");

    // Somebody who goes on and on with one request.
    let mut sender = Connection::new(&server);
    sender.says("GET / HTTP/1.1\r\nX: ");
    while sender.0.get_mut().write_all(b"y").is_ok() {
        assert!(start.elapsed() < super::TIME_LIMIT, "it waits for ever for a request");
        thread::sleep(Duration::from_millis(10));
    }

    // Who goes on taking or asking may stay, however long that lasts. (Where this test itself was
    // not given a processor for so long, it was silent, and begins again.)
    while !stays_while_it_asks(&server, half_a_second) {}
    server.ends_well_on_sigint();
}

/// Returns false when it cannot be told, since the test was silent for too long.
fn stays_while_it_asks(server: &Server, limit: Duration) -> bool {
    let mut last = Instant::now();
    let mut busy = Connection::new(server);
    for _ in 0..15 {
        thread::sleep(Duration::from_millis(100));
        let is_asked = write!(busy.0.get_mut(), "GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n").is_ok();
        let is_answered = is_asked && busy.0.fill_buf().is_ok_and(|answer| !answer.is_empty());
        if last.elapsed() >= limit {
            return false;
        }
        assert!(is_answered, "it does not let a busy client stay");
        last = Instant::now();
        assert_eq!(busy.answer(true).status, "200 OK");
    }
    true
}

fn newcomers_wait_for_descriptors(server: Server) {
    let at_rest = server.open_descriptors();
    set_descriptor_limit(server.pid(), at_rest + 8);
    let mut inside: Vec<Connection> = (0..12).map(|_| Connection::new(&server)).collect();
    server.wait_until_it_rests();
    let served = server.open_descriptors() - at_rest;
    assert!((7..12).contains(&served), "{served} of twelve");
    let waiting = inside.split_off(served);
    assert_eq!(inside[0].gets("/a.txt").status, "503 Service Unavailable", "there is none for a file");
    drop(inside);
    for mut connection in waiting {
        assert_eq!(connection.gets("/a.txt").body, file("a.txt"), "now there is room");
    }
    server.ends_well_on_sigint();
}

fn it_stops_in_the_middle(server: Server) {
    let (mut idle, mut busy) = (Connection::new(&server), Connection::new(&server));
    assert_eq!(idle.gets("/a.txt").status, "200 OK");
    busy.says("GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(busy.line(), "HTTP/1.1 200 OK");
    signal(server.pid(), libc::SIGTERM);
    assert_eq!(server.running.finish(), "");
    let mut rest = Vec::new();
    let _ = busy.0.read_to_end(&mut rest);
    assert!(idle.is_over() && rest.len() < BIG);
}

fn curl(arguments: &[&str]) -> Vec<u8> {
    let output =
        Command::new("curl").args(["-sS", "--path-as-is", "-m", "60"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn as_curl_sees_it(server: &Server) {
    let url = |path: &str| format!("http://{}/{path}", server.address);
    // A second connection would be one for the second file.
    let shown = "[%{http_code} %{num_connects} %{content_type}]";
    let got = curl(&["-w", shown, &url("a.txt"), &url("sub/"), &url("none"), &url("../secret")]);
    let kind = "text/plain; charset=utf-8";
    let expected = format!(
        "some text\n[200 1 {kind}]<p>below[200 0 text/html; charset=utf-8]\
         404 Not Found\n[404 0 {kind}]403 Forbidden\n[403 0 {kind}]"
    );
    assert_eq!(String::from_utf8(got).unwrap(), expected);
    let head = String::from_utf8(curl(&["-I", &url("big")])).unwrap();
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains(&format!("Content-Length: {BIG}\r\n")),
        "{head}"
    );
    assert!(curl(&[&url("big")]) == file("big"), "50 MB came changed");
    assert_eq!(curl(&["-L", &url("sub")]), b"<p>below", "curl follows");
    // What it sends is not read, but the answer arrives.
    let big = folder().join("big");
    assert_eq!(curl(&["-T", big.to_str().unwrap(), &url("x")]), b"405 Method Not Allowed\n");
}

fn under_load(server: &Server) {
    for path in ["a.txt", "none"] {
        let url = format!("http://{}/{path}", server.address);
        let output = Command::new("wrk").args(["-t2", "-c50", "-d2s", &url]).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && !said.contains("Socket errors"), "{said}");
        let line = said.lines().find(|line| line.contains(" requests in ")).expect(&said);
        assert!(line.trim().split(' ').next().unwrap().parse::<u64>().unwrap() > 0, "{said}");
        assert_eq!(said.contains("Non-2xx or 3xx responses"), path == "none", "{said}");
    }
}
