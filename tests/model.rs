//! The model test: random programs, on the library through its C interface and on a model of the
//! laws (`model/laws.rs`), must be seen to do the same. Fixed programs, those that a fuzzer has
//! found worth keeping (`fuzz/corpus`), and fresh ones.
//!
//! A program that goes differently, hangs or crashes is made as small as possible and printed.
//! `EVLOOP_SEED=n` or `EVLOOP_PROGRAM=file` runs that one and tells what happens as it happens;
//! `EVLOOP_FUZZ_SECONDS=n` goes on with fresh ones for longer; `EVLOOP_LIBRARY=path` tests
//! another build of the library.

mod harness;
#[path = "model/mod.rs"]
mod model;

use libtest_mimic::{Arguments, Failed, Trial};
use model::apart::{Ended, apart, more_patience, shared_numbers};
use model::check::{Check, check, check_apart};
use model::library::Library;
use model::program::Program;
use model::real::LIVE;
use model::shrink::shrink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

const FIXED: u64 = 10_000;
const FRESH_SECONDS: u64 = 8;
/// A program takes less than a millisecond. One that takes longer than this hangs.
const PATIENCE_SECONDS: u32 = 60;

/// Where a program comes from: how to get it again, and its bytes.
struct Source(String, Vec<u8>);

impl Source {
    fn program(&self) -> Program {
        Program::decode(&self.1)
    }
}

type Outcome = Result<(), Failed>;

/// What a child tells its parent.
#[derive(Default)]
struct Progress {
    /// The number of the program that runs.
    number: AtomicU64,
    programs: AtomicU64,
    seen: AtomicU64,
}

fn main() {
    let mut arguments = Arguments::from_args();
    // They share numbers of descriptors, and the processor.
    arguments.test_threads = Some(1);
    let trials = match (wanted("EVLOOP_SEED"), wanted("EVLOOP_PROGRAM")) {
        (Some(seed), _) => vec![Trial::test("one_program", move || one_program(seed, &of_seed))],
        (_, Some(file)) => vec![Trial::test("one_program", move || one_program(0, &|_| of_file(&file)))],
        _ => vec![
            Trial::test("fixed_programs", || campaign(0..FIXED, of_seed)),
            Trial::test("programs_of_the_corpus", programs_of_the_corpus),
            Trial::test("fresh_programs", fresh_programs),
        ],
    };
    libtest_mimic::run(&arguments, trials).exit();
}

fn wanted<T: std::str::FromStr>(variable: &str) -> Option<T> {
    std::env::var(variable).ok()?.parse().ok()
}

fn library() -> Library {
    Library::open(&std::env::var_os("EVLOOP_LIBRARY").map_or_else(harness::library, PathBuf::from))
}

fn one_program(number: u64, source: &dyn Fn(u64) -> Source) -> Outcome {
    println!("{}", source(number).program());
    LIVE.set(true);
    campaign(number..=number, source)
}

fn fresh_programs() -> Outcome {
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let first = time.as_nanos() as u64 & (u64::MAX >> 8);
    let end = Instant::now() + Duration::from_secs(wanted("EVLOOP_FUZZ_SECONDS").unwrap_or(FRESH_SECONDS));
    campaign((first..).take_while(|_| Instant::now() < end), of_seed)
}

fn programs_of_the_corpus() -> Outcome {
    if !harness::in_repository("fuzz").exists() {
        println!("no corpus: it is in the repository, but not in the crate");
        return Ok(());
    }
    let folder = harness::in_repository("fuzz/corpus/model");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)?.map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "the corpus is empty");
    campaign(0..files.len() as u64, |number| of_file(&files[number as usize]))
}

fn of_file(file: &PathBuf) -> Source {
    Source(format!("EVLOOP_PROGRAM={}", file.display()), std::fs::read(file).expect("a file"))
}

fn of_seed(seed: u64) -> Source {
    Source(format!("EVLOOP_SEED={seed}"), bytes_of(seed))
}

/// Bytes for a program. (A linear congruential generator's upper bits are random enough.)
fn bytes_of(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_add(0x9E37_79B9_7F4A_7C15).wrapping_mul(0xD129_0D3B_3D7A_2F61);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u32
    };
    let length = 20 + next() % 280;
    (0..length).map(|_| (next() >> 16) as u8).collect()
}

/// Runs programs, by number, in a child: one that hangs or crashes is found all the same.
fn campaign(numbers: impl IntoIterator<Item = u64>, source: impl Fn(u64) -> Source) -> Outcome {
    let library = library();
    let progress = shared_numbers::<Progress>();
    let begin = Instant::now();
    let ended = apart(PATIENCE_SECONDS, || {
        numbers.into_iter().all(|number| {
            more_patience(PATIENCE_SECONDS);
            progress.number.store(number, Relaxed);
            let seen = check(&library, &source(number).program());
            progress.programs.fetch_add(1, Relaxed);
            progress.seen.fetch_add(*seen.as_ref().unwrap_or(&0) as u64, Relaxed);
            seen.is_ok()
        })
    });
    let number = progress.number.load(Relaxed);
    let how: Check = match ended {
        Ended::Well => {
            let (programs, seen) = (progress.programs.load(Relaxed), progress.seen.load(Relaxed));
            let rate = programs as f64 / begin.elapsed().as_secs_f64();
            println!("{programs} programs up to {number}, {rate:.0} a second, {seen} things seen");
            return Ok(());
        }
        Ended::Badly => check,
        Ended::Killed(_) => check_apart,
    };
    let source = source(number);
    let title = format!("the library does not do what the laws say; {}", source.0);
    match how(&library, &source.program()) {
        Err(found) => Err(format!("{title}\n{}", shrink(&library, found, how)).into()),
        Ok(_) => Err(format!("{title}, but not again: {ended:?}\n{}", source.program()).into()),
    }
}
