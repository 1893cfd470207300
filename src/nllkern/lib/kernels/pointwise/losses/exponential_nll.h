/* Exponential negative log-likelihood of y >= 0, rate b:
 *
 *   L       = b y - log(b)
 *   b dL/db = b y - 1        b^2 d2L/db2 = 1        d2L/d(log b)2 = b y
 *
 * b y - 1 is rounded once. */
#include "pointwise/formula.h"

NLLK_INLINE void exponential_nll(const sample *s, result *to)
{
    const REAL b = s->p[0].value, y = s->target;
    to->value = b * y - s->p[0].log;
    to->d1[0] = mul_add_exact(b, y, -R(1.0));
    to->d2[0] = R(1.0);
    to->d2_log[0] = b * y;
}

#define HAS_SCALED
#if NLLK_BITS == 64
NLLK_INLINE void exponential_nll_scaled(const scaled_sample *s, int want, scaled_result *to)
{
    const scaled_parameter *b = &s->p[0];
    const scaled y = scaled_of(s->target), product = scaled_mul(b->value, y);
    const double part = scaled_to_double(product);
    to->value = part == REAL_INF ? part : part - b->log;
    if (want < WANT_GRAD)
        return;
    to->d1[0] = scaled_mul_sub(b->value, y, scaled_of(1));
    if (want < WANT_HESS)
        return;
    to->d2[0] = scaled_of(1);
    to->d2_log[0] = product;
}
#endif
