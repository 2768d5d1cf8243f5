//! `make install`, and what people do with it: programs in C and C++, built by hand, with pkg-config,
//! CMake and Meson, shared and static; plugins, two versions at once, a prefix that is moved.

mod harness;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use harness::installed::{
    STRICT_C, assert_works, command, is_shared, make, must, pkg_config, prefix, run_in, scratch,
};
use harness::{in_repository, is_absent, read};

/// All files below a folder, seen from there.
fn files_below(folder: &Path) -> BTreeSet<String> {
    let found = must(command("find").arg(".").args(["-not", "-type", "d"]).current_dir(folder));
    found.lines().map(|line| line.trim_start_matches("./").to_owned()).collect()
}

fn source(name: &str) -> PathBuf {
    in_repository("tests/install").join(name)
}

/// Builds program.c as C and as C++; `flags` say where evloop is.
fn build_both(folder: &Path, flags: &[String]) -> [PathBuf; 2] {
    let c = folder.join("program-c");
    must(command("cc").args(STRICT_C).arg(source("program.c")).arg("-o").arg(&c).args(flags));
    let cpp = folder.join("program-cpp");
    let mut build = command("c++");
    build.args(["-std=c++17", "-Wall", "-Wextra", "-Werror", "-x", "c++"]).arg(source("program.c"));
    must(build.args(["-x", "none", "-o"]).arg(&cpp).args(flags));
    [c, cpp]
}

/// As root on most machines, where Rust is the user's own.
#[test]
fn after_make_nothing_is_left_to_be_built_by_make_install() {
    let prefix = scratch("after-make");
    // In a folder of its own: into the other one other tests build.
    let package = "PACKAGE=target/install-test/after-make/dist";
    make(&["all", package]);
    let arguments = [package, "CARGO=false", "RUSTC=false", "CC=false"];
    make(&[&["install"][..], &arguments, &[&format!("PREFIX={}", prefix.display())]].concat());
    assert!(prefix.join("lib/libevloop.so").exists());
}

#[test]
fn the_files_are_all_there_and_uninstall_takes_them_away() {
    let root = scratch("uninstall");
    let arguments =
        [&format!("DESTDIR={}", root.display()), "PREFIX=/opt/evloop", "LIBDIR=/opt/evloop/lib64"];
    make(&[&["install"][..], &arguments].concat());
    let files = files_below(&root.join("opt/evloop"));
    let version = env!("CARGO_PKG_VERSION");
    let mut expected: BTreeSet<String> = [
        "include/evloop.h".into(),
        "lib64/libevloop.a".into(),
        "lib64/libevloop.so".into(),
        "lib64/libevloop.so.0".into(),
        format!("lib64/libevloop.so.{version}"),
        "lib64/pkgconfig/evloop.pc".into(),
        "lib64/cmake/evloop/evloop-config.cmake".into(),
        "lib64/cmake/evloop/evloop-config-version.cmake".into(),
        "share/man/man7/evloop.7".into(),
    ]
    .into();
    expected.extend(files.iter().filter(|file| file.starts_with("share/man/man3/")).cloned());
    assert_eq!(files, expected);
    assert!(expected.contains("share/man/man3/loop_call_later.3"));

    make(&[&["uninstall"][..], &arguments].concat());
    assert_eq!(files_below(&root), BTreeSet::new());
    assert!(!root.join("opt/evloop/lib64/cmake/evloop").exists());
}

#[test]
fn programs_built_by_hand() {
    let lib = prefix().join("lib");
    let include = format!("-I{}", prefix().join("include").display());
    let shared = [include.clone(), format!("-L{}", lib.display()), "-levloop".into()];
    for program in build_both(&scratch("by-hand"), &shared) {
        assert_works(&program, &lib, true);
    }
    let archive = lib.join("libevloop.a").display().to_string();
    for program in build_both(&scratch("by-hand-static"), &[include, archive]) {
        assert_works(&program, Path::new("/nowhere"), false);
    }
}

#[test]
fn programs_built_with_pkg_config() {
    if is_absent("pkg-config", "pkg-config") {
        return;
    }
    let shared = pkg_config(prefix(), &["--cflags", "--libs"]);
    for program in build_both(&scratch("pkg-config"), &shared) {
        assert_works(&program, &prefix().join("lib"), true);
    }
    // All of the program is static, libc too.
    let mut whole = pkg_config(prefix(), &["--static", "--cflags", "--libs"]);
    whole.push("-static".into());
    for program in build_both(&scratch("pkg-config-static"), &whole) {
        assert_works(&program, Path::new("/nowhere"), false);
        assert!(!must(command("readelf").arg("-d").arg(&program)).contains("NEEDED"));
    }
    assert_eq!(pkg_config(prefix(), &["--modversion"]), [env!("CARGO_PKG_VERSION")]);
}

/// A prefix in which only the static library is left: then -levloop is that.
#[test]
fn programs_built_with_pkg_config_where_there_is_no_shared_library() {
    if is_absent("pkg-config", "pkg-config") {
        return;
    }
    let folder = scratch("only-static");
    must(command("cp").arg("-a").arg(prefix()).arg(folder.join("prefix")));
    must(command("sh").arg("-c").arg("rm prefix/lib/*.so*").current_dir(&folder));
    let flags = pkg_config(&folder.join("prefix"), &["--static", "--cflags", "--libs"]);
    for program in build_both(&folder, &flags) {
        assert_works(&program, Path::new("/nowhere"), false);
    }
}

/// Configures tests/install with CMake, for an evloop in `prefix`; `wanted` is the version.
fn cmake(name: &str, prefix: &Path, wanted: &str) -> Result<PathBuf, String> {
    let build = scratch(name);
    let mut configure = command("cmake");
    configure.arg("-S").arg(in_repository("tests/install")).arg("-B").arg(&build);
    configure.arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display())).arg(format!("-DWANTED={wanted}"));
    harness::succeed(&mut configure).map(|_| build)
}

fn assert_cmake_builds(name: &str, prefix: &Path) {
    let build = cmake(name, prefix, "0.1").unwrap_or_else(|error| panic!("{error}"));
    must(command("cmake").arg("--build").arg(&build));
    for language in ["c", "cpp"] {
        // CMake has told the shared programs where their library is.
        assert_works(&build.join(format!("evloop-{language}")), Path::new(""), true);
        assert_works(&build.join(format!("static-{language}")), Path::new(""), false);
    }
}

#[test]
fn programs_built_with_cmake() {
    if !is_absent("cmake", "cmake") {
        assert_cmake_builds("cmake", prefix());
    }
}

#[test]
fn cmake_finds_the_versions_that_will_do_and_no_others() {
    if is_absent("cmake", "cmake") {
        return;
    }
    for (number, wanted) in ["0.1.0", "0.0.5", "0.1...<1"].iter().enumerate() {
        cmake(&format!("cmake-good-{number}"), prefix(), wanted)
            .unwrap_or_else(|error| panic!("{wanted}: {error}"));
    }
    for (number, wanted) in ["0.99", "1.0", "0.0.1...0.0.9"].iter().enumerate() {
        let refused = cmake(&format!("cmake-bad-{number}"), prefix(), wanted).expect_err(wanted);
        assert!(refused.contains("evloop"), "{refused}");
    }
}

#[test]
fn programs_built_with_meson() {
    if is_absent("meson", "meson") || is_absent("pkg-config", "pkg-config") {
        return;
    }
    let build = scratch("meson");
    let mut setup = command("meson");
    setup.env("PKG_CONFIG_PATH", prefix().join("lib/pkgconfig"));
    must(setup.args(["setup", "--wrap-mode=nofallback"]).arg(&build).arg(in_repository("tests/install")));
    must(command("meson").arg("test").arg("-C").arg(&build));
    for language in ["c", "cpp"] {
        assert_works(&build.join(format!("program-{language}")), &prefix().join("lib"), true);
    }
}

#[test]
fn a_prefix_can_be_moved() {
    let folder = scratch("moved");
    must(command("cp").arg("-a").arg(prefix()).arg(folder.join("before")));
    fs::rename(folder.join("before"), folder.join("after")).unwrap();
    let after = folder.join("after");
    if !is_absent("pkg-config", "pkg-config") {
        let flags = pkg_config(&after, &["--cflags", "--libs"]);
        for program in build_both(&folder, &flags) {
            assert_works(&program, &after.join("lib"), true);
        }
    }
    if !is_absent("cmake", "cmake") {
        assert_cmake_builds("moved-cmake", &after);
    }
    let old = prefix().display().to_string();
    for file in files_below(&after).iter().filter(|file| file.ends_with(".pc") || file.ends_with(".cmake")) {
        assert!(!read(&after.join(file)).contains(&old), "{file} names the place where it was installed");
    }
}

#[test]
fn a_program_can_load_and_unload_it_a_thousand_times() {
    let program = scratch("dlopen").join("dlopen");
    let mut build = command("cc");
    build.args(STRICT_C).arg(format!("-I{}", prefix().join("include").display())).arg(source("dlopen.c"));
    must(build.arg("-o").arg(&program).arg("-ldl"));
    assert!(!is_shared(&program));
    must(harness::limited(&program).arg(prefix().join("lib/libevloop.so.0")));
}

/// A later major: the same code under another SONAME and another version of the symbols, saying 1.0.0.
fn a_later_major(folder: &Path) -> PathBuf {
    let object = folder.join("evloop.o");
    let mut rename = command("objcopy");
    must(
        rename
            .arg("--redefine-sym=loop_version=version_of_0")
            .arg(in_repository("target/dist/evloop.o"))
            .arg(&object),
    );
    fs::write(
        folder.join("version.c"),
        "unsigned loop_version(void);\nunsigned loop_version(void) { return 0x10000; }\n",
    )
    .unwrap();
    fs::write(folder.join("map"), "EVLOOP_1 { global: loop_*; local: *; };\n").unwrap();
    let library = folder.join("libevloop.so.1");
    let mut link = command("cc");
    link.args(["-shared", "-fPIC", "-Wl,-soname,libevloop.so.1", "-Wl,-z,nodelete"]);
    link.arg(format!("-Wl,--version-script={}", folder.join("map").display()));
    must(link.arg(folder.join("version.c")).arg(&object).arg("-o").arg(&library));
    library
}

#[test]
fn two_versions_live_side_by_side_and_in_one_process() {
    let _ = prefix();
    let folder = scratch("two-versions");
    let lib = prefix().join("lib");
    let later = a_later_major(&folder);
    let include = format!("-I{}", prefix().join("include").display());
    let old_library = [format!("-L{}", lib.display()), "-levloop".into()];

    // Each program gets its own.
    let old = folder.join("old");
    must(command("cc").arg(&include).arg(source("program.c")).arg("-o").arg(&old).args(&old_library));
    let new = folder.join("new");
    must(command("cc").arg(&include).arg(source("program.c")).arg("-o").arg(&new).arg(&later));
    must(command("cp").arg("-a").arg(lib.join("libevloop.so.0")).arg(&folder));
    must(
        command("sh").arg("-c").arg(format!("cp {}/libevloop.so.0.* .", lib.display())).current_dir(&folder),
    );
    assert!(run_in(&old, &folder).contains("version 100\n"));
    assert!(run_in(&new, &folder).contains("version 10000\n"));

    // A program with the old one loads a plugin with the new one.
    let plugin = folder.join("libplugin.so");
    let mut build = command("cc");
    build.args(STRICT_C).args(["-shared", "-fPIC"]).arg(&include).arg(source("plugin.c"));
    must(build.arg("-o").arg(&plugin).arg(&later));
    let both = folder.join("both");
    let mut build = command("cc");
    build.args(STRICT_C).arg(&include).arg(source("two_versions.c")).arg("-o").arg(&both);
    must(build.args(&old_library).arg(&plugin).arg(format!("-Wl,-rpath-link,{}", folder.display())));
    assert_eq!(run_in(&both, &folder), "program 100, plugin 10000\n");
}
