//! The binary interface: symbols, prototypes, types, constants and layouts as compilers and the
//! linker see them, compared with `tests/abi/evloop.abi`. Whatever differs, an addition too, has
//! to be blessed with `make abi` and shows in the review. (libabigail's dump of the library is
//! 300 KB of Rust's own types and of the paths on the machine that built it, and knows no macros.)

mod harness;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::mem::{offset_of, size_of};
use std::process::Command;
use std::sync::Mutex;

use evloop::ffi::embedding::LoopEvent;
use evloop::ffi::life::LoopOptions;
use harness::interface::{bare_code, constants, declared_functions, header};
use harness::{assert_committed, in_repository, is_absent, library, output_folder, read, strict, succeed};

/// A field of a public struct: its type and its name.
struct Field {
    kind: String,
    name: String,
}

/// The public structs with their fields, as the header declares them.
fn structs() -> Vec<(String, Vec<Field>)> {
    let code = bare_code(&header());
    let bodies = code.split("typedef struct ").skip(1).filter_map(|rest| {
        let (name, rest) = rest.split_once('{')?;
        let (body, _) = rest.split_once('}')?;
        Some((name.trim(), body)).filter(|(name, _)| !name.contains(';'))
    });
    let field = |line: &str| {
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        let place = line.rfind([' ', '*'])? + 1;
        Some(Field { kind: line[..place].trim_end().to_owned(), name: line[place..].to_owned() })
    };
    let fields = |body: &str| body.split(';').filter_map(field).collect();
    bodies.map(|(name, body)| (name.to_owned(), fields(body))).collect()
}

/// The typedefs other than structs, on one line each.
fn typedefs() -> Vec<String> {
    let code = bare_code(&header());
    let lines = code.split(';').map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    lines
        .filter_map(|line| line.strip_prefix("typedef ").map(str::to_owned))
        .filter(|line| !line.contains('{'))
        .collect()
}

/// A program that prints what only a compiler knows.
fn asking_program() -> String {
    let mut text =
        "#include <evloop.h>\n#include <stddef.h>\n#include <stdio.h>\nint main(void) {\n".to_owned();
    for name in constants() {
        writeln!(text, r#"printf("constant {name} %lld\n", (long long){name});"#).unwrap();
    }
    for (name, fields) in structs() {
        writeln!(text, r#"printf("struct {name} size %zu align %zu\n", sizeof({name}), _Alignof({name}));"#)
            .unwrap();
        for Field { kind, name: field } in fields {
            writeln!(
                text,
                r#"printf("struct {name} at %2zu size %zu {kind} {field}\n",
                    offsetof({name}, {field}), sizeof((({name} *)0)->{field}));"#
            )
            .unwrap();
        }
    }
    text + "return 0;\n}\n"
}

fn numbers(compiler: &str) -> String {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock();
    let source = output_folder().join("abi.c");
    let program = output_folder().join(format!("abi-{compiler}"));
    fs::write(&source, asking_program()).unwrap();
    let mut command = strict(compiler, "c11").unwrap();
    succeed(command.arg(&source).arg("-o").arg(&program)).unwrap_or_else(|error| panic!("{error}"));
    succeed(&mut Command::new(&program)).unwrap_or_else(|error| panic!("{error}"))
}

fn dynamic_section() -> String {
    let dynamic = succeed(Command::new("readelf").arg("-dW").arg(library()));
    dynamic.unwrap_or_else(|error| panic!("{error}"))
}

fn exported() -> BTreeSet<String> {
    let symbols = succeed(Command::new("nm").args(["-D", "--defined-only"]).arg(library()));
    let symbols = symbols.unwrap_or_else(|error| panic!("{error}"));
    symbols.lines().map(|line| line.split_whitespace().last().unwrap().to_owned()).collect()
}

/// Everything that a program which was linked with the library relies on.
fn dump(compiler: &str) -> String {
    let declared = declared_functions();
    let mut lines: Vec<String> = numbers(compiler).lines().map(str::to_owned).collect();
    lines.sort();
    for symbol in exported() {
        let found = declared.iter().find(|function| function.name == symbol);
        lines.push(match found {
            Some(function) => format!("function {}", function.prototype),
            None => format!("function {symbol}, which the header does not declare"),
        });
    }
    lines.extend(typedefs().iter().map(|line| format!("type {line};")));
    let dynamic = dynamic_section();
    let soname = dynamic.lines().find_map(|line| line.split_once("soname: [")).map(|(_, name)| name);
    lines.push(format!("soname {}", soname.unwrap_or("none]").trim_end_matches(']')));
    lines.join("\n") + "\n"
}

#[test]
fn the_binary_interface_is_the_committed_one() {
    for compiler in ["gcc", "clang"] {
        if !is_absent(compiler, compiler) {
            assert_committed("tests/abi/evloop.abi", &dump(compiler), "make abi");
        }
    }
}

/// What Rust writes and C reads, and the other way round.
#[test]
fn rust_and_c_lay_structs_out_alike() {
    if is_absent("gcc", "gcc") {
        return;
    }
    let told = numbers("gcc");
    let has = |line: String| {
        assert!(told.contains(&format!("{line} ")) || told.contains(&format!("{line}\n")), "{line}")
    };
    has(format!(
        "struct loop_options_t size {} align {}",
        size_of::<LoopOptions>(),
        align_of::<LoopOptions>()
    ));
    has(format!("struct loop_event_t size {} align {}", size_of::<LoopEvent>(), align_of::<LoopEvent>()));
    let fields = |name: &str| told.matches(&format!("struct {name} at ")).count();
    macro_rules! fields {
        ($kind:ident, $name:literal, $($field:ident $type:literal),*) => {
            let offsets = [$((offset_of!($kind, $field), concat!($type, " ", stringify!($field)))),*];
            assert_eq!(fields($name), offsets.len());
            for (offset, field) in offsets {
                let line = format!("struct {} at {offset:2} size ", $name);
                assert!(told.lines().any(|l| l.starts_with(&line) && l.ends_with(field)), "{line}{field}");
            }
        };
    }
    fields!(LoopOptions, "loop_options_t", size "uint32_t", flags "uint32_t", poll_gap_ns "uint64_t",
        max_events "uint32_t", reserved "uint32_t", virtual_start_ns "uint64_t");
    fields!(LoopEvent, "loop_event_t", handle "loop_handle_t", arg "void *", kind "uint32_t", fd "int32_t",
        events "uint32_t", flags "uint32_t", ticks "uint64_t", result "int64_t", data "void *", reserved "uint64_t");
}

/// `tests/c/abi_layouts.c` asserts the place of every field for whoever compiles it.
#[test]
fn every_field_is_asserted_in_c() {
    let source = read(&in_repository("tests/c/abi_layouts.c"));
    let structs = structs();
    assert_eq!(structs.len(), 2);
    for (name, fields) in structs {
        assert!(source.contains(&format!("SIZE({name}, ")), "{name}");
        for Field { name: field, .. } in fields {
            assert!(source.contains(&format!("PLACE({name}, {field}, ")), "{name}.{field}");
        }
    }
}
