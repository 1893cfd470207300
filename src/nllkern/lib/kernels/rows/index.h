/* Class-index targets without smoothing: only the target has tau > 0, mass = class_weight[target].
 *
 *   grad_k = (mass + pull) e_k / total      pull = 2 z_loss lse      (k not the target)
 *   grad_t = (pull e_t - mass (total - e_t)) / total                  (the target)
 *
 * Under LOG_SIGMOID both times s'_k, where the block holds shares of sigmoid(z) / exp(base) and their products with s'.
 *
 * The exponentials of the other classes are summed without the target's, so that total - e_t is not a difference. */
#ifndef NLLK_INDEX_H
#define NLLK_INDEX_H

#include "score.h"

typedef struct {
    row_block row;
    double others[ROWS]; /* sum of lifted e over the classes other than the target */
    REAL logit[ROWS];    /* of the target class */
    REAL own[ROWS];      /* e_t */
    REAL factor[ROWS];   /* grad_k = factor * e_k */
    REAL spike[ROWS];    /* grad_t */
    row_views view;      /* of LOG_SIGMOID alone */
    BITS target[ROWS];
} index_block;

/* `plain`: 64-bit indices, no weights, nothing ignored, no row past the end. */
NLLK_INLINE void read_row(const nllk_rowwise *a, ptrdiff_t first, ptrdiff_t r, ptrdiff_t count, int plain,
                          index_block *b)
{
    const REAL *class_weight = a->class_weight, *weight = a->weight;
    ptrdiff_t t = plain ? ((const int64_t *)a->index)[first + r] : r < count ? target_of(a, first + r) : -1;
    REAL mass = plain ? 1 : t < 0 ? 0 : class_weight ? class_weight[t] : 1;
    b->target[r] = (BITS)t;
    b->row.mass[r] = mass;
    b->row.weight[r] = plain ? 1 : t < 0 || (mass == 0 && a->z_loss == 0) ? 0 : weight ? weight[first + r] : 1;
    b->logit[r] = b->row.weight[r] == 0 ? 0 : ((const REAL *)a->logits)[(first + r) * a->row_stride + t];
}

/* What the first `count` of a block's rows bring along; the others do not count. */
NLLK_INLINE void read_rows(const nllk_rowwise *a, ptrdiff_t first, int rows, ptrdiff_t count, index_block *b)
{
    if (a->index_is_64 && !a->class_weight && !a->weight && !a->has_ignore && count >= rows)
        for (ptrdiff_t r = 0; r < rows; r++)
            read_row(a, first, r, count, 1, b);
    else
        for (ptrdiff_t r = 0; r < rows; r++)
            read_row(a, first, r, count, 0, b);
}

/* The lifted share of a logit in the sum, and into `kept` what the gradient is a multiple of. */
NLLK_INLINE REAL share_of(int score, REAL z, REAL top, REAL base, REAL unit, REAL *kept)
{
    if (score == LOG_SIGMOID)
        return sigmoid_share(z, base, unit, kept);
    return *kept = exp_lifted_(z - top);
}

NLLK_INLINE double finish_index_rows(int score, const nllk_rowwise *a, index_block *b, int rows, ptrdiff_t count)
{
    row_block *row = &b->row;
#pragma omp simd
    for (int r = 0; r < rows; r++) {
        REAL fall = b->logit[r] - row->top[r];
        if (score == LOG_SIGMOID) {
            REAL tail = log1p_unit_(exp_nonpositive_(-fabs_(b->logit[r])));
            fall = (min_(b->logit[r], R(0.0)) - b->view.base[r]) - (tail - b->view.head[r]);
            fall = fall > 0 ? 0 : fall;
        }
        REAL own = exp_nonpositive_(fall);
        /* One of `others` and `own` holds the maximum's 1, which is left out without rounding. */
        double others = b->others[r] * ROW_UNLIFT_2;
        if (score == LOG_SIGMOID)
            others *= b->view.ratio[r];
        row->rest[r] = own == 1 ? (REAL)others : (REAL)((others - 1) + own);
        row->gap[r] = row->mass[r] == 0 ? 0 : row->mass[r] * -(double)fall;
        b->own[r] = own;
    }
    double sum = finish_rows(a, row, rows, count, 1);
#pragma omp simd
    for (int r = 0; r < rows; r++) {
        REAL off = (1 - b->own[r]) + row->rest[r]; /* total - own */
        double spike = (row->pull[r] * b->own[r] - row->mass[r] * off) * row->inverse[r];
        double factor = (row->mass[r] + row->pull[r]) * row->inverse[r];
        if (score == LOG_SIGMOID) {
            spike *= sigmoid_(-b->logit[r]);
            factor *= b->view.ratio[r];
        }
        b->factor[r] = (REAL)factor;
        b->spike[r] = b->logit[r] == -REAL_INF || row->weight[r] == 0 ? 0 : (REAL)spike; /* masked: gradient 0 */
    }
    return sum;
}

#endif
