/* base_alloc.c - the library's allocations, countable and, for tests, failing on demand. */
#include "base/base.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static _Atomic uint64_t n_allocs;
static _Atomic uint64_t fail_at; /* absolute number of the allocation that fails, 0 = none */
static atomic_bool fail_sticky;

/* Relaxed is enough: the counter orders nothing, and tests set the hooks before they start threads. */
static bool may_alloc(void)
{
    uint64_t k = atomic_fetch_add_explicit(&n_allocs, 1, memory_order_relaxed) + 1;
    uint64_t bad = atomic_load_explicit(&fail_at, memory_order_relaxed);
    if (__builtin_expect(bad == 0, 1))
        return true;
    return !(k == bad || (k > bad && atomic_load_explicit(&fail_sticky, memory_order_relaxed)));
}

void om_alloc_fail_at(uint64_t n, bool sticky)
{
    uint64_t now = atomic_load_explicit(&n_allocs, memory_order_relaxed);
    atomic_store_explicit(&fail_sticky, sticky, memory_order_relaxed);
    atomic_store_explicit(&fail_at, n ? now + n : 0, memory_order_relaxed);
}

uint64_t om_alloc_count(void)
{
    return atomic_load_explicit(&n_allocs, memory_order_relaxed);
}

void *om_alloc(size_t n)
{
    return may_alloc() ? malloc(n ? n : 1) : NULL;
}

void *om_alloc_zero(size_t count, size_t size)
{
    size_t n;
    if (!om_mul(count, size, &n) || !may_alloc())
        return NULL;
    return calloc(n ? n : 1, 1);
}

void *om_realloc(void *p, size_t n)
{
    return may_alloc() ? realloc(p, n ? n : 1) : NULL;
}

void *om_alloc_aligned(size_t align, size_t n)
{
    void *p = NULL;
    if (!may_alloc() || posix_memalign(&p, align, n ? n : 1) != 0)
        return NULL;
    return p;
}

void om_free(void *p)
{
    free(p);
}

char *om_strndup(const char *s, size_t n)
{
    size_t bytes;
    char *p = om_add(n, 1, &bytes) ? om_alloc(bytes) : NULL;
    if (p) {
        if (n)
            memcpy(p, s, n);
        p[n] = '\0';
    }
    return p;
}

bool om_align_up(size_t n, size_t align, size_t *out)
{
    size_t sum;
    if (!om_add(n, align - 1, &sum))
        return false;
    *out = sum & ~(align - 1);
    return true;
}

omni_status om_grow(void **p, size_t *cap, size_t need, size_t size, omni_error *err)
{
    if (need <= *cap)
        return OMNI_OK;
    size_t want = *cap < 8 ? 16 : *cap, bytes;
    while (want < need)
        if (!om_mul(want, 2, &want))
            want = need;
    /* Doubling may not fit where the need itself still does. */
    if (!om_mul(want, size, &bytes)) {
        want = need;
        if (!om_mul(want, size, &bytes))
            return om_fail_memory(err, SIZE_MAX, "a growing array");
    }
    void *q = om_realloc(*p, bytes);
    if (!q)
        return om_fail_memory(err, bytes, "a growing array");
    *p = q;
    *cap = want;
    return OMNI_OK;
}
