/* cli_opt.c - the option table as a parser: strict numbers, getopt_long, no abbreviations. */
#include "cli_opt.h"

#include "cli_common.h"
#include "cli_help.h"
#include "cli_in.h"
#include "cli_msg.h"
#include "cli_signal.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LONG_BASE 256 /* getopt values of long options: LONG_BASE + place in the table */

/* ---- strict numbers ---- */

bool cli_parse_u64(const char *s, uint64_t *out)
{
    uint64_t v = 0;
    if (*s == '\0')
        return false;
    for (; *s; s++) {
        if (*s < '0' || *s > '9' || __builtin_mul_overflow(v, (uint64_t)10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
            return false;
    }
    *out = v;
    return true;
}

bool cli_parse_int(const char *s, int64_t min, int64_t max, int64_t *out)
{
    bool neg = *s == '-';
    uint64_t u;
    if (!cli_parse_u64(*s == '-' || *s == '+' ? s + 1 : s, &u) || u > (uint64_t)INT64_MAX)
        return false;
    int64_t v = neg ? -(int64_t)u : (int64_t)u;
    if (v < min || v > max)
        return false;
    *out = v;
    return true;
}

bool cli_parse_size(const char *s, uint64_t *out)
{
    static const char units[] = "KMGT";
    char digits[24];
    size_t n = strspn(s, "0123456789");
    if (n == 0 || n >= sizeof digits)
        return false;
    memcpy(digits, s, n);
    digits[n] = '\0';
    uint64_t v, unit = 1;
    if (!cli_parse_u64(digits, &v))
        return false;
    if (s[n] != '\0') {
        const char *u = strchr(units, s[n] >= 'a' ? s[n] - ('a' - 'A') : s[n]);
        if (!u || s[n + 1] != '\0')
            return false;
        unit = (uint64_t)1 << (10 * (u - units + 1));
    }
    if (__builtin_mul_overflow(v, unit, &v))
        return false;
    *out = v;
    return true;
}

bool cli_parse_float(const char *s, double min, double max, double *out)
{
    /* strtod alone would take blanks, hex, "nan" and "infinity" */
    char *end;
    if (*s == '\0' || s[strspn(s, "0123456789+-.eE")] != '\0')
        return false;
    double v = strtod(s, &end);
    if (*end != '\0' || !isfinite(v) || v < min || v > max)
        return false;
    *out = v;
    return true;
}

/* ---- one value ---- */

static int choice_index(const char *choices, const char *value)
{
    size_t n = strlen(value);
    int i = 0;
    for (const char *p = choices;; i++) {
        size_t len = strcspn(p, "|");
        if (n > 0 && len == n && memcmp(p, value, n) == 0)
            return i;
        if (p[len] == '\0')
            return -1;
        p += len + 1;
    }
}

/* What would have been right, for "expected ...". */
static void expected(const cli_opt *o, char *buf, size_t cap)
{
    switch (o->kind) {
    case CLI_INT:
        if (o->imax == INT64_MAX)
            snprintf(buf, cap, "a whole number from %lld on", (long long)o->imin);
        else
            snprintf(buf, cap, "%lld..%lld", (long long)o->imin, (long long)o->imax);
        break;
    case CLI_SEED:
        snprintf(buf, cap, "0..%llu", (unsigned long long)UINT64_MAX);
        break;
    case CLI_SIZE:
        snprintf(buf, cap, "a size in bytes from %lld to %lld, such as 4096, 64K or 2M", (long long)o->imin,
                 (long long)o->imax);
        break;
    case CLI_FLOAT:
        snprintf(buf, cap, "%g..%g", o->fmin, o->fmax);
        break;
    case CLI_CHOICE: {
        size_t n = 0;
        for (const char *p = o->choices; *p && n + 6 < cap; p++) {
            const char *sep = strchr(p + 1, '|') ? ", " : " or ";
            n += (size_t)snprintf(buf + n, cap - n, "%.*s", *p == '|' ? (int)strlen(sep) : 1, *p == '|' ? sep : p);
        }
        break;
    }
    default:
        snprintf(buf, cap, "a value");
    }
}

static bool list_add(cli_list *l, const char *value)
{
    const char **v = realloc(l->v, (l->n + 1) * sizeof *v);
    if (!v)
        return false;
    l->v = v;
    l->v[l->n++] = value;
    return true;
}

void cli_list_release(cli_list *l)
{
    free(l->v);
    *l = (cli_list){0};
}

static bool set_value(const cli_opt *o, void *opts, const char *value, char *why, size_t cap)
{
    void *field = (char *)opts + o->at;
    bool good = true;
    switch (o->kind) {
    case CLI_FLAG:
        *(bool *)field = true;
        break;
    case CLI_COUNT:
        *(int *)field += *(int *)field < INT_MAX;
        break;
    case CLI_INT:
        good = cli_parse_int(value, o->imin, o->imax, field);
        break;
    case CLI_SEED:
        good = cli_parse_u64(value, field);
        break;
    case CLI_SIZE: {
        uint64_t v = 0;
        good = cli_parse_size(value, &v) && v >= (uint64_t)o->imin && v <= (uint64_t)o->imax;
        if (good)
            *(uint64_t *)field = v;
        break;
    }
    case CLI_FLOAT:
        good = cli_parse_float(value, o->fmin, o->fmax, field);
        break;
    case CLI_STRING:
        *(const char **)field = value;
        break;
    case CLI_CHOICE: {
        int i = choice_index(o->choices, value);
        good = i >= 0;
        if (good)
            *(int *)field = i;
        break;
    }
    case CLI_LIST:
        if (!list_add(field, value)) {
            snprintf(why, cap, "--%s: out of memory", o->long_name);
            return false;
        }
        break;
    case CLI_HELP:
    case CLI_VERSION:
        break;
    }
    if (!good) {
        char want[160];
        expected(o, want, sizeof want);
        snprintf(why, cap, "--%s: expected %s, found '%.200s'", o->long_name, want, value);
    }
    return good;
}

static const cli_opt *find_long(const cli_program *p, const char *name)
{
    for (size_t i = 0; i < p->n_opts; i++) {
        if (strcmp(p->opts[i].long_name, name) == 0)
            return &p->opts[i];
    }
    return NULL;
}

static bool has_value(const cli_opt *o)
{
    return o->kind != CLI_FLAG && o->kind != CLI_COUNT && o->kind != CLI_HELP && o->kind != CLI_VERSION;
}

bool cli_opt_set(const cli_program *p, void *opts, const char *long_name, const char *value, char *why, size_t cap)
{
    const cli_opt *o = find_long(p, long_name);
    if (!o || o->kind == CLI_HELP || o->kind == CLI_VERSION) {
        snprintf(why, cap, "unknown option '%.100s'", long_name);
        return false;
    }
    value = value ? value : o->optional;
    if (has_value(o) != (value != NULL)) {
        snprintf(why, cap, "--%s: %s", long_name, value ? "takes no value" : "needs a value");
        return false;
    }
    return set_value(o, opts, value, why, cap);
}

int cli_given(const cli_program *p, const cli_args *args, const char *long_name)
{
    const cli_opt *o = find_long(p, long_name);
    return o ? args->given[o - p->opts] : 0;
}

/* ---- the command line ---- */

int cli_usage(const cli_program *p, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    cli_error("%s (try '%s --help')", text, p->name);
    return 2;
}

typedef struct parser {
    const cli_program *p;
    struct option longs[CLI_OPT_MAX + 2];
    char shorts[3 * CLI_OPT_MAX + 2];
} parser;

static void parser_init(parser *ps, const cli_program *p)
{
    char *s = ps->shorts;
    size_t n = p->n_opts < CLI_OPT_MAX ? p->n_opts : CLI_OPT_MAX;
    *s++ = ':';
    for (size_t i = 0; i < n; i++) {
        const cli_opt *o = &p->opts[i];
        bool may = o->kind == CLI_HELP || o->optional;
        int need = may ? optional_argument : has_value(o) ? required_argument : no_argument;
        ps->longs[i] = (struct option){o->long_name, need, NULL, LONG_BASE + (int)i};
        if (o->short_name) {
            *s++ = o->short_name;
            if (has_value(o))
                *s++ = ':';
        }
    }
    *s = '\0';
    ps->longs[n] = (struct option){"dump-options", no_argument, NULL, LONG_BASE + CLI_OPT_MAX};
    ps->longs[n + 1] = (struct option){NULL, 0, NULL, 0};
}

/* The table's place of what getopt_long returned, -1 = none. */
static int place_of(const cli_program *p, int c)
{
    if (c >= LONG_BASE)
        return c - LONG_BASE;
    for (size_t i = 0; i < p->n_opts; i++) {
        if (p->opts[i].short_name && p->opts[i].short_name == c)
            return (int)i;
    }
    return -1;
}

/* The word of argv that held the option getopt_long has just returned. */
static const char *option_word(char **argv)
{
    int at = optind - 1;
    if (optarg && at > 0 && argv[at] == optarg)
        at--;
    return argv[at];
}

/* "--temp" for "--temp=3", cut to a printable length. */
static int word_len(const char *word)
{
    size_t n = strcspn(word, "=");
    return n > 100 ? 100 : (int)n;
}

static int bad_option(const cli_program *p, int c, char **argv)
{
    const char *word = argv[optind - 1];
    int i = place_of(p, optopt);
    if (c == ':')
        return cli_usage(p, "--%s: needs a value", i >= 0 ? p->opts[i].long_name : "?");
    if (optopt >= LONG_BASE && i < CLI_OPT_MAX)
        return cli_usage(p, "--%s: takes no value", p->opts[i].long_name);
    if (optopt > 0 && optopt < LONG_BASE)
        return cli_usage(p, "unknown option '-%c'", optopt);
    return cli_usage(p, "unknown option '%.*s'", word_len(word), word);
}

/* getopt_long takes "--temp" for "--temperature"; scripts written so break when an option is added, so we do not. */
static bool abbreviated(const char *word, const char *name)
{
    return strncmp(word + 2, name, strlen(name)) != 0 ||
           (word[2 + strlen(name)] != '\0' && word[2 + strlen(name)] != '=');
}

/* Handles one option; -1 = go on. */
static int one_option(parser *ps, void *opts, int c, char **argv, cli_args *args)
{
    const cli_program *p = ps->p;
    char why[512];
    if (c == '?' || c == ':')
        return bad_option(p, c, argv);
    int i = place_of(p, c);
    const char *word = option_word(argv);
    const char *name = i == CLI_OPT_MAX ? "dump-options" : p->opts[i].long_name;
    if (c >= LONG_BASE && abbreviated(word, name))
        return cli_usage(p, "unknown option '%.*s'; did you mean '--%s'?", word_len(word), word, name);
    if (i == CLI_OPT_MAX)
        return cli_help_dump(p);
    const cli_opt *o = &p->opts[i];
    if (o->kind == CLI_HELP) {
        if (optarg && strcmp(optarg, "all") != 0)
            return cli_usage(p, "--help: expected nothing or all, found '%.100s'", optarg);
        return cli_help_print(p, optarg != NULL);
    }
    if (o->kind == CLI_VERSION)
        return cli_help_version(p);
    args->given[i]++;
    if (!set_value(o, opts, optarg ? optarg : o->optional, why, sizeof why))
        return cli_usage(p, "%s", why);
    return -1;
}

static bool scan_json(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--json") == 0)
            return true;
    }
    return false;
}

int cli_begin(const cli_program *p, void *opts, int argc, char **argv, cli_args *args)
{
    parser ps = {.p = p};
    int c, rc;
    cli_common *common = (cli_common *)(void *)((char *)opts + p->common_at);

    cli_open_std_fds();
    cli_signal_init();
    /* errors of the command line itself must already come as JSON where that is asked for */
    cli_msg_setup(p->name, scan_json(argc, argv), false, 0, CLI_COLOR_AUTO);
    *args = (cli_args){0};
    parser_init(&ps, p);
    opterr = 0;
    while ((c = getopt_long(argc, argv, ps.shorts, ps.longs, NULL)) != -1) {
        rc = one_option(&ps, opts, c, argv, args);
        if (rc >= 0)
            return rc;
    }
    args->n = optind < argc ? argc - optind : 0;
    args->v = argv + (optind < argc ? optind : argc);
    cli_msg_setup(p->name, common->json, common->quiet, common->verbose, common->color);
    if (common->text && common->stream)
        return cli_usage(p, "--text and --stream contradict each other");
    return -1;
}
