//! Man pages: one in section 3 for each function, `evloop(3)` that lists all there is, and
//! `evloop(7)`, the header's prologue. A type's name leads to the first function that takes it.

use super::examples::{Example, Examples};
use super::header::{Header, Item, Kind, Section};
use super::text::{Block, Piece, blocks, pieces, summary, threads};
use std::fmt::Write;
use std::path::Path;

/// All pages, by the names of their files.
pub fn pages(sources: &Path) -> Vec<(String, String)> {
    let manual = Manual {
        header: Header::parse(&super::read(sources, "include/evloop.h")),
        examples: Examples::read(sources),
        version: super::manifest(sources, "version"),
    };
    let mut pages = vec![
        ("man3/evloop.3".to_owned(), manual.index(&super::read(sources, "c_examples/first.c"))),
        ("man7/evloop.7".to_owned(), manual.overview()),
    ];
    for section in &manual.header.sections {
        for item in section.items.iter().filter(|item| item.kind == Kind::Function) {
            pages.push((format!("man3/{}.3", item.name), manual.function(section, item)));
        }
    }
    for item in manual.header.items().filter(|item| item.kind == Kind::Type) {
        let user = manual.header.items().find(|user| {
            user.kind == Kind::Function && user.uses(&manual.header).any(|used| used.name == item.name)
        });
        let user = user.unwrap_or_else(|| panic!("no function uses {}", item.name));
        pages.push((format!("man3/{}.3", item.name), format!(".so man3/{}.3\n", user.name)));
    }
    pages
}

struct Manual {
    header: Header,
    examples: Examples,
    version: String,
}

impl Manual {
    fn page(&self, name: &str, section: u8, about: &str) -> String {
        let title = format!(".TH {name} {section} \"\" \"evloop {}\" \"evloop manual\"\n", self.version);
        // Neither hyphens in names nor gaps between words.
        format!("{title}.nh\n.ad l\n.SH NAME\n{} \\- {}\n", escaped(name), escaped(about))
    }

    fn function(&self, section: &Section, item: &Item) -> String {
        let mut page = self.page(&item.name, 3, &lower(&summary(&item.doc)));
        page +=
            ".SH LIBRARY\nevloop (libevloop, \\-levloop)\n.SH SYNOPSIS\n.nf\n.B #include <evloop.h>\n.PP\n";
        for used in self.types_of(item) {
            page += &format!("{}\n.PP\n", code(&used.declaration));
        }
        page += &format!(
            "{}\n.fi\n.SH DESCRIPTION\n",
            code(&item.declaration).replace(&item.name, &bold(&item.name))
        );
        let (text, threads) = threads(&item.doc);
        let mut description = blocks(&text);
        let summary = description.remove(0); // also if it is about the result
        let (returns, mut description): (Vec<_>, Vec<_>) =
            description.into_iter().partition(is_about_the_result);
        description.insert(0, summary);
        self.write(&mut page, &item.name, &description);
        if !returns.is_empty() {
            page += ".SH RETURN VALUE\n";
            self.write(&mut page, &item.name, &returns);
        }
        if let Some(threads) = threads {
            page += ".SH THREADS\n";
            self.write(&mut page, &item.name, &blocks(&threads));
        }
        self.write_types(&mut page, item);
        if takes_constants(item) {
            let is_error = |name: &str| name.starts_with("LOOP_E") && section.title.starts_with("Errors");
            let constants =
                section.items.iter().filter(|item| item.kind == Kind::Constant && !is_error(&item.name));
            self.write_list(&mut page, "CONSTANTS", &constants.collect::<Vec<_>>());
        }
        self.write_errors(&mut page, section, item);
        page += &format!(".SH {}\n", section.title.to_uppercase());
        self.write(&mut page, &item.name, &blocks(&section.intro));
        let example = self.examples.of(&item.name);
        write_example(&mut page, example.unwrap_or_else(|| panic!("no example calls {}", item.name)));
        self.write_see_also(&mut page, section, item);
        page
    }

    fn index(&self, example: &str) -> String {
        let mut page = self.page("evloop", 3, "the functions of the event loop, in the order of the header");
        page += ".SH SYNOPSIS\n.nf\n.B #include <evloop.h>\n.PP\ncc program.c $(pkg\\-config \\-\\-cflags \\-\\-libs evloop)\n.fi\n";
        page += ".SH DESCRIPTION\nWhat a loop is and what it promises is in\n.BR evloop (7).\n";
        for section in &self.header.sections {
            writeln!(page, ".SS {}", section.title).unwrap();
            self.write(&mut page, "", &blocks(&section.intro));
            for item in &section.items {
                page += ".TP\n";
                page += &match item.kind {
                    Kind::Constant => format!("{}\n", bold(&item.name)),
                    _ => format!(".BR {} (3)\n", item.name),
                };
                writeln!(page, "{}", self.inline(&summary(&item.doc), "")).unwrap();
            }
        }
        page += ".SH EXAMPLE\n";
        page += &fixed(example);
        page += ".SH SEE ALSO\n.BR evloop (7)\n";
        page
    }

    fn overview(&self) -> String {
        let mut prologue = blocks(&self.header.prologue);
        let Block::Paragraph(first) = prologue.remove(0) else { panic!("the prologue begins with a line") };
        let (_, about) = first.split_once(" - ").expect("the prologue's first line is NAME - WHAT");
        let mut page = self.page("evloop", 7, about);
        page += ".SH SYNOPSIS\n.nf\n.B #include <evloop.h>\n.fi\n.SH DESCRIPTION\n";
        self.write(&mut page, "", &prologue);
        page += ".SH SEE ALSO\n.BR evloop (3),\n.BR epoll (7)\n";
        page
    }

    fn write(&self, page: &mut String, own: &str, blocks: &[Block]) {
        for (number, block) in blocks.iter().enumerate() {
            let is_after_title = number == 0 || matches!(blocks[number - 1], Block::Heading(_));
            match block {
                Block::Heading(title) => *page += &format!(".SH {}\n", title.to_uppercase()),
                Block::Paragraph(text) => {
                    *page += if is_after_title { "" } else { ".PP\n" };
                    *page += &format!("{}\n", self.inline(text, own));
                }
                Block::Terms(terms) => {
                    for (term, about) in terms {
                        *page += &format!(".TP\n{}\n{}\n", bold(term), self.inline(about, own));
                    }
                }
                Block::Fixed(text) | Block::Code(text) => {
                    *page += if is_after_title { "" } else { ".PP\n" };
                    *page += &fixed(text);
                }
            }
        }
    }

    /// What stands under a term, in several paragraphs perhaps.
    fn write_indented(&self, page: &mut String, doc: &str) {
        let mut text = String::new();
        self.write(&mut text, "", &blocks(doc));
        *page += &text.replace("\n.PP\n", "\n.IP\n");
    }

    fn write_list(&self, page: &mut String, title: &str, items: &[&Item]) {
        if !items.is_empty() {
            *page += &format!(".SH {title}\n");
        }
        for item in items {
            let value = item.declaration.rsplit(' ').next().unwrap_or_default();
            *page += &format!(".TP\n{} {}\n", bold(&item.name), escaped(&format!("({value})")));
            self.write_indented(page, &item.doc);
        }
    }

    fn write_types(&self, page: &mut String, item: &Item) {
        for (number, used) in self.types_of(item).into_iter().enumerate() {
            *page += if number == 0 { ".SH TYPES\n" } else { "" };
            *page += &format!(".TP\n{}\n", bold(&used.name));
            self.write_indented(page, &used.doc);
            if !used.fields.is_empty() {
                *page += ".RS\n";
                for (field, about) in &used.fields {
                    *page += &format!(".TP\n.B {}\n", code(field));
                    self.write(page, "", &blocks(about));
                }
                *page += ".RE\n";
            }
        }
    }

    /// The types of its parameters, but for the loop's own.
    fn types_of<'a>(&'a self, item: &'a Item) -> Vec<&'a Item> {
        let mut types: Vec<&Item> = Vec::new();
        for used in item.uses(&self.header).filter(|used| used.name != "loop_t") {
            if !types.iter().any(|known| known.name == used.name) {
                types.push(used);
            }
        }
        types
    }

    /// Its own codes; for the usual ones the page refers to evloop(7).
    fn write_errors(&self, page: &mut String, section: &Section, item: &Item) {
        let usual = self.header.usual_errors();
        let is_usual = |item: &&Item| usual.iter().any(|code| code.name == item.name);
        let (named, own): (Vec<_>, Vec<_>) = self.errors_of(section, item).into_iter().partition(is_usual);
        self.write_list(page, "ERRORS", &own);
        if !named.is_empty() || item.doc.replace('\n', " ").contains("usual errors") {
            *page += if own.is_empty() { ".SH ERRORS\n" } else { ".PP\n" };
            *page += "The usual errors are explained in\n.BR evloop (7).\n";
        }
    }

    /// The library's codes that its text or its section's introduction names.
    fn errors_of(&self, section: &Section, item: &Item) -> Vec<&Item> {
        let text = format!("{} {}", item.doc, section.intro);
        let is_named = |code: &&Item| super::header::words(&text).any(|word| word == code.name);
        let codes = self.header.items().filter(|code| code.declaration.contains(" -20"));
        codes.filter(is_named).collect()
    }

    fn write_see_also(&self, page: &mut String, section: &Section, item: &Item) {
        let named = super::header::words(&item.doc).filter(|word| self.header.is_function(word));
        let siblings = section.items.iter().filter(|item| item.kind == Kind::Function);
        let mut names: Vec<&str> = named.chain(siblings.map(|item| item.name.as_str())).collect();
        names.sort_unstable();
        names.dedup();
        names.retain(|name| *name != item.name);
        *page += ".SH SEE ALSO\n";
        names.iter().for_each(|name| *page += &format!(".BR {name} (3),\n"));
        *page += ".BR evloop (3),\n.BR evloop (7)\n";
    }

    /// A paragraph with its names set off; functions get their section, but for the page's own.
    fn inline(&self, text: &str, own: &str) -> String {
        let is_name = |word: &str| self.header.find(word).is_some();
        let set = pieces(text, &is_name).into_iter().map(|piece| match piece {
            Piece::Plain(text) => escaped(text),
            Piece::Name(name) if name != own && self.header.is_function(name) => format!("{}(3)", bold(name)),
            Piece::Name(name) => bold(name),
            Piece::Code(text) => format!("\\fI{}\\fR", code(text)),
            Piece::Term(word) => format!("\\fI{word}\\fR"),
        });
        let text: String = set.collect();
        // A line that begins with a point or a quote would be a request.
        if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
    }
}

fn is_about_the_result(block: &Block) -> bool {
    matches!(block, Block::Paragraph(text) if text.starts_with("Returns "))
}

/// Does it take flags or a struct, so that its section's constants belong on its page?
fn takes_constants(item: &Item) -> bool {
    item.declaration.contains("uint32_t ") && !item.declaration.starts_with("uint32_t")
        || item.declaration.contains("struct ")
}

fn write_example(page: &mut String, example: &Example) {
    *page +=
        &format!(".SH EXAMPLE\nFrom {}, which is compiled and run by the tests:\n", escaped(&example.file));
    *page += ".PP\n";
    *page += &fixed(&example.code);
}

fn lower(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().into_iter().flat_map(char::to_lowercase);
    first.chain(letters).collect()
}

fn bold(name: &str) -> String {
    format!("\\fB{name}\\fR")
}

fn fixed(text: &str) -> String {
    let lines = text.lines().map(|line| match code(line) {
        line if line.starts_with(['.', '\'']) => format!("\\&{line}\n"),
        line => format!("{line}\n"),
    });
    format!(".RS 4\n.nf\n{}.fi\n.RE\n", lines.collect::<String>())
}

/// Prose: a hyphen between letters is a hyphen, every other one is what a programmer types.
fn escaped(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let mut out = String::new();
    for (place, letter) in letters.iter().enumerate() {
        let is_letter =
            |place: Option<usize>| place.and_then(|p| letters.get(p)).is_some_and(|c| c.is_alphabetic());
        match letter {
            '\\' => out += "\\e",
            '-' if !(is_letter(place.checked_sub(1)) && is_letter(Some(place + 1))) => out += "\\-",
            letter => out.push(*letter),
        }
    }
    out
}

fn code(text: &str) -> String {
    text.replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('\'', "\\(aq")
        .replace('`', "\\(ga")
        .replace('^', "\\(ha")
        .replace('~', "\\(ti")
}
