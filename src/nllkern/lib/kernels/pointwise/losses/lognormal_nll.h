/* Log-normal negative log-likelihood of y > 0, whose logarithm has mean mu and standard deviation sigma;
 * z = (log(y) - mu) / sigma:
 *
 *   L               = log(sigma) + z^2 / 2 + log(y) + log(2 pi) / 2
 *   dL/dmu          = -z / sigma              d2L/dmu2 = 1 / sigma^2
 *   sigma dL/dsigma = 1 - z^2                 sigma^2 d2L/dsigma2 = 3 z^2 - 1
 *   d2L/d(log sigma)2 = 2 z^2 */
#include "pointwise/formula.h"

#define LOGS (1 << 1 | LOG_TARGET)

NLLK_INLINE void lognormal_nll(const sample *x, result *to)
{
    const parameter *sigma = &x->p[1];
    const REAL difference = x->log_target - x->p[0].raw, inverse2 = sigma->inverse * sigma->inverse;
    const REAL z = difference * sigma->inverse, z2 = z * z;
    to->value = mul_add(R(0.5) * z, z, sigma->log) + (x->full ? x->log_target + HALF_LOG_2PI : R(0.0));
    to->d1[0] = -(difference * inverse2);
    to->d2[0] = inverse2;
    to->d1[1] = mul_add(-z, z, R(1.0));
    to->d2[1] = mul_add(R(3.0), z2, R(-1.0));
    to->d2_log[1] = R(2.0) * z2;
}
