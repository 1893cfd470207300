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
#include "rows_wide.h"

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

NLLK_INLINE class_results class_derivatives(row_rule rule, REAL z, REAL tau, row_view view, row_terms row)
{
    int masked = z == -REAL_INF;
    if (rule.divergence == FROM_LOG)
        return (class_results){masked ? 0 : -tau * row.inverse, masked ? 0 : 0 * row.inverse, 0};
    class_score c = score_of(rule.score, z, view, row.softcap);
    REAL e = rule.score == LOG_SIGMOID ? ROW_UNLIFT_2 * c.share : exp_nonpositive_(c.fall);
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

NLLK_INLINE row_sums add_class(row_rule rule, row_sums sum, REAL z, row_view view, REAL softcap, REAL tau)
{
    sum.mass += tau;
    if (rule.divergence == FROM_LOG) {
        sum.gap += log_term(tau, z);
        return sum;
    }
    class_score c = score_of(rule.score, z, view, softcap);
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

/* start + the sum of high + low, in which `start` may cancel all but the last digits. */
NLLK_INLINE double sum_of_lanes(double start, const double *high, const double *low)
{
    double sum = start, lost = 0;
    for (int j = 0; j < LANES; j++) {
        double a = sum, t;
        sum += high[j];
        t = sum - a;
        lost += (a - (sum - t)) + (high[j] - t) + low[j];
    }
    return lost == lost ? sum + lost : sum; /* not of an infinite sum */
}

/* The sum of high + low to the digits that matter; of floats there is nothing in `low`. */
NLLK_INLINE double total_of_lanes(const double *high, const double *low)
{
    double lanes[LANES], spare[LANES];
    if (NLLK_BITS == 64)
        return sum_of_lanes(0, high, low);
    memcpy(lanes, high, sizeof lanes);
    reduce_sum(lanes, spare, 1);
    return lanes[0];
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
                               const row_views *views, REAL *z, REAL *tau, REAL *part)
{
#pragma omp simd
    for (int r = 0; r < ROWS; r++) {
        class_results c = class_derivatives(rule, z[r], tau[r], view_at(views, r), terms_of(a, b, r));
        z[r] = b->weight[r] == 0 ? 0 : c.grad;
        if (second)
            tau[r] = b->weight[r] == 0 ? 0 : c.hess;
        part[r] += c.term;
    }
}

/* The same for LANES classes of one row. */
NLLK_INLINE void derive_lanes(row_rule rule, int second, row_view view, row_terms row, REAL *z, REAL *tau, REAL *part)
{
#pragma omp simd
    for (int j = 0; j < LANES; j++) {
        class_results c = class_derivatives(rule, z[j], tau[j], view, row);
        z[j] = c.grad;
        if (second)
            tau[j] = c.hess;
        part[j] += c.term;
    }
}

NLLK_INLINE double general_narrow_rows(row_rule rule, const nllk_rowwise *a, ptrdiff_t begin, ptrdiff_t end)
{
    const REAL keep = (REAL)(1 - a->smoothing), spread = (REAL)(a->smoothing / a->classes), softcap = (REAL)a->softcap;
    const REAL *class_weight = a->class_weight, *prob = a->prob;
    REAL *grad = a->grad, *hess = a->hess, *loss = a->loss;
    ptrdiff_t n = a->classes;
    REAL z[NARROW * ROWS], tau[NARROW * ROWS];
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
                    c = add_class(rule, c, z[k * ROWS + r], view_at(&views, r), softcap, t);
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
                    derive_column(rule, 1, a, &b, &views, &z[k * ROWS], &tau[k * ROWS], part);
                else
                    derive_column(rule, 0, a, &b, &views, &z[k * ROWS], &tau[k * ROWS], part);
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

/* Columns [k, k + m) of a row: logits padded with masked classes, and tau. */
NLLK_INLINE void load_chunk(row_rule rule, const nllk_rowwise *a, ptrdiff_t i, ptrdiff_t target, ptrdiff_t k,
                            ptrdiff_t m, REAL *restrict z, REAL *restrict tau)
{
    const REAL keep = (REAL)(1 - a->smoothing), spread = (REAL)(a->smoothing / a->classes);
    const REAL *class_weight = a->class_weight, *prob = a->prob;
    memcpy(z, (const REAL *)a->logits + i * a->row_stride + k, m * sizeof *z);
    if (prob)
        memcpy(tau, prob + i * a->classes + k, m * sizeof *tau);
    else
        memset(tau, 0, m * sizeof *tau);
    if (target >= k && target < k + m)
        tau[target - k] = 1;
    for (ptrdiff_t j = 0; j < m; j++)
        tau[j] = rule.divergence ? target_mass(tau[j])
                                 : tau_of(tau[j], class_weight ? class_weight[k + j] : 1, keep, spread);
    for (ptrdiff_t j = m; j < CHUNK && j % LANES; j++) {
        z[j] = -REAL_INF;
        tau[j] = 0;
    }
}

NLLK_INLINE double general_wide_rows(row_rule rule, const nllk_rowwise *a, ptrdiff_t begin, ptrdiff_t end)
{
    const REAL softcap = (REAL)a->softcap;
    REAL *grad = a->grad, *hess = a->hess, *loss = a->loss;
    ptrdiff_t n = a->classes;
    REAL z[CHUNK], tau[CHUNK], lanes[LANES];
    row_block b;
    double sum = 0;
    memset(&b, 0, sizeof b);
    for (ptrdiff_t i = begin; i < end; i++) {
        ptrdiff_t target;
        general_target(a, i, &target, &b.weight[0]);
        if (b.weight[0] == 0) {
            if (loss)
                loss[i] = 0;
            if (grad)
                memset(grad + i * n, 0, n * sizeof *grad);
            if (hess)
                memset(hess + i * n, 0, n * sizeof *hess);
            continue;
        }
        row_max((const REAL *)a->logits + i * a->row_stride, n, lanes);
        REAL top = lanes[0];
        for (int j = 1; j < LANES; j++)
            top = max_(lanes[j], top);
        row_view view = view_of(rule.score, top, softcap);
        double sums[3][LANES], low[3][LANES], ties = 0;
        memset(sums, 0, sizeof sums);
        memset(low, 0, sizeof low);
        for (ptrdiff_t k = 0; k < n; k += CHUNK) {
            ptrdiff_t m = n - k < CHUNK ? n - k : CHUNK;
            REAL part[4][LANES];
            memset(part, 0, sizeof part);
            load_chunk(rule, a, i, target, k, m, z, tau);
            for (ptrdiff_t c = 0; c < m; c += LANES) {
#pragma omp simd
                for (int j = 0; j < LANES; j++) {
                    row_sums s = {part[0][j], part[1][j], part[2][j], part[3][j]};
                    s = add_class(rule, s, z[c + j], view, softcap, tau[c + j]);
                    part[0][j] = s.rest;
                    part[1][j] = s.ties;
                    part[2][j] = s.mass;
                    part[3][j] = s.gap;
                }
                if (rule.divergence == FROM_SOFTMAX)
                    wide_add(sums[1], low[1], &tau[c], LANES);
            }
            wide_add(sums[0], low[0], part[0], LANES);
            if (rule.divergence != FROM_SOFTMAX)
                wide_add(sums[1], low[1], part[2], LANES);
            wide_add(sums[2], low[2], part[3], LANES);
            for (int j = 0; j < LANES; j++)
                ties += part[1][j];
        }
        double totals[3];
        for (int q = 0; q < 3; q++)
            totals[q] = total_of_lanes(sums[q], low[q]);
        b.top[0] = view.top;
        b.rest[0] = (REAL)((ties - 1) + totals[0] * ROW_UNLIFT_2);
        b.mass[0] = (REAL)totals[1];
        b.gap[0] = (REAL)totals[2];
        double row_sum = finish_first_pass(rule, a, &b, 1, 1);
        row_terms row = terms_of(a, &b, 0);
        memset(sums[2], 0, sizeof sums[2]);
        memset(low[2], 0, sizeof low[2]);
        for (ptrdiff_t k = 0; k < n && (grad || rule.divergence == FROM_SOFTMAX); k += CHUNK) {
            ptrdiff_t m = n - k < CHUNK ? n - k : CHUNK;
            REAL part[LANES] = {0};
            load_chunk(rule, a, i, target, k, m, z, tau);
            for (ptrdiff_t c = 0; c < m; c += LANES) {
                if (hess)
                    derive_lanes(rule, 1, view, row, &z[c], &tau[c], part);
                else
                    derive_lanes(rule, 0, view, row, &z[c], &tau[c], part);
            }
            if (rule.divergence == FROM_SOFTMAX)
                wide_add(sums[2], low[2], part, LANES);
            if (grad)
                memcpy(grad + i * n + k, z, m * sizeof *z);
            if (hess)
                memcpy(hess + i * n + k, tau, m * sizeof *tau);
        }
        if (rule.divergence == FROM_SOFTMAX) {
            double value = total_of_lanes(sums[2], low[2]), excess = sum_of_lanes(-1, sums[1], low[1]);
            row_sum = finish_second_pass(&b, 1, 1, &value, &excess);
        }
        sum += row_sum;
        if (loss)
            loss[i] = b.loss[0];
    }
    return sum;
}

#endif
