/* sample_math.c - vectors of four by the compilers' portable vector types: SSE2 and NEON have them at the baseline. */
#include "sample/sample_math.h"

#include <math.h>
#include <string.h>

#define BLOCK OM_SAMPLE_BLOCK

typedef float f4 __attribute__((vector_size(16)));
typedef int32_t i4 __attribute__((vector_size(16)));
typedef uint32_t u4 __attribute__((vector_size(16)));
typedef double d2 __attribute__((vector_size(16)));

static inline f4 load(const float *p)
{
    f4 v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void store(float *p, f4 v)
{
    memcpy(p, &v, sizeof v);
}

static inline f4 splat(float x)
{
    return (f4){x, x, x, x};
}

/* mask ? a : b, mask being all ones or all zeros in each lane */
static inline f4 choose(i4 mask, f4 a, f4 b)
{
    return (f4)((mask & (i4)a) | (~mask & (i4)b));
}

void om_sample_clean(const float *in, size_t n, float *out, size_t blocks)
{
    const f4 lowest = splat(-INFINITY), zero = splat(0.0f);
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        f4 x = load(in + i);
        store(out + i, choose(x == x, x + zero, lowest));
    }
    for (; i < n; i++)
        out[i] = isnan(in[i]) ? -INFINITY : in[i] + 0.0f;
    for (; i < blocks * BLOCK; i++)
        out[i] = -INFINITY;
}

float om_sample_maxima(const float *l, size_t blocks, float *maxima)
{
    float best = -INFINITY;
    for (size_t b = 0; b < blocks; b++, l += BLOCK) {
        f4 m0 = load(l), m1 = load(l + 4);
        for (size_t i = 8; i < BLOCK; i += 8) {
            f4 x0 = load(l + i), x1 = load(l + i + 4);
            m0 = choose(x0 > m0, x0, m0);
            m1 = choose(x1 > m1, x1, m1);
        }
        m0 = choose(m1 > m0, m1, m0);
        float a = m0[0] > m0[1] ? m0[0] : m0[1], c = m0[2] > m0[3] ? m0[2] : m0[3];
        maxima[b] = a > c ? a : c;
        best = maxima[b] > best ? maxima[b] : best;
    }
    return best;
}

/* exp for x <= 0; relative error below 2e-7, 0 below -87 (where 2^n leaves the normal numbers). Reduction to
 * |r| <= ln 2 / 2 and the polynomial as in Cephes' expf (S. Moshier). */
static inline f4 exp4(f4 x)
{
    const f4 magic = splat(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer */
    i4 live = x >= splat(-87.0f);
    x = choose(live, x, splat(0.0f));
    f4 shifted = x * splat(1.44269504088896341f) + magic;
    u4 n = (u4)shifted - (u4)magic;
    f4 k = shifted - magic;
    f4 r = x - k * splat(0.693359375f) - k * splat(-2.12194440e-4f);
    f4 p = splat(1.9875691500e-4f);
    p = p * r + splat(1.3981999507e-3f);
    p = p * r + splat(8.3334519073e-3f);
    p = p * r + splat(4.1665795894e-2f);
    p = p * r + splat(1.6666665459e-1f);
    p = p * r + splat(5.0000001201e-1f);
    f4 e = p * (r * r) + r + splat(1.0f);
    e = (f4)((u4)e + (n << 23));
    return choose(live, e, splat(0.0f));
}

double om_sample_weights(const float *l, size_t blocks, float max, float inv_t, float *w, double *sums)
{
    const f4 top = splat(max), scale = splat(inv_t);
    double total = 0;
    for (size_t b = 0; b < blocks; b++, l += BLOCK) {
        d2 lo = {0, 0}, hi = {0, 0};
        for (size_t i = 0; i < BLOCK; i += 4) {
            f4 e = exp4((load(l + i) - top) * scale);
            lo += __builtin_convertvector(__builtin_shufflevector(e, e, 0, 1), d2);
            hi += __builtin_convertvector(__builtin_shufflevector(e, e, 2, 3), d2);
            if (w)
                store(w + b * BLOCK + i, e);
        }
        lo += hi;
        double sum = lo[0] + lo[1];
        if (sums)
            sums[b] = sum;
        total += sum;
    }
    return total;
}
