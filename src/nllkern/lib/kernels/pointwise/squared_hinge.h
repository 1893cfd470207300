/* Squared hinge loss of a score z for the label y = -1 or 1, h = max(0, 1 - y z):
 *
 *   L = h^2      dL/dz = -2 y h      d2L/dz2 = 2 y^2 where y z < 1, else 0 */
#include "links.h"

NLLK_INLINE void squared_hinge(const parameter *p, const target *t, REAL extra, int full, point *out)
{
    (void)extra, (void)full;
    REAL y = t->value, margin = R(1.0) - y * p[0].raw;
    REAL none = margin == margin ? R(0.0) : margin, h = margin > R(0.0) ? margin : none;
    out->value = h * h;
    out->slope[0] = -R(2.0) * y * h;
    out->bend[0] = margin > R(0.0) ? R(2.0) * y * y : none;
}
