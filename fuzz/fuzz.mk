# Fuzzing and mutation testing of the library against the model of its laws (tests/model).

# How long to fuzz. What is found along the way is kept in target/fuzz/corpus for the next time.
FUZZ_SECONDS ?= 60
# One mutant, by (a part of) its name; all of them if empty.
MUTANT ?=
# At most so many of them, others each day (CI); 0: no limit.
AT_MOST ?= 0

# Only the nightly compiler builds with AddressSanitizer; libFuzzer itself works with any.
FUZZ_TOOLCHAIN = $(shell rustup toolchain list 2>/dev/null | grep -q '^nightly' && echo +nightly)
FUZZ_PLATFORM = $(shell rustc -vV | sed -n 's/^host: //p')
# (Comparisons are not traced: a program's bytes are small numbers, and it takes half of the time.)
FUZZ_FLAGS = --cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 \
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
  $(if $(FUZZ_TOOLCHAIN),-Zsanitizer=address)
FUZZER = target/fuzz/$(FUZZ_PLATFORM)/release/model

.PHONY: fuzz fuzz-build fuzz-corpus mutants

# The model test with programs on the system's clock among the others: for a calm machine.
.PHONY: model-real-time
model-real-time:
	EVLOOP_REAL_TIME=1 EVLOOP_FUZZ_SECONDS=$(FUZZ_SECONDS) $(CARGO) test --test model

# Programs that libFuzzer makes, on the library and on the model. A finding is printed as text, as
# small as it could be made, and kept in target/fuzz/findings; EVLOOP_PROGRAM=file with
# `cargo test --test model` runs it again.
fuzz: fuzz-build
	@mkdir -p target/fuzz/corpus target/fuzz/findings
	@$(FUZZER) target/fuzz/corpus fuzz/corpus/model -max_total_time=$(FUZZ_SECONDS) -max_len=400 -timeout=20 \
	  -rss_limit_mb=4096 -artifact_prefix=target/fuzz/findings/ -print_final_stats=1 > target/fuzz/log.txt 2>&1; \
	status=$$?; \
	if [ $$status -ne 0 ]; then tail -200 target/fuzz/log.txt; else \
	  grep -o 'cov: [0-9]* ft: [0-9]* corp: [0-9]*' target/fuzz/log.txt | tail -1; \
	  grep -E '^stat::(number|average|new)' target/fuzz/log.txt; fi; \
	exit $$status

fuzz-build:
	@test -n "$(FUZZ_TOOLCHAIN)" || echo "NO NIGHTLY TOOLCHAIN: fuzzing WITHOUT AddressSanitizer"
	RUSTFLAGS="$(FUZZ_FLAGS)" $(CARGO) $(FUZZ_TOOLCHAIN) build --quiet --locked --release \
	  --manifest-path fuzz/Cargo.toml --target $(FUZZ_PLATFORM) --target-dir target/fuzz

# Makes the committed corpus anew: the smallest programs that reach all that is known to be reached.
fuzz-corpus: fuzz-build
	@rm -rf target/fuzz/merged; mkdir -p target/fuzz/merged target/fuzz/corpus
	$(FUZZER) -set_cover_merge=1 -use_counters=0 target/fuzz/merged fuzz/corpus/model target/fuzz/corpus 2>&1 | tail -3
	rm -rf fuzz/corpus/model
	cp -r target/fuzz/merged fuzz/corpus/model

# Breaks the library on purpose, one promise at a time: about five minutes.
mutants:
	$(CARGO) test --test model --test mutants --no-run
	EVLOOP_MUTANT="$(MUTANT)" EVLOOP_MUTANTS_AT_MOST="$(AT_MOST)" EVLOOP_MODEL_TEST="$$($(CARGO) test --test model --no-run --message-format=json 2>/dev/null | \
	  sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')" $(CARGO) test --test mutants -- --ignored
