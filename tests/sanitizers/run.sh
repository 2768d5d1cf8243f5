#!/bin/sh
# run.sh asan|tsan: builds the library with this sanitizer, runs its Rust tests, then the C and C++
# tests and the examples against it. The compiler is the one that builds the release:
# RUSTC_BOOTSTRAP lets a stable one take -Z flags.
set -eu
cd "$(dirname "$0")/../.."
tool=$1
folder=target/$tool
host=$(rustc -vV | sed -n 's/^host: //p')
cargo=${CARGO:-cargo}
flags="-Cforce-frame-pointers=yes"
std=

case $tool in
  asan) flags="$flags -Zsanitizer=address" ;;
  tsan)
    # A thread that meets another inside the standard library (a contended lock) is understood
    # only if that is sanitized as well.
    if ! source=$(tests/sanitizers/rust-src.sh target/rust-src); then
      echo "!!! tsan: NOTHING WAS CHECKED: the source of the standard library of $(rustc -V)" >&2
      echo "!!! is not to be had; \`rustup component add rust-src\` brings it." >&2
      exit 1
    fi
    export __CARGO_TESTS_ONLY_SRC_ROOT="$source"
    flags="$flags -Zsanitizer=thread"
    std=-Zbuild-std ;;
  *) echo "usage: $0 asan|tsan" >&2; exit 2 ;;
esac

# The package without its dev-dependencies, which cargo would sanitize too, for minutes. These
# two test targets need none.
package=$folder/package
mkdir -p "$package/tests"
awk '/^\[/ { keep = !/^\[dev-dependencies\]/ && !/^\[\[/ } keep' Cargo.toml > "$package/Cargo.toml"
cp Cargo.lock "$package/Cargo.lock"
for path in src build.rs packaging; do ln -sfn "$PWD/$path" "$package/$path"; done
ln -sf "$PWD/tests/event_loop.rs" "$package/tests/event_loop.rs"

# shellcheck disable=SC2086  # std is a word or none
RUSTC_BOOTSTRAP=1 RUSTFLAGS="$flags" "$cargo" test $std --manifest-path "$package/Cargo.toml" \
  --lib --test event_loop --target "$host" --target-dir "$folder"
ln -sf "$host/debug/deps/libevloop.so" "$folder/libevloop.so"

EVLOOP_TOOL=$tool "$cargo" test --no-fail-fast --test c --test examples
