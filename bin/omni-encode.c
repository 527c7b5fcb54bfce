/* omni-encode - turns text into an omni-stream(5), or into token ids.
 *
 * Text operands together make one stream: head, the system text, the role, then for each operand its name and its
 * lines as text records, each handed on when its line is complete. An operand that is a stream already is passed on
 * as it is, as a stream of its own. Whatever goes wrong, the stream that was begun ends in an end record: "end ok" only
 * when all input got into it. */
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A line longer than this goes out in pieces, so that memory stays small and records stay within the limit of the
 * format: the worst case, control characters, takes 6 bytes of JSON each. Counted from the start of the line, so
 * that the same text always gives the same records. */
#define PIECE_MAX (64u << 10)
#define IDS_LINE_MAX (16u << 20) /* --ids holds a line and its ids, 4 bytes each, in memory */

typedef struct encode_opts {
    cli_common common;
    const char *role, *system;
    bool ids, special;
} encode_opts;

/* clang-format off */
static const cli_opt table[] = {
    {'r', "role", "ROLE", CLI_STRING, offsetof(encode_opts, role), .def = "user",
     .help = "who says the text", .section = "Encoding options", .main_help = true},
    {0, "system", "TEXT", CLI_STRING, offsetof(encode_opts, system),
     .help = "system text, put before the rest", .main_help = true},
    {0, "ids", NULL, CLI_FLAG, offsetof(encode_opts, ids),
     .help = "token ids instead, one line for each line", .main_help = true},
    {0, "special", NULL, CLI_FLAG, offsetof(encode_opts, special),
     .help = "with --ids: recognise control tokens", .main_help = true},
    CLI_COMMON_OPTS(encode_opts, common, "read input as text, whatever it looks like",
                    "input must be streams"),
};
static const cli_program program = {
    .name = "omni-encode",
    .summary = "Turn text into a token stream for omni-run and the other omni programs",
    .usage = "[OPTION]... [FILE]...",
    .examples = "  omni-encode question.txt | omni-run\n"
                "  echo 'Hello world' | omni-encode --ids\n",
    .licence = "MIT licence: free to use, change and share; no warranty.\n",
    .opts = table,
    .n_opts = CLI_COUNT_OF(table),
    .common_at = offsetof(encode_opts, common),
};
/* clang-format on */

typedef struct encoder {
    const encode_opts *o;
    cli_out *out;
    omni_model *model; /* NULL unless -m or --ids asked for one */
    const char *name;  /* of the operand, NULL for standard input without one */
    int rc;            /* exit code so far */
    bool begun;        /* a head is written and no end yet */
    bool any;          /* some stream was written */
    bool told;         /* a stream ended in "end error" */
    char *rec;         /* the record being written */
    size_t rec_len, rec_cap;
    omni_tokens tokens;
} encoder;

/* ---- records out ---- */

static omni_status put_record(encoder *e, const omni_record *r, omni_error *err)
{
    e->rec_len = 0;
    omni_status s = omni_record_write(r, &e->rec, &e->rec_len, &e->rec_cap, err);
    if (s != OMNI_OK)
        return s;
    if (!cli_out_write(e->out, e->rec, e->rec_len))
        return cli_set_error(err, OMNI_E_SYSTEM, "%s", ""); /* reported by cli_out */
    return OMNI_OK;
}

static omni_status flush(encoder *e, omni_error *err)
{
    return cli_out_flush(e->out) ? OMNI_OK : cli_set_error(err, OMNI_E_SYSTEM, "%s", "");
}

static omni_status put_text(encoder *e, const char *text, size_t len, omni_error *err)
{
    return put_record(e, &(omni_record){.kind = OMNI_RECORD_TEXT, .text = text, .len = len}, err);
}

static omni_status put_role(encoder *e, const char *role, omni_error *err)
{
    return put_record(e, &(omni_record){.kind = OMNI_RECORD_ROLE, .name = role}, err);
}

/* Head, system text and role, unless a stream is open already. */
static omni_status begin(encoder *e, omni_error *err)
{
    omni_record head = {.kind = OMNI_RECORD_HEAD, .name = program.name};
    omni_status s;
    if (e->begun)
        return OMNI_OK;
    if (e->model) {
        omni_model_info info;
        omni_model_get_info(e->model, &info);
        head.vocab = (uint32_t)info.vocab_hash;
        head.has_vocab = 1;
    }
    e->begun = e->any = true;
    s = put_record(e, &head, err);
    if (s == OMNI_OK && e->o->system) {
        s = put_role(e, "system", err);
        if (s == OMNI_OK)
            s = put_text(e, e->o->system, strlen(e->o->system), err);
    }
    if (s == OMNI_OK)
        s = put_role(e, e->o->role, err);
    return s;
}

/* One word for "end error"; standard error has the rest. */
static const char *reason(int rc)
{
    return cli_signalled() ? "interrupted" : rc == 4 ? "system" : "input";
}

/* The end record of the open stream, if there is one: "end ok" only when everything went well so far. */
static omni_status end(encoder *e, omni_error *err)
{
    omni_record r = {.kind = OMNI_RECORD_END, .end = OMNI_END_OK, .text = ""};
    if (!e->begun)
        return OMNI_OK;
    if (e->rc != 0 || cli_signalled()) {
        r.end = OMNI_END_ERROR;
        r.text = reason(e->rc);
        r.len = strlen(r.text);
        e->told = true;
    }
    e->begun = false;
    omni_status s = put_record(e, &r, err);
    return s == OMNI_OK ? flush(e, err) : s;
}

/* ---- text in ---- */

static omni_status put_source(encoder *e, const char *name, omni_error *err)
{
    char *json = NULL, *text = NULL;
    size_t n = 0, cap = 0;
    omni_status s = omni_json_quote(name, strlen(name), &json, &n, &cap);
    if (s == OMNI_OK && !(text = malloc(n + 16)))
        s = OMNI_E_MEMORY;
    if (s == OMNI_OK) {
        int len = snprintf(text, n + 16, "{\"source\":%.*s}", (int)n, json);
        s = put_record(e, &(omni_record){.kind = OMNI_RECORD_META, .text = text, .len = (size_t)len}, err);
    } else {
        cli_set_error(err, s, "out of memory for the name of an input");
    }
    free(text);
    free(json);
    return s;
}

/* Bytes of p[0..n) that do not cut a character at the end. */
static size_t whole_characters(const char *p, size_t n)
{
    size_t k = n;
    while (k > 0 && n - k < 3 && ((unsigned char)p[k - 1] & 0xC0) == 0x80)
        k--;
    return k > 0 && (unsigned char)p[k - 1] >= 0xC0 ? k - 1 : n;
}

/* One piece of text: checked, then written. at = its offset in the input. */
static omni_status put_piece(encoder *e, const cli_in *in, uint64_t at, const char *p, size_t n, omni_error *err)
{
    omni_status s = cli_text_check(cli_in_name(in), at, p, n, err);
    return s == OMNI_OK ? put_text(e, p, n, err) : s;
}

/* Writes the complete lines of buf[0..*n) and keeps the rest; a line that fills the buffer goes out in pieces. */
static omni_status put_lines(encoder *e, const cli_in *in, char *buf, size_t *n, uint64_t at, omni_error *err)
{
    size_t done = 0;
    omni_status s = OMNI_OK;
    while (s == OMNI_OK && done < *n) {
        char *lf = memchr(buf + done, '\n', *n - done);
        size_t len = lf ? (size_t)(lf + 1 - (buf + done)) : *n - done;
        if (!lf && len < PIECE_MAX)
            break;
        if (!lf)
            len = whole_characters(buf + done, len);
        s = put_piece(e, in, at + done, buf + done, len, err);
        done += len;
    }
    *n -= done;
    memmove(buf, buf + done, *n);
    return s;
}

static omni_status encode_text(encoder *e, cli_in *in, omni_error *err)
{
    char buf[PIECE_MAX];
    size_t n = 0; /* of a line that is not complete */
    omni_status s = begin(e, err);
    if (s == OMNI_OK && e->name)
        s = put_source(e, e->name, err);
    if (s == OMNI_OK)
        s = flush(e, err);
    while (s == OMNI_OK) {
        ptrdiff_t r = cli_in_read(in, buf + n, sizeof buf - n);
        if (r < 0)
            return cli_in_fail(in, err);
        if (r == 0)
            break;
        n += (size_t)r;
        s = put_lines(e, in, buf, &n, cli_in_offset(in) - n, err);
        omni_status f = flush(e, NULL);
        s = s == OMNI_OK ? f : s;
    }
    if (s == OMNI_OK && n > 0)
        s = put_piece(e, in, cli_in_offset(in) - n, buf, n, err);
    return s;
}

/* ---- streams in ---- */

typedef struct passage {
    encoder *e;
    cli_in *in;
} passage;

/* Hands on what was made before waiting for more, and so not after each record of a large file. */
static ptrdiff_t flush_and_read(void *user, char *buf, size_t cap)
{
    const passage *p = user;
    cli_out_flush(p->e->out);
    return cli_in_read(p->in, buf, cap);
}

/* Passes all streams of the input on. Records are checked on the way, and unknown ones kept. */
static omni_status pass_on(encoder *e, cli_in *in, omni_error *err)
{
    omni_reader *reader = NULL;
    omni_record rec;
    passage p = {e, in};
    int got = 1;
    omni_status s = end(e, err); /* text operands before this one are a stream of their own */
    if (s == OMNI_OK)
        s = omni_reader_new(&reader, cli_in_name(in), flush_and_read, &p, err);
    while (s == OMNI_OK && got) {
        s = omni_reader_next(reader, &rec, &got, err);
        if (s != OMNI_OK || !got)
            break;
        s = put_record(e, &rec, err);
        e->any = true;
        e->begun = rec.kind != OMNI_RECORD_END;
    }
    omni_reader_free(reader);
    if (s == OMNI_E_SYSTEM && cli_signalled())
        s = OMNI_E_CANCELLED;
    if (s != OMNI_OK && e->begun) { /* the cut stream ends here, before another operand can run into it */
        e->rc = cli_exit_code(s);
        omni_status ended = end(e, NULL);
        s = ended == OMNI_OK ? s : ended;
    }
    return s;
}

/* ---- ids out ---- */

static omni_status put_id_text(encoder *e, int32_t id, omni_error *err)
{
    char buf[OMNI_TEXT_DECODER_MAX], *text = buf;
    size_t n = omni_token_text(e->model, id, buf, sizeof buf);
    if (n > sizeof buf) {
        text = malloc(n);
        if (!text)
            return cli_set_error(err, OMNI_E_MEMORY, "out of memory for the text of token %d", id);
        n = omni_token_text(e->model, id, text, n);
    }
    e->rec_len = 0;
    omni_status s = omni_json_quote(text, n, &e->rec, &e->rec_len, &e->rec_cap);
    if (s == OMNI_OK)
        cli_out_write(e->out, e->rec, e->rec_len);
    if (text != buf)
        free(text);
    return s == OMNI_OK ? s : cli_set_error(err, s, "out of memory for the text of token %d", id);
}

/* {"source":"a.txt","line":1,"ids":[19556,905],"texts":["Hello"," world"]} */
static omni_status put_ids_json(encoder *e, const cli_in *in, uint64_t line, omni_error *err)
{
    const char *name = cli_in_name(in);
    e->rec_len = 0;
    omni_status s = omni_json_quote(name, strlen(name), &e->rec, &e->rec_len, &e->rec_cap);
    if (s != OMNI_OK)
        return cli_set_error(err, s, "out of memory for a line of ids");
    cli_out_printf(e->out, "{\"source\":");
    cli_out_write(e->out, e->rec, e->rec_len);
    cli_out_printf(e->out, ",\"line\":%llu,\"ids\":[", (unsigned long long)line);
    for (size_t i = 0; i < e->tokens.n; i++)
        cli_out_printf(e->out, "%s%d", i ? "," : "", e->tokens.ids[i]);
    cli_out_printf(e->out, "],\"texts\":[");
    for (size_t i = 0; i < e->tokens.n && s == OMNI_OK; i++) {
        if (i)
            cli_out_write(e->out, ",", 1);
        s = put_id_text(e, e->tokens.ids[i], err);
    }
    cli_out_write(e->out, "]}\n", 3);
    return s;
}

static omni_status encode_ids(encoder *e, cli_in *in, omni_error *err)
{
    const char *line;
    size_t len;
    int got;
    unsigned flags = e->o->special ? OMNI_TEXT_SPECIAL : OMNI_TEXT_PLAIN;
    for (uint64_t n = 1;; n++) {
        omni_status s = cli_in_line(in, IDS_LINE_MAX, &line, &len, &got, err);
        if (s != OMNI_OK || !got)
            return s;
        e->tokens.n = 0;
        s = omni_text_encode(e->model, line, len, flags, &e->tokens, err);
        if (s == OMNI_OK && e->o->common.json) {
            s = put_ids_json(e, in, n, err);
        } else if (s == OMNI_OK) {
            for (size_t i = 0; i < e->tokens.n; i++)
                cli_out_printf(e->out, i ? " %d" : "%d", e->tokens.ids[i]);
            cli_out_write(e->out, "\n", 1);
        }
        if (s == OMNI_OK)
            s = flush(e, err);
        if (s != OMNI_OK)
            return s;
    }
}

/* ---- the program ---- */

static omni_status one_operand(void *user, cli_in *in, omni_error *err)
{
    encoder *e = user;
    const cli_common *c = &e->o->common;
    int stream = c->text ? 0 : cli_in_is_stream(in);
    if (stream < 0)
        return cli_in_fail(in, err);
    if (e->o->ids && stream)
        return cli_set_error(err, OMNI_E_INPUT, "%s: expected text for --ids, found an omni-stream", cli_in_name(in));
    if (e->o->ids)
        return encode_ids(e, in, err);
    if (stream) {
        if (e->o->system)
            cli_warn("%s: is a stream already and passed on as it is, without the --system text", cli_in_name(in));
        return pass_on(e, in, err);
    }
    if (c->stream)
        return cli_set_error(err, OMNI_E_INPUT, "%s: expected an omni-stream, found something else", cli_in_name(in));
    return encode_text(e, in, err);
}

/* A role is one word of the stream's grammar. */
static bool good_role(const char *s)
{
    static const char word[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:";
    size_t n = strspn(s, word);
    return n > 0 && n <= 64 && s[n] == '\0';
}

static int check_options(const encode_opts *o, const cli_args *args)
{
    omni_error err = {{0}};
    if (!good_role(o->role))
        return cli_usage(&program, "--role: expected a word of 1..64 letters, digits and -_.:, found '%.100s'",
                         o->role);
    if (o->special && !o->ids)
        return cli_usage(&program, "--special needs --ids: in a stream, text is always plain text");
    if (o->ids && (o->system || cli_given(&program, args, "role")))
        return cli_usage(&program, "--system and --role are parts of a stream, --ids writes none");
    if (o->ids && o->common.stream)
        return cli_usage(&program, "--ids reads text, --stream asks for streams");
    if (o->system && cli_text_check("--system", 0, o->system, strlen(o->system), &err) != OMNI_OK)
        return cli_usage(&program, "%s", err.text);
    return 0;
}

static int run(encoder *e, const cli_args *args)
{
    omni_error err = {{0}};
    omni_status s = OMNI_OK;
    bool on = true;
    for (int i = 0; on && i < (args->n > 0 ? args->n : 1); i++) {
        e->name = args->n > 0 ? args->v[i] : NULL;
        on = cli_operand(e->name, one_operand, e, &e->rc);
    }
    if (e->o->ids)
        return e->rc;
    /* nothing could be read, or something failed that no stream tells yet */
    bool failed = e->rc != 0 || cli_signalled();
    if (!e->begun && (!e->any || (failed && !e->told)))
        s = begin(e, &err);
    if (s == OMNI_OK)
        s = end(e, &err);
    return s != OMNI_OK && e->rc == 0 ? cli_fail(s, &err) : e->rc;
}

int main(int argc, char **argv)
{
    encode_opts o = {.common = CLI_COMMON_INIT, .role = "user"};
    encoder e = {.o = &o};
    cli_args args;
    omni_error err = {{0}};
    int rc = cli_begin(&program, &o, argc, argv, &args);
    if (rc < 0)
        rc = check_options(&o, &args);
    else
        return rc;
    if (rc != 0)
        return rc;
    if (o.ids || o.common.model) {
        omni_model_params mp = omni_model_params_default();
        mp.vocab_only = 1;
        omni_status s = cli_model_open(&e.model, &o.common, &mp, &err);
        if (s != OMNI_OK)
            return cli_fail(s, &err);
    }
    e.out = cli_out_open(o.common.output, CLI_OUT_REPLACE);
    rc = e.out ? run(&e, &args) : 4;
    omni_tokens_release(&e.tokens);
    free(e.rec);
    omni_model_close(e.model);
    return cli_end(e.out, rc);
}
