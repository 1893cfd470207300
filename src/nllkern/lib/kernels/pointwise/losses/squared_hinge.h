/* Squared hinge loss of a score z for the label y = -1 or 1, h = max(0, 1 - y z):
 *
 *   L = h^2      dL/dz = -2 y h      d2L/dz2 = 2 y^2 where y z < 1, else 0 */
#include "pointwise/formula.h"

NLLK_INLINE void squared_hinge(const sample *s, result *to)
{
    const REAL y = s->target, margin = R(1.0) - y * s->p[0].raw;
    const REAL none = margin == margin ? R(0.0) : margin, h = margin > R(0.0) ? margin : none;
    to->value = h * h;
    to->d1[0] = -R(2.0) * y * h;
    to->d2[0] = margin > R(0.0) ? R(2.0) * y * y : R(0.0);
}
