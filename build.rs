//! Link arguments of the shared library. The SONAME carries the major version,
//! which is the promise that only additions happen within it.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    if target != "linux" {
        return;
    }
    let major = std::env::var("CARGO_PKG_VERSION_MAJOR").expect("cargo sets the version");
    for argument in [
        format!("-Wl,-soname,libevloop.so.{major}"),
        // Callbacks and the page that notices a fork may outlive a dlclose.
        "-Wl,-z,nodelete".into(),
        // Our own calls between exported functions need no detour.
        "-Wl,-Bsymbolic-functions".into(),
    ] {
        println!("cargo:rustc-cdylib-link-arg={argument}");
    }
}
