/* Gaussian negative log-likelihood of y, mean mu, standard deviation sigma, z = (y - mu) / sigma:
 *
 *   L               = log(sigma) + z^2 / 2 + log(2 pi) / 2
 *   dL/dmu          = -z / sigma              d2L/dmu2 = 1 / sigma^2
 *   sigma dL/dsigma = 1 - z^2                 sigma^2 d2L/dsigma2 = 3 z^2 - 1
 *   d2L/d(log sigma)2 = 2 z^2 */
#include "links.h"

NLLK_INLINE void gaussian_nll(const parameter *p, const target *t, REAL extra, int full, point *out)
{
    (void)extra;
    const parameter *sigma = &p[1];
    REAL difference = t->value - p[0].raw, inverse = over_theta(R(1.0), sigma);
    REAL z = over_theta(difference, sigma), z2 = z * z;
    /* A subnormal z has lost digits that z / sigma would show; 1 / sigma^2 may be out of range. */
    REAL inverse2 = inverse * inverse;
    REAL direct = difference * inverse2, in_steps = over_theta(z, sigma);
    REAL z_inverse = sigma->ordinary || inverse2 >= REAL_MIN ? direct : in_steps;
    z_inverse = sigma->ordinary || inverse2 <= REAL_MAX ? z_inverse : in_steps;
    out->value = mul_add(R(0.5) * z, z, log_theta(sigma)) + (full ? HALF_LOG_2PI : R(0.0));
    out->slope[0] = -z_inverse;
    out->bend[0] = inverse * inverse;
    out->slope[1] = sigma->share - sigma->share * z * z;
    out->bend[1] = mul_add(R(3.0), z2, -R(1.0));
    out->log_bend[1] = R(2.0) * sigma->share * sigma->share * z * z;
    if (sigma->divides) {
        REAL s = z_inverse / sigma->unit, t = inverse / sigma->unit;
        out->slope[1] = z2 < REAL_INF ? (R(1.0) - z2) / sigma->value : -z * z_inverse;
        out->bend[1] = R(3.0) * s * s - t * t;
        out->log_bend[1] = t * t - s * s;
    }
}
