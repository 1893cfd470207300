/* Terms of the Kullback-Leibler divergence of a target t from a prediction p.
 *
 *   softmax:  KL = sum_k (p_k - t_k + t_k log(t_k / p_k)) + (sum t - 1),   p = softmax(z)
 *   log:      KL = sum_k t_k (log t_k - l_k),                              l = log p as it was given
 *
 * The first form's terms are t h(log(t / p)), h(d) = exp(-d) - 1 + d >= 0.  With r = p / t and log r = e ln 2 + log1p(f), the
 * reduction of the logarithm, a term is t (r - 1 - log r), of which e = 0 leaves -t (log1p(f) - f) and no difference: a
 * divergence much smaller than the entropies of t and p keeps its digits.  0 log 0 = 0, and t > 0 = p costs +inf. */
#ifndef NLLK_DIVERGENCE_H
#define NLLK_DIVERGENCE_H

#include "vecmath.h"

enum { NO_DIVERGENCE, FROM_SOFTMAX, FROM_LOG };

/* t, if it may stand for a probability; else NaN. */
NLLK_INLINE REAL target_mass(REAL t) { return (t >= 0) & (t < REAL_INF) ? t : REAL_NAN; }

/* exp(fall) underflows long before log p = fall - log total is meaningless: below this the ratio r is taken of
 * exp(FALL_LOW) and the rest of the fall joins its logarithm. */
#define FALL_LOW C(-40.0, -400.0)
#define EXP_FALL_LOW C(0x1.397924p-58, 0x1.e50c483c04dcdp-578)

/* p - t + t log(t / p) for p = e over, e = exp(fall). */
NLLK_INLINE REAL softmax_term(REAL t, REAL fall, REAL e, REAL over)
{
    REAL p = e * over;
    REAL r = (fall < FALL_LOW ? EXP_FALL_LOW : e) * over / t;
    r = r < REAL_INF ? r : REAL_MAX; /* t next to 0: its logarithm weighs nothing */
    log_reduction u = log_reduce_any(r);
    REAL q = log1pmx_poly(u.f, R(1.0) / (R(2.0) + u.f));
    REAL log_r = mul_add(u.e, LN2_HIGH, u.f + mul_add(u.e, LN2_LOW, q));
    log_r += fall < FALL_LOW ? fall - FALL_LOW : R(0.0);
    REAL exponent = fall < FALL_LOW ? R(1.0) : u.e;
    REAL term = exponent == 0 ? -t * q : (p - t) - t * log_r;
    return t == 0 ? p : term;
}

/* t (log t - l): l meets the part of log t that is as large as it is first. */
NLLK_INLINE REAL log_term(REAL t, REAL l)
{
    log_reduction u = log_reduce_any(t);
    REAL d = mul_add(u.e, LN2_HIGH, -l) + (u.f + mul_add(u.e, LN2_LOW, log1pmx_poly(u.f, R(1.0) / (R(2.0) + u.f))));
    REAL term = t == 0 ? R(0.0) : t * d;
    return l < REAL_INF ? term : REAL_NAN;
}

#endif
