/* theta = log(1 + e^u),   rate = sigmoid(u) / theta.
 *
 * With e = e^-|u|, log1p(e) = e (1 + e q).  For u < 0 both theta and its derivative hold a factor e, which their
 * quotient and log(theta) - u do without. */
#include "loops.h"

static range softplus_range(int bits) { return (range){(REAL)(-bits * (double)LOG_2), real_power_of_2(bits)}; }

NLLK_INLINE REAL softplus_exponential(REAL u) { return exp_nonpositive_(-fabs_(u)); }

NLLK_INLINE linked softplus_apply(REAL u, REAL e)
{
    const int negative = u < R(0.0);
    const log1p_parts l = log1p_parts_(e);
    const REAL slope = PICK(R(1.0), l.inverse); /* log1p in double takes a division, which serves this too */
    const REAL soft = negative ? l.log1p : u + l.log1p;
    return (linked){.value = soft,
                    .slope = negative ? e * slope : slope,
                    .divisor = PICK(R(1.0) + e, R(1.0)),
                    .curve = e * (negative ? l.q : soft), /* sigmoid(-u) / rate, less 1 if u < 0 */
                    .has_log = 1,
                    .log_of = negative ? mul_add(e, l.q, R(1.0)) : soft,
                    .log_plus = negative ? u : R(0.0)};
}

#define softplus_one_rate 0

NLLK_INLINE REAL softplus_rate(REAL slope, REAL both) { return slope * both; }

NLLK_INLINE REAL softplus_second(const linked *p, REAL d1, REAL d2, REAL d2_log)
{
    return p->rate * p->rate * mul_add(d1, p->curve, p->curve < R(0.0) ? d2_log : d2);
}

#if NLLK_BITS == 64
NLLK_INLINE scaled_parameter softplus_scaled(double u)
{
    const int negative = u < 0;
    const scaled e = scaled_exp(-fabs_(u));
    const log1p_parts l = log1p_parts_(scaled_to_double(e));
    const double part = mul_add(scaled_to_double(e), l.q, 1.0);                             /* log1p(e) / e */
    const scaled rest = scaled_select(negative, (scaled){part, 0}, scaled_of(u + l.log1p)); /* without the factor e */
    const double log = scaled_log(rest);
    return (scaled_parameter){.raw = u,
                              .value = scaled_select(negative, scaled_mul(e, rest), rest),
                              .rate = scaled_div((scaled){l.inverse, 0}, rest),
                              .curve = scaled_mul(e, scaled_select(negative, (scaled){l.q, 0}, rest)),
                              .log = negative ? u + log : log,
                              .in_log = negative};
}
#endif
