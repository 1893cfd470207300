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
