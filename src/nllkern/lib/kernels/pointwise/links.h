/* Links: from the raw number u that a network hands over to a positive parameter theta.
 *
 *   link           theta         rate = d log(theta)/du
 *   identity       u             1 / u
 *   softplus       log(1 + e^u)  sigmoid(u) / theta
 *   log            e^u           1
 *   variance       sqrt(u)       1 / (2 u)
 *   log_variance   e^(u/2)       1/2
 *
 * and the logit of a probability, which is not positive and whose loss works with z itself.
 *
 * A link is applied in two steps, `link_exponential` and `apply_link`, in loops of their own (pointwise.h says why).
 *
 * theta may lie far outside the range of REAL while the likelihood does not (sigma = e^-200 with a residual of 0), so it
 * is kept as theta = value * down^2 = value / up^2, `up` and `down` being powers of two, 1 unless theta is extreme. */
#ifndef NLLK_LINKS_H
#define NLLK_LINKS_H

#include "functions/logarithm.h"

enum { LINK_IDENTITY, LINK_SOFTPLUS, LINK_LOG, LINK_VARIANCE, LINK_LOG_VARIANCE, LINK_COUNT, LINK_LOGIT = LINK_COUNT };
#define OWN_LINK_COUNT 3 /* the links that a third parameter may have for itself are the first of the list */

/* What a likelihood's normalizer may need of a parameter alone, beside its logarithm. */
typedef struct {
    REAL normalizer, slope, curve; /* the derivatives by log(theta) */
} functions;

typedef struct {
    REAL raw;
    REAL e;       /* what link_exponential made of it */
    int ordinary; /* constant where it is 1: all is far from the ends of the range of REAL, and nothing below is needed */
    REAL value, up, down;
    REAL inverse; /* 1 / value, unless `divides` */
    int divides;  /* identity, variance: quotients by theta are divided out, since 1 / theta might overflow alone */
    REAL unit;    /* variance: theta; else 1 */
    REAL share;   /* log_variance: 1/2, which `rate` leaves out; else 1 */
    int limited;  /* log: theta is so large that it stands here as e^LINK_LIMIT */
    REAL log_of, log_plus; /* log(theta) = log(log_of) + log_plus, log_of normal; finite for a finite raw number */
    REAL log;              /* log(theta) if `ordinary` */
    functions of;          /* of theta, likewise, if it has a link of its own */
    REAL rate;             /* d log(theta)/du */
    REAL curve;            /* (d rate/du) / rate^2 if `in_log`, else that + 1 = theta theta'' / theta'^2 */
    int in_log;
} parameter;

typedef struct {
    REAL value;
    int ordinary; /* as of a parameter */
    REAL log;     /* log(value) if `ordinary` and the loss has positive targets only */
} target;

NLLK_INLINE REAL log_theta(const parameter *p) { return p->ordinary ? p->log : log_normal_(p->log_of) + p->log_plus; }
NLLK_INLINE REAL log_target(const target *t) { return t->ordinary ? t->log : log_(t->value); }

/* x / value, which is x / theta in theta's own scale; and x / theta. */
NLLK_INLINE REAL over_value(REAL x, const parameter *p) { return p->divides ? x / p->value : x * p->inverse; }
NLLK_INLINE REAL over_theta(REAL x, const parameter *p) { return over_value(x * p->up, p) * p->up; }

/* |log(theta)| from which on theta is scaled by 2^-+LINK_SHIFT, and |log(theta)| beyond which every finite product
 * with a REAL has under- or overflowed. */
#define LINK_LIMIT C(193.0, 1457.0)
#define LINK_EXTREME C(60.0, 500.0)
#define LINK_SHIFT C(192.0, 1536.0)
#define LINK_UP C(0x1p96, 0x1p768)
#define LINK_DOWN C(0x1p-96, 0x1p-768)

/* Two factors whose product is theta x, x >= 0: what scales theta is shared out so that neither overflows alone. */
typedef struct {
    REAL theta, x;
} factors;

NLLK_INLINE factors times_theta(const parameter *p, REAL x)
{
    const REAL small = C(0x1p-70, 0x1p-600);
    REAL theta = p->value * p->down, other = x * p->down;
    if (p->ordinary)
        return (factors){theta, other};
    REAL whole = x > R(1.0) ? theta * p->down : x < small ? p->value : theta;
    REAL rest = x > R(1.0) ? x : x < small ? other * p->down : other;
    int huge = p->down > R(1.0);
    return (factors){huge ? whole : theta, huge ? rest : other};
}

/* An ordinary sample is one whose products and quotients of two parameters and a positive target stay within 2^-+100 (float),
 * 2^-+1000 (double): nearly all that are ever seen.  It needs no scaling; the bits of its results are the same without. */
#define ORDINARY_LOG C(19.0, 190.0)        /* |log(theta)| */
#define ORDINARY_THETA C(0x1p28, 0x1p280)  /* theta, 1 / theta */
#define ORDINARY_TARGET C(0x1p40, 0x1p400) /* y, 1 / y */

/* The sign bit tells that x is not within: an integer difference takes the place of a comparison, for an OR to collect. */
NLLK_INLINE UBITS beyond_size(REAL x, REAL most) { return (UBITS)bits_of(most) - (UBITS)bits_of(fabs_(x)); }

NLLK_INLINE UBITS beyond_range(REAL x, REAL most)
{
    return beyond_size(x, most) | ((UBITS)bits_of(x) - (UBITS)bits_of(R(1.0) / most)) | (UBITS)bits_of(x);
}

NLLK_INLINE UBITS beyond_ordinary(int link, REAL u)
{
    if (link == LINK_IDENTITY || link == LINK_VARIANCE)
        return beyond_range(u, ORDINARY_THETA);
    return beyond_size(u, ORDINARY_LOG);
}

/* The exponential that a link needs:
 *   softplus: e^-|u|, times 2^LINK_SHIFT where u < -LINK_EXTREME;  logit: e^-|z|;
 *   log, log_variance: theta in its own scale;  identity, variance: none. */
NLLK_INLINE int link_has_exponential(int link) { return link != LINK_IDENTITY && link != LINK_VARIANCE; }

NLLK_INLINE REAL link_exponential(int link, REAL u, int ordinary)
{
    REAL x = link == LINK_LOG_VARIANCE ? R(0.5) * u : link == LINK_LOG ? u : -fabs_(u);
    BITS k;
    if (ordinary) {
        REAL r = exp_reduce(x, EXPONENT_BIAS, &k);
        return exp_polynomial(r, R(1.0)) * field_to_real(k, MANTISSA_BITS);
    }
    if (link == LINK_SOFTPLUS) {
        int tiny = u < -LINK_EXTREME;
        REAL r = exp_reduce(x < -LINK_LIMIT ? -LINK_LIMIT : x, EXP_LIFT + EXPONENT_BIAS, &k);
        REAL scale = field_to_real(k + (tiny ? (BITS)(LINK_SHIFT - EXP_LIFT) : 0), MANTISSA_BITS);
        REAL e = exp_polynomial(r, R(1.0)) * scale * (tiny ? R(1.0) : EXP_UNLIFT);
        return !tiny & (x < EXP_LOW) ? R(0.0) : e;
    }
    if (link == LINK_LOGIT)
        return exp_nonpositive_(x);
    REAL limited = x < -LINK_LIMIT ? -LINK_LIMIT : x > LINK_LIMIT ? LINK_LIMIT : x;
    return exp_scaled_(limited, x < -LINK_EXTREME ? LINK_SHIFT : x > LINK_EXTREME ? -LINK_SHIFT : R(0.0));
}

/* With e = e^-|u|:  log1p(e) = e (1 + e q).  For u < 0 both theta and theta' hold a factor e, which their quotient and
 * log(theta) - u do without: they keep their digits where e^u underflows. */
NLLK_INLINE parameter softplus_parameter(REAL u, REAL lifted, int ordinary)
{
    int negative = u < R(0.0), tiny = ordinary ? 0 : u < -LINK_EXTREME;
    REAL e = tiny ? R(0.0) : lifted;
    log1p_parts l = log1p_parts_(e);
    REAL soft = negative ? l.log1p : u + l.log1p;
    parameter p = {.log_plus = negative ? u : R(0.0), .unit = 1, .share = 1};
    p.log_of = negative ? mul_add(e, l.q, R(1.0)) : soft; /* theta without the factor e */
    p.up = tiny ? LINK_UP : R(1.0);
    p.down = tiny ? LINK_DOWN : R(1.0);
    p.value = tiny ? lifted : soft;
    p.inverse = R(1.0) / p.value;
    p.rate = l.inverse * (negative ? p.inverse * lifted : p.inverse);
    /* sigmoid(-u) - rate without its cancellation, or sigmoid(-u), over rate */
    p.curve = e * (negative ? l.q : soft);
    p.in_log = negative;
    return p;
}

/* The parameter of raw number u, e = link_exponential(link, u, ordinary). */
NLLK_INLINE parameter apply_link(int link, REAL u, REAL e, int ordinary)
{
    parameter p = {.up = 1, .down = 1, .rate = 1, .in_log = 1, .unit = 1, .share = 1};
    if (link == LINK_SOFTPLUS) {
        p = softplus_parameter(u, e, ordinary);
    } else if (link == LINK_LOG || link == LINK_LOG_VARIANCE) {
        REAL x = link == LINK_LOG_VARIANCE ? R(0.5) * u : u;
        int tiny = ordinary ? 0 : x < -LINK_EXTREME;
        int huge = ordinary ? 0 : x > LINK_EXTREME;
        p.up = tiny ? LINK_UP : huge ? LINK_DOWN : R(1.0);
        p.down = tiny ? LINK_DOWN : huge ? LINK_UP : R(1.0);
        p.value = e;
        p.inverse = R(1.0) / e;
        p.log_of = 1;
        p.log_plus = x;
        p.limited = ordinary ? 0 : x > LINK_LIMIT;
        p.share = link == LINK_LOG_VARIANCE ? R(0.5) : R(1.0);
    } else if (link != LINK_LOGIT) {
        p.value = ordinary || u > R(0.0) ? u : REAL_NAN; /* outside the domain everything is NaN */
        p.value = link == LINK_VARIANCE ? SQRT(p.value) : p.value;
        int subnormal = ordinary ? 0 : p.value < REAL_MIN;
        p.log_of = subnormal ? p.value * C(0x1p23, 0x1p52) : p.value;
        p.log_plus = subnormal ? C(-0x1.fe2804p+3, -0x1.205966f2b4f12p+5) : R(0.0); /* -23 or -52 times ln 2 */
        p.divides = 1;
        p.unit = link == LINK_VARIANCE ? p.value : R(1.0);
    }
    p.raw = u;
    p.e = e;
    p.ordinary = ordinary;
    return p;
}

/* dL/du from the slope of a loss (pointwise.h says what that is). */
NLLK_INLINE REAL chain_first(int link, const parameter *p, REAL slope)
{
    return link == LINK_VARIANCE ? R(0.5) * slope / p->value : p->divides ? slope : slope * p->rate;
}

/* d2L/du2: of bend and log_bend whichever leaves nothing to cancel. */
NLLK_INLINE REAL chain_second(int link, const parameter *p, REAL slope, REAL bend, REAL log_bend)
{
    switch (link) {
    case LINK_VARIANCE: return R(0.25) * (bend - log_bend);
    case LINK_SOFTPLUS: {
        REAL plus = p->in_log ? log_bend : bend, all = mul_add(slope, p->curve, plus);
        return p->rate * p->rate * (p->ordinary || p->curve != R(0.0) ? all : plus); /* the slope may be infinite */
    }
    case LINK_LOG:
    case LINK_LOG_VARIANCE: return log_bend;
    default: return bend;
    }
}

#endif
