/* cli_opt.h - one option table a program: it is the parser, --help, --dump-options (from which the completions
 * are made) and what the man page is checked against. */
#ifndef OMNI_CLI_OPT_H
#define OMNI_CLI_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLI_COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))
#define CLI_OPT_MAX 128 /* options a program can have */

typedef enum cli_kind {              /* type of the field the option fills */
                        CLI_FLAG,    /* bool: true */
                        CLI_COUNT,   /* int: one more each time */
                        CLI_INT,     /* int64_t in imin..imax */
                        CLI_SEED,    /* uint64_t, 0..2^64-1 */
                        CLI_SIZE,    /* uint64_t bytes in imin..imax: "4096", "64K", "2M", "1G" (powers of 1024) */
                        CLI_FLOAT,   /* double in fmin..fmax; nan and inf are refused */
                        CLI_STRING,  /* const char *, points into argv */
                        CLI_CHOICE,  /* int: place in choices, "auto|always|never" -> 0, 1, 2 */
                        CLI_LIST,    /* cli_list: one string more each time */
                        CLI_HELP,    /* no field: --help */
                        CLI_VERSION, /* no field: --version */
} cli_kind;

typedef struct cli_list { /* start from {0}; the strings point into argv; cli_list_release frees the array */
    const char **v;
    size_t n;
} cli_list;

typedef struct cli_opt {
    char short_name; /* 0 = none */
    const char *long_name;
    const char *arg; /* "FILE", "DIR" and "MODEL" complete to such; NULL for kinds without a value */
    cli_kind kind;
    size_t at; /* offsetof the field in the program's options struct */
    int64_t imin, imax;
    double fmin, fmax;
    const char *choices;
    const char *optional; /* value when the option stands alone; another then needs "=": --name=5, long name only */
    const char *def;      /* default as --help shows it; NULL = none */
    const char *help;     /* up to 50 characters when main_help is set; lower-case, no full stop */
    const char *section;  /* heading in --help=all; NULL = that of the option before */
    bool main_help;       /* shown by plain --help, which has room for about 14 of them */
} cli_opt;

typedef struct cli_program {
    const char *name;     /* "omni-run" */
    const char *summary;  /* one sentence for --help, without a full stop */
    const char *usage;    /* what follows the name: "[OPTION]... [TEXT]..." */
    const char *examples; /* two lines, each "  command # comment\n" or so */
    const char *licence;  /* lines for --version, each ending in \n */
    const cli_opt *opts;
    size_t n_opts;
    size_t common_at; /* offsetof the cli_common in the options struct */
} cli_program;

typedef struct cli_args {
    int n; /* operands */
    char **v;
    int given[CLI_OPT_MAX]; /* by place in the table: how often it was given; cli_given asks by name */
} cli_args;

/* First line of main: opens fds 0-2 where they are closed, sets the signals up, parses. Returns -1 to go on, else
 * the exit code (0 after --help or --version, 2 after a usage error, which has been reported). */
int cli_begin(const cli_program *p, void *opts, int argc, char **argv, cli_args *args);
/* How often --long_name was given; the name must be in the table. */
int cli_given(const cli_program *p, const cli_args *args, const char *long_name);
void cli_list_release(cli_list *l);
/* Reports "NAME: MESSAGE (try 'NAME --help')" and returns 2, for the checks a program makes itself. */
int cli_usage(const cli_program *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Sets one option from outside argv (a line of a batch file, /set in the REPL) by the same table and rules. value is
 * NULL for flags; strings are kept by pointer. On failure returns false, *opts unchanged, and writes
 * "NAME: expected X, found 'Y'" to why. */
bool cli_opt_set(const cli_program *p, void *opts, const char *long_name, const char *value, char *why, size_t cap);

/* Strict numbers: the whole string, no blanks, no nan, inf or hex, in range; *out is unchanged on failure. */
bool cli_parse_int(const char *s, int64_t min, int64_t max, int64_t *out);
bool cli_parse_u64(const char *s, uint64_t *out);
bool cli_parse_size(const char *s, uint64_t *out);
bool cli_parse_float(const char *s, double min, double max, double *out);

#endif
