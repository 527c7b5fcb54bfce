/* stream_read.c - omni-stream(5) from untrusted bytes, record by record, as soon as a line is complete. */
#include "base/base_json.h"

#include <stdio.h>
#include <string.h>

#define CHUNK 65536
#define MAX_AUDIO_CODES 16
#define MAX_SIDE                                                                                                       \
    4096 /* rows and columns of an image: a line of 1 MiB has no room for more codes than 512 x 512 anyway */
#define MAX_NAME 64

enum state { BEFORE_HEAD, INSIDE, AFTER_END };

struct omni_reader {
    omni_read_fn fn;
    void *user;
    char *name;
    char *buf;         /* [OMNI_STREAM_LINE_MAX + CHUNK] */
    size_t begin, end; /* what is read and not used yet */
    size_t scanned;    /* bytes from begin that hold no newline */
    bool eof;
    enum state state;
    uint64_t line;
    om_buf text; /* decoded string of the current record */
    uint32_t *codes;
    size_t codes_cap;
    char word[MAX_NAME + 1]; /* role, voice, from */
};

/* The fields of the current line. */
typedef struct cursor {
    omni_reader *r;
    const char *p, *end;
    omni_error *err;
} cursor;

omni_status omni_reader_new(omni_reader **out, const char *name, omni_read_fn fn, void *user, omni_error *err)
{
    omni_reader *r = om_alloc_zero(1, sizeof *r);
    if (r) {
        r->name = om_strndup(name, strlen(name));
        r->buf = om_alloc(OMNI_STREAM_LINE_MAX + CHUNK);
    }
    if (!r || !r->name || !r->buf) {
        omni_reader_free(r);
        return om_fail_memory(err, OMNI_STREAM_LINE_MAX + CHUNK, "a stream reader");
    }
    r->fn = fn;
    r->user = user;
    *out = r;
    return OMNI_OK;
}

void omni_reader_free(omni_reader *r)
{
    if (!r)
        return;
    om_buf_release(&r->text);
    om_free(r->codes);
    om_free(r->buf);
    om_free(r->name);
    om_free(r);
}

int omni_stream_probe(const char *bytes, size_t n)
{
    return n >= 7 && memcmp(bytes, "omni 1 ", 7) == 0;
}

/* ---- lines ---- */

/* "NAME: line N: expected WHAT, found 'BYTES'"; p..end is what was found. */
static omni_status bad(const cursor *c, const char *expected)
{
    char shown[80];
    size_t n = (size_t)(c->end - c->p);
    if (n == 0)
        return om_fail(c->err, OMNI_E_INPUT, "%s: line %llu: expected %s, found the end of the line", c->r->name,
                       (unsigned long long)c->r->line, expected);
    return om_fail(c->err, OMNI_E_INPUT, "%s: line %llu: expected %s, found '%s'", c->r->name,
                   (unsigned long long)c->r->line, expected, om_show(shown, sizeof shown, c->p, n));
}

/* Makes room at the end of the buffer and reads once. */
static omni_status fill(omni_reader *r, omni_error *err)
{
    if (r->begin > 0) {
        memmove(r->buf, r->buf + r->begin, r->end - r->begin);
        r->end -= r->begin;
        r->begin = 0;
    }
    size_t room = OMNI_STREAM_LINE_MAX + CHUNK - r->end;
    ptrdiff_t n = r->fn(r->user, r->buf + r->end, room < CHUNK ? room : CHUNK);
    if (n < 0)
        return om_fail_errno(err, "%s: line %llu: read failed", r->name, (unsigned long long)r->line + 1);
    r->eof = n == 0;
    r->end += (size_t)n;
    return OMNI_OK;
}

static omni_status line_too_long(const omni_reader *r, omni_error *err)
{
    return om_fail(err, OMNI_E_INPUT, "%s: line %llu: expected at most %u bytes, found more", r->name,
                   (unsigned long long)r->line + 1, OMNI_STREAM_LINE_MAX);
}

/* The next line without its LF; *c is unset and *got false at the end of the input. */
static omni_status next_line(omni_reader *r, cursor *c, bool *got, omni_error *err)
{
    for (;;) {
        size_t have = r->end - r->begin;
        const char *from = r->buf + r->begin, *nl = memchr(from + r->scanned, '\n', have - r->scanned);
        if (nl) {
            r->line++;
            *c = (cursor){r, from, nl, err};
            r->begin += (size_t)(nl - from) + 1;
            r->scanned = 0;
            *got = true;
            return nl - from >= OMNI_STREAM_LINE_MAX ? (r->line--, line_too_long(r, err)) : OMNI_OK;
        }
        r->scanned = have;
        if (have >= OMNI_STREAM_LINE_MAX)
            return line_too_long(r, err);
        if (r->eof)
            break;
        omni_status st = fill(r, err);
        if (st != OMNI_OK)
            return st;
    }
    *got = false;
    if (r->end > r->begin)
        return om_fail(err, OMNI_E_INPUT,
                       "%s: line %llu: expected a newline at the end, found the end of the input: the stream was cut",
                       r->name, (unsigned long long)r->line + 1);
    return OMNI_OK;
}

/* ---- fields ---- */

/* The next word, up to a space or the end; fields are separated by exactly one space. */
static bool word(cursor *c, const char **p, size_t *n)
{
    const char *sp = memchr(c->p, ' ', (size_t)(c->end - c->p));
    const char *e = sp ? sp : c->end;
    *p = c->p;
    *n = (size_t)(e - c->p);
    if (*n == 0)
        return false;
    c->p = sp ? sp + 1 : c->end;
    return true;
}

static bool parse_u64(const char *p, size_t n, int base, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;
    if (n == 0 || n > 20)
        return false;
    for (size_t i = 0; i < n; i++) {
        unsigned ch = (unsigned char)p[i], d = ch - '0';
        if (base == 16 && ch >= 'a' && ch <= 'f')
            d = ch - 'a' + 10;
        if (d >= (unsigned)base || v > (max - d) / (unsigned)base)
            return false;
        v = v * (unsigned)base + d;
    }
    *out = v;
    return true;
}

static omni_status number(cursor *c, const char *expected, uint64_t max, uint64_t *out)
{
    cursor before = *c;
    const char *p;
    size_t n;
    if (!word(c, &p, &n) || !parse_u64(p, n, 10, max, out))
        return bad(&before, expected);
    return OMNI_OK;
}

/* A name of letters, digits and - _ . : into r->word. */
static omni_status name(cursor *c, const char *expected)
{
    cursor before = *c;
    const char *p;
    size_t n;
    bool good = word(c, &p, &n) && n <= MAX_NAME;
    for (size_t i = 0; good && i < n; i++)
        good = (p[i] >= 'a' && p[i] <= 'z') || (p[i] >= 'A' && p[i] <= 'Z') || (p[i] >= '0' && p[i] <= '9') ||
               strchr("-_.:", p[i]);
    if (!good || memchr(p, '\0', n))
        return bad(&before, expected);
    memcpy(c->r->word, p, n);
    c->r->word[n] = '\0';
    return OMNI_OK;
}

static omni_status end_of_line(const cursor *c)
{
    return c->p == c->end ? OMNI_OK : bad(c, "the end of the record");
}

static omni_status codes(cursor *c, size_t max, omni_record *rec)
{
    omni_reader *r = c->r;
    void *p = r->codes;
    rec->n_codes = 0;
    while (c->p < c->end) {
        uint64_t v;
        if (rec->n_codes == max)
            return bad(c, "no more codes");
        omni_status st = om_grow(&p, &r->codes_cap, rec->n_codes + 1, sizeof *r->codes, c->err);
        r->codes = p;
        if (st == OMNI_OK)
            st = number(c, "a code in 0..4294967295", UINT32_MAX, &v);
        if (st != OMNI_OK)
            return st;
        r->codes[rec->n_codes++] = (uint32_t)v;
    }
    rec->codes = r->codes;
    return OMNI_OK;
}

/* ---- records ---- */

static omni_status read_head(cursor *c, omni_record *rec)
{
    uint64_t version, vocab;
    rec->kind = OMNI_RECORD_HEAD;
    cursor before = *c;
    if (number(c, "", UINT32_MAX, &version) != OMNI_OK || version != 1)
        return bad(&before, "version 1 of omni-stream");
    rec->name = "";
    while (c->p < c->end) {
        const char *p;
        size_t n;
        before = *c;
        if (!word(c, &p, &n) || !memchr(p, '=', n))
            return bad(&before, "KEY=VALUE");
        if (n > 6 && memcmp(p, "vocab=", 6) == 0) {
            if (n != 14 || !parse_u64(p + 6, 8, 16, UINT32_MAX, &vocab))
                return bad(&before, "vocab= with 8 hexadecimal digits");
            rec->vocab = (uint32_t)vocab;
            rec->has_vocab = 1;
        } else if (n > 5 && memcmp(p, "from=", 5) == 0) {
            cursor value = {c->r, p + 5, p + n, c->err};
            if (name(&value, "a program's name after from=") != OMNI_OK)
                return OMNI_E_INPUT;
            rec->name = c->r->word;
        } /* other keys: later versions' additions */
    }
    return OMNI_OK;
}

/* A JSON string that fills the rest of the line. */
static omni_status read_text(cursor *c, omni_record *rec, omni_record_kind kind)
{
    size_t used;
    omni_error why = {0};
    rec->kind = kind;
    om_buf_clear(&c->r->text);
    omni_status st = om_json_unquote(c->p, (size_t)(c->end - c->p), &used, &c->r->text, &why);
    if (st == OMNI_E_MEMORY)
        return om_fail_memory(c->err, (size_t)(c->end - c->p), "a text record");
    if (st != OMNI_OK)
        return om_fail(c->err, st, "%s: line %llu: %s", c->r->name, (unsigned long long)c->r->line, why.text);
    c->p += used;
    rec->text = c->r->text.p ? c->r->text.p : "";
    rec->len = c->r->text.n;
    return end_of_line(c);
}

static omni_status read_json(cursor *c, omni_record *rec, omni_record_kind kind)
{
    omni_error why = {0};
    rec->kind = kind;
    rec->text = c->p;
    rec->len = (size_t)(c->end - c->p);
    if (rec->len == 0 || *c->p != '{')
        return bad(c, "a JSON object");
    omni_status st = om_json_check(c->p, rec->len, &why);
    if (st != OMNI_OK)
        return om_fail(c->err, st, "%s: line %llu: %s", c->r->name, (unsigned long long)c->r->line, why.text);
    return OMNI_OK;
}

static omni_status read_audio(cursor *c, omni_record *rec)
{
    rec->kind = OMNI_RECORD_AUDIO;
    omni_status st = number(c, "a start in milliseconds", UINT64_MAX / 2, &rec->start_ms);
    if (st == OMNI_OK)
        st = name(c, "a voice name or -");
    rec->name = c->r->word;
    cursor first = *c;
    if (st == OMNI_OK)
        st = codes(c, MAX_AUDIO_CODES, rec);
    if (st == OMNI_OK && rec->n_codes == 0)
        return bad(&first, "1..16 codes");
    return st;
}

static omni_status read_image(cursor *c, omni_record *rec)
{
    uint64_t rows, cols;
    const char *p;
    size_t n;
    cursor before = *c;
    rec->kind = OMNI_RECORD_IMAGE;
    const char *x = word(c, &p, &n) ? memchr(p, 'x', n) : NULL;
    if (!x || !parse_u64(p, (size_t)(x - p), 10, MAX_SIDE, &rows) ||
        !parse_u64(x + 1, n - (size_t)(x - p) - 1, 10, MAX_SIDE, &cols) || rows == 0 || cols == 0)
        return bad(&before, "ROWSxCOLUMNS, each 1..4096");
    rec->rows = (uint32_t)rows;
    rec->cols = (uint32_t)cols;
    omni_status st = codes(c, (size_t)(rows * cols), rec);
    if (st == OMNI_OK && rec->n_codes != rows * cols)
        return om_fail(c->err, OMNI_E_INPUT, "%s: line %llu: expected %llu codes for %llux%llu, found %zu", c->r->name,
                       (unsigned long long)c->r->line, (unsigned long long)(rows * cols), (unsigned long long)rows,
                       (unsigned long long)cols, rec->n_codes);
    return st;
}

static omni_status read_end(cursor *c, omni_record *rec)
{
    cursor before = *c;
    const char *p;
    size_t n;
    rec->kind = OMNI_RECORD_END;
    if (!word(c, &p, &n))
        return bad(&before, "ok, blocked or error");
    if (n == 2 && memcmp(p, "ok", 2) == 0)
        rec->end = OMNI_END_OK;
    else if (n == 7 && memcmp(p, "blocked", 7) == 0)
        rec->end = OMNI_END_BLOCKED;
    else if (n == 5 && memcmp(p, "error", 5) == 0)
        rec->end = OMNI_END_ERROR;
    else
        return bad(&before, "ok, blocked or error");
    rec->text = c->p;
    rec->len = (size_t)(c->end - c->p);
    if (rec->end == OMNI_END_OK)
        return end_of_line(c);
    return OMNI_OK;
}

static bool is_kind(const char *p, size_t n, const char *kind)
{
    return strlen(kind) == n && memcmp(p, kind, n) == 0;
}

/* A record inside a stream; the kind is already read. */
static omni_status read_record(cursor *c, const char *line, const char *kind, size_t n, omni_record *rec)
{
    if (is_kind(kind, n, "role")) {
        rec->kind = OMNI_RECORD_ROLE;
        omni_status st = name(c, "a role");
        rec->name = c->r->word;
        return st == OMNI_OK ? end_of_line(c) : st;
    }
    if (is_kind(kind, n, "text"))
        return read_text(c, rec, OMNI_RECORD_TEXT);
    if (is_kind(kind, n, "heard"))
        return read_text(c, rec, OMNI_RECORD_HEARD);
    if (is_kind(kind, n, "audio"))
        return read_audio(c, rec);
    if (is_kind(kind, n, "image"))
        return read_image(c, rec);
    if (is_kind(kind, n, "frame")) {
        rec->kind = OMNI_RECORD_FRAME;
        omni_status st = number(c, "milliseconds", UINT64_MAX / 2, &rec->start_ms);
        return st == OMNI_OK ? end_of_line(c) : st;
    }
    if (is_kind(kind, n, "guard"))
        return read_json(c, rec, OMNI_RECORD_GUARD);
    if (is_kind(kind, n, "meta"))
        return read_json(c, rec, OMNI_RECORD_META);
    if (is_kind(kind, n, "end"))
        return read_end(c, rec);
    rec->kind = OMNI_RECORD_OTHER;
    rec->text = line;
    rec->len = (size_t)(c->end - line);
    return OMNI_OK;
}

static omni_status parse_line(cursor *c, omni_record *rec)
{
    omni_reader *r = c->r;
    const char *line = c->p, *kind;
    size_t n, bad_at;
    *rec = (omni_record){.line = r->line};
    if (memchr(c->p, '\0', (size_t)(c->end - c->p)))
        return bad(c, "text without NUL bytes");
    if (!om_utf8_valid(c->p, (size_t)(c->end - c->p), &bad_at)) {
        c->p += bad_at;
        return bad(c, "UTF-8");
    }
    cursor whole = *c;
    bool head = word(c, &kind, &n) && is_kind(kind, n, "omni");
    if (r->state != INSIDE) {
        if (!head)
            return bad(&whole, r->state == BEFORE_HEAD ? "'omni 1 ...', the head of an omni-stream"
                                                       : "'omni 1 ...' or nothing after an end record");
        r->state = INSIDE;
        return read_head(c, rec);
    }
    if (head)
        return bad(&whole, "an end record before the next stream");
    if (n == 0 || whole.p == whole.end)
        return bad(&whole, "a record");
    omni_status st = read_record(c, line, kind, n, rec);
    if (st == OMNI_OK && rec->kind == OMNI_RECORD_END)
        r->state = AFTER_END;
    return st;
}

omni_status omni_reader_next(omni_reader *r, omni_record *rec, int *got, omni_error *err)
{
    cursor c;
    bool line = false;
    omni_status st = next_line(r, &c, &line, err);
    if (st != OMNI_OK)
        return st;
    if (line) {
        st = parse_line(&c, rec);
        if (st == OMNI_OK)
            *got = 1;
        return st;
    }
    if (r->state != AFTER_END)
        return om_fail(err, OMNI_E_INPUT, "%s: line %llu: expected %s, found the end of the input%s", r->name,
                       (unsigned long long)r->line + 1,
                       r->state == INSIDE ? "an end record" : "the head of an omni-stream",
                       r->state == INSIDE ? ": the stream was cut" : "");
    *got = 0;
    return OMNI_OK;
}
