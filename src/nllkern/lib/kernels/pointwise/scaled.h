/* Numbers with an exponent of their own, for samples whose parameters, or what a formula makes of them, leave the
 * range of double: m 2^e, 1 <= |m| < 2, in double precision.
 *
 * Infinity is a number with the exponent SCALED_INFINITY, so that quotients by it are limits; 0 is m = 0, NaN is m
 * = NaN. */
#ifndef NLLK_SCALED_H
#define NLLK_SCALED_H

#include "functions/exponential.h"
#include "functions/logarithm.h"

typedef struct {
    double m;
    int64_t e;
} scaled;

#define SCALED_INFINITY ((int64_t)1 << 40)
#define SCALED_NAN ((int64_t)1 << 50) /* its exponent is larger than any other, so that no sum drops a NaN */

NLLK_INLINE double power_of_2(int64_t k) { return real_of((BITS)((UBITS)(k + EXPONENT_BIAS) << MANTISSA_BITS)); }

/* m 2^e for an m that is 0, NaN, infinite or normal. */
NLLK_INLINE scaled scaled_normal(double m, int64_t e)
{
    const BITS field = bits_of(m) & bits_of(REAL_INF);
    if (m == 0)
        return (scaled){0, -SCALED_NAN};
    if (m != m)
        return (scaled){m, SCALED_NAN};
    return (scaled){real_of((bits_of(m) - field) | bits_of(1.0)), e + (field >> MANTISSA_BITS) - EXPONENT_BIAS};
}

NLLK_INLINE scaled scaled_of(double x)
{
    if (fabs_(x) == REAL_INF)
        return (scaled){copysign_(1.0, x), SCALED_INFINITY};
    return fabs_(x) < REAL_MIN ? scaled_normal(x * 0x1p54, -54) : scaled_normal(x, 0);
}

/* m 2^e, rounded once. */
NLLK_INLINE double scaled_to_double(scaled x)
{
    if (x.e > 1100)
        return x.m * REAL_INF; /* NaN stays */
    if (x.e < -1200)
        return x.m * 0.0;
    return x.m * power_of_2(x.e / 2) * power_of_2(x.e - x.e / 2);
}

NLLK_INLINE scaled scaled_negative(scaled x) { return (scaled){-x.m, x.e}; }
NLLK_INLINE scaled scaled_size(scaled x) { return (scaled){fabs_(x.m), x.e}; }
NLLK_INLINE scaled scaled_mul(scaled a, scaled b) { return scaled_normal(a.m * b.m, a.e + b.e); }
NLLK_INLINE scaled scaled_times(scaled a, double b) { return scaled_mul(a, scaled_of(b)); }
NLLK_INLINE scaled scaled_div(scaled a, scaled b) { return scaled_normal(a.m / b.m, a.e - b.e); }

NLLK_INLINE scaled scaled_add(scaled a, scaled b)
{
    const scaled large = a.e < b.e ? b : a, small = a.e < b.e ? a : b;
    const int64_t distance = large.e - small.e;
    return distance > 200 ? large : scaled_normal(large.m + small.m * power_of_2(-distance), large.e);
}

NLLK_INLINE scaled scaled_sub(scaled a, scaled b) { return scaled_add(a, scaled_negative(b)); }

/* a b - c; what a b loses in rounding is added at the end. */
NLLK_INLINE scaled scaled_mul_sub(scaled a, scaled b, scaled c)
{
    const double product = a.m * b.m, lost = mul_add_exact(a.m, b.m, -product);
    const int64_t e = a.e + b.e;
    return scaled_add(scaled_sub(scaled_normal(product, e), c), scaled_normal(lost, e));
}

/* a - b of doubles, which may overflow. */
NLLK_INLINE scaled scaled_difference(double a, double b)
{
    const int is_finite = fabs_(a) < REAL_INF && fabs_(b) < REAL_INF;
    return is_finite ? scaled_sub(scaled_of(a), scaled_of(b)) : scaled_of(a - b);
}

NLLK_INLINE scaled scaled_sqrt(scaled x)
{
    const int64_t odd = x.e & 1;
    return (scaled){SQRT(odd ? 2 * x.m : x.m), (x.e - odd) / 2};
}

/* exp(x); where |x| is too large for that, infinity or 1 / infinity. */
NLLK_INLINE scaled scaled_exp(double x)
{
    if (fabs_(x) > 0x1p38)
        return (scaled){1, x > 0 ? SCALED_INFINITY : -SCALED_INFINITY};
    const double n = mul_add(x, LOG2_E, ROUND_MAGIC) - ROUND_MAGIC;
    const double r = mul_add(n, -LN2_LOW, mul_add(n, -LN2_HIGH, x));
    return scaled_normal(exp_polynomial(r, 1.0), (int64_t)n);
}

/* log(x), x >= 0. */
NLLK_INLINE double scaled_log(scaled x)
{
    if (x.e > SCALED_INFINITY / 2 || x.e < -SCALED_INFINITY / 2)
        return x.e < 0 ? -REAL_INF : x.m * REAL_INF;
    if (x.e == -1) /* next to 1 nothing cancels */
        return log_ordinary_(0.5 * x.m);
    return mul_add((double)x.e, LN2_HIGH, mul_add((double)x.e, LN2_LOW, log_ordinary_(x.m)));
}

#endif
