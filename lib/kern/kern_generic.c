/* kern_generic.c - the level that runs everywhere and defines the results of all others. Plain loops, no tuning that
 * would cloud the definition. */
#include "kern/kern_impl.h"

/* ---- activations ---- */

static void quantize_q16(const float *x, size_t cols, int16_t *q, float *d, int32_t *s)
{
    for (size_t b = 0; b < cols / 32; b++, x += 32, q += 32) {
        uint32_t top = 0; /* as integers, so that a NaN is the largest of all and marks its block */
        for (int i = 0; i < 32; i++) {
            uint32_t a = bits_of_f(x[i]) & 0x7fffffffu;
            top = a > top ? a : top;
        }
        float max = f_of_bits(top);
        bool tiny = max < Q16_TINY;
        float inv = tiny ? 0.0f : Q16_TOP / max;
        d[b] = tiny ? 0.0f : max / Q16_TOP;
        s[2 * b] = s[2 * b + 1] = 0;
        for (size_t i = 0; i < 32; i++) {
            int16_t v = q16_round(tiny ? 0.0f : x[i] * inv);
            q[q16_at(i)] = v;
            s[2 * b + i / 16] += v;
        }
    }
}

/* ---- weights: 32 columns at a time ---- */

typedef struct unpacked {
    int8_t q[32];  /* q - zero */
    float d[2], m; /* scale of columns 0..15 and 16..31 (the same except in Q6_K), minimum */
} unpacked;

static void nibbles(const uint8_t *qs, unpacked *u, int zero)
{
    for (int i = 0; i < 16; i++) {
        u->q[i] = (int8_t)((qs[i] & 15) - zero);
        u->q[i + 16] = (int8_t)((qs[i] >> 4) - zero);
    }
}
static void nibbles5(const uint8_t *qs, const uint8_t *qh, unpacked *u, int zero)
{
    uint32_t h = ld32(qh);
    for (int i = 0; i < 16; i++) {
        u->q[i] = (int8_t)((qs[i] & 15) + (int)(h >> i & 1u) * 16 - zero);
        u->q[i + 16] = (int8_t)((qs[i] >> 4) + (int)(h >> (i + 16) & 1u) * 16 - zero);
    }
}
static void unpack_k(const uint8_t *d, const uint8_t *dmin, const uint8_t *scales, const uint8_t *qs, const uint8_t *qh,
                     int j, unpacked *u)
{
    uint8_t sc, m;
    scale_min_k(scales, j, &sc, &m);
    u->d[0] = u->d[1] = ld_f16(d) * (float)sc;
    u->m = -(ld_f16(dmin) * (float)m);
    for (int i = 0; i < 32; i++) {
        int q = qs[32 * (j / 2) + i] >> (4 * (j & 1)) & 15;
        u->q[i] = (int8_t)(qh ? q | (qh[i] >> j & 1) << 4 : q);
    }
}
static void unpack_q6(const blk_q6_k *b, int j, unpacked *u)
{
    int half = j / 4, part = j % 4; /* part: 0, 1 low nibbles of bytes 0.., 32..; 2, 3 their high nibbles */
    const uint8_t *ql = b->ql + 64 * half + 32 * (part & 1), *qh = b->qh + 32 * half;
    float d = ld_f16(b->d);
    u->d[0] = d * (float)b->sc[2 * j];
    u->d[1] = d * (float)b->sc[2 * j + 1];
    for (int i = 0; i < 32; i++)
        u->q[i] = (int8_t)(((ql[i] >> (4 * (part >> 1)) & 15) | (qh[i] >> (2 * part) & 3) << 4) - 32);
}

/* Columns 32 b .. 32 b + 31 of a row. True when the format has a minimum. */
static bool unpack(om_type type, const void *row, size_t b, unpacked *u)
{
    size_t sup = b / 8; /* super-block of the K formats */
    int j = (int)(b % 8);
    u->m = 0.0f;
    switch (type) {
    case OM_Q8_0: {
        const blk_q8_0 *k = (const blk_q8_0 *)row + b;
        u->d[0] = u->d[1] = ld_f16(k->d);
        memcpy(u->q, k->qs, 32);
        return false;
    }
    case OM_Q4_0: {
        const blk_q4_0 *k = (const blk_q4_0 *)row + b;
        u->d[0] = u->d[1] = ld_f16(k->d);
        nibbles(k->qs, u, 8);
        return false;
    }
    case OM_Q4_1: {
        const blk_q4_1 *k = (const blk_q4_1 *)row + b;
        u->d[0] = u->d[1] = ld_f16(k->d);
        u->m = ld_f16(k->m);
        nibbles(k->qs, u, 0);
        return true;
    }
    case OM_Q5_0: {
        const blk_q5_0 *k = (const blk_q5_0 *)row + b;
        u->d[0] = u->d[1] = ld_f16(k->d);
        nibbles5(k->qs, k->qh, u, 16);
        return false;
    }
    case OM_Q5_1: {
        const blk_q5_1 *k = (const blk_q5_1 *)row + b;
        u->d[0] = u->d[1] = ld_f16(k->d);
        u->m = ld_f16(k->m);
        nibbles5(k->qs, k->qh, u, 0);
        return true;
    }
    case OM_Q4_K: {
        const blk_q4_k *k = (const blk_q4_k *)row + sup;
        unpack_k(k->d, k->dmin, k->sc, k->qs, NULL, j, u);
        return true;
    }
    case OM_Q5_K: {
        const blk_q5_k *k = (const blk_q5_k *)row + sup;
        unpack_k(k->d, k->dmin, k->sc, k->qs, k->qh, j, u);
        return true;
    }
    case OM_Q6_K:
        unpack_q6((const blk_q6_k *)row + sup, j, u);
        return false;
    case OM_F32:
    case OM_F16:
    case OM_BF16:
        break;
    }
    memset(u, 0, sizeof *u); /* not a quantised format: om_type_info.quantised is checked by the caller */
    return false;
}

static void dequantize(om_type type, const void *src, float *dst, size_t n)
{
    const uint8_t *p = src;
    if (type == OM_F32) {
        if (n)
            memcpy(dst, src, n * sizeof *dst);
    } else if (type == OM_F16 || type == OM_BF16) {
        for (size_t i = 0; i < n; i++)
            dst[i] = type == OM_F16 ? ld_f16(p + 2 * i) : bf16_load(ld16(p + 2 * i));
    } else {
        for (size_t b = 0; b < n / 32; b++) {
            unpacked u;
            bool min = unpack(type, src, b, &u);
            for (int i = 0; i < 32; i++) {
                float v = u.d[i / 16] * (float)u.q[i];
                dst[32 * b + (size_t)i] = min ? v + u.m : v; /* the product is exact where there is a minimum */
            }
        }
    }
}

/* ---- products ---- */

/* 16 columns; a lies in the order of om_q16. */
static int32_t dot16(const int8_t *w, const int16_t *a)
{
    int32_t s = 0;
    for (int i = 0; i < 16; i += 4)
        s += w[i] * a[i] + w[i + 1] * a[i + 2] + w[i + 2] * a[i + 1] + w[i + 3] * a[i + 3];
    return s;
}

#define TILE 8 /* tokens that share one unpacking */
static void row_tile(const om_mat *w, size_t r, const om_q16 *x, size_t t0, size_t nt, float acc[TILE])
{
    size_t nb = w->cols / 32;
    for (size_t b = 0; b < nb; b++) {
        unpacked u;
        bool min = unpack(w->type, mat_row(w, r), b, &u);
        for (size_t t = 0; t < nt; t++) {
            size_t at = (t0 + t) * nb + b;
            const int16_t *q = x->q + 32 * at;
            float da = x->d[at];
            int32_t s0 = dot16(u.q, q), s1 = dot16(u.q + 16, q + 16);
            if (w->type == OM_Q6_K) {
                acc[t] = fmaf(u.d[0] * da, (float)s0, acc[t]);
                acc[t] = fmaf(u.d[1] * da, (float)s1, acc[t]);
            } else {
                acc[t] = fmaf(u.d[0] * da, (float)(s0 + s1), acc[t]);
            }
            if (min)
                acc[t] = fmaf(u.m, da * (float)(x->s[2 * at] + x->s[2 * at + 1]), acc[t]);
        }
    }
}
static void matmul_q16(const om_mat *w, size_t r0, size_t r1, const om_q16 *x, size_t T, float *y, size_t ldy,
                       void *scratch)
{
    (void)scratch;
    for (size_t r = r0; r < r1; r++)
        for (size_t t0 = 0; t0 < T; t0 += TILE) {
            size_t nt = T - t0 < TILE ? T - t0 : TILE;
            float acc[TILE] = {0};
            row_tile(w, r, x, t0, nt, acc);
            for (size_t t = 0; t < nt; t++)
                y[(t0 + t) * ldy + (r - r0)] = acc[t];
        }
}

static float dot(const float *a, const float *b, size_t n)
{
    float l[8] = {0};
    for (size_t i = 0; i < n; i++)
        l[i & 7] = fmaf(a[i], b[i], l[i & 7]);
    return lanes_sum(l);
}
static void matmul_f32(const om_mat *w, size_t r0, size_t r1, const float *x, size_t ldx, size_t T, float *y,
                       size_t ldy, void *scratch)
{
    float *row = align64(scratch);
    for (size_t r = r0; r < r1; r++) {
        dequantize(w->type, mat_row(w, r), row, w->cols);
        for (size_t t = 0; t < T; t++)
            y[t * ldy + (r - r0)] = dot(row, x + t * ldx, w->cols);
    }
}

/* ---- vectors ---- */

static void f16_to_f32(const uint16_t *src, float *dst, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = f16_load(src[i]);
}
static void f32_to_f16(const float *src, uint16_t *dst, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = f16_round(src[i]);
}
static void rms_norm(const float *x, const float *w, float eps, float *y, size_t n)
{
    if (n == 0)
        return;
    float inv = 1.0f / sqrtf(dot(x, x, n) / (float)n + eps);
    for (size_t i = 0; i < n; i++)
        y[i] = w ? x[i] * inv * w[i] : x[i] * inv;
}
static void add(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] += x[i];
}
static void scale(float *y, float a, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] *= a;
}
static void silu_mul(float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i++)
        gate[i] = silu_scalar(gate[i]) * up[i];
}
static void gelu_mul(float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i++)
        gate[i] = gelu_scalar(gate[i]) * up[i];
}
static void rope(float *x, const float *cosv, const float *sinv, size_t n_dims, bool neox)
{
    size_t half = n_dims / 2;
    for (size_t i = 0; i < half; i++) {
        float *a = neox ? x + i : x + 2 * i, *b = neox ? x + i + half : x + 2 * i + 1;
        float a0 = *a, b0 = *b;
        *a = fmaf(a0, cosv[i], -(b0 * sinv[i]));
        *b = fmaf(b0, cosv[i], a0 * sinv[i]);
    }
}

static void attn_scores(const float *q, size_t ldq, size_t nq, const uint16_t *k, size_t head_dim, float *s, size_t lds)
{
    for (size_t i = 0; i < nq; i++) {
        float acc[OM_KV_BLOCK] = {0};
        for (size_t d = 0; d < head_dim; d++)
            for (size_t p = 0; p < OM_KV_BLOCK; p++)
                acc[p] = fmaf(q[i * ldq + d], f16_load(k[d * OM_KV_BLOCK + p]), acc[p]);
        memcpy(s + i * lds, acc, sizeof acc);
    }
}
static void attn_values(const float *s, size_t lds, size_t nq, const uint16_t *v, size_t head_dim, float *o, size_t ldo)
{
    for (size_t i = 0; i < nq; i++)
        for (size_t p = 0; p < OM_KV_BLOCK; p++)
            for (size_t d = 0; d < head_dim; d++)
                o[i * ldo + d] = fmaf(s[i * lds + p], f16_load(v[p * head_dim + d]), o[i * ldo + d]);
}
static float max(const float *x, size_t n)
{
    float m = -INFINITY;
    for (size_t i = 0; i < n; i++)
        m = x[i] > m ? x[i] : m;
    return m + 0.0f; /* one sign of zero, whichever came first */
}
static float exp_sum(float *x, float top, size_t n)
{
    float l[8] = {0};
    for (size_t i = 0; i < n; i++) {
        x[i] = exp_scalar(x[i] - top);
        l[i & 7] += x[i];
    }
    return lanes_sum(l);
}

const om_kern om_kern_generic = {
    .name = "generic",
    .quantize_q16 = quantize_q16,
    .matmul_q16 = matmul_q16,
    .matmul_f32 = matmul_f32,
    .dequantize = dequantize,
    .f16_to_f32 = f16_to_f32,
    .f32_to_f16 = f32_to_f16,
    .rms_norm = rms_norm,
    .add = add,
    .scale = scale,
    .silu_mul = silu_mul,
    .gelu_mul = gelu_mul,
    .rope = rope,
    .attn_scores = attn_scores,
    .attn_values = attn_values,
    .max = max,
    .exp_sum = exp_sum,
};
