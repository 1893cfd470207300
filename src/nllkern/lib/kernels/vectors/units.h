/* Rows over their Euclidean norms, the gradient through that, and rows times a factor each:
 *
 *   u = x / |x|,      dL/dx = (dL/du - u (u . dL/du)) / |x|
 *
 * In doubles, each result rounded once.  A row of doubles is first multiplied by a power of two, `scale`, so that no square
 * over- or underflows; the norm is that of the scaled row.  A row of zeros stays one: its norm is given as 1, its scale as 0. */
#ifndef NLLK_UNITS_H
#define NLLK_UNITS_H

#include "vectors.h"

/* sum = f(0) + f(1) ... of n numbers, in LANES fixed lanes: f(lane, i) adds number i to a lane. */
#define LANE_SUM(sum, n, f)                                                                                            \
    do {                                                                                                               \
        double lanes[LANES] = {0};                                                                                     \
        const ptrdiff_t whole = (n) & ~(ptrdiff_t)(LANES - 1);                                                         \
        for (ptrdiff_t i = 0; i < whole; i += LANES) {                                                                 \
            _Pragma("omp simd") for (int j = 0; j < LANES; j++) lanes[j] = f(lanes[j], i + j);                         \
        }                                                                                                              \
        for (ptrdiff_t i = whole; i < (n); i++)                                                                        \
            lanes[i - whole] = f(lanes[i - whole], i);                                                                 \
        sum = sum_lanes(lanes);                                                                                        \
    } while (0)

NLLK_INLINE double scaled_square(const REAL *x, ptrdiff_t n, double power)
{
    double sum;
#define ADD_SQUARE(lane, i) mul_add_double((double)x[i] * power, (double)x[i] * power, lane)
    LANE_SUM(sum, n, ADD_SQUARE);
#undef ADD_SQUARE
    return sum;
}

NLLK_INLINE double row_product(const REAL *x, const REAL *y, ptrdiff_t n)
{
    double sum;
#define ADD_PRODUCT(lane, i) mul_add_double((double)x[i], (double)y[i], lane)
    LANE_SUM(sum, n, ADD_PRODUCT);
#undef ADD_PRODUCT
    return sum;
}

/* 2^-e where the largest number of the row is 2^e m, 1/2 <= m < 1. */
NLLK_INLINE double row_scale_of(const REAL *x, ptrdiff_t n)
{
    REAL most = 0;
    int e = 0;
#pragma omp simd reduction(max : most)
    for (ptrdiff_t i = 0; i < n; i++)
        most = fabs_(x[i]) > most ? fabs_(x[i]) : most;
    if (most <= REAL_MAX)
        (void)__builtin_frexp(most, &e);
    return __builtin_ldexp(1, e < -1000 ? 1000 : -e);
}

static void unit_rows(const nllk_units *u, ptrdiff_t begin, ptrdiff_t end)
{
    const ptrdiff_t n = u->columns;
    for (ptrdiff_t r = begin; r < end; r++) {
        const REAL *x = (const REAL *)u->rows + r * n;
        REAL *to = (REAL *)u->result + r * n;
        const double power = row_scale_of(x, n), size = __builtin_sqrt(scaled_square(x, n, power));
        const double norm = size == 0 ? 1 : size;
        u->norm[r] = norm;
        u->scale[r] = size == 0 ? 0 : power;
#pragma omp simd
        for (ptrdiff_t i = 0; i < n; i++)
            to[i] = (REAL)((double)x[i] * power / norm);
    }
}

static void unit_gradients(const nllk_units *u, ptrdiff_t begin, ptrdiff_t end)
{
    const ptrdiff_t n = u->columns;
    for (ptrdiff_t r = begin; r < end; r++) {
        const REAL *unit = (const REAL *)u->rows + r * n;
        REAL *g = (REAL *)u->result + r * n;
        const double along = row_product(unit, g, n), scale = u->scale[r];
        const double factor = (u->factor ? u->factor[r] : 1) * u->one_factor / u->norm[r];
#pragma omp simd
        for (ptrdiff_t i = 0; i < n; i++)
            g[i] = (REAL)(((double)g[i] - (double)unit[i] * along) * factor * scale);
    }
}

static void scale_rows(const nllk_units *u, ptrdiff_t begin, ptrdiff_t end)
{
    const ptrdiff_t n = u->columns;
    for (ptrdiff_t r = begin; r < end; r++) {
        const REAL *x = (const REAL *)u->rows + r * n;
        REAL *to = (REAL *)u->result + r * n;
        const double factor = (u->factor ? u->factor[r] : 1) * u->one_factor, divisor = u->divisor;
#pragma omp simd
        for (ptrdiff_t i = 0; i < n; i++)
            to[i] = (REAL)((double)x[i] * factor / divisor);
    }
}

#endif
