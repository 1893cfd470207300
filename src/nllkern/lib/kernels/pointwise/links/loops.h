/* The loops of a link over a tile.  Each step has a loop of its own: a processor holds some 100 instructions that
 * wait for their operands, so it overlaps the samples of several short loops where it would wait in one long one. */
#ifndef NLLK_LINK_LOOPS_H
#define NLLK_LINK_LOOPS_H

#include "functions/lanes.h"
#include "pointwise/links.h"

typedef REAL (*exponential_function)(REAL u);
typedef linked (*apply_function)(REAL u, REAL e);
typedef REAL (*rate_function)(REAL slope, REAL inverse);
typedef REAL (*first_function)(const linked *p, REAL d1);
typedef REAL (*second_function)(const linked *p, REAL d1, REAL d2, REAL d2_log);

NLLK_INLINE void exponentials(exponential_function exponential, const REAL *raw, ptrdiff_t n, prepared *to)
{
    n &= ~(ptrdiff_t)(LANES - 1); /* tells the compiler that there is no remainder */
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++)
        to->e[i] = exponential(raw[i]);
}

/* theta and what goes with it.  Where the logarithm is asked for, 1 / theta comes with it in a loop of its own, since one
 * division serves both; until then the rate stands for d theta/du. */
NLLK_INLINE void apply_sample(apply_function apply, rate_function rate, REAL u, REAL e, int takes_log, int hess,
                              prepared *to, ptrdiff_t i)
{
    const linked p = apply(u, e);
    const REAL inverse = R(1.0) / p.value;
    to->value[i] = p.value;
    to->rate[i] = takes_log ? p.slope : rate(p.slope, inverse);
    to->log[i] = p.has_log ? p.log_of : p.log_plus;
    if (!takes_log)
        to->inverse[i] = inverse;
    if (hess)
        to->curve[i] = p.curve;
}

NLLK_INLINE void apply_samples(exponential_function exponential, apply_function apply, rate_function rate,
                               const REAL *raw, ptrdiff_t n, int takes_log, int hess, prepared *to)
{
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++)
        apply_sample(apply, rate, raw[i], exponential ? to->e[i] : R(0.0), takes_log, hess, to, i);
}

NLLK_INLINE void log_and_inverse_sample(apply_function apply, rate_function rate, REAL u, prepared *to, ptrdiff_t i)
{
    const log_reduction of = log_reduce(to->log[i]);
    const REAL divisor = R(2.0) + of.f, both = R(1.0) / (to->value[i] * divisor), inverse = both * divisor;
    to->inverse[i] = inverse;
    to->rate[i] = rate(to->rate[i], inverse);
    to->log[i] = log_assemble(of, both * to->value[i]) + apply(u, R(0.0)).log_plus;
}

/* `exponential` is NULL for links without. */
NLLK_INLINE void prepare(exponential_function exponential, apply_function apply, rate_function rate, const REAL *raw,
                         ptrdiff_t n, int want, int log, prepared *to)
{
    const int takes_log = log && apply(R(1.0), R(1.0)).has_log;
    n &= ~(ptrdiff_t)(LANES - 1);
    if (exponential)
        exponentials(exponential, raw, n, to);
    switch (2 * (want >= WANT_HESS) + takes_log) {
    case 0: apply_samples(exponential, apply, rate, raw, n, 0, 0, to); break;
    case 1: apply_samples(exponential, apply, rate, raw, n, 1, 0, to); break;
    case 2: apply_samples(exponential, apply, rate, raw, n, 0, 1, to); break;
    default: apply_samples(exponential, apply, rate, raw, n, 1, 1, to);
    }
    if (takes_log) {
#pragma omp simd
        for (ptrdiff_t i = 0; i < n; i++)
            log_and_inverse_sample(apply, rate, raw[i], to, i);
    }
}

NLLK_INLINE void chain_sample(first_function first, second_function second, int hess, const chain *c, REAL factor,
                              ptrdiff_t i)
{
    const linked p = {.inverse = c->p->inverse[i], .rate = c->p->rate[i], .curve = hess ? c->p->curve[i] : R(0.0)};
    const REAL d1 = c->d1[i], grad = factor * first(&p, d1);
    c->grad[i] = factor == R(0.0) ? R(0.0) : grad;
    if (hess) {
        REAL d2 = factor * second(&p, d1, c->d2[i], c->d2_log[i]);
        d2 = c->value[i] == c->value[i] ? d2 : REAL_NAN;
        c->hess[i] = factor == R(0.0) ? R(0.0) : d2;
    }
}

NLLK_INLINE void chain_samples(first_function first, second_function second, int hess, const chain *c, ptrdiff_t n)
{
    const chain local = *c;
    n &= ~(ptrdiff_t)(LANES - 1);
    if (local.factor) {
#pragma omp simd
        for (ptrdiff_t i = 0; i < n; i++)
            chain_sample(first, second, hess, &local, local.factor[i], i);
    } else {
#pragma omp simd
        for (ptrdiff_t i = 0; i < n; i++)
            chain_sample(first, second, hess, &local, local.one_factor, i);
    }
}

NLLK_INLINE void chain_rule(first_function first, second_function second, const chain *c, ptrdiff_t n)
{
    if (c->hess)
        chain_samples(first, second, 1, c, n);
    else
        chain_samples(first, second, 0, c, n);
}

#endif
