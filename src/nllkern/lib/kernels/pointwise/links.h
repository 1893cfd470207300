/* Links: from the raw number u that a network predicts to a positive parameter theta.  One file each in links/:
 *
 *   NAME_range(bits)         the raw numbers of ordinary parameters, 2^-bits <= theta <= 2^bits
 *   NAME_exponential(u)      the exponential that the link needs, if any
 *   NAME_apply(u, e)         theta and what goes with it, e being that exponential
 *   NAME_rate(slope, both)   rate = d log(theta)/du from what `linked` says, if it is not one number
 *   NAME_second              the chain rule: d2L/du2 from the derivatives of formula.h
 *   NAME_scaled(u)           theta and what goes with it in scaled numbers, for any u, branch-free
 *
 * The chain rule is
 *
 *   dL/du = rate d1,      d2L/du2 = rate^2 (d2 + curve d1) = rate^2 (d2_log + (curve - 1) d1)
 *
 * of which a link takes the form in which less cancels. */
#ifndef NLLK_LINKS_H
#define NLLK_LINKS_H

#include "functions/exponential.h"
#include "functions/logarithm.h"
#include "kernels.h"
#include "scaled_parameters.h"
#include "symbol.h"

/* The links in the order of their numbers; the last is for parameters that have none. */
#define NLLK_LINK(NAME, UPPER) LINK_##UPPER,
enum {
#include "links.inc"
    LINK_NONE,
    LINK_COUNT
};
#undef NLLK_LINK

typedef struct {
    REAL low, high;
} range;

/* What a link makes of one raw number.  log(theta) = log(log_of) + log_plus, or log_plus alone where `has_log` is
 * 0. */
typedef struct {
    REAL value;          /* theta */
    REAL slope, divisor; /* under softplus d theta/du = slope / divisor; both = 1 / (theta divisor) */
    REAL inverse, rate;
    REAL curve; /* under softplus: that of the first form, or, if negative, that of the second less 1 */
    int has_log;
    REAL log_of, log_plus;
} linked;

/* Samples at a time.  A loss without links needs few arrays and takes more, for less work around its loop. */
#define TILE PICK(128, 64)
#define LONG_TILE PICK(256, 128)

/* The same for the samples of a tile. */
typedef struct {
    ALIGNED REAL e[LONG_TILE], value[TILE], inverse[TILE], log[TILE], rate[TILE], curve[TILE];
} prepared;

/* What the chain rule of one parameter reads and writes where second derivatives are asked for.  Derivatives are multiplied by `factor`, an array or one
 * number; where it is 0 the results are 0. */
typedef struct {
    const prepared *p;
    const REAL *value; /* of the loss */
    const REAL *d1, *d2, *d2_log;
    const REAL *factor; /* or NULL: one_factor */
    REAL one_factor;
    REAL *grad, *hess;
} chain;

typedef struct {
    range (*range)(int bits);
    REAL one_rate;                                                                  /* where it is one number; or 0 */
    void (*prepare)(const REAL *raw, ptrdiff_t n, int want, int log, prepared *to); /* NULL: nothing to prepare */
    void (*chain)(const chain *c, ptrdiff_t n);
    void (*prepare_scaled)(const double *raw, ptrdiff_t n, scaled_parameters *to); /* of double */
} link_row;

extern const link_row SYMBOL(links)[LINK_COUNT];

/* exp(x) where neither the result nor any step leaves the normal numbers. */
NLLK_INLINE REAL exp_ordinary(REAL x)
{
    BITS k;
    REAL r = exp_reduce(x, EXPONENT_BIAS, &k);
    return exp_polynomial(r, R(1.0)) * field_to_real(k, MANTISSA_BITS);
}

/* 2^k. */
NLLK_INLINE REAL real_power_of_2(int k) { return real_of((BITS)((UBITS)(k + EXPONENT_BIAS) << MANTISSA_BITS)); }

/* 0 where x is in the range or NaN. */
NLLK_INLINE UBITS outside(REAL x, range r)
{
    REAL limited = r.low > x ? r.low : x;
    limited = r.high < limited ? r.high : limited;
    return (UBITS)(bits_of(limited) ^ bits_of(x));
}

/* What a link makes of any raw number, in doubles: 1 / theta = again inverse again, of which none overflows. */
typedef struct {
    double inverse, again, rate, log, curve;
    int in_log; /* the chain rule is rate^2 (d2_log + curve d1), not rate^2 (d2 + curve d1) */
} link_numbers;

link_numbers CONCAT(link_numbers, f, 64, NLLK_LEVEL)(int link, double raw);

#endif
