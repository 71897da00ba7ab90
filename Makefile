# SPDX-License-Identifier: GPL-3.0-or-later
#
# make               build ./guestdeck           make V=1 shows the commands
# make check         every suite (installs missing packages when root)
# make unit          all unit tests; make unit-vm/base  those of one room
# make check-long    check, check-asan, check-tsan and a minute of each fuzzer
# make format cppcheck tidy check-layers          what reviewers would say
#
# Files are found by wildcard: to add one, put it into its room.

STORAGE := storage/core storage/proto storage/qcow2 storage/import \
	storage/blk storage/tools
ROOMS := vm/base vm/kvm vm/conf vm/net vm/core vm/fw vm/pci vm/dev vm/virtio \
	vm/machine $(STORAGE) display display/viewer ui

PREFIX ?= /usr/local
DESTDIR ?=
BUILD ?= build
SAN ?=
DEBUG ?=
FUZZ_SECONDS ?= 30
CC = gcc
WERROR ?= -Werror

# Evaluated at first use and once: before `make deps` there is no pkg-config.
# slirp.pc asks for GLib's headers, which its own header does not need.
PKGS := ncursesw tinfo readline libvncserver liburing vterm libseccomp zlib \
	libpng jansson gnutls libnbd libzstd
once = $(eval $(1) := $(2))$($(1))
PKG_CFLAGS = $(call once,PKG_CFLAGS,$(shell pkg-config --cflags $(PKGS)))
PKG_LIBS = $(call once,PKG_LIBS,$(shell pkg-config --libs $(PKGS)))
CHECK_CFLAGS = $(call once,CHECK_CFLAGS,$(shell pkg-config --cflags check))
CHECK_LIBS = $(call once,CHECK_LIBS,$(shell pkg-config --libs check))

OPT := $(if $(SAN),-O1 -fno-omit-frame-pointer,-O2)
# Lists link nodes into structs of any type: see container_of() in list.h.
CFLAGS ?= $(OPT) -g -fno-strict-aliasing
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wpointer-arith -Wwrite-strings $(WERROR)
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all)
ALL_CFLAGS = -std=gnu11 $(CFLAGS) -D_GNU_SOURCE -I. $(WARN) $(SANFLAGS) \
	$(if $(SAN)$(DEBUG),-DGUESTDECK_DEBUG) -pthread $(PKG_CFLAGS)
ALL_LIBS = $(PKG_LIBS) -lslirp -pthread -lm

ifneq ($(V),1)
Q := @
say = @printf '  %-6s %s\n' $(1) $(2);
endif

all: $(BUILD)/guestdeck

# --- rooms: one archive each, so that a broken one stops only those above ---

archive = $(BUILD)/$(subst /,_,$(1)).a
objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard $(1)))
ARCHIVES := $(foreach r,$(ROOMS),$(call archive,$(r)))

# BELOW_room: the rooms its code may call, from tests/layers.txt. That lists
# lower rooms first, so one pass will do. vm (vm.h) is made by vm/machine,
# storage (storage.h) by all rooms in it, which are tested together.
LAYERS := $(shell awk '!/^\#/ && NF { gsub(/[ \t]+/, ":"); print }' \
	tests/layers.txt)
words_of = $(patsubst vm,vm/machine,$(patsubst storage,$(STORAGE),\
	$(subst :, ,$(1))))
$(foreach l,$(LAYERS),$(eval BELOW_$(firstword $(subst :, ,$(l))) := \
	$(filter $(ROOMS),$(sort $(foreach r,$(call words_of,$(l)),\
	$(r) $(BELOW_$(r)))))))

define room_rules
$$(call archive,$(1)): $$(call objects,$(1)/*.c)
	$$(call say,AR,$$@)
	$$(Q)mkdir -p $$(@D)
	$$(Q)t=$$@.$$$$$$$$ && ar rcs $$$$t $$(filter %.o,$$^) && mv $$$$t $$@
endef
$(foreach r,$(ROOMS),$(eval $(call room_rules,$(r))))

$(BUILD)/guestdeck: $(ARCHIVES)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ \
		-Wl,--start-group $(ARCHIVES) -Wl,--end-group $(ALL_LIBS)
	$(Q)if [ "$(BUILD)" = build ]; then ln -sf build/guestdeck guestdeck; fi

# Into a new file and then renamed, so that two makes in one tree never read
# what the other has half written.
define compile
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)t=$@.$$$$ && $(CC) $(ALL_CFLAGS) $(1) -MMD -MP -MT $@ -MF $$t.d \
		-c -o $$t $< && mv $$t.d $(@:.o=.d) && mv $$t $@
endef

$(BUILD)/obj/tests/%.o: tests/%.c Makefile
	$(call compile,$(CHECK_CFLAGS))

$(BUILD)/obj/%.o: %.c Makefile
	$(compile)

# --- tests ------------------------------------------------------------------
# tests/unit/ROOM/test_*.c are programs, other .c files there are linked into
# each of them. tests/kvm likewise, with everything. A folder under tests/ may
# bring a .mk file; what it adds to GUESTS is built before tests/kvm and e2e.

GUESTS :=
-include $(wildcard tests/*/*.mk)

test_srcs = $(wildcard tests/$(1)/test_*.c)
test_bins = $(patsubst tests/%.c,$(BUILD)/tests/%,$(call test_srcs,$(1)))
helper_objs = $(filter-out $(BUILD)/obj/tests/$(1)/test_%,\
	$(call objects,tests/$(1)/*.c) \
	$(if $(filter unit/storage/%,$(1)),$(call objects,tests/unit/storage/*.c)))

# $(1) folder under tests/, $(2) archives
define test_rules
$(BUILD)/tests/$(1)/test_%: $(BUILD)/obj/tests/$(1)/test_%.o \
		$$(call helper_objs,$(1)) $(2)
	$$(call say,LINK,$$@)
	$$(Q)mkdir -p $$(@D)
	$$(Q)$$(CC) $$(ALL_CFLAGS) $$(LDFLAGS) -o $$@ $$(filter %.o,$$^) \
		-Wl,--start-group $(2) -Wl,--end-group $$(CHECK_LIBS) \
		$$(ALL_LIBS)
endef
$(foreach r,$(ROOMS),$(eval $(call test_rules,unit/$(r),\
	$(foreach b,$(BELOW_$(r)),$(call archive,$(b))))))
$(eval $(call test_rules,kvm,$(ARCHIVES)))

UNIT := $(strip $(foreach r,$(ROOMS),$(call test_bins,unit/$(r))))
KVM := $(call test_bins,kvm)
SCRIPTS := $(sort $(wildcard tests/kvm/*.sh) $(wildcard tests/e2e/*.sh))

# The runner counts a program that did not build as failed, so go on here; and
# take away what is out of date, for an old program proves nothing.
RUN = BUILD=$(BUILD) SAN=$(SAN) tests/run
submake = $(MAKE) -k $(if $(V),,-s) --no-print-directory
build_for_test = +$(Q)$(submake) $(1) || for t in $(1); do \
	$(submake) -q $$t 2>/dev/null || rm -f $$t; done

unit:
	$(if $(UNIT),$(call build_for_test,$(UNIT)))
	$(Q)$(RUN) $(UNIT)

define unit_room
unit-$(1):
	$$(if $$(call test_bins,unit/$(1)),\
		$$(call build_for_test,$$(call test_bins,unit/$(1))))
	$$(Q)$$(RUN) $$(call test_bins,unit/$(1))
.PHONY: unit-$(1)
endef
$(foreach r,$(ROOMS),$(eval $(call unit_room,$(r))))

kvm:
	$(call build_for_test,$(BUILD)/guestdeck $(GUESTS) $(KVM))
	$(Q)$(RUN) $(KVM) $(wildcard tests/kvm/*.sh)

e2e:
	$(call build_for_test,$(BUILD)/guestdeck $(GUESTS))
	$(Q)$(RUN) $(wildcard tests/e2e/*.sh)

suites:
	$(call build_for_test,$(BUILD)/guestdeck $(GUESTS) $(UNIT) $(KVM))
	$(Q)$(RUN) tests/layers.sh $(UNIT) $(KVM) $(SCRIPTS)

suites-c:
	$(call build_for_test,$(GUESTS) $(UNIT) $(KVM))
	$(Q)$(RUN) $(UNIT) $(KVM)

check: deps
	+$(Q)$(MAKE) --no-print-directory suites

check-asan:
	+$(Q)$(MAKE) --no-print-directory BUILD=build-asan \
		SAN=address,undefined suites-c

check-tsan:
	+$(Q)$(MAKE) --no-print-directory BUILD=build-tsan SAN=thread suites-c

check-long: deps
	+$(Q)GUESTDECK_LONG=1 $(MAKE) --no-print-directory suites
	+$(Q)$(MAKE) --no-print-directory check-asan
	+$(Q)$(MAKE) --no-print-directory check-tsan
	+$(Q)$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=60

check-layers:
	$(Q)tests/layers.sh

# --- fuzzers: make fuzz FUZZ_SECONDS=30 [FUZZ=fuzz_conf] --------------------

FUZZ ?= $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_BUILD := BUILD=build-fuzz CC=clang WERROR= \
	SAN=fuzzer-no-link,address,undefined

$(BUILD)/fuzz_%: $(BUILD)/obj/tests/fuzz/fuzz_%.o $(ARCHIVES)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -fsanitize=fuzzer -o $@ $< \
		-Wl,--start-group $(ARCHIVES) -Wl,--end-group $(ALL_LIBS)

fuzz:
	+$(Q)$(MAKE) --no-print-directory $(FUZZ_BUILD) \
		$(addprefix build-fuzz/,$(FUZZ))
	$(Q)for f in $(FUZZ); do \
		c=build-fuzz/corpus/$$f; s=tests/fuzz/corpus/$$f; \
		d=tests/fuzz/$$f.dict; mkdir -p $$c; \
		[ -d $$s ] || s=; d=$${d:+$$(ls $$d 2>/dev/null)}; \
		echo "== $$f"; \
		build-fuzz/$$f -max_total_time=$(FUZZ_SECONDS) -timeout=10 \
			-artifact_prefix=build-fuzz/ -print_final_stats=1 \
			-verbosity=0 $${d:+-dict=$$d} $$c $$s || exit 1; \
	done

# --- what a reviewer would say; FILES= narrows it ---------------------------

SOURCES = $(shell find ui vm display storage -name '*.c' | sort)
FORMATTED = $(shell find ui vm display storage tests -name '*.[ch]' | sort)
TIDY := -*,clang-analyzer-*,bugprone-*
TIDY := $(TIDY),-bugprone-easily-swappable-parameters
TIDY := $(TIDY),-bugprone-narrowing-conversions
TIDY := $(TIDY),-bugprone-reserved-identifier
TIDY := $(TIDY),-bugprone-assignment-in-if-condition
TIDY := $(TIDY),-bugprone-macro-parentheses
TIDY := $(TIDY),-bugprone-implicit-widening-of-multiplication-result
TIDY := $(TIDY),-bugprone-suspicious-string-compare
TIDY := $(TIDY),-clang-analyzer-security.insecureAPI.*
TIDY := $(TIDY),-clang-analyzer-valist.Uninitialized

format:
	$(Q)clang-format -i $(or $(FILES),$(FORMATTED))

format-check:
	$(Q)clang-format --dry-run -Werror $(or $(FILES),$(FORMATTED))

cppcheck:
	$(Q)cppcheck -q --std=c11 --error-exitcode=1 --inline-suppr \
		--enable=warning,performance,portability \
		--suppress=normalCheckLevelMaxBranches \
		--library=posix --library=gnu -D_GNU_SOURCE -D__x86_64__ \
		-I. $(or $(FILES),$(SOURCES))

tidy:
	$(Q)clang-tidy --quiet --warnings-as-errors='*' --checks='$(TIDY)' \
		$(or $(FILES),$(SOURCES)) -- -std=gnu11 -D_GNU_SOURCE -I. \
		$(PKG_CFLAGS)

# --- the rest ---------------------------------------------------------------

bench: all
	$(Q)tests/bench/run

bench-storage: all
	$(Q)tests/bench/storage $(BENCH_ARGS)

demo: deps
	+$(Q)$(MAKE) --no-print-directory all $(GUESTS)
	$(Q)tests/bed/demo

deps:
	$(Q)tests/deps

install: all
	install -D -m 755 $(BUILD)/guestdeck $(DESTDIR)$(PREFIX)/bin/guestdeck

clean:
	rm -rf build build-asan build-tsan build-fuzz guestdeck

.PHONY: all unit kvm e2e suites suites-c check check-asan check-tsan \
	check-long check-layers fuzz format format-check cppcheck tidy bench \
	bench-storage \
	demo deps install clean
.SECONDARY:
.DELETE_ON_ERROR:

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
