/* nn_attention.c - grouped-query attention over the KV cache. Positions are taken in chunks of CHUNK absolute
 * positions: each chunk gives (max, sum, weighted values), chunks are merged in order. Prefill walks the chunks of a
 * tile of queries one after the other; decoding computes them in parallel and merges afterwards: the same numbers
 * either way. */
#include "nn/nn.h"

#include <math.h>
#include <string.h>

#define CHUNK 128
#define QUERY_TILE 8 /* tokens that share the key and value loads of a task */

typedef struct attn_job {
    const om_nn *nn;
    const om_attn *a;
    const float *q;
    size_t ldq, T, pos0;
    float *o;
    size_t ldo;
    float *partial;
    size_t chunk0, n_chunks; /* decoding: chunks in sight */
} attn_job;

/* A worker's buffers for up to `rows` queries. */
typedef struct attn_buf {
    float *q;               /* [rows][head_dim], scaled */
    float *s, *s2;          /* [rows][CHUNK]; s2: of the second plane */
    float *oc;              /* [rows][head_dim] of one chunk */
    float *o;               /* [rows][head_dim] merged */
    float *m, *l, *mc, *lc; /* [rows] */
} attn_buf;

static size_t attn_floats(size_t rows, size_t head_dim)
{
    return rows * (3 * head_dim + 2 * CHUNK + 4);
}

static attn_buf place(char *scratch, size_t rows, size_t head_dim)
{
    float *f = (float *)(void *)scratch;
    attn_buf b;
    b.q = f;
    b.s = b.q + rows * head_dim;
    b.s2 = b.s + rows * CHUNK;
    b.oc = b.s2 + rows * CHUNK;
    b.o = b.oc + rows * head_dim;
    b.m = b.o + rows * head_dim;
    b.l = b.m + rows;
    b.mc = b.l + rows;
    b.lc = b.mc + rows;
    return b;
}

size_t om_nn_scratch_bytes(size_t max_cols, size_t head_dim, size_t group)
{
    size_t mat = om_kern_scratch_bytes(max_cols);
    size_t attn = attn_floats(QUERY_TILE * group, head_dim) * sizeof(float);
    size_t n = mat > attn ? mat : attn;
    return (n + 127) / 64 * 64; /* whole cache lines, so that workers do not share one */
}

size_t om_nn_attention_bytes(size_t n_head, size_t head_dim, size_t n_ctx)
{
    return (n_ctx / CHUNK + 1) * n_head * (head_dim + 2) * sizeof(float);
}

static size_t first_visible(const om_attn *a, size_t pos)
{
    return a->window && pos + 1 > a->window ? pos + 1 - a->window : 0;
}

/* Copies and scales the queries of kv head h: row (t - t0) * group + g. */
static void gather_queries(const attn_job *j, size_t h, size_t t0, size_t n, float *q)
{
    size_t hd = j->a->kv->head_dim, group = j->a->n_head / j->a->kv->n_head_kv;
    for (size_t t = 0; t < n; t++)
        for (size_t g = 0; g < group; g++) {
            float *dst = q + (t * group + g) * hd;
            memcpy(dst, j->q + (t0 + t) * j->ldq + (h * group + g) * hd, hd * sizeof *dst);
            j->nn->kern->scale(dst, j->a->scale, hd);
        }
}

/* What a query at pos must not see of the n scores of the chunk that starts at c0 becomes -infinity. */
static void mask_row(const om_attn *a, size_t pos, size_t c0, float *s, size_t n)
{
    size_t lo = first_visible(a, pos), hi = pos + 1;
    size_t begin = lo > c0 ? lo - c0 : 0, end = hi > c0 ? hi - c0 : 0;
    for (size_t i = 0; i < n && i < begin; i++)
        s[i] = -INFINITY;
    for (size_t i = end; i < n; i++)
        s[i] = -INFINITY;
}

/* s[rows][CHUNK] of the first blocks of a chunk, k being the chunk's keys in one plane. */
static void scores(const attn_job *j, const attn_buf *b, size_t rows, const uint16_t *k, size_t blocks, float *s)
{
    size_t hd = j->a->kv->head_dim;
    for (size_t i = 0; i < blocks; i++)
        j->nn->kern->attn_scores(b->q, hd, rows, k + i * OM_KV_BLOCK * hd, hd, s + i * OM_KV_BLOCK, CHUNK);
}

/* One chunk for n tokens from t0 of kv head h: b->mc, b->lc, b->oc. */
static void run_chunk(const attn_job *j, size_t h, size_t t0, size_t n, size_t chunk, const attn_buf *b)
{
    const om_attn *a = j->a;
    const om_kv *kv = a->kv;
    const om_kern *kern = j->nn->kern;
    size_t hd = kv->head_dim, group = a->n_head / kv->n_head_kv, rows = n * group;
    size_t c0 = chunk * CHUNK, end = j->pos0 + t0 + n; /* first position nobody here sees */
    size_t blocks = ((end - c0 < CHUNK ? end - c0 : CHUNK) + OM_KV_BLOCK - 1) / OM_KV_BLOCK;
    size_t at = ((a->layer * kv->n_head_kv + h) * kv->n_ctx + c0) * hd;
    scores(j, b, rows, kv->k[0] + at, blocks, b->s);
    if (kv->n_planes == 2) {
        scores(j, b, rows, kv->k[1] + at, blocks, b->s2);
        for (size_t r = 0; r < rows; r++)
            kern->add(b->s + r * CHUNK, b->s2 + r * CHUNK, blocks * OM_KV_BLOCK);
    }
    for (size_t r = 0; r < rows; r++) {
        float *s = b->s + r * CHUNK;
        mask_row(a, j->pos0 + t0 + r / group, c0, s, blocks * OM_KV_BLOCK);
        b->mc[r] = kern->max(s, blocks * OM_KV_BLOCK);
        if (b->mc[r] == -INFINITY) { /* this query sees nothing of the chunk */
            memset(s, 0, blocks * OM_KV_BLOCK * sizeof *s);
            b->lc[r] = 0;
        } else {
            b->lc[r] = kern->exp_sum(s, b->mc[r], blocks * OM_KV_BLOCK);
        }
    }
    memset(b->oc, 0, rows * hd * sizeof *b->oc);
    for (size_t p = 0; p < kv->n_planes; p++)
        for (size_t i = 0; i < blocks; i++)
            kern->attn_values(b->s + i * OM_KV_BLOCK, CHUNK, rows, kv->v[p] + at + i * OM_KV_BLOCK * hd, hd, b->oc, hd);
}

/* (m, l, o) += (mc, lc, oc), rescaled to the larger maximum. */
static void merge(const om_kern *kern, float *m, float *l, float *o, float mc, float lc, const float *oc, size_t hd)
{
    if (mc == -INFINITY)
        return;
    if (*m == -INFINITY) {
        *m = mc;
        *l = lc;
        memcpy(o, oc, hd * sizeof *o);
        return;
    }
    float max = *m > mc ? *m : mc, w[2] = {*m, mc};
    (void)kern->exp_sum(w, max, 2);
    *m = max;
    *l = *l * w[0] + lc * w[1];
    for (size_t d = 0; d < hd; d++)
        o[d] = o[d] * w[0] + oc[d] * w[1];
}

static void write_out(const attn_job *j, size_t h, size_t t, size_t g, float l, const float *o)
{
    size_t hd = j->a->kv->head_dim, group = j->a->n_head / j->a->kv->n_head_kv;
    float *dst = j->o + t * j->ldo + (h * group + g) * hd;
    memcpy(dst, o, hd * sizeof *o);
    j->nn->kern->scale(dst, 1.0f / l, hd);
}

/* Prefill: unit = (kv head, tile of QUERY_TILE tokens), last tiles first because they are the longest. */
static void tile_piece(void *arg, size_t begin, size_t end, int worker)
{
    const attn_job *j = arg;
    const om_kv *kv = j->a->kv;
    size_t hd = kv->head_dim, group = j->a->n_head / kv->n_head_kv;
    attn_buf b = place(j->nn->scratch + (size_t)worker * j->nn->scratch_bytes, QUERY_TILE * group, hd);
    size_t tiles = (j->T + QUERY_TILE - 1) / QUERY_TILE;
    for (size_t u = begin; u < end; u++) {
        size_t h = u % kv->n_head_kv, t0 = (tiles - 1 - u / kv->n_head_kv) * QUERY_TILE;
        size_t n = j->T - t0 < QUERY_TILE ? j->T - t0 : QUERY_TILE, rows = n * group;
        gather_queries(j, h, t0, n, b.q);
        memset(b.o, 0, rows * hd * sizeof *b.o); /* NaN scores are invisible: such a query must still be defined */
        for (size_t r = 0; r < rows; r++) {
            b.m[r] = -INFINITY;
            b.l[r] = 0;
        }
        size_t c = first_visible(j->a, j->pos0 + t0) / CHUNK, last = (j->pos0 + t0 + n - 1) / CHUNK;
        for (; c <= last; c++) {
            run_chunk(j, h, t0, n, c, &b);
            for (size_t r = 0; r < rows; r++)
                merge(j->nn->kern, &b.m[r], &b.l[r], b.o + r * hd, b.mc[r], b.lc[r], b.oc + r * hd, hd);
        }
        for (size_t r = 0; r < rows; r++)
            write_out(j, h, t0 + r / group, r % group, b.l[r], b.o + r * hd);
    }
}

/* Decoding: unit = (kv head, chunk); partial[unit][group] = m, l, o[head_dim]. */
static void chunk_piece(void *arg, size_t begin, size_t end, int worker)
{
    const attn_job *j = arg;
    size_t hd = j->a->kv->head_dim, group = j->a->n_head / j->a->kv->n_head_kv;
    attn_buf b = place(j->nn->scratch + (size_t)worker * j->nn->scratch_bytes, QUERY_TILE * group, hd);
    for (size_t u = begin; u < end; u++) {
        size_t h = u / j->n_chunks;
        gather_queries(j, h, 0, 1, b.q);
        run_chunk(j, h, 0, 1, j->chunk0 + u % j->n_chunks, &b);
        for (size_t g = 0; g < group; g++) {
            float *p = j->partial + (u * group + g) * (hd + 2);
            p[0] = b.mc[g];
            p[1] = b.lc[g];
            memcpy(p + 2, b.oc + g * hd, hd * sizeof *p);
        }
    }
}

static void merge_chunks(const attn_job *j)
{
    size_t hd = j->a->kv->head_dim, group = j->a->n_head / j->a->kv->n_head_kv;
    for (size_t h = 0; h < j->a->kv->n_head_kv; h++)
        for (size_t g = 0; g < group; g++) {
            float *first = j->partial + (h * j->n_chunks * group + g) * (hd + 2);
            for (size_t c = 1; c < j->n_chunks; c++) {
                const float *p = first + c * group * (hd + 2);
                merge(j->nn->kern, &first[0], &first[1], first + 2, p[0], p[1], p + 2, hd);
            }
            write_out(j, h, 0, g, first[1], first + 2);
        }
}

void om_nn_attention(const om_nn *nn, const om_attn *a, const float *q, size_t ldq, size_t T, size_t pos0, float *o,
                     size_t ldo, void *partial)
{
    attn_job j = {nn, a, q, ldq, T, pos0, o, ldo, partial, 0, 0};
    if (T == 1) {
        j.chunk0 = first_visible(a, pos0) / CHUNK;
        j.n_chunks = pos0 / CHUNK - j.chunk0 + 1;
        om_pool_for(nn->pool, a->kv->n_head_kv * j.n_chunks, 1, chunk_piece, &j);
        merge_chunks(&j);
        return;
    }
    om_pool_for(nn->pool, a->kv->n_head_kv * ((T + QUERY_TILE - 1) / QUERY_TILE), 1, tile_piece, &j);
}
