# The libraries as they are installed, in target/dist: both are made of one clean object
# (packaging/one-object says how and why).

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
PACKAGE := target/dist
SONAME := libevloop.so.$(MAJOR)
SHARED := $(PACKAGE)/libevloop.so.$(VERSION)
STATIC := $(PACKAGE)/libevloop.a
SOURCES := $(shell find src -name '*.rs') Cargo.toml Cargo.lock build.rs
LINK_ARGS := $(shell sed '/^\#/d' packaging/link-args)
OBJCOPY ?= objcopy
STRIP ?= strip

.PHONY: package

package: $(SHARED) $(STATIC)

$(PACKAGE)/evloop.o: $(SOURCES) include/evloop.h packaging/one-object
	$(MAKE) lib
	CC='$(CC)' LD='$(LD)' OBJCOPY='$(OBJCOPY)' packaging/one-object $(LIB)/libevloop.a include/evloop.h $@

# The version of the symbols carries the major, as the SONAME does: two majors can be in one process.
$(PACKAGE)/evloop.map: Cargo.toml
	@mkdir -p $(@D)
	echo 'EVLOOP_$(MAJOR) { global: loop_*; local: *; };' > $@

# gettid is younger (glibc 2.30) than all else that is needed (2.17). It is weak, so that it may be
# absent, but the linker would note its version as one that has to be there; so it is absent.
$(SHARED): $(PACKAGE)/evloop.o $(PACKAGE)/evloop.map packaging/link-args
	$(CC) -shared $(LDFLAGS) -o $@ $< -Wl,-soname,$(SONAME) $(LINK_ARGS) \
	  -Wl,--version-script=$(PACKAGE)/evloop.map -Wl,--gc-sections -Wl,--defsym,gettid=0 -Wl,-z,relro,-z,now
	ln -sf $(@F) $(PACKAGE)/$(SONAME)
	ln -sf $(SONAME) $(PACKAGE)/libevloop.so

$(STATIC): $(PACKAGE)/evloop.o
	$(OBJCOPY) --strip-debug $< $(PACKAGE)/evloop-static.o
	rm -f $@
	$(AR) rcsD $@ $(PACKAGE)/evloop-static.o
