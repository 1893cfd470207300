/* Class-index targets without smoothing: only the target has tau > 0, mass = class_weight[target].
 *
 *   grad_k = (mass + pull) e_k / total      pull = 2 z_loss lse      (k not the target)
 *   grad_t = (pull e_t - mass (total - e_t)) / total                  (the target)
 *
 * The exponentials of the other classes are summed without the target's, so that total - e_t is not a difference. */
#ifndef NLLK_ROWS_INDEX_H
#define NLLK_ROWS_INDEX_H

#include "rows.h"

typedef struct {
    row_block row;
    double others[ROWS]; /* sum of lifted e over the classes other than the target */
    REAL logit[ROWS];    /* of the target class */
    REAL own[ROWS];      /* e_t */
    REAL factor[ROWS];   /* grad_k = factor * e_k */
    REAL spike[ROWS];    /* grad_t */
    BITS target[ROWS];
} index_block;

/* What a block's rows bring along; rows past `count` do not count. */
NLLK_INLINE void read_rows(const nllk_rowwise *a, ptrdiff_t first, ptrdiff_t count, index_block *b)
{
    const REAL *class_weight = a->class_weight, *weight = a->weight;
    const REAL *z = (const REAL *)a->logits + first * a->row_stride;
    for (ptrdiff_t r = 0; r < ROWS; r++) {
        ptrdiff_t t = r < count ? target_of(a, first + r) : -1;
        REAL mass = t < 0 ? 0 : class_weight ? class_weight[t] : 1;
        b->target[r] = (BITS)t;
        b->row.mass[r] = mass;
        b->row.weight[r] = t < 0 || (mass == 0 && a->z_loss == 0) ? 0 : weight ? weight[first + r] : 1;
        b->logit[r] = b->row.weight[r] == 0 ? 0 : z[r * a->row_stride + t];
    }
}

static double finish_index_rows(const nllk_rowwise *a, index_block *b, ptrdiff_t count)
{
    row_block *row = &b->row;
#pragma omp simd
    for (int r = 0; r < ROWS; r++) {
        REAL fall = b->logit[r] - row->top[r], own = exp_nonpositive_(fall);
        /* One of `others` and `own` holds the maximum's 1, which is left out without rounding. */
        double others = b->others[r] * ROW_UNLIFT_2;
        row->rest[r] = own == 1 ? (REAL)others : (REAL)((others - 1) + own);
        row->gap[r] = row->mass[r] == 0 ? 0 : row->mass[r] * -fall;
        b->own[r] = own;
    }
    double sum = finish_rows(a, row, count);
#pragma omp simd
    for (int r = 0; r < ROWS; r++) {
        REAL off = (1 - b->own[r]) + row->rest[r]; /* total - own */
        REAL spike = (row->pull[r] * b->own[r] - row->mass[r] * off) * row->inverse[r];
        b->factor[r] = (row->mass[r] + row->pull[r]) * row->inverse[r];
        b->spike[r] = b->logit[r] == -REAL_INF || row->weight[r] == 0 ? 0 : spike; /* a masked class keeps gradient 0 */
    }
    return sum;
}

#endif
