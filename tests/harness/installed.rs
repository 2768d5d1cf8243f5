//! evloop as `make install` leaves it, in a scratch prefix under target/, and programs that are
//! built with it as its users would do it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

use super::{in_repository, limited, succeed};

pub const STRICT_C: [&str; 5] = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"];

/// A command in the environment of a shell: without what cargo and make have
/// put there for this test, above all the path to cargo's own libevloop.so.
pub fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    for variable in ["LD_LIBRARY_PATH", "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "DESTDIR", "PREFIX", "LIBDIR"] {
        command.env_remove(variable);
    }
    command
}

/// Runs make in the root of the sources; one at a time, since they share target/dist.
pub fn make(arguments: &[&str]) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock();
    let mut command = command("make");
    must(command.arg("-s").arg("-C").arg(in_repository("")).args(arguments));
}

/// What a command that has to succeed says.
pub fn must(command: &mut Command) -> String {
    succeed(command).unwrap_or_else(|error| panic!("{error}"))
}

/// A folder of this test's own, empty.
pub fn scratch(name: &str) -> PathBuf {
    let folder = in_repository("target/install-test").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The prefix that all tests share, which none may change.
pub fn prefix() -> &'static Path {
    static PREFIX: OnceLock<PathBuf> = OnceLock::new();
    PREFIX.get_or_init(|| {
        let folder = scratch("prefix");
        make(&["install", &format!("PREFIX={}", folder.display())]);
        folder
    })
}

pub fn is_shared(program: &Path) -> bool {
    must(command("readelf").arg("-d").arg(program)).contains("[libevloop.so.0]")
}

/// Runs a program against the libraries of a folder.
pub fn run_in(program: &Path, libraries: &Path) -> String {
    must(limited(program).env("LD_LIBRARY_PATH", libraries))
}

/// Runs tests/install/program.c's program, which may be shared or not.
pub fn assert_works(program: &Path, libraries: &Path, should_be_shared: bool) {
    assert_eq!(is_shared(program), should_be_shared, "{}", program.display());
    let output = run_in(program, libraries);
    assert!(output.starts_with("run 1, seen 7, version "), "{output}");
}

/// The flags that pkg-config gives for the evloop in this prefix.
pub fn pkg_config(prefix: &Path, arguments: &[&str]) -> Vec<String> {
    let mut command = command("pkg-config");
    command.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")).args(arguments).arg("evloop");
    must(&mut command).split_whitespace().map(str::to_owned).collect()
}
