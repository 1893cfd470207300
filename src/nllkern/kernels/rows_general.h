/* Everything else that a row may want: probability targets, smoothing, softcap, second derivatives.
 *
 *   s_k    = c tanh(z_k / c),  s'_k = sech^2(z_k / c),  s''_k = -2 s_k s'_k / c^2   (softcap; else s = z, 1, 0)
 *   tau_k  = class_weight_k ((1 - smoothing) t_k + smoothing / K),   mass = sum_k tau_k,   pull = 2 z_loss lse
 *   dL/ds_k   = (e_k (mass - tau_k + pull) - tau_k q_k) / total,     q_k = (1 - e_k) + rest = total - e_k
 *   d2L/ds_k2 = ((mass + pull) e_k q_k / total + 2 z_loss e_k^2 / total) / total
 *   dL/dz_k   = s'_k dL/ds_k
 *   d2L/dz_k2 = s'_k^2 d2L/ds_k2 + s''_k dL/ds_k
 *
 * A class whose logit is -inf is masked: probability and derivatives are 0 there, also under softcap. */
#ifndef NLLK_ROWS_GENERAL_H
#define NLLK_ROWS_GENERAL_H

#include "rows_narrow.h"
#include "rows_wide.h"

/* What one row, or one column of a transposed block, needs for its derivatives. */
typedef struct {
    REAL top, rest, mass, pull, inverse, z_loss, softcap;
} row_terms;

NLLK_INLINE REAL tau_of(REAL t, REAL class_weight, REAL keep, REAL spread)
{
    return class_weight * mul_add(keep, t, spread);
}

NLLK_INLINE REAL cap_(REAL z, REAL softcap)
{
    REAL s = softcap * tanh_(z / softcap);
    return fabs_(z) < REAL_INF ? s : z; /* masked stays masked, and +inf or NaN what it is */
}

/* Both derivatives with respect to z of one class; `hess` is skipped by the compiler where it is not used. */
NLLK_INLINE void class_derivatives(REAL z, REAL tau, const row_terms *row, int capped, REAL *grad, REAL *hess)
{
    REAL slope = 1, bend = 0, s = z;
    if (capped) {
        tanh_parts t = tanh_parts_(z / row->softcap);
        s = fabs_(z) < REAL_INF ? row->softcap * t.tanh : z;
        slope = t.sech2;
        bend = -2 * t.tanh * t.sech2 / row->softcap;
    }
    REAL e = exp_nonpositive_(s - row->top);
    REAL q = (1 - e) + row->rest;
    REAL total = 1 + row->rest;
    REAL ds = (e * ((row->mass - tau) + row->pull) - tau * q) * row->inverse;
    REAL dss = e * ((row->mass + row->pull) * (q / total) + 2 * row->z_loss * (e / total)) * row->inverse;
    *grad = z == -REAL_INF ? 0 : ds * slope;
    *hess = z == -REAL_INF ? 0 : dss * slope * slope + ds * bend;
}

/* Sums of one row or one column: the maximum's 1 is counted, not added; `rest` is lifted. */
typedef struct {
    REAL rest, ties, mass, gap;
} row_sums;

NLLK_INLINE void add_class(row_sums *sum, REAL s, REAL top, REAL tau)
{
    REAL e = exp_lifted_(s - top);
    sum->rest += e == ROW_LIFT_2 ? 0 : e;
    sum->ties += e == ROW_LIFT_2 ? 1 : 0;
    sum->mass += tau;
    sum->gap += tau == 0 ? 0 : tau * (top - s);
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
    return (row_terms){b->top[r], b->rest[r], b->mass[r], b->pull[r], b->inverse[r], (REAL)a->z_loss, (REAL)a->softcap};
}

NLLK_INLINE double general_narrow_rows(const nllk_rowwise *a, ptrdiff_t begin, ptrdiff_t end, int capped)
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
        block_max(z, n, ROWS, b.top);
        double rest[ROWS], mass[ROWS], gap[ROWS], low[3][ROWS];
        memset(low, 0, sizeof low);
        for (int r = 0; r < ROWS; r++) {
            b.top[r] = capped ? cap_(b.top[r], softcap) : b.top[r];
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
                    REAL s = capped ? cap_(z[k * ROWS + r], softcap) : z[k * ROWS + r];
                    row_sums c = {part[0][r], ties[r], part[1][r], part[2][r]};
                    tau[k * ROWS + r] = tau_of(t, w, keep, spread);
                    add_class(&c, s, b.top[r], tau[k * ROWS + r]);
                    part[0][r] = c.rest;
                    ties[r] = c.ties;
                    part[1][r] = c.mass;
                    part[2][r] = c.gap;
                }
            }
            wide_add(rest, low[0], part[0], ROWS);
            wide_add(mass, low[1], part[1], ROWS);
            wide_add(gap, low[2], part[2], ROWS);
        }
        for (int r = 0; r < ROWS; r++) {
            b.rest[r] = (REAL)((ties[r] - 1) + (rest[r] + low[0][r]) * ROW_UNLIFT_2);
            b.mass[r] = (REAL)(mass[r] + low[1][r]);
            b.gap[r] = (REAL)(gap[r] + low[2][r]);
        }
        sum += finish_rows(a, &b, ROWS, count);
        if (loss)
            memcpy(loss + first, b.loss, count * sizeof *loss);
        if (!grad)
            continue;
        for (ptrdiff_t k = 0; k < n; k++) {
#pragma omp simd
            for (int r = 0; r < ROWS; r++) {
                row_terms row = terms_of(a, &b, r);
                REAL g, h;
                class_derivatives(z[k * ROWS + r], tau[k * ROWS + r], &row, capped, &g, &h);
                z[k * ROWS + r] = b.weight[r] == 0 ? 0 : g;
                tau[k * ROWS + r] = b.weight[r] == 0 ? 0 : h;
            }
        }
        transpose_out(z, n, count, grad + first * n);
        if (hess)
            transpose_out(tau, n, count, hess + first * n);
    }
    return sum;
}

/* Columns [k, k + m) of a row: logits padded with masked classes, and tau. */
NLLK_INLINE void load_chunk(const nllk_rowwise *a, ptrdiff_t i, ptrdiff_t target, ptrdiff_t k, ptrdiff_t m,
                            REAL *restrict z, REAL *restrict tau)
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
        tau[j] = tau_of(tau[j], class_weight ? class_weight[k + j] : 1, keep, spread);
    for (ptrdiff_t j = m; j < CHUNK && j % LANES; j++) {
        z[j] = -REAL_INF;
        tau[j] = 0;
    }
}

NLLK_INLINE double general_wide_rows(const nllk_rowwise *a, ptrdiff_t begin, ptrdiff_t end, int capped)
{
    const REAL softcap = (REAL)a->softcap;
    REAL *grad = a->grad, *hess = a->hess, *loss = a->loss;
    ptrdiff_t n = a->classes;
    REAL z[CHUNK], tau[CHUNK], bend[CHUNK], lanes[LANES];
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
        top = capped ? cap_(top, softcap) : top;
        double sums[3][LANES], low[3][LANES], ties = 0;
        memset(sums, 0, sizeof sums);
        memset(low, 0, sizeof low);
        for (ptrdiff_t k = 0; k < n; k += CHUNK) {
            ptrdiff_t m = n - k < CHUNK ? n - k : CHUNK;
            REAL part[4][LANES];
            memset(part, 0, sizeof part);
            load_chunk(a, i, target, k, m, z, tau);
            for (ptrdiff_t c = 0; c < m; c += LANES) {
#pragma omp simd
                for (int j = 0; j < LANES; j++) {
                    row_sums s = {part[0][j], part[1][j], part[2][j], part[3][j]};
                    add_class(&s, capped ? cap_(z[c + j], softcap) : z[c + j], top, tau[c + j]);
                    part[0][j] = s.rest;
                    part[1][j] = s.ties;
                    part[2][j] = s.mass;
                    part[3][j] = s.gap;
                }
            }
            wide_add(sums[0], low[0], part[0], LANES);
            wide_add(sums[1], low[1], part[2], LANES);
            wide_add(sums[2], low[2], part[3], LANES);
            for (int j = 0; j < LANES; j++)
                ties += part[1][j];
        }
        double totals[3] = {0, 0, 0};
        for (int q = 0; q < 3; q++)
            for (int j = 0; j < LANES; j++)
                totals[q] += sums[q][j] + low[q][j];
        b.top[0] = top;
        b.rest[0] = (REAL)((ties - 1) + totals[0] * ROW_UNLIFT_2);
        b.mass[0] = (REAL)totals[1];
        b.gap[0] = (REAL)totals[2];
        sum += finish_rows(a, &b, 1, 1);
        if (loss)
            loss[i] = b.loss[0];
        row_terms row = terms_of(a, &b, 0);
        for (ptrdiff_t k = 0; grad && k < n; k += CHUNK) {
            ptrdiff_t m = n - k < CHUNK ? n - k : CHUNK;
            load_chunk(a, i, target, k, m, z, tau);
            for (ptrdiff_t c = 0; c < m; c += LANES) {
#pragma omp simd
                for (int j = 0; j < LANES; j++)
                    class_derivatives(z[c + j], tau[c + j], &row, capped, &z[c + j], &bend[c + j]);
            }
            memcpy(grad + i * n + k, z, m * sizeof *z);
            if (hess)
                memcpy(hess + i * n + k, bend, m * sizeof *bend);
        }
    }
    return sum;
}

#endif
