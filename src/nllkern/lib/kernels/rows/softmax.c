/* The kernels of the losses of a softmax, and of normalised sigmoids: against class indices or probabilities, and the
 * divergence.
 *
 * Each path is a function of its own: inlined into one, they would compete for registers, and take GCC twice the time. */
#include "general_narrow.h"
#include "general_wide.h"
#include "index_narrow.h"
#include "index_wide.h"
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
    static double index_##SCORE(const nllk_rowwise *a, ptrdiff_t begin, ptrdiff_t end, void *scratch)                  \
    {                                                                                                                  \
        return a->classes <= NARROW ? index_narrow_##SCORE(a, begin, end)                                              \
                                    : index_wide_##SCORE(a, begin, end, scratch);                                      \
    }
INDEX_PATHS(PLAIN)
INDEX_PATHS(LOG_SIGMOID)

NLLK_NOINLINE double general(int score, int divergence, const nllk_rowwise *a, ptrdiff_t begin, ptrdiff_t end)
{
    const row_options o = options_of(a, score, divergence);
    return a->classes <= GENERAL_NARROW ? general_narrow_rows(&o, a, begin, end) : general_wide_rows(&o, a, begin, end);
}

KERNEL(cross_entropy)
{
    const nllk_rowwise *a = arguments;
    const int capped = a->softcap != 0 && a->softcap <= REAL_MAX;
    if (a->index && a->smoothing == 0 && !capped && a->want < WANT_HESS)
        sums->value = index_PLAIN(a, begin, end, scratch);
    else
        sums->value = general(capped ? SOFTCAP : PLAIN, NO_DIVERGENCE, a, begin, end);
}

KERNEL(normalized_sigmoid_nll)
{
    const nllk_rowwise *a = arguments;
    if (a->index && a->smoothing == 0 && a->want < WANT_HESS)
        sums->value = index_LOG_SIGMOID(a, begin, end, scratch);
    else
        sums->value = general(LOG_SIGMOID, NO_DIVERGENCE, a, begin, end);
}

KERNEL(kl_divergence)
{
    const nllk_rowwise *a = arguments;
    (void)scratch;
    sums->value = a->variant == 0 ? general(PLAIN, FROM_SOFTMAX, a, begin, end)
                                  : general(LOG_PROBABILITY, FROM_LOG, a, begin, end);
}

/* The targets arrive as the indices of their bins. */
KERNEL(binned_cross_entropy) { SYMBOL(cross_entropy)(arguments, begin, end, scratch, sums); }
