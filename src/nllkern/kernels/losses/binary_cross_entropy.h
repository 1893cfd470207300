/* Binary cross-entropy of a logit z against a probability y, with pos_weight w:
 *
 *   L       = w y softplus(-z) + (1 - y) softplus(z)
 *   dL/dz   = (1 - y) sigmoid(z) - w y sigmoid(-z)
 *   d2L/dz2 = (1 - y + w y) sigmoid(z) sigmoid(-z)
 *
 * Both softplus and both sigmoids come from one exp(-|z|); no difference of nearly equal numbers is taken.  At z = +-inf the
 * limits are exact: a term whose weight is 0 is left out. */
#include "links.h"

NLLK_INLINE void binary_cross_entropy(const parameter *p, REAL y, REAL pos_weight, int full, point *out)
{
    (void)full;
    softplus_parts s = softplus_parts_of(p[0].raw, p[0].e);
    REAL positive = pos_weight * y, negative = R(1.0) - y;
    out->value = (positive == R(0.0) ? R(0.0) : positive * s.softplus_neg) +
                 (negative == R(0.0) ? R(0.0) : negative * s.softplus);
    out->slope[0] = negative * s.sigmoid - positive * s.sigmoid_neg;
    out->bend[0] = (negative + positive) * (s.sigmoid * s.sigmoid_neg);
}
