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

KERNEL(add_columns)
{
    (void)scratch, (void)sums;
    add_columns(arguments, begin, end);
}

KERNEL(column_softmax)
{
    (void)scratch, (void)sums;
    add_column_softmax(arguments, begin, end);
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
