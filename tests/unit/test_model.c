/* test_model.c - the forward pass on small models of every architecture: what must not change a result does not change
 * a bit of it (cutting into calls, threads, ISA level, reuse of a prefix), and what must fail fails cleanly. */
#include "model/model_seq.h"
#include "tests.h"

#define N_IDS 200 /* more than a chunk of the attention and more than the small models' sliding window */

typedef struct net { /* a model with what it stands on */
    om_gguf *g;
    om_pool *pool;
    om_model *m;
} net;

static bool net_open(net *n, const char *path, int threads, const om_kern *kern, bool float_act)
{
    omni_error err = {0};
    *n = (net){0};
    if (om_gguf_open(&n->g, path, &err) == OMNI_OK && om_pool_new(&n->pool, threads, &err) == OMNI_OK &&
        om_model_new(&n->m, n->g, n->pool, kern, float_act, &err) == OMNI_OK)
        return true;
    diag("%s", err.text);
    return false;
}

static void net_close(net *n)
{
    om_model_free(n->m);
    om_pool_free(n->pool);
    om_gguf_close(n->g);
}

static void make_ids(int32_t *ids, size_t n, uint32_t n_vocab)
{
    om_rng r;
    om_rng_seed(&r, 7);
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)(om_rng_u32(&r) % n_vocab);
}

/* Logits [N_IDS][n_vocab] of every position, computed in calls of `cut` tokens and batches of `batch`; NULL = failure.
 */
typedef struct all_logits {
    float *p;
    size_t n, n_vocab;
} all_logits;
static int add_logits(void *user, size_t i, const float *l)
{
    all_logits *s = user;
    (void)i;
    memcpy(s->p + s->n++ * s->n_vocab, l, s->n_vocab * sizeof *l);
    return 0;
}
static float *run_logits(om_model *m, size_t cut, size_t batch)
{
    int32_t ids[N_IDS];
    om_seq *s = NULL;
    all_logits all = {malloc(N_IDS * m->h.n_vocab * sizeof(float)), 0, m->h.n_vocab};
    make_ids(ids, N_IDS, m->h.n_vocab);
    omni_status st = all.p ? om_seq_new(&s, m, N_IDS, batch, NULL) : OMNI_E_MEMORY;
    for (size_t i = 0; i < N_IDS && st == OMNI_OK; i += cut)
        st = om_seq_eval(s, ids + i, N_IDS - i < cut ? N_IDS - i : cut, add_logits, &all, NULL);
    om_seq_free(s);
    if (st != OMNI_OK) {
        free(all.p);
        return NULL;
    }
    return all.p;
}

/* Largest difference of the same logits computed another way, infinity when they are not finite. */
static double difference(om_model *m, const float *want, size_t cut, size_t batch)
{
    float *got = run_logits(m, cut, batch);
    double worst = got ? 0 : INFINITY;
    for (size_t i = 0; got && i < N_IDS * m->h.n_vocab; i++) {
        double d = fabs((double)got[i] - (double)want[i]);
        worst = d >= 0 && d <= worst ? worst : d >= 0 ? d : INFINITY;
    }
    free(got);
    return worst;
}

/* Quantised matrices: not a bit changes. Float matrices go through OpenBLAS from 32 tokens on, whose sums run in
 * another order: cutting may change the last bits, but threads still may not. */
static double cut_tolerance(const char *path, bool float_act)
{
    /* with fast activations a last bit may flip a rounding of the f16 cache, which is much larger */
    if (!om_blas_available() || (!float_act && !strstr(path, "llama3")))
        return 0;
    return float_act ? 1e-4 : 5e-3;
}

static void test_cuts(om_model *m, const float *want, const char *name, double tolerance)
{
    static const size_t cuts[][2] = {{1, 1}, {7, 64}, {N_IDS, 33}};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        double d = difference(m, want, cuts[i][0], cuts[i][1]);
        ok(d <= tolerance, "%s: in calls of %zu, batches of %zu = in one piece, within %g (%g)", name, cuts[i][0],
           cuts[i][1], tolerance, d);
    }
}

static void test_equivalence(const char *path, bool float_act)
{
    static const int threads[] = {2, 7};
    net n;
    char name[128];
    snprintf(name, sizeof name, "%s, %s activations", strrchr(path, '/') + 1, float_act ? "float" : "fast");
    if (!ok(net_open(&n, path, 1, om_kern_get(NULL, NULL), float_act), "%s: opens", name)) {
        net_close(&n);
        return;
    }
    double tolerance = cut_tolerance(path, float_act);
    float *want = run_logits(n.m, N_IDS, N_IDS), *single = run_logits(n.m, 1, 1);
    if (ok(want && single && difference(n.m, want, N_IDS, N_IDS) == 0, "%s: the same twice, and finite", name))
        test_cuts(n.m, want, name, tolerance);
    net_close(&n);
    for (size_t i = 0; want && single && i < 2; i++) {
        if (ok(net_open(&n, path, threads[i], om_kern_get(NULL, NULL), float_act), "%s: opens", name)) {
            ok(difference(n.m, want, N_IDS, N_IDS) == 0, "%s: %d threads = 1 thread bit for bit, prefill", name,
               threads[i]);
            ok(difference(n.m, single, 1, 1) == 0, "%s: %d threads = 1 thread bit for bit, decoding", name, threads[i]);
        }
        net_close(&n);
    }
    const om_kern *kern;
    for (size_t i = 0; want && single && (kern = om_kern_level(i)); i++) {
        if (ok(net_open(&n, path, 1, kern, float_act), "%s: opens", name))
            ok(difference(n.m, single, 1, 1) == 0, "%s: level %s = the best level, bit for bit", name, kern->name);
        net_close(&n);
    }
    free(want);
    free(single);
}

/* ---- sequences ---- */

static double logit_difference(const om_seq *a, const om_seq *b, uint32_t n_vocab)
{
    double worst = 0;
    if (!om_seq_logits(a) || !om_seq_logits(b))
        return INFINITY;
    for (uint32_t v = 0; v < n_vocab; v++)
        worst = fmax(worst, fabs((double)om_seq_logits(a)[v] - (double)om_seq_logits(b)[v]));
    return worst;
}

static void test_prefix(om_model *m, double tolerance)
{
    int32_t ids[N_IDS];
    om_seq *a = NULL, *b = NULL;
    make_ids(ids, N_IDS, m->h.n_vocab);
    bool made = om_seq_new(&a, m, N_IDS, 64, NULL) == OMNI_OK && om_seq_new(&b, m, N_IDS, 64, NULL) == OMNI_OK;
    if (ok(made, "two sequences of one model")) {
        bool good = om_seq_eval(a, ids, 150, NULL, NULL, NULL) == OMNI_OK;
        om_seq_truncate(a, 90);
        ok(om_seq_n(a) == 90 && !om_seq_logits(a), "truncated: 90 tokens, no logits");
        good = good && om_seq_eval(a, ids + 120, 60, NULL, NULL, NULL) == OMNI_OK;
        good = good && om_seq_eval(b, ids, 90, NULL, NULL, NULL) == OMNI_OK &&
               om_seq_eval(b, ids + 120, 60, NULL, NULL, NULL) == OMNI_OK;
        ok(good && logit_difference(a, b, m->h.n_vocab) <= tolerance, "a reused prefix = a fresh one, within %g",
           tolerance);
        is_int(om_seq_tokens(a)[95], ids[125], "the tokens are kept");
    }
    om_seq_free(a);
    om_seq_free(b);
}

static int count_calls(void *user, size_t i, const float *logits)
{
    size_t *n = user;
    (void)logits;
    if (*n != i)
        return 1;
    return ++*n == 5 ? 1 : 0;
}

static void test_errors(om_model *m)
{
    int32_t ids[N_IDS], bad[2] = {0, (int32_t)m->h.n_vocab}, negative = -1;
    omni_error err = {0};
    om_seq *s = NULL;
    size_t calls = 0;
    make_ids(ids, N_IDS, m->h.n_vocab);
    if (!ok(om_seq_new(&s, m, 20, 8, &err) == OMNI_OK, "a sequence of 20"))
        return;
    is_int(om_seq_eval(s, ids, 0, NULL, NULL, &err), OMNI_E_USAGE, "no tokens");
    is_int(om_seq_eval(s, bad, 2, NULL, NULL, &err), OMNI_E_INPUT, "an id outside the vocabulary");
    has_str(err.text, "token 1: expected an id in 0..", "... is named");
    is_int(om_seq_eval(s, &negative, 1, NULL, NULL, &err), OMNI_E_INPUT, "a negative id");
    is_int(om_seq_n(s), 0, "nothing was taken");
    is_int(om_seq_eval(s, ids, 21, NULL, NULL, &err), OMNI_E_FULL, "one token too many");
    has_str(err.text, "20 positions", "... and the message has the number");
    is_int(om_seq_eval(s, ids, 20, NULL, NULL, &err), OMNI_OK, "exactly full");
    is_int(om_seq_eval(s, ids, 1, NULL, NULL, &err), OMNI_E_FULL, "full");
    is_int(om_seq_shift(s, 15, 6, &err), OMNI_E_USAGE, "a shift beyond the end");
    is_int(om_seq_shift(s, SIZE_MAX, 2, &err), OMNI_E_USAGE, "a shift that overflows");
    om_seq_truncate(s, 0);
    om_seq_cancel(s);
    is_int(om_seq_eval(s, ids, 3, NULL, NULL, &err), OMNI_E_CANCELLED, "cancelled");
    is_int(om_seq_eval(s, ids, 3, NULL, NULL, &err), OMNI_OK, "... once");
    om_seq_truncate(s, 0);
    is_int(om_seq_eval(s, ids, 10, count_calls, &calls, &err), OMNI_E_CANCELLED, "the callback stops");
    is_int(calls, 5, "... after five tokens, in order");
    om_seq_free(s);
}

/* Keys of layer 0 depend on token and position alone: after a shift they must be those of a fresh run at the new
 * places, up to the rounding of the cache. */
static void test_shift(om_model *m)
{
    enum { KEEP = 5, DROP = 37, ALL = 120 };
    int32_t ids[ALL], left[ALL];
    om_seq *a = NULL, *b = NULL;
    make_ids(ids, ALL, m->h.n_vocab);
    memcpy(left, ids, KEEP * sizeof *ids);
    memcpy(left + KEEP, ids + KEEP + DROP, (ALL - KEEP - DROP) * sizeof *ids);
    bool good = om_seq_new(&a, m, ALL, 64, NULL) == OMNI_OK && om_seq_new(&b, m, ALL, 64, NULL) == OMNI_OK &&
                om_seq_eval(a, ids, ALL, NULL, NULL, NULL) == OMNI_OK &&
                om_seq_eval(b, left, ALL - DROP, NULL, NULL, NULL) == OMNI_OK &&
                om_seq_shift(a, KEEP, DROP, NULL) == OMNI_OK;
    if (ok(good && om_seq_n(a) == om_seq_n(b) &&
               memcmp(om_seq_tokens(a), om_seq_tokens(b), om_seq_n(b) * sizeof *ids) == 0,
           "a shift keeps the right tokens")) {
        size_t elements = m->h.n_head_kv * a->kv.n_ctx * m->h.head_dim; /* layer 0 of both */
        float *ka = malloc(elements * sizeof *ka), *kb = malloc(elements * sizeof *kb);
        double worst = 0, largest = 0;
        if (ka && kb) {
            m->nn.kern->f16_to_f32(a->kv.k[0], ka, elements);
            m->nn.kern->f16_to_f32(b->kv.k[0], kb, elements);
            for (size_t i = 0; i < elements; i++) {
                size_t pos =
                    i % (a->kv.n_ctx * m->h.head_dim) / (m->h.head_dim * OM_KV_BLOCK) * OM_KV_BLOCK + i % OM_KV_BLOCK;
                if (pos >= om_seq_n(b))
                    continue;
                worst = fmax(worst, fabs((double)ka[i] - (double)kb[i]));
                largest = fmax(largest, fabs((double)kb[i]));
            }
        }
        free(ka);
        free(kb);
        ok(largest > 0 && worst <= largest * 0x1p-9, "keys are turned to their new places (worst %.2g of %.2g)", worst,
           largest);
        ok(om_seq_eval(a, ids, 3, NULL, NULL, NULL) == OMNI_OK && isfinite(om_seq_logits(a)[0]),
           "and the sequence goes on");
    }
    om_seq_free(a);
    om_seq_free(b);
}

static void test_allocation(const char *path)
{
    net n;
    om_seq *s = NULL;
    omni_error err;
    int32_t ids[N_IDS];
    if (!ok(net_open(&n, path, 2, om_kern_get(NULL, NULL), false), "opens"))
        return;
    make_ids(ids, N_IDS, n.m->h.n_vocab);
    size_t bytes = 0;
    ok(om_seq_bytes(n.m, N_IDS, 64, &bytes) && bytes > 0 && om_seq_new(&s, n.m, N_IDS, 64, NULL) == OMNI_OK,
       "the size of a sequence is known");
    uint64_t before = om_alloc_count();
    bool good = om_seq_eval(s, ids, 100, NULL, NULL, NULL) == OMNI_OK;
    for (size_t i = 100; i < 120; i++)
        good = good && om_seq_eval(s, ids + i, 1, NULL, NULL, NULL) == OMNI_OK;
    ok(good && om_alloc_count() == before, "prefill and decoding allocate nothing");
    om_seq_free(s);
    ok(!om_seq_bytes(n.m, SIZE_MAX / 2, 64, &bytes), "a context that cannot be is refused");
    is_int(om_seq_new(&s, n.m, SIZE_MAX / 2, 64, &err), OMNI_E_USAGE, "... by new, too");
    bool clean = true;
    int failures = 0;
    for (uint64_t at = 1; at < 100; at++) {
        om_model *m = NULL;
        om_seq *q = NULL;
        om_alloc_fail_at(at, false);
        omni_status st = om_model_new(&m, n.g, n.pool, om_kern_get(NULL, NULL), false, &err);
        if (st == OMNI_OK)
            st = om_seq_new(&q, m, 64, 8, &err);
        om_alloc_fail_at(0, false);
        om_seq_free(q);
        om_model_free(m);
        clean = clean && (st == OMNI_OK || st == OMNI_E_MEMORY);
        failures += st != OMNI_OK;
        if (st == OMNI_OK)
            break;
    }
    ok(clean && failures >= 6, "each of %d allocations may fail", failures);
    net_close(&n);
}

int main(void)
{
    static const char *const files[] = {"tests/data/tiny-llama.gguf",  "tests/data/tiny-llama2.gguf",
                                        "tests/data/tiny-llama3.gguf", "tests/data/tiny-qwen2.gguf",
                                        "tests/data/tiny-qwen3.gguf",  "tests/data/tiny-gemma3.gguf"};
    net n;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        test_equivalence(files[i], false);
        test_equivalence(files[i], true);
    }
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (net_open(&n, files[i], 2, om_kern_get(NULL, NULL), false)) {
            test_prefix(n.m, cut_tolerance(files[i], false));
            test_shift(n.m);
            test_errors(n.m);
        }
        net_close(&n);
    }
    test_allocation(files[0]);
    return done_testing();
}
