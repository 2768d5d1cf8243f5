# `make asan`, `make tsan`, `make memcheck`, `make stall`: the C and C++ tests and the examples under
# a tool that watches or disturbs them; see docs/testing.md.
.PHONY: asan tsan memcheck stall

asan tsan:
	CARGO=$(CARGO) tests/sanitizers/run.sh $@

memcheck:
	EVLOOP_TOOL=memcheck $(CARGO) test --no-fail-fast --test c --test examples

stall:
	EVLOOP_TOOL=stall $(CARGO) test --no-fail-fast --test c --test examples
