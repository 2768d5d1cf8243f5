//! The chapters of the documentation site, as Markdown: the reference of the header, a page for
//! each example, and the files of docs/, in which names of the header become links.

use super::examples::{Examples, programs};
use super::header::{Header, Item, Kind, Section, words};
use super::text::{Block, Piece, blocks, pieces, summary};
use std::path::Path;

/// All chapters and the table of contents, by the names of their files.
pub fn chapters(sources: &Path) -> Vec<(String, String)> {
    let site = Site {
        header: Header::parse(&super::read(sources, "include/evloop.h")),
        examples: Examples::read(sources),
        version: super::manifest(sources, "version"),
        repository: super::manifest(sources, "repository"),
    };
    let mut chapters = Vec::new();
    let mut add = |page: String, text: String, source: &str| {
        chapters.push((page, text + &site.footer(source)));
    };
    add("reference/index.md".to_owned(), site.overview(), HEADER);
    for section in &site.header.sections {
        add(format!("reference/{}.md", slug(&section.title)), site.section(section), HEADER);
    }
    add("reference/names.md".to_owned(), site.names(), HEADER);
    for file in programs(sources, "c_examples") {
        let code = super::read(sources, &file);
        add(format!("{}.md", page_of(&file)), format!("# {}\n\n```c\n{code}```\n", name_of(&file)), &file);
    }
    let groups = groups(sources);
    for file in documents(sources).into_iter().filter(|file| file != "SUMMARY.md") {
        let up = if file.contains('/') { "../" } else { "" };
        let source = format!("docs/{file}");
        let mut text = super::read(sources, &source);
        for group in groups.iter().filter(|_| file == EXAMPLES) {
            text = text.replace(&group.line, &described(sources, group));
        }
        add(file, site.linked(&text, up), &source);
    }
    let contents = super::read(sources, "docs/SUMMARY.md");
    let contents = contents
        .replace("<!-- reference -->\n", &site.contents())
        .replace("<!-- examples -->\n", &listed(&groups));
    chapters.push(("SUMMARY.md".to_owned(), contents));
    chapters
}

const HEADER: &str = "include/evloop.h";
const EXAMPLES: &str = "guide/examples.md";

/// Examples for one task: a heading of the page of examples, and the names on the line under it.
struct Group {
    title: String,
    line: String,
    files: Vec<String>,
}

/// All groups. Each example has to be in one.
fn groups(sources: &Path) -> Vec<Group> {
    let page = super::read(sources, &format!("docs/{EXAMPLES}"));
    let mut title = "";
    let mut groups = Vec::new();
    for line in page.lines() {
        title = line.strip_prefix("## ").unwrap_or(title);
        if let Some(names) = line.strip_prefix("<!-- examples: ").and_then(|rest| rest.strip_suffix(" -->")) {
            let files = names.split_whitespace().map(|name| format!("c_examples/{name}.c")).collect();
            groups.push(Group { title: title.to_owned(), line: line.to_owned(), files });
        }
    }
    for file in programs(sources, "c_examples") {
        let count = groups.iter().flat_map(|group| &group.files).filter(|known| **known == file).count();
        assert!(count == 1, "docs/{EXAMPLES} has {file} in {count} groups");
    }
    groups
}

/// The groups in the table of contents.
fn listed(groups: &[Group]) -> String {
    let mut text = String::new();
    for group in groups {
        text += &format!("  - [{}]()\n", group.title);
        for file in &group.files {
            text += &format!("    - [{}]({}.md)\n", name_of(file), page_of(file));
        }
    }
    text
}

/// The list of a group's examples with what each of them says of itself.
fn described(sources: &Path, group: &Group) -> String {
    let about = |file: &String| {
        let code = super::read(sources, file);
        format!("- [{}](../{}.md): {}\n", name_of(file), page_of(file), opening(&code))
    };
    group.files.iter().map(about).collect()
}

/// `c_examples/first.c` is `first.c`.
fn name_of(file: &str) -> &str {
    file.trim_start_matches("c_examples/")
}

/// `c_examples/first.c` has the page `examples/first`.
fn page_of(file: &str) -> String {
    format!("examples/{}", name_of(file).trim_end_matches(".c"))
}

/// The Markdown files of docs/, docs/guide/ and docs/bench/, seen from docs/.
fn documents(sources: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for folder in ["", "guide/", "bench/"] {
        for entry in std::fs::read_dir(sources.join("docs").join(folder)).expect("docs/ can be read") {
            let name = entry.expect("docs/ can be read").file_name().into_string().expect("names are plain");
            if name.ends_with(".md") {
                found.push(format!("{folder}{name}"));
            }
        }
    }
    found.sort();
    found
}

struct Site {
    header: Header,
    examples: Examples,
    version: String,
    repository: String,
}

impl Site {
    /// Stands under each page: what it describes, and where it comes from.
    fn footer(&self, source: &str) -> String {
        format!(
            "\n<footer class=\"origin\">evloop {} · <a href=\"{}/blob/HEAD/{source}\">source of this page: \
             {source}</a></footer>\n",
            self.version, self.repository
        )
    }

    fn contents(&self) -> String {
        let mut contents = String::new();
        for section in &self.header.sections {
            contents += &format!("  - [{}](reference/{}.md)\n", section.title, slug(&section.title));
        }
        contents + "  - [All names](reference/names.md)\n"
    }

    fn overview(&self) -> String {
        let mut prologue = blocks(&self.header.prologue);
        prologue.remove(0);
        let mut page = String::from("# evloop.h\n\nMade from the header, which is the manual.\n\n");
        self.write(&mut page, &prologue);
        page
    }

    fn section(&self, section: &Section) -> String {
        let mut page = format!("# {}\n\n", section.title);
        self.write(&mut page, &blocks(&section.intro));
        if section.items.iter().any(|item| {
            item.declaration.starts_with("int loop_") && item.declaration.contains("loop_t *loop")
        }) {
            page += "Beside the errors that are named here, each of these functions may return one of [the usual errors](index.md#the-usual-errors).\n\n";
        }
        let mut is_in_table = false;
        for item in &section.items {
            if item.kind == Kind::Constant {
                page += if is_in_table { "" } else { "| Constant | Value | |\n|---|---|---|\n" };
                page += &self.constant(item);
            } else {
                page += if is_in_table { "\n" } else { "" };
                page += &format!("## {0} {{#{0}}}\n\n```c\n{1}\n```\n\n", item.name, item.declaration);
                self.write(&mut page, &blocks(&item.doc));
                self.write_fields(&mut page, item);
                self.write_example(&mut page, item);
            }
            is_in_table = item.kind == Kind::Constant;
        }
        page
    }

    fn constant(&self, item: &Item) -> String {
        let value = item.declaration.split_once(&item.name).map_or("", |(_, value)| value.trim());
        let about: Vec<String> = blocks(&item.doc).iter().map(|block| self.paragraph(block)).collect();
        let about = about.join("<br>").replace('|', "\\|");
        let value = if value.len() > 12 { "" } else { value };
        format!("| <span id=\"{0}\">`{0}`</span> | {1} | {2} |\n", item.name, value, about)
    }

    fn write_fields(&self, page: &mut String, item: &Item) {
        if !item.fields.is_empty() {
            *page += "| Field | |\n|---|---|\n";
            for (field, about) in &item.fields {
                let about: Vec<String> = blocks(about).iter().map(|block| self.paragraph(block)).collect();
                *page += &format!("| `{field}` | {} |\n", about.join("<br>").replace('|', "\\|"));
            }
            *page += "\n";
        }
    }

    fn write_example(&self, page: &mut String, item: &Item) {
        if item.kind != Kind::Function {
            return;
        }
        let example =
            self.examples.of(&item.name).unwrap_or_else(|| panic!("no example calls {}", item.name));
        let name = example.file.rsplit('/').next().unwrap_or_default();
        let from = match name.strip_suffix(".c") {
            Some(stem) if example.file.starts_with("c_examples/") => {
                format!("<a href=\"../examples/{stem}.html\">{name}</a>")
            }
            _ => example.file.clone(),
        };
        *page += &format!(
            "<details><summary>Example, from {from}</summary>\n\n```c\n{}```\n\n</details>\n\n",
            example.code
        );
    }

    fn names(&self) -> String {
        let mut names: Vec<&Item> = self.header.items().collect();
        names.sort_by_key(|item| (item.kind == Kind::Constant, item.name.clone()));
        let mut page = String::from("# All names\n\n| Name | |\n|---|---|\n");
        for item in names {
            page +=
                &format!("| {} | {} |\n", self.link(&item.name, ""), summary(&item.doc).replace('|', "\\|"));
        }
        page
    }

    fn write(&self, page: &mut String, blocks: &[Block]) {
        for block in blocks {
            *page += &match block {
                Block::Heading(title) => format!("## {title} {{#{}}}\n\n", slug(title)),
                Block::Terms(terms) => self.terms(terms),
                Block::Fixed(text) => format!("```text\n{text}```\n\n"),
                Block::Code(text) => format!("```c\n{text}```\n\n"),
                Block::Paragraph(_) => format!("{}\n\n", self.paragraph(block)),
            };
        }
    }

    fn terms(&self, terms: &[(String, String)]) -> String {
        let row = |(term, about): &(String, String)| {
            format!("| {} | {} |\n", self.inline(term), self.inline(about).replace('|', "\\|"))
        };
        format!("| | |\n|---|---|\n{}\n", terms.iter().map(row).collect::<String>())
    }

    fn paragraph(&self, block: &Block) -> String {
        match block {
            Block::Paragraph(text) | Block::Heading(text) | Block::Fixed(text) | Block::Code(text) => {
                self.inline(text)
            }
            Block::Terms(terms) => self.terms(terms),
        }
    }

    fn inline(&self, text: &str) -> String {
        let is_name = |word: &str| self.header.find(word).is_some();
        let set = pieces(text, &is_name).into_iter().map(|piece| match piece {
            Piece::Plain(text) => text.replace('<', "&lt;"),
            Piece::Name(name) => self.link(name, ""),
            Piece::Code(text) => format!("`{text}`"),
            Piece::Term(word) => format!("*{word}*"),
        });
        set.collect()
    }

    /// A name as a link to its place in the reference, which is in the folder `base`.
    fn link(&self, name: &str, base: &str) -> String {
        let is_there = |section: &&Section| section.items.iter().any(|item| item.name == name);
        let section = self.header.sections.iter().find(is_there).expect("a name is in a section");
        format!("[`{name}`]({base}{}.md#{name})", slug(&section.title))
    }

    /// A document of docs/: names of the header between backticks become links. `up` leads to the
    /// site's root.
    fn linked(&self, text: &str, up: &str) -> String {
        let mut out = String::new();
        let mut is_code = false;
        for line in text.lines() {
            is_code ^= line.starts_with("```");
            if is_code || line.starts_with('#') || line.starts_with("    ") {
                out += line;
            } else {
                self.link_line(&mut out, line, up);
            }
            out.push('\n');
        }
        out
    }

    fn link_line(&self, out: &mut String, line: &str, up: &str) {
        for (number, part) in line.split('`').enumerate() {
            let is_between = number % 2 == 1;
            let name = words(part).next().filter(|name| part.starts_with(name) && !part.contains(' '));
            match name.filter(|name| is_between && self.header.find(name).is_some()) {
                Some(name) if !out.ends_with('[') => {
                    let link = self.link(name, &format!("{up}reference/"));
                    *out += &link.replacen(&format!("`{name}`"), &format!("`{part}`"), 1);
                }
                _ if is_between => *out += &format!("`{part}`"),
                _ => *out += part,
            }
        }
    }
}

/// What a program says of itself in the first sentence of its first comment, after its name.
fn opening(code: &str) -> String {
    let comment = code.lines().take_while(|line| line.starts_with(['/', ' ']));
    let words =
        comment.flat_map(str::split_whitespace).filter(|word| !["/*", "*", "*/", "//"].contains(word));
    let text = words.collect::<Vec<_>>().join(" ");
    let (_, about) = text.split_once(": ").expect("an example begins with NAME: WHAT");
    format!("{}.", about.split(". ").next().unwrap_or_default().trim_end_matches('.'))
}

fn slug(title: &str) -> String {
    title.to_lowercase().replace(' ', "-")
}
