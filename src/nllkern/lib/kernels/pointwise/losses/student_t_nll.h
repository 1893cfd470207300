/* Student's t negative log-likelihood of y, location mu, scale sigma, nu degrees of freedom; z = (y - mu) / sigma,
 * q = z^2 / nu, r = 1 / (1 + q), s = q r, a = nu s = z^2 r, h = log(1 + q) - s:
 *
 *   L               = log(sigma) + (nu + 1)/2 log(1 + q) + c(nu) + log(2 pi)/2
 *   dL/dmu          = -(1 + 1/nu) r z / sigma        d2L/dmu2 = (1 + 1/nu) (r - s) r / sigma^2
 *   sigma dL/dsigma = r - a = (1 - z^2) r            sigma^2 d2L/dsigma2 = a + (2 (a + s) - 1) r
 *                                                    d2L/d(log sigma)2 = 2 (a + s) r
 *   nu dL/dnu       = (nu h - s)/2 + nu c'(nu)       nu^2 d2L/dnu2 = s (1 + r - a)/2 + nu^2 c''(nu)
 *
 * with c of functions/student.h.  -s = r - 1 takes the place of q in the logarithm, so that h comes without
 * cancellation. */
#include "pointwise/formula.h"
#include "functions/student.h"

/* z^2 / nu must not overflow. */
#define THETA_BITS PICK(20, 200)
#define REAL_BITS PICK(29, 190)
#define LOGS 0
#define ALONE 2

/* Without log(nu), which would cancel. */
NLLK_INLINE alone_terms student_t_nll_alone(REAL nu)
{
    const REAL d1 = student_d1_(nu), d2_log = student_d2_log_(nu);
    return (alone_terms){student_smooth_(nu), d1, d2_log - d1, d2_log};
}

NLLK_INLINE void student_t_nll(const sample *x, result *to)
{
    const parameter *sigma = &x->p[1], *nu = &x->p[2];
    const REAL difference = x->target - x->p[0].raw, inverse2 = sigma->inverse * sigma->inverse;
    const REAL z = difference * sigma->inverse, z2 = z * z, q = z * (z * nu->inverse);
    const REAL r = R(1.0) / (R(1.0) + q), s = q * r, a = z2 * r;
    const log_ratio ratio = log_ratio_(r, -s);
    const REAL log1p_q = -ratio.log, h = -s < LOG_RATIO_SMALL ? log1p_q - s : -ratio.remainder;
    const REAL nu_h = nu->value * h, pull = inverse2 + inverse2 * nu->inverse;
    /* sigma^2 (1 + q), and what student_smooth_ leaves out */
    const REAL spread = mul_add(difference * difference, nu->inverse, sigma->value * sigma->value);
    const REAL log_spread = log_ordinary_(nu->value < STUDENT_SPLIT ? spread * nu->inverse : spread);
    const REAL rest = x->alone.value + (x->full ? HALF_LOG_2PI : R(0.0));
    to->value = mul_add(R(0.5), mul_add(nu->value, log1p_q, log_spread), rest);
    to->d1[0] = -(difference * pull) * r; /* where z is subnormal, z / sigma has lost digits */
    to->d2[0] = pull * ((r - s) * r);
    to->d1[1] = mul_add(-z, z, R(1.0)) * r;
    to->d2[1] = mul_add(r, mul_add(R(2.0), a + s, R(-1.0)), a);
    to->d2_log[1] = R(2.0) * (a + s) * r;
    to->d1[2] = mul_add(R(0.5), nu_h - s, x->alone.d1);
    to->d2[2] = mul_add(R(0.5), mul_add(s, r, s - a * s), x->alone.d2);
    to->d2_log[2] = mul_add(R(0.5), mul_add(s, r, nu_h - a * s), x->alone.d2_log);
}

#define HAS_SCALED
#if NLLK_BITS == 64
/* nu c'(nu), nu^2 c''(nu) and their sum. */
typedef struct {
    scaled d1, d2, sum;
} student_terms;

NLLK_INLINE student_terms student_alone_scaled(const scaled_parameter *nu)
{
    const double value = scaled_to_double(nu->value), d1 = student_d1_(value), d2_log = student_d2_log_(value);
    const int is_large = value > 0x1p60, is_small = value < 0x1p-60;
    const scaled quarter = scaled_div(scaled_of(0.25), nu->value); /* c ~ 1 / (4 nu) */
    const scaled sum = scaled_select(is_small, scaled_times(nu->value, LN2), scaled_of(d2_log));
    return (student_terms){scaled_select(is_large, scaled_negative(quarter), scaled_of(d1)),
                           scaled_select(is_large, scaled_times(quarter, 2), scaled_of(d2_log - d1)),
                           scaled_select(is_large, quarter, sum)};
}

/* log(1 + q) and h. */
typedef struct {
    scaled log1p_q, h;
} student_logs;

NLLK_INLINE student_logs student_logs_scaled(scaled q, double log_q, scaled r, scaled s)
{
    const double size = scaled_to_double(q), s_double = scaled_to_double(s);
    const int is_near = size < 0x1p-60, is_far = size > 0x1p60;
    const log_ratio ratio = log_ratio_(scaled_to_double(r), -s_double);
    const double log1p_q = is_far ? log_q : -ratio.log;
    const double h = (is_far ? log_q : -ratio.log) - (is_far ? 1.0 : s_double);
    return (student_logs){scaled_select(is_near, q, scaled_of(log1p_q)),
                          scaled_select(is_near, scaled_times(scaled_mul(q, q), 0.5),
                                        scaled_of((is_far | (-s_double < LOG_RATIO_SMALL)) ? h : -ratio.remainder))};
}

NLLK_INLINE void student_t_nll_scaled(const scaled_sample *x, int want, scaled_result *to)
{
    const scaled_parameter *sigma = &x->p[1], *nu = &x->p[2];
    const scaled one = scaled_of(1), difference = scaled_difference(x->target, x->p[0].raw);
    const scaled z = scaled_div(difference, sigma->value), z2 = scaled_mul(z, z), q = scaled_div(z2, nu->value);
    const scaled r = scaled_div(one, scaled_add(one, q)), s = scaled_mul(q, r);
    const int is_near = scaled_to_double(q) < 0x1p-60, is_far = scaled_to_double(q) > 0x1p60;
    const scaled a = scaled_select(is_far, nu->value, scaled_mul(z2, r)), both = scaled_add(a, s);
    const double log_size = scaled_log(scaled_size(difference)), log_q = 2 * (log_size - sigma->log) - nu->log;
    const student_logs l = student_logs_scaled(q, log_q, r, s);
    const student_terms c = student_alone_scaled(nu);
    const scaled nu_h = scaled_mul(nu->value, l.h), a_s = scaled_mul(a, s);

    /* log(sigma^2 (1 + q)), and what student_smooth_ leaves out */
    const double size = scaled_to_double(nu->value);
    const int is_below = size < STUDENT_SPLIT;
    const scaled spread =
        scaled_add(scaled_mul(sigma->value, sigma->value), scaled_div(scaled_mul(difference, difference), nu->value));
    double log_spread = scaled_log(scaled_select(is_below, scaled_div(spread, nu->value), spread));
    const double largest = max_(2 * sigma->log, 2 * log_size - nu->log);
    log_spread = fabs_(log_spread) == REAL_INF ? largest - (is_below ? nu->log : 0) : log_spread;
    to->value = scaled_to_double(scaled_times(scaled_mul(nu->value, l.log1p_q), 0.5)) + 0.5 * log_spread +
                student_smooth_(size) + (x->full ? HALF_LOG_2PI : 0);
    const scaled pull = scaled_div(scaled_add(one, scaled_div(one, nu->value)), sigma->value);
    if (want < WANT_GRAD)
        return;
    to->d1[0] = scaled_negative(scaled_mul(pull, scaled_mul(z, r)));
    to->d1[1] = scaled_select(is_far, scaled_sub(r, a), scaled_mul(scaled_sub(one, z2), r));
    to->d1[2] = scaled_add(scaled_times(scaled_sub(nu_h, s), 0.5), c.d1);
    if (want < WANT_HESS)
        return;
    to->d2[0] = scaled_mul(scaled_div(pull, sigma->value), scaled_mul(scaled_sub(r, s), r));
    to->d2[1] = scaled_add(a, scaled_mul(scaled_sub(scaled_times(both, 2), one), r));
    to->d2_log[1] = scaled_times(scaled_mul(both, r), 2);
    to->d2[2] = scaled_add(scaled_times(scaled_mul(s, scaled_sub(scaled_add(one, r), a)), 0.5), c.d2);
    /* nu h - a s = -nu q^2 / 2 next to q = 0 */
    const scaled rest = scaled_select(is_near, scaled_negative(nu_h), scaled_sub(nu_h, a_s));
    to->d2_log[2] = scaled_add(scaled_times(scaled_add(scaled_mul(s, r), rest), 0.5), c.sum);
}
#endif
