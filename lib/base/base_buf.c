/* base_buf.c - text being built. */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static omni_status reserve(om_buf *b, size_t more)
{
    size_t need;
    void *p = b->p;
    if (!om_add(b->n, more, &need) || !om_add(need, 1, &need))
        return OMNI_E_MEMORY;
    omni_status st = om_grow(&p, &b->cap, need, 1, NULL);
    b->p = p;
    return st;
}

omni_status om_buf_add(om_buf *b, const void *bytes, size_t n)
{
    omni_status st = reserve(b, n);
    if (st != OMNI_OK)
        return st;
    if (n)
        memcpy(b->p + b->n, bytes, n);
    b->n += n;
    b->p[b->n] = '\0';
    return OMNI_OK;
}

omni_status om_buf_addf(om_buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    omni_status st = n < 0 ? OMNI_E_SYSTEM : reserve(b, (size_t)n);
    if (st == OMNI_OK) {
        vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
        b->n += (size_t)n;
    }
    va_end(again);
    return st;
}

void om_buf_clear(om_buf *b)
{
    b->n = 0;
    if (b->p)
        b->p[0] = '\0';
}

void om_buf_release(om_buf *b)
{
    om_free(b->p);
    *b = (om_buf){0};
}
