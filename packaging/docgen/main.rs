//! Makes the manual of what is written elsewhere: man pages and the reference of the site from
//! `include/evloop.h`, with an example in each that stands in a program which the tests compile
//! and run. It needs nothing but rustc: `docgen man FOLDER`, `docgen site FOLDER`, in the root of
//! the sources.

mod examples;
pub mod header;
mod man;
mod site;
pub mod text;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let sources = Path::new(".");
    let (files, folder) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["man", folder] => (man::pages(sources), folder),
        ["site", folder] => (site::chapters(sources), folder),
        _ => {
            eprintln!("usage: docgen man|site FOLDER");
            return ExitCode::from(2);
        }
    };
    for (name, text) in files {
        let path: PathBuf = Path::new(folder).join(name);
        fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("the folder can be made");
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    ExitCode::SUCCESS
}

fn read(sources: &Path, file: &str) -> String {
    let path = sources.join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A field of Cargo.toml: the version, the repository's address.
fn manifest(sources: &Path, field: &str) -> String {
    let manifest = read(sources, "Cargo.toml");
    let begin = format!("{field} = \"");
    let line = manifest.lines().find_map(|line| line.strip_prefix(&begin)?.strip_suffix('"'));
    line.unwrap_or_else(|| panic!("Cargo.toml has a {field}")).to_owned()
}
