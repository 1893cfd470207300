/* Binary cross-entropy of a logit z against a probability y, with pos_weight w:
 *
 *   L       = w y softplus(-z) + (1 - y) softplus(z)
 *   dL/dz   = (1 - y) sigmoid(z) - w y sigmoid(-z)
 *   d2L/dz2 = (1 - y + w y) sigmoid(z) sigmoid(-z)
 *
 * With e = exp(-|z|),  softplus(|z|) = |z| + log1p(e),  softplus(-|z|) = log1p(e),  sigmoid(|z|) = 1 / (1 + e),
 * sigmoid(-|z|) = e / (1 + e):  `near` is the weight of the term that grows with |z|, `far` that of the other.
 *
 *   L  = near |z| + (near + far) log1p(e)        dL/d|z| = (near - far e) / (1 + e)
 *
 * At z = +-inf the limits are exact: a term whose weight is 0 is left out. */
#include "pointwise/formula.h"

#define LOGIT_MOST PICK(80, 700) /* beyond, e is subnormal, which a large pos_weight would show */

NLLK_INLINE void binary_cross_entropy(const sample *s, result *to)
{
    const REAL z = s->p[0].raw, e = s->p[0].e, size = fabs_(z), y = s->target;
    const log1p_parts l = log1p_parts_(e);
    const REAL positive = s->extra * y, negative = R(1.0) - y, both = positive + negative;
    const REAL near = z < R(0.0) ? positive : negative, far = z < R(0.0) ? negative : positive;
    const REAL outward = mul_add(-far, e, near) * l.inverse;
    to->value = mul_add(both, l.log1p, near == R(0.0) ? R(0.0) : near * size);
    to->d1[0] = z < R(0.0) ? -outward : outward;
    to->d2_log[0] = both * (e * l.inverse * l.inverse);
}

#define HAS_SCALED
#if NLLK_BITS == 64
NLLK_INLINE void binary_cross_entropy_scaled(const scaled_sample *s, int want, scaled_result *to)
{
    const double z = s->p[0].raw, size = fabs_(z), y = s->target;
    const scaled e = scaled_exp(-size), positive = scaled_times(scaled_of(s->extra), y), negative = scaled_of(1 - y);
    const double one_plus = 1 + scaled_to_double(e);
    const scaled soft = scaled_select(size > 40, e, scaled_of(log1p_(scaled_to_double(e)))); /* log1p(e) */
    const scaled near = scaled_select(z < 0, positive, negative), far = scaled_select(z < 0, negative, positive);
    const scaled both = scaled_add(positive, negative), grown = scaled_times(near, size);
    to->value = scaled_to_double(scaled_add(scaled_mul(both, soft), scaled_select(near.m == 0, scaled_of(0), grown)));
    if (want < WANT_GRAD)
        return;
    const scaled outward = scaled_times(scaled_sub(near, scaled_mul(far, e)), 1 / one_plus);
    to->d1[0] = scaled_select(z < 0, scaled_negative(outward), outward);
    if (want < WANT_HESS)
        return;
    to->d2[0] = to->d2_log[0] = scaled_times(scaled_mul(both, e), 1 / (one_plus * one_plus));
}
#endif
