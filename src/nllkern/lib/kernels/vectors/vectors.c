/* The kernels of the losses of vectors. */
#include "multivariate_gaussian_nll.h"
#include "symbol.h"
#include "triplet_margin.h"

KERNEL(multivariate_gaussian_nll)
{
    (void)scratch;
    sums->value = multivariate_gaussian_nll(arguments, begin, end);
}

KERNEL(triplet_margin)
{
    (void)scratch;
    sums->value = triplet_margin(arguments, begin, end);
}
