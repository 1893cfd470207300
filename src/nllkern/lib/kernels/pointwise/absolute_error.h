/* Absolute error of a prediction m of y, d = m - y.  At d = 0 the derivative is taken as 0.
 *
 *   L = |d|      dL/dm = sign(d)      d2L/dm2 = 0 */
#include "links.h"

NLLK_INLINE void absolute_error(const parameter *p, const target *y, REAL extra, int full, point *out)
{
    (void)extra, (void)full;
    REAL d = p[0].raw - y->value;
    out->value = fabs_(d);
    out->slope[0] = sign_(d);
    out->bend[0] = d == d ? R(0.0) : d;
}
