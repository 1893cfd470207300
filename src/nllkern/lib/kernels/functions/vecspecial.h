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
#ifndef NLLK_VECSPECIAL_H
#define NLLK_VECSPECIAL_H

#include "vecmath.h"

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

/* ---- the plain functions, for use and test one by one ----------------------------------------------------------- */

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

/* ---- Student's t ------------------------------------------------------------------------------------------------
 *
 *     c(nu) = lgamma(nu/2) - lgamma((nu + 1)/2) + log(nu/2)/2,        ~ 1/(4 nu), 0 at infinity
 *
 * is by how much minus the logarithm of the density's peak exceeds that of the normal distribution.  It, nu c'(nu) and
 * nu^2 c''(nu) have a polynomial each, with coefficients selected by the size of nu:
 *     nu <  SPLIT:  p(u),    u = (SPLIT - nu) / (nu + BELOW);  of c(nu) + log(nu)/2 in the first
 *     nu >= SPLIT:  u p(u),  u = 1 / (nu + ABOVE)
 * Below, all three grow in size towards nu = 0: from the split on, nothing cancels. */

#define STUDENT_SPLIT C(1.5, 2.125)
#define STUDENT_BELOW C(2.25, 2.75)
#define STUDENT_ABOVE C(0.75, 1.25)

#define SELECT(below, above) (nu < STUDENT_SPLIT ? (below) : (above))
#define STEP(below, above) q = mul_add(q, u, SELECT(below, above));

NLLK_INLINE REAL student_argument(REAL nu)
{
    return SELECT(STUDENT_SPLIT - nu, R(1.0)) / (nu + SELECT(STUDENT_BELOW, STUDENT_ABOVE));
}

/* c(nu); log_nu is the caller's, as in gamma_parts_.  Error 0.06 eps (float), 0.12 eps (double), with log_(nu) and in units of
 * eps max(|exact|, 1):
 * Worst: float 1.87 ulp at 0x1.8a78dp-4, double 1.80 ulp at 0x1.2e1313e57fc10p-4. */
NLLK_INLINE REAL student_normalizer_of(REAL nu, REAL log_nu)
{
    REAL u = student_argument(nu);
#if NLLK_BITS == 32
    REAL q = SELECT(-0x1.f697cap-7f, -0x1.5a6c06p-10f);
    STEP(0x1.67604p-5f, 0x1.c1c4eap-5f)
    STEP(-0x1.74e802p-4f, 0x1.438a86p-7f)
    STEP(0x1.b0cbe8p-4f, 0x1.83c60ep-8f)
    STEP(-0x1.aa8e1p-3f, 0x1.98412ep-4f)
    STEP(0x1.08067cp-3f, 0x1.7feb68p-3f)
    STEP(-0x1.c7edb6p-1f, 0x1.00003p-2f)
    STEP(0x1.71185p-2f, 0.0f)
#else
    REAL q = SELECT(-0x1.cb0706fa2ac3ep-12, -0x1.1faa48be3b2d7p+5);
    STEP(0x1.63585453384a9p-9, 0x1.127ff28f0b027p+6)
    STEP(-0x1.16cf2c3898881p-7, 0x1.3b6c229c1fbf2p+3)
    STEP(0x1.212da993a20b6p-6, -0x1.c7ca5ec8187a9p+6)
    STEP(-0x1.ca82155bbd57p-6, 0x1.0fec1006a1dc5p+7)
    STEP(0x1.2d7bd79b8bb89p-5, -0x1.4e29d45945075p+6)
    STEP(-0x1.681103062be92p-5, 0x1.fbede5726e3e5p+4)
    STEP(0x1.93ada74accd14p-5, -0x1.5f414b880dfa5p+2)
    STEP(-0x1.cb733819960c9p-5, 0x1.311f37c6e6c76p-2)
    STEP(0x1.f60baee8d7b78p-5, 0x1.2395096ccbf67p-1)
    STEP(-0x1.2ead6abf97e34p-4, 0x1.cd538ee9a1e56p-2)
    STEP(0x1.404e59c9d96p-4, 0x1.0bcbd9f9763d6p-2)
    STEP(-0x1.c6851e8cb06a5p-4, 0x1.1434278c1cb7dp-2)
    STEP(0x1.9c3880e60a4cap-4, 0x1.53fffb09e092dp-2)
    STEP(-0x1.c914fd2c9756ap-3, 0x1.65555564c6675p-2)
    STEP(0x1.cb21d062f7c51p-4, 0x1.3fffffffe78a6p-2)
    STEP(-0x1.cc79ef4d30d7ap-1, 0x1.00000000000dap-2)
    STEP(0x1.f6bb8b092cdbcp-2, 0.0)
#endif
    return mul_add(R(-0.5), SELECT(log_nu, R(0.0)), q);
}

/* nu c'(nu), from -1/2 at 0 to 0.  Error 0.52 eps (float), 1.1 eps (double).
 * Worst: float 2.27 ulp at 0x1.28dfp-8, double 2.91 ulp at 0x1.ec3daccc0cf94p-46. */
NLLK_INLINE REAL student_slope_(REAL nu)
{
    REAL u = student_argument(nu);
#if NLLK_BITS == 32
    REAL q = SELECT(-0x1.b3c928p-6f, -0x1.0a6c06p-1f);
    STEP(0x1.b8a98ep-6f, 0x1.0f3348p+0f)
    STEP(-0x1.811a66p-5f, -0x1.95605ap-1f)
    STEP(-0x1.9a32d4p-6f, 0x1.007c2ap-3f)
    STEP(-0x1.431a52p-4f, 0x1.6564fap-3f)
    STEP(-0x1.296cccp-3f, -0x1.00359ap-6f)
    STEP(-0x1.db7e34p-3f, -0x1.7fff54p-3f)
    STEP(-0x1.200272p-2f, -0x1p-2f)
    STEP(-0x1.268382p-3f, 0.0f)
#else
    REAL q = SELECT(-0x1.5ba9893a75ac7p-9, 0x1.be0424ac0a327p+15);
    STEP(0x1.fc0f9610abccp-7, -0x1.43f4917305406p+17)
    STEP(-0x1.66015419bbf9ap-5, 0x1.aedbf0b815794p+17)
    STEP(0x1.38a5f010d8a87p-4, -0x1.59015d4665b7p+17)
    STEP(-0x1.7b653755bda42p-4, 0x1.6e0584b624842p+16)
    STEP(0x1.4d3ff9e8516f6p-4, -0x1.079effe2949f9p+15)
    STEP(-0x1.bf7375129e05p-5, 0x1.ed19a7228fb3p+12)
    STEP(0x1.b3cb993206ec3p-6, -0x1.dd4806e46e266p+9)
    STEP(-0x1.90c09080bd00cp-7, -0x1.20154b0be9d51p+4)
    STEP(0x1.11c7362f1d94bp-11, 0x1.d5ec496f1f2d8p+2)
    STEP(-0x1.6d25c6a25803dp-8, 0x1.fb102fdb39cbbp+2)
    STEP(-0x1.162ef0e96c7f2p-7, -0x1.efdab37e54087p-1)
    STEP(-0x1.f86079faceb91p-7, -0x1.2c65e9459cb12p+0)
    STEP(-0x1.c022025802712p-6, 0x1.db167adbad7c7p-4)
    STEP(-0x1.8de2422ee1b5ep-5, 0x1.3effdd9a37a0dp-2)
    STEP(-0x1.5907fcf4342edp-4, -0x1.3ffff87fa6625p-6)
    STEP(-0x1.142cd1e0c73bcp-3, -0x1.10000000d50c7p-2)
    STEP(-0x1.7e701215d1e02p-3, -0x1.3fffffffff6d9p-2)
    STEP(-0x1.b446b4bbb1711p-3, -0x1.0000000000001p-2)
    STEP(-0x1.ba3c88fff3558p-4, 0.0)
#endif
    return q;
}

/* nu^2 c''(nu), from 1/2 at 0 to 0.  Error 0.5 eps (float), 0.66 eps (double).
 * Worst: float 2.01 ulp at 0x1.d59962p+1, double 2.12 ulp at 0x1.f6e9f92b674f9p+5. */
NLLK_INLINE REAL student_curve_(REAL nu)
{
    REAL u = student_argument(nu);
#if NLLK_BITS == 32
    REAL q = SELECT(-0x1.6d77eap-3f, -0x1.8aa852p+2f);
    STEP(0x1.1b9754p-2f, 0x1.e60a0cp+3f)
    STEP(-0x1.5e2394p-2f, -0x1.e8a04ep+3f)
    STEP(0x1.ea1e5ap-5f, 0x1.c65c42p+2f)
    STEP(-0x1.783802p-3f, -0x1.b5e838p-2f)
    STEP(-0x1.4f3d8cp-3f, -0x1.c6c30cp-1f)
    STEP(-0x1.9961ep-4f, -0x1.c1c06ep-3f)
    STEP(0x1.29bae2p-3f, 0x1.8002f6p-2f)
    STEP(0x1.a494p-2f, 0x1.fffffep-2f)
    STEP(0x1.06760ap-2f, 0.0f)
#else
    REAL q = SELECT(-0x1.156ae302ded29p-5, -0x1.5393f6512aba9p+21);
    STEP(0x1.d476c04ecc98p-3, 0x1.5384dc70d255fp+23)
    STEP(-0x1.7a6e9df68d8b6p-1, -0x1.35013e66fbf88p+24)
    STEP(0x1.7e326f26c6053p+0, 0x1.5501ce76400e8p+24)
    STEP(-0x1.0d718931dff85p+1, -0x1.fe96e79c38314p+23)
    STEP(0x1.17d04722c3fa5p+1, 0x1.11a05001a7cd8p+23)
    STEP(-0x1.bbb37546335d5p+0, -0x1.acfe30051e36ep+21)
    STEP(0x1.0fed74ad8a0e1p+0, 0x1.e88b1fe49c326p+19)
    STEP(-0x1.09af5009a67b9p-1, -0x1.80e6e6944f32ap+17)
    STEP(0x1.8342e274e793fp-3, 0x1.6a32942669b42p+14)
    STEP(-0x1.210adcbf77134p-4, -0x1.edc56f17dda02p+9)
    STEP(-0x1.05b451b206931p-8, 0x1.f45efe9b31093p+6)
    STEP(-0x1.f2dbebea2f8c3p-6, -0x1.83842c9994679p+6)
    STEP(-0x1.550a070d7e7c2p-5, -0x1.25b8c0aaa462ap+0)
    STEP(-0x1.f393a58f7deep-5, 0x1.47c2e9a03dddcp+3)
    STEP(-0x1.571686ceddf2bp-4, 0x1.22aea9bc42163p+0)
    STEP(-0x1.9e1729390ddd6p-4, -0x1.f780353c54759p+0)
    STEP(-0x1.4d1059ff96f28p-4, -0x1.cbffff1421ac1p-1)
    STEP(0x1.3a41b54c14827p-6, 0x1.1ffffffdda7ddp-2)
    STEP(0x1.8f6c9fac7a9cfp-3, 0x1.40000000007c7p-1)
    STEP(0x1.64e0150604c6bp-2, 0x1.fffffffffffffp-2)
    STEP(0x1.9b4a376233492p-3, 0.0)
#endif
    return q;
}

NLLK_INLINE REAL student_normalizer_(REAL nu) { return student_normalizer_of(nu, log_(nu)); }

#undef STEP
#undef SELECT

#endif
