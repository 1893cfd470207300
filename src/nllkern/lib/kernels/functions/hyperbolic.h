/* tanh, its derivative and the logarithm of cosh. */
#ifndef NLLK_HYPERBOLIC_H
#define NLLK_HYPERBOLIC_H

#include "logarithm.h"

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
