/* Gaussian negative log-likelihood of y, mean mu, standard deviation sigma, z = (y - mu) / sigma:
 *
 *   L               = log(sigma) + z^2 / 2 + log(2 pi) / 2
 *   dL/dmu          = -z / sigma              d2L/dmu2 = 1 / sigma^2
 *   sigma dL/dsigma = 1 - z^2                 sigma^2 d2L/dsigma2 = 3 z^2 - 1
 *   d2L/d(log sigma)2 = 2 z^2 */
#include "pointwise/formula.h"

NLLK_INLINE void gaussian_nll(const sample *s, result *to)
{
    const parameter *sigma = &s->p[1];
    const REAL difference = s->target - s->p[0].raw, inverse2 = sigma->inverse * sigma->inverse;
    const REAL z = difference * sigma->inverse, z2 = z * z;
    to->value = mul_add(R(0.5) * z, z, sigma->log) + (s->full ? HALF_LOG_2PI : R(0.0));
    to->d1[0] = -(difference * inverse2); /* where z is subnormal, z / sigma has lost digits */
    to->d2[0] = inverse2;
    to->d1[1] = mul_add(-z, z, R(1.0));
    to->d2[1] = mul_add(R(3.0), z2, -R(1.0));
    to->d2_log[1] = R(2.0) * z2;
}

#define HAS_SCALED
#if NLLK_BITS == 64
NLLK_INLINE void gaussian_nll_scaled(const scaled_sample *s, int want, scaled_result *to)
{
    const scaled_parameter *sigma = &s->p[1];
    const scaled one = scaled_of(1), difference = scaled_difference(s->target, s->p[0].raw);
    const scaled z = scaled_div(difference, sigma->value), z2 = scaled_mul(z, z);
    const double half = scaled_to_double(scaled_times(z2, 0.5)), value = half + sigma->log;
    to->value = half == REAL_INF ? half : value + (s->full ? HALF_LOG_2PI : 0);
    if (want < WANT_GRAD)
        return;
    to->d1[0] = scaled_negative(scaled_div(z, sigma->value));
    to->d1[1] = scaled_sub(one, z2);
    if (want < WANT_HESS)
        return;
    to->d2[0] = scaled_div(scaled_div(one, sigma->value), sigma->value);
    to->d2[1] = scaled_sub(scaled_times(z2, 3), one);
    to->d2_log[1] = scaled_times(z2, 2);
}
#endif
