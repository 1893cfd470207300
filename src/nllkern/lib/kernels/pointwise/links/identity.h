/* theta = u,   rate = 1/u,   curve = 0 */
#include "loops.h"

static range identity_range(int bits) { return (range){real_power_of_2(-bits), real_power_of_2(bits)}; }

NLLK_INLINE linked identity_apply(REAL u, REAL e)
{
    (void)e;
    return (linked){.value = u, .divisor = R(1.0), .has_log = 1, .log_of = u};
}

#define identity_one_rate 0

NLLK_INLINE REAL identity_rate(REAL slope, REAL both)
{
    (void)slope;
    return both;
}

NLLK_INLINE REAL identity_second(const linked *p, REAL d1, REAL d2, REAL d2_log)
{
    (void)d1, (void)d2_log;
    return d2 * p->inverse * p->inverse;
}

#if NLLK_BITS == 64
NLLK_INLINE scaled_parameter identity_scaled(double u)
{
    /* 0, where a loss allows it, stands for a limit. */
    const scaled theta = scaled_select(u == 0, (scaled){1, -SCALED_INFINITY}, scaled_of(u));
    return (scaled_parameter){u, theta, scaled_div(scaled_of(1), theta), scaled_of(0), scaled_log(theta), 0};
}
#endif
