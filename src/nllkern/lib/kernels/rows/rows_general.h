/* Everything else that a row may want: probability targets, smoothing, any score (rows_score.h), second derivatives, and
 * the divergence from the target (divergence.h) in place of the cross-entropy.
 *
 *   tau_k  = class_weight_k ((1 - smoothing) t_k + smoothing / K),   mass = sum_k tau_k,   pull = 2 z_loss lse
 *   dL/ds_k   = (e_k (mass - tau_k + pull) - tau_k q_k) / total,     q_k = (1 - e_k) + rest = total - e_k
 *   d2L/ds_k2 = ((mass + pull) e_k q_k / total + 2 z_loss e_k^2 / total) / total
 *   dL/dz_k   = s'_k dL/ds_k
 *   d2L/dz_k2 = s'_k^2 d2L/ds_k2 + s''_k dL/ds_k
 *
 * A class whose logit is -inf is masked: probability and derivatives are 0 there, also under softcap. */
#ifndef NLLK_ROWS_GENERAL_H
#define NLLK_ROWS_GENERAL_H

#include "divergence.h"
#include "rows_narrow.h"

/* What is done for a row, known when its loop is compiled. */
typedef struct {
    int score, divergence;
} row_rule;

/* What one row, or one column of a transposed block, needs for its derivatives. */
typedef struct {
    REAL rest, mass, pull, inverse, over, z_loss, softcap;
} row_terms;

NLLK_INLINE REAL tau_of(REAL t, REAL class_weight, REAL keep, REAL spread)
{
    return class_weight * mul_add(keep, t, spread);
}

/* Of one class: both derivatives by its logit, and its term of a divergence.  The compiler leaves out what is not used. */
typedef struct {
    REAL grad, hess, term;
} class_results;

NLLK_INLINE class_results class_derivatives(row_rule rule, REAL z, REAL tau, REAL share, row_view view, row_terms row)
{
    int masked = z == -REAL_INF;
    if (rule.divergence == FROM_LOG)
        return (class_results){masked ? 0 : -tau * row.inverse, masked ? 0 : 0 * row.inverse, 0};
    class_score c = score_of(rule.score, z, view, row.softcap);
    REAL e = ROW_UNLIFT_2 * share;
    REAL q = (1 - e) + row.rest;
    REAL total = 1 + row.rest;
    REAL ds = (e * ((row.mass - tau) + row.pull) - tau * q) * row.inverse;
    REAL dss = e * ((row.mass + row.pull) * (q / total) + 2 * row.z_loss * (e / total)) * row.inverse;
    REAL term = rule.divergence ? softmax_term(tau, c.fall, e, row.over) : 0;
    return (class_results){masked ? 0 : ds * c.slope, masked ? 0 : dss * c.slope * c.slope + ds * c.bend, term};
}

/* Sums of one row or one column: the maximum's 1 is counted, not added; `rest` is lifted.  Of the sum of the targets a
 * divergence wants every digit, since all but the last may cancel: it adds them up one by one. */
typedef struct {
    REAL rest, ties, mass, gap;
} row_sums;

/* ... with one class more, whose share is kept for its derivatives. */
NLLK_INLINE row_sums add_class(row_rule rule, row_sums sum, REAL z, row_view view, REAL softcap, REAL tau, REAL *share)
{
    *share = 0;
    sum.mass += tau;
    if (rule.divergence == FROM_LOG) {
        sum.gap += log_term(tau, z);
        return sum;
    }
    class_score c = score_of(rule.score, z, view, softcap);
    *share = c.share;
    sum.rest += c.share == ROW_LIFT_2 ? 0 : c.share;
    sum.ties += c.share == ROW_LIFT_2 ? 1 : 0;
    sum.gap += rule.divergence || tau == 0 ? 0 : tau * -c.fall;
    return sum;
}

/* A probability row whose whole mass lies on the ignored class. */
static int ignored_row(const nllk_rowwise *a, const REAL *t)
{
    if (!a->has_ignore || a->ignore_index < 0 || a->ignore_index >= a->classes || t[a->ignore_index] == 0)
        return 0;
    for (ptrdiff_t k = 0; k < a->classes; k++)
        if (t[k] != 0 && k != a->ignore_index)
            return 0;
    return 1;
}

/* Target column (-1 for none) and weight of row i. */
NLLK_INLINE void general_target(const nllk_rowwise *a, ptrdiff_t i, ptrdiff_t *target, REAL *weight)
{
    const REAL *weights = a->weight, *class_weight = a->class_weight;
    *target = a->index ? target_of(a, i) : -1;
    int ignored = a->index ? *target < 0 : ignored_row(a, (const REAL *)a->prob + i * a->classes);
    int no_mass =
        a->index && !ignored && class_weight && class_weight[*target] == 0 && a->smoothing == 0 && a->z_loss == 0;
    *weight = ignored || no_mass ? 0 : weights ? weights[i] : 1;
}

NLLK_INLINE row_terms terms_of(const nllk_rowwise *a, const row_block *b, int r)
{
    return (row_terms){b->rest[r], b->mass[r],      b->pull[r],      b->inverse[r],
                       b->over[r], (REAL)a->z_loss, (REAL)a->softcap};
}

/* What a block's rows need for the second pass, and their losses if they are known by then; returns the sum of those. */
NLLK_INLINE double finish_first_pass(row_rule rule, const nllk_rowwise *a, row_block *b, int rows, ptrdiff_t count)
{
    double sum = finish_rows(a, b, rows, count);
    for (int r = 0; r < rows; r++)
        b->over[r] = 1 / (1 + b->rest[r]);
    if (rule.divergence != FROM_LOG)
        return sum;
    sum = 0;
    for (int r = 0; r < rows; r++) {
        b->loss[r] = b->weight[r] == 0 ? 0 : b->weight[r] * b->gap[r];
        b->inverse[r] = b->gap[r] == b->gap[r] ? (REAL)a->scale * b->weight[r] : REAL_NAN;
    }
    for (ptrdiff_t r = 0; r < count; r++)
        sum += b->loss[r];
    return sum;
}

/* The losses of a divergence from a softmax: `value` is the sum of the classes' terms, `excess` that of the targets less 1. */
NLLK_INLINE double finish_second_pass(row_block *b, int rows, ptrdiff_t count, const double *value,
                                      const double *excess)
{
    double sum = 0;
    for (int r = 0; r < rows; r++)
        b->loss[r] = b->weight[r] == 0 ? 0 : b->weight[r] * (REAL)(value[r] + excess[r]);
    for (ptrdiff_t r = 0; r < count; r++)
        sum += b->loss[r];
    return sum;
}

/* One class of a block: z becomes the gradient, tau, if `second`, the second derivative; terms are added to `part`. */
NLLK_INLINE void derive_column(row_rule rule, int second, const nllk_rowwise *a, const row_block *b,
                               const row_views *views, REAL *z, REAL *tau, const REAL *share, REAL *part)
{
#pragma omp simd
    for (int r = 0; r < ROWS; r++) {
        class_results c = class_derivatives(rule, z[r], tau[r], share[r], view_at(views, r), terms_of(a, b, r));
        z[r] = b->weight[r] == 0 ? 0 : c.grad;
        if (second)
            tau[r] = b->weight[r] == 0 ? 0 : c.hess;
        part[r] += c.term;
    }
}

NLLK_INLINE double general_narrow_rows(row_rule rule, const nllk_rowwise *a, ptrdiff_t begin, ptrdiff_t end)
{
    const REAL keep = (REAL)(1 - a->smoothing), spread = (REAL)(a->smoothing / a->classes), softcap = (REAL)a->softcap;
    const REAL *class_weight = a->class_weight, *prob = a->prob;
    REAL *grad = a->grad, *hess = a->hess, *loss = a->loss;
    ptrdiff_t n = a->classes;
    REAL z[NARROW * ROWS], tau[NARROW * ROWS], share[NARROW * ROWS];
    row_block b;
    double sum = 0;
    memset(z, 0, sizeof z);
    memset(tau, 0, sizeof tau);
    for (ptrdiff_t first = begin; first < end; first += ROWS) {
        ptrdiff_t count = end - first < ROWS ? end - first : ROWS;
        ptrdiff_t target[ROWS];
        transpose_in((const REAL *)a->logits + first * a->row_stride, a->row_stride, n, count, z);
        if (prob)
            transpose_in(prob + first * n, n, n, count, tau);
        for (ptrdiff_t r = 0; r < ROWS; r++) {
            target[r] = -1;
            b.weight[r] = 0;
            if (r < count)
                general_target(a, first + r, &target[r], &b.weight[r]);
        }
        clear_uncounted(&b, count, n, z);
        if (prob)
            clear_uncounted(&b, count, n, tau);
        for (ptrdiff_t i = 0; rule.divergence && i < n * ROWS; i++)
            tau[i] = target_mass(tau[i]);
        block_max(z, n, ROWS, b.top);
        row_views views;
        view_rows(rule.score, b.top, softcap, ROWS, &views);
        double rest[ROWS], mass[ROWS], gap[ROWS], low[3][ROWS];
        memset(low, 0, sizeof low);
        for (int r = 0; r < ROWS; r++) {
            b.top[r] = views.top[r];
            rest[r] = mass[r] = gap[r] = 0;
        }
        REAL ties[ROWS] = {0};
        for (ptrdiff_t k0 = 0; k0 < n; k0 += GROUP) {
            ptrdiff_t stop = n - k0 < GROUP ? n : k0 + GROUP;
            REAL part[3][ROWS];
            memset(part, 0, sizeof part);
            for (ptrdiff_t k = k0; k < stop; k++) {
                REAL w = class_weight ? class_weight[k] : 1;
#pragma omp simd
                for (int r = 0; r < ROWS; r++) {
                    REAL t = prob ? tau[k * ROWS + r] : k == target[r] ? 1 : 0;
                    row_sums c = {part[0][r], ties[r], part[1][r], part[2][r]};
                    t = rule.divergence ? t : tau_of(t, w, keep, spread);
                    tau[k * ROWS + r] = t;
                    c = add_class(rule, c, z[k * ROWS + r], view_at(&views, r), softcap, t, &share[k * ROWS + r]);
                    part[0][r] = c.rest;
                    ties[r] = c.ties;
                    part[1][r] = c.mass;
                    part[2][r] = c.gap;
                }
                if (rule.divergence == FROM_SOFTMAX)
                    wide_add(mass, low[1], &tau[k * ROWS], ROWS);
            }
            wide_add(rest, low[0], part[0], ROWS);
            if (rule.divergence != FROM_SOFTMAX)
                wide_add(mass, low[1], part[1], ROWS);
            wide_add(gap, low[2], part[2], ROWS);
        }
        for (int r = 0; r < ROWS; r++) {
            b.rest[r] = (REAL)((ties[r] - 1) + (rest[r] + low[0][r]) * ROW_UNLIFT_2);
            b.mass[r] = (REAL)(mass[r] + low[1][r]);
            b.gap[r] = (REAL)(gap[r] + low[2][r]);
            mass[r] = (mass[r] - 1) + low[1][r];
            gap[r] = low[2][r] = 0;
        }
        double part_sum = finish_first_pass(rule, a, &b, ROWS, count);
        for (ptrdiff_t k0 = 0; k0 < n && (grad || rule.divergence == FROM_SOFTMAX); k0 += GROUP) {
            ptrdiff_t stop = n - k0 < GROUP ? n : k0 + GROUP;
            REAL part[ROWS] = {0};
            for (ptrdiff_t k = k0; k < stop; k++) {
                if (hess)
                    derive_column(rule, 1, a, &b, &views, &z[k * ROWS], &tau[k * ROWS], &share[k * ROWS], part);
                else
                    derive_column(rule, 0, a, &b, &views, &z[k * ROWS], &tau[k * ROWS], &share[k * ROWS], part);
            }
            if (rule.divergence == FROM_SOFTMAX)
                wide_add(gap, low[2], part, ROWS);
        }
        if (rule.divergence == FROM_SOFTMAX) {
            for (int r = 0; r < ROWS; r++)
                gap[r] += low[2][r];
            part_sum = finish_second_pass(&b, ROWS, count, gap, mass);
        }
        sum += part_sum;
        if (loss)
            memcpy(loss + first, b.loss, count * sizeof *loss);
        if (grad)
            transpose_out(z, n, count, grad + first * n);
        if (hess)
            transpose_out(tau, n, count, hess + first * n);
    }
    return sum;
}

#endif
