/* The other kernels over classes: divergence, hinge, bins, and the surveys. */
#include "bins.h"
#include "rows_general_wide.h"
#include "rows_hinge.h"
#include "survey.h"
#include "symbol.h"

#define DIVERGENCE_PATHS(DIVERGENCE)                                                                                   \
    NLLK_NOINLINE double narrow_##DIVERGENCE(const nllk_rowwise *a, ptrdiff_t begin, ptrdiff_t end)                    \
    {                                                                                                                  \
        return general_narrow_rows((row_rule){PLAIN, DIVERGENCE}, a, begin, end);                                      \
    }                                                                                                                  \
    NLLK_NOINLINE double wide_##DIVERGENCE(const nllk_rowwise *a, ptrdiff_t begin, ptrdiff_t end)                      \
    {                                                                                                                  \
        return general_wide_rows((row_rule){PLAIN, DIVERGENCE}, a, begin, end);                                        \
    }
DIVERGENCE_PATHS(FROM_SOFTMAX)
DIVERGENCE_PATHS(FROM_LOG)

KERNEL(kl_divergence)
{
    const nllk_rowwise *a = arguments;
    const int narrow = a->classes <= NARROW;
    (void)scratch;
    if (a->variant == 0)
        sums->value = narrow ? narrow_FROM_SOFTMAX(a, begin, end) : wide_FROM_SOFTMAX(a, begin, end);
    else
        sums->value = narrow ? narrow_FROM_LOG(a, begin, end) : wide_FROM_LOG(a, begin, end);
}

KERNEL(multiclass_hinge)
{
    const nllk_rowwise *a = arguments;
    (void)scratch;
    sums->value = a->variant == 0 ? hinge_of_largest(a, begin, end) : hinge_of_each(a, begin, end);
}

KERNEL(survey_rowwise)
{
    (void)scratch;
    survey_rows(arguments, begin, end, sums);
}

KERNEL(survey_pointwise)
{
    (void)scratch;
    survey_points(arguments, begin, end, sums);
}

KERNEL(encode_bins)
{
    (void)scratch;
    encode(arguments, begin, end, sums);
}

KERNEL(expectation_of_bins)
{
    (void)scratch, (void)sums;
    expectations(arguments, begin, end);
}

KERNEL(quantiles_of_bins)
{
    (void)scratch, (void)sums;
    quantiles(arguments, begin, end);
}
