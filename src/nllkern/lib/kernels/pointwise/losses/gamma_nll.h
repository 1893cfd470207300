/* Gamma negative log-likelihood of y > 0, shape a, rate b, in the form that survives large shapes:
 *
 *   L       = lgamma(a) - a log(b) - (a - 1) log(y) + b y
 *           = log(y) + log(2 pi)/2 - log(a)/2 + delta(a) + a (r - 1 - log r),     r = b y / a
 *   a dL/da = a (digamma(a) - log(a)) - a log r       a^2 d2L/da2 = a^2 trigamma(a)
 *   b dL/db = b y - a                                 b^2 d2L/db2 = a,    d2L/d(log b)2 = b y
 *
 * with delta the Stirling remainder of lgamma.  b y - a is rounded once, and log r comes from x = (b y - a) / a where
 * r is near 1.  Loader (2000) has the form for the Poisson and binomial cases. */
#include "pointwise/formula.h"
#include "functions/gamma.h"

#define LOGS (1 << 0 | LOG_TARGET)
#define ALONE 0

NLLK_INLINE alone_terms gamma_nll_alone(REAL a, REAL log_a)
{
    const gamma_parts g = gamma_parts_(a, log_a);
    const REAL curve = trigamma_scaled_(a);
    return (alone_terms){g.lgamma_part + HALF_LOG_2PI, g.d, curve, g.d + curve};
}

NLLK_INLINE void gamma_nll(const sample *s, result *to)
{
    const parameter *shape = &s->p[0], *rate = &s->p[1];
    const REAL a = shape->value, b = rate->value, y = s->target;
    const REAL excess = mul_add_exact(b, y, -a), x = excess * shape->inverse, r = b * y * shape->inverse;
    const log_ratio ratio = log_ratio_(r, x);
    const REAL gap = x < LOG_RATIO_SMALL ? x - ratio.log : -ratio.remainder; /* r - 1 - log r */
    to->value = mul_add(a, gap, shape->alone.value) + (s->full ? s->log_target : R(0.0));
    to->d1[0] = mul_add(-a, ratio.log, shape->alone.d1);
    to->d2[0] = shape->alone.d2;
    to->d2_log[0] = mul_add(-a, ratio.log, shape->alone.d2_log);
    to->d1[1] = excess;
    to->d2[1] = a;
    to->d2_log[1] = b * y;
}

#define HAS_SCALED
#if NLLK_BITS == 64
/* a (digamma(a) - log(a)) + a^2 trigamma(a), divided by a. */
static double gamma_curve_over(double a, double log_a)
{
    const double euler = 0x1.2788cfc6fb619p-1;
    return a < 0x1p-60 ? -euler - log_a : (gamma_parts_(a, log_a).d + trigamma_scaled_(a)) / a;
}

static void gamma_nll_scaled(const scaled_sample *s, int want, scaled_result *to)
{
    const scaled_parameter *shape = &s->p[0], *rate = &s->p[1];
    const scaled a = shape->value, y = scaled_of(s->target), product = scaled_mul(rate->value, y);
    const scaled excess = scaled_mul_sub(rate->value, y, a);
    const double a_double = scaled_to_double(a), x = scaled_to_double(scaled_div(excess, a)); /* r - 1 */
    double log_r = x > -0.5 && x < 1 ? log1p_(x) : scaled_log(scaled_div(product, a));
    if (fabs_(log_r) == REAL_INF && s->target > 0)
        log_r = rate->log + log_(s->target) - shape->log;
    const scaled gap = x > -0.5 && x < 1 ? scaled_of(-log1pmx_(x)) : scaled_sub(scaled_div(excess, a), scaled_of(log_r));
    const scaled a_log_r = scaled_times(a, log_r);
    const gamma_parts g = gamma_parts_(a_double, shape->log);
    const int is_huge = a_double > 0x1p60;
    to->value = g.lgamma_part + HALF_LOG_2PI + scaled_to_double(scaled_mul(a, gap)) + (s->full ? log_(s->target) : 0);
    if (s->target == 0) /* L = -log(b) for a = 1; else the power of y decides */
        to->value = a_double == 1 ? -rate->log : a_double < 1 ? -REAL_INF : REAL_INF;
    if (want < WANT_GRAD)
        return;
    to->d1[0] = scaled_sub(scaled_of(g.d), a_log_r);
    to->d1[1] = excess;
    if (want < WANT_HESS)
        return;
    to->d2[0] = is_huge ? a : scaled_of(trigamma_scaled_(a_double));
    to->d2_log[0] = is_huge ? scaled_sub(a, a_log_r)
                            : scaled_times(a, gamma_curve_over(a_double, shape->log) - log_r);
    to->d2[1] = a;
    to->d2_log[1] = product;
}
#endif
