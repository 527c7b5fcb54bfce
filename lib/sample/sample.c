/* sample.c - choosing a token.
 *
 * Nothing is sorted and nothing is moved: logits stay at their ids, and every filter is a threshold (a value and, for
 * ties, the last id that is kept) below which logits become -infinity. Top-k finds its threshold among the few values
 * that reach the k-th largest block maximum, top-p by a histogram of the distance from the best logit and a selection
 * where the probability mass crosses p. */
#include "sample/sample.h"
#include "sample/sample_math.h"

#include <math.h>
#include <string.h>

#define BLOCK OM_SAMPLE_BLOCK
#define BUCKETS 1024
#define BUCKETS_PER_NAT 64.0f

typedef struct candidates {
    om_blocks b;
    size_t n;       /* tokens */
    float max;      /* the largest logit */
    double *mass;   /* [BUCKETS] */
    uint64_t *keys; /* [n] for selection */
    uint64_t *seen; /* [n / 64] bits: tokens that were penalised already */
} candidates;

size_t om_sample_scratch_size(size_t n_vocab)
{
    size_t b = om_sample_blocks(n_vocab);
    return b * BLOCK * (sizeof(uint64_t) + 2 * sizeof(float)) +
           b * (sizeof(double) + sizeof(uint64_t) + sizeof(float)) + BUCKETS * sizeof(double);
}

/* Cuts the scratch into arrays, the widest elements first so that all are aligned. */
static candidates lay_out(void *scratch, size_t n)
{
    size_t b = om_sample_blocks(n);
    candidates c = {.n = n, .mass = scratch, .b.n = b};
    c.b.sums = c.mass + BUCKETS;
    c.keys = (uint64_t *)(void *)(c.b.sums + b);
    c.seen = c.keys + b * BLOCK;
    c.b.l = (float *)(void *)(c.seen + b);
    c.b.w = c.b.l + b * BLOCK;
    c.b.maxima = c.b.w + b * BLOCK;
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
            c->b.l[id] = clean(c->b.l[id] + p->bias[i].bias);
    }
    if (p->repeat_penalty == 1.0f || n_recent == 0)
        return;
    memset(c->seen, 0, c->b.n * sizeof *c->seen);
    for (size_t i = 0; i < n_recent; i++) {
        size_t id = (size_t)recent[i];
        uint64_t bit = 1ull << (id % 64);
        if (recent[i] < 0 || id >= c->n || (c->seen[id / 64] & bit))
            continue;
        c->seen[id / 64] |= bit;
        float x = c->b.l[id];
        c->b.l[id] = clean(x > 0 ? x / p->repeat_penalty : x * p->repeat_penalty);
    }
}

/* An infinite logit leaves no room for finite ones: the infinite ones share all the probability. */
static void only_infinite(candidates *c)
{
    for (size_t i = 0; i < c->n; i++)
        c->b.l[i] = c->b.l[i] == INFINITY ? 0.0f : -INFINITY;
    c->max = om_sample_maxima(&c->b);
}

/* ---- thresholds ---- */

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

/* Keeps the logits >= bound, compared in double. */
static void keep_from(candidates *c, double bound)
{
    float value = (float)bound;
    if ((double)value < bound)
        value = nextafterf(value, INFINITY);
    om_sample_cut(&c->b, value, SIZE_MAX);
}

static void keep_key(candidates *c, uint64_t key)
{
    size_t i = (uint32_t)key;
    om_sample_cut(&c->b, c->b.l[i], i);
}

/* ---- filters ---- */

static void top_k(candidates *c, size_t k)
{
    if (k == 0 || k >= c->n)
        return;
    float bar = -INFINITY;
    if (k < c->b.n) {
        /* k blocks reach the k-th largest maximum, hence so do at least k logits. */
        for (size_t b = 0; b < c->b.n; b++)
            c->keys[b] = om_sample_key(c->b.maxima[b], b);
        bar = c->b.maxima[(uint32_t)select_key(c->keys, c->b.n, NULL, 0, (double)k)];
    }
    size_t n = om_sample_gather(&c->b, bar, INFINITY, c->keys);
    keep_key(c, select_key(c->keys, n, NULL, 0, (double)k));
}

/* A distance from the best logit within which the mass reaches target. */
static float reach(const candidates *c, double target)
{
    /* Most distributions need a few nats; the steps bound the histogram's work. */
    for (float nats = 3; nats <= 12; nats += 3)
        if (om_sample_mass_above(&c->b, c->max - nats) >= target)
            return nats;
    return INFINITY;
}

/* The smallest set of most probable candidates with a probability of at least p (Holtzman et al. 2020). */
static void top_p(candidates *c, double p)
{
    if (p >= 1.0)
        return;
    double target = p * om_sample_weights(&c->b, c->max, 1.0f), sum = 0;
    size_t k = 0;
    om_sample_histogram(&c->b, c->max, reach(c, target), BUCKETS_PER_NAT, BUCKETS, c->mass);
    for (; k + 1 < BUCKETS && sum + c->mass[k] < target; k++)
        sum += c->mass[k];
    /* The histogram's borders are rounded: one bucket more on each side, and the mass above them counted anew. */
    float hi = k > 1 ? c->max - (float)(k - 1) / BUCKETS_PER_NAT : c->max;
    float lo = k + 2 < BUCKETS ? c->max - (float)(k + 2) / BUCKETS_PER_NAT : -INFINITY;
    size_t n = om_sample_gather(&c->b, lo, hi, c->keys);
    if (n > 0)
        keep_key(c, select_key(c->keys, n, c->b.w, om_sample_mass_above(&c->b, hi), target));
}

static void min_p(candidates *c, double p)
{
    if (p > 0)
        keep_from(c, (double)c->max + log(p));
}

/* ---- the draw ---- */

/* The first token of block k at which the weights, added to sum, exceed target; the last that has any if rounding keeps
 * them below. */
static int32_t draw_from(const candidates *c, size_t k, double sum, double target)
{
    size_t last = k * BLOCK;
    for (size_t i = k * BLOCK; i < (k + 1) * BLOCK; i++) {
        if (c->b.w[i] > 0)
            last = i;
        if ((sum += (double)c->b.w[i]) > target)
            break;
    }
    return (int32_t)last;
}

static int32_t draw(candidates *c, float temperature, double u)
{
    float inv_t = 1.0f / temperature < 1e30f ? 1.0f / temperature : 1e30f; /* 0 * infinity would lose the best one */
    double target = u * om_sample_weights(&c->b, c->max, inv_t), sum = 0;
    size_t last = 0;
    for (size_t k = 0; k < c->b.n; k++) {
        if (c->b.sums[k] > 0)
            last = k;
        if (sum + c->b.sums[k] > target)
            break;
        sum += c->b.sums[k];
    }
    return draw_from(c, last, sum, target);
}

int32_t om_sample_pick(const omni_sample_params *p, const float *logits, size_t n_vocab, const int32_t *recent,
                       size_t n_recent, om_rng *rng, void *scratch)
{
    if (p->temperature == 0 && p->n_bias == 0 && (p->repeat_penalty == 1.0f || n_recent == 0))
        return om_sample_argmax(logits, n_vocab);
    candidates c = lay_out(scratch, n_vocab);
    om_sample_clean(logits, n_vocab, c.b.l);
    adjust(&c, p, recent, n_recent);
    if (p->temperature == 0)
        return om_sample_argmax(c.b.l, n_vocab);
    double u = om_rng_double(rng); /* always exactly one, so that a run can be followed by its seed */
    c.max = om_sample_maxima(&c.b);
    if (c.max == -INFINITY)
        return 0;
    if (c.max == INFINITY)
        only_infinite(&c);
    top_k(&c, (size_t)p->top_k);
    top_p(&c, (double)p->top_p);
    min_p(&c, (double)p->min_p);
    return draw(&c, p->temperature, u);
}
