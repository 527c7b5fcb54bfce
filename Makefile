# omni: `make` builds, `make start` goes from an empty machine to an answer, `make check` proves that it works.
# `make help` lists the targets. Objects and programs of a variant live in build/$(VARIANT)/, side by side.
PREFIX  ?= /usr/local
DESTDIR ?=
VARIANT ?= release
BLAS    ?= openblas
INSTALL ?= install
CLANG   ?= clang-14
FUZZ    ?= gguf
TIME    ?= 60
JOBS    ?= -j$(shell nproc 2>/dev/null || echo 1)
BUILD   := build/$(VARIANT)
VERSION := $(shell sed -n 's/^\#define OMNI_VERSION "\(.*\)"/\1/p' lib/omni.h)
SONAME  := libomni.so.0
ifeq ($(VARIANT),fuzz)
CC := $(CLANG)
endif
ARCH := $(shell $(CC) -dumpmachine | cut -d- -f1)

# ---- flags: ours come first; the user's CFLAGS, CPPFLAGS and LDFLAGS are appended, never replaced --------------------
OM_CPPFLAGS := -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE -Ilib
OM_CFLAGS   := -std=c11 -O2 -g -fPIC -fvisibility=hidden -ffp-contract=off -pthread \
  -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef
OM_LDFLAGS  := -pthread
OM_LDLIBS   := -lm
OM_SOFLAGS  := -Wl,-z,defs
ifeq ($(WERROR),1)
OM_CFLAGS += -Werror
endif
OM_SAN :=
ifeq ($(VARIANT),debug)
OM_CFLAGS += -O0
endif
ifeq ($(VARIANT),asan)
OM_SAN := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -O1
endif
ifeq ($(VARIANT),tsan)
OM_SAN := -fsanitize=thread -O1
# OpenBLAS is not instrumented: its own locking would be reported.
BLAS   := none
endif
ifeq ($(VARIANT),cov)
OM_SAN := --coverage -O1
endif
ifeq ($(VARIANT),fuzz)
OM_SAN := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -O1
endif
ifneq ($(OM_SAN),)
OM_SOFLAGS :=
endif
ifeq ($(BLAS),openblas)
OM_CPPFLAGS += -DOMNI_HAVE_OPENBLAS
OM_LDLIBS   += -lopenblas
endif
COMPILE = $(CC) $(OM_CPPFLAGS) $(OM_INC) $(CPPFLAGS) $(OM_CFLAGS) $(OM_SAN) $(OM_ISA) $(CFLAGS)
LINK    = $(CC) $(OM_CFLAGS) $(OM_SAN) $(CFLAGS) $(OM_LDFLAGS) $(LDFLAGS)

# ---- files: found by name, so that a new file needs no line here ---------------------------------------------------
LIB_SRC := $(sort $(wildcard lib/*/*.c))
ifneq ($(ARCH),x86_64)
LIB_SRC := $(filter-out lib/kern/kern_x86_%.c,$(LIB_SRC))
endif
ifneq ($(ARCH),aarch64)
LIB_SRC := $(filter-out lib/kern/kern_arm_%.c,$(LIB_SRC))
endif
LIB_OBJ   := $(LIB_SRC:%.c=$(BUILD)/%.o)
LIB       := $(BUILD)/libomni.a
SHLIB     := $(BUILD)/$(SONAME)
PROGS     := $(patsubst bin/%.c,%,$(sort $(wildcard bin/omni-*.c)))
PROG_BIN  := $(PROGS:%=$(BUILD)/bin/%)
CLI_OBJ   := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard bin/cli/*.c)))
BIN_OBJ   := $(patsubst %.c,$(BUILD)/%.o,$(wildcard bin/*.c bin/cli/*.c))
UNIT_BIN  := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard tests/unit/test_*.c tests/golden/test_*.c)))
FUZZ_BIN  := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
BENCH_BIN := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard tests/bench/bench_*.c)))
INJECT    := $(patsubst tests/inject/%.c,$(BUILD)/tests/inject/%.so,$(wildcard tests/inject/*.c))
TEST_OBJ  := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/*/*.c))

all: $(LIB) $(SHLIB) $(PROG_BIN) links ## build the library and the programs, and link bin/omni-* to them

# bin/omni-x, next to its source, is a link to the release build: ./bin/omni-run works after `make`.
links: $(PROG_BIN)
ifeq ($(VARIANT),release)
	@for p in $(PROGS); do [ "$$(readlink bin/$$p)" = ../$(BUILD)/bin/$$p ] || ln -sf ../$(BUILD)/bin/$$p bin/$$p; done
endif

# ---- rules ---------------------------------------------------------------------------------------------------------
# One file a level gets the flags of that level, nothing else does: the choice is made at run time.
$(BUILD)/lib/kern/kern_x86_avx2.o: private OM_ISA := -mavx2 -mfma -mf16c
$(BUILD)/lib/kern/kern_x86_avx512.o: private OM_ISA := \
  -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni
$(BUILD)/lib/kern/kern_arm_neon.o: private OM_ISA := -march=armv8.2-a+dotprod
$(BIN_OBJ): private OM_INC := -Ibin
$(TEST_OBJ): private OM_INC := -I. -Itests

# Stamps change only when what they hold does: other flags rebuild everything, another list of objects the libraries.
quote = '$(subst ','\'',$(1))'
stamp = @mkdir -p $(@D); printf '%s\n' $(call quote,$(1)) | cmp -s - $@ || printf '%s\n' $(call quote,$(1)) > $@
$(BUILD)/flags: FORCE
	$(call stamp,$(COMPILE) / $(LINK) $(OM_LDLIBS) $(LDLIBS))
$(BUILD)/objects: FORCE
	$(call stamp,$(LIB_OBJ) $(BIN_OBJ))

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(COMPILE) -MMD -MP -c -o $@ $<
$(LIB): $(LIB_OBJ) $(BUILD)/objects
	rm -f $@ && $(AR) rcs $@ $(LIB_OBJ)
$(SHLIB): $(LIB_OBJ) $(BUILD)/objects
	$(LINK) -shared -Wl,-soname,$(SONAME) $(OM_SOFLAGS) -o $@ $(LIB_OBJ) $(OM_LDLIBS) $(LDLIBS)
	ln -sf $(SONAME) $(BUILD)/libomni.so
# omni-x is bin/omni-x.c, bin/x_*.c and bin/cli/*.c; only omni-run has readline, and with it the GPL.
$(BUILD)/bin/omni-run: private OM_LDLIBS += -lreadline
define program
$(BUILD)/bin/omni-$(1): $(patsubst %.c,$(BUILD)/%.o,bin/omni-$(1).c $(wildcard bin/$(1)_*.c)) $(CLI_OBJ) $(LIB) $(BUILD)/objects
endef
$(foreach p,$(PROGS),$(eval $(call program,$(p:omni-%=%))))
$(PROG_BIN):
	$(LINK) -o $@ $(filter %.o %.a,$^) $(OM_LDLIBS) $(LDLIBS)
$(UNIT_BIN) $(BENCH_BIN): %: %.o $(LIB)
	$(LINK) -o $@ $< $(LIB) $(OM_LDLIBS) $(LDLIBS)
ifeq ($(VARIANT),fuzz)
$(FUZZ_BIN): %: %.o $(LIB)
	$(LINK) -fsanitize=fuzzer -o $@ $< $(LIB) $(OM_LDLIBS) $(LDLIBS)
else
$(FUZZ_BIN): %: %.o $(BUILD)/tests/fuzz/replay.o $(LIB)
	$(LINK) -o $@ $< $(BUILD)/tests/fuzz/replay.o $(LIB) $(OM_LDLIBS) $(LDLIBS)
endif
$(INJECT): $(BUILD)/%.so: $(BUILD)/%.o
	$(CC) -shared -o $@ $< -ldl

check: $(UNIT_BIN)
	prove $(UNIT_BIN)
clean: ## remove build/ and the links in bin/
	rm -rf build $(PROGS:%=bin/%)
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile
FORCE:
.PHONY: all links check clean help FORCE
.SECONDARY:
-include $(LIB_OBJ:.o=.d) $(BIN_OBJ:.o=.d) $(TEST_OBJ:.o=.d)
