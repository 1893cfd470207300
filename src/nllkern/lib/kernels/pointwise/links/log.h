/* theta = e^u,   rate = 1,   curve - 1 = 0 */
#include "loops.h"

static range log_range(int bits) { return (range){(REAL)(-bits * (double)LOG_2), (REAL)(bits * (double)LOG_2)}; }

NLLK_INLINE REAL log_exponential(REAL u) { return exp_ordinary(u); }

NLLK_INLINE linked log_apply(REAL u, REAL e) { return (linked){.value = e, .divisor = R(1.0), .log_plus = u}; }

#define log_one_rate R(1.0)

NLLK_INLINE REAL log_second(const linked *p, REAL d1, REAL d2, REAL d2_log)
{
    (void)p, (void)d1, (void)d2;
    return d2_log;
}

#if NLLK_BITS == 64
NLLK_INLINE scaled_parameter log_scaled(double u)
{
    return (scaled_parameter){u, scaled_exp(u), scaled_of(1), scaled_of(0), u, 1};
}
#endif
