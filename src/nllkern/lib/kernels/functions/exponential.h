/* exp(x) = 2^n exp(r),  n = round(x / ln 2),  |r| <= ln(2)/2.
 *
 * 2^n is applied as two factors, so that the product of the first is exact and the second rounds once, also when the
 * result is subnormal.
 *
 * The functions of this folder are branch-free scalar functions, which the compiler turns into packed code at every SIMD
 * level: no `if`, only selects; no compare or conversion of 64-bit integers and no arithmetic shift of them, which SSE2 and
 * AVX2 lack.  Polynomials are minimax fits (tools/coefficients.py); the error given there is the approximation alone.
 * "Worst" is the largest error measured, |got - exact| / (eps * max(|exact|, smallest normal)), over all SIMD levels;
 * the bounds that the tests enforce stand in functions.inc. */
#ifndef NLLK_EXPONENTIAL_H
#define NLLK_EXPONENTIAL_H

#include "real.h"

#define LOG2_E C(0x1.715476p+0, 0x1.71547652b82fep+0)
#define LN2 C(0x1.62e43p-1, 0x1.62e42fefa39efp-1)
/* ln 2 in two parts: n * LN2_HIGH is exact for |n| <= 2^9 (float), 2^12 (double). */
#define LN2_HIGH C(0x1.62e4p-1, 0x1.62e42fefa4p-1)
#define LN2_LOW C(0x1.7f7d1cp-20, -0x1.8432a1b0e2634p-43)

/* Bits of +-2^n * m without the bits of m in [1, 2). */
#define EXPONENT_FIELD ((BITS)(~(UBITS)0 << MANTISSA_BITS))

/* Reals from a field of small integers in the low mantissa bits, as adding ROUND_MAGIC leaves them. */
NLLK_INLINE REAL field_to_real(BITS b, int shift) { return real_of((BITS)((UBITS)b << shift)); }

/* unit (exp(r) - 1 - r) / r^2 for |r| <= ln(2)/2, `unit` being a constant power of two.  Error of exp: 0.03 eps (float),
 * 0.02 eps (double); of expm1: 0.2 eps. */
NLLK_INLINE REAL exp_poly(REAL r, REAL unit)
{
#if NLLK_BITS == 32
    REAL p = 0x1.6ac918p-10f * unit;
    p = mul_add(p, r, 0x1.123e08p-7f * unit);
    p = mul_add(p, r, 0x1.555858p-5f * unit);
    p = mul_add(p, r, 0x1.55548cp-3f * unit);
    return mul_add(p, r, 0x1.fffffcp-2f * unit);
#else
    REAL r2 = r * r;
    REAL even = 0x1.28aef235b2cfbp-22 * unit;
    even = mul_add(even, r2, 0x1.a019987790b13p-16 * unit);
    even = mul_add(even, r2, 0x1.6c16c184bb797p-10 * unit);
    even = mul_add(even, r2, 0x1.55555555505f5p-5 * unit);
    even = mul_add(even, r2, 0x1.000000000000ap-1 * unit);
    REAL odd = 0x1.adc456ec89d93p-26 * unit;
    odd = mul_add(odd, r2, 0x1.71deffcfae975p-19 * unit);
    odd = mul_add(odd, r2, 0x1.a01a0138643dbp-13 * unit);
    odd = mul_add(odd, r2, 0x1.1111111125aa1p-7 * unit);
    odd = mul_add(odd, r2, 0x1.55555555555p-3 * unit);
    return mul_add(r, odd, even);
#endif
}

/* unit exp(r). */
NLLK_INLINE REAL exp_polynomial(REAL r, REAL unit) { return mul_add(r, mul_add(r, exp_poly(r, unit), unit), unit); }

/* x = n ln 2 + r; returns r, and n + bias in the low bits of *k. */
NLLK_INLINE REAL exp_reduce(REAL x, REAL bias, BITS *k)
{
    REAL shifted = mul_add(x, LOG2_E, ROUND_MAGIC + bias);
    REAL n = shifted - (ROUND_MAGIC + bias);
    *k = bits_of(shifted);
    return mul_add(n, -LN2_LOW, mul_add(n, -LN2_HIGH, x));
}

/* 2^n from n + 2*EXPONENT_BIAS in the low bits of k, -2*EXPONENT_BIAS < n < 2*EXPONENT_BIAS, applied to p. */
NLLK_INLINE REAL exp_scale(REAL p, BITS k)
{
    BITS half = (BITS)((UBITS)k << (MANTISSA_BITS - 1)) & EXPONENT_FIELD;
    BITS rest = bits_minus((BITS)((UBITS)k << MANTISSA_BITS), half);
    return p * real_of(half) * real_of(rest);
}

/* Where the result is inf, and where it is 0.  Selecting these at the end is cheaper than clamping x, and it keeps NaN. */
#define EXP_HIGH C(88.8, 709.8)
#define EXP_LOW C(-104.0, -745.2)

/* exp(x), all x; exp(0) is 1 exactly.
 * Worst: float 0.86 ulp at -0x1.5eda4ep+6, double 0.83 ulp at -0x1.62645e5161a24p+9. */
NLLK_INLINE REAL exp_(REAL x)
{
    BITS k;
    REAL r = exp_reduce(x, R(2.0) * EXPONENT_BIAS, &k);
    REAL y = exp_scale(exp_polynomial(r, R(1.0)), k);
    y = x < EXP_LOW ? R(0.0) : y;
    return x > EXP_HIGH ? REAL_INF : y;
}

/* For x <= 0 one factor of 2^n suffices if it is 2^(n + EXP_LIFT), which never underflows; the other is in the polynomial. */
#define EXP_LIFT C(32.0, 64.0)
#define EXP_UNLIFT C(0x1p-32, 0x1p-64)

/* exp(x), x <= 0.
 * Worst: float 0.84 ulp at -0x1.5ebeecp+6, double 0.85 ulp at -0x1.62667d324fa28p+9. */
NLLK_INLINE REAL exp_nonpositive_(REAL x)
{
    BITS k;
    REAL r = exp_reduce(x, EXP_LIFT + EXPONENT_BIAS, &k);
    REAL y = exp_polynomial(r, EXP_UNLIFT) * field_to_real(k, MANTISSA_BITS);
    return x < EXP_LOW ? R(0.0) : y;
}

/* exp(x) - 1 = 2 (2^(n-1) (exp(r) - 1) + (2^(n-1) - 1/2)), all x.
 * Worst: float 1.01 ulp at 0x1.0fcb46p+4, double 1.27 ulp at 0x1.6ecbc7d04716p-2. */
NLLK_INLINE REAL expm1_(REAL x)
{
    BITS k;
    REAL r = exp_reduce(x, R(1.0) * (EXPONENT_BIAS - 1), &k);
    REAL half_scale = field_to_real(k, MANTISSA_BITS);
    REAL q = mul_add(r * r, exp_poly(r, R(1.0)), r);
    REAL y = R(2.0) * mul_add(q, half_scale, half_scale - R(0.5));
    y = x < C(-20.0, -40.0) ? R(-1.0) : y;
    return x > EXP_HIGH ? REAL_INF : y;
}

#endif
