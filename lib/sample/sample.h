/* sample.h - (logits, parameters, rng, recent tokens) -> id: a pure function. May include: base.
 * Order: bias, repetition penalty, temperature 0 -> argmax (lowest id wins ties); else top-k, top-p, min-p on the
 * unscaled probabilities, then temperature, then one draw over the ids in ascending order. Every filter keeps the
 * lower id of equal logits; top-p is relative to what top-k left. temperature 0 takes nothing from the rng, any other
 * exactly one double. */
#ifndef OMNI_SAMPLE_H
#define OMNI_SAMPLE_H

#include "base/base.h"

#define OM_SAMPLE_REPEAT_MAX (1 << 20) /* largest repeat_last */

/* E_USAGE names the parameter: "temperature: expected 0..100, found nan". */
omni_status om_sample_check(const omni_sample_params *p, omni_error *err);
/* Bytes of scratch one call needs (no allocation in the token loop). */
size_t om_sample_scratch_size(size_t n_vocab);
/* logits [n_vocab] are not changed. recent: the last tokens, n_recent of them. A NaN logit counts as -infinity. */
int32_t om_sample_pick(const omni_sample_params *p, const float *logits, size_t n_vocab, const int32_t *recent,
                       size_t n_recent, om_rng *rng, void *scratch);
int32_t om_sample_argmax(const float *logits, size_t n_vocab);
float om_sample_logprob(const float *logits, size_t n_vocab, int32_t id);
size_t om_sample_top(const float *logits, size_t n_vocab, size_t k, int32_t *ids, float *logprobs);

#endif
