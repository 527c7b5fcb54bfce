#include "run_batch_line.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_MAX_IN ((size_t)16 << 20)   /* bytes of an input line; a longer one becomes an error row */
#define LINE_MAX_OUT ((size_t)256 << 20) /* of an output row that is read back: an answer, escaped */

typedef struct lines { /* lines of any length in bounded memory */
    cli_in *in;
    size_t max;
    size_t pos, len;
    uint64_t number; /* of the line, from 1 */
    bool too_long;   /* it has more than max bytes: line holds the first ones */
    bool whole;      /* it ended in a newline */
    run_buf line;
    char chunk[1 << 16];
} lines;

typedef struct batch {
    run_options *o;
    const run_settings *set;
    uint64_t seed;          /* of the run; that of a row also depends on its line */
    uint64_t shard, shards; /* shard of 1..shards */
    run_engine e;
    lines *in;
    cli_out *out;
    bool resumable;                  /* out is OUT.partial */
    uint64_t n_rows, n_bad, n_lines; /* n_lines = 0 when not known */
    char *partial, *key;
    uint64_t in_bytes, in_hash;
} batch;

/* ---- lines ------------------------------------------------------------------------------------ */

static omni_status lines_open(lines **out, const char *name, size_t max, omni_error *err)
{
    lines *l = calloc(1, sizeof *l);
    if (!l)
        return run_no_memory(err, name);
    omni_status st = cli_in_open(&l->in, name, err);
    if (st) {
        free(l);
        return st;
    }
    l->max = max;
    *out = l;
    return OMNI_OK;
}

static void lines_close(lines *l)
{
    if (!l)
        return;
    cli_in_close(l->in);
    run_buf_release(&l->line);
    free(l);
}

/* The next line into l->line; *got = false at the end. */
static omni_status lines_next(lines *l, bool *got, omni_error *err)
{
    l->line.n = 0;
    l->too_long = l->whole = *got = false;
    l->number++;
    while (!l->whole) {
        if (l->pos == l->len) {
            ptrdiff_t n = cli_in_read(l->in, l->chunk, sizeof l->chunk);
            if (n < 0)
                return cli_in_fail(l->in, err);
            if (n == 0)
                break;
            l->pos = 0;
            l->len = (size_t)n;
        }
        *got = true;
        char *at = l->chunk + l->pos, *lf = memchr(at, '\n', l->len - l->pos);
        size_t n = lf ? (size_t)(lf - at) : l->len - l->pos;
        l->pos += n + (lf != NULL);
        l->whole = lf != NULL;
        l->too_long = l->too_long || n > l->max - l->line.n;
        if (!l->too_long && run_buf_add(&l->line, at, n))
            return run_no_memory(err, cli_in_name(l->in));
    }
    return OMNI_OK;
}

static bool is_blank(const lines *l)
{
    return !l->too_long && (l->line.n == 0 || strspn(l->line.p, " \t\r") == l->line.n);
}

/* The next line of our shard that is not blank. */
static omni_status next_input(batch *b, bool *got, omni_error *err)
{
    omni_status st;
    do
        st = lines_next(b->in, got, err);
    while (!st && *got && ((b->in->number - 1) % b->shards != b->shard - 1 || is_blank(b->in)));
    return st;
}

/* ---- what a run is told apart by ---------------------------------------------------------------- */

static uint64_t fnv(uint64_t h, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}
#define FNV_START 0xcbf29ce484222325u

static uint64_t fnv_text(uint64_t h, const char *s)
{
    return fnv(h, s ? s : "", s ? strlen(s) + 1 : 1);
}

/* Everything that the text of a row depends on besides its line, the seed and the instruction set. */
static uint64_t settings_hash(const batch *b)
{
    const omni_sample_params *s = &b->set->sample;
    const omni_model_info *i = &b->e.info;
    char text[256];
    snprintf(text, sizeof text, "%.9g %d %.9g %.9g %.9g %u %" PRId64 " %" PRId64 " %d %d %d %d", (double)s->temperature,
             (int)s->top_k, (double)s->top_p, (double)s->min_p, (double)s->repeat_penalty, s->repeat_last,
             b->set->max_tokens, b->o->ctx, b->o->raw, b->o->ignore_end, b->o->shift && !b->o->no_shift,
             b->o->activations);
    uint64_t h = fnv_text(FNV_START, text);
    for (size_t k = 0; k < s->n_bias; k++) {
        snprintf(text, sizeof text, "%d=%.9g", (int)s->bias[k].id, (double)s->bias[k].bias);
        h = fnv_text(h, text);
    }
    for (size_t k = 0; k < b->set->n_stop; k++)
        h = fnv_text(h, b->set->stop[k]);
    h = fnv_text(fnv_text(h, b->o->system), b->e.tmpl);
    snprintf(text, sizeof text, "%" PRIu64 " %" PRIu64 " %016" PRIx64, i->file_bytes, i->n_params, i->vocab_hash);
    return fnv_text(fnv_text(fnv_text(h, text), i->architecture), i->quantisation);
}

/* Size, hash and number of lines of the input; a second look at a file, so not for pipes. */
static omni_status hash_input(batch *b, omni_error *err)
{
    cli_in *in = NULL;
    char buf[1 << 16];
    ptrdiff_t n = 0;
    omni_status st = cli_in_open(&in, b->o->batch, err);
    if (st)
        return st;
    b->in_hash = FNV_START;
    char last = '\n';
    while ((n = cli_in_read(in, buf, sizeof buf)) > 0) {
        b->in_hash = fnv(b->in_hash, buf, (size_t)n);
        b->in_bytes += (uint64_t)n;
        for (const char *p = buf; (p = memchr(p, '\n', (size_t)(buf + n - p))); p++)
            b->n_lines++;
        last = buf[n - 1];
    }
    b->n_lines += last != '\n';
    if (n < 0)
        st = cli_in_fail(in, err);
    cli_in_close(in);
    return st;
}

static omni_status write_key(batch *b, omni_error *err)
{
    cli_out *out = cli_out_open(b->key, CLI_OUT_REPLACE);
    if (!out)
        return run_fail(err, OMNI_E_SYSTEM, "%s", "");
    cli_out_printf(out,
                   "{\"omni_batch\":1,\"input_bytes\":%" PRIu64 ",\"input_hash\":\"%016" PRIx64
                   "\",\"settings_hash\":\"%016" PRIx64 "\",\"shard\":\"%" PRIu64 "/%" PRIu64 "\",\"seed\":\"%" PRIu64
                   "\"}\n",
                   b->in_bytes, b->in_hash, settings_hash(b), b->shard, b->shards, b->seed);
    return cli_out_close(out, true) ? run_fail(err, OMNI_E_SYSTEM, "%s", "") : OMNI_OK;
}

static bool key_is(const omni_json *doc, const char *name, const char *want)
{
    size_t len;
    const char *s = omni_json_string(omni_json_get(doc, name), &len);
    return s && strcmp(s, want) == 0;
}

/* Compares the run that began OUT.partial with this one; a seed that was drawn then is taken over. */
static omni_status compare_key(batch *b, const omni_json *doc, bool seed_given, omni_error *err)
{
    char input[24], settings[24], shard[48];
    const char *other = NULL;
    size_t len;
    double bytes = -1;
    snprintf(input, sizeof input, "%016" PRIx64, b->in_hash);
    snprintf(settings, sizeof settings, "%016" PRIx64, settings_hash(b));
    snprintf(shard, sizeof shard, "%" PRIu64 "/%" PRIu64, b->shard, b->shards);
    const char *seed_text = omni_json_string(omni_json_get(doc, "seed"), &len);
    uint64_t seed = 0;
    if (!seed_text || !cli_parse_u64(seed_text, &seed))
        return run_fail(err, OMNI_E_INPUT, "%s: expected the key of a batch run", b->key);
    if (!omni_json_number(omni_json_get(doc, "input_bytes"), &bytes) || bytes != (double)b->in_bytes ||
        !key_is(doc, "input_hash", input))
        other = "another input: it has changed since";
    else if (!key_is(doc, "shard", shard))
        other = "another --shard";
    else if (!key_is(doc, "settings_hash", settings))
        other = "another model or other options";
    else if (seed_given && seed != b->seed)
        other = "another seed";
    if (other)
        return run_fail(err, OMNI_E_INPUT, "%s was begun with %s; remove it to start again", b->partial, other);
    b->seed = seed;
    return OMNI_OK;
}

static omni_status check_key(batch *b, bool seed_given, omni_error *err)
{
    cli_in *in = NULL;
    char *text = NULL;
    size_t len;
    omni_json *doc = NULL;
    if (access(b->key, F_OK) != 0)
        return run_fail(err, OMNI_E_INPUT, "%s has rows, but %s, which says what they belong to, is missing",
                        b->partial, b->key);
    omni_status st = cli_in_open(&in, b->key, err);
    if (!st)
        st = cli_in_all(in, 1 << 16, &text, &len, err);
    if (!st && omni_json_parse(&doc, text, len, NULL))
        st = run_fail(err, OMNI_E_INPUT, "%s: expected the key of a batch run", b->key);
    if (!st)
        st = compare_key(b, doc, seed_given, err);
    omni_json_free(doc);
    free(text);
    cli_in_close(in);
    return st;
}

/* ---- rows that are there already ------------------------------------------------------------------ */

/* Does the row answer the input line that is in b->in? *bad: it is an error row. */
static bool row_matches(batch *b, const lines *row, bool *bad)
{
    omni_json *doc = NULL;
    run_row line = {0};
    run_buf id = {0};
    double number;
    bool same = false;
    if (row->too_long || omni_json_parse(&doc, row->line.p, row->line.n, NULL))
        return false;
    const omni_json *v = omni_json_get(doc, "id");
    if (!b->in->too_long && run_row_parse(&line, b->in->line.p, b->in->line.n, b->set, NULL) == OMNI_E_MEMORY)
        cli_verbose(1, "out of memory while checking rows");
    if (omni_json_number(omni_json_get(doc, "line"), &number) && number == (double)b->in->number &&
        (!v || run_row_id(v, &id, NULL) == OMNI_OK))
        same = id.n == line.id.n && (id.n == 0 || memcmp(id.p, line.id.p, id.n) == 0);
    *bad = omni_json_get(doc, "error") != NULL;
    run_buf_release(&id);
    run_row_release(&line);
    omni_json_free(doc);
    return same;
}

/* Walks through the rows of a file and the input lines they answer. A last row without its newline was cut by a kill
 * and does not count. *end = bytes of whole rows; *match = false when a row is not that of its line. */
static omni_status check_rows(batch *b, const char *path, uint64_t *end, bool *match, omni_error *err)
{
    lines *rows = NULL;
    bool got, bad = false;
    omni_status st = lines_open(&rows, path, LINE_MAX_OUT, err);
    *end = 0;
    *match = true;
    while (!st && *match) {
        st = lines_next(rows, &got, err);
        if (st || !got || !rows->whole)
            break;
        st = next_input(b, &got, err);
        *match = !st && got && row_matches(b, rows, &bad);
        if (*match) {
            *end += rows->line.n + 1;
            b->n_rows++;
            b->n_bad += bad;
        } else if (!st) {
            st = run_fail(err, OMNI_E_INPUT, "%s: row %" PRIu64 " is not that of %s line %" PRIu64, path, rows->number,
                          b->o->batch, b->in->number);
        }
    }
    lines_close(rows);
    return st;
}

/* OUT is there: it is either our finished work or somebody's file, and neither is overwritten. Exit code. */
static int check_finished(batch *b)
{
    omni_error err = {""};
    uint64_t end;
    bool match, got = false;
    omni_status st = check_rows(b, b->o->common.output, &end, &match, &err);
    if (!st)
        st = next_input(b, &got, &err);
    if (!match || got) {
        cli_error("%s exists and is not the whole output of %s; it is not overwritten", b->o->common.output,
                  b->o->batch);
        return 3;
    }
    if (st)
        return run_report(st, &err);
    cli_note("%s is complete: %" PRIu64 " rows; nothing to do", b->o->common.output, b->n_rows);
    unlink(b->key); /* left when a kill came between the last two steps of the run that finished it */
    return b->n_bad ? 3 : 0;
}

/* ---- OUT.partial ------------------------------------------------------------------------------------ */

/* Nobody else writes to it, and it still has its name: another run may have finished it while we waited to open it. */
static omni_status lock_partial(batch *b, omni_error *err)
{
    struct stat mine, named;
    int fd = cli_out_fd(b->out);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return run_fail(err, errno == EWOULDBLOCK ? OMNI_E_INPUT : OMNI_E_SYSTEM, "%s: %s", b->partial,
                        errno == EWOULDBLOCK ? "another omni-run is writing it" : strerror(errno));
    if (fstat(fd, &mine) != 0 || stat(b->partial, &named) != 0 || mine.st_ino != named.st_ino)
        return run_fail(err, OMNI_E_INPUT, "%s: another omni-run has just finished it", b->partial);
    return OMNI_OK;
}

/* Opens OUT.partial and goes to where it ends. */
static omni_status open_partial(batch *b, bool seed_given, omni_error *err)
{
    struct stat st;
    uint64_t end;
    bool match;
    b->out = cli_out_open(b->partial, CLI_OUT_APPEND);
    if (!b->out)
        return run_fail(err, OMNI_E_SYSTEM, "%s", "");
    omni_status s = lock_partial(b, err);
    if (s)
        return s;
    if (fstat(cli_out_fd(b->out), &st) != 0)
        return run_fail(err, OMNI_E_SYSTEM, "%s: %s", b->partial, strerror(errno));
    if (st.st_size == 0)
        return b->resumable ? write_key(b, err) : OMNI_OK;
    if (!b->resumable)
        return run_fail(err, OMNI_E_INPUT, "%s has rows, but an input that is no regular file cannot be resumed",
                        b->partial);
    s = check_key(b, seed_given, err);
    if (!s)
        s = check_rows(b, b->partial, &end, &match, err);
    if (!s && end < (uint64_t)st.st_size && ftruncate(cli_out_fd(b->out), (off_t)end) != 0)
        s = run_fail(err, OMNI_E_SYSTEM, "%s: %s", b->partial, strerror(errno));
    if (!s && b->n_rows)
        cli_note("%s: going on after %" PRIu64 " rows", b->partial, b->n_rows);
    return s;
}

/* ---- one row ------------------------------------------------------------------------------------------ */

/* splitmix64 (Steele, Lea, Flood 2014) of seed and line, so that a row is the same in every shard; 53 bits. */
static uint64_t row_seed(uint64_t seed, uint64_t line)
{
    uint64_t z = seed + line * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (z ^ (z >> 31)) >> 11;
}

static bool collect(void *user, const omni_piece *piece)
{
    return run_buf_add(user, piece->text, piece->len) == OMNI_OK;
}

/* Messages of the row, with --system first unless the row has its own. */
static omni_status encode_row(batch *b, const run_row *row, omni_tokens *ids, omni_error *err)
{
    const char *system = b->o->system;
    if (b->o->raw && !row->is_prompt)
        return run_fail(err, OMNI_E_INPUT, "\"messages\" need a chat template; with --raw only \"prompt\" works");
    if (b->o->raw || !system || strcmp(row->msgs[0].role, "system") == 0)
        return run_encode(&b->e, row->msgs, row->n_msgs, ids, err);
    omni_message *msgs = calloc(row->n_msgs + 1, sizeof *msgs);
    if (!msgs)
        return run_no_memory(err, "messages");
    msgs[0] = (omni_message){.role = "system", .text = system, .len = strlen(system)};
    memcpy(msgs + 1, row->msgs, row->n_msgs * sizeof *msgs);
    omni_status st = run_encode(&b->e, msgs, row->n_msgs + 1, ids, err);
    free(msgs);
    return st;
}

static omni_status answer_row(batch *b, run_row *row, run_buf *said, run_answer *a, omni_error *err)
{
    omni_sampler *sp = NULL;
    omni_tokens ids = {0};
    if (!row->has_seed)
        row->set.sample.seed = row_seed(b->seed, b->in->number);
    omni_status st = omni_sampler_new(&sp, b->e.model, &row->set.sample, err);
    if (!st)
        st = encode_row(b, row, &ids, err);
    if (!st)
        st = run_generate(&b->e, sp, &row->set, &ids, row->msgs, row->n_msgs, collect, said, a, err);
    if (!st && a->finish == OMNI_FINISH_CANCEL)
        st = run_fail(err, OMNI_E_CANCELLED, "interrupted");
    omni_tokens_release(&ids);
    omni_sampler_free(sp);
    return st;
}

static omni_status format_row(run_buf *out, uint64_t line, const run_row *row, const run_buf *said, const run_answer *a,
                              const char *error)
{
    omni_status st = run_buf_printf(out, "{\"line\":%" PRIu64, line);
    if (!st && row->id.n) {
        st = run_buf_puts(out, ",\"id\":");
        st = st ? st : run_buf_add(out, row->id.p, row->id.n);
    }
    st = st ? st : run_buf_puts(out, error ? ",\"error\":" : ",\"text\":");
    st = st ? st : run_buf_quote(out, error ? error : said->p ? said->p : "", error ? strlen(error) : said->n);
    if (!st && !error)
        st = run_buf_printf(out, ",\"finish\":\"%s\",\"usage\":{\"prompt_tokens\":%zu,\"completion_tokens\":%zu}",
                            run_finish_name(a->finish), a->n_prompt, a->n_output);
    return st ? st : run_buf_puts(out, "}\n");
}

/* Answers the line in b->in and writes its row. What is wrong with the line goes into the row; what is wrong with the
 * machine ends the run. */
static omni_status do_row(batch *b, omni_error *err)
{
    run_row row = {0};
    run_buf said = {0}, out = {0};
    run_answer a = {0};
    omni_status st;
    if (b->in->too_long)
        st = run_fail(err, OMNI_E_INPUT, "the line is longer than %zu bytes", LINE_MAX_IN);
    else
        st = run_row_parse(&row, b->in->line.p, b->in->line.n, b->set, err);
    if (!st)
        st = answer_row(b, &row, &said, &a, err);
    bool bad = st == OMNI_E_INPUT || st == OMNI_E_FULL || st == OMNI_E_USAGE;
    if (!st || bad) {
        st = format_row(&out, b->in->number, &row, &said, &a, bad ? err->text : NULL);
        if (st)
            st = run_no_memory(err, "row");
        /* A row is on the disk before the next one is begun. */
        else if (!cli_out_write(b->out, out.p, out.n) || !cli_out_flush(b->out))
            st = run_fail(err, OMNI_E_SYSTEM, "%s", "");
        else if (b->partial && fdatasync(cli_out_fd(b->out)) != 0 && errno != EINVAL)
            st = run_fail(err, OMNI_E_SYSTEM, "%s: %s", b->partial, strerror(errno));
        b->n_rows += !st;
        b->n_bad += !st && bad;
    }
    run_buf_release(&out);
    run_buf_release(&said);
    run_row_release(&row);
    return st;
}

static omni_status do_rows(batch *b, omni_error *err)
{
    bool got = true;
    omni_status st = OMNI_OK;
    while (!st && !cli_signalled()) {
        if (b->n_lines)
            cli_progress("line %" PRIu64 " of %" PRIu64, b->in->number, b->n_lines);
        else
            cli_progress("line %" PRIu64, b->in->number);
        st = next_input(b, &got, err);
        if (st || !got)
            break;
        st = do_row(b, err);
    }
    cli_progress_clear();
    if (!st && cli_signalled())
        st = run_fail(err, OMNI_E_CANCELLED, "interrupted");
    return st;
}

/* ---- the run -------------------------------------------------------------------------------------------- */

static bool parse_shard(const char *text, uint64_t *shard, uint64_t *shards)
{
    const char *slash = strchr(text, '/');
    char first[24];
    if (!slash || (size_t)(slash - text) >= sizeof first)
        return false;
    memcpy(first, text, (size_t)(slash - text));
    first[slash - text] = '\0';
    return cli_parse_u64(first, shard) && cli_parse_u64(slash + 1, shards) && *shard >= 1 && *shard <= *shards;
}

static char *join(const char *path, const char *suffix)
{
    size_t n = strlen(path) + strlen(suffix) + 1;
    char *s = malloc(n);
    if (s)
        snprintf(s, n, "%s%s", path, suffix);
    return s;
}

static omni_status open_output(batch *b, bool seed_given, omni_error *err)
{
    const char *path = b->o->common.output;
    if (b->partial)
        return open_partial(b, seed_given, err);
    b->out = cli_out_open(path, CLI_OUT_REPLACE); /* standard output, or a device */
    return b->out ? OMNI_OK : run_fail(err, OMNI_E_SYSTEM, "%s", "");
}

static omni_status finish_output(batch *b, omni_error *err)
{
    omni_status st = cli_out_close(b->out, true);
    b->out = NULL;
    if (st)
        return run_fail(err, st, "%s", "");
    if (b->partial && rename(b->partial, b->o->common.output) != 0)
        return run_fail(err, OMNI_E_SYSTEM, "%s: %s", b->o->common.output, strerror(errno));
    if (b->partial)
        unlink(b->key);
    return OMNI_OK;
}

/* Leaves what was done so far for the next run; an OUT.partial without a row is nothing to keep. */
static void abandon_output(batch *b, bool opened)
{
    if (b->out && opened && b->partial && b->n_rows == 0) {
        unlink(b->partial);
        unlink(b->key);
    } else if (opened && b->partial) {
        cli_note("stopped after %" PRIu64 " rows, which are in %s%s", b->n_rows, b->partial,
                 b->resumable ? "; the same command goes on from there" : "");
    }
    if (cli_out_close(b->out, true))
        cli_verbose(1, "the output could not be closed properly");
    b->out = NULL;
}

static int run_rows(batch *b, bool seed_given)
{
    omni_error err = {""};
    omni_status st = run_engine_open(&b->e, b->o, &err);
    bool opened = false;
    if (!st) {
        st = open_output(b, seed_given, &err);
        opened = !st;
    }
    if (!st)
        cli_verbose(1, "seed %" PRIu64 " (-s %" PRIu64 " repeats this run)", b->seed, b->seed);
    if (!st)
        st = do_rows(b, &err);
    if (!st)
        st = finish_output(b, &err);
    if (st) {
        int rc = run_report(st, &err);
        abandon_output(b, opened);
        return rc;
    }
    if (b->o->stats)
        run_stats_print(&b->e, b->o->common.json);
    if (b->n_bad)
        cli_error("%s: %" PRIu64 " of %" PRIu64 " rows are errors", b->o->batch, b->n_bad, b->n_rows);
    return b->n_bad ? 3 : 0;
}

static bool is_regular(const char *path)
{
    struct stat st;
    return strcmp(path, "-") != 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* Decides where rows go; *finished: OUT is there already. */
static omni_status plan_output(batch *b, bool *finished, omni_error *err)
{
    const char *out = b->o->common.output;
    bool to_file = out && strcmp(out, "-") != 0;
    struct stat st;
    if (to_file && stat(out, &st) == 0) {
        *finished = S_ISREG(st.st_mode);
        to_file = *finished;
    }
    if (to_file) {
        b->partial = join(out, ".partial");
        b->key = join(out, ".partial.key");
        if (!b->partial || !b->key)
            return run_no_memory(err, out);
    }
    if (!is_regular(b->o->batch))
        return OMNI_OK;
    b->resumable = to_file;
    return to_file || isatty(STDERR_FILENO) ? hash_input(b, err)
                                            : OMNI_OK; /* or to count lines for the progress line */
}

int run_batch(run_options *o, const run_settings *set, bool seed_given)
{
    batch b = {.o = o, .set = set, .seed = set->sample.seed, .shard = 1, .shards = 1};
    omni_error err = {""};
    bool finished = false;
    int rc;
    if (o->shard && !parse_shard(o->shard, &b.shard, &b.shards)) {
        cli_error("--shard: expected I/N with I from 1 to N, found '%s'", o->shard);
        return 2;
    }
    omni_status st = lines_open(&b.in, o->batch, LINE_MAX_IN, &err);
    if (!st)
        st = plan_output(&b, &finished, &err);
    if (st)
        rc = run_report(st, &err);
    else
        rc = finished ? check_finished(&b) : run_rows(&b, seed_given);
    run_engine_release(&b.e);
    lines_close(b.in);
    free(b.partial);
    free(b.key);
    return rc;
}
