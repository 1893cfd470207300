/* theta = log(1 + e^u),   rate = sigmoid(u) / theta.
 *
 * With e = e^-|u|, log1p(e) = e (1 + e q).  For u < 0 both theta and its derivative hold a factor e, which their quotient
 * and log(theta) - u do without. */
#include "loops.h"

static range softplus_range(int bits)
{
    return (range){(REAL)(-bits * (double)LOG_2), real_power_of_2(bits)};
}

NLLK_INLINE REAL softplus_exponential(REAL u) { return exp_nonpositive_(-fabs_(u)); }

NLLK_INLINE linked softplus_apply(REAL u, REAL e)
{
    const int negative = u < R(0.0);
    const log1p_parts l = log1p_parts_(e);
    const REAL soft = negative ? l.log1p : u + l.log1p;
    return (linked){.value = soft,
                    .slope = negative ? e * l.inverse : l.inverse,
                    .curve = e * (negative ? l.q : soft), /* sigmoid(-u) / rate, less 1 if u < 0 */
                    .has_log = 1,
                    .log_of = negative ? mul_add(e, l.q, R(1.0)) : soft,
                    .log_plus = negative ? u : R(0.0)};
}

NLLK_INLINE REAL softplus_rate(REAL slope, REAL inverse) { return slope * inverse; }

NLLK_INLINE REAL softplus_first(const linked *p, REAL d1) { return d1 * p->rate; }

NLLK_INLINE REAL softplus_second(const linked *p, REAL d1, REAL d2, REAL d2_log)
{
    return p->rate * p->rate * mul_add(d1, p->curve, p->curve < R(0.0) ? d2_log : d2);
}

#if NLLK_BITS == 64
NLLK_INLINE scaled_parameter softplus_scaled(double u)
{
    const scaled e = scaled_exp(-fabs_(u));
    const double e_double = scaled_to_double(e);
    if (u < -40) /* e^2 is lost beside e */
        return (scaled_parameter){u, e, scaled_of(1), u, -0.5 * e_double, 1};
    if (u > 40)
        return (scaled_parameter){u, scaled_of(u), scaled_div(scaled_of(1), scaled_of(u)), log_(u), e_double * u, 0};
    const log1p_parts l = log1p_parts_(e_double);
    if (u < 0) {
        const double log = log_normal_(mul_add(e_double, l.q, 1.0));
        const scaled theta = scaled_times(e, mul_add(e_double, l.q, 1.0));
        return (scaled_parameter){u, theta, scaled_div(scaled_times(e, l.inverse), theta), u + log, e_double * l.q, 1};
    }
    const scaled theta = scaled_of(u + l.log1p);
    return (scaled_parameter){
        u, theta, scaled_div(scaled_of(l.inverse), theta), scaled_log(theta), e_double * (u + l.log1p), 0};
}
#endif
