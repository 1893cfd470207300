/* Logarithms.
 *
 * u = 2^e m with m in [sqrt(1/2), sqrt(2)),  f = m - 1,  log(u) = e ln 2 + f + f^2 Q(f),  Q(f) = (log1p(f) - f) / f^2.
 * float: Q is a polynomial.  double: with s = f / (2 + f), z = s^2, log1p(f) = 2 atanh(s) gives
 * f^2 Q = -f^2/2 + s (f^2/2 + z A(z)),  A(z) = 2 (atanh(s)/s - 1) / z. */
#ifndef NLLK_LOGARITHM_H
#define NLLK_LOGARITHM_H

#include "exponential.h"

/* f^2 Q(f) = log1p(f) - f for f in [sqrt(1/2) - 1, sqrt(2) - 1], inverse = 1 / (2 + f), which only double needs.  Relative
 * error 0.47 eps (float), 0.06 eps (double). */
NLLK_INLINE REAL log1pmx_poly(REAL f, REAL inverse)
{
#if NLLK_BITS == 32
    REAL f2 = f * f;
    REAL even = -0x1.4d4ddp-4f;
    even = mul_add(even, f2, -0x1.0b05aep-3f);
    even = mul_add(even, f2, -0x1.54a6e6p-3f);
    even = mul_add(even, f2, -0x1.000172p-2f);
    even = mul_add(even, f2, -0.5f);
    REAL odd = 0x1.0836f2p-3f;
    odd = mul_add(odd, f2, 0x1.225448p-3f);
    odd = mul_add(odd, f2, 0x1.99a6e2p-3f);
    odd = mul_add(odd, f2, 0x1.55554ap-2f);
    REAL q = mul_add(f, odd, even);
    (void)inverse;
    return f2 * q;
#else
    REAL s = f * inverse;
    REAL z = s * s;
    REAL z2 = z * z;
    REAL even = 0x1.2d5702637b1fcp-3;
    even = mul_add(even, z2, 0x1.7464804224d4cp-3);
    even = mul_add(even, z2, 0x1.24924936d77b1p-2);
    even = mul_add(even, z2, 0x1.555555555556ap-1);
    REAL odd = 0x1.39cd8c384446ep-3;
    odd = mul_add(odd, z2, 0x1.c71c5ac9997c2p-3);
    odd = mul_add(odd, z2, 0x1.999999998cd08p-2);
    REAL a = mul_add(z, odd, even);
    REAL h = 0.5 * f * f;
    return mul_add(s, mul_add(a, z, h), -h);
#endif
}

/* The exponent field of a difference of bits, and as a number (in *e). */
NLLK_INLINE BITS exponent_of(BITS t, REAL *e)
{
#if NLLK_BITS == 32
    *e = (REAL)(t >> MANTISSA_BITS);
#else
    /* e + 2047 >= 0 in the low bits of 2^52 is a double without a conversion. */
    const UBITS bias = (UBITS)2047 << MANTISSA_BITS;
    *e = real_of((BITS)(((UBITS)t + bias) >> MANTISSA_BITS) | bits_of(0x1p52)) - (0x1p52 + 2047);
#endif
    return t & EXPONENT_FIELD;
}

/* e (in *e) and 2^e (its bits, less those of 1.0: returned) of the reduction of a positive normal u. */
NLLK_INLINE BITS log_exponent(REAL u, REAL *e)
{
    return exponent_of(bits_minus(bits_of(u), bits_of(C(0x1.6a09e6p-1, 0x1.6a09e667f3bcdp-1))), e); /* sqrt(1/2) */
}

typedef struct {
    REAL e, f; /* of u = 2^e (1 + f) */
} log_reduction;

NLLK_INLINE log_reduction log_reduce(REAL u)
{
    REAL e;
    BITS two_e = log_exponent(u, &e);
    return (log_reduction){e, real_of(bits_minus(bits_of(u), two_e)) - R(1.0)};
}

/* The logarithm from its reduction; inverse = 1 / (2 + f). */
NLLK_INLINE REAL log_assemble(log_reduction u, REAL inverse)
{
    return mul_add(u.e, LN2_HIGH, u.f + mul_add(u.e, LN2_LOW, log1pmx_poly(u.f, inverse)));
}

/* log(x) for positive, normal, finite x: log_normal is this and has its error. */
NLLK_INLINE REAL log_ordinary_(REAL x)
{
    log_reduction u = log_reduce(x);
    return log_assemble(u, R(1.0) / (R(2.0) + u.f));
}

/* log(x) for x = inf, NaN, or positive and normal.
 * Worst: float 0.80 ulp at 0x1.660faep+0, double 0.71 ulp at 0x1.6597e904652e9p+1. */
NLLK_INLINE REAL log_normal_(REAL x)
{
    REAL y = log_ordinary_(x);
    return x < REAL_INF ? y : x;
}

/* log(x) for all x in two steps, before and after what log_ordinary_ does: -inf at +-0, NaN below. */
NLLK_INLINE log_reduction log_reduce_any(REAL x)
{
    log_reduction u = log_reduce(x < REAL_MIN ? x * C(0x1p23, 0x1p52) : x);
    u.e -= x < REAL_MIN ? R(1.0) * MANTISSA_BITS : R(0.0);
    return u;
}

NLLK_INLINE REAL log_limits(REAL x, REAL log_x)
{
    REAL y = x < REAL_INF ? log_x : x;
    y = x <= R(0.0) ? -REAL_INF : y;
    return x < R(0.0) ? REAL_NAN : y;
}

/* log(x), all x.
 * Worst: float 0.82 ulp at 0x1.69e966p-1, double 0.71 ulp at 0x1.6597e904652e9p+1. */
NLLK_INLINE REAL log_(REAL x)
{
    log_reduction u = log_reduce_any(x);
    return log_limits(x, log_assemble(u, R(1.0) / (R(2.0) + u.f)));
}

/* f and e of u = 1 + x, with f correct in spite of the rounding of u: f = 2^-e x + (2^-e - 1).
 * 2^-e is made from 2^(2-e), which is normal for every finite u. */
NLLK_INLINE REAL log1p_reduce(REAL x, REAL *e, REAL *scale_less_one)
{
    BITS two_e = log_exponent(R(1.0) + x, e);
    REAL scale = R(0.25) * real_of(bits_minus(bits_of(R(4.0)), two_e));
    *scale_less_one = scale - R(1.0);
    return mul_add(x, scale, *scale_less_one);
}

/* log(1 + x), all x: -inf at -1, NaN below.
 * Worst: float 1.09 ulp at 0x1.bdc062p-2, double 0.99 ulp at 0x1.b32448c3c95e5p-2. */
NLLK_INLINE REAL log1p_(REAL x)
{
    log_reduction u;
    REAL d;
    u.f = log1p_reduce(x, &u.e, &d);
    REAL y = log_assemble(u, R(1.0) / (R(2.0) + u.f));
    y = x < REAL_INF ? y : x;
    y = x <= R(-1.0) ? -REAL_INF : y;
    return x < R(-1.0) ? REAL_NAN : y;
}

typedef struct {
    REAL log1p;   /* log(1 + x) = x + x^2 Q(x) */
    REAL q;       /* Q(x) = (log(1 + x) - x) / x^2 */
    REAL inverse; /* 1 / (1 + x) */
} log1p_parts;

/* For x in [0, 1].  Error of log1p: 0.05 eps (float), 0.04 eps (double); float is in Horner's order, since sums of even and
 * odd powers would cancel.
 * double: Q = -1/2 + d (x/2 + s d A(z)),  d = 1 / (2 + x),  s = x d,  z = s^2;  d and 1 / (1 + x) come from one division. */
NLLK_INLINE log1p_parts log1p_parts_(REAL x)
{
#if NLLK_BITS == 32
    REAL q = -0x1.af49cep-9f;
    q = mul_add(q, x, 0x1.4917cep-6f);
    q = mul_add(q, x, -0x1.d6b08cp-5f);
    q = mul_add(q, x, 0x1.b4ae08p-4f);
    q = mul_add(q, x, -0x1.3a435ep-3f);
    q = mul_add(q, x, 0x1.934b54p-3f);
    q = mul_add(q, x, -0x1.ff23e6p-3f);
    q = mul_add(q, x, 0x1.554ddp-2f);
    q = mul_add(q, x, -0x1.ffffd2p-2f);
    REAL inverse = 1.0f / (1.0f + x);
#else
    REAL both = 1.0 / ((1.0 + x) * (2.0 + x));
    REAL inverse = both * (2.0 + x), d = both * (1.0 + x);
    REAL s = x * d;
    REAL z = s * s;
    REAL z2 = z * z;
    REAL even = 0x1.5e7358e4ca699p-4;
    even = mul_add(even, z2, 0x1.1089f5b6adc6cp-3);
    even = mul_add(even, z2, 0x1.745cd50176c35p-3);
    even = mul_add(even, z2, 0x1.24924922938fep-2);
    even = mul_add(even, z2, 0x1.555555555554dp-1);
    REAL odd = 0x1.548f3305b2efep-3;
    odd = mul_add(odd, z2, 0x1.edc98c393221dp-4);
    odd = mul_add(odd, z2, 0x1.3b1b2ebc23599p-3);
    odd = mul_add(odd, z2, 0x1.c71c732660604p-3);
    odd = mul_add(odd, z2, 0x1.999999999c41dp-2);
    REAL a = mul_add(z, odd, even);
    REAL q = mul_add(d, mul_add(s * d, a, 0.5 * x), -0.5);
#endif
    return (log1p_parts){mul_add(x * x, q, x), q, inverse};
}

/* log(1 + x), x in [0, 1].
 * Worst: float 1.20 ulp at 0x1.f88ad6p-1, double 1.26 ulp at 0x1.fffed24801a6ep-1. */
NLLK_INLINE REAL log1p_unit_(REAL x) { return log1p_parts_(x).log1p; }

/* log(1 + x) - x, x > -1: f^2 Q(f) + (e ln 2 + f - x), where f - x = (2^-e - 1)(1 + x).
 * The bracket cancels where |e| = 1; there it is (e ln 2 + 2^-e - 1) + (2^-e - 1) x with an exact first part, which towards
 * x = -1 grows too large: there 1 + x is exact.
 * Worst: float 3.14 ulp at -0x1.2c06aap-2, double 2.84 ulp at -0x1.6918570dfc576p-1. */
NLLK_INLINE REAL log1pmx_(REAL x)
{
    REAL e, d;
    REAL f = log1p_reduce(x, &e, &d);
    REAL first = e * LN2_HIGH;
    REAL bracket = x < R(-0.75) ? mul_add(d, R(1.0) + x, first) : mul_add(x, d, first + d);
    bracket = mul_add(e, LN2_LOW, bracket);
    REAL y = log1pmx_poly(f, R(1.0) / (R(2.0) + f)) + bracket;
    y = x < REAL_INF ? y : -x;
    y = x <= R(-1.0) ? -REAL_INF : y;
    return x < R(-1.0) ? REAL_NAN : y;
}

/* log r and log r - x for x = r - 1 known better than r: both from one reduction r = 2^e (1 + f) and one polynomial.
 * The remainder is good for x >= LOG_RATIO_SMALL; below, log r - x itself is. */
#define LOG_RATIO_SMALL R(-0.625)

typedef struct {
    REAL log, remainder;
} log_ratio;

NLLK_INLINE log_ratio log_ratio_(REAL r, REAL x)
{
    REAL e;
    BITS two_e = log_exponent(r, &e);
    REAL half = real_of(bits_minus(bits_of(R(1.0)), two_e)), less_one = half - R(1.0); /* 2^-e, 2^-e - 1 */
    REAL f = x < LOG_RATIO_SMALL ? real_of(bits_minus(bits_of(r), two_e)) - R(1.0) : mul_add(x, half, less_one);
    REAL p = log1pmx_poly(f, R(1.0) / (R(2.0) + f)), high = e * LN2_HIGH;
    return (log_ratio){high + (f + mul_add(e, LN2_LOW, p)),
                       p + mul_add(e, LN2_LOW, mul_add(x, less_one, high + less_one))};
}

#endif
