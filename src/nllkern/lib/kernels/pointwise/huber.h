/* Huber's loss (1964) of a prediction m of y, d = m - y: quadratic up to |d| = delta, linear beyond.
 *
 *   L       = d^2 / 2                     where |d| <= delta,   delta (|d| - delta / 2)  beyond
 *   dL/dm   = d limited to [-delta, delta]
 *   d2L/dm2 = 1 where |d| <= delta, 0 beyond */
#include "links.h"

NLLK_INLINE void huber(const parameter *p, const target *y, REAL delta, int full, point *out)
{
    (void)full;
    REAL d = p[0].raw - y->value, size = fabs_(d);
    int inside = size <= delta;
    REAL defined = (delta > R(0.0)) & (d == d) ? R(0.0) : REAL_NAN;
    REAL reach = inside ? size : delta; /* L = reach (|d| - reach / 2) on both sides */
    out->value = reach * (size - R(0.5) * reach) + defined;
    out->slope[0] = copysign_(reach, d) + defined;
    out->bend[0] = (inside ? R(1.0) : R(0.0)) + defined;
}
