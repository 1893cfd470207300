/* Gamma negative log-likelihood of y > 0, shape a, rate b, in the form that survives large shapes:
 *
 *   L       = lgamma(a) - a log(b) - (a - 1) log(y) + b y
 *           = log(y) + log(2 pi)/2 - log(a)/2 + delta(a) + a (r - 1 - log r),     r = b y / a
 *   a dL/da = a (digamma(a) - log(a)) - a log r       a^2 d2L/da2 = a^2 trigamma(a)
 *   b dL/db = b y - a                                 b^2 d2L/db2 = a,    d2L/d(log b)2 = b y
 *   d2L/d(log a)2 = a (digamma(a) - log(a)) + a^2 trigamma(a) - a log r
 *
 * with delta the Stirling remainder of lgamma.  b y - a is rounded once, and log r comes from x = (b y - a) / a where
 * r is near 1.  Loader (2000) has the form for the Poisson and binomial cases. */
#include "links.h"
#include "functions/gamma.h"

NLLK_INLINE void gamma_nll(const parameter *p, const target *t, REAL extra, int full, point *out)
{
    (void)extra;
    const parameter *shape = &p[0], *rate = &p[1];
    const int ordinary = shape->ordinary;
    REAL y = t->value, log_y = log_target(t), log_a = log_theta(shape);
    REAL up = shape->up, down = shape->down, a = shape->value * down * down;
    const factors by = times_theta(rate, y);
    /* r and x = r - 1 in the shape's own scale, which is finite where a is not. */
    REAL shift = rate->down * up, b2 = rate->value * shift, y2 = y * shift;
    REAL x = over_value(mul_add_exact(b2, y2, -shape->value), shape), r = over_value(b2 * y2, shape);
    /* Where r leaves the range of REAL its logarithm is summed from those of b, y and a; the one of b takes r's place. */
    int in_range =
        ordinary || ((r > C(0x1p-100, 0x1p-1000)) & (r < C(0x1p100, 0x1p1000)) & !(shape->limited | rate->limited));
    log_ratio ratio = log_ratio_(in_range ? r : rate->log_of, in_range ? x : rate->log_of - R(1.0));
    REAL log_r = in_range ? ratio.log : ((ratio.log + rate->log_plus) + log_y) - log_a;
    REAL a_log_r = shape->value * log_r * down * down;
    /* Both limited: a is infinite, and so is all that log r = 0 does not make 0. */
    int both = ordinary ? 0 : shape->limited & rate->limited;
    REAL excess = ordinary || a < REAL_INF ? mul_add_exact(by.theta, by.x, -a)
                  : both                   ? a_log_r
                                           : shape->value * x * down * down;             /* b y - a */
    REAL gap = both ? fabs_(log_r) : x < LOG_RATIO_SMALL ? x - log_r : -ratio.remainder; /* r - 1 - log r */
    REAL outside = excess < REAL_INF ? excess - a_log_r : REAL_INF;
    REAL deviance = in_range | both | (x < LOG_RATIO_SMALL) ? shape->value * gap * down * down : outside;
    gamma_parts g = gamma_parts_(a, log_a);
    REAL value = (g.lgamma_part + HALF_LOG_2PI) + deviance + (full ? log_y : R(0.0));
    /* NaN for what is no number, +inf for an impossible target: 0 < y < inf is where log(y) is finite. */
    REAL known = shape->value + rate->value + y;
    int meaningful = ordinary || known == known, possible = ordinary || log_y - log_y == R(0.0);
    REAL defined = possible ? R(0.0) : REAL_NAN;
    defined = meaningful ? defined : REAL_NAN;
    out->value = !meaningful ? REAL_NAN : possible ? value : REAL_INF;
    out->slope[0] = (g.d - a_log_r) + defined;
    out->bend[0] = trigamma_scaled_(a) + defined;
    /* For a small shape a log(a) goes out of the sum, and what remains is small. */
    REAL small_bend = gamma_terms_(a).d2_log - (a_log_r + a * log_a);
    out->log_bend[0] = a < GAMMA_SPLIT ? small_bend + defined : out->slope[0] + out->bend[0];
    out->slope[1] = excess + defined;
    out->bend[1] = a + defined;
    out->log_bend[1] = by.theta * by.x + defined;
    if (shape->divides) {
        out->slope[0] = (g.d / a - log_r) + defined;
        out->bend[0] = trigamma_scaled_(a) / a / a + defined; /* unit = 1: gamma has no variance link */
        /* b y - a has lost digits where a is next to the subnormal numbers. */
        REAL apart = y - a / rate->value, whole = ordinary || excess < REAL_INF ? excess / rate->value : y;
        out->slope[1] = (!ordinary & (a < REAL_MIN / REAL_EPS) ? apart : whole) + defined;
        out->bend[1] = a / rate->value / rate->value + defined;
    }
}
