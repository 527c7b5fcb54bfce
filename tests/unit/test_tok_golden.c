/* The tokenizer against reference outputs: regex splits, ids of a small vocabulary under each pre-tokenizer rule, and
 * (when the default model is there) the 63 strings of tokenizer.jsonl. */
#include "test_tok.h"
#include "base/base_file.h"
#include "tok/tok_priv.h"

typedef void (*row_fn)(const omni_json *row, void *user);

static size_t each_row(const char *path, row_fn fn, void *user)
{
    om_map m;
    omni_error e = {0};
    size_t rows = 0;
    if (om_map_open(&m, path, &e) != OMNI_OK) {
        diag("%s", e.text);
        return 0;
    }
    const char *p = (const char *)m.p, *end = p + m.size;
    while (p < end) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((nl ? nl : end) - p);
        omni_json *j;
        must(omni_json_parse(&j, p, n, &e));
        fn(j, user);
        omni_json_free(j);
        rows++;
        p += n + 1;
    }
    om_map_close(&m);
    return rows;
}

static const char *field(const omni_json *row, const char *key, size_t *n)
{
    return omni_json_string(omni_json_get(row, key), n);
}

typedef struct tally {
    size_t good, bad;
    om_tok *t[4]; /* by rule: gpt-2, smollm, llama-bpe, qwen2 */
} tally;

static const char *const rules[4] = {"gpt-2", "smollm", "llama-bpe", "qwen2"};

static size_t rule_index(const omni_json *row)
{
    size_t n = 0;
    const char *pre = field(row, "pre", &n);
    for (size_t i = 0; i < 4; i++)
        if (strcmp(rules[i], pre) == 0)
            return i;
    printf("Bail out! unknown rule '%s'\n", pre);
    exit(1);
}

static void check_split(const omni_json *row, void *user)
{
    tally *c = user;
    size_t n = 0, at = 0, len = 0;
    const char *text = field(row, "text", &n);
    const omni_json *pieces = omni_json_get(row, "pieces");
    om_tok_rule rule;
    bool ignore, bos,
        good = om_tok_pre_find((om_str){rules[rule_index(row)], strlen(rules[rule_index(row)])}, &rule, &ignore, &bos);
    for (size_t i = 0; i < omni_json_count(pieces) && good; i++) {
        const char *want = omni_json_string(omni_json_at(pieces, i), &len);
        size_t got = at < n ? om_tok_pre_next(rule, text + at, n - at) : 0;
        good = got == len && memcmp(want, text + at, len) == 0;
        if (!good)
            diag("%s: piece %zu of '%s': got %zu bytes, expected '%s'", rules[rule_index(row)], i, text, got, want);
        at += got;
    }
    good = good && at == n;
    good ? c->good++ : c->bad++;
}

static void check_ids(const omni_json *row, void *user)
{
    tally *c = user;
    size_t n = 0;
    const char *text = field(row, "text", &n);
    const omni_json *ids = omni_json_get(row, "ids");
    const om_tok *t = c->t[omni_json_get(row, "pre") ? rule_index(row) : 0];
    omni_tokens o = {0};
    omni_error e = {0};
    bool good = om_tok_encode(t, text, n, om_tok_all_trusted, false, &o, &e) == OMNI_OK && o.n == omni_json_count(ids);
    for (size_t i = 0; i < o.n && good; i++) {
        double v = -1;
        good = omni_json_number(omni_json_at(ids, i), &v) && v == o.ids[i];
    }
    good ? c->good++ : c->bad++;
    if (!good)
        diag("%s: '%s' %s", om_tok_name(t), text, e.text);
    omni_tokens_release(&o);
}

/* The committed vocabulary with another pre-tokenizer name. */
static om_tok *with_pre(const om_gguf *g, const char *pre, om_buf *file, om_gguf **copy)
{
    om_gguf_writer *w;
    om_buf value = {0};
    must(om_gguf_writer_new(&w, NULL));
    for (size_t i = 0; i < om_gguf_n_keys(g); i++) {
        om_str key;
        om_buf_clear(&value);
        must(om_gguf_key_text(g, i, &key, &value));
        bool is_pre = key.n == 18 && memcmp(key.p, "tokenizer.ggml.pre", 18) == 0;
        must(is_pre ? om_gguf_put_str(w, "tokenizer.ggml.pre", pre, strlen(pre)) : om_gguf_put_copy(w, g, i));
    }
    om_buf_release(&value);
    must(om_gguf_write_buf(w, file, NULL));
    om_gguf_writer_free(w);
    om_tok *t;
    must(om_gguf_open_bytes(copy, file->p, file->n, pre, NULL));
    must(om_tok_new(&t, *copy, NULL));
    return t;
}

static void test_small(void)
{
    om_gguf *g, *copy[4];
    om_buf file[4] = {{0}};
    tally c = {0};
    omni_error e = {0};
    if (!ok(om_gguf_open(&g, "tests/data/tok-smollm2.gguf", &e) == OMNI_OK, "small vocabulary opens %s", e.text))
        return;
    for (size_t i = 0; i < 4; i++)
        c.t[i] = with_pre(g, rules[i], &file[i], &copy[i]);
    size_t rows = each_row("tests/golden/tokenizer-small.jsonl", check_ids, &c);
    ok(rows >= 4 * 63, "%zu rows of tokenizer-small.jsonl", rows);
    is_int(c.bad, 0, "ids of the small vocabulary equal the reference's");
    is_int(om_tok_bos(c.t[1]), 1, "bos");
    is_int(om_tok_eos(c.t[1]), 2, "eos");
    is_str(om_tok_name(c.t[1]), "bpe smollm", "name");
    ok(!om_tok_wants_bos(c.t[2]), "add_bos_token of the file wins over the rule's default");
    for (size_t i = 0; i < 4; i++) {
        om_tok_free(c.t[i]);
        om_gguf_close(copy[i]);
        om_buf_release(&file[i]);
    }
    om_gguf_close(g);
}

static void test_real(void)
{
    char path[4096];
    const char *env = getenv("OMNI_TEST_MODEL"), *home = getenv("HOME");
    snprintf(path, sizeof path, "%s%s",
             env    ? env
             : home ? home
                    : "",
             env ? "" : "/.local/share/omni/models/SmolLM2-135M-Instruct.Q4_1.gguf");
    om_gguf *g;
    tally c = {0};
    if (om_gguf_open(&g, path, NULL) != OMNI_OK) {
        printf("ok %d # SKIP no default model\n", ++tap_n);
        return;
    }
    must(om_tok_new(&c.t[0], g, NULL));
    size_t rows = each_row("tests/golden/tokenizer.jsonl", check_ids, &c);
    is_int(rows, 63, "rows of tokenizer.jsonl");
    is_int(c.good, 63, "ids of the default model equal the reference's");
    is_int(om_tok_n_vocab(c.t[0]), 49152, "vocabulary");
    ok(om_tok_is_end(c.t[0], 2) && om_tok_is_end(c.t[0], 0) && !om_tok_is_end(c.t[0], 1), "ends");
    double best = 1e9;
    for (int i = 0; i < 5; i++) {
        om_tok *t;
        double t0 = om_clock_s();
        must(om_tok_new(&t, g, NULL));
        best = om_clock_s() - t0 < best ? om_clock_s() - t0 : best;
        om_tok_free(t);
    }
    diag("vocabulary made in %.2f ms", best * 1e3);
    om_tok_free(c.t[0]);
    om_gguf_close(g);
}

int main(void)
{
    tally c = {0};
    size_t rows = each_row("tests/golden/pretok.jsonl", check_split, &c);
    ok(rows >= 300, "%zu rows of pretok.jsonl", rows);
    is_int(c.bad, 0, "splits equal the regexes'");
    test_small();
    test_real();
    return done_testing();
}
