/* cli_common.h - the options that mean the same in every program, as a block for the option table. */
#ifndef OMNI_CLI_COMMON_H
#define OMNI_CLI_COMMON_H

#include "cli_opt.h"
#include "omni.h"

typedef enum cli_color { CLI_COLOR_AUTO, CLI_COLOR_ALWAYS, CLI_COLOR_NEVER } cli_color;

typedef struct cli_common {
    bool quiet;
    int verbose;
    bool json;
    int color;          /* cli_color */
    int isa;            /* place in CLI_ISA_CHOICES; ask cli_isa() */
    const char *model;  /* name or file; NULL = the default model */
    int64_t threads;    /* 0 = one for each processor */
    uint64_t seed;      /* meaningful when cli_given(..., "seed") */
    const char *output; /* NULL or "-" = standard output */
    bool text, stream;  /* at most one of them: cli_begin checks */
} cli_common;

/* clang-format off */
#define CLI_COMMON_INIT {.threads = 0}

#define CLI_ISA_CHOICES "auto|generic|avx2|avx512|neon"
#define CLI_DEFAULT_MODEL "smollm2-135m-instruct"

/* The block; help_text and help_stream say what --text and --stream do in this program. */
#define CLI_COMMON_OPTS(T, m, help_text, help_stream) \
    {'m', "model", "MODEL", CLI_STRING, offsetof(T, m.model), .def = CLI_DEFAULT_MODEL, \
     .help = "model name or GGUF file", .section = "Common options", .main_help = true}, \
    {'o', "output", "FILE", CLI_STRING, offsetof(T, m.output), .def = "-", \
     .help = "write to FILE, which appears when complete", .main_help = true}, \
    {0, "text", NULL, CLI_FLAG, offsetof(T, m.text), .help = help_text}, \
    {0, "stream", NULL, CLI_FLAG, offsetof(T, m.stream), .help = help_stream}, \
    {0, "json", NULL, CLI_FLAG, offsetof(T, m.json), .help = "JSON lines out, messages as JSON too", .main_help = true}, \
    {'s', "seed", "N", CLI_SEED, offsetof(T, m.seed), .def = "drawn", .help = "seed of the random numbers"}, \
    {'t', "threads", "N", CLI_INT, offsetof(T, m.threads), .imin = 1, .imax = 1024, .def = "all processors", \
     .help = "threads; never changes the output", .main_help = true}, \
    {0, "isa", "LEVEL", CLI_CHOICE, offsetof(T, m.isa), .choices = CLI_ISA_CHOICES, .def = "auto", \
     .help = "highest instruction set to use"}, \
    {0, "color", "WHEN", CLI_CHOICE, offsetof(T, m.color), .choices = "auto|always|never", .def = "auto", \
     .help = "colour: auto, always or never"}, \
    {'q', "quiet", NULL, CLI_FLAG, offsetof(T, m.quiet), .help = "errors only"}, \
    {'v', "verbose", NULL, CLI_COUNT, offsetof(T, m.verbose), .help = "say more; -vv still more"}, \
    {'h', "help", "all", CLI_HELP, 0, .help = "this help; --help=all shows every option", .main_help = true}, \
    {'V', "version", NULL, CLI_VERSION, 0, .help = "version and licence", .main_help = true}
/* clang-format on */

/* ISA level asked for: --isa, else OMNI_ISA, else NULL for the best. Sets *bad (may be NULL) and returns NULL when
 * OMNI_ISA is not a level. */
const char *cli_isa(const cli_common *c, bool *bad);
/* 0 ok, 2 usage, 3 input or full, 4 system or memory. E_CANCELLED gives 3 unless a signal ends the program. */
int cli_exit_code(omni_status s);

#endif
