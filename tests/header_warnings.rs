//! The header under every warning that a compiler has, as C99 to C23 and C++11 to C++20. What is
//! left out stands below with its reason. A host's own build must not complain of us.

mod harness;

use std::fs;
use std::process::Command;

use harness::interface::{constants, declared_functions};
use harness::{in_repository, is_skipped, output_folder, succeed};

const C: [&str; 4] = ["c99", "c11", "c17", "c2x"];
const CPP: [&str; 4] = ["c++11", "c++14", "c++17", "c++20"];

/// clang: everything, but for these.
const CLANG: &[&str] = &[
    "-Weverything",
    // That C++98 had no <stdint.h>, no long long: C++11 is where the header begins.
    "-Wno-c++98-compat",
    "-Wno-c++98-compat-pedantic",
];

/// gcc has no such flag: all that can say anything about declarations and constants.
const GCC: &[&str] = &[
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wconversion",
    "-Wsign-conversion",
    "-Warith-conversion",
    "-Wshadow",
    "-Wundef",
    "-Wpadded",
    "-Wcast-qual",
    "-Wcast-align=strict",
    "-Wredundant-decls",
    "-Wwrite-strings",
    "-Wformat=2",
    "-Wdouble-promotion",
    "-Wduplicated-cond",
    "-Wlogical-op",
    "-Wswitch-enum",
    "-Wunused-macros",
    "-Wdate-time",
    "-Wdisabled-optimization",
    "-Wmissing-declarations",
    "-Wvla",
    "-Wfloat-equal",
    "-Walloca",
    "-Winvalid-pch",
];
const GCC_C: &[&str] = &[
    "-Wstrict-prototypes",
    "-Wmissing-prototypes",
    "-Wold-style-definition",
    "-Wc++-compat",
    "-Wbad-function-cast",
    "-Wjump-misses-init",
    "-Wnested-externs",
    "-Wunsuffixed-float-constants",
];
const GCC_CPP: &[&str] = &[
    "-Wold-style-cast",
    "-Wuseless-cast",
    "-Wzero-as-null-pointer-constant",
    "-Wextra-semi",
    "-Wctor-dtor-privacy",
    "-Woverloaded-virtual",
    "-Wstrict-null-sentinel",
    "-Wcomma-subscript",
    "-Wredundant-tags",
    "-Wmismatched-tags",
    "-Wsuggest-override",
    "-Wnoexcept",
];

/// Uses every constant, and the address of every function.
fn program() -> String {
    let mut text = "#include <evloop.h>\nextern const int64_t evloop_constants[];\n".to_owned();
    text += &format!("const int64_t evloop_constants[] = {{{}}};\n", constants().join(", "));
    text += "int evloop_functions(void);\nint evloop_functions(void) {\n  int found = 0;\n";
    for function in declared_functions() {
        text += &format!("  found += sizeof(&{}) == sizeof(void *);\n", function.name);
    }
    text + "  return found;\n}\n"
}

fn assert_silent(compiler: &str, standard: &str, flags: &[&[&str]]) {
    let extension = if standard.starts_with("c++") { "cpp" } else { "c" };
    let source = output_folder().join(format!("warnings-{compiler}-{standard}.{extension}"));
    fs::write(&source, program()).unwrap();
    let mut command = Command::new(compiler);
    command.arg(format!("-std={standard}")).arg("-Werror").arg("-fsyntax-only");
    command.args(flags.concat()).arg("-I").arg(in_repository("include")).arg(&source);
    succeed(&mut command).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn clang_has_nothing_to_say() {
    for (compiler, standards) in [("clang", C), ("clang++", CPP)] {
        for standard in standards {
            if !is_skipped(compiler) {
                assert_silent(compiler, standard, &[CLANG]);
            }
        }
    }
}

#[test]
fn gcc_has_nothing_to_say() {
    for (compiler, standards, own) in [("gcc", C, GCC_C), ("g++", CPP, GCC_CPP)] {
        for standard in standards {
            if !is_skipped(compiler) {
                assert_silent(compiler, standard, &[GCC, own]);
            }
        }
    }
}
