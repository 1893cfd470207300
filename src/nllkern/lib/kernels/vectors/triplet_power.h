/* The q-norm of any q > 1 in the triplet margin loss, in doubles, one number after the other.
 *
 *   |x| = m (1 + rest)^(1/q),   m = |x_a| the largest,   rest = sum over i != a of (|x_i| / m)^q
 *
 * The largest's own 1 is kept apart from the rest: its share t_a^q of the sum then has an exact complement. */
#ifndef NLLK_TRIPLET_POWER_H
#define NLLK_TRIPLET_POWER_H

#include "vectors.h"

/* The vectors of a sample. */
typedef struct {
    const REAL *anchor, *positive, *negative;
    ptrdiff_t d;
} triplet;

NLLK_INLINE double near_difference(const triplet *x, ptrdiff_t i)
{
    return (double)x->anchor[i] - (double)x->positive[i];
}

NLLK_INLINE double far_difference(const triplet *x, ptrdiff_t i)
{
    return (double)x->anchor[i] - (double)x->negative[i];
}

/* Whether both differences have the same sign at i. */
NLLK_INLINE int same_sign(const triplet *x, ptrdiff_t i)
{
    double s = near_difference(x, i), t = far_difference(x, i);
    return (s > 0 && t > 0) || (s < 0 && t < 0);
}

typedef struct {
    double norm, q;
    double largest, rest;  /* rest = 0 where the norm is 0, infinite or NaN */
    double unit_1, unit_2; /* (1 + rest)^(-(q-1)/q), (1 + rest)^(-(q-2)/q) */
    ptrdiff_t at;
} power_norm;

static power_norm find_power_norm(const REAL *x, const REAL *y, ptrdiff_t d, double q)
{
    power_norm n = {.q = q, .at = -1};
    for (ptrdiff_t i = 0; i < d && n.largest == n.largest; i++) {
        double size = __builtin_fabs((double)x[i] - (double)y[i]);
        if (!(size <= n.largest)) {
            n.largest = size;
            n.at = i;
        }
    }
    n.norm = n.largest;
    if (!(n.largest > 0 && n.largest < (double)__builtin_inf()))
        return n;
    for (ptrdiff_t i = 0; i < d; i++)
        if (i != n.at)
            n.rest += __builtin_pow(__builtin_fabs((double)x[i] - (double)y[i]) / n.largest, q);
    n.norm *= __builtin_pow(1 + n.rest, 1 / q);
    n.unit_1 = __builtin_pow(1 + n.rest, (1 - q) / q);
    n.unit_2 = __builtin_pow(1 + n.rest, (2 - q) / q);
    return n;
}

/* u_i and h_i of the difference x. */
static double power_slope(const power_norm *n, double x)
{
    double size = __builtin_pow(__builtin_fabs(x) / n->largest, n->q - 1) * n->unit_1;
    return x > 0 ? size : x < 0 ? -size : 0;
}

static double power_curve(const power_norm *n, double x, ptrdiff_t i)
{
    double t = __builtin_fabs(x) / n->largest, others = 1 + n->rest;
    if (x == 0)
        return 0;
    others = i == n->at ? n->rest : others - __builtin_pow(t, n->q);
    return (n->q - 1) * (__builtin_pow(t, n->q - 2) * n->unit_2) * (others / (1 + n->rest)) / n->norm;
}

/* 1 - |u_i| of the largest entry. */
static double power_complement(const power_norm *n)
{
    return -__builtin_expm1((1 - n->q) / n->q * __builtin_log1p(n->rest));
}

/* The derivatives of a sample with z > 0, the second ones if `hess` is not NULL. */
static void derive_power(const triplet *x, const power_norm *norms, double factor, REAL *const *grad, REAL *const *hess)
{
    for (ptrdiff_t i = 0; i < x->d; i++) {
        double s = near_difference(x, i), t = far_difference(x, i);
        double u = factor * power_slope(&norms[0], s), w = factor * power_slope(&norms[1], t), difference = u - w;
        if (i == norms[0].at && i == norms[1].at && same_sign(x, i)) {
            difference = factor * (power_complement(&norms[1]) - power_complement(&norms[0]));
            difference = s > 0 ? difference : -difference;
        }
        if (hess) {
            double k = factor * power_curve(&norms[0], s, i), l = factor * power_curve(&norms[1], t, i);
            hess[0][i] = (REAL)(k - l);
            hess[1][i] = (REAL)k;
            hess[2][i] = (REAL)-l;
        }
        grad[0][i] = (REAL)difference;
        grad[1][i] = (REAL)-u;
        grad[2][i] = (REAL)w;
    }
}

#endif
