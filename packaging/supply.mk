# Where the code comes from, and with which Rust it builds. What needs neither network nor another
# toolchain is in tests/supply_chain.rs.

MSRV := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

.PHONY: msrv advisories orderings

# The library builds with the oldest Rust that Cargo.toml names. Where that is not to be had,
# clippy looks for what is younger in the standard library: less, and said.
msrv:
	@if rustup toolchain install $(MSRV) --profile minimal >/dev/null 2>&1; then \
	  set -ex; rustup run $(MSRV) cargo check --locked --lib --target-dir target/msrv; \
	else \
	  echo "NOT CHECKED: no Rust $(MSRV) is to be had here; clippy's incompatible_msrv instead"; \
	  $(CARGO) clippy --locked --lib -- -D clippy::incompatible_msrv; \
	fi

# Known weaknesses of the crates in the lock file. Needs a tool and its database, which comes
# from the network: neither is a part of the build.
advisories:
	@if command -v cargo-deny >/dev/null && $(CARGO) deny fetch db >/dev/null 2>&1; then \
	  $(CARGO) deny --locked check; \
	elif command -v cargo-audit >/dev/null && $(CARGO) audit --version >/dev/null 2>&1; then \
	  $(CARGO) audit; \
	else \
	  echo "NOT CHECKED: advisories (cargo install cargo-deny, with access to its database)"; \
	fi

# Each ordering weaker than SeqCst is weakened in turn, in a copy; tests/loom.rs must notice.
orderings:
	tests/loom/weaken
