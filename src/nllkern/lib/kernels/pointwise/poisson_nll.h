/* Poisson negative log-likelihood of a count y >= 0, not only an integer one, rate b:
 *
 *   L       = b - y log(b) + lgamma(1 + y)
 *           = y (r - 1 - log r) + P(y),     r = b / y,     P(y) = lgamma(1 + y) - y log(y) + y
 *   b dL/db = b - y        b^2 d2L/db2 = y        d2L/d(log b)2 = b
 *
 * In the second form nothing large cancels (Loader 2000); r - 1 = (b - y) / y is exact but for its division where r is near 1.
 * Without the constant lgamma(1 + y) it is the first form. */
#include "links.h"
#include "functions/gamma.h"

NLLK_INLINE void poisson_nll(const parameter *p, const target *t, REAL extra, int full, point *out)
{
    (void)extra;
    const parameter *rate = &p[0];
    REAL y = t->value, b = rate->value * rate->down * rate->down, excess = b - y;
    REAL positive = y > R(0.0) ? y : R(1.0), inverse = y > R(0.0) ? R(1.0) / positive : R(0.0);
    REAL r = b * inverse, near = excess * inverse;
    REAL x = mul_add(mul_add(-near, positive, excess), inverse, near); /* excess / y to the last bit or so */
    /* Where r leaves the range of REAL, or is not wanted, its logarithm is that of b, which takes its place, less that of y. */
    REAL most = full ? C(0x1p100, 0x1p1000) : R(0.0);
    int in_range = (r > C(0x1p-100, 0x1p-1000)) & (r < most);
    log_ratio ratio = log_ratio_(in_range ? r : rate->log_of, in_range ? x : rate->log_of - R(1.0));
    REAL log_b = ratio.log + rate->log_plus;
    REAL log_y = log_ordinary_(positive); /* of a subnormal y it matters only that it is finite */
    REAL gap = x < LOG_RATIO_SMALL ? x - ratio.log : -ratio.remainder; /* r - 1 - log r */
    REAL deviance = in_range ? y * gap : excess - y * (log_b - log_y);
    REAL finite = full ? deviance + poisson_saturated_of(y, log_y) : b - y * log_b;
    REAL value = b < REAL_INF ? finite : b;
    /* NaN for what is no number, +inf for an impossible target. */
    REAL known = b + y;
    int possible = (y >= R(0.0)) & (y < REAL_INF), meaningful = known == known;
    REAL defined = possible & meaningful ? R(0.0) : REAL_NAN;
    out->value = !meaningful ? REAL_NAN : possible ? value : REAL_INF;
    out->slope[0] = excess + defined;
    out->bend[0] = y + defined;
    out->log_bend[0] = b + defined;
    if (rate->divides) {
        out->slope[0] = excess / b + defined;
        out->bend[0] = y / b / b + defined;
    }
}
