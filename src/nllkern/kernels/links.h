/* Links: from the raw number u that a network hands over to a positive parameter theta.
 *
 *   link           theta         d theta/du / theta   d2 theta/du2 / theta
 *   identity       u             1 / u                0
 *   softplus       log(1 + e^u)  sigmoid(u) / theta   sigmoid(u) sigmoid(-u) / theta
 *   log            e^u           1                    1
 *   variance       sqrt(u)       1 / (2 u)            -1 / (4 u^2)
 *   log_variance   e^(u/2)       1/2                  1/4
 *
 * theta may lie far outside the range of REAL while the likelihood does not (sigma = e^-200 with a residual of 0), so it
 * is kept as theta = value * down^2 = value / up^2, `up` and `down` being powers of two, 1 unless theta is extreme.
 * Quotients by theta are written x / value * up * up. */
#ifndef NLLK_LINKS_H
#define NLLK_LINKS_H

#include "vecmath.h"

enum { LINK_IDENTITY, LINK_SOFTPLUS, LINK_LOG, LINK_VARIANCE, LINK_LOG_VARIANCE, LINK_COUNT };

typedef struct {
    REAL raw;
    REAL value, up, down;
    REAL log;   /* log(theta), never infinite for a finite raw number */
    REAL rate;  /* theta' / theta */
    REAL curve; /* theta'' / theta */
} parameter;

/* |log(theta)| from which on theta is scaled by 2^-+LINK_SHIFT, and |log(theta)| beyond which every finite product
 * with a REAL has under- or overflowed. */
#define LINK_EXTREME C(60.0, 500.0)
#define LINK_SHIFT C(192.0, 1536.0)
#define LINK_UP C(0x1p96, 0x1p768)
#define LINK_DOWN C(0x1p-96, 0x1p-768)

/* theta = e^u as value, up, down. */
NLLK_INLINE void exp_parameter(parameter *p, REAL u)
{
    int tiny = u < -LINK_EXTREME, huge = u > LINK_EXTREME;
    p->up = tiny ? LINK_UP : huge ? LINK_DOWN : R(1.0);
    p->down = tiny ? LINK_DOWN : huge ? LINK_UP : R(1.0);
    p->value = exp_scaled_(u, tiny ? LINK_SHIFT : huge ? -LINK_SHIFT : R(0.0));
}

NLLK_INLINE parameter apply_link(int link, REAL u)
{
    parameter p = {.raw = u, .up = 1, .down = 1};
    if (link == LINK_SOFTPLUS) {
        /* With e = e^-|u|:  log1p(e) = e (1 + e q).  For u < 0 both theta and theta' hold a factor e, which their
         * quotient and log(theta) - u do without: they keep their digits where e^u underflows. */
        int tiny = u < -LINK_EXTREME;
        REAL lifted = exp_scaled_(-fabs_(u), tiny ? LINK_SHIFT : R(0.0));
        REAL e = tiny ? R(0.0) : lifted;
        REAL q = log1p_unit_poly(e);
        REAL soft = max_(u, R(0.0)) + mul_add(e * e, q, e);
        REAL less_e = u < R(0.0) ? mul_add(e, q, R(1.0)) : soft; /* theta without the factor e */
        p.up = tiny ? LINK_UP : R(1.0);
        p.down = tiny ? LINK_DOWN : R(1.0);
        p.value = tiny ? lifted : soft;
        p.log = log_normal_(less_e) + min_(u, R(0.0));
        p.rate = R(1.0) / ((R(1.0) + e) * less_e);
        p.curve = p.rate * ((u < R(0.0) ? R(1.0) : e) / (R(1.0) + e));
    } else if (link == LINK_LOG) {
        exp_parameter(&p, u);
        p.log = u;
        p.rate = p.curve = 1;
    } else if (link == LINK_LOG_VARIANCE) {
        exp_parameter(&p, R(0.5) * u);
        p.log = R(0.5) * u;
        p.rate = R(0.5);
        p.curve = R(0.25);
    } else {
        REAL valid = u > R(0.0) ? u : REAL_NAN; /* outside the domain everything is NaN */
        p.value = link == LINK_VARIANCE ? SQRT(valid) : valid;
        p.log = link == LINK_VARIANCE ? R(0.5) * log_(valid) : log_(valid);
    }
    return p;
}

/* dL/du from slope = theta dL/dtheta.  The identity divides, since 1/u may overflow where the quotient does not. */
NLLK_INLINE REAL chain_first(int link, const parameter *p, REAL slope)
{
    switch (link) {
    case LINK_IDENTITY: return slope / p->raw;
    case LINK_VARIANCE: return R(0.5) * slope / p->raw;
    default: return slope * p->rate;
    }
}

/* d2L/du2 from slope, bend = theta^2 d2L/dtheta2 and log_bend = d2L/d(log theta)2 = bend + slope, whichever of the
 * last two leaves nothing to cancel. */
NLLK_INLINE REAL chain_second(int link, const parameter *p, REAL slope, REAL bend, REAL log_bend)
{
    switch (link) {
    case LINK_IDENTITY: return bend / p->raw / p->raw;
    case LINK_VARIANCE: return R(0.25) * (bend - slope) / p->raw / p->raw;
    case LINK_SOFTPLUS: return mul_add(bend, p->rate * p->rate, slope * p->curve);
    default: return log_bend * (p->rate * p->rate);
    }
}

#endif
