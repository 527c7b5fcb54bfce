#include "run_talk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct command {
    const char *name, *arg, *help;
    bool needs_arg;
    void (*run)(run_talk *t, const char *arg);
} command;

static void cmd_help(run_talk *t, const char *arg);
static void cmd_system(run_talk *t, const char *arg);
static void cmd_clear(run_talk *t, const char *arg);
static void cmd_retry(run_talk *t, const char *arg);
static void cmd_save(run_talk *t, const char *arg);
static void cmd_load(run_talk *t, const char *arg);
static void cmd_model(run_talk *t, const char *arg);
static void cmd_set(run_talk *t, const char *arg);
static void cmd_stats(run_talk *t, const char *arg);
static void cmd_quit(run_talk *t, const char *arg);

static const command commands[] = {
    {"/help", "", "this list", false, cmd_help},
    {"/system", "[TEXT]", "set the system prompt, or show it; '/system -' takes it away", false, cmd_system},
    {"/clear", "", "forget the conversation, keep the system prompt", false, cmd_clear},
    {"/retry", "", "answer the last message again", false, cmd_retry},
    {"/save", "FILE", "write the conversation to FILE as an omni-stream", true, cmd_save},
    {"/load", "FILE", "go on with a saved conversation", true, cmd_load},
    {"/model", "[NAME]", "change the model, or show its name", false, cmd_model},
    {"/set", "[PARAM VALUE]", "change a parameter, or show all", false, cmd_set},
    {"/stats", "", "speed and memory so far", false, cmd_stats},
    {"/quit", "", "leave, as Ctrl-D does", false, cmd_quit},
};

static const char *const set_names[] = {"temp",           "top-k",       "top-p",      "min-p",
                                        "repeat-penalty", "repeat-last", "max-tokens", "seed"};

const char *run_talk_command_name(size_t i)
{
    return i < CLI_COUNT_OF(commands) ? commands[i].name : NULL;
}

const char *run_talk_set_name(size_t i)
{
    return i < CLI_COUNT_OF(set_names) ? set_names[i] : NULL;
}

omni_status run_talk_open(run_talk *t, run_options *o, const run_settings *set, cli_out *out, omni_error *err)
{
    t->o = o;
    t->set = *set;
    t->emit.out = out;
    omni_status st = run_engine_open(&t->e, o, err);
    if (!st)
        st = omni_sampler_new(&t->sp, t->e.model, &t->set.sample, err);
    if (!st && o->system && run_chat_set_system(&t->chat, o->system, strlen(o->system)))
        st = run_no_memory(err, "system prompt");
    run_engine_hook(&t->e, false);
    return st;
}

void run_talk_release(run_talk *t)
{
    omni_sampler_free(t->sp);
    run_engine_release(&t->e);
    run_chat_release(&t->chat);
    run_emit_release(&t->emit);
    free(t->bias);
    memset(t, 0, sizeof *t);
}

/* Generates the answer to the last message of the conversation. */
static void answer(run_talk *t)
{
    omni_error err = {""};
    run_answer a = {.finish = OMNI_FINISH_CANCEL};
    omni_status st = run_emit_begin(&t->emit, &err);
    run_engine_hook(&t->e, true);
    if (!st)
        st = run_turn(&t->e, t->sp, &t->set, &t->chat, run_emit_piece, &t->emit, &a, &err);
    /* A Ctrl-C that came just after the answer before was over cancels the session's next work, which is ours. */
    if (st == OMNI_E_CANCELLED && !cli_signalled())
        st = run_turn(&t->e, t->sp, &t->set, &t->chat, run_emit_piece, &t->emit, &a, &err);
    run_engine_hook(&t->e, false);
    bool stopped = st == OMNI_E_CANCELLED || (!st && a.finish == OMNI_FINISH_CANCEL);
    if (stopped)
        st = OMNI_OK;
    omni_status ended = run_emit_end(&t->emit, &a, &err);
    st = st ? st : ended;
    if (!st && t->emit.said.n == 0 && stopped)
        run_chat_cut(&t->chat, t->chat.n - 1); /* nothing was said: as if it had not been asked */
    else if (!st && run_chat_add(&t->chat, "assistant", t->emit.said.p ? t->emit.said.p : "", t->emit.said.n))
        st = run_no_memory(&err, "conversation");
    if (st) {
        cli_fail(st, &err);
        run_chat_cut(&t->chat, t->chat.n - 1);
    }
    if (!st && a.finish == OMNI_FINISH_LENGTH)
        cli_note("the answer was cut: %s", t->set.max_tokens >= 0 && a.n_output >= (size_t)t->set.max_tokens
                                               ? "it has as many tokens as --max-tokens allows"
                                               : "the context is full");
    if (cli_out_failed(t->emit.out))
        t->quit = true;
}

void run_talk_say(run_talk *t, const char *text, size_t len)
{
    omni_error err = {""};
    omni_status st = cli_text_check("input", 0, text, len, &err);
    if (!st && run_chat_add(&t->chat, "user", text, len))
        st = run_no_memory(&err, "conversation");
    if (st)
        cli_fail(st, &err);
    else
        answer(t);
}

/* ---- commands -------------------------------------------------------------------------------- */

static void print_line(run_talk *t, const char *text)
{
    cli_out_printf(t->emit.out, "%s\n", text);
    cli_out_flush(t->emit.out);
}

static void cmd_help(run_talk *t, const char *arg)
{
    (void)arg;
    for (size_t i = 0; i < CLI_COUNT_OF(commands); i++)
        cli_out_printf(t->emit.out, "%-8s %-14s %s\n", commands[i].name, commands[i].arg, commands[i].help);
    print_line(t, "A line that ends in \\ goes on in the next one; \"\"\" begins and ends a text of several lines.\n"
                  "Ctrl-C stops the answer or clears the line, Ctrl-D leaves.");
}

static void cmd_system(run_talk *t, const char *arg)
{
    omni_error err = {""};
    if (!*arg) {
        print_line(t, run_chat_has_system(&t->chat) ? t->chat.msgs[0].text : "(no system prompt)");
        return;
    }
    if (run_chat_set_system(&t->chat, strcmp(arg, "-") == 0 ? NULL : arg, strlen(arg)))
        cli_fail(run_no_memory(&err, "system prompt"), &err);
}

static void cmd_clear(run_talk *t, const char *arg)
{
    (void)arg;
    run_chat_cut(&t->chat, run_chat_has_system(&t->chat) ? 1 : 0);
}

static void cmd_retry(run_talk *t, const char *arg)
{
    (void)arg;
    size_t n = t->chat.n;
    if (n == 0 || strcmp(t->chat.msgs[n - 1].role, "system") == 0) {
        cli_error("there is nothing to answer again");
        return;
    }
    if (strcmp(t->chat.msgs[n - 1].role, "assistant") == 0)
        run_chat_cut(&t->chat, n - 1);
    answer(t);
}

/* "~/x" as a shell would read it; malloc'ed. */
static char *expand_home(const char *path)
{
    const char *home = getenv("HOME");
    bool tilde = path[0] == '~' && path[1] == '/' && home && *home;
    size_t n = strlen(path) + (tilde ? strlen(home) : 0) + 1;
    char *s = malloc(n);
    if (s)
        snprintf(s, n, "%s%s", tilde ? home : "", tilde ? path + 1 : path);
    return s;
}

static void cmd_save(run_talk *t, const char *arg)
{
    omni_error err = {""};
    char *path = expand_home(arg);
    cli_out *out = path ? cli_out_open(path, CLI_OUT_REPLACE) : NULL;
    if (out) {
        omni_status st = run_stream_save(out, &t->chat, (uint32_t)(t->e.info.vocab_hash & 0xffffffff), &err);
        omni_status closed = cli_out_close(out, st == OMNI_OK);
        if (st)
            cli_fail(st, &err);
        else if (!closed)
            cli_note("%s: %zu messages saved", path, t->chat.n);
    }
    free(path);
}

static void cmd_load(run_talk *t, const char *arg)
{
    omni_error err = {""};
    char *path = expand_home(arg);
    cli_in *in = NULL;
    if (!path)
        return;
    omni_status st =
        strcmp(path, "-") == 0 ? run_fail(&err, OMNI_E_INPUT, "/load needs a file") : cli_in_open(&in, path, &err);
    if (!st)
        st = run_stream_load(in, &t->chat, &err);
    if (st)
        run_report(st, &err);
    else
        cli_note("%s: %zu messages loaded", path, t->chat.n);
    cli_in_close(in);
    free(path);
}

static void cmd_model(run_talk *t, const char *arg)
{
    omni_error err = {""};
    omni_sampler *sp = NULL;
    if (!*arg) {
        print_line(t, *t->e.info.name ? t->e.info.name : t->e.info.path);
        return;
    }
    omni_status st = run_engine_swap(&t->e, arg, &err);
    if (!st && !(st = omni_sampler_new(&sp, t->e.model, &t->set.sample, &err))) {
        omni_sampler_free(t->sp);
        t->sp = sp;
        cli_note("%s, the conversation goes on", *t->e.info.name ? t->e.info.name : t->e.info.path);
    }
    if (st)
        run_report(st, &err);
}

static void show_settings(run_talk *t)
{
    const omni_sample_params *s = &t->set.sample;
    cli_out_printf(
        t->emit.out,
        "temp %g\ntop-k %d\ntop-p %g\nmin-p %g\nrepeat-penalty %g\nrepeat-last %u\nmax-tokens %lld\nseed %llu\n",
        (double)s->temperature, (int)s->top_k, (double)s->top_p, (double)s->min_p, (double)s->repeat_penalty,
        s->repeat_last, (long long)t->set.max_tokens, (unsigned long long)s->seed);
    cli_out_flush(t->emit.out);
}

/* Takes the changed options over into settings and sampler; the old ones stay when they are refused. */
static omni_status apply_options(run_talk *t, bool seed_given, omni_error *err)
{
    run_settings set;
    omni_logit_bias *bias = NULL;
    omni_sampler *sp = NULL;
    uint64_t seed = t->set.sample.seed;
    if (run_settings_from(&set, &bias, t->o, seed_given) >= 0) {
        free(bias);
        return run_fail(err, OMNI_E_USAGE, "%s", "");
    }
    if (!seed_given)
        set.sample.seed = seed;
    omni_status st = omni_sampler_new(&sp, t->e.model, &set.sample, err);
    if (st) {
        free(bias);
        return st;
    }
    omni_sampler_free(t->sp);
    free(t->bias);
    t->sp = sp;
    t->set = set;
    t->bias = bias;
    return OMNI_OK;
}

static void cmd_set(run_talk *t, const char *arg)
{
    char name[32], why[600];
    omni_error err = {""};
    size_t n = strcspn(arg, " \t"), i = 0;
    const char *value = arg + n + strspn(arg + n, " \t");
    if (!*arg) {
        show_settings(t);
        return;
    }
    snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : sizeof name - 1), arg);
    while (i < CLI_COUNT_OF(set_names) && strcmp(set_names[i], name) != 0)
        i++;
    if (i == CLI_COUNT_OF(set_names)) {
        cli_error("/set: unknown parameter '%s'; '/set' alone shows them all", name);
        return;
    }
    run_options before = *t->o;
    if (!cli_opt_set(&run_program, t->o, name, *value ? value : NULL, why, sizeof why)) {
        cli_error("%s", why);
        return;
    }
    omni_status st = apply_options(t, strcmp(name, "seed") == 0, &err);
    if (st) {
        cli_fail(st, &err);
        *t->o = before;
    }
}

static void cmd_stats(run_talk *t, const char *arg)
{
    (void)arg;
    run_stats_print(&t->e, false);
}

static void cmd_quit(run_talk *t, const char *arg)
{
    (void)arg;
    t->quit = true;
}

void run_talk_command(run_talk *t, const char *line)
{
    size_t n = strcspn(line, " \t\n");
    const char *from = line + n + strspn(line + n, " \t\n");
    size_t len = strlen(from);
    while (len && strchr(" \t\n", from[len - 1])) /* completion leaves a blank after a file name */
        len--;
    char *arg = malloc(len + 1);
    if (!arg)
        return;
    memcpy(arg, from, len);
    arg[len] = '\0';
    const command *c = NULL;
    for (size_t i = 0; i < CLI_COUNT_OF(commands) && !c; i++)
        if (strlen(commands[i].name) == n && memcmp(commands[i].name, line, n) == 0)
            c = &commands[i];
    if (!c)
        cli_error("unknown command '%.*s'; /help shows the commands", (int)(n < 40 ? n : 40), line);
    else if (c->needs_arg && !*arg)
        cli_error("%s %s: %s", c->name, c->arg, c->help);
    else if (!*c->arg && *arg)
        cli_error("%s takes no argument", c->name);
    else
        c->run(t, arg);
    free(arg);
}
