//! docs/guarantees.md names the tests of every promise: this test looks whether they exist, and
//! whether a law, or a file that is named after one, was forgotten.

mod harness;

use harness::{files, in_repository, read};
use std::path::PathBuf;

const PAGE: &str = "docs/guarantees.md";

/// The page without what is not shown yet.
fn page() -> String {
    let text = read(&in_repository(PAGE));
    let mut shown = String::new();
    for part in text.split("<!--") {
        shown += part.split_once("-->").map_or(part, |(_, after)| after);
    }
    shown
}

/// What stands in backquotes and ends like a source file, with the test behind the `#`.
fn named(page: &str) -> Vec<(String, Option<String>)> {
    let quoted = page.split('`').skip(1).step_by(2);
    let names =
        quoted.map(|text| text.split_once('#').map_or((text, None), |(file, test)| (file, Some(test))));
    let sources = names.filter(|(file, _)| [".c", ".cpp", ".rs"].iter().any(|end| file.ends_with(end)));
    sources.map(|(file, test)| (file.to_owned(), test.map(str::to_owned))).collect()
}

fn find(file: &str) -> Option<PathBuf> {
    let folders = ["", "tests/", "tests/c/", "tests/cpp/"];
    folders.iter().map(|folder| in_repository(&format!("{folder}{file}"))).find(|path| path.is_file())
}

#[test]
fn every_test_that_a_promise_names_exists() {
    let names = named(&page());
    assert!(names.len() > 80, "{}", names.len());
    for (file, test) in names {
        let path = find(&file).unwrap_or_else(|| panic!("{PAGE}: there is no {file}"));
        let text = read(&path);
        let is_there = |test: &String| {
            text.contains(&format!("TEST({test})"))
                || text.contains(&format!("#[test]\nfn {test}("))
                || text.contains(&format!("#[test]\n    fn {test}("))
        };
        assert!(
            test.as_ref().is_none_or(is_there),
            "{PAGE}: {file} has no test {}",
            test.unwrap_or_default()
        );
    }
}

#[test]
fn every_law_has_a_row_and_every_file_of_a_law_is_in_one() {
    let page = page();
    for law in 1..=14 {
        assert!(page.contains(&format!("\n| {law} | ")), "law {law}");
    }
    for path in files("tests/c", &["c"]).into_iter().chain(files("tests/cpp", &["cpp"])) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let is_of_a_promise = ["law_", "misuse_", "exceptions_", "abi_"].iter().any(|p| name.starts_with(p));
        assert!(!is_of_a_promise || page.contains(&format!("`{name}")), "{name} is in no row of {PAGE}");
    }
}

/// `make x` on the page is a target of the makefiles.
#[test]
fn every_make_target_exists() {
    let mut makefiles = read(&in_repository("Makefile"));
    for folder in ["packaging", "benches", "fuzz", "tests", "tests/sanitizers"] {
        if in_repository(folder).is_dir() {
            files(folder, &["mk"]).iter().for_each(|path| makefiles += &format!("\n{}", read(path)));
        }
    }
    let page = page();
    let targets: Vec<&str> = page.split("`make ").skip(1).filter_map(|rest| rest.split('`').next()).collect();
    assert!(targets.len() >= 3);
    for target in targets {
        let mut rules = makefiles.lines().filter_map(|line| line.split_once(':'));
        let is_there = rules.any(|(names, _)| names.split(' ').any(|name| name == target));
        assert!(is_there, "{PAGE}: there is no `make {target}`");
    }
}

/// Clocks of CPU time: a test that limits what they say fails on a slower machine.
const CPU_CLOCKS: [&str; 5] = [
    "CLOCK_PROCESS_CPUTIME_ID",
    "CLOCK_THREAD_CPUTIME_ID",
    "getrusage(",
    "pthread_getcpuclockid(",
    " clock()",
];

/// Who may name one, and why.
const MAY_READ_CPU_TIME: [(&str, &str, &str); 2] = [
    ("tests/c/fd_orphans_cost.c", "CLOCK_THREAD_CPUTIME_ID", "falsifies what the library reads"),
    ("c_examples/virtual_time.c", " clock()", "prints it, and nothing looks at the number"),
];

#[test]
fn no_test_measures_cpu_time() {
    let mut used = Vec::new();
    for folder in ["tests/c", "tests/cpp", "c_examples"] {
        for path in files(folder, &["c", "h", "cpp", "hpp"]) {
            let text = read(&path);
            let file = format!("{folder}/{}", path.file_name().unwrap().to_string_lossy());
            for clock in CPU_CLOCKS.iter().filter(|clock| text.contains(**clock)) {
                let excuse = MAY_READ_CPU_TIME.iter().find(|(who, what, _)| *who == file && what == clock);
                used.push(
                    excuse.unwrap_or_else(|| panic!("{file} reads CPU time:{clock}; count calls instead")),
                );
            }
        }
    }
    assert_eq!(used.len(), MAY_READ_CPU_TIME.len(), "an excuse that nobody needs any more");
}
