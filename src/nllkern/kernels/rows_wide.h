/* Rows of at least LANES classes, class-index targets, no smoothing, no softcap: a row's passes (maximum,
 * exponentials, their sum, scaling) run while it is in cache, LANES columns at a time.
 *
 * A row that is not a multiple of LANES ends with one step over its last LANES columns, some of them for the
 * second time: they are loaded before the pass writes anything, so that it may work in place. */
#ifndef NLLK_ROWS_WIDE_H
#define NLLK_ROWS_WIDE_H

#include "rows_index.h"

#define CHUNK (8 * LANES) /* columns summed in REAL before the sum goes to a wider accumulator */
#define STAGE 4096        /* exponentials kept in a block's own buffer; longer rows keep them in the output */

/* The maxima of LANES interleaved parts of a row. */
static void row_max(const REAL *z, ptrdiff_t n, REAL *restrict top)
{
    REAL m[LANES];
    for (int j = 0; j < LANES; j++)
        m[j] = z[n - LANES + j];
    for (ptrdiff_t i = 0; i + LANES <= n; i += LANES) {
#pragma omp simd
        for (int j = 0; j < LANES; j++)
            m[j] = max_(z[i + j], m[j]);
    }
    for (int j = 0; j < LANES; j++)
        top[j] = m[j];
}

/* e = exp(z - top), lifted, into `e` unless it is NULL, and LANES sums of it without column t. */
NLLK_INLINE void row_exp(const REAL *z, REAL *e, ptrdiff_t n, REAL top, ptrdiff_t t, double *restrict sums)
{
    ptrdiff_t whole = n & ~(ptrdiff_t)(LANES - 1);
    REAL tail[LANES];
    double low[LANES];
    for (int j = 0; j < LANES; j++) {
        tail[j] = z[n - LANES + j];
        low[j] = 0;
    }
    for (ptrdiff_t k = 0; k < whole; k += CHUNK) {
        ptrdiff_t stop = whole - k < CHUNK ? whole : k + CHUNK;
        REAL lanes[LANES];
        for (int j = 0; j < LANES; j++)
            lanes[j] = 0;
        for (ptrdiff_t i = k; i < stop; i += LANES) {
            BITS own = (BITS)(t - i);
#pragma omp simd
            for (int j = 0; j < LANES; j++) {
                REAL x = exp_lifted_(z[i + j] - top);
                if (e)
                    e[i + j] = x;
                lanes[j] += (BITS)j == own ? 0 : x;
            }
        }
        if (stop == whole && whole < n) {
            BITS seen = (BITS)(LANES - (n - whole)), own = (BITS)(t - (n - LANES));
#pragma omp simd
            for (int j = 0; j < LANES; j++) {
                REAL x = exp_lifted_(tail[j] - top);
                if (e)
                    e[n - LANES + j] = x;
                lanes[j] += (BITS)j < seen || (BITS)j == own ? 0 : x;
            }
        }
        if (k == 0)
            for (int j = 0; j < LANES; j++)
                sums[j] = lanes[j];
        else
            wide_add(sums, low, lanes, LANES);
    }
    for (int j = 0; j < LANES; j++)
        sums[j] += low[j];
}

/* out = first * second * e; `out` may be `e`. */
NLLK_INLINE void row_scale(const REAL *e, REAL *out, ptrdiff_t n, REAL first, REAL second)
{
    REAL tail[LANES];
#pragma omp simd
    for (int j = 0; j < LANES; j++)
        tail[j] = first * e[n - LANES + j] * second;
    for (ptrdiff_t i = 0; i + LANES <= n; i += LANES) {
#pragma omp simd
        for (int j = 0; j < LANES; j++)
            out[i + j] = first * e[i + j] * second;
    }
    for (int j = 0; j < LANES; j++)
        out[n - LANES + j] = tail[j];
}

/* grad = factor * e for lifted e, in one multiplication unless factor / 2^ROW_LIFT is too small for it. */
static void row_grad(const REAL *e, REAL *grad, ptrdiff_t n, REAL factor)
{
    if (fabs_(factor) > REAL_MIN * ROW_LIFT_2)
        row_scale(e, grad, n, factor * ROW_UNLIFT_2, 1);
    else
        row_scale(e, grad, n, ROW_UNLIFT_2, factor);
}

static double wide_rows(const nllk_rowwise *a, ptrdiff_t begin, ptrdiff_t end)
{
    const REAL *logits = a->logits;
    REAL *grad = a->grad, *loss = a->loss;
    ptrdiff_t n = a->classes, stride = a->row_stride;
    ptrdiff_t batch = n * ROWS <= STAGE ? ROWS : n <= STAGE ? STAGE / n : 1;
    REAL stage[STAGE], lanes[ROWS * LANES], spare[ROWS * LANES];
    double sums[ROWS * LANES], wide_spare[ROWS * LANES];
    index_block b;
    double sum = 0;
    memset(lanes, 0, sizeof lanes);
    memset(sums, 0, sizeof sums);
    for (ptrdiff_t first = begin; first < end; first += batch) {
        ptrdiff_t count = end - first < batch ? end - first : batch;
        const REAL *z = logits + first * stride;
        REAL *g = grad ? grad + first * n : NULL, *e = n <= STAGE && grad ? stage : g;
        read_rows(a, first, count, &b);
        for (ptrdiff_t r = 0; r < count; r++)
            row_max(z + r * stride, n, lanes + r * LANES);
        reduce_max(lanes, spare);
        memcpy(b.row.top, lanes, sizeof b.row.top);
        for (ptrdiff_t r = 0; r < count; r++)
            if (e)
                row_exp(z + r * stride, e + r * n, n, b.row.top[r], b.target[r], sums + r * LANES);
            else
                row_exp(z + r * stride, NULL, n, b.row.top[r], b.target[r], sums + r * LANES);
        reduce_sum(sums, wide_spare);
        memcpy(b.others, sums, sizeof b.others);
        sum += finish_index_rows(a, &b, count);
        if (loss)
            memcpy(loss + first, b.row.loss, count * sizeof *loss);
        for (ptrdiff_t r = 0; g && r < count; r++) {
            if (b.row.weight[r] == 0) {
                memset(g + r * n, 0, n * sizeof *g);
            } else {
                row_grad(e + r * n, g + r * n, n, b.factor[r]);
                g[r * n + b.target[r]] = b.spike[r];
            }
        }
    }
    return sum;
}

#endif
