/* sample_math.h - passes over all logits, several lanes at a time and block by block.
 * The same operations in the same order on every machine (no FMA, our own exp), so a seed means the same everywhere.
 * Arrays are padded with -infinity to whole blocks. A block whose maximum is -infinity is dead: every pass skips it,
 * and what its logits and weights hold no longer matters. */
#ifndef OMNI_SAMPLE_MATH_H
#define OMNI_SAMPLE_MATH_H

#include "base/base.h"

#define OM_SAMPLE_BLOCK 32

typedef struct om_blocks {
    size_t n;      /* blocks */
    float *l;      /* [n * BLOCK] logits, never NaN or -0 */
    float *maxima; /* [n] */
    float *w;      /* [n * BLOCK] weights */
    double *sums;  /* [n] of the weights */
} om_blocks;

static inline size_t om_sample_blocks(size_t n)
{
    return n / OM_SAMPLE_BLOCK + (n % OM_SAMPLE_BLOCK != 0);
}

/* out[i] = in[i], NaN -> -infinity, -0 -> 0, padded to whole blocks. */
void om_sample_clean(const float *in, size_t n, float *out);
/* Fills maxima; returns the largest of all. */
float om_sample_maxima(const om_blocks *b);
/* w = exp((l - max) * inv_t), 0 below e^-87; sums too, 0 for dead blocks. Returns the total. */
double om_sample_weights(const om_blocks *b, float max, float inv_t);
/* Sum of the weights of the logits > value. */
double om_sample_mass_above(const om_blocks *b, float value);
/* mass[min((max - l) * per_nat, buckets - 1)] += w for all logits >= max - reach, and perhaps for some below. */
void om_sample_histogram(const om_blocks *b, float max, float reach, float per_nat, size_t buckets, double *mass);
/* Keys of the logits in [lo, hi]; returns how many. Ascending keys = descending logits, ties by ascending position;
 * the low 32 bits are the position. */
size_t om_sample_gather(const om_blocks *b, float lo, float hi, uint64_t *keys);
uint64_t om_sample_key(float l, size_t i);
/* Keeps the logits above `value` and those equal to it up to position `last`; all others become -infinity. */
void om_sample_cut(const om_blocks *b, float value, size_t last);

#endif
