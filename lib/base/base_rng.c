/* base_rng.c - PCG32 (XSH-RR; O'Neill 2014): small, good, the same everywhere. */
#include "base/base.h"

#define PCG_MULTIPLIER 6364136223846793005ull

static uint64_t splitmix64(uint64_t *x)
{
    uint64_t z = *x += 0x9E3779B97F4A7C15ull;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ z >> 27) * 0x94D049BB133111EBull;
    return z ^ z >> 31;
}

void om_rng_seed(om_rng *r, uint64_t seed)
{
    r->inc = splitmix64(&seed) | 1; /* nearby seeds give unrelated streams */
    r->state = splitmix64(&seed);
    (void)om_rng_u32(r);
}

uint32_t om_rng_u32(om_rng *r)
{
    uint64_t old = r->state;
    r->state = old * PCG_MULTIPLIER + r->inc;
    uint32_t x = (uint32_t)((old >> 18 ^ old) >> 27), rot = (uint32_t)(old >> 59);
    return x >> rot | x << (-rot & 31);
}

double om_rng_double(om_rng *r)
{
    uint64_t hi = om_rng_u32(r), lo = om_rng_u32(r);
    return (double)((hi << 32 | lo) >> 11) * 0x1p-53;
}
