/* sample_prob.c - the best tokens and their probabilities, straight from the logits and without memory. */
#include "sample/sample.h"
#include "sample/sample_math.h"

#include <math.h>

#define BLOCK OM_SAMPLE_BLOCK

/* One block at a time on the stack. */
typedef struct window {
    float l[BLOCK], w[BLOCK], maximum;
    double sum;
} window;

static om_blocks view(window *v, const float *logits, size_t n, size_t from)
{
    om_sample_clean(logits + from, n - from < BLOCK ? n - from : BLOCK, v->l);
    return (om_blocks){.n = 1, .l = v->l, .maxima = &v->maximum, .w = v->w, .sums = &v->sum};
}

/* The largest logit, -infinity when there is none. *from: where the first block that has it begins. */
static float largest(const float *logits, size_t n, size_t *from)
{
    window v;
    float best = -INFINITY;
    for (size_t i = 0; i < n; i += BLOCK) {
        om_blocks b = view(&v, logits, n, i);
        if (om_sample_maxima(&b) > best) {
            best = v.maximum;
            *from = i;
        }
    }
    return best;
}

int32_t om_sample_argmax(const float *logits, size_t n_vocab)
{
    size_t from = 0;
    float best = largest(logits, n_vocab, &from);
    for (size_t i = from; i < n_vocab; i++)
        if (logits[i] == best)
            return (int32_t)i;
    return 0; /* NaN and nothing else */
}

/* log of the sum of exp; max is the largest logit, finite. */
static double log_sum(const float *logits, size_t n, float max)
{
    double total = 0;
    window v;
    for (size_t i = 0; i < n; i += BLOCK) {
        om_blocks b = view(&v, logits, n, i);
        if (om_sample_maxima(&b) > -INFINITY)
            total += om_sample_weights(&b, max, 1.0f);
    }
    return (double)max + log(total);
}

/* What to subtract from a logit; for infinite logits the logarithm of their number. */
typedef struct scale {
    float max;
    double log_total;
} scale;

static scale scale_of(const float *logits, size_t n)
{
    size_t from = 0;
    scale s = {largest(logits, n, &from), 0};
    if (s.max == INFINITY) {
        double count = 0;
        for (size_t i = 0; i < n; i++)
            count += logits[i] == INFINITY;
        s.log_total = log(count);
    } else if (s.max > -INFINITY) {
        s.log_total = log_sum(logits, n, s.max);
    }
    return s;
}

static float logprob(const scale *s, float logit)
{
    if (isnan(logit) || logit == -INFINITY)
        return -INFINITY;
    if (s->max == INFINITY)
        return logit == INFINITY ? (float)-s->log_total : -INFINITY;
    double lp = (double)logit - s->log_total;
    return lp < 0 ? (float)lp : 0.0f; /* the sum is rounded: never more than certain */
}

float om_sample_logprob(const float *logits, size_t n_vocab, int32_t id)
{
    if (id < 0 || (size_t)id >= n_vocab)
        return -INFINITY;
    scale s = scale_of(logits, n_vocab);
    return logprob(&s, logits[id]);
}

static float value_of(const float *logits, int32_t id)
{
    return isnan(logits[id]) ? -INFINITY : logits[id];
}

/* Is token a less probable than b? NaN counts as -infinity, ties go to the lower id. */
static bool worse(const float *logits, int32_t a, int32_t b)
{
    float x = value_of(logits, a), y = value_of(logits, b);
    return x < y || (x == y && a > b);
}

/* Restores the heap (worst at the root) of heap[0..n) below i. */
static void sift(const float *logits, int32_t *heap, size_t n, size_t i)
{
    for (;;) {
        size_t kid = 2 * i + 1;
        if (kid >= n)
            return;
        if (kid + 1 < n && worse(logits, heap[kid + 1], heap[kid]))
            kid++;
        if (!worse(logits, heap[kid], heap[i]))
            return;
        int32_t t = heap[i];
        heap[i] = heap[kid];
        heap[kid] = t;
        i = kid;
    }
}

size_t om_sample_top(const float *logits, size_t n_vocab, size_t k, int32_t *ids, float *logprobs)
{
    k = k < n_vocab ? k : n_vocab;
    if (k == 0)
        return 0;
    for (size_t i = 0; i < k; i++)
        ids[i] = (int32_t)i;
    for (size_t i = k / 2; i-- > 0;)
        sift(logits, ids, k, i);
    float bar = value_of(logits, ids[0]);
    for (size_t i = k; i < n_vocab; i++)
        if (logits[i] > bar) { /* an equal one has the higher id */
            ids[0] = (int32_t)i;
            sift(logits, ids, k, 0);
            bar = value_of(logits, ids[0]);
        }
    for (size_t n = k; n > 1; n--) { /* the worst of those left goes to their end */
        int32_t t = ids[0];
        ids[0] = ids[n - 1];
        ids[n - 1] = t;
        sift(logits, ids, n - 1, 0);
    }
    scale s = scale_of(logits, n_vocab);
    for (size_t i = 0; logprobs && i < k; i++)
        logprobs[i] = logprob(&s, logits[ids[i]]);
    return k;
}
