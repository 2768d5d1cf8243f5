# make install and make uninstall. PREFIX is where the files will be used, DESTDIR goes before it
# while they are copied (for packages), LIBDIR is for systems that do not have $(PREFIX)/lib.

PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
DESTDIR ?=
INSTALL ?= install
URL := $(shell sed -n 's/^repository = "\(.*\)"/\1/p' Cargo.toml)

PKGCONFIGDIR := $(LIBDIR)/pkgconfig
CMAKEDIR := $(LIBDIR)/cmake/evloop

.PHONY: install uninstall

# So that a plain make leaves nothing to be built by `sudo make install`, which often finds no cargo.
all: package man

# The way from one folder to another.
way = $(shell realpath -ms --relative-to='$(1)' '$(2)')

# /usr never moves, and with its name pkg-config knows which folders the compiler has by itself.
# Every other prefix is found from the file's own place, so that it can be moved.
PC_PREFIX = $(if $(filter /usr,$(PREFIX)),/usr,$${pcfiledir}/$(call way,$(PKGCONFIGDIR),$(PREFIX)))

# Fills in a file that ends in .in: $(call fill,FILE.in,WHERE)
fill = sed -e 's|@VERSION@|$(VERSION)|g' -e 's|@MAJOR@|$(MAJOR)|g' -e 's|@SONAME@|$(SONAME)|g' -e 's|@URL@|$(URL)|g' \
  -e 's|@PC_PREFIX@|$(PC_PREFIX)|g' -e 's|@CMAKE_UP@|$(call way,$(CMAKEDIR),$(PREFIX))|g' \
  -e 's|@LIB@|$(call way,$(PREFIX),$(LIBDIR))|g' -e 's|@INCLUDE@|$(call way,$(PREFIX),$(INCLUDEDIR))|g' \
  -e "s|@POINTER_SIZE@|$$(($$(getconf LONG_BIT) / 8))|g" $(1) > '$(2)'

install: package man
	$(INSTALL) -d '$(DESTDIR)$(LIBDIR)' '$(DESTDIR)$(INCLUDEDIR)' '$(DESTDIR)$(PKGCONFIGDIR)' \
	  '$(DESTDIR)$(CMAKEDIR)' '$(DESTDIR)$(MANDIR)/man3' '$(DESTDIR)$(MANDIR)/man7'
	$(INSTALL) -m 644 include/evloop.h '$(DESTDIR)$(INCLUDEDIR)/evloop.h'
	$(INSTALL) -m 755 $(SHARED) '$(DESTDIR)$(LIBDIR)/$(notdir $(SHARED))'
	$(STRIP) --strip-unneeded '$(DESTDIR)$(LIBDIR)/$(notdir $(SHARED))'
	ln -sf $(notdir $(SHARED)) '$(DESTDIR)$(LIBDIR)/$(SONAME)'
	ln -sf $(SONAME) '$(DESTDIR)$(LIBDIR)/libevloop.so'
	$(INSTALL) -m 644 $(STATIC) '$(DESTDIR)$(LIBDIR)/libevloop.a'
	@$(call fill,packaging/evloop.pc.in,$(DESTDIR)$(PKGCONFIGDIR)/evloop.pc)
	@$(call fill,packaging/evloop-config.cmake.in,$(DESTDIR)$(CMAKEDIR)/evloop-config.cmake)
	@$(call fill,packaging/evloop-config-version.cmake.in,$(DESTDIR)$(CMAKEDIR)/evloop-config-version.cmake)
	$(INSTALL) -m 644 $(MAN)/man3/* '$(DESTDIR)$(MANDIR)/man3'
	$(INSTALL) -m 644 $(MAN)/man7/* '$(DESTDIR)$(MANDIR)/man7'

# Takes away what install put there, and the folders that are evloop's own.
uninstall: man
	cd '$(DESTDIR)$(LIBDIR)' && rm -f libevloop.so $(SONAME) $(notdir $(SHARED)) libevloop.a pkgconfig/evloop.pc
	rm -rf '$(DESTDIR)$(CMAKEDIR)'
	rm -f '$(DESTDIR)$(INCLUDEDIR)/evloop.h'
	cd '$(DESTDIR)$(MANDIR)' && rm -f $(patsubst %,%*,$(shell cd $(MAN) 2>/dev/null && ls -d man?/*))
