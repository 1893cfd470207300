/* The other kernels over classes: hinge, bins, columns, and the surveys. */
#include "bins.h"
#include "columns.h"
#include "hinge.h"
#include "survey.h"
#include "symbol.h"

KERNEL(multiclass_hinge)
{
    const nllk_rowwise *a = arguments;
    (void)scratch;
    sums->value = a->variant == 0 ? hinge_of_largest(a, begin, end) : hinge_of_each(a, begin, end);
}

/* Kernels that are a function, of the sums or not, and need no scratch memory. */
#define SUMMED(NAME, FUNCTION)                                                                                         \
    KERNEL(NAME)                                                                                                       \
    {                                                                                                                  \
        (void)scratch;                                                                                                 \
        FUNCTION(arguments, begin, end, sums);                                                                         \
    }
#define UNSUMMED(NAME, FUNCTION)                                                                                       \
    KERNEL(NAME)                                                                                                       \
    {                                                                                                                  \
        (void)scratch, (void)sums;                                                                                     \
        FUNCTION(arguments, begin, end);                                                                               \
    }
SUMMED(survey_rowwise, survey_rows)
SUMMED(survey_pointwise, survey_points)
SUMMED(encode_bins, encode)
UNSUMMED(add_columns, add_columns)
UNSUMMED(column_softmax, add_column_softmax)
UNSUMMED(expectation_of_bins, expectations)
UNSUMMED(quantiles_of_bins, quantiles)
