# Man pages (make man) and the documentation site (make docs), both from the header, the examples
# and docs/.

MAN := $(PACKAGE)/man
BOOK := target/book
DOCGEN := $(PACKAGE)/docgen
DOCUMENTS := include/evloop.h $(wildcard c_examples/*.c tests/c/*.c docs/*.md docs/guide/*.md docs/bench/*.md Cargo.toml)
RUSTC ?= rustc
MDBOOK_VERSION := 0.5.4
MDBOOK ?= $(firstword $(wildcard target/tools/bin/mdbook) mdbook)

.PHONY: man docs mdbook

$(DOCGEN): $(wildcard packaging/docgen/*.rs)
	@mkdir -p $(@D)
	$(RUSTC) --edition 2024 -O packaging/docgen/main.rs -o $@

man: $(MAN)/man7/evloop.7

$(MAN)/man7/evloop.7: $(DOCGEN) $(DOCUMENTS)
	rm -rf $(MAN)
	$(DOCGEN) man $(MAN)

# The site is in docs/site, a folder of plain files: open docs/site/index.html.
docs: $(DOCGEN)
	@command -v $(MDBOOK) >/dev/null || { echo 'make docs needs mdBook: make mdbook builds it'; exit 1; }
	rm -rf $(BOOK) docs/site
	$(DOCGEN) site $(BOOK)/src
	cp docs/bench/*.svg $(BOOK)/src/bench
	cp docs/*.svg $(BOOK)/src
	cp docs/book.toml docs/site.css $(BOOK)
	$(MDBOOK) build $(BOOK) --dest-dir $(CURDIR)/docs/site

# The site's generator, built from crates.io (two minutes).
mdbook:
	$(CARGO) install mdbook --version $(MDBOOK_VERSION) --locked --no-default-features --features search \
	  --root target/tools
