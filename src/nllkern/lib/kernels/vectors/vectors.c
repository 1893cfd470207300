/* The kernels of the losses of vectors, and of unit vectors. */
#include "multivariate_gaussian_nll.h"
#include "symbol.h"
#include "triplet_margin.h"
#include "units.h"

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

KERNEL(unit_rows)
{
    (void)scratch, (void)sums;
    unit_rows(arguments, begin, end);
}

KERNEL(unit_gradients)
{
    (void)scratch, (void)sums;
    unit_gradients(arguments, begin, end);
}

KERNEL(scale_rows)
{
    (void)scratch, (void)sums;
    scale_rows(arguments, begin, end);
}
