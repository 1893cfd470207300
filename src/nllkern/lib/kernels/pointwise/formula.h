/* What the formula of a pointwise loss is given and what it returns.
 *
 * A formula  NAME(&sample, &result)  is an inline function without branches, which the compiler vectorises: selects
 * (x ? a : b) of values, no `if`, never &&.  It serves ordinary samples alone, whose numbers lie in the ranges below:
 * there, products and quotients of two parameters and a target neither overflow nor underflow.  Other samples are
 * computed apart, in double precision or by NAME_scaled in scaled numbers.  NaN passes through by itself; second
 * derivatives are made NaN where the value is. */
#ifndef NLLK_FORMULA_H
#define NLLK_FORMULA_H

#include "links.h"
#include "nllkern/supports.h"

/* Ordinary numbers: theta in 2^-+THETA_BITS, parameters without a link and real targets up to 2^REAL_BITS in size,
 * positive targets in 2^-+TARGET_BITS, or 0 if the loss takes no logarithm of it.  A loss may define narrower
 * ranges. */
#define ORDINARY_THETA_BITS PICK(28, 280)
#define ORDINARY_REAL_BITS PICK(40, 400)
#define ORDINARY_TARGET_BITS PICK(40, 400)

/* What a formula needs of one parameter alone, or of the target alone: up to four numbers, which NAME_alone computes in a
 * loop of its own, and only once if all samples share the parameter. */
typedef struct {
    REAL value, d1, d2, d2_log;
} alone_terms;

typedef struct {
    REAL raw;            /* the prediction */
    REAL e;              /* under the logit link: exp(-|raw|) */
    REAL value, inverse; /* under other links: theta and 1 / theta */
    REAL log;            /* log(theta), NaN for a parameter that LOGS does not name */
} parameter;

typedef struct {
    parameter p[NLLK_MAX_PARAMETERS];
    REAL target;
    REAL log_target; /* NaN if LOGS has no LOG_TARGET */
    REAL extra;      /* the loss's own option: pos_weight, delta */
    alone_terms alone;
    int full; /* keep the constants */
} sample;

#define TARGET_ALONE NLLK_MAX_PARAMETERS /* as ALONE: terms of the target */

#define LOG_TARGET (1 << NLLK_MAX_PARAMETERS) /* in LOGS, beside the bits of the parameters */

/* The loss L of a sample, and its derivatives by each parameter:
 *
 *                 d1                d2                    d2_log
 *   no link       dL/dp             d2L/dp2
 *   logit         dL/draw                                 d2L/draw2
 *   other links   theta dL/dtheta   theta^2 d2L/dtheta2   d2L/d(log theta)2 = d1 + d2 */
typedef struct {
    REAL value, d1[NLLK_MAX_PARAMETERS], d2[NLLK_MAX_PARAMETERS], d2_log[NLLK_MAX_PARAMETERS];
} result;

#if NLLK_BITS == 64
/* What NAME_scaled(&scaled_sample, want, &scaled_result) is given and what it fills in.  It is inline and branch-free, as
 * the formula; `want` is a constant, for which it may return early. */
typedef struct {
    scaled_parameter p[NLLK_MAX_PARAMETERS];
    double target, extra;
    int full;
} scaled_sample;

typedef struct {
    double value;
    scaled d1[NLLK_MAX_PARAMETERS], d2[NLLK_MAX_PARAMETERS], d2_log[NLLK_MAX_PARAMETERS];
} scaled_result;
#endif

#endif
