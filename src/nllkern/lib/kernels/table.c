/* The table of the kernels of one precision at one SIMD level. */
#include "functions/gamma.h"
#include "functions/hyperbolic.h"
#include "functions/logistic.h"
#include "functions/student.h"
#include "kernels.h"
#include "symbol.h"

/* The functions of functions/ over arrays, for the tests. */
#define NLLK_VECFN(NAME, ...)                                                                                          \
    static void vector_##NAME(const void *x, void *y, ptrdiff_t n)                                                     \
    {                                                                                                                  \
        const REAL *from = x;                                                                                          \
        REAL *restrict to = y;                                                                                         \
        for (ptrdiff_t i = 0; i < n; i++)                                                                              \
            to[i] = NAME##_(from[i]);                                                                                  \
    }
#include "functions.inc"
#undef NLLK_VECFN

#define NLLK_LOSS(NAME) KERNEL(NAME);
#include "losses.inc"
#undef NLLK_LOSS
KERNEL(survey_rowwise);
KERNEL(survey_pointwise);
KERNEL(encode_bins);
KERNEL(expectation_of_bins);
KERNEL(quantiles_of_bins);
KERNEL(add_columns);
KERNEL(column_softmax);
KERNEL(unit_rows);
KERNEL(unit_gradients);
KERNEL(scale_rows);

#define NLLK_LOSS(NAME) [NLLK_LOSS_##NAME] = SYMBOL(NAME),
#define NLLK_VECFN(NAME, ...) [NLLK_VECFN_##NAME] = vector_##NAME,
const nllk_table SYMBOL(table) = {
    .loss =
        {
#include "losses.inc"
        },
    .survey = {SYMBOL(survey_rowwise), SYMBOL(survey_pointwise)},
    .bins = {SYMBOL(encode_bins), SYMBOL(expectation_of_bins), SYMBOL(quantiles_of_bins)},
    .columns = {SYMBOL(add_columns), SYMBOL(column_softmax)},
    .units = {SYMBOL(unit_rows), SYMBOL(unit_gradients), SYMBOL(scale_rows)},
    .vector =
        {
#include "functions.inc"
        },
};
