/* cli_msg.c - messages, progress, colour decision. */
#include "cli_msg.h"

#include "cli_common.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    const char *program;
    bool json, quiet;
    int verbose;
    int color;  /* cli_color */
    bool drawn; /* a progress line is on the terminal */
} state = {.program = "omni"};

void cli_msg_setup(const char *program, bool json, bool quiet, int verbose, int color)
{
    state.program = program;
    state.json = json;
    state.quiet = quiet;
    state.verbose = verbose;
    state.color = color;
}

/* Nothing can be done about a standard error that cannot be written. */
static void write_stderr(const char *p, size_t n)
{
    while (n > 0) {
        ssize_t w = write(STDERR_FILENO, p, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return;
        p += w;
        n -= (size_t)w;
    }
}

static char *put_hex(char *o, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    memcpy(o, "\\x", 2);
    o[2] = hex[c >> 4];
    o[3] = hex[c & 15];
    return o + 4;
}

/* Copies text with control characters spelled out, so that a file name cannot drive the terminal or fake a line.
 * C1 controls, two bytes in UTF-8, count too. out needs 4 bytes for each of text. */
static size_t make_visible(const char *text, char *out)
{
    char *o = out;
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        bool c1 = p[0] == 0xC2 && p[1] >= 0x80 && p[1] <= 0x9F;
        if (*p == '\n') {
            *o++ = '\\';
            *o++ = 'n';
        } else if (*p < 0x20 || *p == 0x7F || c1) {
            o = put_hex(o, *p);
            if (c1)
                o = put_hex(o, *++p);
        } else {
            *o++ = (char)*p;
        }
    }
    return (size_t)(o - out);
}

static void emit_json(const char *level, const char *text)
{
    char *buf = NULL;
    size_t n = 0, cap = 0;
    char head[128];
    int h = snprintf(head, sizeof head, "{\"level\":\"%s\",\"program\":\"%s\",\"message\":", level, state.program);
    if (omni_json_quote(text, strlen(text), &buf, &n, &cap) == OMNI_OK) {
        char *line = malloc((size_t)h + n + 2);
        if (line) {
            memcpy(line, head, (size_t)h);
            memcpy(line + h, buf, n);
            memcpy(line + (size_t)h + n, "}\n", 2);
            write_stderr(line, (size_t)h + n + 2); /* one write: lines of several programs do not mix */
            free(line);
        }
    }
    free(buf);
}

static void emit(const char *level, const char *label, const char *fmt, va_list ap)
{
    char text[2048], line[4 * sizeof text + 128];
    if (vsnprintf(text, sizeof text, fmt, ap) >= (int)sizeof text)
        memcpy(text + sizeof text - 4, "...", 4);
    cli_progress_clear();
    if (state.json) {
        emit_json(level, text);
        return;
    }
    bool red = *label && cli_color_on(STDERR_FILENO);
    int n = snprintf(line, 128, "%s: %s%s%s", state.program, red ? "\x1b[1;31m" : "", label, red ? "\x1b[0m" : "");
    size_t at = (size_t)n + make_visible(text, line + n);
    line[at++] = '\n';
    write_stderr(line, at);
}

#define EMIT(level, label)                                                                                             \
    do {                                                                                                               \
        va_list ap;                                                                                                    \
        va_start(ap, fmt);                                                                                             \
        emit(level, label, fmt, ap);                                                                                   \
        va_end(ap);                                                                                                    \
    } while (0)

void cli_error(const char *fmt, ...)
{
    EMIT("error", "");
}

void cli_warn(const char *fmt, ...)
{
    if (!state.quiet)
        EMIT("warning", "warning: ");
}

void cli_note(const char *fmt, ...)
{
    if (!state.quiet)
        EMIT("note", "");
}

void cli_verbose(int level, const char *fmt, ...)
{
    if (state.verbose >= level)
        EMIT("info", "");
}

int cli_fail(omni_status s, const omni_error *err)
{
    if (err && err->text[0])
        cli_error("%s", err->text);
    return cli_exit_code(s);
}

omni_status cli_set_error(omni_error *err, omni_status s, const char *fmt, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(err->text, sizeof err->text, fmt, ap);
        va_end(ap);
    }
    return s;
}

static bool smart_terminal(int fd)
{
    const char *term = getenv("TERM");
    return term && *term && strcmp(term, "dumb") != 0 && isatty(fd);
}

bool cli_color_on(int fd)
{
    const char *no = getenv("NO_COLOR");
    if (state.color != CLI_COLOR_AUTO)
        return state.color == CLI_COLOR_ALWAYS;
    return !(no && *no) && smart_terminal(fd);
}

void cli_progress(const char *fmt, ...)
{
    char text[160], line[4 * sizeof text + 8] = "\r\x1b[K";
    if (state.quiet || state.json || !smart_terminal(STDERR_FILENO))
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    write_stderr(line, 4 + make_visible(text, line + 4));
    state.drawn = true;
}

void cli_progress_clear(void)
{
    if (state.drawn)
        write_stderr("\r\x1b[K", 4);
    state.drawn = false;
}
