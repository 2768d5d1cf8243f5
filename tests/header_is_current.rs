//! `include/evloop.h` is made from `src/ffi`: the prologue, then a section a file, in the
//! order of `ffi::SECTIONS`. This test compares; `make header` (EVLOOP_BLESS=1) writes.

use std::fmt::Write;
use std::path::Path;

fn section(root: &Path, file: &str, title: &str) -> String {
    let path = root.join(format!("src/ffi/{file}.rs"));
    let source = std::fs::read_to_string(&path).expect("the section's file is there");
    let mut text = format!("\n/*\n * ---- {title} {}\n *\n", "-".repeat(88 - title.len()));
    // A fence tells rustdoc that a table is no Rust; in C the indentation says it.
    let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    for line in lines.filter(|line| !line.starts_with(" ```")) {
        writeln!(text, " *{}", line.trim_end()).unwrap();
    }
    text.push_str(" */\n\n");
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml is right");
    let mut bytes = Vec::new();
    let bindings = cbindgen::Builder::new().with_config(config).with_src(path).generate();
    bindings.expect("cbindgen understands the section").write(&mut bytes);
    let body = String::from_utf8(bytes).expect("C is ASCII");
    for line in body.trim_start_matches('\n').lines() {
        // A cast is how cbindgen is told of a width; C has a macro for it, and #if understands that.
        match line.strip_prefix("#define ").and_then(|rest| rest.split_once(" (uint64_t)")) {
            Some((name, number)) => writeln!(text, "#define {name} UINT64_C({number})").unwrap(),
            None => writeln!(text, "{line}").unwrap(),
        }
    }
    text
}

fn header() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut text = std::fs::read_to_string(root.join("src/ffi/prologue.h")).expect("the prologue is there");
    for (file, title) in evloop::ffi::SECTIONS {
        text.push_str(&section(root, file, title));
    }
    text.push_str("\n#ifdef __cplusplus\n} /* extern \"C\" */\n#endif\n\n#endif /* EVLOOP_H */\n");
    text
}

#[test]
fn the_header_is_what_the_source_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/evloop.h");
    let made = header();
    if std::env::var_os("EVLOOP_BLESS").is_some() {
        std::fs::write(&path, &made).expect("include/ can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = made.lines().zip(committed.lines()).find(|(made, committed)| made != committed);
    assert_eq!(differs, None, "include/evloop.h is not current: run `make header`");
    assert_eq!(made.len(), committed.len(), "include/evloop.h is not current: run `make header`");
}

#[test]
fn the_sections_are_the_files_in_the_order_of_the_modules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = std::fs::read_to_string(root.join("src/ffi.rs")).unwrap();
    let modules = source.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let sections: Vec<&str> = evloop::ffi::SECTIONS.iter().map(|(file, _)| *file).collect();
    assert_eq!(modules.collect::<Vec<_>>(), sections);
}
