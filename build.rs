//! Link arguments of the shared library. The SONAME carries the major version,
//! which is the promise that only additions happen within it.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=packaging/link-args");
    let target = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    if target != "linux" {
        return;
    }
    let major = std::env::var("CARGO_PKG_VERSION_MAJOR").expect("cargo sets the version");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libevloop.so.{major}");
    let shared_with_make = include_str!("packaging/link-args");
    for argument in shared_with_make.lines().filter(|line| !line.starts_with('#')) {
        println!("cargo:rustc-cdylib-link-arg={argument}");
    }
}
