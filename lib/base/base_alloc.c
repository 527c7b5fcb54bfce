/* base_alloc.c - allocation with a failure hook for tests, and growing arrays. */
#include "base/base.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_uint_fast64_t n_alloc;
static atomic_uint_fast64_t fail_at; /* number of the allocation that fails, 0 = none */
static atomic_bool fail_sticky;

static bool must_fail(void)
{
    uint_fast64_t n = atomic_fetch_add_explicit(&n_alloc, 1, memory_order_relaxed) + 1;
    uint_fast64_t at = atomic_load_explicit(&fail_at, memory_order_relaxed);
    if (at == 0)
        return false;
    return atomic_load_explicit(&fail_sticky, memory_order_relaxed) ? n >= at : n == at;
}

void om_alloc_fail_at(uint64_t n, bool sticky)
{
    atomic_store(&fail_sticky, sticky);
    atomic_store(&fail_at, n ? atomic_load(&n_alloc) + n : 0);
}

uint64_t om_alloc_count(void)
{
    return atomic_load_explicit(&n_alloc, memory_order_relaxed);
}

void *om_alloc(size_t n)
{
    return must_fail() ? NULL : malloc(n ? n : 1);
}

void *om_alloc_zero(size_t count, size_t size)
{
    return must_fail() ? NULL : calloc(count ? count : 1, size ? size : 1);
}

void *om_realloc(void *p, size_t n)
{
    return must_fail() ? NULL : realloc(p, n ? n : 1);
}

void *om_alloc_aligned(size_t align, size_t n)
{
    void *p = NULL;
    if (must_fail() || posix_memalign(&p, align, n ? n : align) != 0)
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
        memcpy(p, s, n);
        p[n] = '\0';
    }
    return p;
}

bool om_align_up(size_t n, size_t align, size_t *out)
{
    size_t t;
    if (!om_add(n, align - 1, &t))
        return false;
    *out = t & ~(align - 1);
    return true;
}

omni_status om_grow(void **p, size_t *cap, size_t need, size_t size, omni_error *err)
{
    if (need <= *cap)
        return OMNI_OK;
    size_t n = *cap ? *cap : 16, bytes;
    while (n < need)
        if (!om_mul(n, 2, &n))
            n = need;
    if (!om_mul(n, size, &bytes))
        return om_fail(err, OMNI_E_MEMORY, "out of memory (%zu elements of %zu bytes)", need, size);
    void *q = om_realloc(*p, bytes);
    if (!q)
        return om_fail_memory(err, bytes, "a growing list");
    *p = q;
    *cap = n;
    return OMNI_OK;
}

void omni_tokens_release(omni_tokens *t)
{
    om_free(t->ids);
    *t = (omni_tokens){0};
}

omni_status omni_tokens_push(omni_tokens *t, const int32_t *ids, size_t n)
{
    size_t need;
    void *p = t->ids;
    if (n == 0)
        return OMNI_OK;
    if (!om_add(t->n, n, &need))
        return OMNI_E_MEMORY;
    omni_status st = om_grow(&p, &t->cap, need, sizeof *t->ids, NULL);
    t->ids = p;
    if (st != OMNI_OK)
        return st;
    memcpy(t->ids + t->n, ids, n * sizeof *ids);
    t->n = need;
    return OMNI_OK;
}
