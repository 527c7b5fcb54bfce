/* nn.h - layers shared by the nets, run by the pool: linear maps, RMS norm, rotary positions, KV cache, attention.
 * Activations are [T][n] float rows. Results do not depend on T, on threads or on how a sequence was cut into calls.
 * May include: base, kern. */
#ifndef OMNI_NN_H
#define OMNI_NN_H

#include "base/base.h"
#include "base/base_pool.h"
#include "kern/kern.h"

typedef struct om_nn { /* what every layer needs; not owned */
    const om_kern *kern;
    om_pool *pool;
    char *scratch;        /* threads * scratch_bytes, one part a worker */
    size_t scratch_bytes; /* >= om_nn_scratch_bytes */
    bool float_act;       /* float activations for quantised matrices too */
} om_nn;

/* Scratch a worker needs for matrices of up to max_cols columns and attention of head_dim and group query heads. */
size_t om_nn_scratch_bytes(size_t max_cols, size_t head_dim, size_t group);

/* ---- linear ---- */
typedef struct om_act { /* the input of a linear map: float rows, and their 16-bit form once om_nn_act made it */
    const float *f;     /* [T][ld] */
    size_t ld, cols;
    om_q16 q;
} om_act;
typedef struct om_nn_out {
    const om_mat *w;
    float *y; /* [T][ld] */
    size_t ld;
} om_nn_out;
/* True when w wants quantised activations under nn's setting. */
bool om_nn_wants_q16(const om_nn *nn, const om_mat *w);
/* Quantises rows of x->f into x->q (memory placed by the caller). */
void om_nn_quantize(const om_nn *nn, om_act *x, size_t T);
/* out[i].y = out[i].w x for all i in one parallel loop: fused QKV, gate and up. */
void om_nn_linear(const om_nn *nn, const om_nn_out *out, size_t n_out, const om_act *x, size_t T);

/* y[t] = rms_norm(x[t]) * w; when q is wanted also its quantised form into act->q. In place allowed. */
void om_nn_rms_norm(const om_nn *nn, const float *x, const float *w, float eps, float *y, size_t n, size_t T);

/* ---- rotary positions (Su et al. 2021) ---- */
typedef struct om_rope {
    size_t n_dims;    /* rotated dimensions of a head, even */
    bool neox;        /* pairs (i, i + n/2) instead of (2i, 2i + 1) */
    double *inv_freq; /* [n_dims / 2] */
} om_rope;
/* factors: [n_dims / 2] divisors of the frequencies (Llama 3's rope_freqs) or NULL; scale: linear position scale (1 =
 * none). */
omni_status om_rope_init(om_rope *r, size_t n_dims, bool neox, double base, double scale, const float *factors,
                         omni_error *err);
void om_rope_release(om_rope *r);
/* cos and sin [n_dims / 2] for a position; a negative one turns back. */
void om_rope_at(const om_rope *r, int64_t pos, float *cosv, float *sinv);

/* ---- KV cache of one sequence: f16, head-major, blocks of OM_KV_BLOCK positions ---- */
typedef struct om_kv {
    size_t n_layer, n_head_kv, head_dim, n_ctx; /* n_ctx rounded up to whole blocks */
    size_t n_planes; /* 1: f16; 2: the second plane holds what rounding took from the first, 22 bits together */
    uint16_t *k[2];  /* [plane] -> [layer][head][block][head_dim][16] */
    uint16_t *v[2];  /* [plane] -> [layer][head][block][16][head_dim] */
} om_kv;
/* The shape: n_layer .. n_planes; the rest is filled by om_kv_init. Bytes of a cache; false when that does not fit
 * size_t. */
bool om_kv_bytes(const om_kv *shape, size_t *bytes);
omni_status om_kv_init(om_kv *kv, const om_kv *shape, omni_error *err);
void om_kv_release(om_kv *kv);
/* Stores k and v [n_head_kv][head_dim] of one position. */
void om_kv_put(const om_kv *kv, const om_kern *kern, size_t layer, size_t pos, const float *k, const float *v);
/* Moves positions from..end-1 of a layer down by `by`, turning the keys back by as much. */
void om_kv_shift(const om_kv *kv, const om_kern *kern, size_t layer, const om_rope *rope, size_t from, size_t end,
                 size_t by);

/* ---- attention ---- */
typedef struct om_attn {
    const om_kv *kv;
    size_t layer;
    size_t n_head; /* query heads, a multiple of kv->n_head_kv */
    float scale;   /* multiplies the scores */
    size_t window; /* a query at p sees p - window + 1 .. p; 0 = all */
} om_attn;
/* Bytes of `partial` for sequences of up to n_ctx positions. */
size_t om_nn_attention_bytes(size_t n_head, size_t head_dim, size_t n_ctx);
/* q[T][ldq] are heads of tokens at positions pos0 .. pos0 + T - 1, whose keys and values are in the cache already.
 * o[T][ldo] = softmax(q k^T * scale) v. Sums run over chunks of 128 absolute positions, in order, so that the result is
 * the same for every T. Method: online softmax (Milakov & Gimelshein 2018). */
void om_nn_attention(const om_nn *nn, const om_attn *a, const float *q, size_t ldq, size_t T, size_t pos0, float *o,
                     size_t ldo, void *partial);

#endif
