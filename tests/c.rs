//! The C and C++ tests: every file of `tests/c` and `tests/cpp` is found,
//! built under every compiler, linked against the shared library and run.

mod harness;

use std::path::Path;

use harness::{C_COMPILERS, CPP_COMPILERS, files, limited, run, succeed, trial};

fn main() {
    let mut trials = Vec::new();
    for source in files("tests/c", &["c"]) {
        trials.extend(C_COMPILERS.map(|compiler| trial(&source, compiler, passes)));
    }
    for source in files("tests/cpp", &["cpp"]) {
        trials.extend(CPP_COMPILERS.map(|compiler| trial(&source, compiler, passes)));
    }
    run(trials)
}

fn passes(program: &Path) -> Result<(), String> {
    succeed(&mut limited(program)).map(drop)
}
