/* sample_math.c - four lanes by the compilers' portable vector types (SSE2 and NEON are at the baseline). Only the
 * exponentials are worth a version for AVX2; it does the same operations in the same order: the same results. */
#include "sample/sample_math.h"

#include <math.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define BLOCK OM_SAMPLE_BLOCK
#define LANES 4
#define INLINE static inline __attribute__((always_inline))

typedef float f4 __attribute__((vector_size(4 * LANES)));
typedef int32_t i4 __attribute__((vector_size(4 * LANES)));
typedef int64_t l2 __attribute__((vector_size(16)));
typedef uint32_t u4 __attribute__((vector_size(4 * LANES)));

INLINE f4 load(const float *p)
{
    f4 v;
    memcpy(&v, p, sizeof v);
    return v;
}

INLINE void store(float *p, f4 v)
{
    memcpy(p, &v, sizeof v);
}

INLINE f4 splat(float x)
{
    return (f4){x, x, x, x};
}

/* mask ? a : b, mask being all ones or all zeros in each lane */
INLINE f4 choose(i4 mask, f4 a, f4 b)
{
    return (f4)((mask & (i4)a) | (~mask & (i4)b));
}

INLINE bool any(i4 mask)
{
    l2 m = (l2)mask;
    return (m[0] | m[1]) != 0;
}

INLINE float largest_lane(f4 v)
{
    float best = v[0];
    for (int i = 1; i < LANES; i++)
        best = v[i] > best ? v[i] : best;
    return best;
}

INLINE double sum_lanes(f4 v)
{
    return ((double)v[0] + (double)v[1]) + ((double)v[2] + (double)v[3]);
}

void om_sample_clean(const float *in, size_t n, float *out)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        f4 x = load(in + i);
        store(out + i, choose(x == x, x + splat(0.0f), splat(-INFINITY)));
    }
    for (; i < n; i++)
        out[i] = isnan(in[i]) ? -INFINITY : in[i] + 0.0f;
    for (; i % BLOCK != 0; i++)
        out[i] = -INFINITY;
}

INLINE float block_maximum(const float *l)
{
    f4 m = load(l);
    for (size_t i = LANES; i < BLOCK; i += LANES) {
        f4 x = load(l + i);
        m = choose(x > m, x, m);
    }
    return largest_lane(m);
}

float om_sample_maxima(const om_blocks *b)
{
    float best = -INFINITY;
    for (size_t k = 0; k < b->n; k++) {
        b->maxima[k] = block_maximum(b->l + k * BLOCK);
        best = b->maxima[k] > best ? b->maxima[k] : best;
    }
    return best;
}

/* exp for x <= 0; relative error below 2e-7, 0 below -87 (where 2^n leaves the normal numbers). Reduction to
 * |r| <= ln 2 / 2 and the polynomial as in Cephes' expf (S. Moshier). */
INLINE f4 exp4(f4 x)
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

/* Eight sums of four in float lose less than exp4 does; from there on in double. */
static inline double block_weights(const float *l, float max, float inv_t, float *w)
{
    f4 even = splat(0.0f), odd = splat(0.0f);
    for (size_t i = 0; i < BLOCK; i += 2 * LANES) {
        f4 e = exp4((load(l + i) - splat(max)) * splat(inv_t));
        f4 o = exp4((load(l + i + LANES) - splat(max)) * splat(inv_t));
        store(w + i, e);
        store(w + i + LANES, o);
        even += e;
        odd += o;
    }
    return sum_lanes(even) + sum_lanes(odd);
}

#if defined(__x86_64__)
/* exp4 on eight lanes */
__attribute__((target("avx2"))) static inline __m256 exp8(__m256 x)
{
    const __m256 magic = _mm256_set1_ps(12582912.0f);
    __m256 live = _mm256_cmp_ps(x, _mm256_set1_ps(-87.0f), _CMP_GE_OQ);
    x = _mm256_and_ps(x, live);
    __m256 shifted = _mm256_add_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504088896341f)), magic);
    __m256i n = _mm256_sub_epi32(_mm256_castps_si256(shifted), _mm256_castps_si256(magic));
    __m256 k = _mm256_sub_ps(shifted, magic);
    __m256 r = _mm256_sub_ps(x, _mm256_mul_ps(k, _mm256_set1_ps(0.693359375f)));
    r = _mm256_sub_ps(r, _mm256_mul_ps(k, _mm256_set1_ps(-2.12194440e-4f)));
    __m256 p = _mm256_set1_ps(1.9875691500e-4f);
    p = _mm256_add_ps(_mm256_mul_ps(p, r), _mm256_set1_ps(1.3981999507e-3f));
    p = _mm256_add_ps(_mm256_mul_ps(p, r), _mm256_set1_ps(8.3334519073e-3f));
    p = _mm256_add_ps(_mm256_mul_ps(p, r), _mm256_set1_ps(4.1665795894e-2f));
    p = _mm256_add_ps(_mm256_mul_ps(p, r), _mm256_set1_ps(1.6666665459e-1f));
    p = _mm256_add_ps(_mm256_mul_ps(p, r), _mm256_set1_ps(5.0000001201e-1f));
    __m256 e = _mm256_add_ps(_mm256_add_ps(_mm256_mul_ps(p, _mm256_mul_ps(r, r)), r), _mm256_set1_ps(1.0f));
    e = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(e), _mm256_slli_epi32(n, 23)));
    return _mm256_and_ps(e, live);
}

__attribute__((target("avx2"))) static inline double block_weights_avx2(const float *l, float max, float inv_t,
                                                                        float *w)
{
    __m256 sum = _mm256_setzero_ps();
    for (size_t i = 0; i < BLOCK; i += 8) {
        __m256 x = _mm256_sub_ps(_mm256_loadu_ps(l + i), _mm256_set1_ps(max));
        __m256 e = exp8(_mm256_mul_ps(x, _mm256_set1_ps(inv_t)));
        _mm256_storeu_ps(w + i, e);
        sum = _mm256_add_ps(sum, e);
    }
    f4 even = (f4)_mm256_castps256_ps128(sum), odd = (f4)_mm256_extractf128_ps(sum, 1);
    return sum_lanes(even) + sum_lanes(odd);
}
#endif

typedef double (*weights_fn)(const float *l, float max, float inv_t, float *w);

/* Inlined, so that fn is known where it is called. */
INLINE double all_weights(const om_blocks *b, float max, float inv_t, weights_fn fn)
{
    double total = 0;
    for (size_t k = 0; k < b->n; k++) {
        bool live = b->maxima[k] > -INFINITY;
        b->sums[k] = live ? fn(b->l + k * BLOCK, max, inv_t, b->w + k * BLOCK) : 0.0;
        total += b->sums[k];
    }
    return total;
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static double all_weights_avx2(const om_blocks *b, float max, float inv_t)
{
    return all_weights(b, max, inv_t, block_weights_avx2);
}
#endif

double om_sample_weights(const om_blocks *b, float max, float inv_t)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2"))
        return all_weights_avx2(b, max, inv_t);
#endif
    return all_weights(b, max, inv_t, block_weights);
}

double om_sample_mass_above(const om_blocks *b, float value)
{
    double total = 0;
    for (size_t k = 0; k < b->n; k++) {
        if (!(b->maxima[k] > value))
            continue;
        f4 sum = splat(0.0f);
        for (size_t i = k * BLOCK; i < (k + 1) * BLOCK; i += LANES)
            sum += choose(load(b->l + i) > splat(value), load(b->w + i), splat(0.0f));
        total += sum_lanes(sum);
    }
    return total;
}

uint64_t om_sample_key(float l, size_t i)
{
    uint32_t bits;
    memcpy(&bits, &l, sizeof bits);
    bits = bits & 0x80000000u ? bits : ~bits & 0x7fffffffu;
    return (uint64_t)bits << 32 | (uint32_t)i;
}

size_t om_sample_gather(const om_blocks *b, float lo, float hi, uint64_t *keys)
{
    size_t n = 0;
    for (size_t k = 0; k < b->n; k++) {
        if (b->maxima[k] == -INFINITY || b->maxima[k] < lo)
            continue;
        for (size_t i = k * BLOCK; i < (k + 1) * BLOCK; i += LANES) {
            f4 x = load(b->l + i);
            if (!any((x >= splat(lo)) & (x <= splat(hi))))
                continue;
            for (size_t j = i; j < i + LANES; j++) {
                keys[n] = om_sample_key(b->l[j], j);
                n += (b->l[j] >= lo) & (b->l[j] <= hi);
            }
        }
    }
    return n;
}

void om_sample_histogram(const om_blocks *b, float max, float reach, float per_nat, size_t buckets, double *mass)
{
    const float last = (float)(buckets - 1);
    memset(mass, 0, buckets * sizeof *mass);
    for (size_t k = 0; k < b->n; k++) {
        if (!(b->maxima[k] >= max - reach))
            continue;
        for (size_t i = k * BLOCK; i < (k + 1) * BLOCK; i += LANES) {
            f4 x = load(b->l + i);
            if (!any(x >= splat(max - reach)))
                continue;
            f4 d = (splat(max) - x) * splat(per_nat);
            d = choose(d < splat(last), d, splat(last));
            i4 bucket = __builtin_convertvector(d, i4);
            for (int j = 0; j < LANES; j++)
                mass[bucket[j]] += (double)b->w[i + (size_t)j];
        }
    }
}

void om_sample_cut(const om_blocks *b, float value, size_t last)
{
    for (size_t k = 0; k < b->n; k++) {
        size_t from = k * BLOCK, end = from + BLOCK;
        if (b->maxima[k] < value) {
            b->maxima[k] = -INFINITY;
            continue;
        }
        if (from <= last && last < end) {
            for (size_t i = from; i < end; i++)
                if (b->l[i] < value || (b->l[i] == value && i > last))
                    b->l[i] = -INFINITY;
        } else {
            for (size_t i = from; i < end; i += LANES) {
                f4 x = load(b->l + i);
                i4 stays = (x > splat(value)) | ((x == splat(value)) & (end <= last ? x == x : x != x));
                store(b->l + i, choose(stays, x, splat(-INFINITY)));
            }
        }
        b->maxima[k] = block_maximum(b->l + from);
    }
}
