/* Sums of many numbers: in LANES fixed lanes, whatever the width of a register, so that the bits do not depend on it. */
#ifndef NLLK_LANES_H
#define NLLK_LANES_H

#include "real.h"

#define LANES 16 /* one AVX-512 register of floats */

/* The sum of the lanes, by halves; overwrites them. */
NLLK_INLINE double sum_lanes(double *lanes)
{
    for (int half = LANES / 2; half; half /= 2)
        for (int j = 0; j < half; j++)
            lanes[j] += lanes[j + half];
    return lanes[0];
}

/* The sum of two doubles and what its rounding lost (Knuth's TwoSum); of an infinite sum nothing. */
typedef struct {
    double sum, lost;
} two_sum;

NLLK_INLINE two_sum two_sum_(double a, double b)
{
    double sum = a + b, t = sum - a, lost = (a - (sum - t)) + (b - t);
    return (two_sum){sum, lost == lost ? lost : 0};
}

/* high + low += x, in double; `low` holds what additions of doubles lose. */
NLLK_INLINE void wide_add(double *high, double *low, const REAL *x, int n)
{
    (void)low;
#pragma omp simd
    for (int j = 0; j < n; j++) {
#if NLLK_BITS == 64
        two_sum t = two_sum_(high[j], x[j]);
        low[j] += t.lost;
        high[j] = t.sum;
#else
        high[j] += x[j];
#endif
    }
}

#endif
