/* Half the squared error of a prediction m of y, d = m - y: the Gaussian likelihood of unit standard deviation, without its constant.
 *
 *   L = d^2 / 2      dL/dm = d      d2L/dm2 = 1 */
#include "links.h"

NLLK_INLINE void squared_error(const parameter *p, const target *y, REAL extra, int full, point *out)
{
    (void)extra, (void)full;
    REAL d = p[0].raw - y->value;
    out->value = R(0.5) * d * d;
    out->slope[0] = d;
    out->bend[0] = d == d ? R(1.0) : d;
}
