/* base_hash.c - hashes and the clock. */
#include "base/base.h"

#include <string.h>
#include <time.h>

uint64_t om_hash_fnv1a(uint64_t h, const void *p, size_t n)
{
    const unsigned char *s = p;
    for (size_t i = 0; i < n; i++)
        h = (h ^ s[i]) * 0x100000001b3ull;
    return h;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 m = (unsigned __int128)a * b;
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

/* Little-endian load of up to 8 bytes. */
static uint64_t load(const unsigned char *s, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v |= (uint64_t)s[i] << (8 * i);
    return v;
}

/* Multiply-fold over 8-byte words, after wyhash (Wang Yi, public domain). */
uint64_t om_hash_bytes(const void *p, size_t n)
{
    const unsigned char *s = p;
    uint64_t h = 0xa0761d6478bd642full ^ n;
    for (; n >= 8; s += 8, n -= 8)
        h = mix(h ^ load(s, 8), 0xe7037ed1a0b428dbull);
    if (n)
        h = mix(h ^ load(s, n), 0x8ebc6af09c88c6e3ull);
    return mix(h, 0x589965cc75374cc3ull);
}

double om_clock_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}
