/* Gamma negative log-likelihood of y > 0, shape a, rate b, in the form that survives large shapes:
 *
 *   L       = lgamma(a) - a log(b) - (a - 1) log(y) + b y
 *           = log(y) + log(2 pi)/2 - log(a)/2 + delta(a) + a (r - 1 - log r),     r = b y / a
 *   a dL/da = a (digamma(a) - log(a)) - a log r       a^2 d2L/da2 = a^2 trigamma(a)
 *   b dL/db = b y - a                                 b^2 d2L/db2 = a,    d2L/d(log b)2 = b y
 *
 * with delta the Stirling remainder of lgamma.  b y - a is rounded once, and log r comes from x = (b y - a) / a where
 * r is near 1.  Loader (2000) has the form for the Poisson and binomial cases. */
#include "links.h"
#include "vecspecial.h"

NLLK_INLINE void gamma_nll(const parameter *p, REAL y, REAL extra, int full, point *out)
{
    (void)extra;
    const REAL half_log_2pi = C(0x1.d67f1cp-1, 0x1.d67f1c864beb5p-1);
    const parameter *shape = &p[0], *rate = &p[1];
    REAL up = shape->up, down = shape->down, a = shape->value * down * down;
    REAL b1 = rate->value * rate->down, y1 = y * rate->down;
    REAL by = b1 * y1;
    /* x = r - 1 in the shape's own scale, which is finite where a is not. */
    REAL x = mul_add_exact(b1 * up, y1 * up, -shape->value) / shape->value;
    REAL r = (b1 * up) * (y1 * up) / shape->value;
    REAL excess = a < REAL_INF ? mul_add_exact(b1, y1, -a) : shape->value * x * down * down; /* b y - a */
    int in_range = r > C(0x1p-100, 0x1p-1000) && r < C(0x1p100, 0x1p1000);
    REAL log_y = log_(y);
    REAL remainder = log1pmx_(x); /* log r - (r - 1) */
    REAL log_r = in_range ? log_(r) : (rate->log + log_y) - shape->log;
    log_r = fabs_(x) < R(0.5) ? x + remainder : log_r;
    REAL a_log_r = shape->value * log_r * down * down;
    /* a (r - 1 - log r), by `remainder` unless 1 + x has lost digits or r is out of range */
    REAL outside = excess < REAL_INF ? excess - a_log_r : REAL_INF;
    REAL gap = x > R(-0.7) ? -remainder : x - log_r;
    REAL deviance = in_range ? shape->value * gap * down * down : outside;
    gamma_parts g = gamma_parts_(a, shape->log);
    REAL value = g.lgamma_part + half_log_2pi + deviance + (full ? log_y : R(0.0));
    int meaningful = shape->value == shape->value && rate->value == rate->value && y == y;
    int possible = y > R(0.0) && y < REAL_INF;
    REAL defined = possible ? R(0.0) : REAL_NAN;
    out->value = !meaningful ? REAL_NAN : possible ? value : REAL_INF;
    out->slope[0] = (g.d - a_log_r) + defined;
    out->bend[0] = trigamma_scaled_(a) + defined;
    out->log_bend[0] = out->slope[0] + out->bend[0];
    out->slope[1] = excess + defined;
    out->bend[1] = a + defined;
    out->log_bend[1] = by + defined;
}
