/* The logarithm of the hyperbolic cosine of the error, d = prediction - target:
 *
 *   L = log(cosh(d))        dL/dd = tanh(d)        d2L/dd2 = 1 / cosh(d)^2 */
#include "functions/hyperbolic.h"
#include "pointwise/formula.h"

NLLK_INLINE void log_cosh(const sample *s, result *to)
{
    const REAL d = s->p[0].raw - s->target;
    const tanh_parts parts = tanh_parts_(d);
    to->value = log_cosh_of(d, parts.e);
    to->d1[0] = parts.tanh;
    to->d2[0] = parts.sech2;
}
