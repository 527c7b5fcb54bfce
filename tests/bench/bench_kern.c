/* bench_kern.c - speed of the kernels on one thread, as CSV: quantised and float products by level, format, shape and
 * number of tokens, then the other hot functions.
 *     bench_kern [LEVEL|all [TYPE|all [SECONDS]]]
 * The weights of a product are rotated through copies of more than 96 MB in all, so that few-token products read memory
 * as a model does; the line "read" is a plain streaming sum over the same bytes, the bound for T = 1. GOP/s counts 2
 * per multiply-add. Times are processor time. */
#include "kern/kern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COLD_BYTES ((size_t)96 << 20)

static double budget = 0.2;
static om_rng rng;

static void *must(size_t n)
{
    void *p = om_alloc_aligned(64, n);
    if (!p) {
        fprintf(stderr, "bench_kern: out of memory\n");
        exit(6);
    }
    return p;
}
static float *floats(size_t n)
{
    float *x = must(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(om_rng_double(&rng) * 2 - 1);
    return x;
}

/* Time of this process on a processor: neighbours that take the processor away do not count. */
static double cpu_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
/* Runs step(arg, i) until the budget is spent, three times; the best seconds per call. */
typedef void (*step_fn)(void *arg, size_t i);
static double best_time(step_fn step, void *arg)
{
    double best = 1e30;
    step(arg, 0);
    for (int round = 0; round < 3; round++) {
        size_t n = 0;
        double t0 = cpu_s(), t;
        do {
            step(arg, n++);
            t = cpu_s() - t0;
        } while (t < budget / 3);
        best = t / (double)n < best ? t / (double)n : best;
    }
    return best;
}
static void line(const char *level, const char *op, const char *type, size_t rows, size_t cols, size_t T, double s,
                 double bytes, double ops)
{
    printf("%s,%s,%s,%zu,%zu,%zu,%.2f,%.2f,%.2f\n", level, op, type, rows, cols, T, s * 1e6, bytes / s * 1e-9,
           ops / s * 1e-9);
    fflush(stdout);
}

typedef struct product {
    const om_kern *k;
    om_mat w;
    const uint8_t *mem;
    size_t copies, T, ldx;
    bool q16;
    om_q16 a;
    const float *x;
    float *y;
    void *scratch;
} product;
static void run_product(void *arg, size_t i)
{
    product *p = arg;
    om_mat w = p->w;
    w.data = p->mem + i % p->copies * (w.rows * w.row_bytes);
    if (p->q16)
        p->k->matmul_q16(&w, 0, w.rows, &p->a, p->T, p->y, w.rows, p->scratch);
    else
        p->k->matmul_f32(&w, 0, w.rows, p->x, p->ldx, p->T, p->y, w.rows, p->scratch);
}
static uint64_t sink;
static void run_read(void *arg, size_t i)
{
    product *p = arg;
    size_t n = p->w.rows * p->w.row_bytes / 64;
    const uint8_t *base = p->mem + i % p->copies * (p->w.rows * p->w.row_bytes);
    uint64_t s[4] = {0};
    for (size_t j = 0; j < n; j++) {
        uint64_t v[8];
        memcpy(v, base + 64 * j, 64);
        s[0] += v[0] ^ v[1];
        s[1] += v[2] ^ v[3];
        s[2] += v[4] ^ v[5];
        s[3] += v[6] ^ v[7];
    }
    sink += s[0] + s[1] + s[2] + s[3];
}

static void bench_shape(const char *level, om_type type, size_t rows, size_t cols)
{
    static const size_t tokens[] = {1, 2, 4, 8, 64, 512};
    const om_type_info *info = om_type_get((uint32_t)type);
    if (cols % info->block != 0)
        cols = (cols + 255) / 256 * 256;
    product p = {.w = {NULL, type, rows, cols, cols / info->block * info->bytes}, .ldx = cols};
    size_t bytes = rows * p.w.row_bytes;
    p.copies = COLD_BYTES / bytes + 1;
    uint8_t *mem = must(bytes * p.copies);
    float *row = floats(cols);
    for (size_t r = 0; r < rows * p.copies; r++) {
        if (type == OM_F32)
            memcpy(mem + r * p.w.row_bytes, row, p.w.row_bytes);
        else if (r == 0)
            (void)om_quantize(type, row, mem, cols);
        else
            memcpy(mem + r * p.w.row_bytes, mem, p.w.row_bytes);
    }
    p.mem = mem;
    p.scratch = must(om_kern_scratch_bytes(cols));
    if (!level)
        line("any", "read", info->name, rows, cols, 1, best_time(run_read, &p), (double)bytes, 0);
    for (size_t i = 0; level && i < sizeof tokens / sizeof *tokens; i++) {
        size_t T = p.T = tokens[i];
        p.k = om_kern_get(level, NULL);
        if (rows * T > (size_t)8 << 20)
            continue; /* 49152 rows: logits of hundreds of tokens are never asked for */
        float *x = floats(T * cols);
        void *q = must(om_q16_bytes(T, cols));
        p.x = x;
        p.y = must(rows * T * sizeof(float));
        om_q16_place(&p.a, q, T, cols);
        for (size_t t = 0; t < T; t++)
            p.k->quantize_q16(x + t * cols, cols, p.a.q + t * cols, p.a.d + t * (cols / 32), p.a.s + t * (cols / 16));
        double ops = 2.0 * (double)rows * (double)cols * (double)T;
        for (int q16 = info->quantised ? 1 : 0; q16 >= 0; q16--) {
            p.q16 = q16;
            line(p.k->name, q16 ? "matmul_q16" : "matmul_f32", info->name, rows, cols, T, best_time(run_product, &p),
                 (double)bytes, ops);
        }
        om_free(x);
        om_free(q);
        om_free(p.y);
    }
    om_free(mem);
    om_free(row);
    om_free(p.scratch);
}

/* ---- the rest ---- */

#define N 1536
typedef struct rest {
    const om_kern *k;
    int what;
    float *x, *y, *z;
    uint16_t *h;
    om_q16 a;
} rest;
static const char *const rest_names[] = {"quantize_q16", "rms_norm", "silu_mul",      "gelu_mul",     "exp_sum",
                                         "max",          "rope",     "attn_scores_9", "attn_values_9"};
static void run_rest(void *arg, size_t i)
{
    rest *r = arg;
    const om_kern *k = r->k;
    (void)i;
    switch (r->what) {
    case 0:
        k->quantize_q16(r->x, N, r->a.q, r->a.d, r->a.s);
        break;
    case 1:
        k->rms_norm(r->x, r->y, 1e-5f, r->z, N);
        break;
    case 2:
        k->silu_mul(r->z, r->y, N);
        break;
    case 3:
        k->gelu_mul(r->z, r->y, N);
        break;
    case 4:
        (void)k->exp_sum(r->z, 0.5f, N);
        break;
    case 5:
        (void)k->max(r->x, N);
        break;
    case 6:
        k->rope(r->z, r->x, r->y, N, true);
        break;
    case 7: /* 24 blocks of 16 positions, 9 queries of 64 */
        for (size_t b = 0; b < 24; b++)
            k->attn_scores(r->x, 64, 9, r->h + b * 1024, 64, r->y, 16);
        break;
    default:
        for (size_t b = 0; b < 24; b++)
            k->attn_values(r->x, 16, 9, r->h + b * 1024, 64, r->z, 64);
    }
}
static void bench_rest(const char *level)
{
    rest r = {.k = om_kern_get(level, NULL)};
    r.x = floats(N);
    r.y = floats(N);
    r.z = floats(N);
    r.h = must(24 * 1024 * sizeof *r.h);
    for (size_t i = 0; i < 24 * 1024; i++)
        r.h[i] = (uint16_t)(0x3000 + i % 1000);
    void *q = must(om_q16_bytes(1, N));
    om_q16_place(&r.a, q, 1, N);
    for (r.what = 0; r.what < (int)(sizeof rest_names / sizeof *rest_names); r.what++) {
        double ops = r.what >= 7 ? 2.0 * 24 * 16 * 64 * 9 : N;
        line(r.k->name, rest_names[r.what], "F32", 1, N, 1, best_time(run_rest, &r), N * 4.0, ops);
    }
    om_free(r.x);
    om_free(r.y);
    om_free(r.z);
    om_free(r.h);
    om_free(q);
}

int main(int argc, char **argv)
{
    static const om_type types[] = {OM_Q8_0, OM_Q4_0, OM_Q4_1, OM_Q5_0, OM_Q5_1, OM_Q4_K,
                                    OM_Q5_K, OM_Q6_K, OM_F32,  OM_F16,  OM_BF16};
    static const size_t shapes[][2] = {{576, 1536}, {1536, 576}, {49152, 576}};
    const char *level = argc > 1 && strcmp(argv[1], "all") != 0 ? argv[1] : NULL;
    const char *type = argc > 2 && strcmp(argv[2], "all") != 0 ? argv[2] : NULL;
    budget = argc > 3 ? atof(argv[3]) : budget;
    om_rng_seed(&rng, 1);
    printf("level,op,type,rows,cols,tokens,us,GB/s,GOP/s\n");
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        if (type && strcmp(type, om_type_get((uint32_t)types[t])->name) != 0)
            continue;
        for (size_t s = 0; s < 3; s++) {
            bench_shape(NULL, types[t], shapes[s][0], shapes[s][1]);
            for (size_t i = 0; om_kern_level(i); i++)
                if (!level || strcmp(level, om_kern_level(i)->name) == 0)
                    bench_shape(om_kern_level(i)->name, types[t], shapes[s][0], shapes[s][1]);
        }
    }
    for (size_t i = 0; !type && om_kern_level(i); i++)
        if (!level || strcmp(level, om_kern_level(i)->name) == 0)
            bench_rest(om_kern_level(i)->name);
    return sink == 42;
}
