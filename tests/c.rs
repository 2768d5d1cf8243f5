//! The C and C++ tests: every file of `tests/c` and `tests/cpp` is found,
//! built under every compiler, linked against the shared library and run.

mod harness;

use std::path::Path;

use harness::{c_compilers, cpp_compilers, files, limited, run, succeed, trial};

fn main() {
    let mut trials = Vec::new();
    for source in files("tests/c", &["c"]) {
        trials.extend(c_compilers().into_iter().map(|compiler| trial(&source, compiler, passes)));
    }
    for source in files("tests/cpp", &["cpp"]) {
        trials.extend(cpp_compilers().into_iter().map(|compiler| trial(&source, compiler, passes)));
    }
    run(trials)
}

fn passes(program: &Path) -> Result<(), String> {
    succeed(&mut limited(program)).map(drop)
}
