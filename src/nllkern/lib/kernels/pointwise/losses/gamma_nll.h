/* Gamma negative log-likelihood of y >= 0, shape a, rate b:
 *
 *   L       = lgamma(a) - a log(b) - (a - 1) log(y) + b y
 *           = log(y) + log(2 pi)/2 - log(a)/2 + delta(a) + a (r - 1 - log r),     r = b y / a
 *   a dL/da = a digamma(a) - a log(b y)                a^2 d2L/da2 = a^2 trigamma(a)
 *           = a (digamma(a) - log(a)) - a log r        d2L/d(log a)2 = a dL/da + a^2 trigamma(a)
 *   b dL/db = b y - a                                  b^2 d2L/db2 = a,    d2L/d(log b)2 = b y
 *
 * with delta the Stirling remainder of lgamma.  The first forms serve a small shape (GAMMA_SPLIT), the second ones
 * survive a large one: log r comes from x = (b y - a) / a where r is near 1, and b y - a is rounded once.  Loader
 * (2000) has the form for the Poisson and binomial cases. */
#include "pointwise/formula.h"
#include "functions/gamma.h"

#define LOGS 0
#define ALONE 0
#define ZERO_TARGET_APART 1
#define TARGET_BITS PICK(40, 370) /* y^2 / a must not overflow */

/* Without the logarithms, which are taken of quotients: log(a) and log(y) would cancel. */
NLLK_INLINE alone_terms gamma_nll_alone(REAL a)
{
    const gamma_terms g = gamma_terms_(a);
    return (alone_terms){g.p + (a < GAMMA_SPLIT ? R(0.0) : HALF_LOG_2PI), g.d1, g.d2_log - g.d1, g.d2_log};
}

NLLK_INLINE void gamma_nll(const sample *s, result *to)
{
    const parameter *shape = &s->p[0], *rate = &s->p[1];
    const REAL a = shape->value, b = rate->value, y = s->target, by = b * y;
    const REAL excess = mul_add_exact(b, y, -a), x = excess * shape->inverse, r = by * shape->inverse;
    const log_ratio ratio = log_ratio_(a < GAMMA_SPLIT ? by : r, a < GAMMA_SPLIT ? mul_add_exact(b, y, R(-1.0)) : x);
    const REAL gap = x < LOG_RATIO_SMALL ? x - ratio.log : -ratio.remainder; /* r - 1 - log r */
    const REAL mixed = a < GAMMA_SPLIT ? mul_add(-a, ratio.log, by) : a * gap;
    /* log(y / a), or log(y^2 / a) / 2 */
    const REAL power = s->full ? y : R(1.0), quotient = power * shape->inverse;
    const REAL log = log_ordinary_(a < GAMMA_SPLIT ? quotient : quotient * power);
    to->value = s->alone.value + mixed + (a < GAMMA_SPLIT ? log : R(0.5) * log);
    to->d1[0] = mul_add(-a, ratio.log, s->alone.d1);
    to->d2[0] = s->alone.d2;
    to->d2_log[0] = mul_add(-a, ratio.log, s->alone.d2_log);
    to->d1[1] = excess;
    to->d2[1] = a;
    to->d2_log[1] = by;
}

#define HAS_SCALED
#if NLLK_BITS == 64
NLLK_INLINE void gamma_nll_scaled(const scaled_sample *s, int want, scaled_result *to)
{
    const scaled_parameter *shape = &s->p[0], *rate = &s->p[1];
    const scaled a = shape->value, y = scaled_of(s->target), by = scaled_mul(rate->value, y);
    const scaled excess = scaled_mul_sub(rate->value, y, a);
    const double size = scaled_to_double(a), x = scaled_to_double(scaled_div(excess, a)); /* r - 1 */
    const gamma_terms g = gamma_terms_(size);
    const int is_small = size < GAMMA_SPLIT, is_near = fabs_(x - 0.25) < 0.75, is_huge = size > 0x1p60;

    /* log(b y) or log r, from the logarithms where those of b or a are all that is left of them */
    const double log_far = scaled_log(scaled_select(is_small, by, scaled_div(by, a)));
    const double log_near = is_near ? log1p_(x) : log_far;
    double log = is_small ? log_far : log_near;
    const double log_y = scaled_log(y), infinite = REAL_INF;
    const double log_apart = rate->log + log_y - (is_small ? 0 : shape->log);
    log = fabs_(log) == infinite ? (s->target > 0 ? log_apart : log) : log;
    const scaled a_log = scaled_times(a, log);
    const scaled gap =
        scaled_select(is_near, scaled_of(-log1pmx_(x)), scaled_sub(scaled_div(excess, a), scaled_of(log)));
    const scaled power = scaled_select(s->full, y, scaled_of(1)), quotient = scaled_div(power, a);
    const double share = is_small ? 1.0 : 0.5;
    double log_quotient = share * scaled_log(scaled_select(is_small, quotient, scaled_mul(quotient, power)));
    log_quotient = fabs_(log_quotient) == infinite ? (s->full ? log_y : 0) - share * shape->log : log_quotient;
    const double mixed = scaled_to_double(scaled_select(is_small, scaled_sub(by, a_log), scaled_mul(a, gap)));
    const double value = g.p + (is_small ? 0 : HALF_LOG_2PI) + mixed + log_quotient;
    const double at_zero = size == 1 ? -rate->log : copysign_(infinite, size - 1); /* the power of y decides */
    to->value = s->target == 0 ? at_zero : value;
    if (want < WANT_GRAD)
        return;
    to->d1[0] = scaled_sub(scaled_of(g.d1), a_log);
    to->d1[1] = excess;
    if (want < WANT_HESS)
        return;
    to->d2[0] = scaled_select(is_huge, a, scaled_of(g.d2_log - g.d1));
    const double curve = is_small ? gamma_second_polynomial_(size, 1 / (size + GAMMA_SHIFT)) - log : 0;
    const scaled large = scaled_sub(scaled_select(is_huge, a, scaled_of(g.d2_log)), a_log);
    to->d2_log[0] = scaled_select(is_small, scaled_times(a, curve), large);
    to->d2[1] = a;
    to->d2_log[1] = by;
}
#endif
