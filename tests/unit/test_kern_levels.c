/* test_kern_levels.c - every level this machine has computes the same bits as the generic level: random shapes,
 * formats, token counts and row ranges, unaligned data, hostile blocks, subnormals, infinities and NaN, with and
 * without flush-to-zero. A result that is NaN must be NaN at every level; its payload is free.
 *
 * Levels the machine lacks run in tests/cross.sh, which builds this file with the same sources
 *  - for AVX-512 on SIMDe:  -DKERN_TEST_TABLE=om_kern_avx512 (kern_x86_avx512.c with -DOMNI_KERN_SIMDE)
 *  - for NEON under qemu-aarch64, with and without dotprod: -DKERN_TEST_TABLE=om_kern_neon, om_kern_neon_dotprod */
#include "kern/kern_impl.h"
#include "tap.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

static om_rng rng;

/* Flush-to-zero and denormals-are-zero, as the pool sets them on its workers. */
static void set_ftz(bool on)
{
#if defined(__x86_64__)
    _mm_setcsr(on ? _mm_getcsr() | 0x8040u : _mm_getcsr() & ~0x8040u);
#elif defined(__aarch64__)
    uint64_t v;
    __asm__ volatile("mrs %0, fpcr" : "=r"(v));
    v = on ? v | 1u << 24 : v & ~(uint64_t)(1u << 24);
    __asm__ volatile("msr fpcr, %0" : : "r"(v));
#else
    (void)on;
#endif
}

static size_t below(size_t n)
{
    return om_rng_u32(&rng) % n;
}

/* PLAIN: about normal; WIDE: exponents of any size; WILD: also subnormals, zeros, infinities, NaN. */
enum { PLAIN, WIDE, WILD, N_KINDS };
static float random_float(int kind)
{
    uint32_t b = om_rng_u32(&rng);
    if (kind == WILD && below(40) == 0) {
        static const uint32_t special[] = {0,           0x80000000u, 1,           0x807fffffu,
                                           0x00800000u, 0x7f7fffffu, 0x7f800000u, 0xff800000u,
                                           0x7fc00000u, 0xffc12345u, 0x7f800001u, 0x3f800000u};
        return f_of_bits(special[below(12)]);
    }
    if (kind != PLAIN && below(3) == 0)
        return f_of_bits((b & 0x807fffffu) | (uint32_t)(1 + below(kind == WIDE ? 180 : 250)) << 23);
    return (float)(om_rng_double(&rng) + om_rng_double(&rng) + om_rng_double(&rng) - 1.5) * 2.0f;
}
static void fill(float *x, size_t n, int kind)
{
    for (size_t i = 0; i < n; i++)
        x[i] = random_float(kind);
}
static void fill_bytes(void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)p)[i] = (uint8_t)om_rng_u32(&rng);
}

static void *must(size_t n)
{
    void *p = malloc(n ? n : 1);
    if (!p) {
        printf("Bail out! out of memory\n");
        exit(1);
    }
    return p;
}

/* Equal bits, or NaN both. Says where the first difference is. */
static bool same(const float *got, const float *want, size_t n, const char *what)
{
    for (size_t i = 0; i < n; i++)
        if (bits_of_f(got[i]) != bits_of_f(want[i]) && !(isnan(got[i]) && isnan(want[i]))) {
            diag("%s: element %zu of %zu: got %a, generic %a", what, i, n, (double)got[i], (double)want[i]);
            return false;
        }
    return true;
}

static const om_type all_types[] = {OM_Q8_0, OM_Q4_0, OM_Q4_1, OM_Q5_0, OM_Q5_1, OM_Q4_K,
                                    OM_Q5_K, OM_Q6_K, OM_F32,  OM_F16,  OM_BF16};
#define N_TYPES (sizeof all_types / sizeof *all_types)
#define N_QUANT 8

/* A matrix in a heap block that ends with it, `shift` bytes off alignment. */
typedef struct matrix {
    om_mat m;
    uint8_t *mem;
} matrix;
static matrix random_matrix(om_type type, size_t rows, size_t cols, size_t shift, int kind)
{
    const om_type_info *info = om_type_get((uint32_t)type);
    matrix x;
    x.m = (om_mat){NULL, type, rows, cols, cols / info->block * info->bytes};
    size_t bytes = rows * x.m.row_bytes;
    x.mem = must(bytes + shift);
    x.m.data = x.mem + shift;
    if (kind == WILD && type != OM_F32) {
        fill_bytes(x.mem + shift, bytes);
        return x;
    }
    float *f = must(rows * cols * sizeof *f);
    fill(f, rows * cols, kind);
    if (type == OM_F32)
        memcpy(x.mem + shift, f, bytes);
    else
        (void)om_quantize(type, f, x.mem + shift, rows * cols);
    free(f);
    return x;
}

static bool matmul_case(const om_kern *k, om_type type, bool q16, int kind)
{
    const om_type_info *info = om_type_get((uint32_t)type);
    size_t unit = q16 ? (info->block > 32 ? 256 : 32) : info->block;
    static const size_t tokens[] = {1, 1, 2, 3, 4, 5, 7, 8, 9, 13, 31, 33};
    size_t cols = unit * (1 + below(unit == 1 ? 70 : 7)), rows = 1 + below(40), T = tokens[below(12)];
    if (!q16 && om_blas_available() && T >= OM_BLAS_TOKENS)
        T = OM_BLAS_TOKENS - 1; /* OpenBLAS is not exact; its test is in test_kern.c */
    size_t r0 = below(rows), r1 = r0 + below(rows - r0 + 1), n = r1 - r0, ldy = n + below(5), ldx = cols + below(3);
    matrix w = random_matrix(type, rows, cols, below(4), kind);
    float *x = must(T * ldx * sizeof *x);
    float *want = must(((T - 1) * ldy + n) * sizeof *want), *got = must(((T - 1) * ldy + n) * sizeof *got);
    void *scratch = must(om_kern_scratch_bytes(cols)), *mem = must(om_q16_bytes(T, cols));
    fill(x, T * ldx, kind);
    fill(want, (T - 1) * ldy + n, PLAIN); /* what lies between the rows of y must stay */
    memcpy(got, want, ((T - 1) * ldy + n) * sizeof *want);
    if (q16) {
        om_q16 a;
        om_q16_place(&a, mem, T, cols);
        for (size_t t = 0; t < T; t++)
            om_kern_generic.quantize_q16(x + t * ldx, cols, a.q + t * cols, a.d + t * (cols / 32),
                                         a.s + t * (cols / 16));
        om_kern_generic.matmul_q16(&w.m, r0, r1, &a, T, want, ldy, scratch);
        k->matmul_q16(&w.m, r0, r1, &a, T, got, ldy, scratch);
    } else {
        om_kern_generic.matmul_f32(&w.m, r0, r1, x, ldx, T, want, ldy, scratch);
        k->matmul_f32(&w.m, r0, r1, x, ldx, T, got, ldy, scratch);
    }
    char what[120];
    (void)snprintf(what, sizeof what, "%s %s [%zu..%zu of %zu][%zu] T=%zu kind %d", q16 ? "q16" : "f32", info->name, r0,
                   r1, rows, cols, T, kind);
    bool good = same(got, want, (T - 1) * ldy + n, what);
    free(w.mem);
    free(x);
    free(want);
    free(got);
    free(scratch);
    free(mem);
    return good;
}

static void test_matmul(const om_kern *k, int rounds)
{
    for (size_t i = 0; i < N_TYPES; i++) {
        bool q16 = true, f32 = true;
        for (int r = 0; r < rounds * N_KINDS; r++) {
            q16 = q16 && (i >= N_QUANT || matmul_case(k, all_types[i], true, r % N_KINDS));
            f32 = f32 && matmul_case(k, all_types[i], false, r % N_KINDS);
        }
        const char *name = om_type_get((uint32_t)all_types[i])->name;
        if (i < N_QUANT)
            ok(q16, "%s: matmul_q16 of %s", k->name, name);
        ok(f32, "%s: matmul_f32 of %s", k->name, name);
    }
}

static void test_convert(const om_kern *k, int rounds)
{
    bool deq = true, down = true, quant = true;
    for (int r = 0; r < rounds * N_KINDS; r++) {
        float a[1024], b[1024], x[1024];
        for (size_t i = 0; i < N_TYPES; i++) {
            matrix w = random_matrix(all_types[i], 1, om_type_get((uint32_t)all_types[i])->block * (1 + below(4)),
                                     below(4), r % N_KINDS);
            om_kern_generic.dequantize(all_types[i], w.m.data, a, w.m.cols);
            k->dequantize(all_types[i], w.m.data, b, w.m.cols);
            deq = deq && same(b, a, w.m.cols, om_type_get((uint32_t)all_types[i])->name);
            free(w.mem);
        }
        uint16_t h1[40], h2[40];
        size_t n = below(40);
        fill(x, 1024, r % N_KINDS);
        for (size_t i = 0; i < 40; i++) /* around the f16 range, ties included */
            if (below(2))
                x[i] = f_of_bits((om_rng_u32(&rng) & 0x80ffffffu & ~(below(2) ? 0xfffu : 0u)) |
                                 (uint32_t)(100 + below(46)) << 23);
        om_kern_generic.f32_to_f16(x, h1, n);
        k->f32_to_f16(x, h2, n);
        down = down && memcmp(h1, h2, n * sizeof *h1) == 0;
        int16_t q1[1024], q2[1024];
        float d1[32], d2[32];
        int32_t s1[64], s2[64];
        size_t nb = below(33);
        om_kern_generic.quantize_q16(x, nb * 32, q1, d1, s1);
        k->quantize_q16(x, nb * 32, q2, d2, s2);
        quant = quant && memcmp(q1, q2, nb * 32 * sizeof *q1) == 0 && memcmp(s1, s2, nb * 2 * sizeof *s1) == 0 &&
                same(d2, d1, nb, "d");
        for (size_t i = 0; i < nb * 32; i++)
            quant = quant && q1[i] >= -32767;
    }
    ok(deq, "%s: dequantize of every format", k->name);
    ok(down, "%s: f32_to_f16", k->name);
    ok(quant, "%s: quantize_q16, and -32768 never comes out", k->name);
    static uint16_t h[65536];
    static float a[65536], b[65536];
    for (size_t i = 0; i < 65536; i++)
        h[i] = (uint16_t)i;
    om_kern_generic.f16_to_f32(h, a, 65536);
    k->f16_to_f32(h, b, 65536);
    ok(same(b, a, 65536, "f16"), "%s: f16_to_f32 of all 65536 halves", k->name);
}

static void test_vectors(const om_kern *k, int rounds)
{
    bool norm = true, simple = true, act = true, rope = true, soft = true;
    for (int r = 0; r < rounds * N_KINDS; r++) {
        float x[304], w[304], a[304], b[304];
        size_t n = below(301), at = below(4);
        int kind = r % N_KINDS;
        fill(x, 304, kind);
        fill(w, 304, kind);
        for (size_t i = 0; i < 304 && kind == PLAIN; i++) /* the range of exp, borders included */
            x[i] *= below(2) ? 1.0f : 40.0f;
#define BOTH(flag, call1, call2, what)                                                                                 \
    do {                                                                                                               \
        memcpy(a, x, sizeof a);                                                                                        \
        memcpy(b, x, sizeof b);                                                                                        \
        call1;                                                                                                         \
        call2;                                                                                                         \
        flag = flag && same(b, a, 304, what);                                                                          \
    } while (0)
        const om_kern *g = &om_kern_generic;
        const float *wn = below(2) ? w : NULL;
        BOTH(norm, g->rms_norm(x + at, wn, 1e-5f, a + at, n), k->rms_norm(x + at, wn, 1e-5f, b + at, n), "rms_norm");
        BOTH(norm, g->rms_norm(a + at, w, 1e-6f, a + at, n), k->rms_norm(b + at, w, 1e-6f, b + at, n),
             "rms_norm in place");
        BOTH(simple, g->add(a + at, w, n), k->add(b + at, w, n), "add");
        BOTH(simple, g->scale(a + at, w[0], n), k->scale(b + at, w[0], n), "scale");
        BOTH(act, g->silu_mul(a + at, w, n), k->silu_mul(b + at, w, n), "silu_mul");
        BOTH(act, g->gelu_mul(a + at, w, n), k->gelu_mul(b + at, w, n), "gelu_mul");
        size_t dims = n & ~(size_t)1;
        BOTH(rope, g->rope(a + at, w, w + 150, dims, false), k->rope(b + at, w, w + 150, dims, false), "rope");
        BOTH(rope, g->rope(a + at, w, w + 150, dims, true), k->rope(b + at, w, w + 150, dims, true), "rope neox");
        float m1 = g->max(x + at, n), m2 = k->max(x + at, n), s1 = 0, s2 = 0;
        soft = soft && same(&m2, &m1, 1, "max");
        BOTH(soft, s1 = g->exp_sum(a + at, m1, n), s2 = k->exp_sum(b + at, m1, n), "exp_sum");
        soft = soft && same(&s2, &s1, 1, "sum");
#undef BOTH
    }
    ok(norm, "%s: rms_norm", k->name);
    ok(simple, "%s: add, scale", k->name);
    ok(act, "%s: silu_mul, gelu_mul", k->name);
    ok(rope, "%s: rope, both styles", k->name);
    ok(soft, "%s: max, exp_sum", k->name);
}

static void test_attention(const om_kern *k, int rounds)
{
    static const size_t dims[] = {4, 12, 16, 20, 36, 64, 64, 80, 96, 128, 256};
    bool scores = true, values = true;
    for (int r = 0; r < rounds * N_KINDS; r++) {
        size_t hd = dims[below(11)], nq = below(15), ldq = hd + below(3), lds = OM_KV_BLOCK + below(3);
        float *q = must(nq * ldq * 4), *o = must(nq * ldq * 4), *s1 = must(nq * lds * 4), *s2 = must(nq * lds * 4);
        uint16_t *kv = must(hd * OM_KV_BLOCK * sizeof *kv);
        fill(q, nq * ldq, r % N_KINDS);
        fill(s1, nq * lds, r % N_KINDS);
        memcpy(s2, s1, nq * lds * 4);
        for (size_t i = 0; i < hd * OM_KV_BLOCK; i++)
            kv[i] = r % N_KINDS == WILD ? (uint16_t)om_rng_u32(&rng) : f16_round(random_float(PLAIN));
        memcpy(o, q, nq * ldq * 4);
        om_kern_generic.attn_values(s1, lds, nq, kv, hd, q, ldq);
        k->attn_values(s1, lds, nq, kv, hd, o, ldq);
        values = values && same(o, q, nq * ldq, "attn_values");
        om_kern_generic.attn_scores(q, ldq, nq, kv, hd, s1, lds);
        k->attn_scores(q, ldq, nq, kv, hd, s2, lds);
        scores = scores && same(s2, s1, nq * lds, "attn_scores");
        free(q);
        free(o);
        free(s1);
        free(s2);
        free(kv);
    }
    ok(scores, "%s: attn_scores", k->name);
    ok(values, "%s: attn_values", k->name);
}

/* The value of an output does not depend on what is computed with it. */
static void test_grouping(const om_kern *k)
{
    bool good = true;
    for (size_t i = 0; i < N_QUANT; i++) {
        size_t rows = 37, cols = 512, T = 21, nb = cols / 32;
        matrix w = random_matrix(all_types[i], rows, cols, 1, PLAIN);
        float *x = must(T * cols * 4), *whole = must(T * rows * 4), *part = must(T * rows * 4);
        void *scratch = must(om_kern_scratch_bytes(cols)), *mem = must(om_q16_bytes(T, cols));
        fill(x, T * cols, PLAIN);
        om_q16 a;
        om_q16_place(&a, mem, T, cols);
        for (size_t t = 0; t < T; t++)
            k->quantize_q16(x + t * cols, cols, a.q + t * cols, a.d + t * nb, a.s + t * 2 * nb);
        k->matmul_q16(&w.m, 0, rows, &a, T, whole, rows, scratch);
        for (size_t t = 0; t < T;) {
            size_t nt = 1 + below(T - t);
            om_q16 at = {a.q + t * cols, a.d + t * nb, a.s + t * 2 * nb};
            for (size_t r = 0; r < rows;) {
                size_t n = 1 + below(rows - r);
                k->matmul_q16(&w.m, r, r + n, &at, nt, part + t * rows + r, rows, scratch);
                r += n;
            }
            t += nt;
        }
        good = good && same(part, whole, T * rows, om_type_get((uint32_t)all_types[i])->name);
        free(w.mem);
        free(x);
        free(whole);
        free(part);
        free(scratch);
        free(mem);
    }
    ok(good, "%s: the split into rows and tokens does not change a bit", k->name);
}

static void test_level(const om_kern *k, int rounds)
{
    om_rng_seed(&rng, 7);
    for (int ftz = 0; ftz < 2; ftz++) {
        set_ftz(ftz);
        diag("%s, flush to zero %s", k->name, ftz ? "on" : "off");
        test_matmul(k, rounds);
        test_convert(k, rounds);
        test_vectors(k, 2 * rounds);
        test_attention(k, rounds);
        test_grouping(k);
        set_ftz(false);
    }
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 12;
#ifdef KERN_TEST_TABLE
    test_level(&KERN_TEST_TABLE, rounds);
#else
    for (size_t i = 0; om_kern_level(i); i++)
        test_level(om_kern_level(i), rounds);
#endif
    return done_testing();
}
