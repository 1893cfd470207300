/* Exponential negative log-likelihood of y >= 0, rate b:
 *
 *   L       = b y - log(b)
 *   b dL/db = b y - 1        b^2 d2L/db2 = 1        d2L/d(log b)2 = b y
 *
 * b y - 1 is rounded once. */
#include "links.h"

NLLK_INLINE void exponential_nll(const parameter *p, const target *t, REAL extra, int full, point *out)
{
    (void)extra, (void)full;
    const parameter *rate = &p[0];
    const factors by = times_theta(rate, t->value);
    REAL y = t->value, product = by.theta * by.x;
    REAL value = product - log_theta(rate), excess = mul_add_exact(by.theta, by.x, -R(1.0));
    /* +inf for an impossible target, NaN for what is no number. */
    REAL meaningful = rate->value == rate->value ? R(0.0) : REAL_NAN;
    REAL defined = y >= R(0.0) ? meaningful : REAL_NAN;
    defined = y < REAL_INF ? defined : REAL_NAN;
    out->value = (y < R(0.0) ? REAL_INF : value) + meaningful;
    out->slope[0] = excess + defined;
    out->bend[0] = R(1.0) + defined;
    out->log_bend[0] = product + defined;
    if (rate->divides) {
        /* b y - 1 has under- or overflowed where y - 1 / b has not. */
        REAL whole = excess / rate->value, apart = y - R(1.0) / rate->value;
        out->slope[0] = (product < REAL_INF ? whole : apart) + defined;
        out->bend[0] = R(1.0) / rate->value / rate->value + defined;
    }
}
