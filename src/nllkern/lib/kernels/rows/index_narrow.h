/* Rows of up to NARROW classes with class-index targets, no smoothing, no softcap: blocks of ROWS rows (block.h). */
#ifndef NLLK_INDEX_NARROW_H
#define NLLK_INDEX_NARROW_H

#include "block.h"
#include "index.h"

/* `count` rows from `first`, in e, where `rows` rows stand side by side. */
NLLK_INLINE double narrow_block(int score, int rows, const nllk_rowwise *a, ptrdiff_t first, ptrdiff_t count, REAL *e)
{
    const REAL *logits = a->logits;
    REAL *grad = a->grad, *loss = a->loss;
    ptrdiff_t n = a->classes;
    index_block b;
    ALIGNED double low[ROWS];
    transpose_in(logits + first * a->row_stride, a->row_stride, n, count, rows, e); /* brings the rows into cache */
    read_rows(a, first, rows, count, &b);
    clear_uncounted(&b.row, count, n, rows, e);
    block_max(e, n, rows, b.row.top);
    if (score != PLAIN)
        view_rows(score, b.row.top, 0, rows, &b.view);
    memset(b.others, 0, sizeof b.others);
    memset(low, 0, sizeof low);
    for (ptrdiff_t k0 = 0; k0 < n; k0 += GROUP) {
        ptrdiff_t stop = n - k0 < GROUP ? n : k0 + GROUP;
        ALIGNED REAL group[ROWS] = {0};
        for (ptrdiff_t k = k0; k < stop; k++) {
#pragma omp simd
            for (int r = 0; r < rows; r++) {
                REAL kept, x = share_of(score, e[k * rows + r], b.row.top[r], b.view.base[r], b.view.unit[r], &kept);
                e[k * rows + r] = kept;
                group[r] += (BITS)k == b.target[r] ? 0 : x;
            }
        }
        wide_add(b.others, low, group, rows);
    }
    for (int r = 0; r < rows; r++)
        b.others[r] += low[r];
    double sum = finish_index_rows_as(score, a, &b, rows, count);
    if (loss)
        memcpy(loss + first, b.row.loss, count * sizeof *loss);
    if (grad) {
        for (ptrdiff_t k = 0; k < n; k++) {
            REAL *at = e + k * rows; /* else clang 14 scatters */
#pragma omp simd
            for (int r = 0; r < rows; r++) {
                REAL other = b.factor[r] * (ROW_UNLIFT_2 * at[r]);
                at[r] = (BITS)k == b.target[r] ? b.spike[r] : other;
            }
        }
        transpose_out(e, n, count, rows, grad + first * n);
    }
    return sum;
}

/* The last rows go side by side in a cache line: a call of one row is mostly this. */
#define FEW_ROWS (64 / (int)sizeof(REAL))

NLLK_INLINE double narrow_rows(int score, const nllk_rowwise *a, ptrdiff_t begin, ptrdiff_t end)
{
    ALIGNED REAL e[NARROW * ROWS];
    double sum = 0;
    ptrdiff_t first = begin;
    if (end - begin < ROWS) /* rows past the end do not count, but are computed */
        memset(e, 0, a->classes * (end - begin > LANES ? ROWS : FEW_ROWS) * sizeof *e);
    for (; end - first > LANES; first += ROWS)
        sum += narrow_block(score, ROWS, a, first, end - first < ROWS ? end - first : ROWS, e);
    for (; first < end; first += FEW_ROWS)
        sum += narrow_block(score, FEW_ROWS, a, first, end - first < FEW_ROWS ? end - first : FEW_ROWS, e);
    return sum;
}

#endif
