/* test_stream.c - omni-stream(5): what is written is read back whatever the size of the reads; what is wrong is refused
 * with its line. */
#include "base/base.h"
#include "tests.h"

typedef struct source { /* bytes handed out at most `step` at a time */
    const char *p;
    size_t n, at, step;
} source;

static ptrdiff_t give(void *user, char *buf, size_t cap)
{
    source *s = user;
    size_t n = s->n - s->at < s->step ? s->n - s->at : s->step;
    n = n < cap ? n : cap;
    if (n)
        memcpy(buf, s->p + s->at, n);
    s->at += n;
    return (ptrdiff_t)n;
}

/* Reads everything and writes it again into out. */
static omni_status copy(const char *p, size_t n, size_t step, om_buf *out, omni_error *err)
{
    source s = {p, n, 0, step};
    omni_reader *r = NULL;
    omni_record rec;
    int got = 1;
    omni_status st = omni_reader_new(&r, "in", give, &s, err);
    while (st == OMNI_OK && (st = omni_reader_next(r, &rec, &got, err)) == OMNI_OK && got)
        st = omni_record_write(&rec, &out->p, &out->n, &out->cap, err);
    omni_reader_free(r);
    return st;
}

static const char good[] =
    "omni 1 vocab=4f1c9d02 from=omni-encode\nrole user\naudio 0 joe 812 93 4000 17\nheard \"what is this\"\n"
    "image 2x2 17 903 55 1\nframe 1000\ntext \"a\\n\\\"b\\\" \xC3\xA9\"\nguard {\"by\":\"text\"}\nmeta {}\nfuture x y\n"
    "end ok\nomni 1 from=b\nend blocked voice of another\nomni 1 from=c\nend error read\n";

static void test_copy(void)
{
    static const size_t steps[] = {1, 7, 64, 65536};
    for (size_t i = 0; i < 4; i++) {
        om_buf out = {0};
        omni_error err = {0};
        omni_status st = copy(good, sizeof good - 1, steps[i], &out, &err);
        if (!ok(st == OMNI_OK && out.n == sizeof good - 1 && memcmp(out.p, good, out.n) == 0,
                "in reads of %zu: the same", steps[i]))
            diag("%s", err.text);
        om_buf_release(&out);
    }
    size_t last = 0;
    bool cut = true;
    for (size_t n = 0; n < sizeof good - 1; n++) {
        om_buf out = {0};
        omni_error err = {0};
        bool whole = n > 0 && strncmp(good + last, "end ", 4) == 0 && good[n - 1] == '\n';
        omni_status st = copy(good, n, 5, &out, &err);
        cut = cut && st == (whole ? OMNI_OK : OMNI_E_INPUT);
        om_buf_release(&out);
        if (n > 0 && good[n - 1] == '\n')
            last = n;
    }
    ok(cut, "cut anywhere but behind an end record: bad input");
}

static void test_bad(void)
{
    static const char *const bad[][2] = {
        {"", "expected the head"},
        {"text \"a\"\n", "line 1: expected 'omni 1"},
        {"omni 2 from=x\nend ok\n", "version 1"},
        {"omni 1 vocab=12\n", "8 hexadecimal digits"},
        {"omni 1 from=x\ntext a\n", "line 2: JSON byte 0"},
        {"omni 1 from=x\ntext \"a\" b\n", "line 2: expected the end of the record"},
        {"omni 1 from=x\ntext \"\xff\"\n", "line 2: expected UTF-8"},
        {"omni 1 from=x\naudio 0 joe\n", "1..16 codes"},
        {"omni 1 from=x\naudio 0 joe 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n", "no more codes"},
        {"omni 1 from=x\naudio 0 joe 4294967296\n", "a code in 0..4294967295"},
        {"omni 1 from=x\naudio -1 joe 1\n", "a start in milliseconds"},
        {"omni 1 from=x\nimage 2x2 1 2 3\n", "expected 4 codes for 2x2, found 3"},
        {"omni 1 from=x\nimage 0x2\n", "ROWSxCOLUMNS"},
        {"omni 1 from=x\nguard [1]\n", "a JSON object"},
        {"omni 1 from=x\nend maybe\n", "ok, blocked or error"},
        {"omni 1 from=x\n\nend ok\n", "line 2: expected a record"},
        {"omni 1 from=x\nend ok\ntext \"a\"\n", "line 3: expected 'omni 1 ...' or nothing"},
        {"omni 1 from=x\nomni 1 from=y\nend ok\n", "an end record before the next stream"},
        {"omni 1 from=x\nrole \x1b[2J\n", "a role"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        om_buf out = {0};
        omni_error err = {0};
        is_int(copy(bad[i][0], strlen(bad[i][0]), 3, &out, &err), OMNI_E_INPUT, bad[i][1]);
        has_str(err.text, bad[i][1], "... and the message says so");
        ok(!strchr(err.text, '\x1b') && !strchr(err.text, '\n'), "... in one harmless line");
        om_buf_release(&out);
    }
}

/* A line of exactly the limit passes, one byte more does not; a long text is cut into records that join to the same. */
static void test_limits(void)
{
    om_buf in = {0}, out = {0};
    omni_error err = {0};
    char *x = malloc(3 << 20);
    memset(x, 'x', 3 << 20);
    bool made = om_buf_addf(&in, "omni 1 from=x\nlong ") == OMNI_OK &&
                om_buf_add(&in, x, OMNI_STREAM_LINE_MAX - 6) == OMNI_OK && om_buf_addf(&in, "\nend ok\n") == OMNI_OK;
    ok(made && copy(in.p, in.n, 65536, &out, &err) == OMNI_OK, "a line of 1 MiB passes");
    om_buf_clear(&in);
    om_buf_clear(&out);
    made = om_buf_addf(&in, "omni 1 from=x\nlong ") == OMNI_OK && om_buf_add(&in, x, 2 << 20) == OMNI_OK;
    ok(made && copy(in.p, in.n, 65536, &out, &err) == OMNI_E_INPUT, "a longer one does not");
    has_str(err.text, "line 2: expected at most 1048576 bytes", "... and the message has the limit");
    om_buf_clear(&out);
    for (size_t i = 0; i + 2 < 3 << 20; i += 3)
        memcpy(x + i, "\xE2\x82\xAC", 3);
    omni_record rec = {.kind = OMNI_RECORD_TEXT, .text = x, .len = 3 << 20};
    ok(omni_record_write(&rec, &out.p, &out.n, &out.cap, &err) == OMNI_OK && om_utf8_valid(out.p, out.n, NULL),
       "a text of 3 MiB");
    size_t lines = 0, sum = 0, longest = 0;
    for (char *p = out.p, *nl; p && (nl = strchr(p, '\n')); p = nl + 1, lines++) {
        sum += (size_t)(nl - p) - strlen("text \"\"");
        longest = (size_t)(nl - p) + 1 > longest ? (size_t)(nl - p) + 1 : longest;
    }
    ok(lines > 1 && longest <= OMNI_STREAM_LINE_MAX && sum == 3 << 20, "... becomes %zu records that hold all of it",
       lines);
    free(x);
    om_buf_release(&in);
    om_buf_release(&out);
}

int main(void)
{
    test_copy();
    test_bad();
    test_limits();
    ok(omni_stream_probe("omni 1 x", 8) && !omni_stream_probe("omni 1", 6) && !omni_stream_probe("omni 10", 7),
       "the probe");
    return done_testing();
}
