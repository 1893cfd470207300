/* All kernels of one precision (NLLK_BITS) at one SIMD level (NLLK_LEVEL, a suffix): compiled once for each pair. */
#include "kernels.h"
#include "bins.h"
#include "pointwise.h"
#include "rows_general_wide.h"
#include "rows_hinge.h"
#include "survey.h"
#include "vecspecial.h"

#include "losses/absolute_error.h"
#include "losses/binary_cross_entropy.h"
#include "losses/exponential_nll.h"
#include "losses/gamma_nll.h"
#include "losses/gaussian_nll.h"
#include "losses/hinge.h"
#include "losses/huber.h"
#include "losses/laplace_nll.h"
#include "losses/log_cosh.h"
#include "losses/multivariate_gaussian_nll.h"
#include "losses/poisson_nll.h"
#include "losses/squared_error.h"
#include "losses/squared_hinge.h"
#include "losses/student_t_nll.h"
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

NLLK_INLINE double general_rows(row_rule rule, const nllk_rowwise *a, ptrdiff_t begin, ptrdiff_t end)
{
    return a->classes <= NARROW ? general_narrow_rows(rule, a, begin, end) : general_wide_rows(rule, a, begin, end);
}

NLLK_INLINE double index_rows(int score, const nllk_rowwise *a, ptrdiff_t begin, ptrdiff_t end, void *scratch)
{
    return a->classes <= NARROW ? narrow_rows(score, a, begin, end) : wide_rows(score, a, begin, end, scratch);
}

static double cross_entropy(const nllk_rowwise *a, ptrdiff_t begin, ptrdiff_t end, void *scratch)
{
    if (a->index && a->smoothing == 0 && a->softcap == 0 && a->want < WANT_HESS)
        return index_rows(PLAIN, a, begin, end, scratch);
    if (a->softcap != 0)
        return general_rows((row_rule){SOFTCAP, 0}, a, begin, end);
    return general_rows((row_rule){PLAIN, 0}, a, begin, end);
}

static double normalized_sigmoid_nll(const nllk_rowwise *a, ptrdiff_t begin, ptrdiff_t end, void *scratch)
{
    if (a->index && a->smoothing == 0 && a->want < WANT_HESS)
        return index_rows(LOG_SIGMOID, a, begin, end, scratch);
    return general_rows((row_rule){LOG_SIGMOID, 0}, a, begin, end);
}

static double kl_divergence(const nllk_rowwise *a, ptrdiff_t begin, ptrdiff_t end, void *scratch)
{
    (void)scratch;
    if (a->variant == 0)
        return general_rows((row_rule){PLAIN, FROM_SOFTMAX}, a, begin, end);
    return general_rows((row_rule){PLAIN, FROM_LOG}, a, begin, end);
}

static double multiclass_hinge(const nllk_rowwise *a, ptrdiff_t begin, ptrdiff_t end, void *scratch)
{
    (void)scratch;
    return a->variant == 0 ? hinge_of_largest(a, begin, end) : hinge_of_each(a, begin, end);
}

/* The targets arrive as the indices of their bins. */
static double binned_cross_entropy(const nllk_rowwise *a, ptrdiff_t begin, ptrdiff_t end, void *scratch)
{
    return cross_entropy(a, begin, end, scratch);
}

/* The kernel of the losses of vectors. */
#define NLLK_VECTORS(NAME, ...)                                                                                        \
    void SYMBOL(NAME)(const void *arguments, ptrdiff_t begin, ptrdiff_t end, void *scratch, nllk_sums *sums)           \
    {                                                                                                                  \
        (void)scratch;                                                                                                 \
        sums->value = NAME(arguments, begin, end);                                                                     \
    }

/* A loss whose third parameter has a link of its own has also NAME_of_own, the functions of that parameter alone. */
#define OF_0(NAME) NULL
#define OF_4(NAME) NAME##_of_own

/* A pointwise loss: a tile function for each link, each thing wanted, weighted or plain; and the kernel that picks one. */
#define TILE_(NAME, COUNT, LINKED, LOGS, POSITIVE, OWN, LINK, OWN_LINK, WANT, PLAIN)                                   \
    static void NAME##_##LINK##_##OWN_LINK##_##WANT##_##PLAIN(const tile *t, ptrdiff_t n)                              \
    {                                                                                                                  \
        run_tile((variant){NAME, COUNT, LINKED, LOGS, LINK, OWN_LINK, OWN, POSITIVE, WANT, PLAIN, 0, OF_##OWN(NAME)},  \
                 NAME##_##LINK##_##OWN_LINK##_all, t, n);                                                              \
    }
#define ALL_(NAME, COUNT, LINKED, LOGS, POSITIVE, OWN, LINK, OWN_LINK)                                                 \
    static void NAME##_##LINK##_##OWN_LINK##_all(const tile *t, ptrdiff_t n)                                           \
    {                                                                                                                  \
        n &= ~(ptrdiff_t)(TILE_STEP - 1);                                                                              \
        run_samples(                                                                                                   \
            (variant){NAME, COUNT, LINKED, LOGS, LINK, OWN_LINK, OWN, POSITIVE, WANT_HESS, 0, 0, OF_##OWN(NAME)}, t,   \
            n);                                                                                                        \
    }
#define TILES_(...)                                                                                                    \
    ALL_(__VA_ARGS__)                                                                                                  \
    TILE_(__VA_ARGS__, WANT_VALUE, 0)                                                                                  \
    TILE_(__VA_ARGS__, WANT_VALUE, 1)                                                                                  \
    TILE_(__VA_ARGS__, WANT_GRAD, 0)                                                                                   \
    TILE_(__VA_ARGS__, WANT_GRAD, 1)                                                                                   \
    TILE_(__VA_ARGS__, WANT_HESS, 0)                                                                                   \
    TILE_(__VA_ARGS__, WANT_HESS, 1)
#define ROW_(NAME, COUNT, LINKED, LOGS, POSITIVE, OWN, LINK, OWN_LINK)                                                 \
    [LINK % LINK_LOGIT][OWN_LINK] = {                                                                                  \
        {NAME##_##LINK##_##OWN_LINK##_WANT_VALUE_0, NAME##_##LINK##_##OWN_LINK##_WANT_VALUE_1},                        \
        {NAME##_##LINK##_##OWN_LINK##_WANT_GRAD_0, NAME##_##LINK##_##OWN_LINK##_WANT_GRAD_1},                          \
        {NAME##_##LINK##_##OWN_LINK##_WANT_HESS_0, NAME##_##LINK##_##OWN_LINK##_WANT_HESS_1}},
#define LINKS_none(F, ...) F(__VA_ARGS__, 0, LINK_IDENTITY, LINK_IDENTITY)
#define LINKS_logit(F, ...) F(__VA_ARGS__, 0, LINK_LOGIT, LINK_IDENTITY)
#define LINKS_positive(F, ...)                                                                                         \
    LINKS_none(F, __VA_ARGS__) F(__VA_ARGS__, 0, LINK_SOFTPLUS, LINK_IDENTITY)                                         \
        F(__VA_ARGS__, 0, LINK_LOG, LINK_IDENTITY)
#define LINKS_scale(F, ...)                                                                                            \
    LINKS_positive(F, __VA_ARGS__) F(__VA_ARGS__, 0, LINK_VARIANCE, LINK_IDENTITY)                                     \
        F(__VA_ARGS__, 0, LINK_LOG_VARIANCE, LINK_IDENTITY)
#define LINKS_each(F, OWN_LINK, ...)                                                                                   \
    F(__VA_ARGS__, 4, LINK_IDENTITY, OWN_LINK)                                                                         \
    F(__VA_ARGS__, 4, LINK_SOFTPLUS, OWN_LINK) F(__VA_ARGS__, 4, LINK_LOG, OWN_LINK)
#define LINKS_third(F, ...)                                                                                            \
    LINKS_each(F, LINK_IDENTITY, __VA_ARGS__) LINKS_each(F, LINK_SOFTPLUS, __VA_ARGS__)                                \
        LINKS_each(F, LINK_LOG, __VA_ARGS__)
#define POSITIVE_real 0
#define POSITIVE_unit 0
#define POSITIVE_sign 0
#define POSITIVE_nonnegative 0
#define POSITIVE_positive 1
/* clang-format off */
#define NLLK_POINTWISE(NAME, NAMES, COUNT, LINKED, LOGS, LINKS, EXTRA, SUPPORT) \
    LINKS_##LINKS(TILES_, NAME, COUNT, LINKED, LOGS, POSITIVE_##SUPPORT) \
    void SYMBOL(NAME)(const void *arguments, ptrdiff_t begin, ptrdiff_t end, void *scratch, nllk_sums *sums) \
    { \
        static const tile_function tiles[LINK_COUNT][OWN_LINK_COUNT][WANT_COUNT][2] = { \
            LINKS_##LINKS(ROW_, NAME, COUNT, LINKED, LOGS, POSITIVE_##SUPPORT)}; \
        const nllk_pointwise *a = arguments; \
        (void)scratch; \
        run_pointwise(a, begin, end, COUNT, tiles[a->link][a->own_link][a->want], sums); \
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

static void encode_bins(const void *arguments, ptrdiff_t begin, ptrdiff_t end, void *scratch, nllk_sums *sums)
{
    (void)scratch;
    encode(arguments, begin, end, sums);
}

static void expectation_of_bins(const void *arguments, ptrdiff_t begin, ptrdiff_t end, void *scratch, nllk_sums *sums)
{
    (void)scratch, (void)sums;
    expectations(arguments, begin, end);
}

static void quantiles_of_bins(const void *arguments, ptrdiff_t begin, ptrdiff_t end, void *scratch, nllk_sums *sums)
{
    (void)scratch, (void)sums;
    quantiles(arguments, begin, end);
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
    .bins = {encode_bins, expectation_of_bins, quantiles_of_bins},
    .vector =
        {
#include "vecmath.inc"
        },
};
