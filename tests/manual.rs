//! The man pages and the documentation site: everything is there, and every reference leads somewhere.

/// The generator, so that its parts can be tested, and lints see it.
#[path = "../packaging/docgen/main.rs"]
#[allow(dead_code, reason = "its main function is not called here")]
mod docgen;
mod harness;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use harness::installed::{command, make, must, prefix};
use harness::{in_repository, is_absent, library, read};

fn man() -> PathBuf {
    prefix().join("share/man")
}

/// Text between `open` and the next `close`, each time.
fn between<'a>(text: &'a str, open: &'a str, close: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(open).skip(1).map(move |rest| rest.split(close).next().unwrap())
}

fn pages(section: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(man().join(section)).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn the_header_is_understood() {
    let header = docgen::header::Header::parse(&read(&in_repository("include/evloop.h")));
    assert!(header.prologue.starts_with("evloop.h - ") && header.prologue.contains("\nOne turn\n"));
    assert_eq!(header.sections.len(), evloop::ffi::SECTIONS.len());
    let every = header.find("loop_call_every").unwrap();
    assert!(every.declaration.starts_with("loop_handle_t loop_call_every(loop_t *loop,\n"));
    assert!(every.doc.starts_with("Runs a callback every `interval_ns`, for the first time"));
    let uses: Vec<&str> = every.uses(&header).map(|item| item.name.as_str()).collect();
    assert_eq!(uses, ["loop_handle_t", "loop_t", "loop_tick_cb"]);
    let options = header.find("loop_options_t").unwrap();
    assert_eq!(options.fields[0], ("uint32_t size".into(), "sizeof(loop_options_t)".into()));
    assert_eq!(header.find("LOOP_WRITABLE").unwrap().declaration, "#define LOOP_WRITABLE 2");
}

#[test]
fn prose_is_cut_into_pieces() {
    use docgen::text::{Block, Piece, blocks, pieces, summary};
    let found = blocks("Time\n\nTwo\nlines.\n\n    a  b  c\n    d  e  f\n\n  wake  ends\n        a wait\n");
    let (heading, fixed) = (Block::Heading("Time".into()), Block::Fixed("a  b  c\nd  e  f\n".into()));
    let terms = Block::Terms(vec![("wake".into(), "ends a wait".into())]);
    assert_eq!(found, [heading, Block::Paragraph("Two lines.".into()), fixed, terms]);
    assert_eq!(summary("Ends a source: at once.\n\nMore."), "Ends a source");
    let cut = pieces("A *source* of loop_t is `free`.", &|word| word == "loop_t");
    let expected = [
        Piece::Plain("A "),
        Piece::Term("source"),
        Piece::Plain(" of "),
        Piece::Name("loop_t"),
        Piece::Plain(" is "),
        Piece::Code("free"),
        Piece::Plain("."),
    ];
    assert_eq!(cut, expected);
}

#[test]
fn every_function_has_a_page_with_an_example() {
    let exported = must(command("nm").args(["-D", "--defined-only"]).arg(library()));
    let functions = exported.lines().map(|line| line.split_whitespace().last().unwrap());
    for function in functions {
        let page = read(&man().join(format!("man3/{function}.3")));
        for title in ["NAME", "SYNOPSIS", "DESCRIPTION", "EXAMPLE", "SEE ALSO"] {
            assert!(page.contains(&format!(".SH {title}\n")), "{function}(3) has no {title}");
        }
        let example = between(&page, ".SH EXAMPLE\n", ".SH").next().unwrap();
        assert!(example.contains(&format!("{function}(")), "{function}(3): {example}");
    }
}

#[test]
fn pages_refer_to_pages() {
    let known: BTreeSet<String> =
        ["man3", "man7"].iter().flat_map(|section| pages(section)).map(|page| name(&page)).collect();
    assert!(known.contains("loop_cb.3") && known.contains("loop_options_t.3"), "types have pages too");
    for page in pages("man3").iter().chain(&pages("man7")) {
        let text = read(page);
        let bold =
            between(&text, "\\fB", "\n").filter_map(|rest| rest.split_once("\\fR(3)").map(|(name, _)| name));
        let see_also = between(&text, "\n.BR ", " (").filter(|name| *name != "epoll");
        for name in bold.chain(see_also).filter(|name| !name.contains('\\')) {
            assert!(known.contains(&format!("{name}.3")), "{}: {name}(3)", page.display());
        }
        for target in between(&text, ".so ", "\n") {
            assert!(man().join(target).exists(), "{}: {target}", page.display());
        }
    }
}

fn name(page: &Path) -> String {
    page.file_name().unwrap().to_string_lossy().into_owned()
}

#[test]
fn pages_are_set_without_a_warning() {
    if is_absent("groff", "groff") || is_absent("man", "man-db") {
        return;
    }
    for page in pages("man3").iter().chain(&pages("man7")) {
        let mut groff = command("groff");
        groff.args(["-man", "-ww", "-Tutf8", "-P-c"]).arg(page).current_dir(man());
        let output = groff.output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{}", page.display());
    }
    for asked in ["loop_call_later", "loop_fd_cb"] {
        let mut show = command("man");
        show.env("MANWIDTH", "80").arg("-M").arg(man()).arg("3").arg(asked);
        assert!(must(&mut show).contains("SEE ALSO"), "{asked}");
    }
}

#[test]
fn every_document_is_in_the_table_of_contents() {
    let contents = read(&in_repository("docs/SUMMARY.md"));
    for folder in ["", "guide/", "bench/"] {
        for document in harness::files(&format!("docs/{folder}"), &["md"]) {
            let link = format!("({folder}{})", name(&document));
            assert!(link == "(SUMMARY.md)" || contents.contains(&link), "docs/SUMMARY.md has no {link}");
        }
    }
}

/// The codes that nearly every function may return are explained in one place, and not on each page.
#[test]
fn the_usual_errors_are_explained_once() {
    let header = docgen::header::Header::parse(&read(&in_repository("include/evloop.h")));
    let usual: Vec<&str> = header.usual_errors().into_iter().map(|code| code.name.as_str()).collect();
    assert!(usual.len() >= 5 && usual.contains(&"LOOP_EFORKED"), "{usual:?}");
    let overview = read(&man().join("man7/evloop.7"));
    for code in usual {
        let explained = format!(".TP\n\\fB{code}\\fR");
        assert!(overview.contains(&explained), "evloop(7): {code}");
        for function in header.items().filter(|item| header.is_function(&item.name)) {
            let page = read(&man().join(format!("man3/{}.3", function.name)));
            assert!(!page.contains(&explained), "{}(3): {code}", function.name);
        }
    }
}

/// Each function ends with the thread that may call it, and begins with what it does.
#[test]
fn every_function_says_which_thread_may_call_it() {
    let header = docgen::header::Header::parse(&read(&in_repository("include/evloop.h")));
    for function in header.items().filter(|item| header.is_function(&item.name)) {
        let (text, threads) = docgen::text::threads(&function.doc);
        assert!(
            threads.as_ref().is_some_and(|threads| threads.ends_with('.')),
            "{}: {threads:?}",
            function.name
        );
        assert!(text.contains("eturns "), "{} does not say what it returns", function.name);
        let page = read(&man().join(format!("man3/{}.3", function.name)));
        assert!(page.contains(".SH THREADS\n"), "{}", function.name);
    }
}

/// Whoever comes from another loop finds everything there is, as an equivalent or as something new.
#[test]
fn the_porting_pages_name_every_function() {
    let header = docgen::header::Header::parse(&read(&in_repository("include/evloop.h")));
    for page in ["libuv", "libev"] {
        let text = read(&in_repository(&format!("docs/guide/{page}.md")));
        let named: BTreeSet<&str> = docgen::header::words(&text).collect();
        let functions = header.items().filter(|item| header.is_function(&item.name));
        let missing: Vec<&str> =
            functions.map(|item| &*item.name).filter(|name| !named.contains(name)).collect();
        assert!(missing.is_empty(), "{page}.md does not name {missing:?}");
    }
}

/// mdBook, as `make mdbook` or the user has installed it.
fn is_mdbook_absent() -> bool {
    let ours = in_repository("target/tools/bin/mdbook");
    !ours.exists() && is_absent("mdbook", "make mdbook")
}

/// The file that a link leads to, and the place in it.
fn target(page: &Path, link: &str) -> (PathBuf, String) {
    let (file, place) = link.split_once('#').unwrap_or((link, ""));
    let path = if file.is_empty() { page.to_owned() } else { page.parent().unwrap().join(file) };
    (path, place.to_owned())
}

#[test]
fn every_link_of_the_site_leads_somewhere() {
    if is_mdbook_absent() {
        return;
    }
    make(&["docs"]);
    let site = in_repository("docs/site");
    let found = must(command("find").arg(&site).args(["-name", "*.html"]));
    let pages: Vec<PathBuf> = found.lines().map(PathBuf::from).collect();
    assert!(pages.len() > 40, "{pages:?}");
    let mut links = 0;
    for page in pages.iter().filter(|page| !page.ends_with("404.html") && !page.ends_with("print.html")) {
        let text = read(page);
        let is_of_a_chapter = !page.ends_with("toc.html");
        assert!(!is_of_a_chapter || text.contains("<footer class=\"origin\">evloop "), "{}", page.display());
        for link in between(&text, "href=\"", "\"").chain(between(&text, "src=\"", "\"")) {
            if link.contains("://") || link.is_empty() {
                continue;
            }
            links += 1;
            let (file, place) = target(page, link);
            assert!(file.exists(), "{}: {link}", page.display());
            let is_there = place.is_empty() || read(&file).contains(&format!("id=\"{place}\""));
            assert!(is_there, "{}: {link}", page.display());
        }
    }
    assert!(links > 1000, "only {links} links");
}

/// Nothing is loaded from elsewhere: the site works from a disk and in a closed network.
#[test]
fn the_site_stands_alone() {
    if is_mdbook_absent() {
        return;
    }
    make(&["docs"]);
    let site = in_repository("docs/site");
    for page in ["index.html", "reference/callbacks.html", "guide/libuv.html"] {
        let text = read(&site.join(page));
        let mut loaded = between(&text, "src=\"", "\"").chain(between(&text, "<link ", ">"));
        let foreign = loaded.find(|address| address.contains("://"));
        assert_eq!(foreign, None, "{page}");
    }
}
