/* nn_linear.c - linear maps and norms over the pool. A piece of work is a run of units of ROW_UNIT rows that may cross
 * from one matrix to the next, so that several maps of one input share one parallel loop. */
#include "nn/nn.h"

#include <string.h>

#define ROW_UNIT 16
#define BLAS_ROW_UNIT                                                                                                  \
    64 /* OpenBLAS may round the rows of an odd-sized panel otherwise: panels must not depend on threads */
#define BLAS_TOKENS 32               /* from here on kern may hand float products to OpenBLAS */
#define ACT_TILE_BYTES (192u * 1024) /* activations of one pass over a row group: they should stay in the L2 cache */

typedef struct linear_job {
    const om_nn *nn;
    const om_nn_out *out;
    size_t n_out;
    const om_act *x;
    size_t T;
} linear_job;

bool om_nn_wants_q16(const om_nn *nn, const om_mat *w)
{
    return !nn->float_act && om_type_get(w->type)->quantised;
}

/* Rows of a unit: it depends on the shape alone, never on the number of threads. */
static size_t unit_rows(const om_nn *nn, const om_mat *w, size_t T)
{
    return !om_nn_wants_q16(nn, w) && T >= BLAS_TOKENS ? BLAS_ROW_UNIT : ROW_UNIT;
}

static size_t row_units(const linear_job *j, const om_mat *w)
{
    size_t unit = unit_rows(j->nn, w, j->T);
    return (w->rows + unit - 1) / unit;
}

static om_q16 q16_from(const om_act *x, size_t t)
{
    return (om_q16){x->q.q + t * x->cols, x->q.d + t * (x->cols / 32), x->q.s + t * (x->cols / 16)};
}

/* Rows [r0, r1) of one matrix for all tokens, in tiles of tokens. */
static void run_rows(const linear_job *j, const om_nn_out *o, size_t r0, size_t r1, char *scratch)
{
    const om_kern *kern = j->nn->kern;
    const om_act *x = j->x;
    bool q16 = om_nn_wants_q16(j->nn, o->w);
    size_t tile = q16 ? ACT_TILE_BYTES / x->cols : j->T; /* OpenBLAS does its own tiling */
    if (tile < ROW_UNIT)
        tile = ROW_UNIT;
    for (size_t t = 0; t < j->T; t += tile) {
        size_t n = j->T - t < tile ? j->T - t : tile;
        float *y = o->y + t * o->ld + r0;
        if (q16) {
            om_q16 q = q16_from(x, t);
            kern->matmul_q16(o->w, r0, r1, &q, n, y, o->ld, scratch);
        } else {
            kern->matmul_f32(o->w, r0, r1, x->f + t * x->ld, x->ld, n, y, o->ld, scratch);
        }
    }
}

static void linear_piece(void *arg, size_t begin, size_t end, int worker)
{
    const linear_job *j = arg;
    char *scratch = j->nn->scratch + (size_t)worker * j->nn->scratch_bytes;
    size_t base = 0;
    for (size_t i = 0; i < j->n_out && base < end; i++) {
        const om_mat *w = j->out[i].w;
        size_t units = row_units(j, w), unit = unit_rows(j->nn, w, j->T);
        if (begin < base + units) {
            size_t u0 = begin > base ? begin - base : 0;
            size_t u1 = end - base < units ? end - base : units;
            size_t r1 = u1 * unit < w->rows ? u1 * unit : w->rows;
            run_rows(j, &j->out[i], u0 * unit, r1, scratch);
        }
        base += units;
    }
}

void om_nn_linear(const om_nn *nn, const om_nn_out *out, size_t n_out, const om_act *x, size_t T)
{
    linear_job job = {nn, out, n_out, x, T};
    size_t units = 0;
    for (size_t i = 0; i < n_out; i++)
        units += row_units(&job, out[i].w);
    /* About four pieces a worker: few enough that claiming them costs nothing, enough that a worker that was preempted
     * leaves the rest to others. */
    size_t grain = units / ((size_t)om_pool_threads(nn->pool) * 4);
    om_pool_for(nn->pool, units, grain < 2 ? 2 : grain, linear_piece, &job);
}

/* ---- norms and quantisation, a token a unit ---- */

typedef struct norm_job {
    const om_nn *nn;
    const float *x, *w;
    float eps, *y;
    size_t n;
    om_act *act;
} norm_job;

#define TOKEN_GRAIN 16

static void norm_piece(void *arg, size_t begin, size_t end, int worker)
{
    const norm_job *j = arg;
    (void)worker;
    for (size_t t = begin; t < end; t++)
        j->nn->kern->rms_norm(j->x + t * j->n, j->w, j->eps, j->y + t * j->n, j->n);
}

void om_nn_rms_norm(const om_nn *nn, const float *x, const float *w, float eps, float *y, size_t n, size_t T)
{
    norm_job job = {nn, x, w, eps, y, n, NULL};
    om_pool_for(nn->pool, T, TOKEN_GRAIN, norm_piece, &job);
}

static void quantize_piece(void *arg, size_t begin, size_t end, int worker)
{
    const norm_job *j = arg;
    const om_act *x = j->act;
    (void)worker;
    for (size_t t = begin; t < end; t++) {
        om_q16 q = q16_from(x, t);
        j->nn->kern->quantize_q16(x->f + t * x->ld, x->cols, q.q, q.d, q.s);
    }
}

void om_nn_quantize(const om_nn *nn, om_act *x, size_t T)
{
    norm_job job = {.nn = nn, .act = x};
    om_pool_for(nn->pool, T, TOKEN_GRAIN, quantize_piece, &job);
}
