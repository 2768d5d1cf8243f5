//! What the header declares, for the tests that compare something with all of it.

use super::{in_repository, read};

/// A declared function.
pub struct Function {
    pub name: String,
    /// Its declaration on one line, with single spaces.
    pub prototype: String,
    /// The number of the line (from 0) where its declaration begins.
    pub line: usize,
}

pub fn header() -> String {
    read(&in_repository("include/evloop.h"))
}

/// The text with every comment and preprocessor line blanked out, so that
/// places in it are places in the header.
pub fn bare_code(header: &str) -> String {
    let mut code = String::new();
    let mut rest = header;
    while let Some((before, comment)) = rest.split_once("/*") {
        let (comment, after) = comment.split_once("*/").expect("a comment is not closed");
        code += before;
        code.extend(comment.chars().map(|c| if c == '\n' { c } else { ' ' }));
        code += "    ";
        rest = after;
    }
    code += rest;
    let is_code = |line: &str| !line.starts_with('#') && !line.starts_with("extern \"C\"");
    let blank = |line: &str| " ".repeat(line.len());
    let lines = code.split('\n').map(|l| if is_code(l) { l.to_owned() } else { blank(l) });
    lines.collect::<Vec<_>>().join("\n")
}

/// Every declared function, in the order of the header.
pub fn declared_functions() -> Vec<Function> {
    let code = bare_code(&header());
    let mut functions = Vec::new();
    let mut line = 0;
    for declaration in code.split_inclusive(';') {
        let space = declaration.len() - declaration.trim_start().len();
        let first_line = line + declaration[..space].matches('\n').count();
        line += declaration.matches('\n').count();
        let prototype = declaration.split_whitespace().collect::<Vec<_>>().join(" ");
        if prototype.starts_with("typedef") {
            continue;
        }
        let Some((head, _)) = prototype.split_once('(') else {
            continue;
        };
        let name = head.rsplit([' ', '*']).next().unwrap().to_owned();
        functions.push(Function { name, prototype, line: first_line });
    }
    assert!(functions.len() > 30, "only {} functions", functions.len());
    functions
}

/// The names of the macros, but for the include guard, in the order of the header.
pub fn constants() -> Vec<String> {
    let header = header();
    let defined = header.lines().filter_map(|line| line.strip_prefix("#define "));
    let names = defined.map(|rest| rest.split(' ').next().unwrap().to_owned());
    names.filter(|name| name != "EVLOOP_H").collect()
}
