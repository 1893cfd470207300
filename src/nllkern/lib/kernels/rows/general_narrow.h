/* general.h for rows of few classes: a step of the stage holds one class of LANES rows. */
#ifndef NLLK_GENERAL_NARROW_H
#define NLLK_GENERAL_NARROW_H

#include "general.h"

#define GENERAL_NARROW 128 /* up to this many classes */
_Static_assert(GENERAL_NARROW *LANES <= PIECE, "LANES rows fit in the stage");

/* Targets to the stage, as tau. */
static void load_tau_narrow(const row_options *o, const nllk_rowwise *a, ptrdiff_t first, ptrdiff_t count,
                            const row_block *b, const ptrdiff_t *target, REAL *tau)
{
    ptrdiff_t n = a->classes;
    if (a->prob) {
        transpose_in((const REAL *)a->prob + first * n, n, n, count, LANES, tau);
        clear_uncounted(b, count, n, LANES, tau);
    } else {
        memset(tau, 0, n * LANES * sizeof *tau);
        for (ptrdiff_t r = 0; r < count; r++)
            if (target[r] >= 0)
                tau[target[r] * LANES + r] = 1;
    }
    if (o->divergence) {
        for (ptrdiff_t i = 0; i < n * LANES; i++)
            tau[i] = target_mass(tau[i]);
    } else if (!target_is_tau(o)) {
        for (ptrdiff_t k = 0; k < n; k++) {
            REAL weight = o->unit * (o->class_weight ? o->class_weight[k] : 1);
#pragma omp simd
            for (int r = 0; r < LANES; r++)
                tau[k * LANES + r] = tau_of(o, tau[k * LANES + r], weight);
        }
    }
}

static double general_narrow_block(const row_options *o, const nllk_rowwise *a, ptrdiff_t first, ptrdiff_t count,
                                   row_stage *s)
{
    REAL *grad = a->grad, *hess = a->hess, *loss = a->loss;
    ptrdiff_t n = a->classes, target[LANES];
    row_block b;
    row_views views;
    row_sums sums;
    for (ptrdiff_t r = 0; r < LANES; r++) {
        row_target t = r < count ? read_target(a, first + r) : (row_target){-1, 0};
        target[r] = t.column;
        b.weight[r] = t.weight;
    }
    transpose_in((const REAL *)a->logits + first * a->row_stride, a->row_stride, n, count, LANES, s->z);
    clear_uncounted(&b, count, n, LANES, s->z);
    load_tau_narrow(o, a, first, count, &b, target, s->tau);
    block_max(s->z, n, LANES, b.top);
    view_rows(o->score, b.top, o->softcap, LANES, &views);
    score_steps(o, s, 0, n, &views);
    clear_sums(&sums, 1);
    sum_steps(s, 0, n, views.origin, &sums, 0, grad ? grad + first * n : s->z);
    double excess[LANES];
    for (int r = 0; r < LANES; r++) {
        b.top[r] = views.top[r];
        read_sums(o, &sums, r, &b, r, excess);
    }
    double sum = finish_general_rows(a, &b, count, o->unit);
    lane_terms terms;
    fill_terms(&b, 0, 1, &terms);
    if (o->divergence == FROM_SOFTMAX) {
        clear_lanes(&sums.gap, 1);
        sum_divergence(s, 0, n, views.origin, &terms, &sums.gap, 0);
        sum = weigh_divergences(&b, count, &sums.gap, excess);
    }
    if (loss)
        memcpy(loss + first, b.loss, count * sizeof *loss);
    if (!grad)
        return sum;
    derive_steps(o, hess != NULL, s, 0, n, &terms, s->z, s->z);
    transpose_out(s->z, n, count, LANES, grad + first * n);
    if (hess)
        transpose_out(s->tau, n, count, LANES, hess + first * n);
    return sum;
}

static double general_narrow_rows(const row_options *o, const nllk_rowwise *a, ptrdiff_t begin, ptrdiff_t end)
{
    row_stage s;
    double sum = 0;
    memset(s.z, 0, a->classes * LANES * sizeof *s.z); /* rows past the end are computed, but do not count */
    memset(s.tau, 0, a->classes * LANES * sizeof *s.tau);
    for (ptrdiff_t first = begin; first < end; first += LANES)
        sum += general_narrow_block(o, a, first, end - first < LANES ? end - first : LANES, &s);
    return sum;
}

#endif
