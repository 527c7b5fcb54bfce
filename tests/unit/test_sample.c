/* test_sample.c - the sampler against a slow one that sorts everything and counts in doubles; the distribution of its
 * draws; hostile logits. */
#include "sample/sample.h"
#include "tap.h"

/* ---- the slow sampler ---- */

typedef struct cand {
    double l, w;
    int32_t id;
} cand;

static int best_first(const void *a, const void *b)
{
    const cand *x = a, *y = b;
    return x->l != y->l ? (x->l < y->l ? 1 : -1) : (x->id > y->id) - (x->id < y->id);
}

static int lowest_id(const void *a, const void *b)
{
    const cand *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static void weigh(cand *c, size_t n, double temperature)
{
    double max = c[0].l;
    for (size_t i = 1; i < n; i++)
        max = c[i].l > max ? c[i].l : max;
    for (size_t i = 0; i < n; i++) {
        double d = isinf(max) ? (c[i].l == max ? 0 : -INFINITY) : c[i].l - max;
        c[i].w = exp(d / temperature);
        if (d / temperature < -87)
            c[i].w = 0; /* as documented: no weight below e^-87 */
    }
}

static size_t slow_filter(cand *c, size_t n, const omni_sample_params *p)
{
    qsort(c, n, sizeof *c, best_first);
    if (p->top_k > 0 && (size_t)p->top_k < n)
        n = (size_t)p->top_k;
    weigh(c, n, 1);
    if (p->top_p < 1) {
        double total = 0, sum = 0;
        size_t i = 0;
        for (size_t k = 0; k < n; k++)
            total += c[k].w;
        while (i < n && (sum += c[i].w) < (double)p->top_p * total)
            i++;
        n = i < n ? i + 1 : n;
    }
    size_t m = 0;
    while (m < n && c[m].w >= (double)p->min_p * c[0].w)
        m++;
    return m;
}

/* *slack: how far the draw was from flipping to a neighbour, as a share of the total. */
static int32_t slow_pick(const omni_sample_params *p, const float *logits, size_t n, const int32_t *recent,
                         size_t n_recent, om_rng *rng, double *slack)
{
    cand *c = malloc(n * sizeof *c);
    *slack = 1;
    for (size_t i = 0; i < n; i++) {
        float x = logits[i];
        x = isnan(x) ? -INFINITY : x;
        for (size_t k = 0; k < p->n_bias; k++)
            if (p->bias[k].id == (int32_t)i)
                x = isnan(x + p->bias[k].bias) ? -INFINITY : x + p->bias[k].bias;
        bool seen = false;
        for (size_t k = 0; k < n_recent; k++)
            seen = seen || recent[k] == (int32_t)i;
        if (seen && p->repeat_penalty != 1)
            x = x > 0 ? x / p->repeat_penalty : x * p->repeat_penalty;
        c[i] = (cand){(double)x, 0, (int32_t)i};
    }
    if (p->temperature == 0) {
        qsort(c, n, sizeof *c, best_first);
        int32_t id = c[0].id;
        free(c);
        return id;
    }
    double u = om_rng_double(rng), total = 0, sum = 0;
    n = slow_filter(c, n, p);
    weigh(c, n, (double)p->temperature);
    qsort(c, n, sizeof *c, lowest_id);
    for (size_t i = 0; i < n; i++)
        total += c[i].w;
    int32_t id = -1;
    for (size_t i = 0; i < n; i++) {
        sum += c[i].w;
        double d = fabs(sum - u * total) / total;
        *slack = d < *slack ? d : *slack;
        if (id < 0 && sum > u * total)
            id = c[i].id;
    }
    free(c);
    return id;
}

/* ---- random cases ---- */

static double uniform(om_rng *r)
{
    return om_rng_double(r);
}

static float normal(om_rng *r)
{
    double s = 0;
    for (int i = 0; i < 12; i++)
        s += uniform(r);
    return (float)(s - 6);
}

static size_t below(om_rng *r, size_t n)
{
    return om_rng_u32(r) % n;
}

static void fill(float *l, size_t n, om_rng *r, int kind)
{
    float scale = (float)(0.1 + 6 * uniform(r));
    for (size_t i = 0; i < n; i++) {
        l[i] = normal(r) * scale;
        if (kind == 1) /* many ties, -0 among them */
            l[i] = roundf(l[i]);
        if (kind == 2 && below(r, 3) == 0)
            l[i] = below(r, 2) ? NAN : -INFINITY;
        if (kind == 3)
            l[i] = 1.25f;
        if (kind == 4 && below(r, 8) == 0)
            l[i] = INFINITY;
        if (kind == 5)
            l[i] *= 1000;
    }
    if (kind == 2)
        l[below(r, n)] = 0; /* something can be drawn */
}

static omni_sample_params random_params(om_rng *r)
{
    static const float temps[] = {0, 0.2f, 0.8f, 1, 1, 1.7f, 10},
                       tops[] = {1e-9f, 0.01f, 0.5f, 0.5f, 0.9f, 0.95f, 0.999f, 1, 1, 1};
    static const float mins[] = {0, 0, 0, 0.01f, 0.05f, 0.3f, 1}, pens[] = {1, 1, 1.1f, 2, 0.5f};
    static const int32_t ks[] = {0, 0, 0, 1, 2, 5, 40, 300, 5000, 1 << 30};
    omni_sample_params p = {.temperature = temps[below(r, 7)], .top_k = ks[below(r, 10)], .top_p = tops[below(r, 10)]};
    p.min_p = mins[below(r, 7)];
    p.repeat_penalty = pens[below(r, 5)];
    return p;
}

static void test_against_slow(void)
{
    enum { MAX_N = 6000, CASES = 6000 };
    static float l[MAX_N + 1];
    om_rng r, a, b;
    int wrong = 0, close = 0;
    void *scratch = malloc(om_sample_scratch_size(MAX_N));
    om_rng_seed(&r, 2024);
    for (int k = 0; k < CASES; k++) {
        size_t n = k % 10 == 0 ? 1 + below(&r, MAX_N) : 1 + below(&r, k % 3 ? 300 : 70);
        float *logits = l + below(&r, 2); /* also at addresses that no vector likes */
        fill(logits, n, &r, k % 6);
        omni_sample_params p = random_params(&r);
        int32_t recent[40];
        omni_logit_bias bias[5];
        size_t n_recent = below(&r, 40);
        p.n_bias = below(&r, 5);
        p.bias = bias;
        for (size_t i = 0; i < n_recent; i++)
            recent[i] = (int32_t)below(&r, n + 2) - 1; /* ids that do not exist among them */
        for (size_t i = 0; i < p.n_bias; i++)
            bias[i] = (omni_logit_bias){(int32_t)below(&r, n), below(&r, 4) ? normal(&r) * 5 : -INFINITY};
        om_rng_seed(&a, (uint64_t)k);
        b = a;
        double slack;
        int32_t want = slow_pick(&p, logits, n, recent, n_recent, &a, &slack);
        int32_t got = om_sample_pick(&p, logits, n, recent, n_recent, &b, scratch);
        if (want < 0 && got == 0) /* nothing was allowed */
            continue;
        if (got != want && slack < 2e-6)
            close++;
        else if (got != want && wrong++ < 5)
            diag("case %d: n %zu, kind %d, temp %g, k %d, p %g, min %g, penalty %g: got %d, expected %d, slack %g", k,
                 n, k % 6, (double)p.temperature, p.top_k, (double)p.top_p, (double)p.min_p, (double)p.repeat_penalty,
                 got, want, slack);
        if (a.state != b.state && wrong++ < 5)
            diag("case %d: the rng moved differently", k);
    }
    is_int(wrong, 0, "6000 random cases: the same ids as the slow sampler");
    ok(close <= 6, "at most a few draws (%d) fall on the other side of a boundary by rounding", close);
    free(scratch);
}

/* ---- single cases ---- */

static omni_sample_params plain(void)
{
    return (omni_sample_params){.temperature = 1, .top_p = 1, .repeat_penalty = 1};
}

static bool only_ids(const omni_sample_params *p, const float *l, size_t n, int32_t max_id)
{
    om_rng r;
    void *scratch = malloc(om_sample_scratch_size(n));
    bool good = true, reached = false;
    om_rng_seed(&r, 7);
    for (int i = 0; i < 400; i++) {
        int32_t id = om_sample_pick(p, l, n, NULL, 0, &r, scratch);
        good = good && id >= 0 && id <= max_id;
        reached = reached || id == max_id;
    }
    free(scratch);
    return good && reached;
}

static void test_edges(void)
{
    enum { N = 1000 };
    static float l[N];
    for (size_t i = 0; i < N; i++)
        l[i] = 3;
    omni_sample_params p = plain();
    p.top_k = 10;
    ok(only_ids(&p, l, N, 9), "equal logits: top-k keeps the lowest ids");
    p.top_k = 0;
    p.top_p = 0.01f;
    ok(only_ids(&p, l, N, 9), "equal logits: top-p keeps exactly p of them");
    p.top_p = 1e-9f;
    ok(only_ids(&p, l, N, 0), "a tiny top-p leaves one");
    p.top_p = 1;
    p.top_k = INT32_MAX;
    om_rng r;
    void *scratch = malloc(om_sample_scratch_size(N));
    om_rng_seed(&r, 1);
    static omni_logit_bias bias[N];
    for (int i = 0; i < N - 1; i++)
        bias[i] = (omni_logit_bias){i < 617 ? i : i + 1, -INFINITY};
    p.bias = bias;
    p.n_bias = N - 1;
    is_int(om_sample_pick(&p, l, N, NULL, 0, &r, scratch), 617, "everything else forbidden: the one that is left");
    p.temperature = 0;
    is_int(om_sample_pick(&p, l, N, NULL, 0, &r, scratch), 617, "... and greedily too");
    p = plain();
    p.temperature = 1e-45f;
    l[5] = 3.000001f;
    is_int(om_sample_pick(&p, l, N, NULL, 0, &r, scratch), 5, "the smallest temperature there is");
    p.temperature = 1;
    for (size_t i = 0; i < N; i++)
        l[i] = i % 2 ? NAN : -INFINITY;
    is_int(om_sample_pick(&p, l, N, NULL, 0, &r, scratch), 0, "nothing but NaN and -infinity: token 0");
    l[700] = -3e38f;
    is_int(om_sample_pick(&p, l, N, NULL, 0, &r, scratch), 700, "one finite logit among them");
    l[1] = 3e38f;
    is_int(om_sample_pick(&p, l, N, NULL, 0, &r, scratch), 1, "a difference that overflows");
    om_rng before = r;
    p.temperature = 0;
    (void)om_sample_pick(&p, l, N, NULL, 0, &r, scratch);
    ok(before.state == r.state, "temperature 0 takes nothing from the rng");
    free(scratch);
}

static void test_distribution(void)
{
    enum { N = 200, DRAWS = 200000 };
    static float l[N];
    static int count[N];
    om_rng r;
    om_rng_seed(&r, 99);
    for (size_t i = 0; i < N; i++)
        l[i] = normal(&r) * 1.5f;
    omni_sample_params p = plain();
    p.temperature = 0.7f;
    void *scratch = malloc(om_sample_scratch_size(N));
    for (int i = 0; i < DRAWS; i++)
        count[om_sample_pick(&p, l, N, NULL, 0, &r, scratch)]++;
    double total = 0, chi = 0;
    for (size_t i = 0; i < N; i++)
        total += exp((double)l[i] / 0.7);
    int df = -1;
    double rest = 0, rest_seen = 0;
    for (size_t i = 0; i < N; i++) {
        double want = DRAWS * exp((double)l[i] / 0.7) / total, seen = count[i];
        if (want < 5) {
            rest += want;
            rest_seen += seen;
            continue;
        }
        chi += (seen - want) * (seen - want) / want;
        df++;
    }
    chi += (rest_seen - rest) * (rest_seen - rest) / rest;
    df++;
    /* chi-square has mean df and variance 2 df: 4 sigmas either way; below would mean that the draws are not random */
    ok(fabs(chi - df) < 4 * sqrt(2.0 * df), "200000 draws follow the distribution (chi-square %.1f at %d)", chi, df);
    free(scratch);
}

static void test_top(void)
{
    enum { N = 777 };
    static float l[N], lps[N];
    static int32_t ids[N];
    static cand c[N];
    om_rng r;
    om_rng_seed(&r, 5);
    int wrong = 0;
    for (int k = 0; k < 60; k++) {
        size_t n = 1 + below(&r, N), want = below(&r, 3) ? below(&r, 30) : n + below(&r, 5);
        fill(l, n, &r, k % 4);
        double max = -INFINITY, total = 0;
        for (size_t i = 0; i < n; i++) {
            c[i] = (cand){isnan(l[i]) ? -INFINITY : (double)l[i], 0, (int32_t)i};
            max = c[i].l > max ? c[i].l : max;
        }
        for (size_t i = 0; i < n; i++)
            total += exp(c[i].l - max);
        qsort(c, n, sizeof *c, best_first);
        size_t got = om_sample_top(l, n, want, ids, lps);
        wrong += got != (want < n ? want : n);
        for (size_t i = 0; i < got; i++) {
            double lp = c[i].l - max - log(total);
            bool same = isinf(lp) ? isinf(lps[i]) && lps[i] < 0 : fabs(lp - (double)lps[i]) <= 2e-6 * (1 + fabs(lp));
            wrong += ids[i] != c[i].id || !same || (!isinf(lp) && om_sample_logprob(l, n, ids[i]) != lps[i]);
        }
        wrong += om_sample_argmax(l, n) != c[0].id;
    }
    is_int(wrong, 0, "top ids, their log-probabilities and the argmax as after a full sort");
    float inf[] = {0, INFINITY, NAN, INFINITY};
    is_near((double)om_sample_logprob(inf, 4, 3), -log(2.0), 1e-6, "infinite logits share the probability");
    ok(om_sample_logprob(inf, 4, 0) == -INFINITY && om_sample_logprob(inf, 4, 2) == -INFINITY, "... and leave nothing");
    ok(om_sample_logprob(inf, 4, 4) == -INFINITY && om_sample_logprob(inf, 4, -1) == -INFINITY, "no such token");
    is_int(om_sample_argmax(inf, 4), 1, "the lower id of equal ones");
    is_int(om_sample_top(inf, 4, 0, ids, lps), 0, "k = 0");
    is_int(om_sample_top(inf, 0, 3, ids, lps), 0, "no logits");
    float one[] = {7};
    is_near((double)om_sample_logprob(one, 1, 0), 0, 0, "a vocabulary of one");
}

static void refuse(omni_sample_params p, const char *text)
{
    omni_error err = {0};
    is_int(om_sample_check(&p, &err), OMNI_E_USAGE, text);
    has_str(err.text, text, "... is named");
}

static void test_check(void)
{
    omni_sample_params p = plain();
    omni_logit_bias bias = {3, NAN}, negative = {-1, 0};
    is_int(om_sample_check(&p, NULL), OMNI_OK, "plain parameters are fine");
#define REFUSE(field, value, text)                                                                                     \
    do {                                                                                                               \
        omni_sample_params q = plain();                                                                                \
        q.field = value;                                                                                               \
        refuse(q, text);                                                                                               \
    } while (0)
    REFUSE(temperature, NAN, "temperature: expected 0..100, found nan");
    REFUSE(temperature, -0.1f, "temperature: expected 0..100, found -0.1");
    REFUSE(temperature, INFINITY, "temperature: expected 0..100, found inf");
    REFUSE(top_k, -1, "top-k: expected 0 or more, found -1");
    REFUSE(top_p, 0, "top-p: expected more than 0 and at most 1, found 0");
    REFUSE(top_p, 2, "top-p: expected more than 0 and at most 1, found 2");
    REFUSE(min_p, 1.5f, "min-p: expected 0..1, found 1.5");
    REFUSE(repeat_penalty, 0, "repeat-penalty");
    REFUSE(repeat_last, UINT32_MAX, "repeat-last: expected 0..1048576, found 4294967295");
    REFUSE(n_bias, 1, "logit-bias: expected 1 entries, found none");
    p.n_bias = 1;
    p.bias = &bias;
    refuse(p, "logit-bias: expected a number for token 3, found nan");
    p.bias = &negative;
    refuse(p, "logit-bias: expected a token id, found -1");
}

int main(void)
{
    test_check();
    test_edges();
    test_against_slow();
    test_distribution();
    test_top();
    return done_testing();
}
