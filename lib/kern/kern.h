/* kern.h - number formats, CPU detection and the table of hot functions. One table per ISA level (generic, avx2,
 * avx512, neon), chosen at run time; one file a level, compiled with its own flags. May include: base (and OpenBLAS in
 * kern_blas.c).
 *
 * The numeric contract, which the tests check bit for bit (generic == every other level):
 *  - The value of one output element depends on its own row, its own column of activations and nothing else: not on how
 *    many rows or tokens are computed together, nor on threads. So prefill = token by token and cached = uncached,
 * exactly.
 *  - All float sums have one fixed order, and every multiply-add that is fused is fused at every level (fmaf in
 * generic).
 *  - Quantised dot products are exact integers inside a block; blocks are added in order of columns:
 *        acc = fma(dw * da, (float)isum, acc)     and, for formats with a minimum,     acc = fma(mw, da * (float)asum,
 * acc) where a block is 32 columns (16 for Q6_K), dw, mw the block's scale and minimum (mw added), da and asum scale
 * and sum of the activations' block, isum = sum (q - zero) * a with the format's zero (Q4_0 8, Q5_0 16, Q6_K 32, others
 *    0); |isum| <= 32 * 128 * 32767 < 2^31.
 *  - Float dot products (rows of F32, F16, BF16, or any format with float activations) use 8 lanes, lane l adds columns
 *    l, l+8, ... with fma, then ((0+4)+(2+6))+((1+5)+(3+7)).
 * OpenBLAS breaks the first rule's bit-exactness and is used only for float activations of >= 32 tokens. */
#ifndef OMNI_KERN_H
#define OMNI_KERN_H

#include "base/base.h"

/* GGUF's numbers */
typedef enum om_type {
    OM_F32 = 0,
    OM_F16 = 1,
    OM_Q4_0 = 2,
    OM_Q4_1 = 3,
    OM_Q5_0 = 6,
    OM_Q5_1 = 7,
    OM_Q8_0 = 8,
    OM_Q4_K = 12,
    OM_Q5_K = 13,
    OM_Q6_K = 14,
    OM_BF16 = 30,
} om_type;

typedef struct om_type_info {
    const char *name;
    uint32_t block; /* weights a block */
    uint32_t bytes; /* bytes a block */
    bool quantised;
} om_type_info;
const om_type_info *om_type_get(uint32_t type); /* NULL when we cannot compute with it */

/* A matrix as it lies in the file: rows contiguous, no second copy. */
typedef struct om_mat {
    const void *data;
    om_type type;
    size_t rows, cols; /* y[rows] = W[rows][cols] x[cols] */
    size_t row_bytes;
} om_mat;

/* Activations of T tokens, quantised to 16 bits a block of 32 columns (8 bits move the default model's log-likelihoods
 * by 0.085 on average, 16 bits by no more than float does). cols is a multiple of 32. Within every 4 columns q is
 * stored in the order 0 2 1 3, as the kernels' splitting of bytes into even and odd gives it. */
typedef struct om_q16 {
    int16_t *q; /* [T][cols], -32767..32767, round to nearest even */
    float *d;   /* [T][cols / 32] scale = max |x| / 32767 */
    int32_t *s; /* [T][cols / 16] sums of q */
} om_q16;
size_t om_q16_bytes(size_t T, size_t cols);                     /* memory for the three, 64-byte aligned parts */
void om_q16_place(om_q16 *a, void *mem, size_t T, size_t cols); /* lays them out in mem */

#define OM_KV_BLOCK 16 /* positions in a block of the key cache */

/* f16 is IEEE binary16 in a uint16_t; conversions round to nearest even at every level. */
typedef struct om_kern {
    const char *name;

    /* x [cols] -> one token of a quantised activation row. A NaN or infinity in x must not be undefined behaviour. */
    void (*quantize_q16)(const float *x, size_t cols, int16_t *q, float *d, int32_t *s);

    /* y[t * ldy + r - r0] = row r of w times token t, for r in [r0, r1), t in [0, T). Quantised w, quantised
     * activations. scratch: om_kern_scratch_bytes(cols). */
    void (*matmul_q16)(const om_mat *w, size_t r0, size_t r1, const om_q16 *x, size_t T, float *y, size_t ldy,
                       void *scratch);
    /* The same for any w with float activations x[T][ldx]. */
    void (*matmul_f32)(const om_mat *w, size_t r0, size_t r1, const float *x, size_t ldx, size_t T, float *y,
                       size_t ldy, void *scratch);

    /* n weights (a multiple of the format's block) -> float. */
    void (*dequantize)(om_type type, const void *src, float *dst, size_t n);
    void (*f16_to_f32)(const uint16_t *src, float *dst, size_t n);
    void (*f32_to_f16)(const float *src, uint16_t *dst, size_t n);

    /* y = x / sqrt(mean(x^2) + eps) * w [* over n]; sum of squares in 8 lanes like a float dot. In place allowed.
     * w may be NULL (all ones). */
    void (*rms_norm)(const float *x, const float *w, float eps, float *y, size_t n);
    void (*add)(float *y, const float *x, size_t n);          /* y += x */
    void (*scale)(float *y, float a, size_t n);               /* y *= a */
    void (*silu_mul)(float *gate, const float *up, size_t n); /* gate = silu(gate) * up */
    void (*gelu_mul)(float *gate, const float *up, size_t n); /* gate = gelu_tanh(gate) * up */
    /* Rotates pairs of x[n_dims] by cos/sin[n_dims / 2]; neox: pairs (i, i + n/2), else (2i, 2i + 1). */
    void (*rope)(float *x, const float *cosv, const float *sinv, size_t n_dims, bool neox);

    /* Attention over one block of 16 positions of one KV head. k: [head_dim][16] f16 (a lane is a position), v:
     * [16][head_dim] f16. Scores: s[i * 16 + p] = sum over d in order of fma(q[i * ldq + d], k[d][p]); values: o[i *
     * ldo + d] = fma(s[i * lds + p], v[p][d]) over p in order, starting from o. nq queries. */
    void (*attn_scores)(const float *q, size_t ldq, size_t nq, const uint16_t *k, size_t head_dim, float *s,
                        size_t lds);
    void (*attn_values)(const float *s, size_t lds, size_t nq, const uint16_t *v, size_t head_dim, float *o,
                        size_t ldo);
    /* max of x[n] (-inf for n = 0, NaN skipped); then x = exp(x - max) and the sum, in 8 lanes. */
    float (*max)(const float *x, size_t n);
    float (*exp_sum)(float *x, float max, size_t n);
} om_kern;

#define OM_KERN_N_LEVELS 4
/* Levels compiled in, in rising order, that this CPU and system can run; the i-th, NULL after the last; [0] is generic.
 */
const om_kern *om_kern_level(size_t i);
/* Highest level not above `isa` (NULL = best). NULL with err when the name is unknown. Naming a level the machine lacks
 * gives the best below it. */
const om_kern *om_kern_get(const char *isa, omni_error *err);
size_t om_kern_scratch_bytes(size_t cols);

/* Whether OpenBLAS is compiled in; y[t * ldy + r] for T tokens and all n rows of a float panel w[n][cols].
 * Single-threaded. */
bool om_blas_available(void);
void om_blas_panel(const float *w, size_t n, size_t cols, const float *x, size_t ldx, size_t T, float *y, size_t ldy);

/* Quantises n floats (a multiple of the block) to a GGUF format; for tests and tools: Q8_0, Q4_0, Q4_1, Q5_0, Q5_1,
 * F16, BF16, Q4_K, Q5_K, Q6_K. False when the format is not one of these. */
bool om_quantize(om_type type, const float *src, void *dst, size_t n);

#endif
