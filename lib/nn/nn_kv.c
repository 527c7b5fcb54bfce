/* nn_kv.c - the KV cache. Keys are stored with 16 positions side by side, so that one vector holds one dimension of 16
 * positions and a score needs no horizontal sum; values lie position by position. Fresh memory is zero and pages are
 * touched only as positions are filled: an unused context costs address space, not memory. */
#include "nn/nn.h"

#include <math.h>
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

/* Elements of one plane of keys; values take as many. */
static bool plane_elements(const om_kv *s, size_t *n)
{
    return om_align_up(s->n_ctx, OM_KV_BLOCK, n) && om_mul(*n, s->n_layer, n) && om_mul(*n, s->n_head_kv, n) &&
           om_mul(*n, s->head_dim, n);
}

bool om_kv_bytes(const om_kv *shape, size_t *bytes)
{
    size_t n;
    return plane_elements(shape, &n) && om_mul(n, 2 * shape->n_planes * sizeof(uint16_t), bytes);
}

omni_status om_kv_init(om_kv *kv, const om_kv *shape, omni_error *err)
{
    size_t n = 0, bytes = 0;
    if (!plane_elements(shape, &n) || !om_kv_bytes(shape, &bytes))
        return om_fail(err, OMNI_E_USAGE, "a KV cache of %zu positions does not fit the address space", shape->n_ctx);
    /* One calloc for all: large zeroed blocks come from the system untouched. */
    uint16_t *p = om_alloc_zero(bytes, 1);
    if (!p)
        return om_fail_memory(err, bytes, "the KV cache");
    *kv = *shape;
    om_align_up(shape->n_ctx, OM_KV_BLOCK, &kv->n_ctx);
    for (size_t i = 0; i < 2; i++) {
        kv->k[i] = i < shape->n_planes ? p + 2 * i * n : NULL;
        kv->v[i] = i < shape->n_planes ? p + (2 * i + 1) * n : NULL;
    }
    return OMNI_OK;
}

void om_kv_release(om_kv *kv)
{
    om_free(kv->k[0]);
    *kv = (om_kv){0};
}

static size_t k_at(const om_kv *kv, size_t layer, size_t head, size_t pos)
{
    return head_offset(kv, layer, head) + pos / OM_KV_BLOCK * block_elements(kv) + pos % OM_KV_BLOCK;
}

static size_t v_at(const om_kv *kv, size_t layer, size_t head, size_t pos)
{
    return head_offset(kv, layer, head) + pos * kv->head_dim;
}

/* x as f16, and x becomes what the rounding took away (nothing where f16 overflowed). */
static void split_f16(const om_kern *kern, float *x, uint16_t *half, size_t n, bool rest)
{
    float back[MAX_HEAD_DIM];
    kern->f32_to_f16(x, half, n);
    if (!rest)
        return;
    kern->f16_to_f32(half, back, n);
    for (size_t i = 0; i < n; i++)
        x[i] = isfinite(back[i]) ? x[i] - back[i] : 0;
}

static void put_key(const om_kv *kv, const om_kern *kern, size_t layer, size_t head, size_t pos, float *key)
{
    uint16_t half[MAX_HEAD_DIM];
    for (size_t i = 0; i < kv->n_planes; i++) {
        uint16_t *col = kv->k[i] + k_at(kv, layer, head, pos);
        split_f16(kern, key, half, kv->head_dim, i + 1 < kv->n_planes);
        for (size_t d = 0; d < kv->head_dim; d++)
            col[d * OM_KV_BLOCK] = half[d];
    }
}

static void get_key(const om_kv *kv, const om_kern *kern, size_t layer, size_t head, size_t pos, float *key)
{
    uint16_t half[MAX_HEAD_DIM];
    float part[MAX_HEAD_DIM];
    memset(key, 0, kv->head_dim * sizeof *key);
    for (size_t i = 0; i < kv->n_planes; i++) {
        const uint16_t *col = kv->k[i] + k_at(kv, layer, head, pos);
        for (size_t d = 0; d < kv->head_dim; d++)
            half[d] = col[d * OM_KV_BLOCK];
        kern->f16_to_f32(half, part, kv->head_dim);
        for (size_t d = 0; d < kv->head_dim; d++)
            key[d] += part[d];
    }
}

void om_kv_put(const om_kv *kv, const om_kern *kern, size_t layer, size_t pos, const float *k, const float *v)
{
    float x[MAX_HEAD_DIM];
    for (size_t h = 0; h < kv->n_head_kv; h++) {
        memcpy(x, k + h * kv->head_dim, kv->head_dim * sizeof *x);
        put_key(kv, kern, layer, h, pos, x);
        memcpy(x, v + h * kv->head_dim, kv->head_dim * sizeof *x);
        for (size_t i = 0; i < kv->n_planes; i++)
            split_f16(kern, x, kv->v[i] + v_at(kv, layer, h, pos), kv->head_dim, i + 1 < kv->n_planes);
    }
}

void om_kv_shift(const om_kv *kv, const om_kern *kern, size_t layer, const om_rope *rope, size_t from, size_t end,
                 size_t by)
{
    float cosv[MAX_HEAD_DIM / 2], sinv[MAX_HEAD_DIM / 2], key[MAX_HEAD_DIM];
    om_rope_at(rope, -(int64_t)by, cosv, sinv);
    for (size_t h = 0; h < kv->n_head_kv; h++) {
        for (size_t p = from; p < end; p++) {
            get_key(kv, kern, layer, h, p, key);
            kern->rope(key, cosv, sinv, rope->n_dims, rope->neox);
            put_key(kv, kern, layer, h, p - by, key);
        }
        for (size_t i = 0; i < kv->n_planes; i++)
            memmove(kv->v[i] + v_at(kv, layer, h, from - by), kv->v[i] + v_at(kv, layer, h, from),
                    (end - from) * kv->head_dim * sizeof(uint16_t));
    }
}
