/* The kernels of the losses of vectors. */
#include "multivariate_gaussian_nll.h"
#include "symbol.h"
#include "triplet_margin.h"

#define NLLK_ROWWISE(...)
#define NLLK_POINTWISE(...)
#define NLLK_VECTORS(NAME, ...)                                                                                        \
    KERNEL(NAME)                                                                                                       \
    {                                                                                                                  \
        (void)scratch;                                                                                                 \
        sums->value = NAME(arguments, begin, end);                                                                     \
    }
#include "losses.inc"
