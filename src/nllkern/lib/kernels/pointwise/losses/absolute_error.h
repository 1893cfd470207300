/* Absolute error of a prediction m of y, d = m - y.  At d = 0 the derivative is taken as 0.
 *
 *   L = |d|      dL/dm = sign(d)      d2L/dm2 = 0 */
#include "pointwise/formula.h"

NLLK_INLINE void absolute_error(const sample *s, result *to)
{
    const REAL d = s->p[0].raw - s->target;
    to->value = fabs_(d);
    to->d1[0] = sign_(d);
    to->d2[0] = R(0.0);
}
