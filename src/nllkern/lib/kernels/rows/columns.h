/* Softmax over the columns of a matrix S whose rows come in blocks: of each column the largest element so far, `top`, and
 * `others`, the sum of exp(S_ij - top) over the rows i other than the one that belongs to the column, i = j. */
#ifndef NLLK_COLUMNS_H
#define NLLK_COLUMNS_H

#include "functions/exponential.h"
#include "kernels.h"

#define STRIP 512 /* columns that are handled together: their sums stay in L1 */

/* Add a block to `top` and `others` of `count` columns from `begin`. */
static void add_to_columns(const nllk_columns *c, ptrdiff_t begin, ptrdiff_t count)
{
    REAL before[STRIP], *top = (REAL *)c->top + begin;
    double *others = c->others + begin;
    const REAL *rows = (const REAL *)c->rows + begin;
    memcpy(before, top, count * sizeof *top);
    for (ptrdiff_t i = 0; i < c->row_count; i++) {
        const REAL *row = rows + i * c->columns;
#pragma omp simd
        for (ptrdiff_t j = 0; j < count; j++)
            top[j] = max_(row[j], top[j]);
    }
    for (ptrdiff_t j = 0; j < count; j++)
        others[j] = others[j] == 0 ? 0 : others[j] * __builtin_exp((double)before[j] - (double)top[j]);
    for (ptrdiff_t i = 0; i < c->row_count; i++) {
        const REAL *row = rows + i * c->columns;
        const BITS own = (BITS)(c->first + i - begin);
#pragma omp simd
        for (ptrdiff_t j = 0; j < count; j++)
            others[j] += (BITS)j == own ? 0 : (double)exp_(row[j] - top[j]);
    }
}

/* result_ij += scale_j exp(S_ij - top_j). */
static void add_column_softmax(const nllk_columns *c, ptrdiff_t begin, ptrdiff_t end)
{
    const REAL *top = c->top, *scale = c->scale;
    for (ptrdiff_t i = 0; i < c->row_count; i++) {
        const REAL *row = (const REAL *)c->rows + i * c->columns;
        REAL *restrict result = (REAL *)c->result + i * c->columns;
#pragma omp simd
        for (ptrdiff_t j = begin; j < end; j++)
            result[j] += exp_(row[j] - top[j]) * scale[j];
    }
}

static void add_columns(const nllk_columns *c, ptrdiff_t begin, ptrdiff_t end)
{
    for (ptrdiff_t j = begin; j < end; j += STRIP)
        add_to_columns(c, j, end - j < STRIP ? end - j : STRIP);
}

#endif
