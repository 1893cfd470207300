/* theta = e^(u/2),   rate = 1/2,   curve - 1 = 0 */
#include "loops.h"

static range log_variance_range(int bits)
{
    return (range){(REAL)(-2 * bits * (double)LOG_2), (REAL)(2 * bits * (double)LOG_2)};
}

NLLK_INLINE REAL log_variance_exponential(REAL u) { return exp_ordinary(R(0.5) * u); }

NLLK_INLINE linked log_variance_apply(REAL u, REAL e)
{
    return (linked){.value = e, .divisor = R(1.0), .log_plus = R(0.5) * u};
}

#define log_variance_one_rate R(0.5)

NLLK_INLINE REAL log_variance_second(const linked *p, REAL d1, REAL d2, REAL d2_log)
{
    (void)p, (void)d1, (void)d2;
    return R(0.25) * d2_log;
}

#if NLLK_BITS == 64
NLLK_INLINE scaled_parameter log_variance_scaled(double u)
{
    return (scaled_parameter){u, scaled_exp(0.5 * u), scaled_of(0.5), scaled_of(0), 0.5 * u, 1};
}
#endif
