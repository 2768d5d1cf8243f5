//! The libraries that are installed, seen with readelf and nm: what they export, what they need,
//! how big they are; and that they behave as the one that the other tests use.

mod harness;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use harness::installed::{STRICT_C, command, must, prefix, run_in, scratch};
use harness::{files, in_repository};

const LARGEST: u64 = 350 * 1024;

fn shared() -> PathBuf {
    prefix().join("lib/libevloop.so.0")
}

fn archive() -> PathBuf {
    prefix().join("lib/libevloop.a")
}

/// The functions of the header, as the cargo's own library exports them; tests/header.rs has
/// compared the two.
fn functions() -> BTreeSet<String> {
    names(command("nm").args(["-D", "--defined-only"]).arg(harness::library()))
}

fn names(nm: &mut std::process::Command) -> BTreeSet<String> {
    let symbols = must(nm);
    let rows = symbols.lines().filter(|line| !line.ends_with(':') && !line.is_empty());
    let names = rows.filter_map(|line| line.split_whitespace().last());
    names
        .map(|name| name.split('@').next().unwrap().to_owned())
        .filter(|name| !name.starts_with("EVLOOP_"))
        .collect()
}

#[test]
fn both_export_the_functions_and_nothing_else() {
    assert_eq!(names(command("nm").args(["-D", "--defined-only"]).arg(shared())), functions());
    assert_eq!(names(command("nm").args(["-g", "--defined-only"]).arg(archive())), functions());
}

#[test]
fn the_shared_library_needs_only_libc_and_libgcc() {
    let dynamic = must(command("readelf").arg("-dW").arg(shared()));
    let needed = dynamic.lines().filter(|line| line.contains("(NEEDED)"));
    for library in needed.map(|line| line.split(['[', ']']).nth(1).unwrap()) {
        // The loader is a part of libc; it is here for the thread-local variables.
        let is_libc = library == "libc.so.6" || library.starts_with("ld-linux");
        assert!(is_libc || library == "libgcc_s.so.1", "{library}");
    }
    assert!(dynamic.contains("soname: [libevloop.so.0]"), "{dynamic}");
    assert!(dynamic.contains("NODELETE"), "{dynamic}");
    assert!(!dynamic.contains("TEXTREL"), "{dynamic}");
}

/// 2.17 is the oldest that Rust itself supports.
#[test]
fn the_shared_library_needs_no_glibc_younger_than_2_17() {
    let versions = must(command("readelf").arg("-VW").arg(shared()));
    let words = versions.split_whitespace().filter_map(|word| word.strip_prefix("GLIBC_2."));
    let minors: BTreeSet<u32> = words.map(|rest| rest.split('.').next().unwrap().parse().unwrap()).collect();
    assert!(minors.last().is_some_and(|youngest| *youngest <= 17), "GLIBC_2.{minors:?}");
}

#[test]
fn the_shared_library_is_small() {
    let size = fs::metadata(shared()).unwrap().len();
    println!("{size} bytes");
    assert!(size <= LARGEST, "{size} bytes: did packaging/one-object find what it cuts out?");
}

#[test]
fn three_libraries_in_rust_are_linked_into_one_program() {
    let folder = scratch("two-libraries");
    let renamed: String =
        functions().iter().map(|name| format!("{name} {}\n", name.replacen("loop_", "other_", 1))).collect();
    fs::write(folder.join("names"), renamed).unwrap();
    let mut rename = command("objcopy");
    rename.arg(format!("--redefine-syms={}", folder.join("names").display()));
    must(rename.arg(archive()).arg(folder.join("libother.a")));
    let mut rustc = command("rustc");
    rustc.args(["--edition", "2024", "--crate-type", "staticlib", "-Copt-level=1"]);
    must(rustc.arg(in_repository("tests/install/ordinary.rs")).arg("-o").arg(folder.join("libordinary.a")));
    let program = folder.join("two_libraries");
    let mut build = command("cc");
    build.args(STRICT_C).arg(format!("-I{}", prefix().join("include").display()));
    build.arg(in_repository("tests/install/two_libraries.c")).arg("-o").arg(&program).arg(archive());
    must(build.arg(folder.join("libother.a")).arg(folder.join("libordinary.a")).args([
        "-lpthread",
        "-ldl",
        "-lm",
    ]));
    assert_eq!(run_in(&program, Path::new("/nowhere")), "1, 1, 2\n");
}

/// What the way from cargo's library to these could have hurt: unwinding, thread-local variables,
/// and the optimizer's frames on a small stack.
#[test]
fn exceptions_and_threads_work_with_both() {
    let folder = scratch("behaviour");
    let mut sources = files("tests/cpp", &["cpp"]);
    let in_c = ["law_12_threads.c", "small_stacks.c"];
    let is_wanted = |path: &PathBuf| in_c.iter().any(|name| path.ends_with(name));
    sources.extend(files("tests/c", &["c"]).into_iter().filter(is_wanted));
    assert!(sources.len() > 4);
    for source in sources {
        let is_cpp = source.extension().is_some_and(|extension| extension == "cpp");
        let object = folder.join("test.o");
        let mut compile = command(if is_cpp { "c++" } else { "cc" });
        compile
            .arg(if is_cpp { "-std=c++17" } else { "-std=c11" })
            .arg("-c")
            .arg(&source)
            .arg("-o")
            .arg(&object);
        compile.arg("-I").arg(prefix().join("include")).arg("-I").arg(in_repository("tests/c"));
        must(&mut compile);
        for library in [shared(), archive()] {
            let program = folder.join("test");
            let mut link = command("c++");
            link.arg(&object).arg(&library).args(["-lpthread", "-Wl,-z,now"]);
            must(link.arg("-o").arg(&program));
            run_in(&program, &prefix().join("lib"));
        }
    }
}
