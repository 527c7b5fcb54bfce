/* kern_blas.c - the only file that knows OpenBLAS: float products of many tokens. */
#include "kern/kern_impl.h"

#include <limits.h>

#ifdef OMNI_HAVE_OPENBLAS
#include <cblas.h>
#include <pthread.h>

/* Our pool is the only source of threads: a second one on the same cores would halve both. */
static void blas_single(void)
{
    openblas_set_num_threads(1);
}

bool om_blas_available(void)
{
    return true;
}

void om_blas_panel(const float *w, size_t n, size_t cols, const float *x, size_t ldx, size_t T, float *y, size_t ldy)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, blas_single);
    if (n == 0 || T == 0)
        return;
    /* y[T][n] = x[T][cols] w[n][cols]^T, row major */
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)T, (blasint)n, (blasint)cols, 1.0f, x, (blasint)ldx,
                w, (blasint)cols, 0.0f, y, (blasint)ldy);
}
#else
bool om_blas_available(void)
{
    return false;
}

/* Without OpenBLAS: the plain sum, so that the function still means the same. */
void om_blas_panel(const float *w, size_t n, size_t cols, const float *x, size_t ldx, size_t T, float *y, size_t ldy)
{
    for (size_t t = 0; t < T; t++)
        for (size_t r = 0; r < n; r++) {
            float s = 0.0f;
            for (size_t c = 0; c < cols; c++)
                s = fmaf(w[r * cols + c], x[t * ldx + c], s);
            y[t * ldy + r] = s;
        }
}
#endif

/* Panels begin at multiples of OM_BLAS_ROWS counted from row 0, so that a split of the rows at such multiples gives the
 * same calls, and the same bits, as no split. */
bool om_blas_matmul(const om_kern *k, const om_mat *w, size_t r0, size_t r1, const float *x, size_t ldx, size_t T,
                    float *y, size_t ldy, void *scratch)
{
    if (!om_blas_available() || T < OM_BLAS_TOKENS || T > INT_MAX || w->cols > INT_MAX || ldx > INT_MAX ||
        ldy > INT_MAX)
        return false;
    float *panel = align64(scratch);
    for (size_t r = r0; r < r1;) {
        size_t end = (r / OM_BLAS_ROWS + 1) * OM_BLAS_ROWS, n = (end < r1 ? end : r1) - r;
        for (size_t i = 0; i < n; i++)
            k->dequantize(w->type, mat_row(w, r + i), panel + i * w->cols, w->cols);
        om_blas_panel(panel, n, w->cols, x, ldx, T, y + (r - r0), ldy);
        r += n;
    }
    return true;
}
