/* Student's t negative log-likelihood of y, location mu, scale sigma, nu degrees of freedom; z = (y - mu) / sigma,
 * q = z^2 / nu, r = 1 / (1 + q), s = q r, a = nu s = z^2 r, h = log(1 + q) - s:
 *
 *   L               = log(sigma) + (nu + 1)/2 log(1 + q) + c(nu) + log(2 pi)/2
 *   dL/dmu          = -(1 + 1/nu) r z / sigma        d2L/dmu2 = (1 + 1/nu) (r - s) r / sigma^2
 *                   = -(a + s) / (y - mu)                     = (a + s) (r - s) / (y - mu)^2
 *   sigma dL/dsigma = (1 - z^2) r = r - a            sigma^2 d2L/dsigma2 = a + (2 (a + s) - 1) r
 *                                                    d2L/d(log sigma)2 = 2 (a + s) r
 *   nu dL/dnu       = (nu h - s)/2 + nu c'(nu)       nu^2 d2L/dnu2 = s (1 + r - a)/2 + nu^2 c''(nu)
 *                                                    d2L/d(log nu)2 = (s r + nu h - a s)/2 + nu c'(nu) + nu^2 c''(nu)
 *
 * with c of functions/student.h.  The first forms serve q < 1, where nu may be infinite (the Gaussian), the second the rest, where
 * z^2 may overflow.  -s = r - 1 takes the place of q in the logarithm, so that h comes without cancellation. */
#include "links.h"
#include "functions/student.h"

#define STUDENT_USUAL C(19.5, 194.5) /* |log(theta)|: a little more than what links.h calls ordinary */

typedef struct {
    REAL extent; /* the larger |log(theta)|: up to STUDENT_USUAL the same formulas in every tile, for the same bits */
    REAL q, r;
    REAL pull, weight;   /* (1 + 1/nu) z / sigma, (1 + 1/nu) / sigma^2 */
    REAL reach;          /* nu / z: its square is a r where r underflows */
    REAL log_q, log_far; /* used where q is out of range: log(q), log(sigma) + log(q)/2 */
    REAL half_z2_q;      /* used where q underflows: z^2 q / 2 */
} student_quotients;

NLLK_INLINE student_quotients student_ordinary(REAL difference, const parameter *sigma, const parameter *nu)
{
    REAL z = over_value(difference, sigma), q = z * over_value(z, nu);
    REAL inverse = over_value(R(1.0), sigma), inverse2 = inverse * inverse;
    REAL weight = inverse2 + over_value(inverse2, nu);
    return (student_quotients){
        .q = q, .r = R(1.0) / (R(1.0) + q), .pull = difference * weight, .weight = weight, .reach = nu->value / z};
}

/* x, or `other` where x is not a number from `least` on: nested selects vectorise, && does not. */
NLLK_INLINE REAL finite_from(REAL least, REAL x, REAL other)
{
    REAL low = x <= REAL_MAX ? x : other;
    return x >= least ? low : other;
}

/* Where sigma or nu may be at the ends of the range, each in its own scale; what has left the range on the way, and what
 * LINK_LIMIT has changed, from the logarithms. */
NLLK_INLINE student_quotients student_extreme(REAL difference, const parameter *sigma, const parameter *nu)
{
    const REAL one = R(1.0);
    REAL log_sigma = log_theta(sigma), log_nu = log_theta(nu);
    REAL size = fabs_(difference), log_size = log_(size), log_q = R(2.0) * (log_size - log_sigma) - log_nu;
    REAL extent = max_(fabs_(log_sigma), fabs_(log_nu)), divisors = max_(fabs_(log_sigma), -log_nu);

    REAL z = over_theta(size, sigma), t_late = over_theta(size * nu->up, sigma);
    REAL t = finite_from(REAL_MIN, z * nu->up, t_late); /* z in the scale of nu */
    t = z >= REAL_MIN ? t : t_late;
    REAL q = t * over_value(t, nu), e = exp_(-fabs_(log_q)), q_of_logs = log_q > R(0.0) ? one / e : e;
    q = q > REAL_MAX ? q_of_logs : q;
    q = extent > LINK_LIMIT ? q_of_logs : q;
    REAL huge = extent > LINK_LIMIT ? e : nu->value / t / t; /* r where 1 + q is q */
    REAL r = q > C(0x1p100, 0x1p1000) ? huge : one / (one + q);

    /* A subnormal z has lost digits that the quotient shows. */
    REAL in_order = over_theta(z + over_theta(z, nu), sigma), pull = in_order;
    pull = z < REAL_MIN ? over_theta(over_theta(size + over_theta(size, nu), sigma), sigma) : pull;
    REAL inverse = over_theta(one, sigma), weight = over_theta(inverse + over_theta(inverse, nu), sigma);
    REAL precision = over_theta(inverse, sigma), wide = precision + over_theta(precision, nu);
    wide = precision >= REAL_MIN ? wide : REAL_INF;
    weight = weight <= REAL_MAX ? weight : wide;
    REAL rest = nu->down * sigma->down; /* 1 also where the two scales cancel */
    REAL a = nu->value * (rest == one ? rest : nu->down), b = sigma->value * (rest == one ? rest : sigma->down);
    REAL reach = (size > one ? a / size * b : a * b / size) * rest;

    REAL log_weight = R(-2.0) * log_sigma, log_pull = log_size + log_weight;
    REAL weight_of_logs = exp_(log_weight) + exp_(log_weight - log_nu);
    REAL pull_of_logs = exp_(log_pull) + exp_(log_pull - log_nu), reach_of_logs = exp_(log_sigma + log_nu - log_size);
    pull = finite_from(REAL_TINY, pull, pull_of_logs);
    pull = divisors > LINK_LIMIT ? pull_of_logs : pull;
    weight = finite_from(REAL_TINY, weight, weight_of_logs);
    weight = inverse < REAL_MIN ? weight_of_logs : weight;
    weight = divisors > LINK_LIMIT ? weight_of_logs : weight;
    reach = finite_from(REAL_TINY, reach, reach_of_logs);
    reach = extent > LINK_LIMIT ? reach_of_logs : reach;
    pull = difference < R(0.0) ? -pull : pull;

    const student_quotients o = student_ordinary(difference, sigma, nu);
    return (student_quotients){.extent = extent,
                               .q = extent <= STUDENT_USUAL ? o.q : q,
                               .r = extent <= STUDENT_USUAL ? o.r : r,
                               .pull = extent <= STUDENT_USUAL ? o.pull : pull,
                               .weight = extent <= STUDENT_USUAL ? o.weight : weight,
                               .reach = extent <= STUDENT_USUAL ? o.reach : reach,
                               .log_q = log_q,
                               .log_far = mul_add(R(-0.5), log_nu, log_size),
                               .half_z2_q = R(0.5) * exp_(mul_add(R(2.0), log_size - log_sigma, log_q))};
}

NLLK_INLINE REAL times_nu(REAL x, const parameter *nu)
{
    const factors both = times_theta(nu, x);
    return both.theta * both.x;
}

NLLK_INLINE functions student_t_nll_of_own(const parameter *nu)
{
    const REAL freedom = nu->value * nu->down * nu->down;
    return (functions){student_normalizer_of(freedom, log_theta(nu)), student_d1_(freedom), student_d2_log_(freedom)};
}

NLLK_INLINE void student_t_nll(const parameter *p, const target *t, REAL extra, int full, point *out)
{
    (void)extra;
    const parameter *sigma = &p[1], *nu = &p[2];
    const int ordinary = sigma->ordinary;
    const functions c = ordinary ? nu->of : student_t_nll_of_own(nu);
    REAL difference = t->value - p[0].raw, size = fabs_(difference), freedom = nu->value * nu->down * nu->down;
    REAL z = over_theta(difference, sigma), z2 = z * z;
    student_quotients of = ordinary ? student_ordinary(difference, sigma, nu) : student_extreme(difference, sigma, nu);
    const int usual = of.extent <= STUDENT_USUAL;
    REAL q = of.q, r = of.r;
    /* log(1 + q) is log(q) where q is out of range, and |y - mu| takes the place of r. */
    int out_of_range = q >= C(0x1p100, 0x1p1000), far = q >= R(1.0), small = q < REAL_EPS;
    REAL s = out_of_range ? R(1.0) : q * r, other = usual ? size : R(1.0);
    log_ratio ratio = log_ratio_(out_of_range ? other : r, out_of_range ? other - R(1.0) : -s);
    REAL log_q = usual ? R(2.0) * (ratio.log - log_theta(sigma)) - log_theta(nu) : of.log_q;
    REAL log1p_q = out_of_range ? log_q : -ratio.log;
    log1p_q = size == REAL_INF ? size : log1p_q;
    REAL h = -s < LOG_RATIO_SMALL ? log1p_q - s : -ratio.remainder;
    REAL a = far ? freedom * s : z2 * r, both = a + s;
    /* (nu + 1) log(1 + q) ~ z^2 + q and nu h ~ z^2 q / 2 near q = 0, also for an infinite nu. */
    REAL half_z = R(0.5) * z, half_log = R(0.5) * log1p_q, nu_h = times_nu(h, nu);
    REAL in_sum = half_log + log_theta(sigma), far_own = usual ? in_sum : of.log_far;
    REAL own = out_of_range ? far_own : in_sum;
    REAL near = mul_add(half_z, z, R(0.5) * q) + log_theta(sigma), core = small ? near : times_nu(half_log, nu) + own;
    REAL half_z2_q = half_z * (z * q);
    REAL z4 = q < REAL_MIN ? of.half_z2_q : half_z2_q;
    z4 = z2 < C(0x1p60, 0x1p500) ? over_theta(half_z * (z * z2), nu) : z4;
    half_z2_q = usual ? half_z2_q : z4;
    nu_h = small ? half_z2_q : nu_h;
    out->value = (core + c.normalizer) + (full ? HALF_LOG_2PI : R(0.0));

    REAL each = s / difference, each2 = each / difference, nu_each = times_nu(fabs_(each), nu);
    nu_each = difference < R(0.0) ? -nu_each : nu_each;
    REAL far_mean = usual ? both / difference : nu_each + each;
    REAL far_bend = far_mean * ((r - s) / difference), one_by_one = (times_nu(each2, nu) + each2) * (r - s);
    one_by_one = usual ? far_bend : one_by_one;
    far_bend = fabs_(far_mean) <= REAL_MAX ? far_bend : one_by_one;
    out->slope[0] = -(far ? far_mean : of.pull * r);
    out->bend[0] = far ? far_bend : of.weight * ((r - s) * r);

    REAL slope = z2 < R(2.0) ? (R(1.0) - z2) * r : r - a, tripled = mul_add(R(2.0), r, R(1.0));
    REAL bend = mul_add(r, mul_add(R(2.0), both, R(-1.0)), a); /* s - 1 = -r */
    /* z^2 of a nearly Gaussian sample may overflow alone. */
    REAL slope_over = slope / sigma->value, bend_over = bend / sigma->value / sigma->value, root = z / sigma->value;
    REAL slope_wide = far ? slope_over : -z * root * r, bend_wide = far ? bend_over : root * root * r * tripled;
    slope_over = ordinary || z2 <= REAL_MAX ? slope_over : slope_wide;
    REAL slope_far = usual ? slope_over : r / sigma->value - times_nu(s / sigma->value, nu);
    slope_over = far ? slope_far : slope_over;
    bend_over = ordinary || z2 <= REAL_MAX ? bend_over : bend_wide;
    REAL a_r = out_of_range ? of.reach * of.reach : far ? times_nu(s * r, nu) : a * r;
    REAL far_s_r = usual ? of.reach / z : r, s_r = out_of_range ? far_s_r : s * r;
    out->slope[1] = sigma->divides ? slope_over : slope;
    out->bend[1] = sigma->divides ? bend_over : bend;
    out->log_bend[1] = R(2.0) * (a_r + s_r);

    REAL a_s = far ? times_nu(s * s, nu) : small ? R(2.0) * half_z2_q : z * (z * s) * r;
    /* nu may be finite where `freedom` is not. */
    int beyond = ordinary ? 0 : freedom > REAL_MAX;
    REAL c_slope = beyond ? over_theta(R(-0.25), nu) : c.slope;
    REAL c_curve = beyond ? over_theta(R(0.25), nu) : c.curve;
    REAL nu_slope = mul_add(R(0.5), nu_h - s, c_slope);
    REAL nu_bend = mul_add(R(0.5), mul_add(s, r, s - a_s), c_curve - c_slope);
    out->slope[2] = nu->divides ? nu_slope / nu->value : nu_slope;
    out->bend[2] = nu->divides ? nu_bend / nu->value / nu->value : nu_bend;
    REAL rest = small ? -half_z2_q : nu_h - a_s; /* of nu_slope + nu_bend */
    out->log_bend[2] = mul_add(R(0.5), mul_add(s, r, rest), c_curve);
}
