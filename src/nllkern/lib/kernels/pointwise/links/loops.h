/* The loops of a link over a tile.  Each step has a loop of its own: a processor holds some 100 instructions that
 * wait for their operands, so it overlaps the samples of several short loops where it would wait in one long one. */
#ifndef NLLK_LINK_LOOPS_H
#define NLLK_LINK_LOOPS_H

#include "functions/lanes.h"
#include "pointwise/links.h"

typedef REAL (*exponential_function)(REAL u);
typedef linked (*apply_function)(REAL u, REAL e);
typedef REAL (*rate_function)(REAL slope, REAL inverse);
typedef REAL (*second_function)(const linked *p, REAL d1, REAL d2, REAL d2_log);

NLLK_INLINE void exponentials(exponential_function exponential, const REAL *raw, ptrdiff_t n, prepared *to)
{
    n &= ~(ptrdiff_t)(LANES - 1); /* tells the compiler that there is no remainder */
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++)
        to->e[i] = exponential(raw[i]);
}

/* theta, what its logarithm is taken of, and, in double, the slope in the place of the rate. */
NLLK_INLINE void apply_sample(apply_function apply, rate_function rate, REAL u, REAL e, int hess, prepared *to,
                              ptrdiff_t i)
{
    const linked p = apply(u, e);
    to->value[i] = p.value;
    to->log[i] = p.has_log ? p.log_of : p.log_plus;
    if (NLLK_BITS == 64 && rate)
        to->rate[i] = p.slope;
    if (hess)
        to->curve[i] = p.curve;
}

/* 1 / theta, the rate and log(theta).  One division serves 1 / theta and, in float, the slope, in double, the
 * logarithm.  What `apply` gives here takes next to no work. */
NLLK_INLINE void divide_sample(apply_function apply, rate_function rate, REAL u, REAL e, int takes_log, prepared *to,
                               ptrdiff_t i)
{
    const linked p = apply(u, e);
    const log_reduction of = log_reduce(to->log[i]);
    const REAL divisor = NLLK_BITS == 64 && takes_log ? R(2.0) + of.f : p.divisor;
    const REAL both = R(1.0) / (to->value[i] * divisor), inverse = both * divisor;
    to->inverse[i] = inverse;
    if (rate)
        to->rate[i] = NLLK_BITS == 64 ? rate(to->rate[i], inverse) : rate(p.slope, both);
    if (takes_log)
        to->log[i] = log_assemble(of, both * to->value[i]) + p.log_plus;
}

/* `exponential` is NULL for links without, `rate` for those whose rate is one number. */
NLLK_INLINE void prepare_samples(exponential_function exponential, apply_function apply, rate_function rate,
                                 const REAL *raw, ptrdiff_t n, int hess, int takes_log, prepared *to)
{
    n &= ~(ptrdiff_t)(LANES - 1); /* tells the compiler that there is no remainder */
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++)
        apply_sample(apply, rate, raw[i], exponential ? to->e[i] : R(0.0), hess, to, i);
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++)
        divide_sample(apply, rate, raw[i], exponential ? to->e[i] : R(0.0), takes_log, to, i);
}

NLLK_INLINE void prepare(exponential_function exponential, apply_function apply, rate_function rate, const REAL *raw,
                         ptrdiff_t n, int want, int log, prepared *to)
{
    const int takes_log = log && apply(R(1.0), R(1.0)).has_log;
    if (exponential)
        exponentials(exponential, raw, n, to);
    switch (2 * (want >= WANT_HESS) + takes_log) {
    case 0: prepare_samples(exponential, apply, rate, raw, n, 0, 0, to); break;
    case 1: prepare_samples(exponential, apply, rate, raw, n, 0, 1, to); break;
    case 2: prepare_samples(exponential, apply, rate, raw, n, 1, 0, to); break;
    default: prepare_samples(exponential, apply, rate, raw, n, 1, 1, to);
    }
}

NLLK_INLINE void chain_sample(second_function second, const chain *c, REAL factor, ptrdiff_t i)
{
    const linked p = {.inverse = c->p->inverse[i], .rate = c->p->rate[i], .curve = c->p->curve[i]};
    const REAL d1 = c->d1[i], grad = factor * (d1 * p.rate);
    REAL d2 = factor * second(&p, d1, c->d2[i], c->d2_log[i]);
    d2 = c->value[i] == c->value[i] ? d2 : REAL_NAN;
    c->grad[i] = factor == R(0.0) ? R(0.0) : grad;
    c->hess[i] = factor == R(0.0) ? R(0.0) : d2;
}

NLLK_INLINE void chain_rule(second_function second, const chain *c, ptrdiff_t n)
{
    const chain local = *c;
    n &= ~(ptrdiff_t)(LANES - 1);
    if (local.factor) {
#pragma omp simd
        for (ptrdiff_t i = 0; i < n; i++)
            chain_sample(second, &local, local.factor[i], i);
    } else {
#pragma omp simd
        for (ptrdiff_t i = 0; i < n; i++)
            chain_sample(second, &local, local.one_factor, i);
    }
}

#endif
