/* Rows of few classes: ROWS rows are transposed into a block in L1, class by class, so that every step works on
 * ROWS rows side by side and no row is ever summed across a register. */
#ifndef NLLK_ROWS_NARROW_H
#define NLLK_ROWS_NARROW_H

#include "rows_index.h"
#include "functions/transpose.h"

#define NARROW 48 /* up to this many classes */

/* block[k * ROWS + r] = z[r * stride + k].  The last square of a row overlaps the one before. */
NLLK_INLINE void transpose_in(const REAL *z, ptrdiff_t stride, ptrdiff_t classes, ptrdiff_t count, REAL *block)
{
    if (count == ROWS && classes >= 4)
        for (ptrdiff_t r = 0; r < ROWS; r += 4)
            for (ptrdiff_t k = 0; k < classes; k += 4) {
                ptrdiff_t c = k + 4 <= classes ? k : classes - 4;
                transpose_square(z + r * stride + c, stride, block + c * ROWS + r, ROWS);
            }
    else
        for (ptrdiff_t r = 0; r < count; r++)
            for (ptrdiff_t k = 0; k < classes; k++)
                block[k * ROWS + r] = z[r * stride + k];
}

NLLK_INLINE void transpose_out(const REAL *block, ptrdiff_t classes, ptrdiff_t count, REAL *g)
{
    if (count == ROWS && classes >= 4)
        for (ptrdiff_t r = 0; r < ROWS; r += 4)
            for (ptrdiff_t k = 0; k < classes; k += 4) {
                ptrdiff_t c = k + 4 <= classes ? k : classes - 4;
                transpose_square(block + c * ROWS + r, ROWS, g + r * classes + c, classes);
            }
    else
        for (ptrdiff_t r = 0; r < count; r++)
            for (ptrdiff_t k = 0; k < classes; k++)
                g[r * classes + k] = block[k * ROWS + r];
}

/* Rows that do not count, whatever their data: zeros give them a finite softmax, and weight 0 a gradient of 0. */
NLLK_INLINE void clear_uncounted(const row_block *b, ptrdiff_t count, ptrdiff_t classes, REAL *block)
{
    for (ptrdiff_t r = 0; r < count; r++)
        if (b->weight[r] == 0)
            for (ptrdiff_t k = 0; k < classes; k++)
                block[k * ROWS + r] = 0;
}

NLLK_INLINE void block_max(const REAL *block, ptrdiff_t classes, int rows, REAL *top)
{
    for (int r = 0; r < rows; r++)
        top[r] = block[r];
    for (ptrdiff_t k = 1; k < classes; k++) {
#pragma omp simd
        for (int r = 0; r < rows; r++)
            top[r] = max_(block[k * ROWS + r], top[r]);
    }
}

/* Classes summed in REAL before the sum goes to a wider accumulator. */
#define GROUP 8

/* `count` rows from `first`, in e; `rows` of each step's ROWS are computed (ROWS, a constant, for a full block). */
NLLK_INLINE double narrow_block(int score, const nllk_rowwise *a, ptrdiff_t first, int rows, ptrdiff_t count, REAL *e)
{
    const REAL *logits = a->logits;
    REAL *grad = a->grad, *loss = a->loss;
    ptrdiff_t n = a->classes;
    index_block b;
    double low[ROWS];
    read_rows(a, first, rows, count, &b);
    transpose_in(logits + first * a->row_stride, a->row_stride, n, count, e);
    clear_uncounted(&b.row, count, n, e);
    block_max(e, n, rows, b.row.top);
    if (score != PLAIN)
        view_rows(score, b.row.top, 0, rows, &b.view);
    memset(b.others, 0, sizeof b.others);
    memset(low, 0, sizeof low);
    for (ptrdiff_t k0 = 0; k0 < n; k0 += GROUP) {
        ptrdiff_t stop = n - k0 < GROUP ? n : k0 + GROUP;
        REAL group[ROWS] = {0};
        for (ptrdiff_t k = k0; k < stop; k++) {
#pragma omp simd
            for (int r = 0; r < rows; r++) {
                REAL kept, x = share_of(score, e[k * ROWS + r], b.row.top[r], b.view.base[r], b.view.unit[r], &kept);
                e[k * ROWS + r] = kept;
                group[r] += (BITS)k == b.target[r] ? 0 : x;
            }
        }
        wide_add(b.others, low, group, rows);
    }
    for (int r = 0; r < rows; r++)
        b.others[r] += low[r];
    double sum = finish_index_rows(score, a, &b, rows, count);
    if (loss)
        memcpy(loss + first, b.row.loss, count * sizeof *loss);
    if (grad) {
        for (ptrdiff_t k = 0; k < n; k++) {
#pragma omp simd
            for (int r = 0; r < rows; r++)
                e[k * ROWS + r] = (BITS)k == b.target[r] ? b.spike[r] : b.factor[r] * (ROW_UNLIFT_2 * e[k * ROWS + r]);
        }
        transpose_out(e, n, count, grad + first * n);
    }
    return sum;
}

NLLK_INLINE double narrow_rows(int score, const nllk_rowwise *a, ptrdiff_t begin, ptrdiff_t end)
{
    REAL e[NARROW * ROWS];
    double sum = 0;
    ptrdiff_t first = begin;
    for (; first + ROWS <= end; first += ROWS)
        sum += narrow_block(score, a, first, ROWS, ROWS, e);
    if (first < end) {
        memset(e, 0, a->classes * ROWS * sizeof *e); /* rows past the end do not count, but are computed */
        sum += narrow_block(score, a, first, (int)(end - first + 3) & ~3, end - first, e);
    }
    return sum;
}

#endif
