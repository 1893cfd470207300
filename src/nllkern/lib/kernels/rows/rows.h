/* What every row of the softmax family needs once its exponentials are summed.
 *
 *   s       the scores of the logits (score.h),  top = max_k s_k,  e_k = exp(s_k - top)
 *   rest  = sum_k e_k without one occurrence of the maximum;  total = 1 + rest
 *   tau_k = class_weight_k ((1 - smoothing) t_k + smoothing / K),  mass = sum_k tau_k
 *   loss  = sum_k tau_k (top - s_k) + mass log1p(rest) + z_loss lse^2,   lse = top + log1p(rest)
 *   grad_k = ((mass + 2 z_loss lse) e_k - tau_k total) / total
 *
 * The maximum's own 1 is never added to `rest` and never subtracted from `total`: that keeps a confident,
 * correct row's loss and gradient right to the last digits (Blanchard, Higham & Higham 2021). */
#ifndef NLLK_ROWS_H
#define NLLK_ROWS_H

#include "targets.h"
#include "functions/lanes.h"
#include "functions/logistic.h"

/* exp(x) 2^64 (2^128 in double) for x <= 0.  Rows keep and sum their exponentials in this scale, in which the smallest that
 * matter in the sum of a million are still normal numbers, and which saves a multiplication. */
#define ROW_LIFT C(64.0, 128.0)
#define ROW_LIFT_2 C(0x1p64, 0x1p128)
#define ROW_UNLIFT_2 C(0x1p-64, 0x1p-128)

NLLK_INLINE REAL exp_lifted_(REAL x)
{
    BITS k;
    REAL r = exp_reduce(x, ROW_LIFT + EXPONENT_BIAS, &k);
    REAL y = exp_polynomial(r, 1) * field_to_real(k, MANTISSA_BITS);
    return x < C(-126.0, -792.0) ? R(0.0) : y;
}

#define ROWS 32                                           /* rows handled together, at most */
#define ROWS_STEP(rows) ((rows) < LANES ? (rows) : LANES) /* of them at a time */
#define WIDE_ROWS LANES                                   /* of many classes */
#define CHUNK (8 * LANES) /* columns summed in REAL before the sum goes to a wider accumulator */

/* Weights and options may be far outside the range of REAL: what is formed of them, once per row, is double. */
typedef struct {
    ALIGNED REAL top[ROWS], rest[ROWS];
    REAL weight[ROWS]; /* sample weight; 0: the row does not count */
    REAL loss[ROWS];   /* weighted */
    REAL over[ROWS];   /* 1 / total */
    REAL unit[ROWS];   /* divergence.h */
    double mass[ROWS]; /* sum_k tau_k */
    double peak[ROWS],
        others[ROWS];     /* the same of one class with the largest score (in every lane), and of the others */
    double gap[ROWS];     /* sum_k tau_k (top - s_k) */
    double pull[ROWS];    /* 2 z_loss lse */
    double inverse[ROWS]; /* weight * scale / total */
} row_block;

/* x[r] = sum (or maximum) of the `LANES` neighbours x[r * LANES ...]: neighbours are paired, so that the order of the additions
 * is the same for every row, whatever the width of a register.  Constant numbers of rows: loops as short as these would
 * otherwise be slow. */
#define DEFINE_REDUCE(NAME, TYPE, OP)                                                                                  \
    NLLK_INLINE void NAME##_rows(TYPE *restrict x, int rows)                                                           \
    {                                                                                                                  \
        TYPE y[WIDE_ROWS * 8];                                                                                         \
        _Static_assert(LANES == 16, "four halvings");                                                                  \
        for (int i = 0; i < rows * 8; i++)                                                                             \
            y[i] = OP(x[2 * i], x[2 * i + 1]);                                                                         \
        for (int i = 0; i < rows * 4; i++)                                                                             \
            x[i] = OP(y[2 * i], y[2 * i + 1]);                                                                         \
        for (int i = 0; i < rows * 2; i++)                                                                             \
            y[i] = OP(x[2 * i], x[2 * i + 1]);                                                                         \
        for (int i = 0; i < rows; i++)                                                                                 \
            x[i] = OP(y[2 * i], y[2 * i + 1]);                                                                         \
    }                                                                                                                  \
    NLLK_NOINLINE void NAME(TYPE *x, ptrdiff_t rows)                                                                   \
    {                                                                                                                  \
        if (rows <= 4)                                                                                                 \
            NAME##_rows(x, 4);                                                                                         \
        else                                                                                                           \
            NAME##_rows(x, WIDE_ROWS);                                                                                 \
    }
#define ADD(a, b) ((a) + (b))
DEFINE_REDUCE(reduce_max, REAL, max_)
DEFINE_REDUCE(reduce_sum, double, ADD)
#undef ADD

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

/* Ask for the LANES columns at x to be brought into cache; any address will do. */
#define PREFETCH(x, to_write)                                                                                          \
    do {                                                                                                               \
        __builtin_prefetch((x), to_write, 2);                                                                          \
        if (sizeof(REAL) * LANES > 64)                                                                                 \
            __builtin_prefetch((x) + LANES / 2, to_write, 2);                                                          \
    } while (0)

/* The weighted losses from the rows' values, which they overwrite; returns the sum of `count` of them.  `rows`, a multiple of
 * LANES or fewer, are computed. */
NLLK_INLINE double weigh_losses(row_block *b, int rows, ptrdiff_t count, double *value)
{
    double sum = 0;
    for (int g = 0; g < rows; g += ROWS_STEP(rows)) {
#pragma omp simd
        for (int r = g; r < g + ROWS_STEP(rows); r++) {
            value[r] = b->weight[r] == 0 ? 0 : (double)b->weight[r] * value[r];
            b->loss[r] = (REAL)value[r];
        }
    }
    for (ptrdiff_t r = 0; r < count; r++)
        sum += value[r];
    return sum;
}

/* From the sums to the losses and what the gradients need; returns the sum of the losses of `count` rows.  `tau_unit` as in
 * general.h. */
NLLK_INLINE double finish_rows(const nllk_rowwise *a, row_block *b, int rows, ptrdiff_t count, double tau_unit)
{
    double z_loss = a->z_loss, from_unit = 1 / tau_unit, scale = a->scale * from_unit, value[ROWS];
    int any_z = z_loss != 0; /* 0 * inf must not be formed where lse^2 overflows */
    for (int g = 0; g < rows; g += ROWS_STEP(rows)) {
#pragma omp simd
        for (int r = g; r < g + ROWS_STEP(rows); r++)
            b->over[r] = 1 / (1 + b->rest[r]);
#pragma omp simd
        for (int r = g; r < g + ROWS_STEP(rows); r++) {
            REAL excess = log1p_(b->rest[r]), lse = b->top[r] + excess;
            value[r] = mul_add_double(b->mass[r], excess, b->gap[r]) * from_unit;
            value[r] += any_z ? z_loss * lse * lse : 0;
            b->pull[r] = any_z ? tau_unit * (2 * z_loss * lse) : 0;
            b->inverse[r] = b->weight[r] == 0 ? 0 : scale * b->weight[r] * b->over[r];
        }
    }
    return weigh_losses(b, rows, count, value);
}

#endif
