/* Poisson negative log-likelihood of a count y >= 0, not only an integer one, rate b:
 *
 *   L       = b - y log(b) + lgamma(1 + y)
 *           = y (r - 1 - log r) + P(y),     r = b / y,     P(y) = lgamma(1 + y) - y log(y) + y
 *   b dL/db = b - y        b^2 d2L/db2 = y        d2L/d(log b)2 = b
 *
 * In the second form nothing large cancels (Loader 2000); r - 1 = (b - y) / y is exact but for its division where
 * r is near 1. Without the constant lgamma(1 + y) it is the first form. */
#include "pointwise/formula.h"
#include "functions/gamma.h"

#define LOGS 0
#define ALONE TARGET_ALONE
#define POISSON_LEAST C(0x1p-70, 0x1p-400)

/* A count that is 0, or nearly, adds less to b than its rounding, and so does POISSON_LEAST. */
NLLK_INLINE REAL poisson_count(REAL y) { return y < POISSON_LEAST ? POISSON_LEAST : y; }

NLLK_INLINE alone_terms poisson_nll_alone(REAL target)
{
    const REAL y = poisson_count(target);
    return (alone_terms){.value = poisson_saturated_of(y, log_ordinary_(y))};
}

NLLK_INLINE void poisson_nll(const sample *s, result *to)
{
    const REAL b = s->p[0].value, y = poisson_count(s->target);
    const REAL inverse = R(1.0) / y, excess = b - y, near = excess * inverse;
    const REAL x = mul_add(mul_add(-near, y, excess), inverse, near); /* excess / y to the last bit or so */
    const REAL full = s->full ? R(1.0) : R(0.0);
    const log_ratio ratio = log_ratio_(full > R(0.0) ? b * inverse : b, full > R(0.0) ? x : b - R(1.0));
    const REAL gap = x < LOG_RATIO_SMALL ? x - ratio.log : -ratio.remainder; /* r - 1 - log r */
    const REAL whole = mul_add(y, gap, s->alone.value);
    to->value = full > R(0.0) ? whole : b - s->target * ratio.log;
    to->d1[0] = b - s->target;
    to->d2[0] = s->target;
    to->d2_log[0] = b;
}

#define HAS_SCALED
#if NLLK_BITS == 64
NLLK_INLINE void poisson_nll_scaled(const scaled_sample *s, int want, scaled_result *to)
{
    const double y = s->target, log_b = s->p[0].log;
    const scaled b = s->p[0].value, count = scaled_of(y), excess = scaled_sub(b, count);
    const double x = scaled_to_double(scaled_div(excess, count)); /* r - 1 */
    double log_r = scaled_log(scaled_div(b, count));
    log_r = fabs_(log_r) == REAL_INF ? log_b - scaled_log(count) : log_r;
    const int is_near = fabs_(x - 0.25) < 0.75, full = s->full;
    const double far = scaled_to_double(
        scaled_sub(scaled_select(full, excess, b), scaled_mul(scaled_of(full ? log_r : log_b), count)));
    const double near = is_near ? -y * log1pmx_(x) : far, rate = scaled_to_double(b);
    const double value = full ? near + poisson_saturated_(y) : far, finite = rate < REAL_INF ? value : rate;
    to->value = y == 0 ? rate : finite;
    if (want < WANT_GRAD)
        return;
    to->d1[0] = excess;
    if (want < WANT_HESS)
        return;
    to->d2[0] = count;
    to->d2_log[0] = b;
}
#endif
