//! evloop inside foreign main loops: each file of `tests/hosts` is built with its host's library
//! and run. docs/embedding.md quotes them.

mod harness;

use std::process::Command;

use harness::{
    c_compilers, in_repository, is_library_absent, is_skipped, limited, output_folder, strict, succeed,
};

/// What pkg-config says, a word each; foreign headers are not held to our warnings.
fn pkg_config(what: &str, library: &str) -> Vec<String> {
    let said = succeed(Command::new("pkg-config").args([what, library])).unwrap();
    said.split_whitespace().map(|word| word.replacen("-I", "-isystem", 1)).collect()
}

/// A source made by `g_unix_fd_add` cannot recurse: with it, this program waits for its dialog's
/// answer for ever.
#[test]
fn a_glib_source_also_runs_in_the_main_loop_of_a_dialog() {
    if is_library_absent("glib-2.0", "libglib2.0-dev") {
        return;
    }
    for compiler in c_compilers().into_iter().filter(|compiler| !is_skipped(compiler)) {
        let program = output_folder().join(format!("hosts-glib_source-{compiler}"));
        let mut build = strict(compiler, "c11").unwrap();
        build.args(pkg_config("--cflags", "glib-2.0"));
        build.arg(in_repository("tests/hosts/glib_source.c")).arg("-o").arg(&program);
        build.arg("-L").arg(output_folder()).arg("-levloop");
        build.arg(format!("-Wl,-rpath,{}", output_folder().display()));
        succeed(build.args(pkg_config("--libs", "glib-2.0"))).unwrap();
        succeed(&mut limited(&program)).unwrap();
    }
}
