/* test_tok.h - small vocabularies made in memory, and texts made of what is hard. For tests of lib/tok. */
#ifndef OMNI_TEST_TOK_H
#define OMNI_TEST_TOK_H

#include "gguf/gguf.h"
#include "tap.h"
#include "tok/tok.h"

enum { T_NORMAL = 1, T_UNKNOWN, T_CONTROL, T_USER, T_UNUSED, T_BYTE };

typedef struct vocab {       /* what goes into the file; start from {0} */
    const char *model, *pre; /* NULL = the key is left out */
    om_str token[2048];
    int32_t type[2048];
    float score[2048];
    uint32_t n;
    om_str merge[1024];
    uint32_t n_merges;
    int skip_types, skip_scores, skip_merges; /* 1 = the key is left out */
    uint32_t n_types, n_scores;               /* entries written, 0 = n */
    const char *key[8];                       /* more u32 keys */
    uint32_t value[8];
    int add_bos, add_prefix; /* 0 = the key is left out, 1 = false, 2 = true */
} vocab;

typedef struct loaded {
    om_buf file;
    om_gguf *g;
    om_tok *t;
} loaded;

static inline void must(omni_status s)
{
    if (s != OMNI_OK) {
        printf("Bail out! setup failed with status %d\n", (int)s);
        exit(1);
    }
}

static inline uint32_t add_token(vocab *v, const char *p, size_t n, int32_t type, float score)
{
    char *copy = om_strndup(p, n);
    if (!copy || v->n == 2048)
        must(OMNI_E_MEMORY);
    v->token[v->n] = (om_str){copy, n};
    v->type[v->n] = type;
    v->score[v->n] = score;
    return v->n++;
}

static inline uint32_t add_str(vocab *v, const char *s, int32_t type)
{
    return add_token(v, s, strlen(s), type, 0);
}

static inline void add_merge_str(vocab *v, const char *s)
{
    char *copy = om_strndup(s, strlen(s));
    if (!copy || v->n_merges == 1024)
        must(OMNI_E_MEMORY);
    v->merge[v->n_merges++] = (om_str){copy, strlen(s)};
}

static inline void vocab_release(vocab *v)
{
    for (uint32_t i = 0; i < v->n; i++)
        om_free((char *)v->token[i].p);
    for (uint32_t i = 0; i < v->n_merges; i++)
        om_free((char *)v->merge[i].p);
    *v = (vocab){0};
}

/* The 256 tokens of byte-level BPE in byte order; GPT-2's alphabet written down a second time, as its source has it. */
static inline void add_bpe_bytes(vocab *v)
{
    uint32_t extra = 0;
    for (uint32_t b = 0; b < 256; b++) {
        bool self = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255);
        char s[4];
        add_token(v, s, om_utf8_put(self ? b : 256 + extra, s), T_NORMAL, 0);
        extra += !self;
    }
}

static inline void add_spm_bytes(vocab *v)
{
    for (int b = 0; b < 256; b++) {
        char s[8];
        snprintf(s, sizeof s, "<0x%02X>", b);
        add_token(v, s, 6, T_BYTE, 0);
    }
}

static inline void vocab_write(const vocab *v, om_buf *out)
{
    om_gguf_writer *w;
    must(om_gguf_writer_new(&w, NULL));
    must(om_gguf_put_str(w, "general.architecture", "llama", 5));
    if (v->model)
        must(om_gguf_put_str(w, "tokenizer.ggml.model", v->model, strlen(v->model)));
    if (v->pre)
        must(om_gguf_put_str(w, "tokenizer.ggml.pre", v->pre, strlen(v->pre)));
    must(om_gguf_put_strs(w, "tokenizer.ggml.tokens", v->token, v->n));
    if (!v->skip_types)
        must(om_gguf_put_array(w, "tokenizer.ggml.token_type", OM_GGUF_I32, v->type, v->n_types ? v->n_types : v->n));
    if (!v->skip_scores)
        must(om_gguf_put_array(w, "tokenizer.ggml.scores", OM_GGUF_F32, v->score, v->n_scores ? v->n_scores : v->n));
    if (!v->skip_merges)
        must(om_gguf_put_strs(w, "tokenizer.ggml.merges", v->merge, v->n_merges));
    for (size_t i = 0; i < 8 && v->key[i]; i++)
        must(om_gguf_put_u32(w, v->key[i], v->value[i]));
    if (v->add_bos)
        must(om_gguf_put_bool(w, "tokenizer.ggml.add_bos_token", v->add_bos == 2));
    if (v->add_prefix)
        must(om_gguf_put_bool(w, "tokenizer.ggml.add_space_prefix", v->add_prefix == 2));
    must(om_gguf_write_buf(w, out, NULL));
    om_gguf_writer_free(w);
}

static inline omni_status vocab_load(const vocab *v, loaded *l, omni_error *err)
{
    *l = (loaded){0};
    vocab_write(v, &l->file);
    must(om_gguf_open_bytes(&l->g, l->file.p, l->file.n, "test", err));
    return om_tok_new(&l->t, l->g, err);
}

static inline void loaded_release(loaded *l)
{
    om_tok_free(l->t);
    om_gguf_close(l->g);
    om_buf_release(&l->file);
}

/* ---- texts ---- */

/* Appends a random piece of what is hard: words, spaces, scripts, contractions, emoji, broken UTF-8, NUL. */
static inline void add_random(om_buf *b, om_rng *r, bool valid)
{
    static const char *const part[] = {
        "a",
        "aa",
        "ab",
        "the ",
        "don't",
        "WE'LL",
        " ",
        "  ",
        "   ",
        "\n",
        "\r\n",
        "\t",
        "\xC2\xA0",
        "\xE3\x80\x80",
        "12",
        "345678",
        "!",
        "...",
        "\xC3\xA9",
        "e\xCC\x81",
        "\xD0\x96",
        "\xE4\xBD\xA0",
        "\xE2\x96\x81",
        "\xF0\x9F\x98\x80",
        "\xF0\x9F\x91\xA8\xE2\x80\x8D\xF0\x9F\x91\xA9",
        "<|im_start|>",
        "<s>",
        "</s>",
        "<0x41>",
        "\x7F",
    };
    static const char *const broken[] = {"\xFF",         "\x80",         "\xC3",     "\xE2\x96",
                                         "\xF0\x9F\x98", "\xED\xA0\x80", "\xC0\xAF", "\xF8"};
    uint32_t k = om_rng_u32(r) % 16;
    if (k == 0) {
        char c = (char)(valid ? om_rng_u32(r) % 128 : om_rng_u32(r) % 256);
        must(om_buf_add(b, &c, 1));
    } else if (k == 1) {
        char s[4];
        must(om_buf_add(b, s, om_utf8_put(om_rng_u32(r) % 0x110000, s)));
    } else if (k == 2 && !valid) {
        const char *s = broken[om_rng_u32(r) % (sizeof broken / sizeof *broken)];
        must(om_buf_add(b, s, strlen(s)));
    } else {
        const char *s = part[om_rng_u32(r) % (sizeof part / sizeof *part)];
        must(om_buf_add(b, s, strlen(s)));
    }
}

static inline void random_text(om_buf *b, om_rng *r, size_t parts, bool valid)
{
    om_buf_clear(b);
    for (size_t i = 0; i < parts; i++)
        add_random(b, r, valid);
}

/* Decodes with om_tok_bytes: first is true after the start and after every special token, as the encoder has it. */
static inline void decode(const om_tok *t, const omni_tokens *ids, om_buf *out)
{
    omni_text_decoder d = {0};
    char buf[OMNI_TEXT_DECODER_MAX];
    om_buf_clear(out);
    for (size_t i = 0; i < ids->n; i++)
        must(om_buf_add(out, buf, om_tok_stream_push(&d, t, ids->ids[i], buf)));
    must(om_buf_add(out, d.held, d.n_held));
}

static inline bool same_ids(const omni_tokens *a, const int32_t *b, size_t n)
{
    return a->n == n && (n == 0 || memcmp(a->ids, b, n * sizeof *b) == 0);
}

/* Encodes a C string and compares with ids. */
static inline bool gives(const om_tok *t, const char *text, const unsigned char *trusted, bool bos, const int32_t *ids,
                         size_t n)
{
    omni_tokens o = {0};
    omni_error e = {0};
    omni_status s = om_tok_encode(t, text, strlen(text), trusted, bos, &o, &e);
    bool good = s == OMNI_OK && same_ids(&o, ids, n);
    if (!good) {
        printf("# '%s' (%s):", text, e.text);
        for (size_t i = 0; i < o.n; i++)
            printf(" %d", (int)o.ids[i]);
        printf("\n");
    }
    omni_tokens_release(&o);
    return good;
}
#define GIVES(t, text, trusted, bos, ...)                                                                              \
    gives(t, text, trusted, bos, (const int32_t[]){__VA_ARGS__},                                                       \
          sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t))

#endif
