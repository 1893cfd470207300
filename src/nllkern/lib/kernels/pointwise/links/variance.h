/* theta = sqrt(u),   rate = 1/(2 u),   curve = -1 */
#include "loops.h"

static range variance_range(int bits) { return (range){real_power_of_2(-2 * bits), real_power_of_2(2 * bits)}; }

NLLK_INLINE linked variance_apply(REAL u, REAL e)
{
    (void)e;
    const REAL theta = SQRT(u);
    return (linked){.value = theta, .divisor = R(1.0), .has_log = 1, .log_of = theta};
}

#define variance_one_rate 0

NLLK_INLINE REAL variance_rate(REAL slope, REAL both)
{
    (void)slope;
    return R(0.5) * both * both;
}

NLLK_INLINE REAL variance_second(const linked *p, REAL d1, REAL d2, REAL d2_log)
{
    (void)d2_log;
    return (d2 - d1) * p->rate * p->rate;
}

#if NLLK_BITS == 64
NLLK_INLINE scaled_parameter variance_scaled(double u)
{
    const scaled variance = scaled_of(u);
    return (scaled_parameter){
        u, scaled_sqrt(variance), scaled_div(scaled_of(0.5), variance), scaled_of(-1), 0.5 * scaled_log(variance), 0};
}
#endif
