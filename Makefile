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
$(TEST_OBJ): private OM_INC := -I. -Itests -Ibin

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
	$(LINK) -fsanitize=fuzzer -o $@ $< $(FUZZ_OBJ) $(LIB) $(OM_LDLIBS) $(LDLIBS)
else
$(FUZZ_BIN): %: %.o $(BUILD)/tests/fuzz/replay.o $(LIB)
	$(LINK) -o $@ $< $(FUZZ_OBJ) $(BUILD)/tests/fuzz/replay.o $(LIB) $(OM_LDLIBS) $(LDLIBS)
endif
# the parser of a batch line is omni-run's
RUN_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard bin/run_*.c))) $(CLI_OBJ)
$(BUILD)/tests/fuzz/fuzz_batch: $(RUN_OBJ)
$(BUILD)/tests/fuzz/fuzz_batch: private FUZZ_OBJ = $(RUN_OBJ)
$(BUILD)/tests/fuzz/fuzz_batch: private OM_LDLIBS += -lreadline
$(INJECT): $(BUILD)/%.so: $(BUILD)/%.o
	$(CC) -shared -o $@ $< -ldl

# ---- tests: all print TAP, tests/run.sh runs them and counts -------------------------------------------------------
tests: $(LIB) $(SHLIB) $(PROG_BIN) links $(UNIT_BIN) $(FUZZ_BIN) $(INJECT)
CLI_TESTS := $(sort $(wildcard tests/cli/*.sh))
CHECK     := $(UNIT_BIN) $(FUZZ_BIN) $(CLI_TESTS) tests/install.sh tests/lint/abi.sh
# tests that need the real model say so by its variable; they skip when it is not there
BIG_SRC   := $(shell grep -l -e OMNI_TEST_MODEL -e test_big_model tests/unit/*.c tests/golden/*.c tests/cli/*.sh 2>/dev/null)
BIG       := $(patsubst %.c,$(BUILD)/%,$(BIG_SRC))
# what runs under the sanitizers: what they cannot change (drift, pages, installing) is left out
SAN_CLI   := $(filter-out $(wildcard tests/cli/completions*.sh tests/cli/man-*.sh tests/cli/fetch.sh tests/cli/inject.sh),$(CLI_TESTS))
SAN       := $(UNIT_BIN) $(FUZZ_BIN) $(SAN_CLI)
SUB       := +$(MAKE) --no-print-directory
RUN        = VARIANT=$(VARIANT) tests/run.sh

start: ## from an empty Debian to an answer: install what is missing, build, fetch the model, ask it
	@share/start.sh
check: ## build and run all tests; those of the real model when it is there
	@share/need.sh --stop build check
	$(SUB) $(JOBS) tests
	@$(RUN) $(CHECK)
check-big: ## run the tests of the real model, which must be there
	@share/omni/fetch >/dev/null
	$(SUB) $(JOBS) tests
	@LIMIT=1200 $(RUN) $(BIG)
asan: ## tests with the address and undefined behaviour sanitizers
	$(SUB) $(JOBS) VARIANT=asan check-san
asan-fast: ## the unit tests and the fuzz corpora alone with those sanitizers
	$(SUB) $(JOBS) VARIANT=asan tests
	@VARIANT=asan LIMIT=1200 tests/run.sh $(patsubst $(BUILD)/%,build/asan/%,$(UNIT_BIN) $(FUZZ_BIN))
tsan: ## tests with the thread sanitizer
	$(SUB) $(JOBS) VARIANT=tsan check-san
check-san: tests
	@export ASAN_OPTIONS=detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS=halt_on_error=1; \
	  VARIANT=$(VARIANT) LIMIT=1200 $(if $(filter tsan,$(VARIANT)),setarch -R) tests/run.sh $(SAN)
valgrind: ## tests under valgrind (slow)
	$(SUB) $(JOBS) VARIANT=valgrind tests
	@VARIANT=valgrind tests/valgrind.sh $(SAN:$(BUILD)/%=build/valgrind/%)
lint: ## formatting, static analysis, layers, banned functions, man pages, scripts
	@share/need.sh --warn lint
	$(SUB) $(JOBS) tests
	@LIMIT=600 $(RUN) $(sort $(wildcard tests/lint/*.sh)) $(wildcard tests/cli/man-options.sh tests/cli/completions-drift.sh)
fuzz: ## fuzz one target: make fuzz FUZZ=gguf TIME=600
	$(SUB) $(JOBS) VARIANT=fuzz build/fuzz/tests/fuzz/fuzz_$(FUZZ)
	@mkdir -p build/fuzz/found/$(FUZZ)
	build/fuzz/tests/fuzz/fuzz_$(FUZZ) -max_total_time=$(TIME) -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
	  -artifact_prefix=build/fuzz/found/$(FUZZ)- build/fuzz/found/$(FUZZ) $(wildcard tests/fuzz/corpus/$(FUZZ))
cov: ## lines covered by the tests, by file
	$(SUB) $(JOBS) VARIANT=cov tests
	@find build/cov -name '*.gcda' -delete
	-@VARIANT=cov tests/run.sh $(SAN:$(BUILD)/%=build/cov/%)
	@lcov -q -c -d build/cov -o build/cov/all.info && \
	  lcov -q -e build/cov/all.info '$(CURDIR)/lib/*' '$(CURDIR)/bin/*' -o build/cov/omni.info && lcov -l build/cov/omni.info
bench: all $(BENCH_BIN) ## speed as CSV; PEER=llama-bench measures that program too, in turns
	@BUILD=$(BUILD) PEER="$(PEER)" sh tests/bench/run.sh

# ---- install: one list "source:place:mode" for install and uninstall -----------------------------------------------
BINDIR     ?= $(PREFIX)/bin
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
DATADIR    ?= $(PREFIX)/share
MANDIR     ?= $(DATADIR)/man
FILES = $(foreach p,$(PROGS),$(BUILD)/bin/$(p):$(BINDIR)/$(p):755) \
  $(LIB):$(LIBDIR)/libomni.a:644 $(SHLIB):$(LIBDIR)/$(SONAME):644 lib/omni.h:$(INCLUDEDIR)/omni.h:644 \
  $(BUILD)/omni.pc:$(LIBDIR)/pkgconfig/omni.pc:644 \
  $(foreach s,1 3 5 7,$(foreach f,$(wildcard man/*.$(s)),$(f):$(MANDIR)/man$(s)/$(notdir $(f)):644)) \
  $(foreach f,$(wildcard completions/bash/*),$(f):$(DATADIR)/bash-completion/completions/$(notdir $(f)):644) \
  $(foreach f,$(wildcard completions/zsh/*),$(f):$(DATADIR)/zsh/site-functions/$(notdir $(f)):644) \
  $(foreach f,$(wildcard completions/fish/*),$(f):$(DATADIR)/fish/vendor_completions.d/$(notdir $(f)):644) \
  share/omni/fetch:$(DATADIR)/omni/fetch:755 \
  $(foreach f,$(filter-out share/omni/fetch,$(shell find share/omni -type f)),$(f):$(DATADIR)/omni/$(f:share/omni/%=%):644)
$(BUILD)/omni.pc: share/pkgconfig/omni.pc.in lib/omni.h FORCE
	@sed -e 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@INCLUDEDIR@|$(INCLUDEDIR)|; s|@VERSION@|$(VERSION)|' \
	  -e 's|@LIBS@|$(strip $(OM_LDLIBS) $(OM_LDFLAGS))|' $< > $@

install: all $(BUILD)/omni.pc ## install under PREFIX (/usr/local), staged in DESTDIR
	@set -e; for f in $(FILES); do src=$${f%%:*} to=$${f#*:}; mode=$${to##*:} to="$(DESTDIR)$${to%:*}"; \
	  $(INSTALL) -d "$${to%/*}"; $(INSTALL) -m $$mode $$src "$$to"; done
	@ln -sf $(SONAME) "$(DESTDIR)$(LIBDIR)/libomni.so"
	@echo "installed in $(DESTDIR)$(PREFIX); model: $(DATADIR)/omni/fetch"
uninstall: ## remove what install put there
	@for f in $(FILES); do to=$${f#*:}; rm -f "$(DESTDIR)$${to%:*}"; done
	@rm -f "$(DESTDIR)$(LIBDIR)/libomni.so"; ! [ -d "$(DESTDIR)$(DATADIR)/omni" ] || \
	  find "$(DESTDIR)$(DATADIR)/omni" -depth -type d -exec rmdir {} + 2>/dev/null || true
dist: ## build/omni-VERSION.tar.gz of the last commit
	@mkdir -p build
	git archive --prefix=omni-$(VERSION)/ HEAD | gzip -9n > build/omni-$(VERSION).tar.gz
clean: ## remove build/ and the links in bin/
	rm -rf build $(PROGS:%=bin/%)
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile
FORCE:
.PHONY: asan-fast all links tests start check check-big asan tsan check-san valgrind lint fuzz cov bench install uninstall dist \
  clean help FORCE
.SECONDARY:
-include $(LIB_OBJ:.o=.d) $(BIN_OBJ:.o=.d) $(TEST_OBJ:.o=.d)
