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
    ALIGNED double others[ROWS]; /* sum of lifted e over the classes other than the target */
    REAL logit[ROWS];            /* of the target class */
    REAL own[ROWS];              /* e_t */
    REAL factor[ROWS];           /* grad_k = factor * e_k */
    REAL spike[ROWS];            /* grad_t */
    row_views view;              /* of LOG_SIGMOID alone */
    BITS target[ROWS];
} index_block;

/* Targets and weights of `rows` rows, of which the first `count` exist; the others do not count. */
NLLK_INLINE void read_rows(const nllk_rowwise *a, ptrdiff_t first, int rows, ptrdiff_t count, index_block *b)
{
    const REAL *class_weight = a->class_weight, *weight = a->weight, *logits = a->logits;
    const int64_t *index = a->index;
    const ptrdiff_t stride = a->row_stride;
    const int no_mass_counts = a->z_loss != 0;
    if (a->index_is_64 && !class_weight && !weight && !a->has_ignore && count == rows) { /* the usual case */
        for (ptrdiff_t r = 0; r < rows; r++) {
            b->target[r] = (BITS)index[first + r];
            b->logit[r] = logits[(first + r) * stride + index[first + r]];
            b->row.mass[r] = b->row.weight[r] = 1;
        }
        return;
    }
    for (ptrdiff_t r = 0; r < rows; r++) {
        int64_t t = r < count ? index_of(a, first + r) : 0;
        REAL w = r >= count || (a->has_ignore && t == a->ignore_index) ? 0 : weight ? weight[first + r] : 1, mass = 0;
        if (w != 0)
            mass = class_weight ? class_weight[t] : 1;
        if (mass == 0 && !no_mass_counts)
            w = 0;
        b->target[r] = w == 0 ? -1 : (BITS)t;
        b->row.mass[r] = mass;
        b->row.weight[r] = w;
        b->logit[r] = w == 0 ? 0 : logits[(first + r) * stride + t];
    }
}

/* The lifted share of a logit in the sum, and into `kept` what the gradient is a multiple of. */
NLLK_INLINE REAL share_of(int score, REAL z, REAL top, REAL base, REAL unit, REAL *kept)
{
    if (score == LOG_SIGMOID)
        return sigmoid_share(z, base, unit, kept);
    return *kept = exp_lifted_(z - top);
}

NLLK_INLINE double finish_index_rows_as(int score, const nllk_rowwise *a, index_block *b, int rows, ptrdiff_t count)
{
    row_block *row = &b->row;
    for (int g = 0; g < rows; g += ROWS_STEP(rows)) {
#pragma omp simd
        for (int r = g; r < g + ROWS_STEP(rows); r++) {
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
    }
    double sum = finish_rows(a, row, rows, count, 1);
    for (int g = 0; g < rows; g += ROWS_STEP(rows)) {
#pragma omp simd
        for (int r = g; r < g + ROWS_STEP(rows); r++) {
            REAL off = (1 - b->own[r]) + row->rest[r]; /* total - own */
            double spike = (row->pull[r] * b->own[r] - row->mass[r] * off) * row->inverse[r];
            double factor = (row->mass[r] + row->pull[r]) * row->inverse[r];
            if (score == LOG_SIGMOID) {
                spike *= sigmoid_(-b->logit[r]);
                factor *= b->view.ratio[r];
            }
            b->factor[r] = (REAL)factor;
            spike = b->logit[r] == -REAL_INF ? 0 * row->over[r] : spike; /* masked: 0, or NaN if the row is */
            b->spike[r] = row->weight[r] == 0 ? 0 : (REAL)spike;
        }
    }
    return sum;
}

NLLK_NOINLINE double finish_index_rows(int score, const nllk_rowwise *a, index_block *b, int rows, ptrdiff_t count)
{
    return score == PLAIN ? finish_index_rows_as(PLAIN, a, b, rows, count)
                          : finish_index_rows_as(LOG_SIGMOID, a, b, rows, count);
}

#endif
