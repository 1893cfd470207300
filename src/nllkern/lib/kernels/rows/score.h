/* From a logit to what the softmax of a row sees: the score s, a function of the logit, and its share of the row's sum.
 *
 *   PLAIN        s = z
 *   SOFTCAP      s = c tanh(z / c),   s' = sech^2(z / c),   s'' = -2 s s' / c^2
 *   LOG_SIGMOID  s = log sigmoid(z),  s' = sigmoid(-z),     s'' = -sigmoid(z) sigmoid(-z)
 *   LOG_PROBABILITY  s = z, which is a logarithm of a probability already: there is no softmax
 *
 * The shares exp(s_k - s*) of a row, * its largest logit, come for LOG_SIGMOID without a logarithm and without cancellation
 * from one exponential and one division, also where every sigmoid is tiny.  With base = min(z*, 0):
 *
 *   x = exp(z > 0 ? -z : z - base),   e = exp(-|z|) = x exp(base),   r = 1 / (1 + e)
 *   sigmoid(z) / exp(base) = (z > 0 ? 1 : x) r,   and that times sigmoid(-z) = x r^2
 *   s - s* = (min(z, 0) - base) - (log1p(e) - log1p(exp(-|z*|)))
 *   exp(s - s*) = sigmoid(z) / exp(base) * ratio,   ratio = 1 + exp(-|z*|) */
#ifndef NLLK_SCORE_H
#define NLLK_SCORE_H

#include "functions/hyperbolic.h"
#include "rows.h"

enum { PLAIN, SOFTCAP, LOG_SIGMOID, LOG_PROBABILITY };

/* What the logits of a row are seen against. */
typedef struct {
    REAL peak;  /* the largest logit */
    REAL top;   /* its score; for LOG_SIGMOID the logit itself, as only differences of scores are formed */
    REAL base;  /* min(peak, 0) */
    REAL unit;  /* exp(base) */
    REAL ratio; /* 1 + exp(-|peak|) */
    REAL head;  /* log1p(exp(-|peak|)) */
} row_view;

NLLK_INLINE REAL cap_(REAL z, REAL softcap)
{
    REAL s = softcap * tanh_(z / softcap);
    return fabs_(z) < REAL_INF ? s : z; /* masked stays masked, and +inf or NaN what it is */
}

NLLK_INLINE row_view view_of(int score, REAL peak, REAL softcap)
{
    row_view v = {peak, score == SOFTCAP ? cap_(peak, softcap) : peak, 0, 0, 1, 0};
    if (score == LOG_SIGMOID) {
        REAL e = exp_nonpositive_(-fabs_(peak));
        v.base = min_(peak, R(0.0));
        v.unit = exp_nonpositive_(v.base);
        v.ratio = 1 + e;
        v.head = log1p_unit_(e);
    }
    return v;
}

/* The same of up to ROWS rows side by side. */
typedef struct {
    ALIGNED REAL peak[ROWS], top[ROWS], base[ROWS], unit[ROWS], ratio[ROWS], head[ROWS];
    REAL origin[ROWS]; /* what the stage holds, less this, is the score less the top (general.h) */
} row_views;

NLLK_INLINE void view_rows_as(int score, const REAL *peak, REAL softcap, int rows, row_views *views)
{
    for (int g = 0; g < rows; g += ROWS_STEP(rows)) {
#pragma omp simd
        for (int r = g; r < g + ROWS_STEP(rows); r++) {
            row_view v = view_of(score, peak[r], softcap);
            views->peak[r] = v.peak;
            views->top[r] = v.top;
            views->origin[r] = score == PLAIN ? v.top : 0;
            views->base[r] = v.base;
            views->unit[r] = v.unit;
            views->ratio[r] = v.ratio;
            views->head[r] = v.head;
        }
    }
}

NLLK_NOINLINE void view_rows(int score, const REAL *peak, REAL softcap, int rows, row_views *views)
{
    if (score == SOFTCAP)
        view_rows_as(SOFTCAP, peak, softcap, rows, views);
    else if (score == LOG_SIGMOID)
        view_rows_as(LOG_SIGMOID, peak, softcap, rows, views);
    else
        for (int r = 0; r < rows; r++) {
            views->top[r] = peak[r];
            views->origin[r] = score == PLAIN ? peak[r] : 0;
        }
}

NLLK_INLINE row_view view_at(const row_views *v, int r)
{
    return (row_view){v->peak[r], v->top[r], v->base[r], v->unit[r], v->ratio[r], v->head[r]};
}

/* sigmoid(z) / exp(base), lifted, and into `sloped` that times sigmoid(-z). */
NLLK_INLINE REAL sigmoid_share(REAL z, REAL base, REAL unit, REAL *sloped)
{
    REAL x = exp_lifted_(z > 0 ? -z : z - base);
    REAL r = 1 / (1 + x * (ROW_UNLIFT_2 * unit));
    *sloped = x * r * r;
    return (z > 0 ? ROW_LIFT_2 : x) * r;
}

/* The score of z less that of the row's largest logit, the lifted share, and both derivatives of the score. */
typedef struct {
    REAL fall, share, slope, bend;
} class_score;

NLLK_INLINE class_score score_of(int score, REAL z, row_view v, REAL softcap)
{
    if (score == SOFTCAP) {
        tanh_parts t = tanh_parts_(z / softcap);
        REAL fall = (fabs_(z) < REAL_INF ? softcap * t.tanh : z) - v.top;
        return (class_score){fall, exp_lifted_(fall), t.sech2, -2 * t.tanh * t.sech2 / softcap};
    }
    if (score == LOG_SIGMOID) {
        REAL x = exp_lifted_(z > 0 ? -z : z - v.base), e = ROW_UNLIFT_2 * x * v.unit, r = 1 / (1 + e);
        REAL fall = (min_(z, R(0.0)) - v.base) - (log1p_unit_(e) - v.head);
        REAL share = (z > 0 ? ROW_LIFT_2 : x) * r * v.ratio;
        int is_peak = (z == v.peak) & (z > -REAL_INF); /* whose share is 1 exactly */
        return (class_score){is_peak ? 0 : fall, is_peak ? ROW_LIFT_2 : share, (z > 0 ? e : R(1.0)) * r, -e * r * r};
    }
    return (class_score){z - v.top, exp_lifted_(z - v.top), 1, 0};
}

#endif
