# `make asan`, `make tsan`, `make memcheck`: the C and C++ tests and the examples under a tool that
# watches them; see docs/testing.md.
.PHONY: asan tsan memcheck

asan tsan:
	CARGO=$(CARGO) tests/sanitizers/run.sh $@

memcheck:
	EVLOOP_TOOL=memcheck $(CARGO) test --no-fail-fast --test c --test examples
