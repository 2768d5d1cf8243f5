//! Where a function is used: the shortest function of a compiled program that calls it.

use std::fs;
use std::path::Path;

/// A function in a program, with the comment above it.
pub struct Example {
    pub file: String,
    pub code: String,
}

pub struct Examples(Vec<Example>);

/// In this order: what was written to be copied comes first.
const FOLDERS: [&str; 2] = ["c_examples", "tests/c"];

impl Examples {
    pub fn read(sources: &Path) -> Examples {
        let mut found = Vec::new();
        for folder in FOLDERS {
            for file in programs(sources, folder) {
                let text = super::read(sources, &file);
                let functions = functions(&text);
                found.extend(functions.into_iter().map(|code| Example { file: file.clone(), code }));
            }
        }
        Examples(found)
    }

    /// The shortest one that calls this function; one of a program to start from, if there is any.
    pub fn of(&self, function: &str) -> Option<&Example> {
        let uses = self.0.iter().filter(|example| calls(&example.code, function));
        uses.min_by_key(|example| {
            let folder = FOLDERS.iter().position(|folder| example.file.starts_with(folder));
            (folder, example.code.lines().count())
        })
    }
}

/// The names of the folder's C programs, in their order.
pub fn programs(sources: &Path, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(sources.join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let names = entries.map(|entry| entry.expect("a folder can be read").file_name());
    let names = names.map(|name| name.into_string().expect("names are plain"));
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".c")).collect();
    names.sort();
    names.iter().map(|name| format!("{folder}/{name}")).collect()
}

/// The function definitions: from a line that begins one, with the comment above it, to the next
/// brace that begins a line.
fn functions(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    let mut after = 0;
    for (number, line) in lines.iter().enumerate() {
        let begins =
            line.starts_with(|c: char| c.is_ascii_alphabetic()) && line.contains('(') && line.ends_with('{');
        if number < after || !begins || line.contains('=') {
            continue;
        }
        let end = lines[number..].iter().position(|line| line.starts_with('}'));
        after = number + 1 + end.expect("a function ends with a brace");
        let above = lines[..number].iter().rev().take_while(|line| is_comment(line)).count();
        found.push(lines[number - above..after].join("\n") + "\n");
    }
    found
}

fn is_comment(line: &str) -> bool {
    line.starts_with("//") || line.starts_with("/*") || line.starts_with(" *")
}

fn calls(code: &str, function: &str) -> bool {
    let code = code.lines().filter(|line| !is_comment(line));
    code.flat_map(|line| line.match_indices(function).map(move |(place, _)| (line, place))).any(
        |(line, place)| {
            let is_inside = line[..place].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
            !is_inside && line[place + function.len()..].starts_with('(')
        },
    )
}
