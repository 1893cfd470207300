/* The kernels of the losses of a softmax, and of normalised sigmoids, against class indices or probabilities.
 *
 * Each path is a function of its own: inlined into one, they keep each other from the registers, and take GCC twice the time. */
#include "rows_general_wide.h"
#include "symbol.h"

#define INDEX_PATHS(SCORE)                                                                                             \
    NLLK_NOINLINE double index_narrow_##SCORE(const nllk_rowwise *a, ptrdiff_t begin, ptrdiff_t end)                   \
    {                                                                                                                  \
        return narrow_rows(SCORE, a, begin, end);                                                                      \
    }                                                                                                                  \
    NLLK_NOINLINE double index_wide_##SCORE(const nllk_rowwise *a, ptrdiff_t begin, ptrdiff_t end, void *scratch)      \
    {                                                                                                                  \
        return wide_rows(SCORE, a, begin, end, scratch);                                                               \
    }                                                                                                                  \
    NLLK_INLINE double index_##SCORE(const nllk_rowwise *a, ptrdiff_t begin, ptrdiff_t end, void *scratch)             \
    {                                                                                                                  \
        return a->classes <= NARROW ? index_narrow_##SCORE(a, begin, end)                                              \
                                    : index_wide_##SCORE(a, begin, end, scratch);                                      \
    }
INDEX_PATHS(PLAIN)
INDEX_PATHS(LOG_SIGMOID)

#define GENERAL_PATHS(SCORE)                                                                                           \
    NLLK_NOINLINE double narrow_##SCORE(const nllk_rowwise *a, ptrdiff_t begin, ptrdiff_t end)                         \
    {                                                                                                                  \
        return general_narrow_rows((row_rule){SCORE, 0}, a, begin, end);                                               \
    }                                                                                                                  \
    NLLK_NOINLINE double wide_##SCORE(const nllk_rowwise *a, ptrdiff_t begin, ptrdiff_t end)                           \
    {                                                                                                                  \
        return general_wide_rows((row_rule){SCORE, 0}, a, begin, end);                                                 \
    }                                                                                                                  \
    NLLK_INLINE double general_##SCORE(const nllk_rowwise *a, ptrdiff_t begin, ptrdiff_t end)                          \
    {                                                                                                                  \
        return a->classes <= NARROW ? narrow_##SCORE(a, begin, end) : wide_##SCORE(a, begin, end);                     \
    }
GENERAL_PATHS(PLAIN)
GENERAL_PATHS(SOFTCAP)
GENERAL_PATHS(LOG_SIGMOID)

KERNEL(cross_entropy)
{
    const nllk_rowwise *a = arguments;
    const int capped = a->softcap != 0 && a->softcap <= REAL_MAX;
    if (a->index && a->smoothing == 0 && !capped && a->want < WANT_HESS)
        sums->value = index_PLAIN(a, begin, end, scratch);
    else if (capped)
        sums->value = general_SOFTCAP(a, begin, end);
    else
        sums->value = general_PLAIN(a, begin, end);
}

KERNEL(normalized_sigmoid_nll)
{
    const nllk_rowwise *a = arguments;
    if (a->index && a->smoothing == 0 && a->want < WANT_HESS)
        sums->value = index_LOG_SIGMOID(a, begin, end, scratch);
    else
        sums->value = general_LOG_SIGMOID(a, begin, end);
}

/* The targets arrive as the indices of their bins. */
KERNEL(binned_cross_entropy) { SYMBOL(cross_entropy)(arguments, begin, end, scratch, sums); }
