#!/bin/sh
# rust-src.sh DIR: prints where the source of the standard library is that belongs to rustc. Takes
# it from the toolchain, else from rustup, else from Debian: the package rust-src of the same
# version, from whichever suite has it, unpacked under DIR. Leaves the system's apt as it is.
# Exits with 3 when it is not to be had.
set -eu
mkdir -p "$1"
dir=$(cd "$1" && pwd)
version=$(rustc -V | cut -d' ' -f2)
own=$(rustc --print sysroot)/lib/rustlib/src/rust/library
unpacked=$dir/usr/src/rustc-$version/library

found() {
  if [ -e "$1/std/Cargo.toml" ]; then
    echo "$1"
    exit 0
  fi
}

found "$own"
found "$unpacked"
if command -v rustup >/dev/null; then
  timeout 120 rustup -q component add rust-src >&2 || echo "rustup has no rust-src" >&2
  found "$own"
fi

command -v apt-get >/dev/null || exit 3
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
options="-o Dir::Etc::SourceList=$dir/sources.list -o Dir::Etc::SourceParts=- -o Dir::State::Lists=$dir/lists
  -o Dir::State::Status=$dir/status -o Dir::Cache=$dir/cache -o Acquire::Languages=none
  -o Acquire::Check-Valid-Until=false -o Acquire::Check-Date=false -o APT::Sandbox::User=root"
mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
: > "$dir/status"
for suite in stable stable-backports trixie-backports testing unstable; do
  echo "deb [signed-by=$keyring] http://deb.debian.org/debian $suite main" > "$dir/sources.list"
  # shellcheck disable=SC2086  # options are words
  timeout 120 apt-get $options update -qq >&2 || continue
  # shellcheck disable=SC2086
  package=$(apt-cache $options madison rust-src | awk -v v="$version" 'index($3, v "+") == 1 {print $3; exit}')
  [ -n "$package" ] || continue
  # shellcheck disable=SC2086
  (cd "$dir" && apt-get $options download -qq "rust-src=$package" >&2)
  dpkg-deb --fsys-tarfile "$dir"/rust-src_*.deb | tar -C "$dir" -x --wildcards './usr/src/rustc-*/library/*'
  rm "$dir"/rust-src_*.deb
  found "$unpacked"
done
exit 3
