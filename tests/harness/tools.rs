//! Tools that watch or disturb the C and C++ tests and the examples as they run. `make asan`,
//! `make tsan`, `make memcheck` and `make stall` name one in EVLOOP_TOOL: every program is then
//! built for it, against the library that was built for it, and run under it, with one compiler
//! (the ordinary run has all of them). A run fails also for what the tool says of a child that the
//! test does not ask about. What cannot be run under a tool stands in its list here, with the
//! reason.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::{files, in_repository, title};

pub struct Tool {
    name: &'static str,
    pub compilers: [&'static str; 2],
    /// How its runtime is called in rustc's own libraries, of which the program gets one for
    /// itself and the library: those of gcc and clang know other versions of the calls.
    runtime: Option<&'static str>,
    flags: &'static [&'static str],
    wrapper: &'static [&'static str],
    /// The C source of what the program loads first.
    preload: Option<&'static str>,
    /// An environment variable, and what it says beside where reports go.
    options: (&'static str, &'static str),
    /// For hang guards, numbers of rounds and numbers of waits.
    pub slowdown: u64,
    not_run: &'static [&'static [Excuse]],
}

/// A test, and why it is not run.
type Excuse = (&'static str, &'static str);

/// Seen, and not yet explained.
const LOWERS_LIMIT: &str = "lowers RLIMIT_NOFILE, which does not come to its end under valgrind";

const REPLACES_MALLOC: &str = "replaces malloc, as the tool does";
const OWN_MALLOC: &[Excuse] = &[
    ("c/fault_causes_memory", REPLACES_MALLOC),
    ("c/fault_memory", REPLACES_MALLOC),
    ("c/fault_memory_for_good", REPLACES_MALLOC),
    ("c/law_11_growth", REPLACES_MALLOC),
    ("c/law_11_no_allocation", REPLACES_MALLOC),
    ("c/poll_fd_memory", REPLACES_MALLOC),
    ("c/pull_capacity", REPLACES_MALLOC),
    ("c/pull_interrupt", REPLACES_MALLOC),
    ("c/pull_no_allocation", REPLACES_MALLOC),
    ("c/release_room_kept", REPLACES_MALLOC),
    ("c/soon_cancelled_memory", REPLACES_MALLOC),
    ("c/thread_posts_memory", REPLACES_MALLOC),
];

/// Its frames are larger, or it does not know that a program may have several stacks.
const SMALL_STACKS: &[Excuse] = &[("c/small_stacks", "the tool itself needs more of a stack")];

const TOOLS: [Tool; 4] = [
    Tool {
        name: "asan",
        compilers: ["clang", "clang++"],
        runtime: Some("asan"),
        flags: &["-fsanitize=address", "-fno-sanitize-link-runtime", "-fno-omit-frame-pointer"],
        wrapper: &[],
        preload: None,
        options: ("ASAN_OPTIONS", "detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1"),
        slowdown: 4,
        not_run: &[OWN_MALLOC, SMALL_STACKS],
    },
    Tool {
        name: "tsan",
        compilers: ["clang", "clang++"],
        runtime: Some("tsan"),
        flags: &["-fsanitize=thread", "-fno-sanitize-link-runtime", "-fno-omit-frame-pointer"],
        wrapper: &[],
        preload: None,
        options: ("TSAN_OPTIONS", "second_deadlock_stack=1:history_size=4:die_after_fork=0"),
        slowdown: 4,
        not_run: &[OWN_MALLOC, SMALL_STACKS],
    },
    Tool {
        name: "memcheck",
        compilers: ["gcc", "g++"],
        runtime: None,
        flags: &[],
        wrapper: &[
            "valgrind",
            "--quiet",
            "--fair-sched=yes",
            "--num-callers=30",
            "--leak-check=full",
            "--show-leak-kinds=definite,indirect,possible",
            "--errors-for-leak-kinds=definite,indirect,possible",
            "--error-exitcode=99",
        ],
        preload: None,
        options: ("", ""),
        slowdown: 20,
        not_run: &[
            OWN_MALLOC,
            SMALL_STACKS,
            &[
                ("c/law_08_syscalls", "counts epoll_pwait2, which valgrind 3.19 does not know"),
                ("c/fork_exec", "looks at every descriptor, valgrind's log among them"),
                ("c_examples/dialog", "its dialog opens 30 ms before its last tick, or not at all"),
                ("c/example_chat_server_full", LOWERS_LIMIT),
                ("c/example_echo_server_full", LOWERS_LIMIT),
                ("c/example_http_server_full", LOWERS_LIMIT),
                ("c/example_proxy_full", LOWERS_LIMIT),
                ("c/fork_threads", "its children lose what other threads had in hand at the fork"),
            ],
        ],
    },
    Tool {
        name: "stall",
        compilers: ["gcc", "g++"],
        runtime: None,
        flags: &[],
        wrapper: &[],
        preload: Some("tests/sanitizers/stall.c"),
        options: ("", ""),
        slowdown: 4,
        not_run: &[&[(
            "c/fault_causes_syscalls",
            "sets a timer slack of 4 s, which makes the stalls as long",
        )]],
    },
];

/// The tool that this run is for, if it is for one.
pub fn current() -> Option<&'static Tool> {
    let name = std::env::var("EVLOOP_TOOL").ok()?;
    Some(TOOLS.iter().find(|tool| tool.name == name).unwrap_or_else(|| panic!("no tool is called {name}")))
}

impl Tool {
    pub fn folder(&self) -> PathBuf {
        in_repository("target").join(self.name)
    }

    /// The library that was built for it; memcheck takes the ordinary one.
    pub fn library(&self) -> Option<PathBuf> {
        self.runtime.map(|_| self.folder().join("libevloop.so"))
    }

    /// Why this test is not run under it, if so.
    pub fn excuse(&self, source: &Path) -> Option<&'static str> {
        let title = title(source);
        self.excuses().find(|(name, _)| *name == title).map(|(_, reason)| reason)
    }

    fn excuses(&self) -> impl Iterator<Item = Excuse> {
        self.not_run.iter().copied().flatten().copied()
    }

    /// What the compiler is told before the source, and the linker after it.
    pub fn compile(&self, command: &mut Command) {
        command.args(self.flags).arg(format!("-DCHECK_SLOWDOWN={}", self.slowdown));
    }

    pub fn link(&self, command: &mut Command) {
        if let Some(runtime) = self.runtime {
            command.arg("-Wl,--whole-archive").arg(runtime_path(runtime)).arg("-Wl,--no-whole-archive");
            // The library finds the runtime in the program.
            command.args(["-rdynamic", "-lpthread", "-ldl", "-lm", "-lrt"]);
        }
    }

    fn build_preload(&self, source: &str) -> &'static Path {
        static BUILT: OnceLock<PathBuf> = OnceLock::new();
        BUILT.get_or_init(|| {
            let library = self.folder().join("preload.so");
            let mut command = super::strict(self.compilers[0], "c11").unwrap();
            command.arg("-shared").arg(in_repository(source)).arg("-o").arg(&library).arg("-ldl");
            super::succeed(&mut command).unwrap();
            library
        })
    }

    fn watched(&self, program: &Path) -> Command {
        let reports = program.with_extension("report");
        let Some((wrapper, arguments)) = self.wrapper.split_first() else {
            let mut command = Command::new(program);
            if let Some(source) = self.preload {
                command.env("LD_PRELOAD", self.build_preload(source));
                return command;
            }
            let (variable, options) = self.options;
            command.env(variable, format!("{options}:log_path={}", reports.display()));
            return command;
        };
        let mut command = Command::new(wrapper);
        command.args(arguments).arg(format!("--log-file={}.%p", reports.display())).arg(program);
        command
    }
}

/// The command that runs a program, under the tool if there is one.
pub fn watched(program: &Path) -> Command {
    current().map_or_else(|| Command::new(program), |tool| tool.watched(program))
}

fn runtime_path(name: &str) -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let folder = super::succeed(Command::new(rustc).args(["--print", "target-libdir"])).unwrap();
        let ending = format!("_rt.{name}.a");
        let found = fs::read_dir(folder.trim()).unwrap().map(|entry| entry.unwrap().path());
        let runtime = found.into_iter().find(|path| path.to_string_lossy().ends_with(&ending));
        runtime.unwrap_or_else(|| panic!("this Rust toolchain has no lib*{ending} in {folder}"))
    })
}

/// Checks a program; what the tool reports of it or of its children is a failure.
pub fn check_watched(program: &Path, check: impl FnOnce(&Path) -> Result<(), String>) -> Result<(), String> {
    if current().is_none() {
        return check(program);
    }
    for report in report_files(program) {
        fs::remove_file(report).unwrap();
    }
    let outcome = catch_unwind(AssertUnwindSafe(|| check(program)));
    let found: Vec<String> = report_files(program).iter().map(|path| errors(path)).collect();
    match (outcome, found.concat()) {
        (Ok(result), reports) if reports.is_empty() => result,
        (Ok(Err(error)), reports) => Err(format!("{error}\n{reports}")),
        (Err(panic), reports) if reports.is_empty() => resume_unwind(panic),
        (_, reports) => Err(reports),
    }
}

/// One for each process of the program.
fn report_files(program: &Path) -> Vec<PathBuf> {
    let report = program.with_extension("report");
    let start = format!("{}.", report.file_name().unwrap().to_string_lossy());
    let entries = fs::read_dir(program.parent().unwrap()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(&start)).collect()
}

/// The lines of a report that are not valgrind's remarks about itself ("--1234-- ").
fn errors(report: &Path) -> String {
    let text = String::from_utf8_lossy(&fs::read(report).unwrap()).into_owned();
    text.lines().filter(|line| !line.starts_with("--")).map(|line| format!("{line}\n")).collect()
}

/// Says what is not run, and why. An excuse for what is not there is an error.
pub fn print_excuses() {
    let Some(tool) = current() else { return };
    let mut sources = files("tests/c", &["c"]);
    sources.extend(files("tests/cpp", &["cpp"]));
    sources.extend(files("c_examples", &["c"]));
    let titles: Vec<String> = sources.iter().map(|source| title(source)).collect();
    for (name, reason) in tool.excuses() {
        assert!(
            titles.iter().any(|title| title == name),
            "{name} is excused from {}, but is not there",
            tool.name
        );
        println!("not run under {}: {name}: {reason}", tool.name);
    }
}
