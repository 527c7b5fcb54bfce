/* sample_math.h - the passes over all logits: largest values and softmax weights, four lanes at a time.
 * The same operations in the same order on every machine (no FMA, our own exp), so a seed means the same everywhere.
 * Arrays are padded with -infinity to a multiple of OM_SAMPLE_BLOCK. */
#ifndef OMNI_SAMPLE_MATH_H
#define OMNI_SAMPLE_MATH_H

#include "base/base.h"

#define OM_SAMPLE_BLOCK 64

/* out[i] = in[i], NaN -> -infinity, -0 -> 0, and padding up to `blocks` blocks. */
void om_sample_clean(const float *in, size_t n, float *out, size_t blocks);
/* The largest value of each block; returns the largest of all. */
float om_sample_maxima(const float *l, size_t blocks, float *maxima);
/* w[i] = exp((l[i] - max) * inv_t), 0 below e^-87; sums[b] = their sum over block b. Returns the total.
 * w and sums may be NULL. */
double om_sample_weights(const float *l, size_t blocks, float max, float inv_t, float *w, double *sums);

#endif
