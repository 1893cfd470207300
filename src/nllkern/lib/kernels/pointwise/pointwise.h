/* What the loop of the pointwise losses (pointwise.c) knows of a loss, and what the loss's loops (kernel.h) know
 * of a tile. */
#ifndef NLLK_POINTWISE_H
#define NLLK_POINTWISE_H

#include "formula.h"
#include "functions/lanes.h"

typedef struct {
    ALIGNED REAL value[TILE], d1[TILE], d2[TILE], d2_log[TILE];
} alone_arrays;

typedef struct {
    REAL *d1, *d2, *d2_log;
} derivatives;

/* A tile of samples as the loops of a loss see it: arrays of numbers. */
typedef struct {
    const REAL *raw[NLLK_MAX_PARAMETERS], *target, *log_target, *extra;
    const prepared *linked[NLLK_MAX_PARAMETERS];
    const alone_arrays *alone;
    int full;
    REAL *value;
    derivatives to[NLLK_MAX_PARAMETERS];
    const REAL *factor; /* as in `chain`, of parameters without one */
    REAL one_factor;
} tile;

#if NLLK_BITS == 64
/* The same samples in scaled numbers: what they are made of, and the loss and its derivatives by the raw numbers. */
typedef struct {
    const double *raw[NLLK_MAX_PARAMETERS], *target, *extra;
    const scaled_parameters *p;
    int full;
    double *value, *grad[NLLK_MAX_PARAMETERS], *hess[NLLK_MAX_PARAMETERS];
} scaled_samples;
#endif

typedef struct {
    int count, linked;     /* parameters, and the bit set of those with a link */
    int logs;              /* the bit set of the logarithms that it needs */
    int alone;             /* the parameter of `compute_alone`, TARGET_ALONE, or -1 */
    int zero;              /* the bit set of the parameters that may be 0, as a limit */
    int direct;            /* the formula's derivatives are those by the raw numbers: its loop writes the results */
    int target;            /* the support of the target */
    int zero_target_apart; /* a target of 0 is not ordinary */
    int theta_bits, real_bits, target_bits;
    int logit_most; /* with an extra input: a logit beyond it is not ordinary; or 0 */
    int value_bits; /* or 0: no loss of an ordinary sample overflows */
    /* Plain; general: with arrays of factors and extra inputs. */
    void (*samples[WANT_COUNT][2])(const tile *t, ptrdiff_t n);
    void (*compute_alone)(const REAL *x, alone_arrays *to, int want, ptrdiff_t n);
#if NLLK_BITS == 32
    nllk_kernel in_double; /* the same loss, for samples that are not ordinary */
#else
    void (*in_scaled[WANT_COUNT])(const scaled_samples *s, ptrdiff_t n); /* or NULL */
#endif
} pointwise_loss;

void SYMBOL(run_pointwise)(const pointwise_loss *loss, const nllk_pointwise *a, ptrdiff_t begin, ptrdiff_t end,
                           nllk_sums *sums);

#endif
