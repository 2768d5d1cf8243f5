//! What the tests that compile C and C++ share: find sources, build them with
//! strict flags against the shared library that cargo has just built, and run
//! them with a time limit. A compiler that is not installed is a skip that is
//! written down, or a failure where EVLOOP_NO_SKIP=1.
#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod installed;
pub mod interface;
pub mod tools;

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::{Mutex, OnceLock};

use libtest_mimic::{Arguments, Trial};

pub const C_COMPILERS: [&str; 2] = ["gcc", "clang"];
pub const CPP_COMPILERS: [&str; 2] = ["g++", "clang++"];
pub const TIME_LIMIT_SECONDS: u64 = 300;

/// All compilers of C, or the one that the tool wants.
pub fn c_compilers() -> Vec<&'static str> {
    tools::current().map_or(C_COMPILERS.to_vec(), |tool| vec![tool.compilers[0]])
}

pub fn cpp_compilers() -> Vec<&'static str> {
    tools::current().map_or(CPP_COMPILERS.to_vec(), |tool| vec![tool.compilers[1]])
}

pub fn time_limit_seconds() -> u64 {
    TIME_LIMIT_SECONDS * tools::current().map_or(1, |tool| tool.slowdown)
}

/// A path in the repository.
pub fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The files of a folder whose names end in one of these, in the order of
/// their names.
pub fn files(folder: &str, extensions: &[&str]) -> Vec<PathBuf> {
    let is_wanted = |path: &PathBuf| {
        let extension = path.extension().and_then(|e| e.to_str());
        extension.is_some_and(|e| extensions.contains(&e))
    };
    let entries = fs::read_dir(in_repository(folder)).expect(folder);
    let mut found: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).filter(is_wanted).collect();
    found.sort();
    found
}

pub fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// `tests/c/law.c` is `c/law`.
pub fn title(source: &Path) -> String {
    let folder = source.parent().unwrap().file_name().unwrap();
    Path::new(folder).join(source.file_stem().unwrap()).display().to_string()
}

/// The cdylib: cargo puts it beside the test programs, `cargo build` one
/// folder above as well (there it may be an older one). Or the one that was
/// built for a tool.
pub fn library() -> PathBuf {
    if let Some(library) = tools::current().and_then(tools::Tool::library) {
        return library;
    }
    let test_program = std::env::current_exe().unwrap();
    test_program
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("libevloop.so"))
        .find(|path| path.exists())
        .expect("libevloop.so beside the test program")
}

/// Where programs are built: `target/<profile>/c-tests`, or `target/<tool>/c-tests`.
/// The library is there under both its names, for the linker and for the loader.
pub fn output_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let test_program = std::env::current_exe().unwrap();
        let profile = test_program.ancestors().nth(2).unwrap().to_owned();
        let folder = tools::current().map_or(profile, tools::Tool::folder).join("c-tests");
        fs::create_dir_all(&folder).unwrap();
        for name in ["libevloop.so", "libevloop.so.0"] {
            // Renamed into place: another run of the tests may be using the old one.
            let new = folder.join(format!("{name}.{}", std::process::id()));
            symlink(library(), &new).unwrap();
            fs::rename(&new, folder.join(name)).unwrap();
        }
        folder
    })
}

/// The compiler with this standard and every warning an error.
pub fn strict(compiler: &str, standard: &str) -> Result<Command, String> {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let tool = cc::Build::new()
        .cargo_metadata(false)
        .cargo_warnings(false)
        .target(&platform)
        .host(&platform)
        .cpp(standard.starts_with("c++"))
        .compiler(compiler)
        .std(standard)
        .opt_level(1)
        .debug(true)
        .warnings(true)
        .extra_warnings(true)
        .warnings_into_errors(true)
        .flag("-Wpedantic")
        .include(in_repository("include"))
        .include(in_repository("tests/c"))
        .try_get_compiler()
        .map_err(|error| error.to_string())?;
    let mut command = Command::new(tool.path());
    command.args(tool.args());
    Ok(command)
}

/// Builds a program from one source. A line `/* link: -lpthread -ldl */` in it
/// replaces the default `-lpthread`.
pub fn build(compiler: &str, source: &Path) -> Result<PathBuf, String> {
    let is_cpp = source.extension().is_some_and(|e| e == "cpp");
    let text = read(source);
    let link_line = text.lines().find_map(|l| l.strip_prefix("/* link:")?.strip_suffix("*/"));
    let folder = output_folder();
    let program = folder.join(format!("{}-{compiler}", title(source).replace('/', "-")));
    let mut command = strict(compiler, if is_cpp { "c++17" } else { "c11" })?;
    if let Some(tool) = tools::current() {
        tool.compile(&mut command);
    }
    command.arg(source).arg("-o").arg(&program);
    command.arg("-L").arg(folder).arg("-levloop");
    command.arg(format!("-Wl,-rpath,{}", folder.display()));
    command.args(link_line.unwrap_or("-lpthread").split_whitespace());
    if let Some(tool) = tools::current() {
        tool.link(&mut command);
    }
    succeed(&mut command)?;
    Ok(program)
}

/// The command for a program that is killed, with all its children, when the
/// time is up; under the tool, if there is one.
pub fn limited(program: &Path) -> Command {
    let watched = tools::watched(program);
    let mut command = Command::new("timeout");
    command.args(["-s", "KILL", &time_limit_seconds().to_string()]);
    command.arg(watched.get_program()).args(watched.get_args());
    command.envs(watched.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

/// Compares what a test has made with the committed file; under EVLOOP_BLESS=1 writes it first.
/// `how` is the make target that does so.
pub fn assert_committed(path: &str, made: &str, how: &str) {
    let file = in_repository(path);
    if std::env::var_os("EVLOOP_BLESS").is_some() {
        fs::write(&file, made).unwrap();
    }
    let committed = fs::read_to_string(&file).unwrap_or_default();
    let is_in = |text: &str, line: &str| text.lines().any(|other| other == line);
    let lost: Vec<&str> = committed.lines().filter(|line| !is_in(made, line)).collect();
    let added: Vec<&str> = made.lines().filter(|line| !is_in(&committed, line)).collect();
    let (lost, added) = (lost.join("\n- "), added.join("\n+ "));
    assert!(made == committed, "{path} differs:\n- {lost}\n+ {added}\nif that is meant: `{how}`");
}

/// Runs a command to its end: its standard output, or all it said if it failed.
pub fn succeed(command: &mut Command) -> Result<String, String> {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let name = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    if output.status.success() {
        return Ok(stdout);
    }
    Err(format!("{name}: {}\n{stdout}{stderr}", explain(output.status)))
}

fn explain(status: ExitStatus) -> String {
    const KILLED: i32 = 128 + libc::SIGKILL;
    match status.code() {
        Some(KILLED) => format!("killed, as after {} s", time_limit_seconds()),
        _ => status.to_string(),
    }
}

/// One trial of this source under this compiler; ignored if that is skipped, or
/// if the tool cannot run it.
pub fn trial(
    source: &Path,
    compiler: &'static str,
    check: impl FnOnce(&Path) -> Result<(), String> + Send + 'static,
) -> Trial {
    let name = format!("{} [{compiler}]", title(source));
    let source = source.to_owned();
    let is_excused = tools::current().is_some_and(|tool| tool.excuse(&source).is_some());
    let trial = Trial::test(name, move || Ok(tools::check_watched(&build(compiler, &source)?, check)?));
    trial.with_ignored_flag(is_skipped(compiler) || is_excused)
}

/// Runs the trials, two at a time at most, and ends the process.
pub fn run(trials: Vec<Trial>) -> ! {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(arguments.test_threads.map_or(2, |n| n.min(2)));
    tools::print_excuses();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if tools::current().is_some() && conclusion.num_passed + conclusion.num_failed == 0 {
        eprintln!("no program was run under the tool");
        std::process::exit(1);
    }
    conclusion.exit()
}

/// Is this compiler absent, and may it be?
pub fn is_skipped(compiler: &str) -> bool {
    is_absent(compiler, if compiler == "clang++" { "clang" } else { compiler })
}

/// Is this tool absent, and may it be? Then target/evloop-skips.txt gets a line
/// that says what to install. Under EVLOOP_NO_SKIP=1 nothing is skipped: what
/// needs the tool fails.
pub fn is_absent(tool: &str, package: &str) -> bool {
    let is_installed = Command::new(tool).arg("--version").output().is_ok();
    if is_installed || std::env::var("EVLOOP_NO_SKIP").is_ok_and(|value| value == "1") {
        return false;
    }
    note_skip(&format!("SKIPPED: {tool} (install: {package})\n"));
    true
}

/// Likewise, a library that pkg-config knows.
pub fn is_library_absent(library: &str, package: &str) -> bool {
    let found = Command::new("pkg-config").args(["--exists", library]).status();
    if found.is_ok_and(|status| status.success())
        || std::env::var("EVLOOP_NO_SKIP").is_ok_and(|value| value == "1")
    {
        return false;
    }
    note_skip(&format!("SKIPPED: {library} (install: {package})\n"));
    true
}

fn note_skip(line: &str) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap();
    let path = in_repository("target/evloop-skips.txt");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    if fs::read_to_string(&path).is_ok_and(|text| text.contains(line)) {
        return;
    }
    let mut file = fs::File::options().create(true).append(true).open(&path).unwrap();
    file.write_all(line.as_bytes()).unwrap();
}
