/* The logit u of a probability 1 / (1 + e^-u).  A loss of such a parameter works with u itself and with e^-|u|. */
#include "loops.h"

/* Its formulas serve every number. */
static range logit_range(int bits)
{
    (void)bits;
    return (range){-REAL_INF, REAL_INF};
}

#define logit_one_rate R(1.0)

NLLK_INLINE REAL logit_exponential(REAL u) { return exp_nonpositive_(-fabs_(u)); }

NLLK_INLINE REAL logit_second(const linked *p, REAL d1, REAL d2, REAL d2_log)
{
    (void)p, (void)d1, (void)d2;
    return d2_log;
}

#if NLLK_BITS == 64
NLLK_INLINE scaled_parameter logit_scaled(double u)
{
    return (scaled_parameter){.raw = u, .rate = {1, 0}, .curve = {0, SCALED_ZERO}, .in_log = 1};
}
#endif
