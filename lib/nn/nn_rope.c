/* nn_rope.c - rotary position embedding (Su et al. 2021, arXiv 2104.09864): angles in double precision, because
 * position times frequency loses digits in float from a few thousand positions on. */
#include "nn/nn.h"

#include <math.h>

omni_status om_rope_init(om_rope *r, size_t n_dims, bool neox, double base, double scale, const float *factors,
                         omni_error *err)
{
    size_t half = n_dims / 2;
    double *f = om_alloc_zero(half ? half : 1, sizeof *f);
    if (!f)
        return om_fail_memory(err, half * sizeof *f, "rope frequencies");
    for (size_t i = 0; i < half; i++)
        f[i] = scale * pow(base, -2.0 * (double)i / (double)n_dims) / (factors ? (double)factors[i] : 1.0);
    *r = (om_rope){n_dims, neox, f};
    return OMNI_OK;
}

void om_rope_release(om_rope *r)
{
    om_free(r->inv_freq);
    r->inv_freq = NULL;
}

void om_rope_at(const om_rope *r, int64_t pos, float *cosv, float *sinv)
{
    for (size_t i = 0; i < r->n_dims / 2; i++) {
        double a = (double)pos * r->inv_freq[i];
        cosv[i] = (float)cos(a);
        sinv[i] = (float)sin(a);
    }
}
