# omni: see README.md. `make help` lists the targets.
PREFIX  ?= /usr/local
DESTDIR ?=
VARIANT ?= release
BLAS    ?= openblas
BUILD   := build/$(VARIANT)
ARCH    := $(shell $(CC) -dumpmachine | cut -d- -f1)

# Ours come first; what the user gives in CFLAGS, CPPFLAGS and LDFLAGS is appended, never replaced.
OM_CPPFLAGS := -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE -Ilib
OM_CFLAGS   := -std=c11 -O2 -g -fPIC -fvisibility=hidden -ffp-contract=off -pthread -MMD -MP \
  -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef
OM_LDFLAGS  := -pthread
OM_LDLIBS   := -lm
ifeq ($(VARIANT),asan)
OM_CFLAGS  += -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -O1
OM_LDFLAGS += -fsanitize=address,undefined
endif
ifeq ($(VARIANT),tsan)
OM_CFLAGS  += -fsanitize=thread -O1
OM_LDFLAGS += -fsanitize=thread
endif
ifeq ($(BLAS),openblas)
OM_CPPFLAGS += -DOMNI_HAVE_OPENBLAS
OM_LDLIBS   += -lopenblas
endif

LIB_SRC := $(sort $(wildcard lib/*/*.c))
ifneq ($(ARCH),x86_64)
LIB_SRC := $(filter-out lib/kern/kern_x86_%.c,$(LIB_SRC))
endif
ifneq ($(ARCH),aarch64)
LIB_SRC := $(filter-out lib/kern/kern_arm_%.c,$(LIB_SRC))
endif
LIB_OBJ := $(LIB_SRC:%.c=$(BUILD)/%.o)
LIB     := $(BUILD)/libomni.a

UNIT_SRC := $(sort $(wildcard tests/unit/test_*.c))
UNIT_BIN := $(UNIT_SRC:tests/unit/%.c=$(BUILD)/tests/unit/%)

all: $(LIB)

# One file a level: nothing else gets these flags.
$(BUILD)/lib/kern/kern_x86_avx2.o: OM_ISA := -mavx2 -mfma -mf16c
$(BUILD)/lib/kern/kern_x86_avx512.o: OM_ISA := -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni
$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(OM_CPPFLAGS) $(CPPFLAGS) $(OM_CFLAGS) $(OM_ISA) $(CFLAGS) -c -o $@ $<
$(LIB): $(LIB_OBJ)
	rm -f $@ && $(AR) rcs $@ $(LIB_OBJ)
$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(LIB)
	$(CC) $(OM_CFLAGS) $(CFLAGS) $(OM_LDFLAGS) $(LDFLAGS) -o $@ $< $(LIB) $(OM_LDLIBS) $(LDLIBS)

check: $(UNIT_BIN)
	prove $(UNIT_BIN)
clean:
	rm -rf build
.PHONY: all check clean
-include $(LIB_OBJ:.o=.d)
