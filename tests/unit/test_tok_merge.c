/* Merging: the engine (scan and heap) against a naive copy of the published algorithm, on random merges with many ties;
 * long words; the round trip of any bytes. */
#include "test_tok.h"

/* ---- the algorithm as published: again and again the best pair, leftmost first ---- */

typedef struct sym {
    size_t at, n;
} sym;

typedef struct naive {
    const vocab *v;
    const char *text; /* as stored: the byte alphabet is not used, tests keep to letters */
    bool bpe;
} naive;

static int32_t find_text(const vocab *v, const char *p, size_t n)
{
    for (uint32_t i = 0; i < v->n; i++)
        if (v->token[i].n == n && memcmp(v->token[i].p, p, n) == 0 && v->type[i] == T_NORMAL)
            return (int32_t)i;
    return -1;
}

/* Smaller is better; false = no merge. */
static bool pair_order(const naive *m, sym a, sym b, double *order)
{
    if (!m->bpe) {
        int32_t id = find_text(m->v, m->text + a.at, a.n + b.n);
        if (id >= 0)
            *order = -(double)m->v->score[id];
        return id >= 0;
    }
    for (uint32_t i = 0; i < m->v->n_merges; i++) {
        om_str s = m->v->merge[i];
        if (s.n == a.n + b.n + 1 && s.p[a.n] == ' ' && memcmp(s.p, m->text + a.at, a.n) == 0 &&
            memcmp(s.p + a.n + 1, m->text + b.at, b.n) == 0) {
            *order = i;
            return true;
        }
    }
    return false;
}

static void naive_merge(const naive *m, sym *s, size_t n, omni_tokens *out)
{
    for (;;) {
        size_t best = n;
        double best_order = 0, order = 0;
        for (size_t i = 0; i + 1 < n; i++)
            if (pair_order(m, s[i], s[i + 1], &order) && (best == n || order < best_order)) {
                best = i;
                best_order = order;
            }
        if (best == n)
            break;
        s[best].n += s[best + 1].n;
        memmove(s + best + 1, s + best + 2, (n - best - 2) * sizeof *s);
        n--;
    }
    for (size_t i = 0; i < n; i++) {
        int32_t id = find_text(m->v, m->text + s[i].at, s[i].n);
        must(omni_tokens_push(out, &id, 1));
    }
}

/* ---- random vocabularies over the letters a..d ---- */

static void random_vocab(vocab *v, om_rng *r, bool bpe)
{
    *v = (vocab){
        .model = bpe ? "gpt2" : "llama", .pre = "gpt-2", .skip_merges = !bpe, .skip_scores = bpe, .add_prefix = 1};
    if (bpe) {
        add_bpe_bytes(v);
    } else {
        add_spm_bytes(v);
        for (char c = 'a'; c <= 'd'; c++)
            add_token(v, &c, 1, T_NORMAL, -100);
    }
    uint32_t letters = bpe ? 'a' : 256, made = bpe ? 256 : 260;
    for (int i = 0; i < 40; i++) {
        /* Parts are letters or earlier results, so that chains of merges arise. */
        uint32_t n_parts = v->n - (uint32_t)made + 4;
        uint32_t a = om_rng_u32(r) % n_parts, b = om_rng_u32(r) % n_parts;
        a = a < 4 ? (uint32_t)letters + a : (uint32_t)made + a - 4;
        b = b < 4 ? (uint32_t)letters + b : (uint32_t)made + b - 4;
        char both[512], merge[512];
        int n = snprintf(both, sizeof both, "%.*s%.*s", (int)v->token[a].n, v->token[a].p, (int)v->token[b].n,
                         v->token[b].p);
        if (n > 40)
            continue;
        snprintf(merge, sizeof merge, "%.*s %.*s", (int)v->token[a].n, v->token[a].p, (int)v->token[b].n,
                 v->token[b].p);
        if (find_text(v, both, (size_t)n) < 0) /* scores from a small set: ties are the rule */
            add_token(v, both, (size_t)n, T_NORMAL, -(float)(om_rng_u32(r) % 5));
        if (bpe)
            add_merge_str(v, merge);
    }
}

static void test_against_naive(bool bpe)
{
    om_rng r;
    size_t bad = 0, tokens = 0;
    om_rng_seed(&r, bpe ? 11 : 12);
    for (int round = 0; round < 60; round++) {
        vocab v;
        loaded l;
        omni_error e = {0};
        random_vocab(&v, &r, bpe);
        must(vocab_load(&v, &l, &e));
        for (int k = 0; k < 20; k++) {
            char text[200];
            sym s[200];
            omni_tokens want = {0};
            size_t n = 1 + om_rng_u32(&r) % (k % 2 ? 199 : 40); /* both below and above the change to the heap */
            for (size_t i = 0; i < n; i++) {
                text[i] = (char)('a' + om_rng_u32(&r) % (2 + om_rng_u32(&r) % 3));
                s[i] = (sym){i, 1};
            }
            naive m = {&v, text, bpe};
            naive_merge(&m, s, n, &want);
            omni_tokens got = {0};
            must(om_tok_encode(l.t, text, n, NULL, false, &got, &e));
            bad += !same_ids(&got, want.ids, want.n);
            tokens += got.n;
            omni_tokens_release(&got);
            omni_tokens_release(&want);
        }
        loaded_release(&l);
        vocab_release(&v);
    }
    is_int(bad, 0, bpe ? "BPE equals the naive algorithm" : "SentencePiece equals the naive algorithm");
    ok(tokens > 1000 && tokens < 60 * 20 * 60, "%zu tokens: the texts did merge", tokens);
}

/* ---- long words ---- */

static void chain_vocab(vocab *v, bool bpe)
{
    *v = (vocab){
        .model = bpe ? "gpt2" : "llama", .pre = "gpt-2", .skip_merges = !bpe, .skip_scores = bpe, .add_prefix = 1};
    bpe ? add_bpe_bytes(v) : add_spm_bytes(v);
    char s[300] = "", m[300];
    if (!bpe)
        add_token(v, "a", 1, T_NORMAL, -100);
    for (size_t n = 1; n <= 64; n *= 2) { /* a+a, aa+aa, ... 128 letters */
        memset(s, 'a', 2 * n);
        add_token(v, s, 2 * n, T_NORMAL, -(float)n);
        snprintf(m, sizeof m, "%.*s %.*s", (int)n, s, (int)n, s);
        if (bpe)
            add_merge_str(v, m);
    }
}

static double time_of(const om_tok *t, const char *text, size_t n, size_t *n_ids)
{
    omni_tokens o = {0};
    omni_error e = {0};
    double t0 = om_clock_s();
    must(om_tok_encode(t, text, n, NULL, false, &o, &e));
    double dt = om_clock_s() - t0;
    *n_ids = o.n;
    omni_tokens_release(&o);
    return dt;
}

static void test_long(bool bpe)
{
    enum { N = 1 << 20 };
    vocab v;
    loaded l;
    omni_error e = {0};
    chain_vocab(&v, bpe);
    must(vocab_load(&v, &l, &e));
    char *text = malloc(5 * N);
    size_t n_small, n_ids;
    memset(text, 'a', 5 * N);
    double small = time_of(l.t, text, N / 16, &n_small), big = time_of(l.t, text, N, &n_ids);
    is_int(n_ids, N / 128, "one million letters a become tokens of 128");
    diag("%s: %.1f ms for %d bytes, %.1f ms for %d bytes", bpe ? "bpe" : "spm", small * 1e3, N / 16, big * 1e3, N);
    /* Linear would be 16 times, quadratic 256 times; caches and sanitizers are between. */
    ok(big < 100 * small + 0.05, "a word of 1 MiB takes no quadratic time");
    time_of(l.t, text, 5 * N, &n_ids);
    is_int(n_ids, 5 * N / 128, "a word beyond the limit of 4 MiB is cut, and nothing is lost");
    free(text);
    loaded_release(&l);
    vocab_release(&v);
}

/* ---- any bytes ---- */

static void test_round_trip(const char *name, const vocab *v)
{
    loaded l;
    omni_error e = {0};
    om_buf text = {0}, back = {0};
    om_rng r;
    size_t bad = 0;
    om_rng_seed(&r, 77);
    must(vocab_load(v, &l, &e));
    for (int i = 0; i < 3000; i++) {
        omni_tokens o = {0};
        random_text(&text, &r, om_rng_u32(&r) % 24, false);
        must(om_tok_encode(l.t, text.p, text.n, NULL, false, &o, &e));
        decode(l.t, &o, &back);
        if (back.n != text.n || (text.n && memcmp(back.p, text.p, text.n) != 0))
            bad++;
        for (size_t k = 0; k < o.n; k++)
            bad += om_tok_is_control(l.t, o.ids[k]);
        omni_tokens_release(&o);
    }
    tap_ok(bad == 0, TAP_WHERE, "%s: decoding is the exact inverse, and no text gives a control token", name);
    om_buf_release(&text);
    om_buf_release(&back);
    loaded_release(&l);
}

static void test_round_trips(void)
{
    static const char *const pres[] = {"gpt-2", "smollm", "llama-bpe", "qwen2"};
    vocab v = {.model = "gpt2", .skip_scores = 1};
    add_bpe_bytes(&v);
    add_str(&v, "th", T_NORMAL);
    add_merge_str(&v, "t h");
    add_str(&v, "the", T_NORMAL);
    add_merge_str(&v, "th e");
    add_str(&v, "\xC4\xA0the", T_NORMAL);
    add_merge_str(&v, "\xC4\xA0 the");
    add_str(&v, "aa", T_NORMAL);
    add_merge_str(&v, "a a");
    add_str(&v, "<|im_start|>", T_CONTROL);
    add_str(&v, "</s>", T_CONTROL);
    add_str(&v, "don", T_USER);
    add_str(&v, "  ", T_USER);
    for (size_t i = 0; i < 4; i++) {
        v.pre = pres[i];
        test_round_trip(pres[i], &v);
    }
    vocab_release(&v);
    v = (vocab){.model = "llama", .skip_merges = 1};
    add_str(&v, "<unk>", T_UNKNOWN);
    add_str(&v, "<s>", T_CONTROL);
    add_str(&v, "</s>", T_CONTROL);
    add_spm_bytes(&v);
    static const char *const piece[] = {"\xE2\x96\x81",
                                        "\xE2\x96\x81\xE2\x96\x81",
                                        "a",
                                        "t",
                                        "h",
                                        "e",
                                        "th",
                                        "the",
                                        "\xE2\x96\x81the",
                                        "<",
                                        "/",
                                        "s",
                                        ">",
                                        "</",
                                        "s>",
                                        "<s",
                                        "0",
                                        "x",
                                        "<0",
                                        "4",
                                        "1",
                                        "\xC3\xA9",
                                        "12"};
    for (size_t i = 0; i < sizeof piece / sizeof *piece; i++)
        add_token(&v, piece[i], strlen(piece[i]), T_NORMAL, -(float)i);
    add_token(&v, "don", 3, T_USER, 0);
    for (v.add_prefix = 0; v.add_prefix < 3; v.add_prefix++)
        test_round_trip(v.add_prefix == 1 ? "spm without prefix" : "spm with prefix", &v);
    add_token(&v, "a\xE2\x96\x81", 4, T_NORMAL, -0.5f);
    add_token(&v, ",\xE2\x96\x81the", 7, T_NORMAL, -0.25f);
    v.add_prefix = 2;
    test_round_trip("spm with spaces inside tokens", &v);
    vocab_release(&v);
}

int main(void)
{
    test_against_naive(true);
    test_against_naive(false);
    test_long(true);
    test_long(false);
    test_round_trips();
    return done_testing();
}
