/* Half the squared error of a prediction m of y, d = m - y: the Gaussian likelihood of unit standard deviation,
 * without its constant.
 *
 *   L = d^2 / 2      dL/dm = d      d2L/dm2 = 1 */
#include "pointwise/formula.h"

NLLK_INLINE void squared_error(const sample *s, result *to)
{
    const REAL d = s->p[0].raw - s->target;
    to->value = R(0.5) * d * d;
    to->d1[0] = d;
    to->d2[0] = R(1.0);
}
