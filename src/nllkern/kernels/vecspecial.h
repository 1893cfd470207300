/* Gamma functions for vector loops: what a gamma likelihood needs of lgamma, digamma and trigamma, without the
 * cancellation that the textbook form suffers for large and for small shapes.  Branch-free; a > 0.
 *
 *     delta(a) = lgamma(a) - (a - 1/2) log(a) + a - log(2 pi)/2        Stirling's remainder, ~ 1/(12 a)
 *     D(a)     = a (digamma(a) - log(a))                              from -1 at 0 to -1/2 at infinity
 *
 * Both come from one polynomial p and its derivative p', with coefficients selected by the size of a:
 *     a <  SPLIT:  p(a) = lgamma(1 + a),         delta(a) = p(a) + a - log(2 pi)/2 - (a + 1/2) log(a)
 *                                                D(a) = -1 + a (p'(a) - log(a))
 *     a >= SPLIT:  p(v) = delta(a),  v = 1 / (a + SHIFT),   D(a) = -1/2 + a delta'(a) = -1/2 - a v^2 p'(v)
 * SPLIT and SHIFT balance the two degrees (tools/coefficients.py). */
#ifndef NLLK_VECSPECIAL_H
#define NLLK_VECSPECIAL_H

#include "vecmath.h"

#define GAMMA_SPLIT C(0.5625, 0.765625)
#define GAMMA_SHIFT C(0.1875, 0.5625)
#define HALF_LOG_2PI C(0x1.d67f1cp-1, 0x1.d67f1c864beb5p-1)

#define SELECT(below, above) (a < GAMMA_SPLIT ? (below) : (above))

typedef struct {
    REAL v;  /* 1 / (a + SHIFT) */
    REAL p;  /* lgamma(1 + a) or delta(a) */
    REAL dp; /* its derivative */
} gamma_polynomial;

/* p = u q(u), u = a or v.  Error of D: 0.5 eps (float), 0.7 eps (double). */
NLLK_INLINE gamma_polynomial gamma_polynomial_(REAL a)
{
    REAL v = R(1.0) / (a + GAMMA_SHIFT);
    REAL u = SELECT(a, v);
#define STEP(below, above)                      \
    q = mul_add(q, u, SELECT(below, above));    \
    dq = mul_add(dq, u, q);
#if NLLK_BITS == 32
    REAL q = SELECT(-0x1.7217d2p-6f, 0x1.98543p-15f), dq = q;
    STEP(0x1.5ea8b8p-4f, -0x1.6ef134p-12f)
    STEP(-0x1.5ad65ep-3f, 0x1.23aa1p-10f)
    STEP(0x1.09fa6ep-2f, -0x1.697c5p-10f)
    STEP(-0x1.9867b2p-2f, 0x1.0069f6p-12f)
    STEP(0x1.a50386p-1f, 0x1.ff9db6p-7f)
    STEP(-0x1.2787dp-1f, 0x1.5555ep-4f)
#else
    REAL q = SELECT(0x1.6d537dee081bdp-13, -0x1.3abb2570b855fp-14), dq = q;
    STEP(-0x1.8edd739b8d984p-10, 0x1.dac2a6e799fd6p-11)
    STEP(0x1.a0b5e728cb5cp-8, -0x1.1049ef63b5384p-8)
    STEP(-0x1.17fad079232f4p-6, 0x1.66481ce9772fp-7)
    STEP(0x1.13c6f76cce935p-5, -0x1.350c599fd4871p-6)
    STEP(-0x1.b120f4291dcc9p-5, 0x1.748d1e9180215p-6)
    STEP(0x1.21f37ed9cbd0fp-4, -0x1.3b38595cbf8aap-6)
    STEP(-0x1.5ecf86f4b37bfp-4, 0x1.6a9aec99b74a6p-7)
    STEP(0x1.92aa0bae461efp-4, -0x1.aa845ff330285p-9)
    STEP(-0x1.c61042ef1b08ap-4, 0x1.98c856efffa84p-13)
    STEP(0x1.00d6e4c05c422p-3, 0x1.62fa6254f2531p-11)
    STEP(-0x1.26fb472d3c6cep-3, 0x1.b2229d405a3c8p-10)
    STEP(0x1.5b3fcb87ecef5p-3, 0x1.037561b095815p-9)
    STEP(-0x1.a8b9ab5e95f6ap-3, 0x1.fa56ee61f0e73p-9)
    STEP(0x1.15132203358f5p-2, 0x1.4c665bb7ab262p-7)
    STEP(-0x1.9a4d55b82262bp-2, 0x1.827d27f9005e8p-6)
    STEP(0x1.a51a66251dd27p-1, 0x1.7fffffffb85f6p-5)
    STEP(-0x1.2788cfc6fb2fp-1, 0x1.55555555557f7p-4)
#endif
#undef STEP
    return (gamma_polynomial){v, q * u, dq};
}

/* D(a) from its parts. */
NLLK_INLINE REAL gamma_d_(REAL a, REAL log_a, gamma_polynomial g)
{
    REAL below = mul_add(a, g.dp - log_a, R(-1.0));
    REAL above = mul_add(mul_add(g.v, GAMMA_SHIFT, R(-1.0)) * g.v, g.dp, R(-0.5)); /* a v = 1 - SHIFT v */
    return SELECT(below, above);
}

typedef struct {
    REAL lgamma_part; /* delta(a) - log(a)/2 = lgamma(a) - a log(a) + a - log(2 pi)/2 */
    REAL d;           /* D(a) = a (digamma(a) - log(a)) */
} gamma_parts;

/* log_a is the caller's: a may have underflowed, to 0 even, where log_a is still right. */
NLLK_INLINE gamma_parts gamma_parts_(REAL a, REAL log_a)
{
    gamma_polynomial g = gamma_polynomial_(a);
    REAL constant = SELECT(a - HALF_LOG_2PI, R(0.0));
    REAL factor = SELECT(R(1.0) + a, R(0.5));
    return (gamma_parts){mul_add(-factor, log_a, g.p + constant), gamma_d_(a, log_a, g)};
}

/* a^2 trigamma(a): from 1 at 0, ~ a + 1/2 at infinity.
 * a < SPLIT: 1 + a^2 trigamma(1 + a);  above: a + 1/2 + v q(v).  Error 0.3 eps. */
NLLK_INLINE REAL trigamma_scaled_(REAL a)
{
    REAL v = R(1.0) / (a + GAMMA_SHIFT);
    REAL u = SELECT(a, v);
#define STEP(below, above) q = mul_add(q, u, SELECT(below, above));
#if NLLK_BITS == 32
    REAL q = SELECT(-0x1.521b6ep-1f, -0x1.709788p-10f);
    STEP(0x1.288bdcp+1f, 0x1.4962b8p-7f)
    STEP(-0x1.f48f3ep+1f, -0x1.ed92d2p-6f)
    STEP(0x1.1be142p+2f, 0x1.78580cp-5f)
    STEP(-0x1.015696p+2f, -0x1.b1977ep-6f)
    STEP(0x1.9db7fep+1f, -0x1.aba0eep-6f)
    STEP(-0x1.339c18p+1f, 0x1.feb09ep-6f)
    STEP(0x1.a518f6p+0f, 0x1.5554dap-3f)
#else
    REAL q = SELECT(0x1.aeaa2c45a1b3p-6, 0x1.330747ea5486fp-4);
    STEP(-0x1.da6b405d4bd5fp-3, -0x1.395e91017bfa7p-1)
    STEP(0x1.f1eb3841107b6p-1, 0x1.28c398e473e2ep+1)
    STEP(-0x1.4d7c156de20cdp+1, -0x1.5917138769aa9p+2)
    STEP(0x1.4340d1e9b099p+2, 0x1.1244adef8fd1ap+3)
    STEP(-0x1.e9b6f405e8b0bp+2, -0x1.38d58bd97c716p+3)
    STEP(0x1.334e4ac82da8dp+3, 0x1.03df4425e53f7p+3)
    STEP(-0x1.500cddf1a680bp+3, -0x1.346a44052685bp+2)
    STEP(0x1.4ed2a5c1e5191p+3, 0x1.e1c11750e939p+0)
    STEP(-0x1.3b27d01e7a695p+3, -0x1.712e3ee20a1a8p-2)
    STEP(0x1.1f21f2990c3c3p+3, -0x1.535a932eb7e3cp-7)
    STEP(-0x1.004e2f499907bp+3, -0x1.d04b27d40696ep-6)
    STEP(0x1.c1c4bdfcdc902p+2, 0x1.2416ba970daf8p-5)
    STEP(-0x1.83333656465f5p+2, 0x1.16592daad5e5ap-6)
    STEP(0x1.458ca039b05b3p+2, -0x1.755618db174eap-6)
    STEP(-0x1.0974175a2486ap+2, -0x1.b398ec2133351p-6)
    STEP(0x1.9f9cb3e801f02p+1, 0x1.3dddd38a711cep-6)
    STEP(-0x1.33ba004e82808p+1, 0x1.800000113908cp-4)
    STEP(0x1.a51a66252e9fdp+0, 0x1.555555554041ap-3)
#endif
#undef STEP
    return mul_add(SELECT(a * a, v), q, SELECT(R(1.0), a + R(0.5)));
}

/* ---- the plain functions, for use and test one by one ----------------------------------------------------------- */

/* delta(a).  Relative error for a >= 1; below, absolute in units of eps max(1, |log a|). */
NLLK_INLINE REAL stirling_remainder_(REAL a)
{
    gamma_polynomial g = gamma_polynomial_(a);
    return SELECT(mul_add(-(a + R(0.5)), log_(a), g.p + (a - HALF_LOG_2PI)), g.p);
}

/* digamma(a) - log(a), negative. */
NLLK_INLINE REAL digamma_minus_log_(REAL a) { return gamma_d_(a, log_(a), gamma_polynomial_(a)) / a; }

/* The second derivative of lgamma. */
NLLK_INLINE REAL trigamma_(REAL a) { return trigamma_scaled_(a) / a / a; }

#undef SELECT

#endif
