/* Everything else that a row may want: probability targets, smoothing, any score (rows_score.h), second derivatives, and
 * the divergence from the target (divergence.h) in place of the cross-entropy.
 *
 *   tau_k  = class_weight_k ((1 - smoothing) t_k + smoothing / K),   mass = sum_k tau_k,   pull = 2 z_loss lse
 *   dL/ds_k   = (e_k (mass - tau_k + pull) - tau_k q_k) / total,     q_k = (1 - e_k) + rest = total - e_k
 *   d2L/ds_k2 = ((mass + pull) e_k q_k / total + 2 z_loss e_k^2 / total) / total
 *   dL/dz_k   = s'_k dL/ds_k
 *   d2L/dz_k2 = s'_k^2 d2L/ds_k2 + s''_k dL/ds_k
 *
 * A class whose logit is -inf is masked: probability and derivatives are 0 there, also under softcap.
 *
 * Class weights and z_loss may be so large or small that sums of tau over- or underflow: all of them are then multiplied by
 * `unit`, a power of two, which the weight of the row takes back in double. */
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

/* What the options make of a call's targets. */
typedef struct {
    const REAL *class_weight; /* or NULL for 1 */
    REAL keep, spread, softcap, unit, z_loss;
} row_options;

/* 1, or a power of two that brings the largest class weight, or z_loss, near 1. */
NLLK_INLINE double tau_unit(const nllk_rowwise *a)
{
    const REAL *class_weight = a->class_weight;
    const double far = C(0x1p60, 0x1p500);
    double largest = 0;
    for (ptrdiff_t k = 0; class_weight && k < a->classes; k++)
        largest = class_weight[k] > largest && class_weight[k] <= REAL_MAX ? class_weight[k] : largest;
    largest = class_weight ? largest : 1;
    largest = a->z_loss > largest ? a->z_loss : largest;
    if (largest == 0 || (largest < far && largest > 1 / far))
        return 1;
    const int most = PICK(126, 1022);
    int exponent;
    (void)__builtin_frexp(largest, &exponent);
    return __builtin_ldexp(1, -(exponent > most ? most : exponent < -most ? -most : exponent));
}

NLLK_INLINE row_options options_of(const nllk_rowwise *a)
{
    double unit = tau_unit(a);
    REAL softcap = a->softcap > REAL_MAX ? REAL_MAX : (REAL)a->softcap;
    return (row_options){.class_weight = a->class_weight,
                         .keep = (REAL)(1 - a->smoothing),
                         .spread = (REAL)(a->smoothing / (double)a->classes),
                         .softcap = softcap < REAL_TINY ? REAL_TINY : softcap,
                         .unit = (REAL)unit,
                         .z_loss = (REAL)(a->z_loss * unit)};
}

/* A class without a share of the target costs nothing, whatever its weight. */
NLLK_INLINE REAL tau_of(REAL t, REAL class_weight, REAL keep, REAL spread)
{
    REAL part = mul_add(keep, t, spread);
    return part == 0 ? 0 : class_weight * part;
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

NLLK_INLINE row_terms terms_of(const row_options *o, const row_block *b, int r)
{
    return (row_terms){b->rest[r], (REAL)b->mass[r], (REAL)b->pull[r], (REAL)b->inverse[r],
                       b->over[r], o->z_loss,        o->softcap};
}

/* What a block's rows need for the second pass, and their losses if they are known by then; returns the sum of those. */
NLLK_INLINE double finish_first_pass(row_rule rule, const nllk_rowwise *a, row_block *b, int rows, ptrdiff_t count,
                                     double unit)
{
    double sum = finish_rows(a, b, rows, count, unit);
    if (rule.divergence != FROM_LOG)
        return sum;
    sum = 0;
    for (int r = 0; r < rows; r++)
        b->inverse[r] = b->gap[r] == b->gap[r] ? a->scale * b->weight[r] : (double)REAL_NAN;
    for (ptrdiff_t r = 0; r < count; r++)
        sum += weigh_loss(b, r, b->gap[r]);
    return sum;
}

/* The losses of a divergence from a softmax: `value` is the sum of the classes' terms, `excess` that of the targets less 1. */
NLLK_INLINE double finish_second_pass(row_block *b, ptrdiff_t count, const double *value, const double *excess)
{
    double sum = 0;
    for (ptrdiff_t r = 0; r < count; r++)
        sum += weigh_loss(b, r, value[r] + excess[r]);
    return sum;
}

/* One class of a block: z becomes the gradient, tau, if `second`, the second derivative; terms are added to `part`. */
NLLK_INLINE void derive_column(row_rule rule, int second, const row_options *o, const row_block *b,
                               const row_views *views, REAL *z, REAL *tau, const REAL *share, REAL *part)
{
#pragma omp simd
    for (int r = 0; r < ROWS; r++) {
        class_results c = class_derivatives(rule, z[r], tau[r], share[r], view_at(views, r), terms_of(o, b, r));
        z[r] = b->weight[r] == 0 ? 0 : c.grad;
        if (second)
            tau[r] = b->weight[r] == 0 ? 0 : c.hess;
        part[r] += c.term;
    }
}

NLLK_INLINE double general_narrow_rows(row_rule rule, const nllk_rowwise *a, ptrdiff_t begin, ptrdiff_t end)
{
    const row_options o = options_of(a);
    const REAL *prob = a->prob;
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
        view_rows(rule.score, b.top, o.softcap, ROWS, &views);
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
                REAL w = o.unit * (o.class_weight ? o.class_weight[k] : 1);
#pragma omp simd
                for (int r = 0; r < ROWS; r++) {
                    REAL t = prob ? tau[k * ROWS + r] : k == target[r] ? 1 : 0;
                    row_sums c = {part[0][r], ties[r], part[1][r], part[2][r]};
                    t = rule.divergence ? t : tau_of(t, w, o.keep, o.spread);
                    tau[k * ROWS + r] = t;
                    c = add_class(rule, c, z[k * ROWS + r], view_at(&views, r), o.softcap, t, &share[k * ROWS + r]);
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
            b.mass[r] = mass[r] + low[1][r];
            b.gap[r] = gap[r] + low[2][r];
            mass[r] = (mass[r] - 1) + low[1][r];
            gap[r] = low[2][r] = 0;
        }
        double part_sum = finish_first_pass(rule, a, &b, ROWS, count, o.unit);
        for (ptrdiff_t k0 = 0; k0 < n && (grad || rule.divergence == FROM_SOFTMAX); k0 += GROUP) {
            ptrdiff_t stop = n - k0 < GROUP ? n : k0 + GROUP;
            REAL part[ROWS] = {0};
            for (ptrdiff_t k = k0; k < stop; k++) {
                if (hess)
                    derive_column(rule, 1, &o, &b, &views, &z[k * ROWS], &tau[k * ROWS], &share[k * ROWS], part);
                else
                    derive_column(rule, 0, &o, &b, &views, &z[k * ROWS], &tau[k * ROWS], &share[k * ROWS], part);
            }
            if (rule.divergence == FROM_SOFTMAX)
                wide_add(gap, low[2], part, ROWS);
        }
        if (rule.divergence == FROM_SOFTMAX) {
            for (int r = 0; r < ROWS; r++)
                gap[r] += low[2][r];
            part_sum = finish_second_pass(&b, count, gap, mass);
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
