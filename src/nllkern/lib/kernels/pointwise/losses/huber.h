/* Huber's loss (1964) of a prediction m of y, d = m - y: quadratic up to |d| = delta, linear beyond.
 *
 *   L       = d^2 / 2                     where |d| <= delta,   delta (|d| - delta / 2)  beyond
 *   dL/dm   = d limited to [-delta, delta]
 *   d2L/dm2 = 1 where |d| <= delta, 0 beyond */
#include "pointwise/formula.h"

NLLK_INLINE void huber(const sample *s, result *to)
{
    const REAL d = s->p[0].raw - s->target, size = fabs_(d), delta = s->extra;
    const REAL defined = delta > R(0.0) ? R(0.0) : REAL_NAN;
    const REAL reach = size > delta ? delta : size; /* L = reach (|d| - reach / 2) on both sides */
    to->value = reach * (size - R(0.5) * reach) + defined;
    to->d1[0] = (size > delta ? copysign_(delta, d) : d) + defined;
    to->d2[0] = size > delta ? R(0.0) : R(1.0);
}
