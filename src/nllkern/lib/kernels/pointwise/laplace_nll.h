/* Laplace negative log-likelihood of y, location mu, scale b, r = |y - mu| / b:
 *
 *   L           = log(2 b) + r
 *   dL/dmu      = -sign(y - mu) / b       d2L/dmu2 = 0
 *   b dL/db     = 1 - r                   b^2 d2L/db2 = 2 r - 1
 *   d2L/d(log b)2 = r */
#include "links.h"

NLLK_INLINE void laplace_nll(const parameter *p, const target *y, REAL extra, int full, point *out)
{
    (void)extra;
    const parameter *scale = &p[1];
    REAL difference = y->value - p[0].raw, r = over_theta(fabs_(difference), scale);
    REAL known = difference + scale->value; /* NaN if either is */
    out->value = r + log_theta(scale) + (full ? LOG_2 : R(0.0));
    out->slope[0] = -over_theta(sign_(difference), scale);
    out->bend[0] = known == known ? R(0.0) : REAL_NAN;
    out->slope[1] = R(1.0) - r;
    out->bend[1] = r + r - R(1.0);
    out->log_bend[1] = r;
    if (scale->divides) {
        out->slope[1] = (R(1.0) - r) / scale->value;
        out->bend[1] = (r + r - R(1.0)) / scale->value / scale->value;
    }
}
