/* kern.c - the formats we can compute with, memory layout of quantised activations, and the choice of a level. */
#include "kern/kern_impl.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

const om_type_info *om_type_get(uint32_t type)
{
    static const om_type_info types[] = {
        [OM_F32] = {"F32", 1, 4, false},
        [OM_F16] = {"F16", 1, 2, false},
        [OM_Q4_0] = {"Q4_0", 32, sizeof(blk_q4_0), true},
        [OM_Q4_1] = {"Q4_1", 32, sizeof(blk_q4_1), true},
        [OM_Q5_0] = {"Q5_0", 32, sizeof(blk_q5_0), true},
        [OM_Q5_1] = {"Q5_1", 32, sizeof(blk_q5_1), true},
        [OM_Q8_0] = {"Q8_0", 32, sizeof(blk_q8_0), true},
        [OM_Q4_K] = {"Q4_K", 256, sizeof(blk_q4_k), true},
        [OM_Q5_K] = {"Q5_K", 256, sizeof(blk_q5_k), true},
        [OM_Q6_K] = {"Q6_K", 256, sizeof(blk_q6_k), true},
        [OM_BF16] = {"BF16", 1, 2, false},
    };
    if (type >= sizeof types / sizeof *types || !types[type].name)
        return NULL;
    return &types[type];
}

/* ---- quantised activations ---- */

/* Offsets of d and s behind q, and the end; false on overflow. */
static bool q16_layout(size_t T, size_t cols, size_t *d, size_t *s, size_t *end)
{
    size_t q, nd, ns;
    if (!om_mul(T, cols, &q) || !om_mul(q, sizeof(int16_t), &q) || !om_align_up(q, 64, d))
        return false;
    if (!om_mul(T, cols / 32 * sizeof(float), &nd) || !om_add(*d, nd, s) || !om_align_up(*s, 64, s))
        return false;
    if (!om_mul(T, cols / 16 * sizeof(int32_t), &ns) || !om_add(*s, ns, end) || !om_align_up(*end, 64, end))
        return false;
    return true;
}

size_t om_q16_bytes(size_t T, size_t cols)
{
    size_t d, s, end;
    return q16_layout(T, cols, &d, &s, &end) ? end : SIZE_MAX; /* SIZE_MAX: no allocation of it succeeds */
}

void om_q16_place(om_q16 *a, void *mem, size_t T, size_t cols)
{
    size_t d = 0, s = 0, end = 0;
    (void)q16_layout(T, cols, &d, &s, &end); /* the caller has got om_q16_bytes of memory, so this cannot fail */
    a->q = mem;
    a->d = (float *)(void *)((char *)mem + d);
    a->s = (int32_t *)(void *)((char *)mem + s);
}

/* The largest user is OpenBLAS's panel of floats; the quantised panels (16 rows of 16-bit weights, scales and minima)
 * and the row groups of the float paths are smaller. */
size_t om_kern_scratch_bytes(size_t cols)
{
    size_t n;
    if (!om_mul(cols, OM_BLAS_ROWS * sizeof(float), &n) || !om_add(n, 4096, &n))
        return SIZE_MAX;
    return n;
}

/* ---- levels ---- */

#if defined(__x86_64__)
static uint64_t xcr0(void)
{
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}
enum { CAN_AVX2 = 1, CAN_AVX512 = 2 };
/* What both the CPU (CPUID) and the system (XCR0: registers saved on a switch) allow. */
static int x86_features(void)
{
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d))
        return 0;
    const uint32_t need1 = 1u << 12 | 1u << 27 | 1u << 28 | 1u << 29; /* FMA OSXSAVE AVX F16C */
    if ((c & need1) != need1)
        return 0;
    uint64_t x = xcr0();
    if ((x & 6) != 6 || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & 1u << 5)) /* XMM, YMM state; AVX2 */
        return 0;
    const uint32_t need512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;           /* F DQ BW VL */
    bool wide = (x & 0xe6) == 0xe6 && (b & need512) == need512 && (c & 1u << 11); /* opmask, ZMM state; VNNI */
    return CAN_AVX2 | (wide ? CAN_AVX512 : 0);
}
#endif

/* All names, each with its table if this build and machine have it. `family` levels build on each other. */
typedef struct level {
    const char *name;
    int family; /* 0 any machine, 1 x86, 2 arm */
    const om_kern *k;
} level;

static void find_levels(level out[OM_KERN_N_LEVELS])
{
    const om_kern *avx2 = NULL, *const avx512 = NULL, *const neon = NULL;
#if defined(__x86_64__)
    int f = x86_features();
    avx2 = f & CAN_AVX2 ? &om_kern_avx2 : NULL;
#elif defined(__aarch64__)
#endif
    out[0] = (level){"generic", 0, &om_kern_generic};
    out[1] = (level){"avx2", 1, avx2};
    out[2] = (level){"avx512", 1, avx512};
    out[3] = (level){"neon", 2, neon};
}

const om_kern *om_kern_level(size_t i)
{
    level l[OM_KERN_N_LEVELS];
    find_levels(l);
    for (size_t j = 0; j < OM_KERN_N_LEVELS; j++)
        if (l[j].k && i-- == 0)
            return l[j].k;
    return NULL;
}

const om_kern *om_kern_get(const char *isa, omni_error *err)
{
    level l[OM_KERN_N_LEVELS];
    find_levels(l);
    const om_kern *best = l[0].k;
    for (size_t j = 0; j < OM_KERN_N_LEVELS; j++) {
        bool named = isa && strcmp(isa, l[j].name) == 0;
        if (!isa && l[j].k)
            best = l[j].k;
        if (!named)
            continue;
        for (size_t b = 0; b <= j; b++) /* the levels of another family are not below this one */
            if (l[b].k && (l[b].family == 0 || l[b].family == l[j].family))
                best = l[b].k;
        return best;
    }
    if (!isa)
        return best;
    (void)om_fail(err, OMNI_E_USAGE, "unknown ISA level '%.40s': expected generic, avx2, avx512 or neon", isa);
    return NULL;
}
