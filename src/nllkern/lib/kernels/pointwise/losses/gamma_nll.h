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

#define LOGS (1 << 0 | LOG_TARGET)
#define ALONE 0

/* Without the terms in which a meets b and y. */
NLLK_INLINE alone_terms gamma_nll_alone(REAL a, REAL log_a)
{
    const gamma_terms g = gamma_terms_(a);
    const REAL value = a < GAMMA_SPLIT ? g.p - log_a : mul_add(R(-0.5), log_a, g.p + HALF_LOG_2PI);
    return (alone_terms){value, g.d1, g.d2_log - g.d1, g.d2_log};
}

NLLK_INLINE void gamma_nll(const sample *s, result *to)
{
    const parameter *shape = &s->p[0], *rate = &s->p[1];
    const REAL a = shape->value, b = rate->value, y = s->target, by = b * y;
    const REAL excess = mul_add_exact(b, y, -a), x = excess * shape->inverse, r = by * shape->inverse;
    const log_ratio ratio = log_ratio_(a < GAMMA_SPLIT ? by : r, a < GAMMA_SPLIT ? mul_add_exact(b, y, R(-1.0)) : x);
    const REAL gap = x < LOG_RATIO_SMALL ? x - ratio.log : -ratio.remainder; /* r - 1 - log r */
    const REAL mixed = a < GAMMA_SPLIT ? mul_add(-a, ratio.log, by) : a * gap;
    to->value = (shape->alone.value + mixed) + (s->full ? s->log_target : R(0.0));
    to->d1[0] = mul_add(-a, ratio.log, shape->alone.d1);
    to->d2[0] = shape->alone.d2;
    to->d2_log[0] = mul_add(-a, ratio.log, shape->alone.d2_log);
    to->d1[1] = excess;
    to->d2[1] = a;
    to->d2_log[1] = by;
}

#define HAS_SCALED
#if NLLK_BITS == 64
static void gamma_nll_scaled(const scaled_sample *s, int want, scaled_result *to)
{
    const scaled_parameter *shape = &s->p[0], *rate = &s->p[1];
    const scaled a = shape->value, y = scaled_of(s->target), by = scaled_mul(rate->value, y);
    const scaled excess = scaled_mul_sub(rate->value, y, a);
    const double size = scaled_to_double(a), x = scaled_to_double(scaled_div(excess, a)); /* r - 1 */
    const gamma_terms g = gamma_terms_(size);
    const int is_small = size < GAMMA_SPLIT, is_near = !is_small && x > -0.5 && x < 1, is_huge = size > 0x1p60;

    /* log(b y) or log r, from the logarithms where those of b or a are all that is left of them */
    double log = is_near ? log1p_(x) : scaled_log(is_small ? by : scaled_div(by, a));
    if (fabs_(log) == REAL_INF && s->target > 0)
        log = rate->log + log_(s->target) - (is_small ? 0 : shape->log);
    const scaled a_log = scaled_times(a, log);
    double value;
    if (s->target == 0) /* the power of y decides, but for a = 1 */
        value = size == 1 ? -rate->log : size < 1 ? -REAL_INF : REAL_INF;
    else if (is_small)
        value = g.p - shape->log + scaled_to_double(scaled_sub(by, a_log)) + (s->full ? log_(s->target) : 0);
    else {
        const scaled gap = is_near ? scaled_of(-log1pmx_(x)) : scaled_sub(scaled_div(excess, a), scaled_of(log));
        value = mul_add(-0.5, shape->log, g.p + HALF_LOG_2PI) + scaled_to_double(scaled_mul(a, gap)) +
                (s->full ? log_(s->target) : 0);
    }
    to->value = value;
    if (want < WANT_GRAD)
        return;
    to->d1[0] = scaled_sub(scaled_of(g.d1), a_log);
    to->d1[1] = excess;
    if (want < WANT_HESS)
        return;
    to->d2[0] = is_huge ? a : scaled_of(g.d2_log - g.d1);
    const double curve = is_small ? gamma_second_polynomial_(size, 1 / (size + GAMMA_SHIFT)) - log : 0;
    to->d2_log[0] = is_small ? scaled_times(a, curve) : scaled_sub(is_huge ? a : scaled_of(g.d2_log), a_log);
    to->d2[1] = a;
    to->d2_log[1] = by;
}
#endif
