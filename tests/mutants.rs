//! Mutation testing: breaks the library on purpose, one promise at a time (`mutants/list.rs`), and
//! runs the model test on each broken one; a mutant that it does not notice has to fail the C
//! tests. One that nobody notices, or whose place is not found, is a failure.
//!
//! `make mutants` runs it, `make mutants MUTANT=name` one of them, and `make mutants AT_MOST=10` ten,
//! each day the ten that follow those of the day before. A mutant is made in a copy
//! of the sources, in `target/mutants`.

#[path = "mutants/list.rs"]
mod list;

use libtest_mimic::{Arguments, Failed, Trial};
use list::{MUTANTS, Mutant};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::UNIX_EPOCH;

/// What a mutant is made from.
const PARTS: [&str; 9] =
    ["Cargo.toml", "Cargo.lock", "build.rs", "src", "include", "packaging", "tests", "benches", "c_examples"];

static NOTICED: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let only = std::env::var("EVLOOP_MUTANT").unwrap_or_default();
    let wanted = MUTANTS.iter().filter(|mutant| mutant.name.contains(&only));
    let trials =
        of_today(wanted.collect()).into_iter().map(|mutant| Trial::test(mutant.name, || try_mutant(mutant)));
    let sound = Trial::test("nothing_is_broken", nothing_is_broken);
    let mut all = vec![
        Trial::test("every_mutant_is_in_the_docs", every_mutant_is_in_the_docs),
        Trial::test("every_mutant_has_its_place", every_mutant_has_its_place),
    ];
    all.extend(std::iter::once(sound).chain(trials).map(|trial| trial.with_ignored_flag(true)));
    let conclusion = libtest_mimic::run(&arguments, all);
    for line in NOTICED.lock().unwrap().iter() {
        println!("{line}");
    }
    conclusion.exit();
}

/// As many as are allowed, beginning where those of yesterday ended.
fn of_today(mut wanted: Vec<&'static Mutant>) -> Vec<&'static Mutant> {
    let asked = std::env::var("EVLOOP_MUTANTS_AT_MOST").ok().and_then(|text| text.parse().ok());
    let at_most = asked.unwrap_or(0);
    if at_most > 0 && at_most < wanted.len() {
        let days = UNIX_EPOCH.elapsed().map_or(0, |time| time.as_secs() as usize / 86_400);
        let begin = days * at_most % wanted.len();
        wanted.rotate_left(begin);
        wanted.truncate(at_most);
    }
    wanted
}

fn try_mutant(mutant: &Mutant) -> Result<(), Failed> {
    let tree = copy_of_sources()?;
    let sources = sources_below(&tree.join("src"))?;
    let (file, sound) = find(&sources, mutant.text)?;
    fs::write(file, sound.replace(mutant.text, mutant.instead))?;
    cargo(&tree, &["build", "--lib"]).map_err(|output| format!("it does not compile:\n{output}"))?;
    let noticed_by = match is_noticed_by_model(&tree)? {
        true => "the model test",
        false if cargo(&tree, &["test", "--test", "c", "--", mutant.tests]).is_err() => "the C tests",
        false => return Err("it has not been noticed".into()),
    };
    NOTICED.lock().unwrap().push(format!("| {} | {} | {noticed_by} |", mutant.law, mutant.name));
    Ok(())
}

fn every_mutant_is_in_the_docs() -> Result<(), Failed> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/model.md"))?;
    let row = |mutant: &Mutant| format!("\n| {} | {} |\n", mutant.law, mutant.name.replace('_', " "));
    match MUTANTS.iter().map(row).find(|row| !page.contains(row.as_str())) {
        Some(row) => Err(format!("docs/model.md does not have the line {row}").into()),
        None => Ok(()),
    }
}

/// The sources change, and a mutant whose text is gone, or has become ambiguous, tests nothing.
fn every_mutant_has_its_place() -> Result<(), Failed> {
    let sources = sources_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))?;
    let misplaced = MUTANTS.iter().filter_map(|mutant| {
        let error = find(&sources, mutant.text).err()?;
        Some(format!("{}: {}", mutant.name, error.message().unwrap_or_default()))
    });
    match misplaced.collect::<Vec<_>>() {
        none if none.is_empty() => Ok(()),
        some => Err(some.join("\n").into()),
    }
}

/// A test that fails anyway would notice everything.
fn nothing_is_broken() -> Result<(), Failed> {
    let tree = copy_of_sources()?;
    cargo(&tree, &["build", "--lib"])?;
    match is_noticed_by_model(&tree)? {
        true => Err("the model test fails without any mutant".into()),
        false => Ok(()),
    }
}

/// Fresh each time; but the files keep their times, so that cargo builds little.
fn copy_of_sources() -> Result<PathBuf, Failed> {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/mutants/tree");
    if tree.exists() {
        fs::remove_dir_all(&tree)?;
    }
    fs::create_dir_all(&tree)?;
    let mut command = Command::new("cp");
    command.arg("-a").args(PARTS).arg(&tree);
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).as_ref().into());
    }
    // The last mutant is newer than what has come back in its place: cargo must see a change.
    let root = tree.join("src/lib.rs");
    fs::write(&root, fs::read(&root)?)?;
    Ok(tree)
}

/// Every file below a folder, with its text.
fn sources_below(folder: &Path) -> Result<Vec<(PathBuf, String)>, Failed> {
    let mut sources = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let content = fs::read_to_string(&path)?;
                sources.push((path, content));
            }
        }
    }
    Ok(sources)
}

/// The one file that contains the text, exactly once.
fn find<'a>(sources: &'a [(PathBuf, String)], text: &str) -> Result<&'a (PathBuf, String), Failed> {
    let mut found = sources.iter().flat_map(|source| source.1.matches(text).map(move |_| source));
    match (found.next(), found.count()) {
        (Some(source), 0) => Ok(source),
        (first, more) => {
            let count = usize::from(first.is_some()) + more;
            Err(format!("its text is {count} times in the sources; see tests/mutants/list.rs").into())
        }
    }
}

fn cargo(tree: &Path, arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new(env!("CARGO"));
    command.args(arguments).current_dir(tree).env("CARGO_TARGET_DIR", tree.join("../build"));
    let output = command.output().map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn is_noticed_by_model(tree: &Path) -> Result<bool, Failed> {
    let program = std::env::var_os("EVLOOP_MODEL_TEST").ok_or("use `make mutants`")?;
    let mut command = Command::new(program);
    command.env("EVLOOP_LIBRARY", tree.join("../build/debug/libevloop.so"));
    command.env("EVLOOP_FUZZ_SECONDS", "4").env("EVLOOP_SHRINK_SECONDS", "0");
    Ok(!command.output()?.status.success())
}
