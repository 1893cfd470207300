/* The logistic family, all from e = exp(-|x|) in [0, 1], which never overflows.
 *
 * softplus      Worst: float 1.57 ulp at 0x1.1d55c4p-10, double 1.64 ulp at 0x1.a8336a7010dffp-11.
 * sigmoid       Worst: float 1.72 ulp at -0x1.4de6aap+1, double 2.13 ulp at -0x1.3286bd0ee3f50p+1.
 * log_softplus  Worst: float 1.64 ulp at 0x1.82b828p-12, double 1.70 ulp at 0x1.33d90e928a7a1p-7.
 *               (in units of eps max(|exact|, 1): it crosses 0 at x = 0.5413) */
#ifndef NLLK_LOGISTIC_H
#define NLLK_LOGISTIC_H

#include "logarithm.h"

NLLK_INLINE REAL softplus_(REAL x) { return max_(x, R(0.0)) + log1p_unit_(exp_nonpositive_(-fabs_(x))); }

NLLK_INLINE REAL sigmoid_(REAL x)
{
    REAL e = exp_nonpositive_(-fabs_(x));
    return log1p_parts_(e).inverse * (x < R(0.0) ? e : R(1.0));
}

/* x < 0: log(softplus) = x + log(log1p(e) / e), and log1p(e) / e = 1 + e Q(e) keeps away from 0. */
NLLK_INLINE REAL log_softplus_(REAL x)
{
    REAL e = exp_nonpositive_(-fabs_(x));
    log1p_parts l = log1p_parts_(e);
    return log_normal_(x < R(0.0) ? mul_add(e, l.q, R(1.0)) : x + l.log1p) + min_(x, R(0.0));
}

#endif
