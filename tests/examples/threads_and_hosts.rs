//! The examples of threads, and of hosts that own the main loop.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::harness::tools::watched;
use super::{Running, output, output_after};

/// The numbers of a text, of "p99 1.5 ms" the second too.
fn numbers(text: &str) -> Vec<f64> {
    text.split(|c: char| !c.is_ascii_digit() && c != '.').filter_map(|word| word.parse().ok()).collect()
}

pub fn workers(program: &Path) {
    assert_eq!(output(program), "17984 primes, 200 results, 0 not delivered\n");
    for wanted in ["1", "20", "199"] {
        let output = Running::start(watched(program).arg(wanted)).finish();
        let [primes, delivered, undelivered] = numbers(&output)[..] else { panic!("{output}") };
        // The snapshot in which the last one came may hold more.
        assert!(delivered >= wanted.parse().unwrap(), "{output}");
        assert!(delivered + undelivered <= 200.0 && primes <= 17984.0, "{output}");
    }
}

pub fn frame_loop(program: &Path) {
    let output = output_after(program, Duration::from_millis(1999));
    let lines: Vec<&str> = output.lines().collect();
    let [frames, parts, work] = lines[..] else { panic!("{output}") };
    for (line, what) in [(frames, "frames: "), (parts, "the loop's part: ")] {
        let times = numbers(line.strip_prefix(what).expect(&output));
        let [median, _99th, p99, max] = times[..] else { panic!("{output}") };
        // The flood leaves nothing of the loop's part unused.
        assert!(1.0 <= median && median <= p99 && p99 <= max, "{output}");
    }
    let [calls, ticks] = numbers(work)[..] else { panic!("{output}") };
    assert!(calls >= 120.0 && ticks >= 10.0, "{output}");
}

pub fn foreign_poll(program: &Path) {
    let mut running = Running::start(watched(program).stdin(Stdio::piped()));
    let mut stdin = running.child.stdin.take().unwrap();
    for line in ["one\n", "two\n"] {
        let start = Instant::now();
        stdin.write_all(line.as_bytes()).unwrap();
        assert_eq!(running.line(), line);
        assert!(start.elapsed() >= Duration::from_millis(500), "too early");
    }
    stdin.write_all(b"at last").unwrap();
    drop(stdin);
    assert_eq!(running.finish(), "at last");
    assert_eq!(output(program), "", "of /dev/null");
}

pub fn guest_mode(program: &Path) {
    let output = output_after(program, Duration::from_millis(170));
    let mut lines: Vec<&str> = output.lines().collect();
    let [asked] = numbers(lines.pop().unwrap())[..] else { panic!("{output}") };
    // For each callback, perhaps once more for nothing, and at the end. One that spins asks many thousand times.
    assert!((1.0..=20.0).contains(&asked), "{output}");
    lines.sort_unstable();
    let expected = ["20 ms after a key, on the GUI's thread", "a picture has come, on the GUI's thread"];
    assert_eq!(lines, [[expected[0]; 3], [expected[1]; 3]].concat());
}
