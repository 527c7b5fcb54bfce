/* kern_quantize.c - floats to GGUF's formats, for tests and tools: plain rounding for the 32-blocks, a small search of
 * scale and minimum by least squares for the K formats. Any input is defined: a NaN counts as 0, what f16 cannot hold
 * is clamped. */
#include "kern/kern_impl.h"

#define F16_MAX 65504.0f

/* The value with NaN and infinity taken out. */
static float clean(float v)
{
    if (!(v == v))
        return 0.0f;
    return v > 1e30f ? 1e30f : v < -1e30f ? -1e30f : v;
}
/* v rounded to the nearest integer in lo..hi; NaN gives lo. */
static int clamp_round(float v, int lo, int hi)
{
    v = v > (float)lo ? v : (float)lo;
    v = v < (float)hi ? v : (float)hi;
    return (int)lrintf(v);
}
/* Stores v as f16 and returns what a reader will see. */
static float put_f16(uint8_t *p, float v)
{
    v = v > F16_MAX ? F16_MAX : v < -F16_MAX ? -F16_MAX : v;
    uint16_t h = f16_round(v);
    memcpy(p, &h, sizeof h);
    return f16_load(h);
}
static float inverse(float d)
{
    return d != 0.0f ? 1.0f / d : 0.0f;
}

/* ---- blocks of 32 ---- */

static void q8_0(const float *x, blk_q8_0 *b)
{
    float top = 0.0f;
    for (int i = 0; i < 32; i++)
        top = fmaxf(top, fabsf(x[i]));
    float inv = inverse(put_f16(b->d, top / 127.0f));
    for (int i = 0; i < 32; i++)
        b->qs[i] = (int8_t)clamp_round(x[i] * inv, -127, 127);
}

static void put_nibbles(const uint8_t q[32], uint8_t *qs, uint8_t *qh)
{
    uint32_t h = 0;
    for (int i = 0; i < 16; i++)
        qs[i] = (uint8_t)((q[i] & 15) | (q[i + 16] & 15) << 4);
    for (int i = 0; i < 32; i++)
        h |= (uint32_t)(q[i] >> 4 & 1) << i;
    if (qh)
        memcpy(qh, &h, sizeof h);
}
/* q in 0..2 zero - 1, value d (q - zero). The element of largest magnitude gets q = 0 exactly. */
static void symmetric(const float *x, int zero, uint8_t *d, uint8_t *qs, uint8_t *qh)
{
    float top = 0.0f;
    for (int i = 0; i < 32; i++)
        if (fabsf(x[i]) > fabsf(top))
            top = x[i];
    float inv = inverse(put_f16(d, -top / (float)zero));
    uint8_t q[32];
    for (int i = 0; i < 32; i++)
        q[i] = (uint8_t)clamp_round(x[i] * inv + (float)zero, 0, 2 * zero - 1);
    put_nibbles(q, qs, qh);
}
/* q in 0..n, value d q + m. */
static void asymmetric(const float *x, int n, uint8_t *d, uint8_t *m, uint8_t *qs, uint8_t *qh)
{
    float lo = x[0], hi = x[0];
    for (int i = 1; i < 32; i++) {
        lo = fminf(lo, x[i]);
        hi = fmaxf(hi, x[i]);
    }
    float inv = inverse(put_f16(d, (hi - lo) / (float)n));
    float min = put_f16(m, lo);
    uint8_t q[32];
    for (int i = 0; i < 32; i++)
        q[i] = (uint8_t)clamp_round((x[i] - min) * inv, 0, n);
    put_nibbles(q, qs, qh);
}

/* ---- K formats ---- */

/* Scale and minimum (subtracted, >= 0) of 32 values for q in 0..n: several trial scales, each followed by the least
 * squares fit of (scale, min) to the rounded q; the pair with the smallest squared error wins. */
static void fit_scale_min(const float *x, int n, float *scale, float *min)
{
    float lo = 0.0f, hi = x[0];
    for (int i = 0; i < 32; i++) {
        lo = fminf(lo, x[i]);
        hi = fmaxf(hi, x[i]);
    }
    *scale = (hi - lo) / (float)n;
    *min = -lo;
    if (!(hi > lo))
        return;
    double best = INFINITY;
    for (int trial = -5; trial <= 5; trial++) {
        float inv = ((float)n + 0.2f * (float)trial) / (hi - lo);
        double sq = 0, sqq = 0, sx = 0, sqx = 0, err = 0;
        for (int i = 0; i < 32; i++) {
            int q = clamp_round((x[i] - lo) * inv, 0, n);
            sq += q;
            sqq += q * q;
            sx += (double)x[i];
            sqx += q * (double)x[i];
        }
        double det = 32 * sqq - sq * sq;
        if (det <= 0)
            continue;
        double d = (32 * sqx - sq * sx) / det, m = (sqq * sx - sq * sqx) / det;
        if (m > 0) { /* only a minimum <= 0 can be stored */
            m = 0;
            d = sqx / sqq;
        }
        for (int i = 0; i < 32; i++) {
            double e = (double)x[i] - (d * clamp_round((x[i] - lo) * inv, 0, n) + m);
            err += e * e;
        }
        if (err < best && d > 0) {
            best = err;
            *scale = (float)d;
            *min = (float)-m;
        }
    }
}

/* One super-block of Q4_K (n = 15) or Q5_K (n = 31): header and q[256]. */
static void super_block(const float *x, int n, uint8_t *d, uint8_t *dmin, uint8_t sc[12], uint8_t q[256])
{
    float s[8], m[8], smax = 0.0f, mmax = 0.0f;
    for (int j = 0; j < 8; j++) {
        fit_scale_min(x + 32 * j, n, &s[j], &m[j]);
        smax = fmaxf(smax, s[j]);
        mmax = fmaxf(mmax, m[j]);
    }
    float D = put_f16(d, smax / 63.0f), M = put_f16(dmin, mmax / 63.0f);
    memset(sc, 0, 12);
    for (int j = 0; j < 8; j++) {
        int a = clamp_round(s[j] * inverse(D), 0, 63), b = clamp_round(m[j] * inverse(M), 0, 63);
        if (j < 4) {
            sc[j] = (uint8_t)(sc[j] | a);
            sc[j + 4] = (uint8_t)(sc[j + 4] | b);
        } else {
            sc[j + 4] = (uint8_t)((a & 15) | (b & 15) << 4);
            sc[j - 4] = (uint8_t)(sc[j - 4] | a >> 4 << 6);
            sc[j] = (uint8_t)(sc[j] | b >> 4 << 6);
        }
        float inv = inverse(D * (float)a);
        for (int i = 0; i < 32; i++)
            q[32 * j + i] = (uint8_t)clamp_round((x[32 * j + i] + M * (float)b) * inv, 0, n);
    }
}
static void put_halves(const uint8_t q[256], uint8_t qs[128])
{
    for (int j = 0; j < 4; j++)
        for (int i = 0; i < 32; i++)
            qs[32 * j + i] = (uint8_t)((q[64 * j + i] & 15) | (q[64 * j + 32 + i] & 15) << 4);
}
static void q4_k(const float *x, blk_q4_k *b)
{
    uint8_t q[256];
    super_block(x, 15, b->d, b->dmin, b->sc, q);
    put_halves(q, b->qs);
}
static void q5_k(const float *x, blk_q5_k *b)
{
    uint8_t q[256];
    super_block(x, 31, b->d, b->dmin, b->sc, q);
    put_halves(q, b->qs);
    memset(b->qh, 0, sizeof b->qh);
    for (int j = 0; j < 8; j++)
        for (int i = 0; i < 32; i++)
            b->qh[i] = (uint8_t)(b->qh[i] | (q[32 * j + i] >> 4) << j);
}

/* Scale of 16 values for q in -32..31: trial scales around the largest value, least squares, smallest error. */
static float fit_scale(const float *x)
{
    float top = 0.0f, scale = 0.0f;
    for (int i = 0; i < 16; i++)
        if (fabsf(x[i]) > fabsf(top))
            top = x[i];
    if (top == 0.0f)
        return 0.0f;
    double best = -1;
    for (int trial = -9; trial <= 9; trial++) {
        float inv = -(32.0f + 0.1f * (float)trial) / top;
        double qq = 0, qx = 0;
        for (int i = 0; i < 16; i++) {
            int q = clamp_round(x[i] * inv, -32, 31);
            qq += q * q;
            qx += q * (double)x[i];
        }
        if (qq > 0 && qx * qx / qq > best) { /* the error is |x|^2 - qx^2 / qq */
            best = qx * qx / qq;
            scale = (float)(qx / qq);
        }
    }
    return scale;
}
static void q6_k(const float *x, blk_q6_k *b)
{
    float s[16], top = 0.0f;
    uint8_t q[256];
    for (int j = 0; j < 16; j++) {
        s[j] = fit_scale(x + 16 * j);
        if (fabsf(s[j]) > fabsf(top))
            top = s[j];
    }
    float d = put_f16(b->d, -top / 128.0f), inv = inverse(d);
    for (int j = 0; j < 16; j++) {
        b->sc[j] = (int8_t)clamp_round(s[j] * inv, -128, 127);
        float inv_sub = inverse(d * (float)b->sc[j]);
        for (int i = 0; i < 16; i++)
            q[16 * j + i] = (uint8_t)(clamp_round(x[16 * j + i] * inv_sub, -32, 31) + 32);
    }
    for (int h = 0; h < 2; h++)
        for (int i = 0; i < 32; i++) {
            const uint8_t *p = q + 128 * h + i;
            b->ql[64 * h + i] = (uint8_t)((p[0] & 15) | (p[64] & 15) << 4);
            b->ql[64 * h + 32 + i] = (uint8_t)((p[32] & 15) | (p[96] & 15) << 4);
            b->qh[32 * h + i] = (uint8_t)(p[0] >> 4 | p[32] >> 4 << 2 | p[64] >> 4 << 4 | p[96] >> 4 << 6);
        }
}

/* ---- entry ---- */

static void quantize_block(om_type type, const float *x, void *dst, size_t i)
{
    switch (type) {
    case OM_Q8_0:
        q8_0(x, (blk_q8_0 *)dst + i);
        break;
    case OM_Q4_0: {
        blk_q4_0 *b = (blk_q4_0 *)dst + i;
        symmetric(x, 8, b->d, b->qs, NULL);
        break;
    }
    case OM_Q5_0: {
        blk_q5_0 *b = (blk_q5_0 *)dst + i;
        symmetric(x, 16, b->d, b->qs, b->qh);
        break;
    }
    case OM_Q4_1: {
        blk_q4_1 *b = (blk_q4_1 *)dst + i;
        asymmetric(x, 15, b->d, b->m, b->qs, NULL);
        break;
    }
    case OM_Q5_1: {
        blk_q5_1 *b = (blk_q5_1 *)dst + i;
        asymmetric(x, 31, b->d, b->m, b->qs, b->qh);
        break;
    }
    case OM_Q4_K:
        q4_k(x, (blk_q4_k *)dst + i);
        break;
    case OM_Q5_K:
        q5_k(x, (blk_q5_k *)dst + i);
        break;
    case OM_Q6_K:
        q6_k(x, (blk_q6_k *)dst + i);
        break;
    case OM_F32:
    case OM_F16:
    case OM_BF16:
        break; /* not reached: handled by the caller */
    }
}

bool om_quantize(om_type type, const float *src, void *dst, size_t n)
{
    const om_type_info *info = om_type_get(type);
    if (!info || type == OM_F32)
        return false;
    if (!info->quantised) {
        for (size_t i = 0; i < n; i++) {
            uint16_t h = type == OM_F16 ? f16_round(src[i]) : bf16_round(src[i]);
            memcpy((char *)dst + 2 * i, &h, sizeof h);
        }
        return true;
    }
    float x[256];
    for (size_t i = 0; i < n / info->block; i++) {
        for (size_t j = 0; j < info->block; j++)
            x[j] = clean(src[i * info->block + j]);
        quantize_block(type, x, dst, i);
    }
    return true;
}
