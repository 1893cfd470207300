/* No link: the parameter is the raw number. */
#include "loops.h"

static range none_range(int bits) { return (range){-real_power_of_2(bits), real_power_of_2(bits)}; }

NLLK_INLINE REAL none_first(const linked *p, REAL d1)
{
    (void)p;
    return d1;
}

NLLK_INLINE REAL none_second(const linked *p, REAL d1, REAL d2, REAL d2_log)
{
    (void)p, (void)d1, (void)d2_log;
    return d2;
}
