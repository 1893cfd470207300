/* The table of links. */
#include "links/identity.h"
#include "links/log.h"
#include "links/log_variance.h"
#include "links/logit.h"
#include "links/none.h"
#include "links/softplus.h"
#include "links/variance.h"

#define PREPARE(NAME, EXPONENTIAL)                                                                                     \
    static void prepare_##NAME(const REAL *raw, ptrdiff_t n, int want, int log, prepared *to)                          \
    {                                                                                                                  \
        prepare(EXPONENTIAL, NAME##_apply, NAME##_rate, raw, n, want, log, to);                                        \
    }
PREPARE(identity, NULL)
PREPARE(softplus, softplus_exponential)
PREPARE(log, log_exponential)
PREPARE(variance, NULL)
PREPARE(log_variance, log_variance_exponential)

static void prepare_logit(const REAL *raw, ptrdiff_t n, int want, int log, prepared *to)
{
    (void)want, (void)log;
    exponentials(logit_exponential, raw, n, to);
}

#define CHAIN(NAME)                                                                                                    \
    static void chain_##NAME(const chain *c, ptrdiff_t n) { chain_rule(NAME##_first, NAME##_second, c, n); }
CHAIN(identity)
CHAIN(softplus)
CHAIN(log)
CHAIN(variance)
CHAIN(log_variance)
CHAIN(logit)
CHAIN(none)

/* In the order of their numbers. */
#define NLLK_LINK(NAME, UPPER) [LINK_##UPPER] = {NAME##_range, prepare_##NAME, chain_##NAME},
const link_row SYMBOL(links)[LINK_COUNT] = {
#include "links.inc"
    [LINK_NONE] = {none_range, NULL, chain_none},
};

#if NLLK_BITS == 64
scaled_parameter SYMBOL(scaled_link)(int link, double raw)
{
    switch (link) {
    case LINK_IDENTITY: return identity_scaled(raw);
    case LINK_SOFTPLUS: return softplus_scaled(raw);
    case LINK_LOG: return log_scaled(raw);
    case LINK_VARIANCE: return variance_scaled(raw);
    case LINK_LOG_VARIANCE: return log_variance_scaled(raw);
    default:
        return (scaled_parameter){
            .raw = raw, .rate = scaled_of(1), .curve = scaled_of(0), .in_log = link == LINK_LOGIT};
    }
}

link_numbers SYMBOL(link_numbers)(int link, double raw)
{
    const int is_meaningless = raw != raw || ((link == LINK_IDENTITY || link == LINK_VARIANCE) && !(raw > 0));
    if (is_meaningless)
        return (link_numbers){REAL_NAN, 1, REAL_NAN, REAL_NAN, REAL_NAN, 0};
    const scaled_parameter p = SYMBOL(scaled_link)(link, raw);
    const int64_t e = -p.value.e, limited = e > 2000 ? 2000 : e < -2000 ? -2000 : e, half = limited / 2;
    return (link_numbers){.inverse = power_of_2(limited - 2 * half) / p.value.m,
                          .again = power_of_2(half),
                          .rate = scaled_to_double(p.rate),
                          .log = p.log,
                          .curve = scaled_to_double(p.curve),
                          .in_log = p.in_log};
}
#endif
