/* Laplace negative log-likelihood of y, location mu, scale b, r = |y - mu| / b:
 *
 *   L           = log(2 b) + r
 *   dL/dmu      = -sign(y - mu) / b       d2L/dmu2 = 0
 *   b dL/db     = 1 - r                   b^2 d2L/db2 = 2 r - 1
 *   d2L/d(log b)2 = r */
#include "pointwise/formula.h"

NLLK_INLINE void laplace_nll(const sample *s, result *to)
{
    const parameter *scale = &s->p[1];
    const REAL difference = s->target - s->p[0].raw, size = fabs_(difference), r = size * scale->inverse;
    to->value = r + scale->log + (s->full ? LOG_2 : R(0.0));
    to->d1[0] = -sign_(difference) * scale->inverse;
    to->d2[0] = R(0.0);
    to->d1[1] = mul_add(-size, scale->inverse, R(1.0));
    to->d2[1] = mul_add(size + size, scale->inverse, -R(1.0));
    to->d2_log[1] = r;
}

#define HAS_SCALED
#if NLLK_BITS == 64
NLLK_INLINE void laplace_nll_scaled(const scaled_sample *s, int want, scaled_result *to)
{
    const scaled_parameter *scale = &s->p[1];
    const scaled one = scaled_of(1), difference = scaled_difference(s->target, s->p[0].raw);
    const scaled r = scaled_div(scaled_size(difference), scale->value);
    const double part = scaled_to_double(r), value = part + scale->log;
    to->value = part == REAL_INF ? part : value + (s->full ? LOG_2 : 0);
    if (want < WANT_GRAD)
        return;
    to->d1[0] = scaled_div(scaled_of(-sign_(s->target - s->p[0].raw)), scale->value);
    to->d1[1] = scaled_sub(one, r);
    if (want < WANT_HESS)
        return;
    to->d2[0] = scaled_of(0);
    to->d2[1] = scaled_sub(scaled_times(r, 2), one);
    to->d2_log[1] = r;
}
#endif
