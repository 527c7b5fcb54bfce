#include "run.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct input { /* what the operands, -p and standard input came to */
    run_buf text;      /* the prompt, when stream is NULL; else what goes before the stream's first user text */
    cli_in *stream;    /* an omni-stream; owned */
} input;

static void release_input(input *in)
{
    run_buf_release(&in->text);
    cli_in_close(in->stream);
}

/* Between paragraphs: what is joined is a question and its material. */
static omni_status add_paragraph(input *in, const char *text, size_t len)
{
    omni_status st = in->text.n ? run_buf_puts(&in->text, "\n\n") : OMNI_OK;
    return st ? st : run_buf_add(&in->text, text, len);
}

/* Adds a file or, for "-", standard input. The last newline of a text file is no part of the question; --raw keeps it,
 * because there every byte counts. */
static omni_status add_file(input *in, const char *operand, bool raw, bool only, omni_error *err)
{
    cli_in *file = NULL;
    char *text = NULL;
    size_t len;
    omni_status st = cli_in_open(&file, operand, err);
    if (st)
        return st;
    if (cli_in_is_stream(file) == 1) {
        if (only) {
            in->stream = file;
            return OMNI_OK;
        }
        st = run_fail(err, OMNI_E_INPUT, "%s: an omni-stream must be the only input", cli_in_name(file));
    }
    if (!st)
        st = cli_in_all(file, CLI_TEXT_MAX, &text, &len, err);
    if (!st)
        st = cli_text_check(cli_in_name(file), 0, text, len, err);
    if (!st && len == 0)
        st = run_fail(err, OMNI_E_INPUT, "%s: empty, expected text", cli_in_name(file));
    if (!st) {
        len -= !raw && text[len - 1] == '\n';
        if (raw ? run_buf_add(&in->text, text, len) : add_paragraph(in, text, len))
            st = run_no_memory(err, cli_in_name(file));
    }
    free(text);
    cli_in_close(file);
    return st;
}

/* With -p the operands are files; every bad one is reported, and an incomplete question is not asked. */
static int read_files(input *in, const run_options *o, const cli_args *args)
{
    int rc = -1;
    omni_error err = {""};
    omni_status st = cli_text_check("-p", 0, o->prompt, strlen(o->prompt), &err);
    if (!st && run_buf_puts(&in->text, o->prompt))
        st = run_no_memory(&err, "prompt");
    if (st)
        return cli_fail(st, &err);
    for (int i = 0; i < args->n; i++) {
        st = add_file(in, args->v[i], o->raw, args->n == 1, &err);
        if (st)
            rc = run_report(st, &err);
    }
    return rc;
}

/* Without -p the operands are the words of the prompt, joined by spaces; "-" stands for standard input. */
static int read_words(input *in, const run_options *o, const cli_args *args)
{
    omni_error err = {""};
    omni_status st = OMNI_OK;
    bool after_word = false, used = false;
    for (int i = 0; !st && i < args->n; i++) {
        const char *word = args->v[i];
        if (strcmp(word, "-") != 0) {
            st = cli_text_check("prompt", 0, word, strlen(word), &err);
            if (!st && (after_word ? run_buf_puts(&in->text, " ") : OMNI_OK))
                st = OMNI_E_MEMORY;
            if (!st && (after_word || o->raw ? run_buf_puts(&in->text, word) : add_paragraph(in, word, strlen(word))))
                st = run_no_memory(&err, "prompt");
            after_word = true;
            continue;
        }
        if (used) {
            cli_error("standard input ('-') can be given only once");
            return 2;
        }
        /* Words after a stream would have to wait for its end; they may only come before it. */
        st = add_file(in, "-", o->raw, i + 1 == args->n, &err);
        used = true;
        after_word = false;
    }
    return st ? run_report(st, &err) : -1;
}

/* Piped data that nobody asked for: people who come from other tools expect it to be read. Reading it without being
 * told to would hang on an inherited pipe that never ends, so it is only mentioned, and only when it is there. */
static void mention_unread_stdin(void)
{
    struct stat st;
    int waiting = 0;
    if (!cli_have_stdin() || fstat(STDIN_FILENO, &st) != 0)
        return;
    if (S_ISFIFO(st.st_mode) && ioctl(STDIN_FILENO, FIONREAD, &waiting) != 0)
        waiting = 0;
    if (S_ISREG(st.st_mode)) /* at 0: "< file" and not the list of a shell loop */
        waiting = st.st_size > 0 && lseek(STDIN_FILENO, 0, SEEK_CUR) == 0;
    if (waiting > 0)
        cli_note("standard input is not read; a '-' among the operands puts it into the prompt");
}

static bool reads_stdin(const run_options *o, const cli_args *args)
{
    for (int i = 0; i < args->n; i++)
        if (strcmp(args->v[i], "-") == 0)
            return true;
    return args->n == 0 && !o->prompt;
}

static int read_input(input *in, const run_options *o, const cli_args *args)
{
    omni_error err = {""};
    if (o->prompt)
        return read_files(in, o, args);
    if (args->n)
        return read_words(in, o, args);
    omni_status st = add_file(in, NULL, o->raw, true, &err);
    return st ? run_report(st, &err) : -1;
}

static run_form choose_form(const run_options *o, bool stream_in)
{
    if (o->common.json)
        return RUN_JSON;
    return o->common.stream || (stream_in && !o->common.text) ? RUN_STREAM : RUN_PLAIN;
}

/* The one question and its answer. */
static int ask(run_engine *e, omni_sampler *sp, const run_settings *set, const input *in, cli_out *out, run_emit *emit)
{
    omni_error err = {""};
    omni_tokens ids = {0};
    run_answer answer;
    int rc = 0;
    omni_message msgs[2] = {
        {.role = "system", .text = e->opt->system, .len = e->opt->system ? strlen(e->opt->system) : 0},
        {.role = "user", .text = in->text.p ? in->text.p : "", .len = in->text.n}};
    size_t skip = e->opt->system ? 0 : 1;
    omni_status st = run_encode(e, msgs + skip, 2 - skip, &ids, &err);
    if (!st && e->opt->logprobs >= 0) {
        rc = run_score(e, sp, set, &ids, msgs + skip, 2 - skip, out);
    } else if (!st) {
        st = run_emit_begin(emit, &err);
        if (!st)
            st = run_generate(e, sp, set, &ids, msgs + skip, 2 - skip, run_emit_piece, emit, &answer, &err);
        if (!st)
            st = run_emit_end(emit, &answer, &err);
        else
            run_emit_broken(emit, OMNI_END_ERROR, st == OMNI_E_CANCELLED ? "cancelled" : err.text);
    }
    omni_tokens_release(&ids);
    return st ? run_report(st, &err) : rc;
}

static int run_input(run_engine *e, const run_settings *set, input *in, cli_out *out)
{
    omni_error err = {""};
    omni_sampler *sp = NULL;
    run_emit emit = {.form = choose_form(e->opt, in->stream != NULL),
                     .out = out,
                     .vocab = (uint32_t)(e->info.vocab_hash & 0xffffffff)};
    omni_status st = omni_sampler_new(&sp, e->model, &set->sample, &err);
    int rc;
    if (st)
        rc = cli_fail(st, &err);
    else if (in->stream)
        rc = run_stream(e, sp, set, in->stream, in->text.n ? in->text.p : NULL, &emit);
    else
        rc = ask(e, sp, set, in, out, &emit);
    omni_sampler_free(sp);
    run_emit_release(&emit);
    return rc;
}

int run_text(run_options *o, const run_settings *set, const cli_args *args, cli_out *out)
{
    input in = {{0}, NULL};
    run_engine e = {0};
    omni_error err = {""};
    int rc = read_input(&in, o, args);
    if (rc < 0 && !in.stream && in.text.n == 0 && !o->raw) {
        cli_error("the prompt is empty");
        rc = reads_stdin(o, args) ? 3 : 2;
    }
    if (rc < 0 && in.stream && o->logprobs >= 0) {
        cli_error("--logprobs needs plain text, %s is an omni-stream", cli_in_name(in.stream));
        rc = 2;
    }
    if (rc < 0) {
        omni_status st = run_engine_open(&e, o, &err);
        if (st)
            rc = run_report(st, &err);
    }
    if (rc < 0) {
        if (!reads_stdin(o, args))
            mention_unread_stdin();
        rc = run_input(&e, set, &in, out);
        if (o->stats && rc == 0)
            run_stats_print(&e, o->common.json);
    }
    run_engine_release(&e);
    release_input(&in);
    return rc;
}
