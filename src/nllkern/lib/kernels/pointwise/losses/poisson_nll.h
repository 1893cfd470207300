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
#define POISSON_LEAST C(0x1p-70, 0x1p-400)

NLLK_INLINE void poisson_nll(const sample *s, result *to)
{
    /* A count that is 0, or nearly, adds less to b than its rounding, and so does POISSON_LEAST. */
    const REAL b = s->p[0].value, least = POISSON_LEAST, y = least > s->target ? least : s->target;
    const REAL inverse = R(1.0) / y, excess = b - y, near = excess * inverse;
    const REAL x = mul_add(mul_add(-near, y, excess), inverse, near); /* excess / y to the last bit or so */
    const REAL full = s->full ? R(1.0) : R(0.0);
    const log_ratio ratio = log_ratio_(full > R(0.0) ? b * inverse : b, full > R(0.0) ? x : b - R(1.0));
    const REAL gap = x < LOG_RATIO_SMALL ? x - ratio.log : -ratio.remainder; /* r - 1 - log r */
    const REAL whole = mul_add(y, gap, poisson_saturated_of(y, log_ordinary_(y)));
    to->value = full > R(0.0) ? whole : b - s->target * ratio.log;
    to->d1[0] = b - s->target;
    to->d2[0] = s->target;
    to->d2_log[0] = b;
}

#define HAS_SCALED
#if NLLK_BITS == 64
static void poisson_nll_scaled(const scaled_sample *s, int want, scaled_result *to)
{
    const double y = s->target, log_b = s->p[0].log;
    const scaled b = s->p[0].value, count = scaled_of(y), excess = scaled_sub(b, count);
    const double x = scaled_to_double(scaled_div(excess, count)); /* r - 1 */
    double log_r = scaled_log(scaled_div(b, count));
    if (fabs_(log_r) == REAL_INF)
        log_r = log_b - log_(y);
    double value = scaled_to_double(scaled_sub(b, scaled_times(scaled_of(log_b), y)));
    if (y == 0)
        value = scaled_to_double(b);
    else if (scaled_to_double(b) == REAL_INF)
        value = REAL_INF;
    else if (s->full && x > -0.5 && x < 1)
        value = -y * log1pmx_(x) + poisson_saturated_(y);
    else if (s->full)
        value = scaled_to_double(scaled_sub(excess, scaled_times(scaled_of(log_r), y))) + poisson_saturated_(y);
    to->value = value;
    if (want < WANT_GRAD)
        return;
    to->d1[0] = excess;
    if (want < WANT_HESS)
        return;
    to->d2[0] = count;
    to->d2_log[0] = b;
}
#endif
