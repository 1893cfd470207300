/* Weibull negative log-likelihood of y > 0, shape k, scale s; t = k log(y / s):
 *
 *   L       = e^t - t - log(k) + log(y)
 *   k dL/dk = t (e^t - 1) - 1       k^2 d2L/dk2 = t^2 e^t + 1            d2L/d(log k)2 = t^2 e^t + t (e^t - 1)
 *   s dL/ds = -k (e^t - 1)          s^2 d2L/ds2 = k^2 e^t + k (e^t - 1)  d2L/d(log s)2 = k^2 e^t
 *
 * log(y / s) comes from (y - s) / s where the two are close.  e^(t/2) is squared last, so that it has not lost its digits
 * where only e^t is subnormal. */
#include "functions/exponential.h"
#include "pointwise/formula.h"

#define LOGS (1 << 0 | LOG_TARGET)

NLLK_INLINE void weibull_nll(const sample *x, result *to)
{
    const parameter *shape = &x->p[0], *scale = &x->p[1];
    const REAL k = shape->value, y = x->target;
    const REAL t = k * log_ratio_(y * scale->inverse, (y - scale->value) * scale->inverse).log;
    const REAL root = exp_(R(0.5) * t), less_one = expm1_(t);
    const REAL t_root = t * root, k_root = k * root;
    to->value = (root * root - t) + ((x->full ? x->log_target : R(0.0)) - shape->log);
    to->d1[0] = mul_add(t, less_one, R(-1.0));
    to->d2[0] = mul_add(t_root, t_root, R(1.0));
    to->d2_log[0] = mul_add(t_root, t_root, t * less_one);
    to->d1[1] = -k * less_one;
    to->d2[1] = mul_add(k_root, k_root, k * less_one);
    to->d2_log[1] = k_root * k_root;
}
