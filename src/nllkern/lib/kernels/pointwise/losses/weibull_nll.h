/* Weibull negative log-likelihood of y > 0, shape k, scale s; t = k log(y / s):
 *
 *   L       = e^t - t - log(k) + log(y)
 *   k dL/dk = t (e^t - 1) - 1       k^2 d2L/dk2 = t^2 e^t + 1            d2L/d(log k)2 = t^2 e^t + t (e^t - 1)
 *   s dL/ds = -k (e^t - 1)          s^2 d2L/ds2 = k^2 e^t + k (e^t - 1)  d2L/d(log s)2 = k^2 e^t
 *
 * log(y / s) comes from (y - s) / s where the two are close; log(y) - log(k) is one logarithm.  e^(t/2) is squared
 * last, so that it has not lost its digits where only e^t is subnormal. */
#include "functions/exponential.h"
#include "pointwise/formula.h"

#define LOGS 0
#define THETA_BITS PICK(14, 100)
#define VALUE_BITS PICK(50, 500) /* (k t / s)^2 e^t must not overflow */

NLLK_INLINE void weibull_nll(const sample *x, result *to)
{
    const parameter *shape = &x->p[0], *scale = &x->p[1];
    const REAL k = shape->value, y = x->target;
    const REAL t = k * log_ratio_(y * scale->inverse, (y - scale->value) * scale->inverse).log;
    const REAL root = exp_(R(0.5) * t), less_one = expm1_(t);
    const REAL t_root = t * root, k_root = k * root;
    to->value = (root * root - t) + log_ordinary_((x->full ? y : R(1.0)) * shape->inverse);
    to->d1[0] = mul_add(t, less_one, R(-1.0));
    to->d2[0] = mul_add(t_root, t_root, R(1.0));
    to->d2_log[0] = mul_add(t_root, t_root, t * less_one);
    to->d1[1] = -k * less_one;
    to->d2[1] = mul_add(k_root, k_root, k * less_one);
    to->d2_log[1] = k_root * k_root;
}

#define HAS_SCALED
#if NLLK_BITS == 64
NLLK_INLINE void weibull_nll_scaled(const scaled_sample *x, int want, scaled_result *to)
{
    const scaled_parameter *shape = &x->p[0], *scale = &x->p[1];
    const scaled one = scaled_of(1), k = shape->value, y = scaled_of(x->target);
    const double excess = scaled_to_double(scaled_div(scaled_sub(y, scale->value), scale->value)); /* y/s - 1 */
    const double log_y = scaled_log(y);
    double log = scaled_log(scaled_div(y, scale->value));
    log = fabs_(excess - 0.25) < 0.75 ? log1p_(excess) : log;
    log = fabs_(log) == REAL_INF ? log_y - scale->log : log;
    const scaled t = scaled_times(k, log);
    const double size = scaled_to_double(t);
    const scaled power = scaled_exp(size); /* e^t, which no power of t or k outweighs where it underflows */
    const scaled factor = scaled_select(size < -0x1p20, scaled_of(0), power);
    scaled less_one = scaled_select(fabs_(size) > REAL_MIN, scaled_of(expm1_(size)), t);
    less_one = scaled_select(fabs_(size) > 1, scaled_sub(power, one), less_one);
    const double large = scaled_to_double(power);
    double rest = scaled_log(scaled_div(x->full ? y : one, k)); /* of log(y) - log(k) nothing cancels */
    rest = fabs_(rest) == REAL_INF ? (x->full ? log_y : 0) - shape->log : rest;
    to->value = large == REAL_INF ? large : (large - size) + rest;
    if (want < WANT_GRAD)
        return;
    to->d1[0] = scaled_sub(scaled_mul(t, less_one), one);
    to->d1[1] = scaled_negative(scaled_mul(k, less_one));
    if (want < WANT_HESS)
        return;
    const scaled t2 = scaled_mul(scaled_mul(t, factor), t), k2 = scaled_mul(scaled_mul(k, factor), k);
    to->d2[0] = scaled_add(t2, one);
    to->d2_log[0] = scaled_add(t2, scaled_mul(t, less_one));
    to->d2[1] = scaled_add(k2, scaled_mul(k, less_one));
    to->d2_log[1] = k2;
}
#endif
