/* base_tokens.c - omni_tokens: a growing list of token ids. */
#include "base/base.h"

#include <string.h>

void omni_tokens_release(omni_tokens *t)
{
    if (!t)
        return;
    om_free(t->ids);
    *t = (omni_tokens){0};
}

omni_status omni_tokens_push(omni_tokens *t, const int32_t *ids, size_t n)
{
    size_t need;
    if (n == 0)
        return OMNI_OK;
    if (!om_add(t->n, n, &need))
        return OMNI_E_MEMORY;
    void *p = t->ids;
    omni_status s = om_grow(&p, &t->cap, need, sizeof *ids, NULL);
    if (s != OMNI_OK)
        return s;
    t->ids = p;
    memcpy(t->ids + t->n, ids, n * sizeof *ids);
    t->n = need;
    return OMNI_OK;
}
