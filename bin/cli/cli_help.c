/* cli_help.c - --help, --version and --dump-options from the option table. */
#include "cli_help.h"

#include "cli_out.h"
#include "omni.h"

#include <stdio.h>
#include <string.h>

#define HELP_COLUMN 27 /* where the text of an option starts */
#define HELP_WIDTH 79

/* Prints text from column `at`, wrapped at spaces, continued at HELP_COLUMN. */
static void print_wrapped(const char *text, size_t at)
{
    while (*text) {
        size_t n = strcspn(text, " ");
        if (at > HELP_COLUMN && at + 1 + n > HELP_WIDTH) {
            printf("\n%*s", HELP_COLUMN, "");
            at = HELP_COLUMN;
        } else if (at > HELP_COLUMN) {
            putchar(' ');
            at++;
        }
        printf("%.*s", (int)n, text);
        at += n;
        text += n;
        text += strspn(text, " ");
    }
    putchar('\n');
}

static void print_option(const cli_opt *o)
{
    char left[80], text[512];
    int n = snprintf(left, sizeof left, "  %c%c%c --%s", o->short_name ? '-' : ' ', o->short_name ? o->short_name : ' ',
                     o->short_name ? ',' : ' ', o->long_name);
    if (o->arg && n > 0 && (size_t)n < sizeof left)
        snprintf(left + n, sizeof left - (size_t)n, o->kind == CLI_HELP || o->optional ? "[=%s]" : "=%s", o->arg);
    size_t len = strlen(left);
    printf("%s", left);
    if (len + 2 > HELP_COLUMN) {
        putchar('\n');
        len = 0;
    }
    printf("%*s", (int)(HELP_COLUMN - len), "");
    snprintf(text, sizeof text, o->def ? "%s [%s]" : "%s", o->help, o->def);
    print_wrapped(text, HELP_COLUMN);
}

int cli_help_print(const cli_program *p, bool all)
{
    printf("Usage: %s %s\n%s.\n%s", p->name, p->usage, p->summary, all ? "" : "\n");
    for (size_t i = 0; i < p->n_opts; i++) {
        const cli_opt *o = &p->opts[i];
        if (all && o->section)
            printf("\n%s:\n", o->section);
        if (all || o->main_help)
            print_option(o);
    }
    printf("\nExamples:\n%s%s: man %s\n", p->examples, all ? "\nMore" : "All options: --help=all; more", p->name);
    return cli_end(NULL, 0);
}

int cli_help_version(const cli_program *p)
{
    printf("%s %s\n%s", p->name, OMNI_VERSION, p->licence);
    if (strcmp(omni_version(), OMNI_VERSION) != 0)
        printf("libomni %s\n", omni_version());
    return cli_end(NULL, 0);
}

static const char *field(const char *s)
{
    return s && *s ? s : "-";
}

int cli_help_dump(const cli_program *p)
{
    static const char *const kinds[] = {
        [CLI_FLAG] = "flag", [CLI_COUNT] = "flag",  [CLI_INT] = "int",       [CLI_SEED] = "int",
        [CLI_SIZE] = "size", [CLI_FLOAT] = "float", [CLI_STRING] = "string", [CLI_CHOICE] = "choice",
        [CLI_LIST] = "list", [CLI_HELP] = "help",   [CLI_VERSION] = "flag"};
    const char *section = "";
    printf("program\t%s\t%s\n", p->name, p->summary);
    for (size_t i = 0; i < p->n_opts; i++) {
        const cli_opt *o = &p->opts[i];
        char s[2] = {o->short_name, '\0'};
        section = o->section ? o->section : section;
        printf("option\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", field(s), o->long_name, field(o->arg),
               o->optional ? "optional" : kinds[o->kind], field(o->choices), field(o->def), o->main_help ? "main" : "-",
               field(section), o->help);
    }
    return cli_end(NULL, 0);
}
