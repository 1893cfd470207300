/* All kernels of one precision (NLLK_BITS) at one SIMD level (NLLK_LEVEL, a suffix): compiled once for each pair. */
#include "kernels.h"
#include "pointwise.h"
#include "survey.h"
#include "vecspecial.h"

#include "losses/binary_cross_entropy.h"
#include "losses/gamma_nll.h"
#include "losses/gaussian_nll.h"
#include "losses/multivariate_gaussian_nll.h"
#include "losses/triplet_margin.h"

#define CONCAT_(a, b, c, d) nllk_##a##_##b##c##_##d
#define CONCAT(a, b, c, d) CONCAT_(a, b, c, d)
#if NLLK_BITS == 32
#define SYMBOL(NAME) CONCAT(NAME, f, 32, NLLK_LEVEL)
#else
#define SYMBOL(NAME) CONCAT(NAME, f, 64, NLLK_LEVEL)
#endif

/* The kernel of the row-wise losses: the plain case has loops of its own. */
#define NLLK_ROWWISE(NAME, ...)                                                                                        \
    void SYMBOL(NAME)(const void *arguments, ptrdiff_t begin, ptrdiff_t end, void *scratch, nllk_sums *sums)           \
    {                                                                                                                  \
        sums->value = NAME(arguments, begin, end, scratch);                                                            \
    }

static double cross_entropy(const nllk_rowwise *a, ptrdiff_t begin, ptrdiff_t end, void *scratch)
{
    int narrow = a->classes <= NARROW;
    if (a->index && a->smoothing == 0 && a->softcap == 0 && a->want < WANT_HESS)
        return narrow ? narrow_rows(a, begin, end) : wide_rows(a, begin, end, scratch);
    if (a->softcap != 0)
        return narrow ? general_narrow_rows(a, begin, end, 1) : general_wide_rows(a, begin, end, 1);
    return narrow ? general_narrow_rows(a, begin, end, 0) : general_wide_rows(a, begin, end, 0);
}

/* The kernel of the losses of vectors. */
#define NLLK_VECTORS(NAME, ...)                                                                                        \
    void SYMBOL(NAME)(const void *arguments, ptrdiff_t begin, ptrdiff_t end, void *scratch, nllk_sums *sums)           \
    {                                                                                                                  \
        (void)scratch;                                                                                                 \
        sums->value = NAME(arguments, begin, end);                                                                     \
    }

/* A pointwise loss: a tile function for each link, each thing wanted, weighted or plain; and the kernel that picks one. */
#define TILE_(NAME, COUNT, LINKED, LOGS, POSITIVE, LINK, WANT, PLAIN)                                                  \
    static void NAME##_##LINK##_##WANT##_##PLAIN(const tile *t, ptrdiff_t n)                                           \
    {                                                                                                                  \
        run_tile((variant){NAME, COUNT, LINKED, LOGS, LINK, POSITIVE, WANT, PLAIN, 0}, t, n);                          \
    }
#define TILES_(...)                                                                                                    \
    TILE_(__VA_ARGS__, WANT_VALUE, 0)                                                                                  \
    TILE_(__VA_ARGS__, WANT_VALUE, 1)                                                                                  \
    TILE_(__VA_ARGS__, WANT_GRAD, 0)                                                                                   \
    TILE_(__VA_ARGS__, WANT_GRAD, 1)                                                                                   \
    TILE_(__VA_ARGS__, WANT_HESS, 0)                                                                                   \
    TILE_(__VA_ARGS__, WANT_HESS, 1)
#define ROW_(NAME, COUNT, LINKED, LOGS, POSITIVE, LINK)                                                                \
    [LINK % LINK_LOGIT] = {{NAME##_##LINK##_WANT_VALUE_0, NAME##_##LINK##_WANT_VALUE_1},                               \
                           {NAME##_##LINK##_WANT_GRAD_0, NAME##_##LINK##_WANT_GRAD_1},                                 \
                           {NAME##_##LINK##_WANT_HESS_0, NAME##_##LINK##_WANT_HESS_1}},
#define LINKS_none(F, ...) F(__VA_ARGS__, LINK_IDENTITY)
#define LINKS_logit(F, ...) F(__VA_ARGS__, LINK_LOGIT)
#define LINKS_positive(F, ...) LINKS_none(F, __VA_ARGS__) F(__VA_ARGS__, LINK_SOFTPLUS) F(__VA_ARGS__, LINK_LOG)
#define LINKS_scale(F, ...)                                                                                            \
    LINKS_positive(F, __VA_ARGS__) F(__VA_ARGS__, LINK_VARIANCE) F(__VA_ARGS__, LINK_LOG_VARIANCE)
#define POSITIVE_real 0
#define POSITIVE_unit 0
#define POSITIVE_positive 1
/* clang-format off */
#define NLLK_POINTWISE(NAME, NAMES, COUNT, LINKED, LOGS, LINKS, EXTRA, SUPPORT) \
    LINKS_##LINKS(TILES_, NAME, COUNT, LINKED, LOGS, POSITIVE_##SUPPORT) \
    void SYMBOL(NAME)(const void *arguments, ptrdiff_t begin, ptrdiff_t end, void *scratch, nllk_sums *sums) \
    { \
        static const tile_function tiles[LINK_COUNT][WANT_COUNT][2] = { \
            LINKS_##LINKS(ROW_, NAME, COUNT, LINKED, LOGS, POSITIVE_##SUPPORT)}; \
        const nllk_pointwise *a = arguments; \
        (void)scratch; \
        run_pointwise(a, begin, end, COUNT, tiles[a->link][a->want], sums); \
    }
/* clang-format on */
#include "kernels.inc"
#undef NLLK_ROWWISE
#undef NLLK_POINTWISE
#undef NLLK_VECTORS

static void survey_rowwise(const void *arguments, ptrdiff_t begin, ptrdiff_t end, void *scratch, nllk_sums *sums)
{
    (void)scratch;
    survey_rows(arguments, begin, end, sums);
}

static void survey_pointwise(const void *arguments, ptrdiff_t begin, ptrdiff_t end, void *scratch, nllk_sums *sums)
{
    (void)scratch;
    survey_points(arguments, begin, end, sums);
}

/* The functions of vecmath.h and vecspecial.h over arrays, for the tests. */
#define NLLK_VECFN(NAME, ...)                                                                                          \
    static void vector_##NAME(const void *x, void *y, ptrdiff_t n)                                                     \
    {                                                                                                                  \
        const REAL *from = x;                                                                                          \
        REAL *restrict to = y;                                                                                         \
        for (ptrdiff_t i = 0; i < n; i++)                                                                              \
            to[i] = NAME##_(from[i]);                                                                                  \
    }
#include "vecmath.inc"
#undef NLLK_VECFN

#define NLLK_ROWWISE(NAME, ...) [NLLK_LOSS_##NAME] = SYMBOL(NAME),
#define NLLK_POINTWISE(NAME, ...) [NLLK_LOSS_##NAME] = SYMBOL(NAME),
#define NLLK_VECTORS(NAME, ...) [NLLK_LOSS_##NAME] = SYMBOL(NAME),
#define NLLK_VECFN(NAME, ...) [NLLK_VECFN_##NAME] = vector_##NAME,
const nllk_table SYMBOL(table) = {
    .loss =
        {
#include "kernels.inc"
        },
    .survey = {survey_rowwise, survey_pointwise},
    .vector =
        {
#include "vecmath.inc"
        },
};
