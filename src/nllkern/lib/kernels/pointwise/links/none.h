/* No link: the parameter is the raw number. */
#include "loops.h"

static range none_range(int bits) { return (range){-real_power_of_2(bits), real_power_of_2(bits)}; }
