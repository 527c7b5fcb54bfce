/* nn_kv.c - the KV cache. Keys are stored with 16 positions side by side, so that one vector holds one dimension of 16
 * positions and a score needs no horizontal sum; values lie position by position. Fresh memory is zero and pages are
 * touched only as positions are filled: an unused context costs address space, not memory. */
#include "nn/nn.h"

#include <string.h>

#define MAX_HEAD_DIM 1024 /* om_hparams_read admits no larger head */

static size_t block_elements(const om_kv *kv)
{
    return kv->head_dim * OM_KV_BLOCK;
}

/* First element of the stream of one layer and head; both k and v have this shape. */
static size_t head_offset(const om_kv *kv, size_t layer, size_t head)
{
    return (layer * kv->n_head_kv + head) * (kv->n_ctx / OM_KV_BLOCK) * block_elements(kv);
}

static bool kv_elements(size_t n_layer, size_t n_head_kv, size_t head_dim, size_t n_ctx, size_t *n)
{
    return om_align_up(n_ctx, OM_KV_BLOCK, n) && om_mul(*n, n_layer, n) && om_mul(*n, n_head_kv, n) && om_mul(*n, head_dim, n);
}

bool om_kv_bytes(size_t n_layer, size_t n_head_kv, size_t head_dim, size_t n_ctx, size_t *bytes)
{
    size_t n;
    return kv_elements(n_layer, n_head_kv, head_dim, n_ctx, &n) && om_mul(n, 2 * sizeof(uint16_t), bytes);
}

omni_status om_kv_init(om_kv *kv, size_t n_layer, size_t n_head_kv, size_t head_dim, size_t n_ctx, omni_error *err)
{
    size_t n = 0, bytes = 0;
    if (!kv_elements(n_layer, n_head_kv, head_dim, n_ctx, &n) || !om_kv_bytes(n_layer, n_head_kv, head_dim, n_ctx, &bytes))
        return om_fail(err, OMNI_E_USAGE, "KV cache of %zu positions does not fit the address space", n_ctx);
    /* One calloc for both: large zeroed blocks come from the system untouched. */
    uint16_t *p = om_alloc_zero(n, 2 * sizeof *p);
    if (!p)
        return om_fail_memory(err, bytes, "the KV cache");
    om_align_up(n_ctx, OM_KV_BLOCK, &n_ctx);
    *kv = (om_kv){n_layer, n_head_kv, head_dim, n_ctx, p, p + n};
    return OMNI_OK;
}

void om_kv_release(om_kv *kv)
{
    om_free(kv->k);
    kv->k = kv->v = NULL;
}

static uint16_t *k_column(const om_kv *kv, size_t layer, size_t head, size_t pos)
{
    return kv->k + head_offset(kv, layer, head) + pos / OM_KV_BLOCK * block_elements(kv) + pos % OM_KV_BLOCK;
}

static uint16_t *v_row(const om_kv *kv, size_t layer, size_t head, size_t pos)
{
    return kv->v + head_offset(kv, layer, head) + pos * kv->head_dim;
}

void om_kv_put(const om_kv *kv, const om_kern *kern, size_t layer, size_t pos, const float *k, const float *v)
{
    uint16_t half[MAX_HEAD_DIM];
    for (size_t h = 0; h < kv->n_head_kv; h++) {
        uint16_t *col = k_column(kv, layer, h, pos);
        kern->f32_to_f16(k + h * kv->head_dim, half, kv->head_dim);
        for (size_t d = 0; d < kv->head_dim; d++)
            col[d * OM_KV_BLOCK] = half[d];
        kern->f32_to_f16(v + h * kv->head_dim, v_row(kv, layer, h, pos), kv->head_dim);
    }
}

void om_kv_shift(const om_kv *kv, const om_nn *nn, size_t layer, const om_rope *rope, size_t from, size_t end, size_t by)
{
    float cosv[MAX_HEAD_DIM / 2], sinv[MAX_HEAD_DIM / 2], key[MAX_HEAD_DIM];
    uint16_t half[MAX_HEAD_DIM];
    om_rope_at(rope, -(int64_t)by, cosv, sinv);
    for (size_t h = 0; h < kv->n_head_kv; h++) {
        for (size_t p = from; p < end; p++) {
            const uint16_t *src = k_column(kv, layer, h, p);
            uint16_t *dst = k_column(kv, layer, h, p - by);
            for (size_t d = 0; d < kv->head_dim; d++)
                half[d] = src[d * OM_KV_BLOCK];
            nn->kern->f16_to_f32(half, key, kv->head_dim);
            nn->kern->rope(key, cosv, sinv, rope->n_dims, rope->neox);
            nn->kern->f32_to_f16(key, half, kv->head_dim);
            for (size_t d = 0; d < kv->head_dim; d++)
                dst[d * OM_KV_BLOCK] = half[d];
        }
        memmove(v_row(kv, layer, h, from - by), v_row(kv, layer, h, from), (end - from) * kv->head_dim * sizeof(uint16_t));
    }
}
