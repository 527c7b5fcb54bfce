/* test_kern.c - the kernels mean what they should: formats against golden blocks (share/recipes/kern/golden.py),
 * functions against libm and sums in double, at every level. That the levels agree bit for bit is test_kern_levels.c.
 */
#include "kern/kern_impl.h"
#include "tap.h"

static om_rng rng;

static float uniform(void)
{
    return (float)(om_rng_double(&rng) * 2 - 1);
}
static float gauss(void) /* sum of 12 uniforms: variance 1 */
{
    double s = -6;
    for (int i = 0; i < 12; i++)
        s += om_rng_double(&rng);
    return (float)s;
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

static const om_type quants[] = {OM_Q8_0, OM_Q4_0, OM_Q4_1, OM_Q5_0, OM_Q5_1, OM_Q4_K, OM_Q5_K, OM_Q6_K};
#define N_QUANTS (sizeof quants / sizeof *quants)

static void test_types(void)
{
    is_int(om_type_get(OM_Q4_1)->bytes, 20, "a Q4_1 block is 20 bytes");
    is_int(om_type_get(OM_Q6_K)->bytes, 210, "a Q6_K block is 210 bytes");
    is_int(om_type_get(OM_Q5_K)->bytes, 176, "a Q5_K block is 176 bytes");
    is_int(om_type_get(OM_BF16)->bytes, 2, "BF16 is 2 bytes");
    ok(!om_type_get(OM_F16)->quantised && om_type_get(OM_Q8_0)->quantised, "quantised or not");
    ok(!om_type_get(4) && !om_type_get(9) && !om_type_get(29) && !om_type_get(31) && !om_type_get(UINT32_MAX),
       "types we cannot compute with are NULL");
}

static void test_choice(void)
{
    omni_error err = {{0}};
    is_str(om_kern_level(0)->name, "generic", "the lowest level is generic");
    size_t n = 0;
    while (om_kern_level(n))
        n++;
    ok(n >= 1 && n <= OM_KERN_N_LEVELS && !om_kern_level(n + 1), "levels end with NULL");
    ok(om_kern_get(NULL, &err) == om_kern_level(n - 1), "NULL is the best level");
    ok(om_kern_get("generic", &err) == om_kern_level(0), "generic by name");
    for (size_t i = 0; i < n; i++)
        ok(om_kern_get(om_kern_level(i)->name, &err) == om_kern_level(i), "%s by name", om_kern_level(i)->name);
#if defined(__x86_64__)
    ok(om_kern_get("neon", &err) == om_kern_level(0), "another machine's level gives generic");
    ok(om_kern_get("avx512", &err) == om_kern_level(n - 1), "avx512 gives the best up to it");
#endif
    is_str(err.text, "", "no error so far");
    ok(!om_kern_get("sse9", &err), "an unknown name is refused");
    has_str(err.text, "'sse9'", "and named in the error");
    ok(!om_kern_get("", NULL), "so is an empty one, without an error structure");
}

static void test_memory(void)
{
    om_q16 a;
    char *mem = om_alloc_aligned(64, om_q16_bytes(3, 96));
    om_q16_place(&a, mem, 3, 96);
    ok((uintptr_t)a.d % 64 == 0 && (uintptr_t)a.s % 64 == 0, "parts are aligned");
    ok((char *)a.d >= mem + 3 * 96 && (char *)(a.s + 3 * 6) <= mem + om_q16_bytes(3, 96) &&
           (char *)a.s >= (char *)(a.d + 9),
       "parts do not overlap");
    om_free(mem);
    is_int(om_q16_bytes(0, 0), 0, "nothing needs nothing");
    ok(om_q16_bytes(SIZE_MAX / 2, 64) == SIZE_MAX && om_q16_bytes(1, SIZE_MAX) == SIZE_MAX, "overflow gives SIZE_MAX");
    ok(om_kern_scratch_bytes(SIZE_MAX / 4) == SIZE_MAX, "scratch too");
}

/* ---- formats ---- */

static int hex(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}
static void test_golden(const om_kern *k)
{
    static char line[8192];
    static uint8_t bytes[256];
    FILE *f = fopen("tests/golden/kern_blocks.txt", "r");
    int lines = 0, bad = 0;
    if (!f) {
        ok(false, "tests/golden/kern_blocks.txt opens");
        return;
    }
    while (fgets(line, sizeof line, f)) {
        om_type type = OM_F32;
        const om_type_info *info = NULL;
        char *p = strchr(line, ' ');
        for (size_t i = 0; p && i < N_QUANTS; i++)
            if (strncmp(line, om_type_get((uint32_t)quants[i])->name, (size_t)(p - line)) == 0)
                info = om_type_get((uint32_t)(type = quants[i]));
        if (!info)
            break;
        p++;
        for (size_t i = 0; i < info->bytes; i++, p += 2)
            bytes[i] = (uint8_t)(hex(p[0]) << 4 | hex(p[1]));
        float got[256];
        k->dequantize(type, bytes, got, info->block);
        for (size_t i = 0; i < info->block; i++) {
            float want = f_of_bits((uint32_t)strtoul(p, &p, 16));
            if (got[i] != want && !bad++)
                diag("%s column %zu: got %a, expected %a", info->name, i, (double)got[i], (double)want);
        }
        lines++;
    }
    (void)fclose(f);
    ok(lines == 26 && bad == 0, "%s: dequantize gives the golden floats of 26 blocks", k->name);
}

static void test_half(const om_kern *k)
{
    static uint16_t h[65536], back[65536];
    static float x[65536];
    for (size_t i = 0; i < 65536; i++)
        h[i] = (uint16_t)i;
    k->f16_to_f32(h, x, 65536);
    k->f32_to_f16(x, back, 65536);
    int bad = 0;
    for (size_t i = 0; i < 65536; i++) {
        int e = (int)(i >> 10 & 31), m = (int)(i & 1023);
        double want = (e ? ldexp(1024 + m, e - 25) : ldexp(m, -24)) * (i >> 15 ? -1 : 1);
        if (e < 31 ? (double)x[i] != want || back[i] != h[i] : m ? !isnan(x[i]) : !isinf(x[i]) || back[i] != h[i])
            bad++;
    }
    is_int(bad, 0, "all 65536 halves convert exactly and back");
    /* nearest: no neighbour is closer; at a tie the even one */
    bad = 0;
    for (int r = 0; r < 100000; r++) {
        uint16_t a = (uint16_t)(om_rng_u32(&rng) % 0x7bff);
        double lo = (double)x[a], hi = (double)x[a + 1], t = r % 3 ? om_rng_double(&rng) : 0.5;
        float v = (float)(lo + (hi - lo) * t);
        uint16_t got;
        k->f32_to_f16(&v, &got, 1);
        double mid = (lo + hi) / 2;
        uint16_t want = (double)v < mid || ((double)v == mid && !(a & 1)) ? a : (uint16_t)(a + 1);
        bad += got != want;
    }
    is_int(bad, 0, "f32_to_f16 rounds to nearest, ties to even");
    float big[4] = {65519.0f, 65520.0f, -1e30f, 5.9604645e-8f / 2};
    k->f32_to_f16(big, back, 4);
    ok(back[0] == 0x7bff && back[1] == 0x7c00 && back[2] == 0xfc00 && back[3] == 0, "f16 overflow and underflow");
}

/* Relative root mean square error of a round trip of normal numbers, a little above what was measured. */
static void test_quantize(const om_kern *k)
{
    static const struct {
        om_type type;
        double rms;
    } limits[] = {{OM_Q8_0, 0.0054}, {OM_Q4_0, 0.091}, {OM_Q4_1, 0.082},  {OM_Q5_0, 0.044},  {OM_Q5_1, 0.040},
                  {OM_Q4_K, 0.076},  {OM_Q5_K, 0.038}, {OM_Q6_K, 0.0185}, {OM_F16, 0.00025}, {OM_BF16, 0.0018}};
    enum { N = 8192 };
    float *x = must(N * 4), *y = must(N * 4);
    uint8_t *q = must(N * 4);
    for (int i = 0; i < N; i++)
        x[i] = gauss();
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        const om_type_info *info = om_type_get((uint32_t)limits[i].type);
        bool done = om_quantize(limits[i].type, x, q, N);
        k->dequantize(limits[i].type, q, y, N);
        double e = 0, n = 0;
        for (int j = 0; j < N; j++) {
            e += ((double)x[j] - (double)y[j]) * ((double)x[j] - (double)y[j]);
            n += (double)x[j] * (double)x[j];
        }
        if (!ok(done && sqrt(e / n) < limits[i].rms, "%s: round trip error below %g", info->name, limits[i].rms))
            diag("%g", sqrt(e / n));
    }
    ok(!om_quantize(OM_F32, x, q, 32) && !om_quantize((om_type)99, x, q, 32), "no other formats");
    /* any float is defined input and gives finite weights */
    bool finite = true, zero = true;
    for (size_t i = 0; i < N_QUANTS; i++) {
        static const uint32_t odd[] = {0x7fc00000u, 0x7f800000u, 0xff800000u, 0x7f7fffffu,
                                       0xff7fffffu, 1,           0x80000000u, 0x3f800000u};
        for (int r = 0; r < 50; r++) {
            for (int j = 0; j < 256; j++)
                x[j] = f_of_bits(odd[om_rng_u32(&rng) % (r % 2 ? 8 : 7)]);
            (void)om_quantize(quants[i], x, q, 256);
            k->dequantize(quants[i], q, y, 256);
            for (int j = 0; j < 256; j++)
                finite = finite && isfinite(y[j]);
        }
        memset(x, 0, 256 * sizeof *x);
        (void)om_quantize(quants[i], x, q, 256);
        k->dequantize(quants[i], q, y, 256);
        for (int j = 0; j < 256; j++)
            zero = zero && y[j] == 0;
    }
    ok(finite, "NaN, infinity and huge values quantise to something finite");
    ok(zero, "zeros stay zeros");
    uint16_t b[3];
    float ties[3] = {f_of_bits(0x3f808000u), f_of_bits(0x3f818000u), f_of_bits(0x7f800001u)};
    (void)om_quantize(OM_BF16, ties, b, 3);
    ok(b[0] == 0x3f80 && b[1] == 0x3f82 && isnan(bf16_load(b[2])), "BF16 rounds ties to even and keeps NaN");
    free(x);
    free(y);
    free(q);
}

static void test_activations(const om_kern *k)
{
    float x[64], d[2];
    int16_t q[64];
    int32_t s[4];
    bool near = true, sums = true;
    for (int r = 0; r < 2000; r++) {
        float top = 0, size = ldexpf(1.0f, (int)(om_rng_u32(&rng) % 80) - 40);
        for (int i = 0; i < 64; i++) {
            x[i] = gauss() * size;
            if (i < 32)
                top = fmaxf(top, fabsf(x[i]));
        }
        k->quantize_q16(x, 64, q, d, s);
        near = near && d[0] == top / 32767.0f;
        for (int i = 0; i < 64; i++)
            near = near &&
                   fabs((double)x[i] - (double)q[q16_at((size_t)i)] * (double)d[i / 32]) <= 0.505 * (double)d[i / 32];
        for (int h = 0; h < 4; h++) {
            int sum = 0;
            for (int i = 0; i < 16; i++)
                sum += q[16 * h + i];
            sums = sums && sum == s[h];
        }
    }
    ok(near, "%s: quantize_q16 is within half a step", k->name);
    ok(sums, "%s: sums of 16", k->name);
    memset(x, 0, sizeof x);
    x[40] = 1e-40f;
    k->quantize_q16(x, 64, q, d, s);
    ok(d[0] == 0 && d[1] == 0 && q[q16_at(40)] == 0 && s[2] == 0, "%s: zeros and subnormals are zero", k->name);
    x[3] = NAN;
    x[33] = INFINITY;
    k->quantize_q16(x, 64, q, d, s);
    ok(isnan(d[0]) && isinf(d[1]), "%s: NaN and infinity show in the scale", k->name);
}

/* ---- products against sums in double ---- */

static void test_products(const om_kern *k)
{
    enum { ROWS = 19, COLS = 512, T = 35 };
    static float w[ROWS * COLS], deq[ROWS * COLS], x[T * COLS], y[T * ROWS], z[T * ROWS];
    static uint8_t bytes[ROWS * COLS * 4];
    void *mem = must(om_q16_bytes(T, COLS)), *scratch = must(om_kern_scratch_bytes(COLS));
    om_q16 a;
    om_q16_place(&a, mem, T, COLS);
    for (int i = 0; i < ROWS * COLS; i++)
        w[i] = gauss() + 0.3f;
    for (int i = 0; i < T * COLS; i++)
        x[i] = gauss();
    for (size_t t = 0; t < T; t++)
        k->quantize_q16(x + t * COLS, COLS, a.q + t * COLS, a.d + t * (COLS / 32), a.s + t * (COLS / 16));
    static const om_type types[] = {OM_Q8_0, OM_Q4_0, OM_Q4_1, OM_Q5_0, OM_Q5_1, OM_Q4_K,
                                    OM_Q5_K, OM_Q6_K, OM_F16,  OM_BF16, OM_F32};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const om_type_info *info = om_type_get((uint32_t)types[i]);
        om_mat m = {bytes, types[i], ROWS, COLS, COLS / info->block * info->bytes};
        if (types[i] == OM_F32)
            memcpy(bytes, w, sizeof w);
        else
            (void)om_quantize(types[i], w, bytes, ROWS * COLS);
        k->dequantize(types[i], bytes, deq, ROWS * COLS);
        k->matmul_f32(&m, 0, ROWS, x, COLS, T, z, ROWS, scratch);
        if (info->quantised)
            k->matmul_q16(&m, 0, ROWS, &a, T, y, ROWS, scratch);
        double worst = 0, worst_q16 = 0;
        for (size_t t = 0; t < T; t++)
            for (size_t r = 0; r < ROWS; r++) {
                double exact = 0, quant = 0, size = 0;
                for (size_t c = 0; c < COLS; c++) {
                    double v = (double)deq[r * COLS + c],
                           ac = a.q[t * COLS + q16_at(c)] * (double)a.d[(t * COLS + c) / 32];
                    exact += v * (double)x[t * COLS + c];
                    quant += v * ac;
                    size += fabs(v * (double)x[t * COLS + c]);
                }
                worst = fmax(worst, fabs(exact - (double)z[t * ROWS + r]) / size);
                worst_q16 = fmax(worst_q16, fabs(quant - (double)y[t * ROWS + r]) / size);
            }
        ok(worst < 4e-7, "%s %s: float product, error %.2g of the sum of magnitudes", k->name, info->name, worst);
        if (info->quantised) /* minima: the two terms cancel, so their size counts, not the weights' */
            ok(worst_q16 < 2e-6, "%s %s: quantised product, error %.2g", k->name, info->name, worst_q16);
    }
    free(mem);
    free(scratch);
}

/* The float product of many tokens may go through OpenBLAS; a split at multiples of 64 rows must not show. */
static void test_blas(void)
{
    enum { ROWS = 200, COLS = 96, T = 40 };
    static float w[ROWS * COLS], x[T * COLS], y[T * ROWS], z[T * ROWS];
    for (int i = 0; i < ROWS * COLS; i++)
        w[i] = uniform();
    for (int i = 0; i < T * COLS; i++)
        x[i] = uniform();
    om_blas_panel(w, ROWS, COLS, x, COLS, T, y, ROWS);
    double worst = 0;
    for (size_t t = 0; t < T; t++)
        for (size_t r = 0; r < ROWS; r++) {
            double s = 0;
            for (size_t c = 0; c < COLS; c++)
                s += (double)w[r * COLS + c] * (double)x[t * COLS + c];
            worst = fmax(worst, fabs(s - (double)y[t * ROWS + r]));
        }
    ok(worst < 2e-5, "om_blas_panel (OpenBLAS: %s), error %.2g", om_blas_available() ? "yes" : "no", worst);
    const om_kern *k = om_kern_get(NULL, NULL);
    om_mat m = {w, OM_F32, ROWS, COLS, COLS * sizeof(float)};
    void *scratch = must(om_kern_scratch_bytes(COLS));
    k->matmul_f32(&m, 0, ROWS, x, COLS, T, y, ROWS, scratch);
    for (size_t r = 0; r < ROWS; r += 64)
        k->matmul_f32(&m, r, r + 64 < ROWS ? r + 64 : ROWS, x, COLS, T, z + r, ROWS, scratch);
    ok(memcmp(y, z, sizeof y) == 0, "a split at multiples of 64 rows gives the same bits");
    om_blas_panel(w, 0, COLS, x, COLS, T, y, ROWS);
    om_blas_panel(w, ROWS, COLS, x, COLS, 0, y, ROWS);
    ok(memcmp(y, z, sizeof y) == 0, "no rows or no tokens: nothing happens");
    free(scratch);
}

/* ---- functions ---- */

static double ulps(float got, double want)
{
    int e;
    (void)frexp(want, &e);
    return fabs((double)got - want) / ldexp(1.0, (e < -125 ? -125 : e) - 24);
}
static void test_exp(const om_kern *k)
{
    float x[8], worst_x = 0;
    double worst = 0;
    for (int i = 0; i < 40000; i++) {
        float v[8];
        for (int j = 0; j < 8; j++)
            v[j] = x[j] = (float)(-103.9 + 192.6 * ((double)(i * 8 + j) + om_rng_double(&rng)) / 320000);
        (void)k->exp_sum(x, 0.0f, 8);
        for (int j = 0; j < 8; j++)
            if (ulps(x[j], exp((double)v[j])) > worst) {
                worst = ulps(x[j], exp((double)v[j]));
                worst_x = v[j];
            }
    }
    ok(worst <= 1.1, "%s: exp within 1.1 ulp of libm's (%.3f at %g)", k->name, worst, (double)worst_x);
    float e[8] = {0, -INFINITY, INFINITY, NAN, 88.8f, -200, 88.7f, -0.0f};
    float sum = k->exp_sum(e, 0.0f, 8);
    ok(e[0] == 1 && e[1] == 0 && isinf(e[2]) && isnan(e[3]) && isinf(e[4]) && e[5] == 0 && isfinite(e[6]) &&
           e[7] == 1 && isnan(sum),
       "%s: exp at its borders", k->name);
    float s[5] = {1, 2, 3, 4, 2.5f}, want = 0;
    for (int i = 0; i < 5; i++)
        want += expf(s[i] - 4);
    is_near((double)k->exp_sum(s, 4, 5), (double)want, 1e-6, "exp_sum of a short row");
    is_near((double)k->exp_sum(s, 4, 0), 0, 0, "exp_sum of nothing");
    float m[11] = {-5, NAN, -2, -INFINITY, -2.5f, -9, -8, -7, NAN, -1.5f, NAN};
    ok(k->max(m, 11) == -1.5f && k->max(m, 0) == -INFINITY && k->max(m + 1, 1) == -INFINITY, "%s: max skips NaN",
       k->name);
}

static void test_gates(const om_kern *k)
{
    double worst_silu = 0, worst_gelu = 0;
    for (int r = 0; r < 4000; r++) {
        float x[9], y[9], up[9];
        for (int i = 0; i < 9; i++) {
            x[i] = y[i] = uniform() * (r % 2 ? 4.0f : 30.0f);
            up[i] = 1.0f;
        }
        float v[9];
        memcpy(v, x, sizeof v);
        k->silu_mul(x, up, 9);
        k->gelu_mul(y, up, 9);
        for (int i = 0; i < 9; i++) {
            double a = (double)v[i], u = sqrt(2 / acos(-1.0)) * (a + 0.044715 * a * a * a);
            worst_silu = fmax(worst_silu, fabs((double)x[i] - a / (1 + exp(-a))) / (fabs(a) * 1.2e-7 + 1e-30));
            worst_gelu = fmax(worst_gelu, fabs((double)y[i] - 0.5 * a * (1 + tanh(u))) / (fabs(a) * 1.2e-7 + 1e-30));
        }
    }
    ok(worst_silu < 2, "%s: silu within %.2f eps |x|", k->name, worst_silu);
    ok(worst_gelu < 4, "%s: gelu within %.2f eps |x|", k->name, worst_gelu);
    float g[4] = {-1e30f, 1e30f, 0.0f, -90.0f}, up[4] = {1, 1, 1, 2};
    k->silu_mul(g, up, 4);
    ok(g[0] == 0 && g[1] == 1e30f && g[2] == 0 && fabsf(g[3]) < 1e-30f, "%s: silu of extremes", k->name);
    float h[3] = {-1e30f, 1e30f, 2.0f}, two[3] = {1, 1, 2};
    k->gelu_mul(h, two, 3);
    ok(h[0] == 0 && h[1] == 1e30f && fabsf(h[2] - 2 * 1.9545977f) < 1e-5f, "%s: gelu of extremes, times up", k->name);
}

static void test_norm_rope(const om_kern *k)
{
    float x[70], w[70], y[70];
    double ss = 0, worst = 0;
    for (int i = 0; i < 70; i++) {
        x[i] = gauss();
        w[i] = gauss();
        ss += (double)x[i] * (double)x[i];
    }
    k->rms_norm(x, w, 0.5f, y, 70);
    for (int i = 0; i < 70; i++)
        worst = fmax(worst, fabs((double)y[i] - (double)x[i] / sqrt(ss / 70 + 0.5) * (double)w[i]));
    ok(worst < 2e-6, "%s: rms_norm has eps inside the root (error %.2g)", k->name, worst);
    k->rms_norm(x, NULL, 0.5f, y, 70);
    is_near((double)y[69], (double)x[69] / sqrt(ss / 70 + 0.5), 1e-6, "rms_norm without weights");
    float c[35], s[35], a[70], b[70];
    for (int i = 0; i < 35; i++) {
        c[i] = cosf((float)i);
        s[i] = sinf((float)i);
    }
    memcpy(a, x, sizeof a);
    memcpy(b, x, sizeof b);
    k->rope(a, c, s, 70, false);
    k->rope(b, c, s, 70, true);
    worst = 0;
    for (int i = 0; i < 35; i++) {
        double ci = (double)c[i], si = (double)s[i];
        worst = fmax(worst, fabs((double)a[2 * i] - ((double)x[2 * i] * ci - (double)x[2 * i + 1] * si)));
        worst = fmax(worst, fabs((double)a[2 * i + 1] - ((double)x[2 * i] * si + (double)x[2 * i + 1] * ci)));
        worst = fmax(worst, fabs((double)b[i] - ((double)x[i] * ci - (double)x[i + 35] * si)));
        worst = fmax(worst, fabs((double)b[i + 35] - ((double)x[i] * si + (double)x[i + 35] * ci)));
    }
    ok(worst < 1e-6, "%s: rope rotates (2i, 2i+1) or, neox, (i, i+n/2)", k->name);
}

static void test_attention(const om_kern *k)
{
    enum { HD = 20, NQ = 8 };
    float q[NQ * HD], s[NQ * 16], o[NQ * HD], o0[NQ * HD];
    uint16_t kv[16 * HD];
    double worst = 0;
    for (int i = 0; i < NQ * HD; i++) {
        q[i] = gauss();
        o[i] = o0[i] = gauss();
    }
    for (int i = 0; i < 16 * HD; i++)
        kv[i] = f16_round(gauss());
    k->attn_scores(q, HD, NQ, kv, HD, s, 16);
    k->attn_values(s, 16, NQ, kv, HD, o, HD);
    for (int i = 0; i < NQ; i++) {
        for (int p = 0; p < 16; p++) {
            double e = 0;
            for (int d = 0; d < HD; d++)
                e += (double)q[i * HD + d] * (double)f16_load(kv[d * 16 + p]);
            worst = fmax(worst, fabs(e - (double)s[i * 16 + p]));
        }
        for (int d = 0; d < HD; d++) {
            double e = (double)o0[i * HD + d];
            for (int p = 0; p < 16; p++)
                e += (double)s[i * 16 + p] * (double)f16_load(kv[p * HD + d]);
            worst = fmax(worst, fabs(e - (double)o[i * HD + d]) / 4);
        }
    }
    ok(worst < 1e-5, "%s: attention scores and values (error %.2g)", k->name, worst);
}

int main(void)
{
    om_rng_seed(&rng, 3);
    test_types();
    test_choice();
    test_memory();
    for (size_t i = 0; om_kern_level(i); i++) {
        const om_kern *k = om_kern_level(i);
        test_golden(k);
        test_half(k);
        test_activations(k);
        test_products(k);
        test_exp(k);
        test_gates(k);
        test_norm_rope(k);
        test_attention(k);
    }
    test_quantize(om_kern_level(0));
    test_blas();
    return done_testing();
}
