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
 * SPLIT and SHIFT balance the two degrees (tools/coefficients.py).
 *
 * GCC needs -fno-thread-jumps here: it would otherwise turn the many selects by the same condition into two whole
 * polynomials, evaluate both, and take half as long again. */
#ifndef NLLK_GAMMA_H
#define NLLK_GAMMA_H

#include "logarithm.h"

#define GAMMA_SPLIT C(0.5625, 0.78125)
#define GAMMA_SHIFT C(0.1875, 0.5625)

#define SELECT(below, above) (a < GAMMA_SPLIT ? (below) : (above))

typedef struct {
    REAL v;  /* 1 / (a + SHIFT) */
    REAL p;  /* lgamma(1 + a) or delta(a) */
    REAL dp; /* its derivative */
} gamma_polynomial;

/* p = u q(u), u = a or v.  Error of D: 0.47 eps (float), 0.35 eps (double). */
NLLK_INLINE gamma_polynomial gamma_polynomial_(REAL a)
{
    REAL v = R(1.0) / (a + GAMMA_SHIFT);
    REAL u = SELECT(a, v);
#define STEP(below, above)                                                                                             \
    q = mul_add(q, u, SELECT(below, above));                                                                           \
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
    REAL q = SELECT(-0x1.cdd84f385c2eap-14, -0x1.56268f4c64bd6p-17), dq = q;
    STEP(0x1.0bbefd503d349p-10, -0x1.837e1513da2f7p-17)
    STEP(-0x1.290d1da923f81p-8, 0x1.7f321de6d0d04p-11)
    STEP(0x1.a73f51e303c9ap-7, -0x1.fcb5a3e506bdcp-9)
    STEP(-0x1.b859970f5e33p-6, 0x1.5deb68b51b82cp-7)
    STEP(0x1.6aae39c38ab4fp-5, -0x1.33243d4396defp-6)
    STEP(-0x1.f7d2e89b213c2p-5, 0x1.75111181a1bd3p-6)
    STEP(0x1.37f4a7de6fff6p-4, -0x1.3ccabfa8d43ep-6)
    STEP(-0x1.6966ca807d9a2p-4, 0x1.6d4c0cef27ab6p-7)
    STEP(0x1.969e8e3b8cc28p-4, -0x1.b0470d5e75325p-9)
    STEP(-0x1.c7350134a65e8p-4, 0x1.bb7a4d497f27fp-13)
    STEP(0x1.00f767fce4dp-3, 0x1.6098c969c61e7p-11)
    STEP(-0x1.2700c021f65ep-3, 0x1.b2601d576dee3p-10)
    STEP(0x1.5b407a7eb829p-3, 0x1.0370db6527ffp-9)
    STEP(-0x1.a8b9bb174038cp-3, 0x1.fa57681cabf2ap-9)
    STEP(0x1.1513227f9416ep-2, 0x1.4c6659833ac49p-7)
    STEP(-0x1.9a4d55bd131aap-2, 0x1.827d2806541fep-6)
    STEP(0x1.a51a66252c4cap-1, 0x1.7fffffff886dfp-5)
    STEP(-0x1.2788cfc6fb572p-1, 0x1.5555555555d6bp-4)
#endif
#undef STEP
    return (gamma_polynomial){v, q * u, dq};
}

/* D(a) from its parts.
 * Worst: float 1.89 ulp at 0x1.1400ecp-1, double 2.45 ulp at 0x1.83391a9f66bd8p-1. */
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

/* log_a is the caller's: a may have underflowed, to 0 even, where log_a is still right.
 * lgamma_part, in units of eps max(|exact|, 1), with log_(a):
 * Worst: float 3.41 ulp at 0x1.bf0c18p-3, double 2.65 ulp at 0x1.73aa3d47eee34p-3. */
NLLK_INLINE gamma_parts gamma_parts_(REAL a, REAL log_a)
{
    gamma_polynomial g = gamma_polynomial_(a);
    REAL constant = SELECT(a - HALF_LOG_2PI, R(0.0));
    REAL factor = SELECT(R(1.0) + a, R(0.5));
    return (gamma_parts){mul_add(-factor, log_a, g.p + constant), gamma_d_(a, log_a, g)};
}

/* a^2 trigamma(a): from 1 at 0, ~ a + 1/2 at infinity.
 * a < SPLIT: 1 + a^2 trigamma(1 + a);  above: a + 1/2 + v q(v).  Error 0.13 eps (float), 0.25 eps (double).
 * Worst: float 1.13 ulp at 0x1.c1c646p+1, double 1.46 ulp at 0x1.8d78b823970a2p-1. */
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
    REAL q = SELECT(0x1.82e1a3af6c838p-6, 0x1.46a62a18e5f42p-4);
    STEP(-0x1.b1ddd8745224dp-3, -0x1.4b1c97f48b55p-1)
    STEP(0x1.cf3ef0757c0f8p-1, 0x1.37952ca9677dap+1)
    STEP(-0x1.3b55ca372e939p+1, -0x1.6840edd3fa66bp+2)
    STEP(0x1.363e65dcf9cp+2, 0x1.1ce6283087088p+3)
    STEP(-0x1.dc2f65314406bp+2, -0x1.43a7d1407f858p+3)
    STEP(0x1.2e07c0cbc2074p+3, 0x1.0c23a0e85ff2cp+3)
    STEP(-0x1.4ce7b0f24f5e1p+3, -0x1.3e149a1d3fa33p+2)
    STEP(0x1.4d5fe30a51d32p+3, 0x1.f33a66daf2fb6p+0)
    STEP(-0x1.3aa37de6799bp+3, -0x1.89b1ab90e3712p-2)
    STEP(0x1.1efd6e16c6ba8p+3, -0x1.f95407b7c319fp-9)
    STEP(-0x1.004673fc869c8p+3, -0x1.e6847c7de8a7bp-6)
    STEP(0x1.c1c24405cf1p+2, 0x1.25d8798cf9f25p-5)
    STEP(-0x1.8332eb3345f83p+2, 0x1.15efb96eda27bp-6)
    STEP(0x1.458c99d87fcc5p+2, -0x1.754d38412890ap-6)
    STEP(-0x1.097416fb8823fp+2, -0x1.b3996f00941fap-6)
    STEP(0x1.9f9cb3e115dd8p+1, 0x1.3dddd8507c012p-6)
    STEP(-0x1.33ba004e5ed35p+1, 0x1.8000000b11c4cp-4)
    STEP(0x1.a51a66252e0cap+0, 0x1.5555555546a0ep-3)
#endif
#undef STEP
    return mul_add(SELECT(a * a, v), q, SELECT(R(1.0), a + R(0.5)));
}

/* lgamma(1 + y) - y log(y) + y, y >= 0: what remains of a Poisson likelihood where the rate is y.  0 at y = 0, whatever
 * finite log_y is there; ~ log(2 pi y)/2 for large y.  In units of eps max(|exact|, 1):
 * Worst: float 1.52 ulp at 0x1.fd4bfcp-2, double 1.29 ulp at 0x1.fff0000000001p-1. */
NLLK_INLINE REAL poisson_saturated_of(REAL a, REAL log_a)
{
    return mul_add(SELECT(-a, R(0.5)), log_a, gamma_polynomial_(a).p + SELECT(a, HALF_LOG_2PI));
}

/* delta(a), in units of eps max(|exact|, 1): not accurate relative to delta itself for large a.
 * Worst: float 4.12 ulp at 0x1.2c09ep-6, double 3.04 ulp at 0x1.200430553f694p-6. */
NLLK_INLINE REAL stirling_remainder_(REAL a)
{
    gamma_polynomial g = gamma_polynomial_(a);
    return SELECT(mul_add(-(a + R(0.5)), log_(a), g.p + (a - HALF_LOG_2PI)), g.p);
}

/* digamma(a) - log(a), negative.
 * Worst: float 2.10 ulp at 0x1.16bf3ep-1, double 2.71 ulp at 0x1.83391a9f66bd8p-1. */
NLLK_INLINE REAL digamma_minus_log_(REAL a) { return gamma_d_(a, log_(a), gamma_polynomial_(a)) / a; }

/* The second derivative of lgamma.
 * Worst: float 1.97 ulp at 0x1.e23e52p+2, double 2.12 ulp at 0x1.fc2a1fcffd7cdp+5. */
NLLK_INLINE REAL trigamma_(REAL a) { return trigamma_scaled_(a) / a / a; }

NLLK_INLINE REAL poisson_saturated_(REAL y) { return poisson_saturated_of(y, log_(y > R(0.0) ? y : R(1.0))); }

#undef SELECT

#endif
