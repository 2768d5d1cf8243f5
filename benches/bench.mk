# Benchmarks beside libuv, libev and libevent; see benches/bench.py.

PYTHON ?= python3
DEPS += libuv1-dev libev-dev libevent-dev valgrind strace python3 python3-matplotlib

.PHONY: bench bench-quick bench-check bench-bless

# Everything, into docs/bench: under ten minutes.
bench: lib
	$(PYTHON) benches/bench.py --out docs/bench

# Smaller and fewer: under two minutes.
bench-quick: lib
	$(PYTHON) benches/bench.py --quick --out target/bench/quick

# Instructions and system calls per operation against benches/baseline.csv.
bench-check: lib
	$(PYTHON) benches/counts.py

bench-bless: lib
	$(PYTHON) benches/counts.py --bless
