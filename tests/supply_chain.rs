//! Where the code comes from that is not ours: the lock file names it all, from one registry, in
//! one version each, under licences that `deny.toml` allows, and each for a reason. Needs no
//! network; what an advisory says of it is for `make advisories`.

mod harness;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use harness::{in_repository, read, succeed};

/// What is linked into the library. Another crate here is a decision, not a side effect.
const LINKED: [&str; 3] = ["evloop", "libc", "mio"];
const LICENCES_OF_THE_LIBRARY: [&str; 2] = ["MIT", "Apache-2.0"];

/// The packages of the tree that is built here, each with its licence.
fn tree(edges: &str) -> BTreeMap<String, String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(in_repository("")).args(["tree", "--locked", "--offline", "--prefix", "none"]);
    let lines = succeed(command.args(["--format", "{p}|{l}", "--edges", edges]));
    let lines = lines.unwrap_or_else(|error| panic!("{error}"));
    let package = |line: &str| {
        let (package, licence) = line.trim_end_matches(" (*)").split_once('|')?;
        Some((package.split(' ').next()?.to_owned(), licence.to_owned()))
    };
    lines.lines().filter_map(package).collect()
}

/// Name, version and source of every package that a lock file names.
fn locked(file: &str) -> Vec<(String, String, Option<String>)> {
    let lock = read(&in_repository(file));
    let value = |block: &str, key: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
        line.map(|value| value.trim_matches('"').to_owned())
    };
    let blocks = lock.split("[[package]]").skip(1);
    blocks.map(|b| (value(b, "name").unwrap(), value(b, "version").unwrap(), value(b, "source"))).collect()
}

/// The strings of a list in `deny.toml`.
fn list(from: &str, key: &str) -> Vec<String> {
    let text = read(&in_repository("deny.toml"));
    let (_, section) = text.split_once(from).unwrap_or_else(|| panic!("deny.toml has no {from}"));
    let (_, rest) = section.split_once(&format!("\n{key} = [")).unwrap();
    let (body, _) = rest.split_once(']').unwrap();
    let code = body.lines().map(|line| line.split('#').next().unwrap()).collect::<String>();
    code.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Can a licence expression be met with these alone?
fn is_met(expression: &str, allowed: &[String]) -> bool {
    let expression = expression.replace('/', " OR ");
    let groups = expression.split(" AND ");
    // Brackets enclose nothing but choices; so a choice without any is one as well.
    groups.map(|group| group.trim_matches(['(', ')'])).all(|group| {
        group.split(" OR ").any(|licence| allowed.iter().any(|allowed| allowed == licence.trim()))
    })
}

#[test]
fn expressions_are_met_or_not() {
    let allowed = ["MIT", "Unicode-3.0"].map(str::to_owned);
    for met in ["MIT", "MIT/Apache-2.0", "GPL-3.0 OR MIT", "(MIT OR Apache-2.0) AND Unicode-3.0"] {
        assert!(is_met(met, &allowed), "{met}");
    }
    for not in ["", "GPL-3.0", "MIT AND GPL-3.0", "Apache-2.0 WITH LLVM-exception", "(A OR B) AND MIT"] {
        assert!(!is_met(not, &allowed), "{not}");
    }
}

#[test]
fn only_what_is_known_is_linked_into_the_library() {
    let linked = tree("normal");
    assert_eq!(linked.keys().collect::<Vec<_>>(), LINKED);
    let allowed = LICENCES_OF_THE_LIBRARY.map(str::to_owned);
    for (package, licence) in linked {
        assert!(is_met(&licence, &allowed), "{package}: {licence}");
    }
}

#[test]
fn every_licence_is_allowed() {
    let mut allowed = list("[licenses]", "allow");
    assert!(allowed.len() >= 2);
    let packages = tree("normal,build,dev");
    assert!(packages.len() > 20, "{packages:?}");
    allowed.sort();
    for (package, licence) in packages {
        let is_exception = read(&in_repository("deny.toml")).contains(&format!("crate = \"{package}\""));
        let more = if is_exception { list(&format!("crate = \"{package}\""), "allow") } else { Vec::new() };
        let allowed: Vec<String> = allowed.iter().cloned().chain(more).collect();
        assert!(is_met(&licence, &allowed), "{package}: {licence} (deny.toml)");
    }
}

/// The library's, and that of the fuzz targets, which are a package of their own.
#[test]
fn everything_comes_from_one_registry_and_is_locked() {
    let files = ["Cargo.lock", "fuzz/Cargo.lock"].into_iter().filter(|file| in_repository(file).exists());
    for (name, version, source) in files.flat_map(locked) {
        match source {
            Some(source) => {
                assert_eq!(
                    source, "registry+https://github.com/rust-lang/crates.io-index",
                    "{name} {version}"
                )
            }
            None => assert!(name.starts_with("evloop"), "{name} {version} comes from a path"),
        }
    }
    let mut git = Command::new("git");
    let is_ignored = git.args(["check-ignore", "-q", "Cargo.lock"]).current_dir(in_repository("")).status();
    assert!(!is_ignored.is_ok_and(|status| status.success()), "Cargo.lock is not committed");
}

#[test]
fn no_crate_is_there_twice_but_for_a_reason() {
    let skipped = list("[bans]", "skip");
    let is_skipped = |name: &str, version: &str| {
        let names = skipped.iter().filter_map(|skip| skip.split_once('@'));
        names.into_iter().any(|(n, v)| n == name && (version == v || version.starts_with(&format!("{v}."))))
    };
    let mut seen = BTreeSet::new();
    for (name, version, _) in locked("Cargo.lock") {
        let is_new = is_skipped(&name, &version) || seen.insert(name.clone());
        assert!(is_new, "{name} {version} is the second version of it (deny.toml: [bans] skip)");
    }
}

/// In Cargo.toml a line above each dependency says what it is for.
#[test]
fn every_dependency_has_a_reason() {
    let manifest = read(&in_repository("Cargo.toml"));
    let mut before = "";
    let mut is_dependencies = false;
    let mut count = 0;
    for line in manifest.lines() {
        if line.starts_with('[') {
            is_dependencies = line.contains("dependencies]");
        } else if is_dependencies && line.contains(" = ") && !line.starts_with(['#', ' ']) {
            assert!(before.starts_with("# ") && before.len() > 20, "{line}: no reason above it");
            count += 1;
        }
        before = line;
    }
    assert!(count >= 6, "{count}");
}

/// The oldest Rust that Cargo.toml names is the one that `make msrv` uses and the pages tell.
#[test]
fn the_oldest_rust_is_told_alike() {
    let manifest = read(&in_repository("Cargo.toml"));
    let oldest = manifest.lines().find_map(|line| line.strip_prefix("rust-version = "));
    let told = format!("Rust ({} or later)", oldest.unwrap().trim_matches('"'));
    for page in ["README.md", "docs/guide/installing.md", "docs/guarantees.md"] {
        assert!(read(&in_repository(page)).contains(&told), "{page}: {told}");
    }
}
