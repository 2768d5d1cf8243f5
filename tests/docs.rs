//! Documents quote only code that is compiled: every block of C in the README,
//! in docs/ and in the header stands, word for word, in an example or a test.

mod harness;

use std::path::{Path, PathBuf};

use harness::{files, in_repository, read};

/// The text without white space at the ends of its lines, each line ended.
fn trimmed(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// The text between each line `open` and the next line `close`; `prefix` is
/// what every line of the block begins with.
fn blocks(path: &Path, open: &str, close: &str, prefix: &str) -> Vec<String> {
    let text = read(path);
    let mut lines = text.lines().map(str::trim_end);
    let mut found = Vec::new();
    while lines.any(|line| line == open) {
        let mut block = String::new();
        loop {
            let line = lines.next().unwrap_or_else(|| panic!("{}: open block", path.display()));
            if line == close {
                break;
            }
            block += line.strip_prefix(prefix).unwrap_or("");
            block += "\n";
        }
        found.push(block);
    }
    found
}

fn assert_compiled(path: &Path, blocks: &[String]) {
    let compiled: Vec<String> = ["c_examples", "tests/c", "tests/cpp", "tests/hosts"]
        .iter()
        .flat_map(|folder| files(folder, &["c", "h", "cpp", "hpp"]))
        .map(|source| format!("\n{}", trimmed(&read(&source))))
        .collect();
    for block in blocks {
        let is_compiled = compiled.iter().any(|source| source.contains(&format!("\n{block}")));
        assert!(is_compiled, "{}: in no example or test:\n{block}", path.display());
    }
}

fn c_blocks(markdown: &Path) -> Vec<String> {
    blocks(markdown, "```c", "```", "")
}

#[test]
fn the_readme_quotes_compiled_code() {
    let readme = in_repository("README.md");
    let quoted = c_blocks(&readme);
    assert!(!quoted.is_empty(), "the README shows no program");
    assert_compiled(&readme, &quoted);
}

/// The links of docs/ are the site's, see tests/manual.rs.
#[test]
fn the_readme_leads_to_files_that_are_there() {
    for document in ["README.md", "CHANGELOG.md"] {
        let text = read(&in_repository(document));
        let links = text.split("](").skip(1).map(|rest| rest.split([')', '#']).next().unwrap());
        for link in links.filter(|link| !link.contains("://")) {
            assert!(in_repository(link).is_file(), "{document}: {link}");
        }
    }
}

#[test]
fn the_documents_quote_compiled_code() {
    let folders = ["docs", "docs/guide"];
    let documents: Vec<PathBuf> = folders.iter().flat_map(|folder| files(folder, &["md"])).collect();
    assert!(!documents.is_empty());
    documents.iter().for_each(|document| assert_compiled(document, &c_blocks(document)));
}

#[test]
fn the_header_quotes_compiled_code() {
    let header = in_repository("include/evloop.h");
    let quoted = blocks(&header, " * ~~~c", " * ~~~", " * ");
    assert!(!quoted.is_empty(), "the header shows no program");
    assert_compiled(&header, &quoted);
}
