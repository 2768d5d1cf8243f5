//! The header, as a compiler and as a reader sees it: it suits every standard,
//! stands alone, keeps out of other headers' names, declares exactly what the
//! library exports, and documents all of it.

mod harness;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use harness::interface::{Function, constants, declared_functions, header};
use harness::{C_COMPILERS, CPP_COMPILERS, is_skipped, library, output_folder, strict, succeed};

/// Compiles the text as C99, C11, C17 and C++17 under every compiler.
fn assert_compiles(name: &str, text: &str) {
    let c = C_COMPILERS.iter().flat_map(|c| ["c99", "c11", "c17"].map(|standard| (*c, standard)));
    let cpp = CPP_COMPILERS.iter().map(|compiler| (*compiler, "c++17"));
    for (compiler, standard) in c.chain(cpp).filter(|(compiler, _)| !is_skipped(compiler)) {
        let extension = if standard == "c++17" { "cpp" } else { "c" };
        let source = output_folder().join(format!("header-{name}.{extension}"));
        fs::write(&source, text).unwrap();
        let mut command = strict(compiler, standard).unwrap();
        succeed(command.arg("-fsyntax-only").arg(&source)).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn stands_alone() {
    assert_compiles("alone", "#include <evloop.h>\n");
}

#[test]
fn can_be_included_twice() {
    assert_compiles("twice", "#include <evloop.h>\n#include <evloop.h>\n");
}

#[test]
fn goes_together_with_linux_loop_h() {
    assert_compiles("before-linux", "#include <evloop.h>\n#include <linux/loop.h>\n");
    assert_compiles("after-linux", "#include <linux/loop.h>\n#include <evloop.h>\n");
}

#[test]
fn every_constant_is_an_integer_for_the_compiler_and_the_preprocessor() {
    let mut text = String::from("#include <evloop.h>\nextern const long long values[];\n");
    let names = constants();
    assert!(names.len() > 40, "only {names:?}");
    for name in &names {
        text += &format!("#if {name} != {name}\n#error {name}\n#endif\n");
    }
    text += &format!("const long long values[] = {{ {} }};\n", names.join(", "));
    assert_compiles("constants", &text);
}

#[test]
fn no_constant_has_a_name_that_linux_loop_h_may_take() {
    let theirs = ["SET_", "GET_", "CTL_", "CLR_", "CHANGE_", "CONFIGURE"];
    for name in constants() {
        let rest = name.strip_prefix("LOOP_").unwrap_or_else(|| panic!("{name} is not LOOP_*"));
        assert!(!theirs.iter().any(|prefix| rest.starts_with(prefix)), "{name}");
    }
}

#[test]
fn every_function_is_documented() {
    let header = header();
    let lines: Vec<&str> = header.lines().collect();
    for Function { name, line, .. } in declared_functions() {
        let above = &lines[..line];
        let is_comment = above.last().is_some_and(|last| last.trim_end().ends_with("*/"));
        assert!(is_comment, "{name}: no comment directly above it, at line {}", line + 1);
        let start = above.iter().rposition(|l| l.trim_start().starts_with("/*")).unwrap();
        let words = above[start..].iter().flat_map(|l| l.split_whitespace());
        let words = words.filter(|word| word.starts_with(char::is_alphanumeric)).count();
        assert!(words >= 3, "{name}: its comment says nothing");
    }
}

#[test]
fn exactly_the_functions_of_the_header_are_exported() {
    let declared: BTreeSet<String> = declared_functions().into_iter().map(|f| f.name).collect();
    let symbols = succeed(Command::new("nm").args(["-D", "--defined-only"]).arg(library()));
    let symbols = symbols.unwrap_or_else(|error| panic!("{error}"));
    let names = symbols.lines().map(|line| line.split_whitespace().last().unwrap().to_owned());
    let exported: BTreeSet<String> = names.collect();
    assert_eq!(exported, declared);
    assert!(exported.iter().all(|name| name.starts_with("loop_")), "{exported:?}");
}
