//! Packages: Debian's two, installed and removed in a root of their own; the archive of the sources,
//! with which Meson builds evloop as a subproject; vcpkg's port; and the Rust crate. (Conan's recipe
//! builds everything anew, twice: .ci/run has that done.)

mod harness;

use std::fs;
use std::path::{Path, PathBuf};

use harness::installed::{assert_works, command, make, must, run_in, scratch};
use harness::{in_repository, is_absent};

/// The one file in target/dist whose name begins and ends so.
fn made(start: &str, end: &str) -> PathBuf {
    let entries = fs::read_dir(in_repository("target/dist")).unwrap().map(|entry| entry.unwrap().path());
    let is_it = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with(start) && name.ends_with(end)
    };
    let found: Vec<PathBuf> = entries.filter(is_it).collect();
    assert_eq!(found.len(), 1, "{start}*{end}: {found:?}");
    found.into_iter().next().unwrap()
}

/// dpkg on a system of its own, an empty folder, as root there if not here.
fn dpkg(root: &Path, arguments: &[&str], packages: &[&Path]) -> String {
    // SAFETY: geteuid takes nothing and cannot fail.
    let is_root = unsafe { libc::geteuid() } == 0;
    let mut dpkg = command(if is_root { "dpkg" } else { "fakeroot" });
    if !is_root {
        dpkg.arg("dpkg");
    }
    // The folder has no libc package, so what depends on one is not asked for.
    dpkg.arg(format!("--root={}", root.display())).args(["--force-depends", "--force-not-root"]);
    must(dpkg.arg("--log=/dev/null").args(arguments).args(packages))
}

#[test]
fn the_debian_packages_are_built_installed_used_and_removed() {
    if is_absent("dpkg-shlibdeps", "dpkg-dev") || is_absent("fakeroot", "fakeroot") {
        return;
    }
    make(&["deb"]);
    let (runtime, dev) = (made("libevloop0_", ".deb"), made("libevloop-dev_", ".deb"));
    let depends = must(command("dpkg-deb").arg("-f").arg(&runtime).arg("Depends"));
    assert!(depends.starts_with("libc6 (>= ") && depends.contains("libgcc-s1"), "{depends}");

    let root = scratch("debian");
    for folder in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
    dpkg(&root, &["-i"], &[&runtime, &dev]);
    assert!(dpkg(&root, &["-l"], &[]).contains("libevloop-dev"));

    let multiarch = must(command("dpkg-architecture").arg("-qDEB_HOST_MULTIARCH"));
    let lib = root.join("usr/lib").join(multiarch.trim());
    let program = scratch("debian-program").join("program");
    let mut build = command("cc");
    build
        .arg(format!("-I{}", root.join("usr/include").display()))
        .arg(in_repository("tests/install/program.c"));
    must(build.arg(format!("-L{}", lib.display())).arg("-levloop").arg("-o").arg(&program));
    assert_works(&program, &lib, true);
    assert!(root.join("usr/share/man/man3/loop_call_later.3.gz").exists());
    let pkg_config = fs::read_to_string(lib.join("pkgconfig/evloop.pc")).unwrap();
    assert!(pkg_config.starts_with("prefix=/usr\n"), "{pkg_config}");

    // A program goes on to work when the developers' package is gone.
    dpkg(&root, &["-r", "libevloop-dev"], &[]);
    assert!(!lib.join("libevloop.a").exists() && !root.join("usr/include/evloop.h").exists());
    run_in(&program, &lib);
    dpkg(&root, &["-P", "libevloop0", "libevloop-dev"], &[]);
    let left = must(command("find").arg(&root).args(["-type", "f", "-name", "*evloop*"]));
    assert_eq!(left, "");
}

#[test]
fn the_archive_of_the_sources_is_whole_and_always_the_same() {
    make(&["dist"]);
    let archive = made("evloop-", ".tar.gz");
    let first = fs::read(&archive).unwrap();
    fs::remove_file(&archive).unwrap();
    make(&["dist"]);
    assert!(first == fs::read(&archive).unwrap(), "two archives of the same sources differ");
    let listed = must(command("tar").arg("-tzf").arg(&archive));
    let folder = format!("evloop-{}/", env!("CARGO_PKG_VERSION"));
    assert!(listed.lines().all(|line| line.starts_with(&folder)), "{listed}");
    for file in ["Cargo.lock", "Makefile", "LICENSE-MIT", "include/evloop.h", "src/lib.rs", "tests/c.rs"] {
        assert!(listed.lines().any(|line| line == format!("{folder}{file}")), "{file}");
    }
    assert!(!listed.contains("/target/") && !listed.contains("/docs/site/"), "{listed}");
}

/// Meson unpacks the archive, has cargo build the library in it, and links it.
#[test]
fn meson_builds_the_sources_as_a_subproject() {
    if is_absent("meson", "meson") {
        return;
    }
    make(&["wrap"]);
    let project = scratch("wrap");
    let sources = in_repository("tests/install");
    for file in ["program.c", "meson.build"] {
        fs::copy(sources.join(file), project.join(file)).unwrap();
    }
    let subprojects = project.join("subprojects");
    fs::create_dir_all(subprojects.join("packagecache")).unwrap();
    let archive = made("evloop-", ".tar.gz");
    fs::copy(&archive, subprojects.join("packagecache").join(archive.file_name().unwrap())).unwrap();
    fs::copy(in_repository("target/dist/evloop.wrap"), subprojects.join("evloop.wrap")).unwrap();
    let recipe = in_repository("packaging/meson/packagefiles");
    must(command("cp").arg("-r").arg(recipe).arg(&subprojects));

    let build = project.join("build");
    let mut setup = command("meson");
    setup.env("PKG_CONFIG_PATH", "").args(["setup", "--wrap-mode=forcefallback"]).arg(&build).arg(&project);
    must(&mut setup);
    must(command("meson").arg("test").arg("-C").arg(&build));
    assert_works(&build.join("program-c"), Path::new("/nowhere"), false);
}

/// The port is run by CMake alone, see tests/install/vcpkg.cmake; then a program is built with what it
/// installs, in the words of its `usage`.
#[test]
fn the_vcpkg_port_installs_what_works() {
    let about = fs::read_to_string(in_repository("packaging/vcpkg/vcpkg.json")).unwrap();
    assert!(about.contains(&format!("\"version\": \"{}\"", env!("CARGO_PKG_VERSION"))), "{about}");
    if is_absent("cmake", "cmake") {
        return;
    }
    make(&["package", "man"]);
    for (linkage, unwanted) in [("static", "libevloop.so"), ("dynamic", "libevloop.a")] {
        let folder = scratch(&format!("vcpkg-{linkage}"));
        let package = folder.join("package");
        let mut port = command("cmake");
        port.arg(format!("-DVCPKG_LIBRARY_LINKAGE={linkage}")).arg(format!("-DTARGET_TRIPLET=x64-{linkage}"));
        port.arg(format!("-DCURRENT_BUILDTREES_DIR={}", folder.join("build").display()));
        port.arg(format!("-DCURRENT_PACKAGES_DIR={}", package.display()));
        port.arg(format!("-DBUILT={}", in_repository("target/dist").display()));
        must(port.arg("-P").arg(in_repository("tests/install/vcpkg.cmake")));
        assert!(!package.join("lib").join(unwanted).exists(), "{linkage}");
        assert!(package.join("share/evloop/evloop-config.cmake").exists(), "where vcpkg wants it");
        assert!(package.join("share/evloop/copyright").exists() && package.join("include/evloop.h").exists());

        let usage = fs::read_to_string(package.join("share/evloop/usage")).unwrap();
        let commands: String = usage.lines().skip(1).map(|line| format!("{line}\n")).collect();
        let project = String::from(
            "cmake_minimum_required(VERSION 3.16)\nproject(p C)\nadd_executable(main program.c)\n",
        );
        fs::write(folder.join("CMakeLists.txt"), project + &commands).unwrap();
        fs::copy(in_repository("tests/install/program.c"), folder.join("program.c")).unwrap();
        let mut configure = command("cmake");
        configure.arg("-S").arg(&folder).arg("-B").arg(folder.join("b"));
        must(configure.arg(format!("-DCMAKE_PREFIX_PATH={}", package.display())));
        must(command("cmake").arg("--build").arg(folder.join("b")));
        assert_works(&folder.join("b/main"), Path::new(""), linkage == "dynamic");
    }
}

#[test]
fn the_crate_has_all_that_a_rust_program_needs() {
    let cargo = || command(std::env::var("CARGO").unwrap_or("cargo".into()));
    let listed = must(
        cargo().args(["package", "--list", "--allow-dirty", "--offline"]).current_dir(in_repository("")),
    );
    for file in ["src/lib.rs", "build.rs", "packaging/link-args", "LICENSE-MIT", "README.md"] {
        assert!(listed.lines().any(|line| line == file), "{file} is not in the crate:\n{listed}");
    }
    let program = scratch("crate");
    fs::create_dir_all(program.join("src")).unwrap();
    fs::copy(in_repository("tests/install/crate.rs"), program.join("src/main.rs")).unwrap();
    fs::copy(in_repository("Cargo.lock"), program.join("Cargo.lock")).unwrap();
    let manifest = "[package]\nname = \"somebody\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n";
    fs::write(program.join("Cargo.toml"), manifest).unwrap();
    let mut add = cargo();
    must(add.args(["add", "--offline", "--path"]).arg(in_repository("")).current_dir(&program));
    let mut run = cargo();
    assert_eq!(must(run.args(["run", "--quiet", "--offline"]).current_dir(&program)), "soon\nlater\n");
}
