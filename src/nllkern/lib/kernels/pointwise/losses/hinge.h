/* Hinge loss of a score z for the label y = -1 or 1, h = max(0, 1 - y z).  Where y z = 1 the derivative is taken
 * as 0.
 *
 *   L = h      dL/dz = -y where y z < 1, else 0      d2L/dz2 = 0 */
#include "pointwise/formula.h"

NLLK_INLINE void hinge(const sample *s, result *to)
{
    const REAL y = s->target, margin = R(1.0) - y * s->p[0].raw;
    const REAL none = margin == margin ? R(0.0) : margin;
    to->value = margin > R(0.0) ? margin : none;
    to->d1[0] = margin > R(0.0) ? -y : none;
    to->d2[0] = R(0.0);
}
