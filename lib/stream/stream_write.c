/* stream_write.c - records as lines of omni-stream(5). */
#include "base/base_json.h"

#include <stdlib.h>
#include <string.h>

/* A text record's line is at most "heard " + quotes + newline + 6 bytes for each of its own: pieces of this size always
 * fit. */
#define TEXT_PIECE ((OMNI_STREAM_LINE_MAX - 16) / 6)

/* As much of text as one record takes: up to TEXT_PIECE bytes, not cutting a character. */
static size_t piece_length(const char *text, size_t n)
{
    if (n <= TEXT_PIECE)
        return n;
    size_t cut = TEXT_PIECE;
    for (size_t back = 0; back < 3 && ((unsigned char)text[cut] & 0xC0) == 0x80; back++)
        cut--;
    return cut;
}

static omni_status write_text(om_buf *b, const char *kind, const char *text, size_t n)
{
    omni_status st;
    do {
        size_t k = piece_length(text, n);
        st = om_buf_addf(b, "%s ", kind);
        if (st == OMNI_OK)
            st = om_json_quote(b, text, k);
        if (st == OMNI_OK)
            st = om_buf_add(b, "\n", 1);
        text += k;
        n -= k;
    } while (st == OMNI_OK && n > 0);
    return st;
}

/* A line as it is: JSON objects, reasons, unknown records. Must be one line of UTF-8. */
static omni_status write_raw(om_buf *b, const char *prefix, const char *s, size_t n, omni_error *err)
{
    size_t bad;
    if (n && (memchr(s, '\n', n) || memchr(s, '\0', n) || !om_utf8_valid(s, n, &bad)))
        return om_fail(err, OMNI_E_INPUT, "stream record '%s': expected one line of UTF-8", prefix);
    omni_status st = om_buf_addf(b, "%s%s", prefix, *prefix && n ? " " : "");
    if (st == OMNI_OK)
        st = om_buf_add(b, s ? s : "", n);
    return st == OMNI_OK ? om_buf_add(b, "\n", 1) : st;
}

static omni_status check_name(const char *s, const char *what, omni_error *err)
{
    size_t n = s ? strlen(s) : 0;
    bool good = n >= 1 && n <= 64;
    for (size_t i = 0; good && i < n; i++)
        good = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') || (s[i] >= '0' && s[i] <= '9') ||
               strchr("-_.:", s[i]);
    return good ? OMNI_OK
                : om_fail(err, OMNI_E_USAGE,
                          "stream record: expected a %s of 1..64 letters, digits and -_.:, found '%.80s'", what,
                          s ? s : "");
}

static omni_status write_codes(om_buf *b, const omni_record *rec)
{
    omni_status st = OMNI_OK;
    for (size_t i = 0; i < rec->n_codes && st == OMNI_OK; i++)
        st = om_buf_addf(b, " %u", rec->codes[i]);
    return st == OMNI_OK ? om_buf_add(b, "\n", 1) : st;
}

static omni_status write_head(om_buf *b, const omni_record *rec, omni_error *err)
{
    omni_status st = OMNI_OK;
    if (rec->name && *rec->name)
        st = check_name(rec->name, "program name", err);
    if (st == OMNI_OK)
        st = om_buf_add(b, "omni 1", 6);
    if (st == OMNI_OK && rec->has_vocab)
        st = om_buf_addf(b, " vocab=%08x", rec->vocab);
    if (st == OMNI_OK)
        st = om_buf_addf(b, " from=%s\n", rec->name && *rec->name ? rec->name : "unknown");
    return st;
}

static omni_status write_audio(om_buf *b, const omni_record *rec, omni_error *err)
{
    omni_status st = check_name(rec->name, "voice name", err);
    if (st == OMNI_OK && (rec->n_codes < 1 || rec->n_codes > 16))
        st = om_fail(err, OMNI_E_USAGE, "audio record: expected 1..16 codes, found %zu", rec->n_codes);
    if (st == OMNI_OK)
        st = om_buf_addf(b, "audio %llu %s", (unsigned long long)rec->start_ms, rec->name);
    return st == OMNI_OK ? write_codes(b, rec) : st;
}

static omni_status write_image(om_buf *b, const omni_record *rec, omni_error *err)
{
    if (rec->rows == 0 || rec->cols == 0 || (uint64_t)rec->rows * rec->cols != rec->n_codes)
        return om_fail(err, OMNI_E_USAGE, "image record: %u x %u with %zu codes", rec->rows, rec->cols, rec->n_codes);
    omni_status st = om_buf_addf(b, "image %ux%u", rec->rows, rec->cols);
    return st == OMNI_OK ? write_codes(b, rec) : st;
}

static omni_status write_record(om_buf *b, const omni_record *rec, omni_error *err)
{
    static const char *const ends[] = {"end ok", "end blocked", "end error"};
    omni_status st;
    switch (rec->kind) {
    case OMNI_RECORD_HEAD:
        return write_head(b, rec, err);
    case OMNI_RECORD_ROLE:
        st = check_name(rec->name, "role", err);
        return st == OMNI_OK ? om_buf_addf(b, "role %s\n", rec->name) : st;
    case OMNI_RECORD_TEXT:
        return write_text(b, "text", rec->text, rec->len);
    case OMNI_RECORD_HEARD:
        return write_text(b, "heard", rec->text, rec->len);
    case OMNI_RECORD_AUDIO:
        return write_audio(b, rec, err);
    case OMNI_RECORD_IMAGE:
        return write_image(b, rec, err);
    case OMNI_RECORD_FRAME:
        return om_buf_addf(b, "frame %llu\n", (unsigned long long)rec->start_ms);
    case OMNI_RECORD_GUARD:
        return write_raw(b, "guard", rec->text, rec->len, err);
    case OMNI_RECORD_META:
        return write_raw(b, "meta", rec->text, rec->len, err);
    case OMNI_RECORD_END:
        if (rec->end < OMNI_END_OK || rec->end > OMNI_END_ERROR)
            break;
        return write_raw(b, ends[rec->end], rec->end == OMNI_END_OK ? "" : rec->text,
                         rec->end == OMNI_END_OK ? 0 : rec->len, err);
    case OMNI_RECORD_OTHER:
        return write_raw(b, "", rec->text, rec->len, err);
    }
    return om_fail(err, OMNI_E_USAGE, "stream record: unknown kind %d", (int)rec->kind);
}

omni_status omni_record_write(const omni_record *rec, char **buf, size_t *len, size_t *cap, omni_error *err)
{
    om_buf b = {*buf, *len, *cap};
    size_t before = b.n;
    omni_status st = write_record(&b, rec, err);
    if (st == OMNI_E_MEMORY)
        st = om_fail_memory(err, b.n, "a stream record");
    bool text = rec->kind == OMNI_RECORD_TEXT || rec->kind == OMNI_RECORD_HEARD;
    if (st == OMNI_OK && !text && b.n - before > OMNI_STREAM_LINE_MAX)
        st = om_fail(err, OMNI_E_INPUT, "stream record of %zu bytes: expected at most %u", b.n - before,
                     OMNI_STREAM_LINE_MAX);
    *buf = b.p;
    *cap = b.cap;
    if (st == OMNI_OK)
        *len = b.n;
    else if (b.p)
        b.p[before] = '\0';
    return st;
}
