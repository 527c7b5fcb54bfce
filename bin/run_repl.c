/* The only file that knows readline: reading lines at a terminal, with history, completion and Ctrl-C. Nothing of
 * readline runs before the first prompt. */
#include "run_talk.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <readline/history.h>
#include <readline/readline.h>

#define HISTORY_MAX 1000 /* lines kept in the file */
#define QUOTES "\"\"\""

typedef enum input_end { LINE, INTERRUPT, LEAVE } input_end;

/* readline's callbacks have no user pointer. */
static struct {
    char *line;
    bool done;
} reading;

/* ---- history ------------------------------------------------------------------------------------ */

/* Makes the folders of path, which may exist. */
static bool make_parents(char *path)
{
    for (char *p = path + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        bool ok = mkdir(path, 0700) == 0 || errno == EEXIST;
        *p = '/';
        if (!ok)
            return false;
    }
    return true;
}

/* ${XDG_STATE_HOME:-$HOME/.local/state}/omni/history, malloc'ed; NULL: there is no place for one. */
static char *history_path(void)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    bool xdg = state && state[0] == '/'; /* the specification says to ignore relative ones */
    if (!xdg && (!home || home[0] != '/'))
        return NULL;
    const char *base = xdg ? state : home, *rest = xdg ? "/omni/history" : "/.local/state/omni/history";
    size_t n = strlen(base) + strlen(rest) + 1;
    char *path = malloc(n);
    if (path)
        snprintf(path, n, "%s%s", base, rest);
    return path;
}

static char *open_history(void)
{
    char *path = history_path();
    int fd = path && make_parents(path) ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (fd < 0) {
        cli_verbose(1, "no history: %s", path ? strerror(errno) : "HOME is not set");
        free(path);
        return NULL;
    }
    close(fd);
    using_history();
    stifle_history(HISTORY_MAX);
    read_history(path);
    history_truncate_file(path, HISTORY_MAX);
    return path;
}

/* Each line is saved at once, so that a crash loses none and two terminals do not overwrite each other's. */
static void remember(const char *path, const char *line)
{
    HIST_ENTRY *last = history_length ? history_get(history_base + history_length - 1) : NULL;
    if (!*line || (last && strcmp(last->line, line) == 0))
        return;
    add_history(line);
    if (path && append_history(1, path) != 0)
        cli_verbose(1, "%s: %s", path, strerror(errno));
}

/* ---- completion ---------------------------------------------------------------------------------- */

static char *next_name(const char *(*name)(size_t), const char *text, int state)
{
    static size_t at;
    const char *s;
    if (state == 0)
        at = 0;
    while ((s = name(at)))
        if (at++, strncmp(s, text, strlen(text)) == 0)
            return strdup(s);
    return NULL;
}

static char *next_command(const char *text, int state)
{
    return next_name(run_talk_command_name, text, state);
}

static char *next_param(const char *text, int state)
{
    return next_name(run_talk_set_name, text, state);
}

/* Commands at the start of a line, parameters after /set, else file names, readline's own way. */
static char **complete(const char *text, int start, int end)
{
    (void)end;
    if (start == 0 && text[0] == '/') {
        char **found = rl_completion_matches(text, next_command);
        rl_attempted_completion_over = found != NULL;
        return found;
    }
    if (strncmp(rl_line_buffer, "/set ", 5) == 0) {
        rl_attempted_completion_over = 1;
        return rl_completion_matches(text, next_param);
    }
    return NULL;
}

/* ---- lines ---------------------------------------------------------------------------------------- */

static void on_line(char *line)
{
    reading.line = line;
    reading.done = true;
    rl_callback_handler_remove(); /* the terminal is its own again while the answer is made */
}

/* Where the terminal stood at the prompt, Ctrl-C leaves an empty line behind it. */
static input_end interrupted(void)
{
    bool by_user = cli_signalled() == SIGINT;
    rl_free_line_state();
    rl_callback_sigcleanup();
    rl_callback_handler_remove();
    if (!by_user)
        return LEAVE;
    cli_signal_clear();
    fputs("\n", rl_outstream);
    fflush(rl_outstream);
    return INTERRUPT;
}

static input_end read_line(const char *prompt, char **out)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    reading.done = false;
    reading.line = NULL;
    rl_callback_handler_install(prompt, on_line);
    while (!reading.done) {
        /* A signal may come just before poll begins to wait: a second later it is seen all the same. */
        int n = poll(&in, 1, 1000);
        rl_check_signals();
        if (cli_signalled())
            return interrupted();
        if (n > 0)
            rl_callback_read_char();
    }
    *out = reading.line;
    if (reading.line)
        return LINE;
    fputs("\n", rl_outstream);
    fflush(rl_outstream);
    return LEAVE;
}

static bool ends_with(const char *s, size_t n, const char *tail)
{
    size_t k = strlen(tail);
    return n >= k && memcmp(s + n - k, tail, k) == 0;
}

/* Adds a line to the message. True when the message goes on in the next line: after a backslash at the end, or
 * between two lines of quotes. */
static bool add_line(run_buf *message, const char *line, bool *quoted, bool *failed)
{
    size_t n = strlen(line), skip = 0;
    bool first = message->n == 0 && !*quoted;
    if (first && strncmp(line, QUOTES, 3) == 0) {
        *quoted = true;
        skip = 3;
    }
    bool closes = *quoted && ends_with(line + skip, n - skip, QUOTES);
    bool goes_on = *quoted ? !closes : n > 0 && line[n - 1] == '\\';
    size_t cut = closes ? 3 : goes_on && !*quoted ? 1 : 0;
    *failed = run_buf_add(message, line + skip, n - skip - cut) != OMNI_OK;
    if (goes_on && !(skip && n == skip)) /* the line of the opening quotes alone is no line of the text */
        *failed = *failed || run_buf_add(message, "\n", 1) != OMNI_OK;
    return goes_on && !*failed;
}

static input_end read_message(run_buf *message, const char *prompt, const char *more, const char *history)
{
    bool quoted = false, failed = false, goes_on = true;
    message->n = 0;
    while (goes_on) {
        char *line = NULL;
        input_end end = read_line(message->n || quoted ? more : prompt, &line);
        if (end != LINE)
            return end;
        remember(history, line);
        goes_on = add_line(message, line, &quoted, &failed);
        free(line);
    }
    if (failed)
        message->n = 0;
    return LINE;
}

static void loop(run_talk *t, const char *history)
{
    bool colour = cli_color_on(STDOUT_FILENO);
    /* \001 and \002 tell readline what takes no room on the line */
    const char *prompt = colour ? "\001\033[1;32m\002>\001\033[0m\002 " : "> ";
    const char *more = colour ? "\001\033[32m\002.\001\033[0m\002 " : ". ";
    run_buf message = {0};
    while (!t->quit) {
        input_end end = read_message(&message, prompt, more, history);
        if (end == LEAVE)
            break;
        if (end == INTERRUPT || message.n == 0 || strspn(message.p, " \t\n") == message.n)
            continue;
        if (message.p[0] == '/')
            run_talk_command(t, message.p);
        else
            run_talk_say(t, message.p, message.n);
        if (cli_signalled() == SIGINT)
            cli_signal_clear();
        else if (cli_signalled())
            break;
    }
    run_buf_release(&message);
}

int run_repl(run_options *o, const run_settings *set, cli_out *out)
{
    run_talk t = {0};
    omni_error err = {""};
    omni_status st = run_talk_open(&t, o, set, out, &err);
    if (st) {
        int rc = run_report(st, &err);
        run_talk_release(&t);
        return rc;
    }
    setlocale(LC_CTYPE, ""); /* for editing UTF-8; numbers stay as they are */
    rl_readline_name = "omni-run";
    rl_attempted_completion_function = complete;
    rl_persistent_signal_handlers = 1; /* so that Ctrl-Z at the prompt gives the terminal back first */
    char *history = open_history();
    cli_note("%s, %u tokens of context; /help shows the commands, Ctrl-D leaves",
             *t.e.info.name ? t.e.info.name : t.e.info.path, omni_session_n_ctx(t.e.session));
    loop(&t, history);
    free(history);
    run_talk_release(&t);
    return cli_out_failed(out) ? 4 : 0;
}
