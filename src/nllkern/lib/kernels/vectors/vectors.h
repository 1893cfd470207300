/* What the losses of vectors share.
 *
 * Their sums run along a vector, so they are kept in doubles in either precision: a float32 result then carries the
 * rounding of its inputs' arithmetic and no more.  Terms are added in LANES fixed lanes, in an order that depends on
 * the length alone. */
#ifndef NLLK_VECTORS_H
#define NLLK_VECTORS_H

#include "kernels.h"
#include "pointwise/formula.h"
#include "functions/lanes.h"
#include "functions/transpose.h"

/* Weight of sample i. */
NLLK_INLINE REAL vector_weight(const nllk_vectors *a, ptrdiff_t i)
{
    return a->weight ? ((const REAL *)a->weight)[i] : R(1.0);
}

/* x . y of n numbers; `readable` numbers (no fewer than n) can be read at x, of which the last ones may be anything. */
NLLK_INLINE double dot_double(const REAL *x, const double *y, ptrdiff_t n, ptrdiff_t readable)
{
    double lanes[LANES] = {0};
    ptrdiff_t j = 0;
    for (; j + LANES <= n; j += LANES) {
#pragma omp simd
        for (int k = 0; k < LANES; k++)
            lanes[k] = mul_add_double((double)x[j + k], y[j + k], lanes[k]);
    }
    int rest = (int)(n - j);
    if (rest && j + LANES <= readable) {
#pragma omp simd
        for (int k = 0; k < LANES; k++) {
            double s = mul_add_double((double)x[j + k], y[j + k], lanes[k]);
            lanes[k] = k < rest ? s : lanes[k];
        }
    } else {
        for (int k = 0; k < rest; k++)
            lanes[k] = mul_add_double((double)x[j + k], y[j + k], lanes[k]);
    }
    return sum_lanes(lanes);
}

/* |x|^2 of n doubles; LANES more can be read, which are 0. */
NLLK_INLINE double dot_squares(const double *x, ptrdiff_t n)
{
    double lanes[LANES] = {0};
    for (ptrdiff_t j = 0; j < n; j += LANES) {
#pragma omp simd
        for (int k = 0; k < LANES; k++)
            lanes[k] = mul_add_double(x[j + k], x[j + k], lanes[k]);
    }
    return sum_lanes(lanes);
}

/* Between LANES rows of n doubles, one after the other, and n rows of lanes.  The last square of a row overlaps the
 * one before; of fewer than 4 columns, it overlaps the next row, which is right again when it has been written itself.
 * Both have at least 4 columns. */
NLLK_INLINE void rows_to_lanes(const double *rows, ptrdiff_t n, double *lanes)
{
    for (ptrdiff_t r = 0; r < LANES; r += 4)
        for (ptrdiff_t i = 0; i < n; i += 4) {
            ptrdiff_t c = i + 4 <= n || n < 4 ? i : n - 4;
            transpose_double_square(rows + r * n + c, n, lanes + c * LANES + r, LANES);
        }
}

NLLK_INLINE void lanes_to_rows(const double *lanes, ptrdiff_t n, double *rows)
{
    for (ptrdiff_t r = 0; r < LANES; r += 4)
        for (ptrdiff_t i = 0; i < n; i += 4) {
            ptrdiff_t c = i + 4 <= n || n < 4 ? i : n - 4;
            transpose_double_square(lanes + c * LANES + r, LANES, rows + r * n + c, n);
        }
}

#endif
