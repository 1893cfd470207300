/* No link: the parameter is the raw number. */
#include "loops.h"

static range none_range(int bits) { return (range){-real_power_of_2(bits), real_power_of_2(bits)}; }

#if NLLK_BITS == 64
NLLK_INLINE scaled_parameter none_scaled(double u)
{
    return (scaled_parameter){.raw = u, .rate = {1, 0}, .curve = {0, SCALED_ZERO}};
}
#endif
