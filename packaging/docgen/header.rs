//! The header as its readers see it: a prologue, then sections, each with an introduction and
//! its types, constants and functions in the order of the file.
//!
//! It reads what tests/header_is_current.rs writes, not C in general: comments begin a line, a
//! documented declaration stands under its comment, and a section under a line of dashes.

pub struct Header {
    pub prologue: String,
    pub sections: Vec<Section>,
}

/// As long as the header's prologue does not name them.
const USUAL_ERRORS: &str = "LOOP_ENULL LOOP_EWRONGTHREAD LOOP_EFORKED LOOP_ECLOSED LOOP_EPANIC";

pub struct Section {
    pub title: String,
    pub intro: String,
    pub items: Vec<Item>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Type,
    Constant,
    Function,
}

pub struct Item {
    pub kind: Kind,
    pub name: String,
    /// As it stands in the header, without the comments inside a struct.
    pub declaration: String,
    pub doc: String,
    /// Of a struct: each field's declaration and comment.
    pub fields: Vec<(String, String)>,
}

impl Header {
    pub fn parse(text: &str) -> Header {
        let mut lines = text.lines();
        let mut prologue = None;
        let mut loose = Vec::new(); // what stands before the first section
        let mut sections: Vec<Section> = Vec::new();
        while let Some(line) = lines.next() {
            if !line.starts_with("/*") {
                continue;
            }
            let comment = comment(line, &mut lines);
            if prologue.is_none() {
                prologue = Some(comment);
            } else if let Some(rest) = comment.strip_prefix("---- ") {
                let (title, intro) = rest.split_once('\n').expect("a section has an introduction");
                let title = title.trim_end_matches('-').trim_end().to_owned();
                sections.push(Section { title, intro: intro.trim_start().to_owned(), items: Vec::new() });
            } else if let Some(first) = lines.next().filter(|line| !line.is_empty()) {
                let item = item(comment, first, &mut lines);
                sections.last_mut().map_or(&mut loose, |section| &mut section.items).push(item);
            }
        }
        let first = sections.first_mut().expect("the header has sections");
        first.items.splice(0..0, loose);
        Header { prologue: prologue.expect("the header has a prologue"), sections }
    }

    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.sections.iter().flat_map(|section| &section.items)
    }

    pub fn find(&self, name: &str) -> Option<&Item> {
        self.items().find(|item| item.name == name)
    }

    /// The codes that nearly every function may return, in the order of their definition. They are
    /// explained in one place. The header's prologue may name them, under this heading.
    pub fn usual_errors(&self) -> Vec<&Item> {
        let paragraph = self.prologue.split_once("\nThe usual errors\n\n").map(|(_, rest)| rest);
        let named = paragraph.and_then(|rest| rest.split("\n\n").next()).unwrap_or(USUAL_ERRORS);
        let is_named = |item: &&Item| words(named).any(|word| word == item.name);
        self.items().filter(|item| item.kind == Kind::Constant).filter(is_named).collect()
    }

    pub fn is_function(&self, name: &str) -> bool {
        self.find(name).is_some_and(|item| item.kind == Kind::Function)
    }
}

impl Item {
    /// The names of the header that its declaration uses, without its own.
    pub fn uses<'a>(&'a self, header: &'a Header) -> impl Iterator<Item = &'a Item> {
        words(&self.declaration)
            .filter(|word| *word != self.name)
            .filter_map(|word| header.find(word))
            .filter(|item| item.kind == Kind::Type)
    }
}

/// The text of a comment whose first line this is, without its stars.
fn comment<'a>(first: &str, lines: &mut impl Iterator<Item = &'a str>) -> String {
    let start = first.trim_start().trim_start_matches("/*").trim_start_matches('*').trim_start();
    if let Some(only) = start.strip_suffix("*/") {
        return only.trim_end().to_owned();
    }
    let mut text = String::from(start);
    for line in lines {
        let line = line.trim_start();
        if line == "*/" {
            break;
        }
        let line = line.strip_prefix('*').unwrap_or(line);
        text.push_str(line.strip_prefix(' ').unwrap_or(line));
        text.push('\n');
    }
    text.trim_matches('\n').to_owned()
}

/// The declaration under a comment.
fn item<'a>(doc: String, first: &'a str, lines: &mut impl Iterator<Item = &'a str>) -> Item {
    let mut item =
        Item { kind: Kind::Function, name: String::new(), declaration: String::new(), doc, fields: vec![] };
    if let Some(rest) = first.strip_prefix("#define ") {
        item.kind = Kind::Constant;
        item.name = words(rest).next().expect("a constant has a name").to_owned();
        item.declaration = first.to_owned();
        return item;
    }
    let is_struct = first.ends_with('{');
    let mut line = first;
    loop {
        if line.trim_start().starts_with("/*") {
            let about = comment(line, lines);
            let field = lines.next().expect("a field stands under its comment");
            item.fields.push((field.trim().trim_end_matches(';').to_owned(), about));
            line = field;
        }
        item.declaration.push_str(line);
        item.declaration.push('\n');
        let is_end = line.ends_with(';') && (!is_struct || line.starts_with('}'));
        match lines.next() {
            Some(next) if !is_end => line = next,
            _ => break,
        }
    }
    item.declaration = item.declaration.trim_end().to_owned();
    if item.declaration.starts_with("typedef") {
        item.kind = Kind::Type;
    }
    item.name = declared_name(&item.declaration).to_owned();
    item
}

fn declared_name(declaration: &str) -> &str {
    let name = match declaration.split_once("(*") {
        Some((_, callback)) => words(callback).next(),
        None if declaration.starts_with("typedef") => words(declaration).last(),
        None => declaration.split('(').next().and_then(|head| words(head).last()),
    };
    name.expect("a declaration has a name")
}

/// The identifiers in a text.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}
