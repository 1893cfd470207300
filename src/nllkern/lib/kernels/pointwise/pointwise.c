/* The kernels of the pointwise losses. */
#include "pointwise.h"
#include "symbol.h"

#include "absolute_error.h"
#include "binary_cross_entropy.h"
#include "exponential_nll.h"
#include "gamma_nll.h"
#include "gaussian_nll.h"
#include "hinge.h"
#include "huber.h"
#include "laplace_nll.h"
#include "log_cosh.h"
#include "poisson_nll.h"
#include "squared_error.h"
#include "squared_hinge.h"
#include "student_t_nll.h"

#define NLLK_ROWWISE(...)
#define NLLK_VECTORS(...)

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
        n &= ~(ptrdiff_t)(LANES - 1);                                                                                  \
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
#define OWN_OF_none 0
#define OWN_OF_logit 0
#define OWN_OF_positive 0
#define OWN_OF_scale 0
#define OWN_OF_third 1
#define POSITIVE_real 0
#define POSITIVE_unit 0
#define POSITIVE_sign 0
#define POSITIVE_nonnegative 0
#define POSITIVE_positive 1
/* clang-format off */
#define NLLK_POINTWISE(NAME, NAMES, COUNT, LINKED, LOGS, LINKS, EXTRA, SUPPORT) \
    LINKS_##LINKS(TILES_, NAME, COUNT, LINKED, LOGS, POSITIVE_##SUPPORT) \
    KERNEL(NAME) \
    { \
        static const tile_function tiles[LINK_COUNT][OWN_LINK_COUNT][WANT_COUNT][2] = { \
            LINKS_##LINKS(ROW_, NAME, COUNT, LINKED, LOGS, POSITIVE_##SUPPORT)}; \
        const nllk_pointwise *a = arguments; \
        (void)scratch; \
        const int first = LINKED ? __builtin_ctz(LINKED | 8) : 0, own = OWN_OF_##LINKS ? a->link[2] : 0; \
        run_pointwise(a, begin, end, COUNT, tiles[a->link[first] % LINK_LOGIT][own][a->want], sums); \
    }
/* clang-format on */
#include "losses.inc"
