/* base.h - what every module stands on: error text, checked sizes, allocation, UTF-8, random numbers, clock.
 * May include: libc (and omni.h for the public status types). Nothing here prints or exits. */
#ifndef OMNI_BASE_H
#define OMNI_BASE_H

#include "omni.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- errors: fill err (may be NULL) and return the status, so that `return om_fail(...)` reads well ---- */
omni_status om_fail(omni_error *err, omni_status s, const char *fmt, ...) OMNI_PRINTF(3, 4);
/* The same with ": strerror(errno)" appended; status OMNI_E_SYSTEM (OMNI_E_MEMORY when errno is ENOMEM). */
omni_status om_fail_errno(omni_error *err, const char *fmt, ...) OMNI_PRINTF(2, 3);
/* "out of memory (N bytes for WHAT)". */
omni_status om_fail_memory(omni_error *err, size_t bytes, const char *what);
/* Puts "prefix: " before the text already in err. Returns s. */
omni_status om_fail_prefix(omni_error *err, omni_status s, const char *fmt, ...) OMNI_PRINTF(3, 4);
/* Bytes from outside, made fit for an error text: what is not printable UTF-8 becomes \xNN, what does not fit in
 * out[cap] ends in "...". Returns out. */
const char *om_show(char *out, size_t cap, const char *s, size_t n);

/* ---- sizes: false when the result does not fit; *out is then unchanged ---- */
static inline bool om_add(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}
static inline bool om_mul(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}
/* Rounds up to a multiple of align (a power of two). */
bool om_align_up(size_t n, size_t align, size_t *out);

/* ---- allocation: all of the library's goes through here, so that tests can fail the n-th ---- */
void *om_alloc(size_t n);                       /* malloc; n = 0 gives a unique pointer */
void *om_alloc_zero(size_t count, size_t size); /* calloc, overflow checked */
void *om_realloc(void *p, size_t n);
void *om_alloc_aligned(size_t align, size_t n); /* align a power of two >= 8; om_free frees it */
void om_free(void *p);
char *om_strndup(const char *s, size_t n); /* exactly n bytes and a NUL */
/* Tests: from now on the n-th allocation (1 = the next) and, if sticky, all after it fail; 0 = none. */
void om_alloc_fail_at(uint64_t n, bool sticky);
uint64_t om_alloc_count(void); /* allocations so far, all threads */

/* Grows *p (elements of `size` bytes) to hold `need`, doubling. */
omni_status om_grow(void **p, size_t *cap, size_t need, size_t size, omni_error *err);

/* ---- byte buffer: text being built; start from {0} ---- */
typedef struct om_buf {
    char *p;
    size_t n, cap; /* p[n] is always NUL once something was added */
} om_buf;
omni_status om_buf_add(om_buf *b, const void *bytes, size_t n);
omni_status om_buf_addf(om_buf *b, const char *fmt, ...) OMNI_PRINTF(2, 3);
void om_buf_clear(om_buf *b); /* empty, memory kept */
void om_buf_release(om_buf *b);

/* ---- UTF-8 ---- */
/* Length 1..4 of the valid character at s[0..n); 0 = invalid, -1 = valid so far but cut short. *cp may be NULL. */
int om_utf8_next(const char *s, size_t n, uint32_t *cp);
size_t om_utf8_put(uint32_t cp, char out[4]); /* 0 for surrogates and > 0x10FFFF */
bool om_utf8_valid(const char *s, size_t n, size_t *bad_offset);

/* ---- random numbers: PCG64-family, ours, so that a seed means the same everywhere ---- */
typedef struct om_rng {
    uint64_t state, inc;
} om_rng;
void om_rng_seed(om_rng *r, uint64_t seed);
uint32_t om_rng_u32(om_rng *r);
double om_rng_double(om_rng *r); /* [0, 1), 53 bits */

/* ---- clock and hashes ---- */
double om_clock_s(void); /* monotonic seconds */
uint64_t om_hash_fnv1a(uint64_t h, const void *p, size_t n);
#define OM_HASH_FNV1A_INIT 0xcbf29ce484222325ull
uint64_t om_hash_bytes(const void *p, size_t n); /* fast, for hash tables; the same on every machine */

#endif
