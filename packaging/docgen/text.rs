//! The header's prose, as paragraphs, tables and code; and the names in it.

#[derive(Debug, PartialEq)]
pub enum Block {
    Heading(String),
    Paragraph(String),
    /// Lines that stay as they are: a table, a picture.
    Fixed(String),
    /// Terms and what they mean: two columns, two spaces or more apart.
    Terms(Vec<(String, String)>),
    Code(String),
}

/// The blocks of a comment. A line alone that ends without a point is a heading.
pub fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with("~~~") {
            let code = lines.by_ref().take_while(|line| *line != "~~~");
            blocks.push(Block::Code(code.map(|line| format!("{line}\n")).collect()));
        } else if !line.trim().is_empty() {
            let mut group = vec![line];
            while let Some(next) = lines.next_if(|next| !next.trim().is_empty()) {
                group.push(next);
            }
            blocks.push(block(&group));
        }
    }
    blocks
}

fn block(group: &[&str]) -> Block {
    let indent = group.iter().map(|line| line.len() - line.trim_start().len()).min().unwrap_or(0);
    if indent >= 2 {
        if let Some(terms) = terms(group, indent) {
            return Block::Terms(terms);
        }
        return Block::Fixed(group.iter().map(|line| format!("{}\n", &line[indent..])).collect());
    }
    let text = group.join(" ");
    let is_heading = group.len() == 1 && text.len() < 40 && !text.ends_with(['.', ':', '?', ')']);
    if is_heading && text.starts_with(char::is_uppercase) {
        Block::Heading(text)
    } else {
        Block::Paragraph(text)
    }
}

/// A table whose lines have a term and, in the second and last column, what it means. A line without a
/// term goes on with the one before.
fn terms(group: &[&str], indent: usize) -> Option<Vec<(String, String)>> {
    let mut terms: Vec<(String, String)> = Vec::new();
    for line in group {
        let line = &line[indent..];
        match (line.starts_with(' '), terms.last_mut()) {
            (true, Some((_, about))) => *about += &format!(" {}", line.trim()),
            _ => {
                let (term, about) = line.split_once("  ")?;
                if about.trim().contains("  ") {
                    return None;
                }
                terms.push((term.to_owned(), about.trim().to_owned()));
            }
        }
    }
    Some(terms)
}

/// What it does, in one line: the beginning of the first sentence, without its point.
pub fn summary(doc: &str) -> String {
    let text = doc.split("\n\n").next().unwrap_or_default().replace('\n', " ").replace('`', "");
    let is_end = |(place, c): &(usize, char)| {
        let after = text[place + c.len_utf8()..].chars().next();
        matches!(c, '.' | ':' | '?') && after.is_none_or(|after| after == ' ')
    };
    let end = text.char_indices().find(is_end);
    let end = end.map_or(text.len(), |(place, c)| if c == '?' { place + 1 } else { place });
    text[..end].to_owned()
}

/// A piece of a paragraph.
#[derive(Debug, PartialEq)]
pub enum Piece<'a> {
    Plain(&'a str),
    /// A name of the header: a function, type or constant.
    Name(&'a str),
    /// What stands between backticks.
    Code(&'a str),
    /// A word between stars: a term where it is explained.
    Term(&'a str),
}

/// Cuts a paragraph into pieces.
pub fn pieces<'a>(text: &'a str, is_name: &dyn Fn(&str) -> bool) -> Vec<Piece<'a>> {
    let mut pieces = Vec::new();
    for (number, part) in text.split('`').enumerate() {
        if number % 2 == 1 {
            pieces.push(if is_name(part) { Piece::Name(part) } else { Piece::Code(part) });
        } else {
            cut_prose(part, is_name, &mut pieces);
        }
    }
    pieces
}

fn cut_prose<'a>(text: &'a str, is_name: &dyn Fn(&str) -> bool, pieces: &mut Vec<Piece<'a>>) {
    let mut plain = 0; // what is before it is cut already
    for word in super::header::words(text) {
        let start = word.as_ptr() as usize - text.as_ptr() as usize;
        let end = start + word.len();
        let is_term = text[..start].ends_with('*') && text[end..].starts_with('*');
        let (from, to, piece) = match is_term {
            true => (start - 1, end + 1, Piece::Term(word)),
            false if is_name(word) => (start, end, Piece::Name(word)),
            false => continue,
        };
        if from > plain {
            pieces.push(Piece::Plain(&text[plain..from]));
        }
        pieces.push(piece);
        plain = to;
    }
    if plain < text.len() {
        pieces.push(Piece::Plain(&text[plain..]));
    }
}

/// A function's text, and the sentence at its end that says which thread may call it.
pub fn threads(doc: &str) -> (String, Option<String>) {
    const BEGINNINGS: [&str; 4] = [" Loop's thread", " Any thread", " Threads: see", " Call it on"];
    let (before, last) = doc.rsplit_once("\n\n").unwrap_or(("", doc));
    let last = last.replace('\n', " ");
    match BEGINNINGS.iter().find_map(|beginning| last.rfind(beginning)) {
        Some(place) => (format!("{before}\n\n{}", &last[..place]), Some(last[place + 1..].to_owned())),
        None => (doc.to_owned(), None),
    }
}
