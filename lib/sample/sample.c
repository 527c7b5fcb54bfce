/* sample.c - choosing a token.
 *
 * Nothing is sorted. Candidates stay in the order of their ids and every filter is a threshold: a value and, for ties,
 * the last position that is kept. Top-k finds its threshold among the few values that reach the k-th largest block
 * maximum, top-p by a histogram of the distance from the best logit and a selection inside the bucket where the
 * probability mass crosses p. */
#include "sample/sample.h"
#include "sample/sample_math.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define BLOCK OM_SAMPLE_BLOCK
#define BUCKETS 1024
#define BUCKETS_PER_NAT 16.0f

typedef struct candidates {
    size_t n;       /* candidates; arrays are padded to whole blocks */
    bool all;       /* candidate i is still token i, and maxima[] is that of l[] */
    float max;      /* the largest logit */
    float *l, *w;   /* [n] logits; weights */
    float *maxima;  /* [blocks] */
    double *sums;   /* [blocks] */
    double *mass;   /* [BUCKETS] */
    uint64_t *keys; /* [n] for selection */
    uint64_t *seen; /* [n_vocab / 64] bits: tokens that were penalised already */
    int32_t *id;    /* [n] */
} candidates;

static size_t blocks_of(size_t n)
{
    return n / BLOCK + (n % BLOCK != 0);
}

size_t om_sample_scratch_size(size_t n_vocab)
{
    size_t b = blocks_of(n_vocab);
    return b * BLOCK * (sizeof(uint64_t) + 2 * sizeof(float) + sizeof(int32_t)) +
           b * (sizeof(double) + sizeof(uint64_t) + sizeof(float)) + BUCKETS * sizeof(double);
}

/* Cuts the scratch into arrays, the widest elements first so that all are aligned. */
static candidates lay_out(void *scratch, size_t n)
{
    size_t b = blocks_of(n);
    candidates c = {.n = n, .all = true, .mass = scratch};
    c.sums = c.mass + BUCKETS;
    c.keys = (uint64_t *)(void *)(c.sums + b);
    c.seen = c.keys + b * BLOCK;
    c.l = (float *)(void *)(c.seen + b);
    c.w = c.l + b * BLOCK;
    c.maxima = c.w + b * BLOCK;
    c.id = (int32_t *)(void *)(c.maxima + b);
    return c;
}

/* ---- parameters ---- */

omni_status om_sample_check(const omni_sample_params *p, omni_error *err)
{
    if (!(p->temperature >= 0 && p->temperature <= 100))
        return om_fail(err, OMNI_E_USAGE, "temperature: expected 0..100, found %g", (double)p->temperature);
    if (p->top_k < 0)
        return om_fail(err, OMNI_E_USAGE, "top-k: expected 0 or more, found %d", (int)p->top_k);
    if (!(p->top_p > 0 && p->top_p <= 1))
        return om_fail(err, OMNI_E_USAGE, "top-p: expected more than 0 and at most 1, found %g", (double)p->top_p);
    if (!(p->min_p >= 0 && p->min_p <= 1))
        return om_fail(err, OMNI_E_USAGE, "min-p: expected 0..1, found %g", (double)p->min_p);
    if (!(p->repeat_penalty > 0 && p->repeat_penalty <= 1000))
        return om_fail(err, OMNI_E_USAGE, "repeat-penalty: expected more than 0 and at most 1000, found %g",
                       (double)p->repeat_penalty);
    if (p->repeat_last > OM_SAMPLE_REPEAT_MAX)
        return om_fail(err, OMNI_E_USAGE, "repeat-last: expected 0..%d, found %u", OM_SAMPLE_REPEAT_MAX,
                       (unsigned)p->repeat_last);
    if (p->n_bias > 0 && !p->bias)
        return om_fail(err, OMNI_E_USAGE, "logit-bias: expected %zu entries, found none", p->n_bias);
    for (size_t i = 0; i < p->n_bias; i++) {
        if (p->bias[i].id < 0)
            return om_fail(err, OMNI_E_USAGE, "logit-bias: expected a token id, found %d", (int)p->bias[i].id);
        if (isnan(p->bias[i].bias))
            return om_fail(err, OMNI_E_USAGE, "logit-bias: expected a number for token %d, found nan",
                           (int)p->bias[i].id);
    }
    return OMNI_OK;
}

/* ---- bias and repetition ---- */

static float clean(float x)
{
    return isnan(x) ? -INFINITY : x + 0.0f;
}

/* Penalty after Keskar et al. 2019 (CTRL, section 4.1), divided or multiplied so that it always lowers the logit;
 * once a token, however often it occurred. */
static void adjust(candidates *c, const omni_sample_params *p, const int32_t *recent, size_t n_recent)
{
    for (size_t i = 0; i < p->n_bias; i++) {
        size_t id = (size_t)p->bias[i].id;
        if (p->bias[i].id >= 0 && id < c->n)
            c->l[id] = clean(c->l[id] + p->bias[i].bias);
    }
    if (p->repeat_penalty == 1.0f || n_recent == 0)
        return;
    memset(c->seen, 0, blocks_of(c->n) * sizeof *c->seen);
    for (size_t i = 0; i < n_recent; i++) {
        size_t id = (size_t)recent[i];
        uint64_t bit = 1ull << (id % 64);
        if (recent[i] < 0 || id >= c->n || (c->seen[id / 64] & bit))
            continue;
        c->seen[id / 64] |= bit;
        float x = c->l[id];
        c->l[id] = clean(x > 0 ? x / p->repeat_penalty : x * p->repeat_penalty);
    }
}

/* An infinite logit leaves no room for finite ones: the infinite ones share all the probability. */
static void only_infinite(candidates *c)
{
    for (size_t i = 0; i < c->n; i++)
        c->l[i] = c->l[i] == INFINITY ? 0.0f : -INFINITY;
    c->max = om_sample_maxima(c->l, blocks_of(c->n), c->maxima);
}

/* ---- thresholds ---- */

/* Ascending keys = descending logits, ties by ascending position. l is never NaN or -0. */
static uint64_t key_of(float l, size_t i)
{
    uint32_t bits;
    memcpy(&bits, &l, sizeof bits);
    bits = bits & 0x80000000u ? bits : ~bits & 0x7fffffffu;
    return (uint64_t)bits << 32 | (uint32_t)i;
}

static void insertion_sort(uint64_t *k, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        uint64_t x = k[i];
        size_t j = i;
        for (; j > 0 && k[j - 1] > x; j--)
            k[j] = k[j - 1];
        k[j] = x;
    }
}

static uint64_t median3(uint64_t a, uint64_t b, uint64_t c)
{
    return a < b ? (b < c ? b : a < c ? c : a) : (a < c ? a : b < c ? c : b);
}

static double weight_of(const float *w, uint64_t key)
{
    return w ? (double)w[(uint32_t)key] : 1.0;
}

/* The key at which the weights, added to `sum` in ascending order of the keys, reach target; the last one if they
 * never do. w = NULL: each weighs 1. Quickselect; keys differ, so every round leaves out at least the pivot. The
 * pivots' places are pseudo-random, so no order of logits is slow on purpose. */
static uint64_t select_key(uint64_t *k, size_t n, const float *w, double sum, double target)
{
    uint32_t dice = 12345;
    while (n > 32) {
        uint64_t at[3];
        for (int i = 0; i < 3; i++) {
            dice = dice * 1664525u + 1013904223u;
            at[i] = k[((uint64_t)dice * n) >> 32];
        }
        uint64_t pivot = median3(at[0], at[1], at[2]);
        double part = 0;
        size_t low = 0;
        for (size_t i = 0; i < n; i++) { /* k[0..low) <= pivot */
            uint64_t x = k[i];
            bool is = x <= pivot;
            part += is ? weight_of(w, x) : 0.0;
            k[i] = k[low];
            k[low] = x;
            low += is;
        }
        if (sum + part >= target) {
            if (low == n) { /* the pivot is the largest: it decides alone, or it can go */
                size_t last = 0;
                while (k[last] != pivot)
                    last++;
                k[last] = k[n - 1];
                if (sum + (part - weight_of(w, pivot)) < target)
                    return pivot;
                low = n - 1;
            }
            n = low;
        } else {
            if (low == n)
                return pivot;
            sum += part;
            k += low;
            n -= low;
        }
    }
    insertion_sort(k, n);
    for (size_t i = 0; i + 1 < n; i++)
        if ((sum += weight_of(w, k[i])) >= target)
            return k[i];
    return k[n - 1];
}

/* Keeps the candidates above `value`, and those equal to it up to position `last`. */
static void keep(candidates *c, float value, size_t last)
{
    size_t out = 0;
    for (size_t from = 0; from < c->n; from += BLOCK) {
        size_t end = c->n - from < BLOCK ? c->n : from + BLOCK;
        if (c->all && c->maxima[from / BLOCK] < value)
            continue;
        for (size_t i = from; i < end; i++) {
            float x = c->l[i];
            c->id[out] = c->all ? (int32_t)i : c->id[i];
            c->l[out] = x;
            out += (x > value) | ((x == value) & (i <= last));
        }
    }
    c->n = out;
    c->all = false;
    for (; out % BLOCK != 0; out++)
        c->l[out] = -INFINITY;
}

/* Keeps the logits >= bound, compared in double. */
static void keep_from(candidates *c, double bound)
{
    float value = (float)bound;
    if ((double)value < bound)
        value = nextafterf(value, INFINITY);
    keep(c, value, SIZE_MAX);
}

static void keep_key(candidates *c, uint64_t key)
{
    size_t i = (uint32_t)key;
    keep(c, c->l[i], i);
}

/* ---- filters ---- */

static void top_k(candidates *c, size_t k)
{
    if (k == 0 || k >= c->n)
        return;
    size_t blocks = blocks_of(c->n);
    if (k < blocks) {
        /* k blocks reach the k-th largest maximum, hence so do at least k logits. */
        for (size_t b = 0; b < blocks; b++)
            c->keys[b] = key_of(c->maxima[b], b);
        keep(c, c->maxima[(uint32_t)select_key(c->keys, blocks, NULL, 0, (double)k)], SIZE_MAX);
    }
    for (size_t i = 0; i < c->n; i++)
        c->keys[i] = key_of(c->l[i], i);
    keep_key(c, select_key(c->keys, c->n, NULL, 0, (double)k));
}

static size_t bucket_of(const candidates *c, size_t i)
{
    float d = (c->max - c->l[i]) * BUCKETS_PER_NAT; /* monotone in l, +infinity where l is -infinity */
    return d < (float)(BUCKETS - 1) ? (size_t)(uint32_t)(int32_t)d : BUCKETS - 1;
}

/* The key where the mass crosses target. */
static uint64_t crossing(candidates *c, double target)
{
    double sum = 0;
    size_t b = 0, n = 0;
    memset(c->mass, 0, BUCKETS * sizeof *c->mass);
    for (size_t i = 0; i < c->n; i++)
        c->mass[bucket_of(c, i)] += (double)c->w[i];
    for (; b + 1 < BUCKETS && sum + c->mass[b] < target; b++)
        sum += c->mass[b];
    /* The candidates' mass is at least target, so bucket b is not empty. */
    for (size_t i = 0; i < c->n; i++)
        if (bucket_of(c, i) == b)
            c->keys[n++] = key_of(c->l[i], i);
    assert(n > 0);
    return select_key(c->keys, n, c->w, sum, target);
}

/* The smallest set of most probable candidates with a probability of at least p (Holtzman et al. 2020). */
static void top_p(candidates *c, double p)
{
    if (p >= 1.0)
        return;
    double total = om_sample_weights(c->l, blocks_of(c->n), c->max, 1.0f, c->w, c->sums);
    double target = p * total;
    /* All weights below (1 - p) total / n together stay below (1 - p) total: the set lies above them. */
    if (c->n > 4 * BLOCK) {
        keep_from(c, (double)c->max + log((1.0 - p) * total / (double)c->n) - 1e-3);
        om_sample_weights(c->l, blocks_of(c->n), c->max, 1.0f, c->w, c->sums);
    }
    keep_key(c, crossing(c, target));
}

static void min_p(candidates *c, double p)
{
    if (p > 0)
        keep_from(c, (double)c->max + log(p));
}

/* ---- the draw ---- */

static int32_t token_at(const candidates *c, size_t i)
{
    return c->all ? (int32_t)i : c->id[i];
}

static int32_t draw(candidates *c, float temperature, double u)
{
    size_t blocks = blocks_of(c->n), b = 0, last = 0;
    float inv_t = 1.0f / temperature < 1e30f ? 1.0f / temperature : 1e30f; /* 0 * infinity would lose the best one */
    double target = u * om_sample_weights(c->l, blocks, c->max, inv_t, c->w, c->sums), sum = 0;
    for (; b + 1 < blocks && sum + c->sums[b] <= target; b++)
        sum += c->sums[b];
    for (size_t i = b * BLOCK; i < c->n; i++) {
        if (c->w[i] > 0)
            last = i;
        if ((sum += (double)c->w[i]) > target)
            return token_at(c, i);
    }
    /* Rounding may leave the sum a hair below: the last token that can be drawn. Its block may lie further down. */
    for (size_t i = c->n; last == 0 && i-- > 0;)
        if (c->w[i] > 0)
            last = i;
    return token_at(c, last);
}

int32_t om_sample_pick(const omni_sample_params *p, const float *logits, size_t n_vocab, const int32_t *recent,
                       size_t n_recent, om_rng *rng, void *scratch)
{
    if (p->temperature == 0 && p->n_bias == 0 && (p->repeat_penalty == 1.0f || n_recent == 0))
        return om_sample_argmax(logits, n_vocab);
    candidates c = lay_out(scratch, n_vocab);
    om_sample_clean(logits, n_vocab, c.l, blocks_of(n_vocab));
    adjust(&c, p, recent, n_recent);
    if (p->temperature == 0)
        return om_sample_argmax(c.l, n_vocab);
    double u = om_rng_double(rng); /* always exactly one, so that a run can be followed by its seed */
    c.max = om_sample_maxima(c.l, blocks_of(n_vocab), c.maxima);
    if (c.max == -INFINITY)
        return 0;
    if (c.max == INFINITY)
        only_infinite(&c);
    top_k(&c, (size_t)p->top_k);
    top_p(&c, (double)p->top_p);
    min_p(&c, (double)p->min_p);
    return draw(&c, p->temperature, u);
}
