/* kern_x86_avx2.c - AVX2 + FMA + F16C. Quantised products work on groups of 8 rows, a lane of a vector being a row: the
 * 32 columns of a block become 8 vectors of 8 rows x 4 bytes (a transposition of dwords), each of these two vectors of
 * 8 rows x 2 columns of 16 bits, and a broadcast pair of activations meets 8 rows at once (vpmaddwd). So every row has
 * its exact block sum and its own chain of fused multiply-adds.
 *  - few tokens: the unpacked vectors stay in registers and serve all of them (few_tokens);
 *  - many tokens: 16 rows are unpacked once into a panel in scratch, which stays in the L1/L2 cache (many_tokens). */
#include "kern/kern_impl.h"

#include <immintrin.h>

#define INL static inline __attribute__((always_inline))
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* gcc reassociates chains of vector additions into trees whose leaves it must spill; this hides the chain from it. */
#define KEEP(v) __asm__("" : "+x"(v))

/* ---- unpacking: 8 rows, their blocks at p, p + s, ... p + 7 s ---- */

/* 16 bytes of each row -> 4 vectors: dword j of the 8 rows. */
INL void transpose4(const uint8_t *p, size_t s, __m256i o[4])
{
    __m256i r[4];
    UNROLL
    for (size_t i = 0; i < 4; i++) {
        __m128i lo = _mm_loadu_si128((const __m128i *)(const void *)(p + i * s));
        __m128i hi = _mm_loadu_si128((const __m128i *)(const void *)(p + (i + 4) * s));
        r[i] = _mm256_inserti128_si256(_mm256_castsi128_si256(lo), hi, 1);
    }
    __m256i a = _mm256_unpacklo_epi32(r[0], r[1]), b = _mm256_unpackhi_epi32(r[0], r[1]);
    __m256i c = _mm256_unpacklo_epi32(r[2], r[3]), d = _mm256_unpackhi_epi32(r[2], r[3]);
    o[0] = _mm256_unpacklo_epi64(a, c);
    o[1] = _mm256_unpackhi_epi64(a, c);
    o[2] = _mm256_unpacklo_epi64(b, d);
    o[3] = _mm256_unpackhi_epi64(b, d);
}
INL void transpose8(const uint8_t *p, size_t s, __m256i o[8])
{
    transpose4(p, s, o);
    transpose4(p + 16, s, o + 4);
}

/* Two halves in each dword -> their floats: low halves, high halves. */
INL void halves(__m256i v, __m256 *lo, __m256 *hi)
{
    __m256i w = _mm256_packus_epi32(_mm256_and_si256(v, _mm256_set1_epi32(0xffff)), _mm256_srli_epi32(v, 16));
    w = _mm256_permute4x64_epi64(w, 0xd8);
    *lo = _mm256_cvtph_ps(_mm256_castsi256_si128(w));
    *hi = _mm256_cvtph_ps(_mm256_extracti128_si256(w, 1));
}

INL void nibbles(const __m256i raw[4], __m256i q[8])
{
    const __m256i m = _mm256_set1_epi8(15);
    UNROLL
    for (int i = 0; i < 4; i++) {
        q[i] = _mm256_and_si256(raw[i], m);
        q[i + 4] = _mm256_and_si256(_mm256_srli_epi16(raw[i], 4), m);
    }
}
/* Bit c of each row's dword h -> bit 4 of column c. A nibble of h serves 4 columns: it is copied to 4 bytes, each keeps
 * its own bit, and a table turns 1, 2, 4, 8 into 16. */
INL void fifth_bits(__m256i h, __m256i q[8])
{
    const __m256i m = _mm256_set1_epi8(15), own = _mm256_set1_epi32(0x08040201);
    const __m256i table =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 16, 16, 0, 16, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0));
    __m256i even = _mm256_and_si256(h, m), odd = _mm256_and_si256(_mm256_srli_epi16(h, 4), m);
    UNROLL
    for (int i = 0; i < 4; i++) {
        const __m256i spread = _mm256_add_epi8(
            _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12)),
            _mm256_set1_epi8((char)i));
        __m256i a = _mm256_and_si256(_mm256_shuffle_epi8(even, spread), own);
        __m256i b = _mm256_and_si256(_mm256_shuffle_epi8(odd, spread), own);
        q[2 * i] = _mm256_or_si256(q[2 * i], _mm256_shuffle_epi8(table, a));
        q[2 * i + 1] = _mm256_or_si256(q[2 * i + 1], _mm256_shuffle_epi8(table, b));
    }
}

/* 32 columns of 8 rows. q: unsigned, the format's zero not yet subtracted; Q8_0: signed. */
typedef struct block8 {
    __m256i q[8];
    __m256 d, d2, m; /* scale (Q6_K: of columns 0..15, and d2 of 16..31), minimum */
} block8;

/* The formats with blocks of 32; type is a constant at every call. */
INL void unpack32(om_type type, const uint8_t *p, size_t s, block8 *o)
{
    __m256i h[4], raw[4];
    __m256 unused;
    o->d2 = o->m = _mm256_setzero_ps();
    transpose4(p, s, h); /* what is not used of it is not computed */
    switch (type) {
    case OM_Q8_0:
        halves(h[0], &o->d, &unused);
        transpose8(p + 2, s, o->q);
        return;
    case OM_Q4_0:
        halves(h[0], &o->d, &unused);
        transpose4(p + 2, s, raw);
        nibbles(raw, o->q);
        return;
    case OM_Q4_1:
        halves(h[0], &o->d, &o->m);
        transpose4(p + 4, s, raw);
        nibbles(raw, o->q);
        return;
    case OM_Q5_0:
        halves(h[0], &o->d, &unused);
        transpose4(p + 6, s, raw);
        nibbles(raw, o->q);
        fifth_bits(_mm256_or_si256(_mm256_srli_epi32(h[0], 16), _mm256_slli_epi32(h[1], 16)), o->q);
        return;
    default: /* Q5_1 */
        halves(h[0], &o->d, &o->m);
        transpose4(p + 8, s, raw);
        nibbles(raw, o->q);
        fifth_bits(h[1], o->q);
        return;
    }
}

/* ---- what becomes of an unpacked block ---- */

/* Where the blocks of a row group go: the products with nt tokens, or (nt = 0) a panel. */
typedef struct sink {
    const int16_t *a[4];
    const float *d[4];
    const om_aux *aux[4];
    __m256 acc[4];
    /* panel: [block][16][2][8 rows][2] weights, [block][2 halves][2][8] scales, [block][2][8] minima; at this group's
     */
    int16_t *pq;
    float *pd, *pm;
} sink;

INL __m256i pair(const int16_t *a) /* two activations in every lane */
{
    int32_t v;
    memcpy(&v, a, sizeof v);
    return _mm256_set1_epi32(v);
}
/* Columns 0 and 2, or 1 and 3, of the 4 in each lane. */
INL __m256i even(om_type type, __m256i q)
{
    if (type == OM_Q8_0)
        return _mm256_srai_epi16(_mm256_slli_epi16(q, 8), 8);
    return _mm256_and_si256(q, _mm256_set1_epi16(255));
}
INL __m256i odd(om_type type, __m256i q)
{
    return type == OM_Q8_0 ? _mm256_srai_epi16(q, 8) : _mm256_srli_epi16(q, 8);
}

INL void emit(om_type type, const block8 *k, size_t b, sink *o, int nt)
{
    if (nt == 0) {
        UNROLL
        for (int i = 0; i < 8; i++) {
            int16_t *dst = o->pq + b * 512 + (size_t)i * 64;
            _mm256_store_si256((__m256i *)(void *)dst, even(type, k->q[i]));
            _mm256_store_si256((__m256i *)(void *)(dst + 32), odd(type, k->q[i]));
        }
        _mm256_store_ps(o->pd + b * 32, k->d);
        if (type == OM_Q6_K)
            _mm256_store_ps(o->pd + b * 32 + 16, k->d2);
        if (has_min(type))
            _mm256_store_ps(o->pm + b * 16, k->m);
        return;
    }
    const int parts = type == OM_Q6_K ? 2 : 1; /* sums a block */
    UNROLL
    for (int part = 0; part < parts; part++) {
        __m256i sum[4];
        UNROLL
        for (int i = 0; i < 8 / parts; i++) {
            const int at = i + 4 * part;
            __m256i e = even(type, k->q[at]), f = odd(type, k->q[at]);
            UNROLL
            for (int t = 0; t < nt; t++) {
                const int16_t *a = o->a[t] + 32 * b + 4 * at;
                __m256i p = _mm256_madd_epi16(e, pair(a));
                sum[t] = i ? _mm256_add_epi32(sum[t], p) : p;
                KEEP(sum[t]);
                sum[t] = _mm256_add_epi32(sum[t], _mm256_madd_epi16(f, pair(a + 2)));
                KEEP(sum[t]);
            }
        }
        UNROLL
        for (int t = 0; t < nt; t++) {
            if (zero_of(type)) {
                size_t at = type == OM_Q6_K ? 2 * b + (size_t)part : b;
                sum[t] = _mm256_sub_epi32(sum[t], _mm256_set1_epi32(o->aux[t][at].i));
            }
            __m256 d = _mm256_mul_ps(part ? k->d2 : k->d, _mm256_broadcast_ss(o->d[t] + b));
            o->acc[t] = _mm256_fmadd_ps(d, _mm256_cvtepi32_ps(sum[t]), o->acc[t]);
            if (has_min(type))
                o->acc[t] = _mm256_fmadd_ps(k->m, _mm256_broadcast_ss(&o->aux[t][b].f), o->acc[t]);
        }
    }
}

/* ---- K formats: a super-block of 256 columns ---- */

INL void super_q45(om_type type, const uint8_t *p, size_t s, size_t b, sink *o, int nt)
{
    const __m256i low6 = _mm256_set1_epi8(63), low4 = _mm256_set1_epi8(15), low2 = _mm256_set1_epi8(3);
    const size_t qs = type == OM_Q5_K ? 48 : 16;
    __m256i h[4], sc[2], mn[2], high[8];
    __m256 d, dmin;
    transpose4(p, s, h); /* d and dmin, then the 12 bytes of 6-bit scales and minima: see scale_min_k */
    halves(h[0], &d, &dmin);
    dmin = _mm256_xor_ps(dmin, _mm256_set1_ps(-0.0f));
    sc[0] = _mm256_and_si256(h[1], low6);
    mn[0] = _mm256_and_si256(h[2], low6);
    sc[1] = _mm256_or_si256(_mm256_and_si256(h[3], low4),
                            _mm256_slli_epi16(_mm256_and_si256(_mm256_srli_epi16(h[1], 6), low2), 4));
    mn[1] = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(h[3], 4), low4),
                            _mm256_slli_epi16(_mm256_and_si256(_mm256_srli_epi16(h[2], 6), low2), 4));
    if (type == OM_Q5_K)
        transpose8(p + 16, s, high);
    for (int j = 0; j < 8; j += 2) { /* 64 columns: low nibbles, then high nibbles of 32 bytes */
        __m256i raw[8], scales = sc[j >> 2], mins = mn[j >> 2];
        transpose8(p + qs + 16 * (size_t)j, s, raw);
        UNROLL
        for (int part = 0; part < 2; part++) {
            block8 k;
            const __m128i shift = _mm_cvtsi32_si128(8 * ((j + part) & 3)), bit = _mm_cvtsi32_si128(j + part);
            const __m256i byte = _mm256_set1_epi32(255), one = _mm256_set1_epi8(1);
            UNROLL
            for (int i = 0; i < 8; i++) {
                k.q[i] = _mm256_and_si256(part ? _mm256_srli_epi16(raw[i], 4) : raw[i], low4);
                if (type == OM_Q5_K) {
                    __m256i f = _mm256_and_si256(_mm256_srl_epi16(high[i], bit), one);
                    k.q[i] = _mm256_or_si256(k.q[i], _mm256_slli_epi16(f, 4));
                }
            }
            k.d2 = _mm256_setzero_ps();
            k.d = _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_and_si256(_mm256_srl_epi32(scales, shift), byte)));
            k.m = _mm256_mul_ps(dmin, _mm256_cvtepi32_ps(_mm256_and_si256(_mm256_srl_epi32(mins, shift), byte)));
            emit(type, &k, b + (size_t)(j + part), o, nt);
        }
    }
}

INL void super_q6(const uint8_t *p, size_t s, size_t b, sink *o, int nt)
{
    const __m256i low4 = _mm256_set1_epi8(15), two = _mm256_set1_epi8(0x30);
    __m256i h[4], sc[4];
    __m256 d, unused;
    transpose4(p + 192, s, sc);
    transpose4(p + 194, s, h); /* ends with d: bytes 208 and 209 */
    halves(h[3], &unused, &d);
    UNROLL
    for (int half = 0; half < 2; half++) {
        __m256i raw[2][8], high[8];
        transpose8(p + 64 * half, s, raw[0]);
        transpose8(p + 64 * half + 32, s, raw[1]);
        transpose8(p + 128 + 32 * half, s, high);
        UNROLL
        for (int part = 0; part < 4; part++) {
            block8 k;
            UNROLL
            for (int i = 0; i < 8; i++) {
                __m256i lo = raw[part & 1][i], hi = high[i];
                lo = part < 2 ? lo : _mm256_srli_epi16(lo, 4);
                hi = part == 0   ? _mm256_slli_epi16(hi, 4)
                     : part == 1 ? _mm256_slli_epi16(hi, 2)
                     : part == 2 ? hi
                                 : _mm256_srli_epi16(hi, 2);
                k.q[i] = _mm256_or_si256(_mm256_and_si256(lo, low4), _mm256_and_si256(hi, two));
            }
            __m256i v = sc[2 * half + part / 2]; /* 4 signed bytes: scales of two parts */
            int at = 16 * (part & 1);
            __m256i s0 = _mm256_srai_epi32(_mm256_slli_epi32(v, 24 - at), 24);
            __m256i s1 = _mm256_srai_epi32(_mm256_slli_epi32(v, 16 - at), 24);
            k.d = _mm256_mul_ps(d, _mm256_cvtepi32_ps(s0));
            k.d2 = _mm256_mul_ps(d, _mm256_cvtepi32_ps(s1));
            k.m = _mm256_setzero_ps();
            emit(OM_Q6_K, &k, b + (size_t)(4 * half + part), o, nt);
        }
    }
}

/* Rows are contiguous, so the group after this one is the next 8 s bytes: it is fetched while this one is worked on. */
INL void prefetch_next(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i += 64)
        _mm_prefetch((const char *)(p + i), _MM_HINT_T0);
}

INL void row_group(om_type type, const uint8_t *p, size_t s, size_t cols, sink *o, int nt)
{
    const size_t bytes = blk_bytes(type), ahead = 8 * s;
    if (type == OM_Q4_K || type == OM_Q5_K || type == OM_Q6_K) {
        for (size_t b = 0; b < cols / 256; b++) {
            prefetch_next(p + b * bytes * 8 + ahead, bytes * 8);
            if (type == OM_Q6_K)
                super_q6(p + b * bytes, s, 8 * b, o, nt);
            else
                super_q45(type, p + b * bytes, s, 8 * b, o, nt);
        }
    } else {
        for (size_t b = 0; b < cols / 32; b++) {
            block8 k;
            prefetch_next(p + b * bytes * 8 + ahead, bytes * 8);
            unpack32(type, p + b * bytes, s, &k);
            emit(type, &k, b, o, nt);
        }
    }
}

/* ---- few tokens ---- */

/* 8 rows that hold row r, as a base and a stride that never leave the matrix; *skip = lanes before row r. A matrix of
 * fewer than 8 rows is done a row at a time, all lanes the same. */
INL const uint8_t *group_at(const om_mat *w, size_t r, size_t *stride, size_t *skip, size_t *n)
{
    if (w->rows < 8) {
        *stride = *skip = 0;
        *n = 1;
        return mat_row(w, r);
    }
    size_t base = r + 8 <= w->rows ? r : w->rows - 8;
    *stride = w->row_bytes;
    *skip = r - base;
    *n = *skip < 8 ? 8 - *skip : 0;
    return mat_row(w, base);
}

INL void few_tokens(om_type type, const om_mat *w, size_t r0, size_t r1, const om_q16 *x, size_t t0, float *y,
                    size_t ldy, om_aux *aux, int nt)
{
    size_t cols = w->cols, nb = cols / 32;
    sink o;
    for (int t = 0; t < nt; t++) {
        size_t at = t0 + (size_t)t;
        o.a[t] = x->q + at * cols;
        o.d[t] = x->d + at * nb;
        o.aux[t] = aux + (size_t)t * 2 * nb;
        om_fill_aux_avx2(type, x, at, cols, aux + (size_t)t * 2 * nb);
    }
    for (size_t r = r0; r < r1;) {
        size_t stride, skip, n;
        const uint8_t *p = group_at(w, r, &stride, &skip, &n);
        for (int t = 0; t < nt; t++)
            o.acc[t] = _mm256_setzero_ps();
        row_group(type, p, stride, cols, &o, nt);
        n = n < r1 - r ? n : r1 - r;
        for (int t = 0; t < nt; t++) {
            float *dst = y + (t0 + (size_t)t) * ldy + (r - r0), lane[8];
            if (n == 8) {
                _mm256_storeu_ps(dst, o.acc[t]);
            } else {
                _mm256_storeu_ps(lane, o.acc[t]);
                memcpy(dst, lane + skip, n * sizeof *dst);
            }
        }
        r += n;
    }
}

/* ---- many tokens ---- */

typedef struct panel {
    int16_t *q;   /* [block][16][16 rows][2] */
    float *d, *m; /* [block][2][16], [block][16] */
} panel;

INL void panel_fill(om_type type, const om_mat *w, size_t r, const panel *pn, size_t skip[2])
{
    for (size_t g = 0; g < 2; g++) {
        size_t stride, n;
        const uint8_t *p = group_at(w, r + 8 * g, &stride, &skip[g], &n);
        sink o;
        o.pq = pn->q + 16 * g;
        o.pd = pn->d + 8 * g;
        o.pm = pn->m + 8 * g;
        row_group(type, p, stride, w->cols, &o, 0);
    }
}

/* 16 rows x 4 tokens. out[t][16]. */
INL void panel_tile(om_type type, const panel *pn, size_t nb, const sink *x, float out[4][16])
{
    const int parts = type == OM_Q6_K ? 2 : 1, steps = 16 / parts;
    memset(out, 0, 4 * 16 * sizeof(float));
    for (size_t b = 0; b < nb; b++) {
        UNROLL
        for (int part = 0; part < parts; part++) {
            __m256i sum[4][2];
            UNROLL
            for (int i = 0; i < steps; i++) {
                const int16_t *w = pn->q + b * 512 + 32 * (i + steps * part);
                __m256i w0 = _mm256_load_si256((const __m256i *)(const void *)w);
                __m256i w1 = _mm256_load_si256((const __m256i *)(const void *)(w + 16));
                UNROLL
                for (int t = 0; t < 4; t++) {
                    __m256i a = pair(x->a[t] + 32 * b + 2 * (i + steps * part));
                    __m256i p0 = _mm256_madd_epi16(w0, a), p1 = _mm256_madd_epi16(w1, a);
                    sum[t][0] = i ? _mm256_add_epi32(sum[t][0], p0) : p0;
                    sum[t][1] = i ? _mm256_add_epi32(sum[t][1], p1) : p1;
                    KEEP(sum[t][0]);
                    KEEP(sum[t][1]);
                }
            }
            UNROLL
            for (int t = 0; t < 4; t++) {
                __m256 da = _mm256_broadcast_ss(x->d[t] + b);
                UNROLL
                for (int g = 0; g < 2; g++) {
                    __m256 acc = _mm256_loadu_ps(&out[t][8 * g]);
                    if (zero_of(type)) {
                        size_t at = type == OM_Q6_K ? 2 * b + (size_t)part : b;
                        sum[t][g] = _mm256_sub_epi32(sum[t][g], _mm256_set1_epi32(x->aux[t][at].i));
                    }
                    __m256 d = _mm256_load_ps(pn->d + b * 32 + (size_t)(16 * part + 8 * g));
                    acc = _mm256_fmadd_ps(_mm256_mul_ps(d, da), _mm256_cvtepi32_ps(sum[t][g]), acc);
                    if (has_min(type))
                        acc = _mm256_fmadd_ps(_mm256_load_ps(pn->m + b * 16 + 8 * (size_t)g),
                                              _mm256_broadcast_ss(&x->aux[t][b].f), acc);
                    _mm256_storeu_ps(&out[t][8 * g], acc);
                }
            }
        }
    }
}

/* At least 8 rows. */
INL void many_tokens(om_type type, const om_mat *w, size_t r0, size_t r1, const om_q16 *x, size_t T, float *y,
                     size_t ldy, om_aux *aux)
{
    size_t cols = w->cols, nb = cols / 32;
    panel pn;
    pn.q = align64(aux + 8 * nb); /* aux: 4 tokens of 2 nb */
    pn.d = (float *)(void *)(pn.q + 16 * cols);
    pn.m = pn.d + 32 * nb;
    for (size_t r = r0; r < r1; r += 16) {
        size_t skip[2], n = r1 - r;
        panel_fill(type, w, r, &pn, skip);
        for (size_t t0 = 0; t0 < T; t0 += 4) {
            size_t nt = T - t0 < 4 ? T - t0 : 4;
            float out[4][16];
            sink o;
            for (size_t t = 0; t < 4; t++) { /* past the end the last token stands in */
                size_t at = t0 + (t < nt ? t : nt - 1);
                o.a[t] = x->q + at * cols;
                o.d[t] = x->d + at * nb;
                o.aux[t] = aux + t * 2 * nb;
                om_fill_aux_avx2(type, x, at, cols, aux + t * 2 * nb);
            }
            panel_tile(type, &pn, nb, &o, out);
            for (size_t t = 0; t < nt; t++) {
                float *dst = y + (t0 + t) * ldy + (r - r0);
                memcpy(dst, out[t] + skip[0], (n < 8 ? n : 8) * sizeof *dst);
                if (n > 8)
                    memcpy(dst + 8, out[t] + 8 + skip[1], (n < 16 ? n - 8 : 8) * sizeof *dst);
            }
        }
    }
}

void om_fill_aux_avx2(om_type type, const om_q16 *x, size_t t, size_t cols, om_aux *out)
{
    const int32_t *s = x->s + t * (cols / 16);
    const float *d = x->d + t * (cols / 32);
    const size_t n = cols / 32;
    const int zero = zero_of(type);
    size_t i = 0;
    if (type == OM_Q6_K) { /* 2 n is even, but not always a multiple of 8 */
        for (; i + 8 <= 2 * n; i += 8) {
            __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(s + i));
            _mm256_storeu_si256((__m256i *)(void *)(out + i), _mm256_slli_epi32(v, 5));
        }
        for (; i < 2 * n; i++)
            out[i].i = zero * s[i];
        return;
    }
    if (!zero && !has_min(type))
        return;
    for (; i + 8 <= n; i += 8) {
        __m256i v = _mm256_hadd_epi32(_mm256_loadu_si256((const __m256i *)(const void *)(s + 2 * i)),
                                      _mm256_loadu_si256((const __m256i *)(const void *)(s + 2 * i + 8)));
        v = _mm256_permute4x64_epi64(v, 0xd8);
        if (zero)
            v = _mm256_mullo_epi32(v, _mm256_set1_epi32(zero));
        else
            v = _mm256_castps_si256(_mm256_mul_ps(_mm256_loadu_ps(d + i), _mm256_cvtepi32_ps(v)));
        _mm256_storeu_si256((__m256i *)(void *)(out + i), v);
    }
    for (; i < n; i++) {
        int32_t sum = s[2 * i] + s[2 * i + 1];
        if (zero)
            out[i].i = zero * sum;
        else
            out[i].f = d[i] * (float)sum;
    }
}

#define FEW 4 /* tokens for which unpacking into registers beats a panel */

/* One format: fixed counts of tokens, so that the inner loops unroll. Three tokens are two and one. */
INL void matmul_type(om_type type, const om_mat *w, size_t r0, size_t r1, const om_q16 *x, size_t T, float *y,
                     size_t ldy, om_aux *aux)
{
    if (T > FEW && w->rows >= 8) {
        many_tokens(type, w, r0, r1, x, T, y, ldy, aux);
        return;
    }
    size_t t = 0;
    for (; t + 4 <= T; t += 4)
        few_tokens(type, w, r0, r1, x, t, y, ldy, aux, 4);
    for (; t + 2 <= T; t += 2)
        few_tokens(type, w, r0, r1, x, t, y, ldy, aux, 2);
    if (t < T)
        few_tokens(type, w, r0, r1, x, t, y, ldy, aux, 1);
}
#define MATMUL(T)                                                                                                      \
    static __attribute__((noinline)) void matmul_##T(const om_mat *w, size_t r0, size_t r1, const om_q16 *x, size_t n, \
                                                     float *y, size_t ldy, om_aux *aux)                                \
    {                                                                                                                  \
        matmul_type(OM_##T, w, r0, r1, x, n, y, ldy, aux);                                                             \
    }
MATMUL(Q8_0)
MATMUL(Q4_0)
MATMUL(Q4_1)
MATMUL(Q5_0)
MATMUL(Q5_1)
MATMUL(Q4_K)
MATMUL(Q5_K)
MATMUL(Q6_K)

static void matmul_q16(const om_mat *w, size_t r0, size_t r1, const om_q16 *x, size_t T, float *y, size_t ldy,
                       void *scratch)
{
    om_aux *aux = align64(scratch);
    switch (w->type) {
    case OM_Q8_0:
        matmul_Q8_0(w, r0, r1, x, T, y, ldy, aux);
        break;
    case OM_Q4_0:
        matmul_Q4_0(w, r0, r1, x, T, y, ldy, aux);
        break;
    case OM_Q4_1:
        matmul_Q4_1(w, r0, r1, x, T, y, ldy, aux);
        break;
    case OM_Q5_0:
        matmul_Q5_0(w, r0, r1, x, T, y, ldy, aux);
        break;
    case OM_Q5_1:
        matmul_Q5_1(w, r0, r1, x, T, y, ldy, aux);
        break;
    case OM_Q4_K:
        matmul_Q4_K(w, r0, r1, x, T, y, ldy, aux);
        break;
    case OM_Q5_K:
        matmul_Q5_K(w, r0, r1, x, T, y, ldy, aux);
        break;
    case OM_Q6_K:
        matmul_Q6_K(w, r0, r1, x, T, y, ldy, aux);
        break;
    case OM_F32:
    case OM_F16:
    case OM_BF16:
        break; /* not quantised: the caller's error */
    }
}

/* ---- activations ---- */

INL float hmax_bits(__m256i v)
{
    __m128i m = _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1));
    return f_of_bits((uint32_t)_mm_cvtsi128_si32(m));
}
INL int hsum_i32(__m256i v)
{
    __m128i m = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    m = _mm_add_epi32(m, _mm_shuffle_epi32(m, 0x4e));
    m = _mm_add_epi32(m, _mm_shuffle_epi32(m, 0xb1));
    return _mm_cvtsi128_si32(m);
}

static void quantize_q16(const float *x, size_t cols, int16_t *q, float *d, int32_t *s)
{
    const __m256 abs = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
    for (size_t b = 0; b < cols / 32; b++, x += 32, q += 32) {
        __m256 v[4];
        __m256i i[4], top = _mm256_setzero_si256();
        UNROLL
        for (int k = 0; k < 4; k++) {
            v[k] = _mm256_loadu_ps(x + 8 * k);
            top = _mm256_max_epi32(top, _mm256_castps_si256(_mm256_and_ps(v[k], abs)));
        }
        float max = hmax_bits(top);
        bool tiny = max < Q16_TINY;
        d[b] = tiny ? 0.0f : max / Q16_TOP;
        __m256 inv = _mm256_set1_ps(tiny ? 0.0f : Q16_TOP / max);
        UNROLL
        for (int k = 0; k < 4; k++) { /* max and min in this order of operands take the bound for a NaN */
            __m256 r = _mm256_max_ps(_mm256_mul_ps(v[k], inv), _mm256_set1_ps(-Q16_TOP));
            i[k] = _mm256_cvtps_epi32(_mm256_min_ps(r, _mm256_set1_ps(Q16_TOP)));
        }
        UNROLL
        for (int h = 0; h < 2; h++) {
            s[2 * b + (size_t)h] = hsum_i32(_mm256_add_epi32(i[2 * h], i[2 * h + 1]));
            __m256i p = _mm256_permute4x64_epi64(_mm256_packs_epi32(i[2 * h], i[2 * h + 1]), 0xd8);
            p = _mm256_shufflehi_epi16(_mm256_shufflelo_epi16(p, 0xd8), 0xd8); /* 0 2 1 3: see om_q16 */
            _mm256_storeu_si256((__m256i *)(void *)(q + 16 * h), p);
        }
    }
}

/* ---- weights to floats ---- */

INL __m256 load8(om_type type, const uint8_t *p) /* F32, F16, BF16: 8 values */
{
    if (type == OM_F32)
        return _mm256_loadu_ps((const float *)(const void *)p);
    __m128i h = _mm_loadu_si128((const __m128i *)(const void *)p);
    if (type == OM_F16)
        return _mm256_cvtph_ps(h);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}
INL float load1(om_type type, const uint8_t *p)
{
    return type == OM_F32 ? ldf(p) : type == OM_F16 ? ld_f16(p) : bf16_load(ld16(p));
}
INL size_t float_bytes(om_type type)
{
    return type == OM_F32 ? 4 : 2;
}

/* 16 bytes as integers -> d q + m, 16 floats; with a zero: d (q - zero). */
INL void put16(__m128i q, int zero, __m256 d, __m256 m, bool min, float *dst)
{
    UNROLL
    for (int h = 0; h < 2; h++) {
        __m256i i = _mm256_cvtepi8_epi32(h ? _mm_srli_si128(q, 8) : q);
        __m256 v = _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_sub_epi32(i, _mm256_set1_epi32(zero))));
        _mm256_storeu_ps(dst + 8 * h, min ? _mm256_add_ps(v, m) : v);
    }
}
INL __m128i ld128(const void *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}
/* Bits 0..15 of h -> bit 4 of 16 bytes. */
INL __m128i fifth16(uint32_t h)
{
    __m128i v =
        _mm_shuffle_epi8(_mm_cvtsi32_si128((int)h), _mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1));
    const __m128i own = _mm_set1_epi64x((long long)0x8040201008040201u);
    return _mm_and_si128(_mm_cmpeq_epi8(_mm_and_si128(v, own), own), _mm_set1_epi8(16));
}
INL void dequantize32(om_type type, const uint8_t *p, float *dst)
{
    const __m128i low4 = _mm_set1_epi8(15);
    const __m256 d = _mm256_set1_ps(ld_f16(p));
    if (type == OM_Q8_0) {
        put16(ld128(p + 2), 0, d, d, false, dst);
        put16(ld128(p + 18), 0, d, d, false, dst + 16);
        return;
    }
    bool min = has_min(type), five = type == OM_Q5_0 || type == OM_Q5_1;
    const __m256 m = min ? _mm256_set1_ps(ld_f16(p + 2)) : d;
    const uint8_t *qh = p + (min ? 4 : 2), *qs = qh + (five ? 4 : 0);
    __m128i lo = _mm_and_si128(ld128(qs), low4), hi = _mm_and_si128(_mm_srli_epi16(ld128(qs), 4), low4);
    if (five) {
        lo = _mm_or_si128(lo, fifth16(ld32(qh)));
        hi = _mm_or_si128(hi, fifth16(ld32(qh) >> 16));
    }
    put16(lo, zero_of(type), d, m, min, dst);
    put16(hi, zero_of(type), d, m, min, dst + 16);
}
INL void dequantize_q45(om_type type, const uint8_t *p, float *dst)
{
    const uint8_t *qh = p + 16, *qs = p + (type == OM_Q5_K ? 48 : 16);
    float d = ld_f16(p), dmin = ld_f16(p + 2);
    for (int j = 0; j < 8; j++) {
        uint8_t sc, mn;
        scale_min_k(p + 4, j, &sc, &mn);
        __m256 ds = _mm256_set1_ps(d * (float)sc), m = _mm256_set1_ps(-(dmin * (float)mn));
        for (int h = 0; h < 2; h++) {
            __m128i raw = _mm_srl_epi16(ld128(qs + 32 * (j / 2) + 16 * h), _mm_cvtsi32_si128(4 * (j & 1)));
            raw = _mm_and_si128(raw, _mm_set1_epi8(15));
            if (type == OM_Q5_K) {
                __m128i f = _mm_and_si128(_mm_srl_epi16(ld128(qh + 16 * h), _mm_cvtsi32_si128(j)), _mm_set1_epi8(1));
                raw = _mm_or_si128(raw, _mm_slli_epi16(f, 4));
            }
            put16(raw, 0, ds, m, true, dst + 32 * j + 16 * h);
        }
    }
}
INL void dequantize_q6(const uint8_t *p, float *dst)
{
    float d = ld_f16(p + 208);
    for (int j = 0; j < 16; j++) { /* 16 columns: half, part and which 16 of the part */
        int half = j / 8, part = j / 2 % 4, h = j & 1;
        __m128i lo = ld128(p + 64 * half + 32 * (part & 1) + 16 * h), hi = ld128(p + 128 + 32 * half + 16 * h);
        lo = _mm_and_si128(_mm_srl_epi16(lo, _mm_cvtsi32_si128(4 * (part >> 1))), _mm_set1_epi8(15));
        hi = _mm_and_si128(_mm_srl_epi16(hi, _mm_cvtsi32_si128(2 * part)), _mm_set1_epi8(3));
        __m256 ds = _mm256_set1_ps(d * (float)(int8_t)p[192 + j]);
        put16(_mm_or_si128(lo, _mm_slli_epi16(hi, 4)), 32, ds, ds, false, dst + 16 * j);
    }
}

static void dequantize(om_type type, const void *src, float *dst, size_t n)
{
    const uint8_t *p = src;
    const size_t bytes = blk_bytes(type);
    size_t i = 0;
    switch (type) {
#define BLOCKS(T)                                                                                                      \
    case OM_##T:                                                                                                       \
        for (; i < n / 32; i++)                                                                                        \
            dequantize32(OM_##T, p + i * bytes, dst + 32 * i);                                                         \
        break;
        BLOCKS(Q8_0)
        BLOCKS(Q4_0)
        BLOCKS(Q4_1)
        BLOCKS(Q5_0)
        BLOCKS(Q5_1)
#undef BLOCKS
    case OM_Q4_K:
        for (; i < n / 256; i++)
            dequantize_q45(OM_Q4_K, p + i * bytes, dst + 256 * i);
        break;
    case OM_Q5_K:
        for (; i < n / 256; i++)
            dequantize_q45(OM_Q5_K, p + i * bytes, dst + 256 * i);
        break;
    case OM_Q6_K:
        for (; i < n / 256; i++)
            dequantize_q6(p + i * bytes, dst + 256 * i);
        break;
    case OM_F32:
        if (n)
            memcpy(dst, src, n * sizeof *dst);
        break;
    case OM_F16:
    case OM_BF16:
        for (; i + 8 <= n; i += 8)
            _mm256_storeu_ps(dst + i, type == OM_F16 ? load8(OM_F16, p + 2 * i) : load8(OM_BF16, p + 2 * i));
        for (; i < n; i++)
            dst[i] = load1(type, p + 2 * i);
        break;
    }
}
static void f16_to_f32(const uint16_t *src, float *dst, size_t n)
{
    dequantize(OM_F16, src, dst, n);
}
static void f32_to_f16(const float *src, uint16_t *dst, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((__m128i *)(void *)(dst + i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(src + i), _MM_FROUND_TO_NEAREST_INT));
    for (; i < n; i++)
        dst[i] = f16_round(src[i]);
}

/* ---- float products ---- */

INL float lanes_sum8(__m256 v)
{
    __m128 a = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1)); /* 0+4 1+5 2+6 3+7 */
    a = _mm_add_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_add_ss(a, _mm_shuffle_ps(a, a, 1)));
}
/* Lanes below n. */
INL __m256 lane_mask(size_t n)
{
    return _mm256_castsi256_ps(
        _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)));
}
/* The last n < 8 values; the lanes behind are zero. */
INL __m256 load_tail(om_type type, const uint8_t *p, size_t n)
{
    float v[8] = {0};
    for (size_t i = 0; i < n; i++)
        v[i] = load1(type, p + i * float_bytes(type));
    return _mm256_loadu_ps(v);
}

/* nr rows at w, stride s bytes, times nt tokens: y[t * ldy + r]. */
INL void float_tile(om_type type, const uint8_t *w, size_t s, size_t cols, const float *x, size_t ldx, float *y,
                    size_t ldy, int nr, int nt)
{
    const size_t bytes = float_bytes(type);
    __m256 acc[4][3];
    UNROLL
    for (int r = 0; r < nr; r++)
        UNROLL
    for (int t = 0; t < nt; t++)
        acc[r][t] = _mm256_setzero_ps();
    size_t c = 0;
    for (; c + 8 <= cols; c += 8) {
        __m256 xv[3];
        UNROLL
        for (int t = 0; t < nt; t++)
            xv[t] = _mm256_loadu_ps(x + (size_t)t * ldx + c);
        UNROLL
        for (int r = 0; r < nr; r++) {
            __m256 wv = load8(type, w + (size_t)r * s + c * bytes);
            UNROLL
            for (int t = 0; t < nt; t++)
                acc[r][t] = _mm256_fmadd_ps(wv, xv[t], acc[r][t]);
        }
    }
    if (c < cols) {
        __m256 mask = lane_mask(cols - c); /* the other lanes stay as they are, down to the sign of a zero */
        for (int r = 0; r < nr; r++) {
            __m256 wv = load_tail(type, w + (size_t)r * s + c * bytes, cols - c);
            for (int t = 0; t < nt; t++) {
                __m256 xv = load_tail(OM_F32, (const uint8_t *)(x + (size_t)t * ldx + c), cols - c);
                acc[r][t] = _mm256_blendv_ps(acc[r][t], _mm256_fmadd_ps(wv, xv, acc[r][t]), mask);
            }
        }
    }
    UNROLL
    for (int r = 0; r < nr; r++)
        UNROLL
    for (int t = 0; t < nt; t++)
        y[(size_t)t * ldy + (size_t)r] = lanes_sum8(acc[r][t]);
}

/* nr rows (4 or 1), all tokens. */
INL void float_rows(om_type type, const uint8_t *w, size_t s, size_t cols, const float *x, size_t ldx, size_t T,
                    float *y, size_t ldy, int nr)
{
    size_t t = 0;
    for (; t + 3 <= T; t += 3)
        float_tile(type, w, s, cols, x + t * ldx, ldx, y + t * ldy, ldy, nr, 3);
    if (T - t == 2)
        float_tile(type, w, s, cols, x + t * ldx, ldx, y + t * ldy, ldy, nr, 2);
    else if (T - t == 1)
        float_tile(type, w, s, cols, x + t * ldx, ldx, y + t * ldy, ldy, nr, 1);
}
static void float_4rows(om_type type, const uint8_t *w, size_t s, size_t cols, const float *x, size_t ldx, size_t T,
                        float *y, size_t ldy)
{
    if (type == OM_F32)
        float_rows(OM_F32, w, s, cols, x, ldx, T, y, ldy, 4);
    else if (type == OM_F16)
        float_rows(OM_F16, w, s, cols, x, ldx, T, y, ldy, 4);
    else
        float_rows(OM_BF16, w, s, cols, x, ldx, T, y, ldy, 4);
}
static void float_1row(om_type type, const uint8_t *w, size_t cols, const float *x, size_t ldx, size_t T, float *y,
                       size_t ldy)
{
    if (type == OM_F32)
        float_rows(OM_F32, w, 0, cols, x, ldx, T, y, ldy, 1);
    else if (type == OM_F16)
        float_rows(OM_F16, w, 0, cols, x, ldx, T, y, ldy, 1);
    else
        float_rows(OM_BF16, w, 0, cols, x, ldx, T, y, ldy, 1);
}

static void matmul_f32(const om_mat *w, size_t r0, size_t r1, const float *x, size_t ldx, size_t T, float *y,
                       size_t ldy, void *scratch)
{
    if (om_blas_matmul(&om_kern_avx2, w, r0, r1, x, ldx, T, y, ldy, scratch))
        return;
    float *rows = align64(scratch);
    size_t s = w->row_bytes, cols = w->cols;
    /* Half floats are converted on the way when they are used once, else a group of rows goes through scratch. */
    bool direct = w->type == OM_F32 || (T <= 3 && (w->type == OM_F16 || w->type == OM_BF16));
    for (size_t r = r0; r < r1;) {
        size_t n = r1 - r >= 4 ? 4 : 1;
        const uint8_t *p = mat_row(w, r);
        om_type type = direct ? w->type : OM_F32;
        if (!direct) {
            for (size_t i = 0; i < n; i++)
                dequantize(w->type, p + i * s, rows + i * cols, cols);
            p = (const uint8_t *)rows;
        }
        if (n == 4)
            float_4rows(type, p, direct ? s : cols * sizeof(float), cols, x, ldx, T, y + (r - r0), ldy);
        else
            float_1row(type, p, cols, x, ldx, T, y + (r - r0), ldy);
        r += n;
    }
}

/* ---- vectors ---- */

static void rms_norm(const float *x, const float *w, float eps, float *y, size_t n)
{
    if (n == 0)
        return;
    float sum;
    float_tile(OM_F32, (const uint8_t *)x, 0, n, x, 0, &sum, 0, 1, 1);
    float inv = 1.0f / sqrtf(sum / (float)n + eps);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 v = _mm256_mul_ps(_mm256_loadu_ps(x + i), _mm256_set1_ps(inv));
        _mm256_storeu_ps(y + i, w ? _mm256_mul_ps(v, _mm256_loadu_ps(w + i)) : v);
    }
    for (; i < n; i++)
        y[i] = w ? x[i] * inv * w[i] : x[i] * inv;
}
static void add(float *y, const float *x, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, _mm256_add_ps(_mm256_loadu_ps(y + i), _mm256_loadu_ps(x + i)));
    for (; i < n; i++)
        y[i] += x[i];
}
static void scale(float *y, float a, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, _mm256_mul_ps(_mm256_loadu_ps(y + i), _mm256_set1_ps(a)));
    for (; i < n; i++)
        y[i] *= a;
}

/* exp_scalar on 8 lanes, step by step the same. */
INL __m256 exp8(__m256 x)
{
    const __m256 magic = _mm256_set1_ps(EXP_MAGIC), one = _mm256_set1_ps(1.0f);
    x = _mm256_max_ps(_mm256_set1_ps(EXP_LO), x); /* the second operand wins if it is NaN */
    x = _mm256_min_ps(_mm256_set1_ps(EXP_HI), x);
    __m256 t = _mm256_fmadd_ps(x, _mm256_set1_ps(EXP_LOG2E), magic), n = _mm256_sub_ps(t, magic);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(EXP_LN2_HI), x);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(EXP_LN2_LO), r);
    __m256 p = _mm256_fmadd_ps(_mm256_set1_ps(EXP_C0), r, _mm256_set1_ps(EXP_C1));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C2));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C3));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C4));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C5));
    p = _mm256_add_ps(_mm256_fmadd_ps(p, _mm256_mul_ps(r, r), r), one);
    __m256i i = _mm256_sub_epi32(_mm256_castps_si256(t), _mm256_castps_si256(magic)), h = _mm256_srai_epi32(i, 1);
    __m256i a = _mm256_add_epi32(_mm256_slli_epi32(h, 23), _mm256_castps_si256(one));
    __m256i b = _mm256_add_epi32(_mm256_slli_epi32(_mm256_sub_epi32(i, h), 23), _mm256_castps_si256(one));
    return _mm256_mul_ps(_mm256_mul_ps(p, _mm256_castsi256_ps(a)), _mm256_castsi256_ps(b));
}
INL __m256 logistic_of(__m256 x, __m256 neg) /* x / (1 + exp(neg)) */
{
    return _mm256_div_ps(x, _mm256_add_ps(_mm256_set1_ps(1.0f), exp8(neg)));
}
static void silu_mul(float *gate, const float *up, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 x = _mm256_loadu_ps(gate + i), v = logistic_of(x, _mm256_xor_ps(x, _mm256_set1_ps(-0.0f)));
        _mm256_storeu_ps(gate + i, _mm256_mul_ps(v, _mm256_loadu_ps(up + i)));
    }
    for (; i < n; i++)
        gate[i] = silu_scalar(gate[i]) * up[i];
}
static void gelu_mul(float *gate, const float *up, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 x = _mm256_loadu_ps(gate + i), ax = _mm256_mul_ps(_mm256_set1_ps(GELU_A), x);
        __m256 u = _mm256_mul_ps(x, _mm256_fmadd_ps(ax, x, _mm256_set1_ps(1.0f)));
        __m256 v = logistic_of(x, _mm256_mul_ps(_mm256_set1_ps(GELU_B), u));
        _mm256_storeu_ps(gate + i, _mm256_mul_ps(v, _mm256_loadu_ps(up + i)));
    }
    for (; i < n; i++)
        gate[i] = gelu_scalar(gate[i]) * up[i];
}

static void rope(float *x, const float *cosv, const float *sinv, size_t n_dims, bool neox)
{
    size_t half = n_dims / 2, i = 0;
    const __m256i dup = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
    if (neox) {
        for (; i + 8 <= half; i += 8) {
            __m256 a = _mm256_loadu_ps(x + i), b = _mm256_loadu_ps(x + half + i);
            __m256 c = _mm256_loadu_ps(cosv + i), s = _mm256_loadu_ps(sinv + i);
            _mm256_storeu_ps(x + i, _mm256_fmsub_ps(a, c, _mm256_mul_ps(b, s)));
            _mm256_storeu_ps(x + half + i, _mm256_fmadd_ps(b, c, _mm256_mul_ps(a, s)));
        }
    } else {
        for (; i + 4 <= half; i += 4) {
            __m256 v = _mm256_loadu_ps(x + 2 * i);
            __m256 c = _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(cosv + i)), dup);
            __m256 s = _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(sinv + i)), dup);
            __m256 crossed = _mm256_mul_ps(_mm256_permute_ps(v, 0xb1), s);
            _mm256_storeu_ps(x + 2 * i, _mm256_fmaddsub_ps(v, c, crossed));
        }
    }
    for (; i < half; i++) {
        float *a = neox ? x + i : x + 2 * i, *b = neox ? x + i + half : x + 2 * i + 1;
        float a0 = *a, b0 = *b;
        *a = fmaf(a0, cosv[i], -(b0 * sinv[i]));
        *b = fmaf(b0, cosv[i], a0 * sinv[i]);
    }
}

static float max(const float *x, size_t n)
{
    float l[8], m = -INFINITY;
    __m256 v = _mm256_set1_ps(-INFINITY);
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        v = _mm256_max_ps(_mm256_loadu_ps(x + i), v); /* a NaN on the left gives v */
    _mm256_storeu_ps(l, v);
    for (int k = 0; k < 8; k++)
        m = l[k] > m ? l[k] : m;
    for (; i < n; i++)
        m = x[i] > m ? x[i] : m;
    return m + 0.0f;
}
static float exp_sum(float *x, float top, size_t n)
{
    float l[8];
    __m256 sum = _mm256_setzero_ps();
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 e = exp8(_mm256_sub_ps(_mm256_loadu_ps(x + i), _mm256_set1_ps(top)));
        _mm256_storeu_ps(x + i, e);
        sum = _mm256_add_ps(sum, e);
    }
    _mm256_storeu_ps(l, sum);
    for (; i < n; i++) {
        x[i] = exp_scalar(x[i] - top);
        l[i & 7] += x[i];
    }
    return lanes_sum(l);
}

/* ---- attention: tiles of queries share the conversion of keys and values ---- */

INL __m256 half8(const uint16_t *p)
{
    return _mm256_cvtph_ps(ld128(p));
}
INL void scores_tile(const float *q, size_t ldq, const uint16_t *k, size_t head_dim, float *s, size_t lds, int nq)
{
    __m256 a[6][2];
    UNROLL
    for (int i = 0; i < nq; i++)
        a[i][0] = a[i][1] = _mm256_setzero_ps();
    for (size_t d = 0; d < head_dim; d++) {
        __m256 k0 = half8(k + d * OM_KV_BLOCK), k1 = half8(k + d * OM_KV_BLOCK + 8);
        UNROLL
        for (int i = 0; i < nq; i++) {
            __m256 v = _mm256_broadcast_ss(q + (size_t)i * ldq + d);
            a[i][0] = _mm256_fmadd_ps(v, k0, a[i][0]);
            a[i][1] = _mm256_fmadd_ps(v, k1, a[i][1]);
        }
    }
    UNROLL
    for (int i = 0; i < nq; i++) {
        _mm256_storeu_ps(s + (size_t)i * lds, a[i][0]);
        _mm256_storeu_ps(s + (size_t)i * lds + 8, a[i][1]);
    }
}
/* Columns d .. d + 8 nv - 1. */
INL void values_tile(const float *s, size_t lds, const uint16_t *v, size_t head_dim, float *o, size_t ldo, int nq,
                     int nv)
{
    __m256 a[6][2];
    UNROLL
    for (int i = 0; i < nq; i++)
        UNROLL
    for (int j = 0; j < nv; j++)
        a[i][j] = _mm256_loadu_ps(o + (size_t)i * ldo + 8 * j);
    for (size_t p = 0; p < OM_KV_BLOCK; p++) {
        __m256 vv[2];
        UNROLL
        for (int j = 0; j < nv; j++)
            vv[j] = half8(v + p * head_dim + 8 * j);
        UNROLL
        for (int i = 0; i < nq; i++) {
            __m256 w = _mm256_broadcast_ss(s + (size_t)i * lds + p);
            UNROLL
            for (int j = 0; j < nv; j++)
                a[i][j] = _mm256_fmadd_ps(w, vv[j], a[i][j]);
        }
    }
    UNROLL
    for (int i = 0; i < nq; i++)
        UNROLL
    for (int j = 0; j < nv; j++)
        _mm256_storeu_ps(o + (size_t)i * ldo + 8 * j, a[i][j]);
}
INL void values_rows(const float *s, size_t lds, const uint16_t *v, size_t head_dim, float *o, size_t ldo, int nq)
{
    size_t d = 0;
    for (; d + 16 <= head_dim; d += 16)
        values_tile(s, lds, v + d, head_dim, o + d, ldo, nq, 2);
    for (; d + 8 <= head_dim; d += 8)
        values_tile(s, lds, v + d, head_dim, o + d, ldo, nq, 1);
    for (; d < head_dim; d++)
        for (int i = 0; i < nq; i++) {
            float a = o[(size_t)i * ldo + d];
            for (size_t p = 0; p < OM_KV_BLOCK; p++)
                a = fmaf(s[(size_t)i * lds + p], f16_load(v[p * head_dim + d]), a);
            o[(size_t)i * ldo + d] = a;
        }
}

static void attn_scores(const float *q, size_t ldq, size_t nq, const uint16_t *k, size_t head_dim, float *s, size_t lds)
{
    size_t i = 0;
    for (; i + 6 <= nq; i += 6)
        scores_tile(q + i * ldq, ldq, k, head_dim, s + i * lds, lds, 6);
    for (; i + 3 <= nq; i += 3)
        scores_tile(q + i * ldq, ldq, k, head_dim, s + i * lds, lds, 3);
    for (; i + 2 <= nq; i += 2)
        scores_tile(q + i * ldq, ldq, k, head_dim, s + i * lds, lds, 2);
    if (i < nq)
        scores_tile(q + i * ldq, ldq, k, head_dim, s + i * lds, lds, 1);
}
static void attn_values(const float *s, size_t lds, size_t nq, const uint16_t *v, size_t head_dim, float *o, size_t ldo)
{
    size_t i = 0;
    for (; i + 6 <= nq; i += 6)
        values_rows(s + i * lds, lds, v, head_dim, o + i * ldo, ldo, 6);
    for (; i + 3 <= nq; i += 3)
        values_rows(s + i * lds, lds, v, head_dim, o + i * ldo, ldo, 3);
    for (; i + 2 <= nq; i += 2)
        values_rows(s + i * lds, lds, v, head_dim, o + i * ldo, ldo, 2);
    if (i < nq)
        values_rows(s + i * lds, lds, v, head_dim, o + i * ldo, ldo, 1);
}

const om_kern om_kern_avx2 = {
    .name = "avx2",
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
