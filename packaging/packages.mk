# Packages: Debian's two, Conan's, the archive of the sources, and the file with which Meson builds
# that as a subproject.

DEBROOT := $(PACKAGE)/deb
ARCHIVE := $(PACKAGE)/evloop-$(VERSION).tar.gz
LISTED := $(wildcard *.md LICENSE* *.toml Cargo.lock Makefile build.rs .gitignore) src include packaging docs \
  c_examples tests benches

CONAN_VERSION := 2.34.0
CONAN ?= $(firstword $(wildcard target/tools/conan/bin/conan) conan)
PYTHON ?= python3

.PHONY: deb conan conan-tool dist wrap

deb: package man
	rm -rf $(DEBROOT)
	$(MAKE) install DESTDIR=$(CURDIR)/$(DEBROOT) PREFIX=/usr LIBDIR=/usr/lib/$$(dpkg-architecture -qDEB_HOST_MULTIARCH)
	packaging/debian/build $(DEBROOT) $(PACKAGE) $(VERSION) $(MAJOR) $(URL)

# Builds and tests the package in Conan's cache (Conan 2, from PyPI).
conan:
	$(CONAN) profile detect --exist-ok
	for shared in False True; do $(CONAN) create packaging/conan -o "&:shared=$$shared" \
	  -c tools.cmake.cmake_layout:test_folder=$(CURDIR)/$(PACKAGE)/conan \
	  -c tools.cmake.cmaketoolchain:user_presets= || exit 1; done

conan-tool:
	$(PYTHON) -m venv target/tools/conan
	target/tools/conan/bin/pip install --quiet conan==$(CONAN_VERSION)

# The sources, with everything that building, testing and packaging them needs. The order and the
# times of the files are always the same, so that the same sources are the same archive.
dist:
	@mkdir -p $(PACKAGE)
	tar -c --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 --exclude=docs/site --exclude=__pycache__ \
	  --transform='s,^,evloop-$(VERSION)/,' $(wildcard $(LISTED)) | gzip -9n > $(ARCHIVE).$$$$ && mv $(ARCHIVE).$$$$ $(ARCHIVE)

wrap: dist
	sed -e 's|@VERSION@|$(VERSION)|g' -e 's|@URL@|$(URL)|g' \
	  -e "s|@HASH@|$$(sha256sum $(ARCHIVE) | cut -d' ' -f1)|" packaging/meson/evloop.wrap.in > $(PACKAGE)/evloop.wrap
