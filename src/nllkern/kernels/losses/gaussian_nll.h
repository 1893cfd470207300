/* Gaussian negative log-likelihood of y, mean mu, standard deviation sigma, z = (y - mu) / sigma:
 *
 *   L               = log(sigma) + z^2 / 2 + log(2 pi) / 2
 *   dL/dmu          = -z / sigma              d2L/dmu2 = 1 / sigma^2
 *   sigma dL/dsigma = 1 - z^2                 sigma^2 d2L/dsigma2 = 3 z^2 - 1
 *   d2L/d(log sigma)2 = 2 z^2 */
#include "links.h"

NLLK_INLINE void gaussian_nll(const parameter *p, REAL y, REAL extra, int full, point *out)
{
    (void)extra;
    const REAL half_log_2pi = C(0x1.d67f1cp-1, 0x1.d67f1c864beb5p-1);
    const parameter *sigma = &p[1];
    REAL z = (y - p[0].raw) / sigma->value * sigma->up * sigma->up;
    REAL z2 = z * z;
    REAL inverse = R(1.0) / sigma->value * sigma->up * sigma->up;
    out->value = mul_add(R(0.5), z2, sigma->log) + (full ? half_log_2pi : R(0.0));
    out->slope[0] = -z / sigma->value * sigma->up * sigma->up;
    out->bend[0] = inverse * inverse;
    out->slope[1] = R(1.0) - z2;
    out->bend[1] = mul_add(R(3.0), z2, -R(1.0));
    out->log_bend[1] = z2 + z2;
}
