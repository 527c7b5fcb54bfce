/* api_sampler.c - omni_sampler: parameters, rng and the recent tokens around the pure function of lib/sample. */
#include "base/base.h"
#include "sample/sample.h"

#include <string.h>

struct omni_sampler {
    omni_sample_params p; /* bias points to our copy */
    size_t n_vocab;
    om_rng rng;
    int32_t *recent; /* a ring [p.repeat_last]: the order does not matter to the penalty */
    size_t n_recent, next;
    void *scratch;
};

/* Temperature and top-p as the default model's card recommends; the mild penalty keeps small models from going in
 * circles. */
omni_sample_params omni_sample_params_default(void)
{
    return (omni_sample_params){
        .temperature = 0.2f,
        .top_k = 40,
        .top_p = 0.9f,
        .min_p = 0.05f,
        .repeat_penalty = 1.1f,
        .repeat_last = 64,
    };
}

static omni_status check(const omni_sample_params *p, size_t n_vocab, omni_error *err)
{
    omni_status s = om_sample_check(p, err);
    for (size_t i = 0; s == OMNI_OK && i < p->n_bias; i++)
        if ((size_t)p->bias[i].id >= n_vocab)
            s = om_fail(err, OMNI_E_USAGE, "logit-bias: expected a token id in 0..%zu, found %d", n_vocab - 1,
                        (int)p->bias[i].id);
    return s;
}

static omni_status copy_bias(omni_sampler *s, omni_error *err)
{
    size_t bytes;
    if (s->p.n_bias == 0) {
        s->p.bias = NULL;
        return OMNI_OK;
    }
    omni_logit_bias *bias = om_mul(s->p.n_bias, sizeof *bias, &bytes) ? om_alloc(bytes) : NULL;
    if (!bias) {
        s->p.bias = NULL;
        return om_fail_memory(err, s->p.n_bias * sizeof *bias, "logit biases");
    }
    memcpy(bias, s->p.bias, bytes);
    s->p.bias = bias;
    return OMNI_OK;
}

omni_status omni_sampler_new(omni_sampler **out, const omni_model *m, const omni_sample_params *p, omni_error *err)
{
    omni_sample_params def = omni_sample_params_default();
    if (!p)
        p = &def;
    omni_model_info info;
    omni_model_get_info(m, &info);
    omni_status st = check(p, info.n_vocab, err);
    if (st != OMNI_OK)
        return st;
    omni_sampler *s = om_alloc_zero(1, sizeof *s);
    if (!s)
        return om_fail_memory(err, sizeof *s, "a sampler");
    s->p = *p;
    s->n_vocab = info.n_vocab;
    st = copy_bias(s, err);
    size_t bytes = om_sample_scratch_size(s->n_vocab);
    if (st == OMNI_OK && (!(s->recent = om_alloc_zero(p->repeat_last, sizeof *s->recent)) ||
                          !(s->scratch = om_alloc_aligned(64, bytes))))
        st = om_fail_memory(err, bytes, "a sampler");
    if (st != OMNI_OK) {
        omni_sampler_free(s);
        return st;
    }
    omni_sampler_reset(s, p->seed);
    *out = s;
    return OMNI_OK;
}

void omni_sampler_free(omni_sampler *s)
{
    if (!s)
        return;
    om_free((void *)(uintptr_t)s->p.bias);
    om_free(s->recent);
    om_free(s->scratch);
    om_free(s);
}

void omni_sampler_reset(omni_sampler *s, uint64_t seed)
{
    om_rng_seed(&s->rng, seed);
    s->n_recent = s->next = 0;
}

void omni_sampler_accept(omni_sampler *s, int32_t id)
{
    if (s->p.repeat_last == 0)
        return;
    s->recent[s->next] = id;
    s->next = (s->next + 1) % s->p.repeat_last;
    if (s->n_recent < s->p.repeat_last)
        s->n_recent++;
}

int32_t omni_sampler_pick(omni_sampler *s, const float *logits)
{
    return om_sample_pick(&s->p, logits, s->n_vocab, s->recent, s->n_recent, &s->rng, s->scratch);
}

size_t omni_logits_top(const float *logits, size_t n_vocab, size_t k, int32_t *ids, float *logprobs)
{
    return om_sample_top(logits, n_vocab, k, ids, logprobs);
}

float omni_logits_logprob(const float *logits, size_t n_vocab, int32_t id)
{
    return om_sample_logprob(logits, n_vocab, id);
}
