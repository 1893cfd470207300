/* exp, log and their relatives for vector loops: branch-free scalar functions which the compiler turns into packed
 * code at every SIMD level.
 *
 * No `if`, only selects; no compare or conversion of 64-bit integers and no arithmetic shift of them, which SSE2 and
 * AVX2 lack.  Polynomials are minimax fits (tools/coefficients.py); the error given there is the approximation alone.
 * "Worst" is the largest error measured, |got - exact| / (eps * max(|exact|, smallest normal)), over all SIMD levels;
 * the bounds that the tests enforce stand in functions.inc. */
#ifndef NLLK_VECMATH_H
#define NLLK_VECMATH_H

#include "real.h"

#if NLLK_BITS == 32
typedef uint32_t UBITS;
#else
typedef uint64_t UBITS;
#endif

#define LOG2_E C(0x1.715476p+0, 0x1.71547652b82fep+0)
#define LN2 C(0x1.62e43p-1, 0x1.62e42fefa39efp-1)
/* ln 2 in two parts: n * LN2_HIGH is exact for |n| <= 2^9 (float), 2^12 (double). */
#define LN2_HIGH C(0x1.62e4p-1, 0x1.62e42fefa4p-1)
#define LN2_LOW C(0x1.7f7d1cp-20, -0x1.8432a1b0e2634p-43)

/* Bits of +-2^n * m without the bits of m in [1, 2). */
#define EXPONENT_FIELD ((BITS)(~(UBITS)0 << MANTISSA_BITS))

/* Reals from a field of small integers in the low mantissa bits, as adding ROUND_MAGIC leaves them. */
NLLK_INLINE REAL field_to_real(BITS b, int shift) { return real_of((BITS)((UBITS)b << shift)); }

NLLK_INLINE REAL copysign_(REAL magnitude, REAL sign)
{
    BITS s = bits_of(R(-0.0));
    return real_of((bits_of(magnitude) & ~s) | (bits_of(sign) & s));
}

/* -1, 0 or 1; NaN stays. */
NLLK_INLINE REAL sign_(REAL x) { return (x == R(0.0)) | (x != x) ? x : copysign_(R(1.0), x); }

/* ---- exponential ------------------------------------------------------------------------------------------------
 *
 * exp(x) = 2^n exp(r),  n = round(x / ln 2),  |r| <= ln(2)/2.
 * 2^n is applied as two factors, so that the product of the first is exact and the second rounds once, also when the
 * result is subnormal. */

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
    BITS rest = (BITS)((UBITS)k << MANTISSA_BITS) - half;
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

/* exp(x) 2^k for an integer k, |k| <= 256 (float), 2048 (double): only the final result under- or overflows.
 * Worst: float 0.88 ulp at -0x1.60caf2p+7, double 0.81 ulp at -0x1.d00e2b916b401p+8. */
NLLK_INLINE REAL exp_scaled_(REAL x, REAL k)
{
    REAL n = mul_add(x, LOG2_E, ROUND_MAGIC) - ROUND_MAGIC;
    REAL r = mul_add(n, -LN2_LOW, mul_add(n, -LN2_HIGH, x));
    REAL m = n + k;
    REAL y = exp_scale(exp_polynomial(r, R(1.0)), bits_of(m + (ROUND_MAGIC + 2 * EXPONENT_BIAS)));
    y = m < C(-150.0, -1075.0) ? R(0.0) : y;
    return m > R(1.0) * (EXPONENT_BIAS + 1) ? REAL_INF : y;
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

/* ---- logarithm --------------------------------------------------------------------------------------------------
 *
 * u = 2^e m with m in [sqrt(1/2), sqrt(2)),  f = m - 1,  log(u) = e ln 2 + f + f^2 Q(f),  Q(f) = (log1p(f) - f) / f^2.
 * float: Q is a polynomial.  double: with s = f / (2 + f), z = s^2, log1p(f) = 2 atanh(s) gives
 * f^2 Q = -f^2/2 + s (f^2/2 + z A(z)),  A(z) = 2 (atanh(s)/s - 1) / z. */

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
    return exponent_of(bits_of(u) - bits_of(C(0x1.6a09e6p-1, 0x1.6a09e667f3bcdp-1)), e); /* sqrt(1/2) */
}

typedef struct {
    REAL e, f; /* of u = 2^e (1 + f) */
} log_reduction;

NLLK_INLINE log_reduction log_reduce(REAL u)
{
    REAL e;
    BITS two_e = log_exponent(u, &e);
    return (log_reduction){e, real_of(bits_of(u) - two_e) - R(1.0)};
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
    REAL scale = R(0.25) * real_of(bits_of(R(4.0)) - two_e);
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
    REAL half = real_of(bits_of(R(1.0)) - two_e), less_one = half - R(1.0); /* 2^-e, 2^-e - 1 */
    REAL f = x < LOG_RATIO_SMALL ? real_of(bits_of(r) - two_e) - R(1.0) : mul_add(x, half, less_one);
    REAL p = log1pmx_poly(f, R(1.0) / (R(2.0) + f)), high = e * LN2_HIGH;
    return (log_ratio){high + (f + mul_add(e, LN2_LOW, p)),
                       p + mul_add(e, LN2_LOW, mul_add(x, less_one, high + less_one))};
}

/* ---- logistic family --------------------------------------------------------------------------------------------
 *
 * All from e = exp(-|x|) in [0, 1], which never overflows.
 * softplus      Worst: float 1.57 ulp at 0x1.1d55c4p-10, double 1.64 ulp at 0x1.a8336a7010dffp-11.
 * sigmoid       Worst: float 1.72 ulp at -0x1.4de6aap+1, double 2.13 ulp at -0x1.3286bd0ee3f50p+1.
 * log_softplus  Worst: float 1.64 ulp at 0x1.82b828p-12, double 1.70 ulp at 0x1.33d90e928a7a1p-7.
 *               (in units of eps max(|exact|, 1): it crosses 0 at x = 0.5413) */

NLLK_INLINE REAL softplus_(REAL x) { return max_(x, R(0.0)) + log1p_unit_(exp_nonpositive_(-fabs_(x))); }

NLLK_INLINE REAL sigmoid_(REAL x)
{
    REAL e = exp_nonpositive_(-fabs_(x));
    return log1p_parts_(e).inverse * (x < R(0.0) ? e : R(1.0));
}

/* x < 0: log(softplus) = x + log(log1p(e) / e), and log1p(e) / e = 1 + e Q(e) keeps away from 0. */
NLLK_INLINE REAL log_softplus_(REAL x)
{
    REAL e = exp_nonpositive_(-fabs_(x));
    log1p_parts l = log1p_parts_(e);
    return log_normal_(x < R(0.0) ? mul_add(e, l.q, R(1.0)) : x + l.log1p) + min_(x, R(0.0));
}

typedef struct {
    REAL tanh;
    REAL sech2; /* 1 - tanh^2 = 1 / cosh^2 */
    REAL e;     /* exp(-2|x|) */
} tanh_parts;

/* With m = expm1(-2|x|):  tanh|x| = -m / (2 + m),  sech^2(x) = 4 exp(-2|x|) / (2 + m)^2.
 * tanh   Worst: float 1.88 ulp at 0x1.818a6p-3, double 2.04 ulp at -0x1.6b46bdaebc4c1p-3.
 * sech2  Worst: float 3.28 ulp at 0x1.5e7f16p+1, double 3.24 ulp at 0x1.5e8cefe7745a5p+1. */
NLLK_INLINE tanh_parts tanh_parts_(REAL x)
{
    const REAL low = C(-107.0, -748.5); /* 4 exp(low) rounds to 0 */
    REAL y = R(-2.0) * fabs_(x);
    BITS k;
    REAL r = exp_reduce(y < low ? low : y, EXP_LIFT + EXPONENT_BIAS, &k);
    REAL lifted = field_to_real(k, MANTISSA_BITS);
    REAL scale = lifted * EXP_UNLIFT;
    REAL q = mul_add(r * r, exp_poly(r, R(1.0)), r);
    REAL m = mul_add(q, scale, scale - R(1.0));
    REAL d = R(1.0) / (R(2.0) + m);
    REAL e = mul_add(q, lifted, lifted);
    return (tanh_parts){copysign_(m * d, x), e * d * d * (R(4.0) * EXP_UNLIFT), e * EXP_UNLIFT};
}

NLLK_INLINE REAL tanh_(REAL x) { return tanh_parts_(x).tanh; }
NLLK_INLINE REAL sech2_(REAL x) { return tanh_parts_(x).sech2; }

#define LOG_COSH_NEAR R(0.75)

/* log(cosh(x)) = x^2 P(x^2) near 0,  |x| - log(2) + log1p(e) elsewhere, e = exp(-2|x|) from above, log1p(e) = e P(e): two
 * polynomials of one degree.  Error 0.04 eps (float), 0.2 eps (double).
 * Worst: float 1.21 ulp at 0x1.020144p-2, double 1.33 ulp at -0x1.7cddb24f58a08p-1. */
NLLK_INLINE REAL log_cosh_of(REAL x, REAL e)
{
    REAL size = fabs_(x);
    int near = size < LOG_COSH_NEAR;
    REAL u = near ? x * x : e;
#define SELECT(close, far) (near ? (close) : (far))
#define STEP(close, far) q = mul_add(q, u, SELECT(close, far));
#if NLLK_BITS == 32
    REAL q = SELECT(-0x1.c6fae2p-12f, -0x1.67b0eap-4f);
    STEP(0x1.08d6bep-9f, 0x1.6cdce6p-3f)
    STEP(-0x1.b73cfep-8f, -0x1.f962e8p-3f)
    STEP(0x1.6c0128p-6f, 0x1.55133ep-2f)
    STEP(-0x1.55552p-4f, -0x1.fffd8cp-2f)
    STEP(0x1p-1f, 0x1.fffffcp-1f)
#else
    REAL q = SELECT(-0x1.130ed59b759d8p-21, -0x1.7c94395bf9f06p-6);
    STEP(0x1.a1337c46bc5f3p-19, 0x1.edc0edf713b2ep-5)
    STEP(-0x1.70cc33e8d0f9ep-17, -0x1.6f225485cc928p-4)
    STEP(0x1.0ef5848b97f6fp-15, 0x1.bd479931538e8p-4)
    STEP(-0x1.7cf7461e3387dp-14, -0x1.fe69be033b4c9p-4)
    STEP(0x1.0d019912e588p-12, 0x1.247b4cc02391bp-3)
    STEP(-0x1.833ce2886334ep-11, -0x1.55538654f3222p-3)
    STEP(0x1.1ea5cf376489cp-9, 0x1.999980dc2dce8p-3)
    STEP(-0x1.ba1ba19b1fdcp-8, -0x1.ffffff24265cap-3)
    STEP(0x1.6c16c16be01a5p-6, 0x1.555555530a594p-2)
    STEP(-0x1.555555555533cp-4, -0x1.fffffffff9a45p-2)
    STEP(0x1p-1, 0x1.fffffffffffccp-1)
#endif
#undef STEP
#undef SELECT
    return mul_add(u, q, near ? R(0.0) : (size - LN2_HIGH) - LN2_LOW);
}

NLLK_INLINE REAL log_cosh_(REAL x) { return log_cosh_of(x, tanh_parts_(x).e); }

#endif
