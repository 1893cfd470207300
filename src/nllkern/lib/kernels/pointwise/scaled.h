/* Numbers with an exponent of their own, for samples whose parameters, or what a formula makes of them, leave the
 * range of double: m 2^e, both doubles, e an integer.  Branch-free, so that the loops over samples vectorise.
 *
 * m need not lie in [1, 2): a formula's few products and sums leave it within 2^-+200, and what is not rounded does not
 * depend on it.  0 is m = 0 with the exponent SCALED_ZERO, below any other, so that a sum takes the other term's.
 * Infinity is a number with the exponent SCALED_INFINITY, so that quotients by it are limits.  NaN is m = NaN. */
#ifndef NLLK_SCALED_H
#define NLLK_SCALED_H

#include "functions/exponential.h"
#include "functions/logarithm.h"

typedef struct {
    double m, e;
} scaled;

#if NLLK_BITS == 64

#define SCALED_INFINITY 0x1p40
#define SCALED_ZERO (-0x1p50)

/* 2^k for an integer k, |k| <= 1022: the sum holds k + EXPONENT_BIAS in its low bits. */
NLLK_INLINE double power_of_2(double k)
{
    return field_to_real(bits_of(k + (ROUND_MAGIC + EXPONENT_BIAS)), MANTISSA_BITS);
}

NLLK_INLINE scaled scaled_select(int condition, scaled yes, scaled no)
{
    return (scaled){condition ? yes.m : no.m, condition ? yes.e : no.e};
}

/* Any double, with 1 <= |m| < 2. */
NLLK_INLINE scaled scaled_of(double x)
{
    const BITS bits = bits_of(fabs_(x) < REAL_MIN ? x * 0x1p54 : x), field = bits & bits_of(REAL_INF);
    double m = real_of((bits - field) | bits_of(1.0));
    double e = real_of((BITS)((UBITS)field >> MANTISSA_BITS) | bits_of(0x1p52)) - (0x1p52 + EXPONENT_BIAS);
    e = fabs_(x) < REAL_MIN ? e - 54 : e;
    e = fabs_(x) > REAL_MAX ? SCALED_INFINITY : e;
    e = x == 0 ? SCALED_ZERO : e;
    m = x == 0 ? 0.0 : m;
    return (scaled){x == x ? m : x, e};
}

/* m 2^e, rounded once: the first factor leaves it among the normal numbers. */
NLLK_INLINE double scaled_to_double(scaled x)
{
    const double e = min_(max_(x.e, -1600.0), 1600.0), half = (0.5 * e + ROUND_MAGIC) - ROUND_MAGIC;
    return x.m * power_of_2(half) * power_of_2(e - half);
}

NLLK_INLINE scaled scaled_negative(scaled x) { return (scaled){-x.m, x.e}; }
NLLK_INLINE scaled scaled_size(scaled x) { return (scaled){fabs_(x.m), x.e}; }
NLLK_INLINE scaled scaled_mul(scaled a, scaled b) { return (scaled){a.m * b.m, a.e + b.e}; }
NLLK_INLINE scaled scaled_times(scaled a, double b) { return scaled_mul(a, scaled_of(b)); }
NLLK_INLINE scaled scaled_div(scaled a, scaled b) { return (scaled){a.m / b.m, a.e - b.e}; }

/* Beyond 2^-1000 of the other a term is lost. */
NLLK_INLINE scaled scaled_add(scaled a, scaled b)
{
    const double e = max_(a.e, b.e);
    const double m = a.m * power_of_2(max_(a.e - e, -1000.0)) + b.m * power_of_2(max_(b.e - e, -1000.0));
    return (scaled){m, m == 0 ? SCALED_ZERO : e};
}

NLLK_INLINE scaled scaled_sub(scaled a, scaled b) { return scaled_add(a, scaled_negative(b)); }

/* a b - c; what a b loses in rounding is added at the end. */
NLLK_INLINE scaled scaled_mul_sub(scaled a, scaled b, scaled c)
{
    const double product = a.m * b.m, lost = mul_add_exact(a.m, b.m, -product), e = a.e + b.e;
    return scaled_add(scaled_sub((scaled){product, e}, c), (scaled){lost, e});
}

/* a - b of doubles, which may overflow. */
NLLK_INLINE scaled scaled_difference(double a, double b)
{
    const int is_large = max_(fabs_(a), fabs_(b)) > 0x1p1000;
    const double unit = is_large ? 0x1p-10 : 1.0;
    const scaled difference = scaled_of(a * unit - b * unit);
    return (scaled){difference.m, is_large ? difference.e + 10 : difference.e};
}

NLLK_INLINE scaled scaled_sqrt(scaled x)
{
    const double half = (0.5 * x.e + ROUND_MAGIC) - ROUND_MAGIC;
    return (scaled){SQRT(x.m * power_of_2(x.e - 2 * half)), half};
}

/* exp(x); where |x| is too large for that, infinity or 1 / infinity. */
NLLK_INLINE scaled scaled_exp(double x)
{
    const int is_large = fabs_(x) > 0x1p38;
    const double n = mul_add(x, LOG2_E, ROUND_MAGIC) - ROUND_MAGIC;
    const double r = mul_add(n, -LN2_LOW, mul_add(n, -LN2_HIGH, x));
    const double m = is_large ? 1.0 : exp_polynomial(r, 1.0);
    return (scaled){x == x ? m : x, is_large ? copysign_(SCALED_INFINITY, x) : n};
}

/* log(x), x >= 0. */
NLLK_INLINE double scaled_log(scaled x)
{
    const log_reduction of = log_reduce(x.m);
    const double e = of.e + x.e; /* 0 next to 1, where nothing cancels then */
    double y = log_assemble((log_reduction){e, of.f}, 1.0 / (2.0 + of.f));
    y = fabs_(x.e) > SCALED_INFINITY / 2 ? copysign_(REAL_INF, x.e) : y;
    return x.m == x.m ? y : x.m;
}
#endif

#endif
