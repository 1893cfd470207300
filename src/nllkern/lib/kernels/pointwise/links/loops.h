/* The loops of a link over a tile.  Each step has a loop of its own: a processor holds some 100 instructions that wait for
 * their operands, so it overlaps the samples of several short loops where it would wait in one long one. */
#ifndef NLLK_LINK_LOOPS_H
#define NLLK_LINK_LOOPS_H

#include "functions/lanes.h"
#include "pointwise/links.h"

typedef REAL (*exponential_function)(REAL u);
typedef linked (*apply_function)(REAL u, REAL e);
typedef REAL (*first_function)(const linked *p, REAL d1);
typedef REAL (*second_function)(const linked *p, REAL d1, REAL d2, REAL d2_log);

NLLK_INLINE void prepare_sample(apply_function apply, REAL u, REAL e, int hess, prepared *to, ptrdiff_t i)
{
    const linked p = apply(u, e);
    to->value[i] = p.value;
    to->inverse[i] = p.inverse;
    to->rate[i] = p.rate;
    to->log[i] = p.has_log ? p.log_of : p.log_plus;
    if (hess)
        to->curve[i] = p.curve;
}

NLLK_INLINE void prepare_samples(exponential_function exponential, apply_function apply, const REAL *raw, ptrdiff_t n,
                                 int hess, prepared *to)
{
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++)
        prepare_sample(apply, raw[i], exponential ? to->e[i] : R(0.0), hess, to, i);
}

NLLK_INLINE void exponentials(exponential_function exponential, const REAL *raw, ptrdiff_t n, prepared *to)
{
    n &= ~(ptrdiff_t)(LANES - 1); /* tells the compiler that there is no remainder */
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++)
        to->e[i] = exponential(raw[i]);
}

/* `exponential` is NULL for links without. */
NLLK_INLINE void prepare(exponential_function exponential, apply_function apply, const REAL *raw, ptrdiff_t n, int want,
                         int log, prepared *to)
{
    n &= ~(ptrdiff_t)(LANES - 1);
    if (exponential)
        exponentials(exponential, raw, n, to);
    if (want >= WANT_HESS)
        prepare_samples(exponential, apply, raw, n, 1, to);
    else
        prepare_samples(exponential, apply, raw, n, 0, to);
    if (log && apply(R(1.0), R(1.0)).has_log) {
#pragma omp simd
        for (ptrdiff_t i = 0; i < n; i++)
            to->log[i] = log_ordinary_(to->log[i]) + apply(raw[i], R(0.0)).log_plus;
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
