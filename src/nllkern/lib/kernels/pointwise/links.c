/* The table of links. */
#include "links/identity.h"
#include "links/log.h"
#include "links/log_variance.h"
#include "links/logit.h"
#include "links/none.h"
#include "links/softplus.h"
#include "links/variance.h"

#define PREPARE(NAME, EXPONENTIAL, RATE)                                                                               \
    static void prepare_##NAME(const REAL *raw, ptrdiff_t n, int want, int log, prepared *to)                          \
    {                                                                                                                  \
        prepare(EXPONENTIAL, NAME##_apply, RATE, raw, n, want, log, to);                                               \
    }
PREPARE(identity, NULL, identity_rate)
PREPARE(softplus, softplus_exponential, softplus_rate)
PREPARE(log, log_exponential, NULL)
PREPARE(variance, NULL, variance_rate)
PREPARE(log_variance, log_variance_exponential, NULL)

static void prepare_logit(const REAL *raw, ptrdiff_t n, int want, int log, prepared *to)
{
    (void)want, (void)log;
    exponentials(logit_exponential, raw, n, to);
}

#define CHAIN(NAME)                                                                                                    \
    static void chain_##NAME(const chain *c, ptrdiff_t n) { chain_rule(NAME##_second, c, n); }
CHAIN(identity)
CHAIN(softplus)
CHAIN(log)
CHAIN(variance)
CHAIN(log_variance)
CHAIN(logit)

#if NLLK_BITS == 64
#define SCALED(NAME)                                                                                                   \
    static void prepare_scaled_##NAME(const double *raw, ptrdiff_t n, scaled_parameters *to)                           \
    {                                                                                                                  \
        n &= ~(ptrdiff_t)(LANES - 1);                                                                                  \
        _Pragma("omp simd") for (ptrdiff_t i = 0; i < n; i++) write_scaled_parameter(to, i, NAME##_scaled(raw[i]));    \
    }
SCALED(identity)
SCALED(softplus)
SCALED(log)
SCALED(variance)
SCALED(log_variance)
SCALED(logit)
SCALED(none)
#define SCALED_OF(NAME) prepare_scaled_##NAME
#else
#define SCALED_OF(NAME) NULL
#endif

/* In the order of their numbers. */
#define NLLK_LINK(NAME, UPPER)                                                                                         \
    [LINK_##UPPER] = {NAME##_range, NAME##_one_rate, prepare_##NAME, chain_##NAME, SCALED_OF(NAME)},
const link_row SYMBOL(links)[LINK_COUNT] = {
#include "links.inc"
    [LINK_NONE] = {none_range, 0, NULL, NULL, SCALED_OF(none)},
};

#if NLLK_BITS == 64
link_numbers SYMBOL(link_numbers)(int link, double raw)
{
    const int is_meaningless = raw != raw || ((link == LINK_IDENTITY || link == LINK_VARIANCE) && !(raw > 0));
    if (is_meaningless)
        return (link_numbers){REAL_NAN, 1, REAL_NAN, REAL_NAN, REAL_NAN, 0};
    ALIGNED double raws[LANES];
    scaled_parameters p;
    raws[0] = raw;
    for (int k = 1; k < LANES; k++)
        raws[k] = raw;
    SYMBOL(links)[link].prepare_scaled(raws, LANES, &p);
    const double e = min_(max_(-p.value.e[0], -2000.0), 2000.0), half = (0.5 * e + ROUND_MAGIC) - ROUND_MAGIC;
    return (link_numbers){.inverse = power_of_2(e - 2 * half) / p.value.m[0],
                          .again = power_of_2(half),
                          .rate = scaled_to_double((scaled){p.rate.m[0], p.rate.e[0]}),
                          .log = p.log[0],
                          .curve = scaled_to_double((scaled){p.curve.m[0], p.curve.e[0]}),
                          .in_log = p.in_log[0] != 0};
}
#endif
