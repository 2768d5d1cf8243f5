# evloop: `make demo` shows what it does, `make test` proves it. Both do all the set-up
# that a machine with Rust and a C compiler needs.

CARGO ?= cargo
CC ?= cc
MAJOR := $(shell sed -n 's/^version = "\([0-9]*\)\..*/\1/p' Cargo.toml)
LIB := target/release
EXAMPLES := $(patsubst c_examples/%.c,target/examples-c/%,$(wildcard c_examples/*.c))
CFLAGS ?= -O2 -g
STRICT := -std=c11 -Wall -Wextra -Wpedantic -Werror
SKIPS := target/evloop-skips.txt

# What the full test needs beside Rust and a C compiler, by Debian's names.
DEPS := gcc g++ clang make binutils pkg-config cmake meson ninja-build dpkg-dev fakeroot man-db groff valgrind
# Clients that the HTTP server among the examples is tested with: the one everybody has, and many at once.
DEPS += curl wrk
# A host whose main loop evloop is tested in.
DEPS += libglib2.0-dev
# Conan, which the recipe is tested with, is installed from PyPI into target/tools.
DEPS += python3-venv

.PHONY: all lib examples demo test deps header fmt lint clean
.PHONY: misuse abi

all: lib examples

# The shared and the static library. The linker wants libevloop.so, the loader its SONAME.
# With the Rust library beside them cargo would leave out link-time optimization.
lib:
	$(CARGO) rustc --release --lib --crate-type cdylib,staticlib
	ln -sf libevloop.so $(LIB)/libevloop.so.$(MAJOR)

examples: $(EXAMPLES)

target/examples-c/%: c_examples/%.c lib
	@mkdir -p $(@D)
	$(CC) $(STRICT) $(CFLAGS) -Iinclude $< -o $@ -L$(LIB) -levloop -Wl,-rpath,'$$ORIGIN/../release' -lpthread

# A tour of the main job: timers, a server with clients, a thread, a cancelled timer.
demo: all
	@echo; echo "--- hello"; target/examples-c/hello
	@echo; echo "--- virtual_time"; target/examples-c/virtual_time
	@echo; echo "--- stdin_lines < include/evloop.h | tail -3"; target/examples-c/stdin_lines < include/evloop.h | tail -3
	@echo; echo "--- tour"; target/examples-c/tour

# Every test there is. How long each part took, what is skipped, and what to install for it, is said
# at the end. (The status goes through a file: sh has only that of a pipe's last command.)
test:
	@mkdir -p target; : > $(SKIPS); echo 1 > target/evloop-status.txt
	@echo "$(CARGO) test --no-fail-fast"; \
	{ $(CARGO) test --no-fail-fast 2>&1; echo $$? > target/evloop-status.txt; } | tee target/evloop-test.txt; \
	awk -f tests/times.awk target/evloop-test.txt; \
	exit $$(cat target/evloop-status.txt)
	@if [ -s $(SKIPS) ]; then echo; sort -u $(SKIPS); fi

# Ten thousand connections for ten minutes: nothing may grow. `make test` has a short one.
SECONDS ?= 600
CONNECTIONS ?= 10000
.PHONY: soak
soak: lib
	@mkdir -p target/soak
	$(CC) $(STRICT) $(CFLAGS) -Iinclude tests/c/soak.c -o target/soak/soak -L$(LIB) -levloop -Wl,-rpath,'$$ORIGIN/../release' -lpthread
	EVLOOP_SOAK_SECONDS=$(SECONDS) EVLOOP_SOAK_CONNECTIONS=$(CONNECTIONS) target/soak/soak

# Everything that a test may ask for.
deps:
	@missing=$$(for p in $(DEPS); do dpkg -s $$p >/dev/null 2>&1 || echo $$p; done); \
	if [ -n "$$missing" ]; then \
	  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$sudo apt-get update -qq && $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing; \
	fi
	@command -v $(MDBOOK) >/dev/null || $(MAKE) mdbook
	@command -v $(CONAN) >/dev/null || $(MAKE) conan-tool

# include/evloop.h from src/ffi.
header:
	EVLOOP_BLESS=1 $(CARGO) test --quiet --test header_is_current

# docs/misuse.md from what tests/c/misuse_*.c see.
misuse:
	EVLOOP_BLESS=1 $(CARGO) test --quiet --test misuse

# tests/abi/evloop.abi from the header and the library.
abi:
	EVLOOP_BLESS=1 $(CARGO) test --quiet --test abi

fmt:
	$(CARGO) fmt

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings

clean:
	$(CARGO) clean
	rm -rf docs/site

# Benchmarks; installing, man pages and the documentation site, packages.
include benches/bench.mk
include tests/sanitizers/tools.mk
include packaging/library.mk packaging/install.mk packaging/docs.mk packaging/packages.mk
# The oldest Rust, advisories, memory orderings.
include packaging/supply.mk
# Fuzzing and mutation testing.
# (A crate of its own: the archive of the sources leaves it out.)
-include fuzz/fuzz.mk
