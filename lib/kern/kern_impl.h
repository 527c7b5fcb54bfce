/* kern_impl.h - private to lib/kern: block layouts of the number formats and the scalar definitions that every level
 * must reproduce bit for bit. Block layouts: ggml's GGUF formats (ggml-common.h), all fields little-endian. */
#ifndef OMNI_KERN_IMPL_H
#define OMNI_KERN_IMPL_H

#include "kern/kern.h"

#include <math.h>
#include <string.h>

/* Byte arrays only, so that a block may lie at any address. */
typedef struct blk_q4_0 {
    uint8_t d[2], qs[16]; /* low nibbles are columns 0..15, high nibbles 16..31 */
} blk_q4_0;
typedef struct blk_q4_1 {
    uint8_t d[2], m[2], qs[16];
} blk_q4_1;
typedef struct blk_q5_0 {
    uint8_t d[2], qh[4], qs[16]; /* bit c of qh is bit 4 of column c */
} blk_q5_0;
typedef struct blk_q5_1 {
    uint8_t d[2], m[2], qh[4], qs[16];
} blk_q5_1;
typedef struct blk_q8_0 {
    uint8_t d[2];
    int8_t qs[32];
} blk_q8_0;
typedef struct blk_q4_k {
    uint8_t d[2], dmin[2], sc[12], qs[128]; /* 8 sub-blocks; qs[32 j + l]: low nibble sub-block 2j, high 2j + 1 */
} blk_q4_k;
typedef struct blk_q5_k {
    uint8_t d[2], dmin[2], sc[12], qh[32], qs[128]; /* bit j of qh[l] is bit 4 of column l of sub-block j */
} blk_q5_k;
typedef struct blk_q6_k {
    uint8_t ql[128], qh[64];
    int8_t sc[16];
    uint8_t d[2];
} blk_q6_k;

#define OM_BLAS_ROWS 64   /* rows of a dequantised panel handed to OpenBLAS */
#define OM_BLAS_TOKENS 32 /* fewer tokens than this never go to OpenBLAS */

/* What a product needs of a token's block besides q and d: zero * sum of q for the formats with a zero (a value every
 * 32 columns, Q6_K: 16), d * sum of q for those with a minimum, nothing for Q8_0. */
typedef union om_aux {
    int32_t i;
    float f;
} om_aux;

/* ---- tables of the levels ---- */
extern const om_kern om_kern_generic;
#if defined(__x86_64__)
extern const om_kern om_kern_avx2, om_kern_avx512;
/* om_fill_aux with AVX2, for both x86 levels. */
void om_fill_aux_avx2(om_type type, const om_q16 *x, size_t t, size_t cols, om_aux *out);
#elif defined(__aarch64__)
extern const om_kern om_kern_neon, om_kern_neon_dotprod;
#endif

/* A dequantised panel of rows through OpenBLAS; false when the shape or the build does not allow it. */
bool om_blas_matmul(const om_kern *k, const om_mat *w, size_t r0, size_t r1, const float *x, size_t ldx, size_t T,
                    float *y, size_t ldy, void *scratch);

/* ---- scalar definitions ---- */
static inline uint16_t ld16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline uint32_t ld32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline float ldf(const void *p)
{
    float v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline float f_of_bits(uint32_t b)
{
    float f;
    memcpy(&f, &b, sizeof f);
    return f;
}
static inline uint32_t bits_of_f(float f)
{
    uint32_t b;
    memcpy(&b, &f, sizeof b);
    return b;
}

/* NaNs become quiet and keep their upper payload, as the hardware's conversions do. */
static inline float f16_load(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, e = (h >> 10) & 31u, m = h & 0x3ffu;
    if (e == 31)
        return f_of_bits(sign | 0x7f800000u | (m ? 0x400000u : 0u) | m << 13);
    if (e)
        return f_of_bits(sign | (e + 112u) << 23 | m << 13);
    if (!m)
        return f_of_bits(sign);
    uint32_t shift = (uint32_t)__builtin_clz(m) - 21u; /* subnormal half = normal float; no float arithmetic: FTZ */
    return f_of_bits(sign | (113u - shift) << 23 | ((m << shift & 0x3ffu) << 13));
}
static inline uint16_t f16_round(float f)
{
    uint32_t b = bits_of_f(f), sign = b >> 16 & 0x8000u, a = b & 0x7fffffffu;
    if (a > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u | (a >> 13 & 0x3ffu));
    if (a >= 0x477ff000u) /* 65520 and above round to infinity */
        return (uint16_t)(sign | 0x7c00u);
    if (a < 0x33000001u) /* 2^-25 and below round to zero */
        return (uint16_t)sign;
    uint32_t e = a >> 23, m = (a & 0x7fffffu) | 0x800000u;
    uint32_t drop = e < 113 ? 126u - e : 13u; /* bits that do not fit */
    uint32_t half = 1u << (drop - 1), q = m >> drop, rest = m & ((half << 1) - 1);
    q += (rest > half || (rest == half && (q & 1u))) ? 1u : 0u;
    return (uint16_t)(sign | (e < 113 ? q : q + ((e - 113u) << 10)));
}
static inline float bf16_load(uint16_t h)
{
    return f_of_bits((uint32_t)h << 16);
}
static inline uint16_t bf16_round(float f)
{
    uint32_t b = bits_of_f(f);
    if ((b & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(b >> 16 | 0x40u);
    return (uint16_t)((b + 0x7fffu + (b >> 16 & 1u)) >> 16);
}
static inline float ld_f16(const void *p)
{
    return f16_load(ld16(p));
}

/* exp(x) = 2^n e^r: Cody-Waite reduction and the degree-7 polynomial of Cephes expf. n comes from the low bits after
 * adding 1.5 * 2^23, which is round to nearest even without any conversion that NaN could break; 2^n is applied in two
 * halves so that subnormal and infinite results come out of ordinary multiplications. Below 2 ulp; NaN gives NaN. */
#define EXP_LO (-104.0f)
#define EXP_HI 89.0f
#define EXP_LOG2E 1.44269504f
#define EXP_MAGIC 12582912.0f
#define EXP_LN2_HI 0.693145752f
#define EXP_LN2_LO 1.42860677e-6f
#define EXP_C0 1.9875691500e-4f
#define EXP_C1 1.3981999507e-3f
#define EXP_C2 8.3334519073e-3f
#define EXP_C3 4.1665795894e-2f
#define EXP_C4 1.6666665459e-1f
#define EXP_C5 5.0000001201e-1f
static inline float exp_scalar(float x)
{
    x = x < EXP_LO ? EXP_LO : x; /* NaN passes both */
    x = x > EXP_HI ? EXP_HI : x;
    float t = fmaf(x, EXP_LOG2E, EXP_MAGIC), n = t - EXP_MAGIC;
    float r = fmaf(n, -EXP_LN2_LO, fmaf(n, -EXP_LN2_HI, x));
    float p = fmaf(fmaf(fmaf(fmaf(fmaf(EXP_C0, r, EXP_C1), r, EXP_C2), r, EXP_C3), r, EXP_C4), r, EXP_C5);
    p = fmaf(p, r * r, r) + 1.0f;
    int32_t i = (int32_t)(bits_of_f(t) - bits_of_f(EXP_MAGIC));
    int32_t h = i >> 1;
    uint32_t a = ((uint32_t)h << 23) + 0x3f800000u, b = ((uint32_t)(i - h) << 23) + 0x3f800000u;
    return p * f_of_bits(a) * f_of_bits(b);
}
static inline float silu_scalar(float x)
{
    return x / (1.0f + exp_scalar(-x));
}
/* 0.5 x (1 + tanh(u)) = x / (1 + exp(-2u)), u = sqrt(2/pi) (x + 0.044715 x^3) */
#define GELU_A 0.044715f
#define GELU_B (-1.59576912f) /* -2 sqrt(2/pi) */
static inline float gelu_scalar(float x)
{
    float u = x * fmaf(GELU_A * x, x, 1.0f);
    return x / (1.0f + exp_scalar(GELU_B * u));
}

/* The one order in which eight lanes are summed. */
static inline float lanes_sum(const float l[8])
{
    return ((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7]));
}

/* Scale and minimum of sub-block j of Q4_K and Q5_K: 6 bits each in 12 bytes. */
static inline void scale_min_k(const uint8_t *s, int j, uint8_t *sc, uint8_t *m)
{
    if (j < 4) {
        *sc = s[j] & 63;
        *m = s[j + 4] & 63;
    } else {
        *sc = (uint8_t)((s[j + 4] & 15) | (s[j - 4] >> 6) << 4);
        *m = (uint8_t)((s[j + 4] >> 4) | (s[j] >> 6) << 4);
    }
}

/* Activations below this in a block are zeros: 32767 / max would overflow not far under it. */
#define Q16_TINY 7.8886091e-31f /* 2^-100 */
#define Q16_TOP 32767.0f
/* v in -32767..32767 for every float; NaN gives -32767 (its block's scale is NaN). */
static inline int16_t q16_round(float v)
{
    v = v > -Q16_TOP ? v : -Q16_TOP;
    v = v < Q16_TOP ? v : Q16_TOP;
    return (int16_t)(int32_t)(bits_of_f(v + EXP_MAGIC) - bits_of_f(EXP_MAGIC));
}
/* Where column c of an activation row is stored: 0 2 1 3 within every 4. */
static inline size_t q16_at(size_t c)
{
    return (c & ~(size_t)3) | (c >> 1 & 1) | (c & 1) << 1;
}

static inline bool has_min(om_type t)
{
    return t == OM_Q4_1 || t == OM_Q5_1 || t == OM_Q4_K || t == OM_Q5_K;
}
static inline int zero_of(om_type t)
{
    return t == OM_Q4_0 ? 8 : t == OM_Q5_0 ? 16 : t == OM_Q6_K ? 32 : 0;
}
/* Bytes of a block of a quantised format; a constant where the type is one. */
static inline size_t blk_bytes(om_type t)
{
    switch (t) {
    case OM_Q8_0:
        return sizeof(blk_q8_0);
    case OM_Q4_0:
        return sizeof(blk_q4_0);
    case OM_Q4_1:
        return sizeof(blk_q4_1);
    case OM_Q5_0:
        return sizeof(blk_q5_0);
    case OM_Q5_1:
        return sizeof(blk_q5_1);
    case OM_Q4_K:
        return sizeof(blk_q4_k);
    case OM_Q5_K:
        return sizeof(blk_q5_k);
    case OM_Q6_K:
        return sizeof(blk_q6_k);
    default:
        return 0;
    }
}

static inline const uint8_t *mat_row(const om_mat *w, size_t r)
{
    return (const uint8_t *)w->data + r * w->row_bytes;
}
/* Scratch is the caller's, of any alignment; om_kern_scratch_bytes has room for this. */
static inline void *align64(void *p)
{
    return (void *)(((uintptr_t)p + 63) & ~(uintptr_t)63);
}

#endif
