/* Hinge loss of a score z for the label y = -1 or 1, h = max(0, 1 - y z).  Where y z = 1 the derivative is taken as 0.
 *
 *   L = h      dL/dz = -y where y z < 1, else 0      d2L/dz2 = 0 */
#include "links.h"

NLLK_INLINE void hinge(const parameter *p, const target *t, REAL extra, int full, point *out)
{
    (void)extra, (void)full;
    REAL y = t->value, margin = R(1.0) - y * p[0].raw;
    REAL none = margin == margin ? R(0.0) : margin;
    out->value = margin > R(0.0) ? margin : none;
    out->slope[0] = margin > R(0.0) ? -y : none;
    out->bend[0] = none;
}
