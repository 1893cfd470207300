/* The logarithm of the hyperbolic cosine of the error, d = prediction - target:
 *
 *   L = log(cosh(d))        dL/dd = tanh(d)        d2L/dd2 = 1 / cosh(d)^2 */
#include "links.h"
#include "functions/hyperbolic.h"

NLLK_INLINE void log_cosh(const parameter *p, const target *t, REAL extra, int full, point *out)
{
    (void)extra, (void)full;
    REAL d = p[0].raw - t->value;
    tanh_parts parts = tanh_parts_(d);
    out->value = log_cosh_of(d, parts.e);
    out->slope[0] = parts.tanh;
    out->bend[0] = parts.sech2;
}
