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

/* p = u q(u), u = a or v.  Error of D, and of p' where a < SPLIT: 0.2 eps (float), 0.37 eps (double). */
NLLK_INLINE gamma_polynomial gamma_polynomial_(REAL a)
{
    REAL v = R(1.0) / (a + GAMMA_SHIFT);
    REAL u = SELECT(a, v);
#define STEP(below, above)                                                                                             \
    q = mul_add(q, u, SELECT(below, above));                                                                           \
    dq = mul_add(dq, u, q);
#if NLLK_BITS == 32
    REAL q = SELECT(0x1.2a43d4p-6f, -0x1.4efecap-19f), dq = q;
    STEP(-0x1.1bb2fp-4f, 0x1.0c59ccp-14f)
    STEP(0x1.14c40ap-3f, -0x1.97d55cp-12f)
    STEP(-0x1.944b5cp-3f, 0x1.31a886p-10f)
    STEP(0x1.134f3cp-2f, -0x1.74954ep-10f)
    STEP(-0x1.9a2348p-2f, 0x1.14e408p-12f)
    STEP(0x1.a5198ep-1f, 0x1.ff74p-7f)
    STEP(-0x1.2788cep-1f, 0x1.555684p-4f)
#else
    REAL q = SELECT(-0x1.1917938ea5735p-13, -0x1.56268f4c64bd6p-17), dq = q;
    STEP(0x1.3d267a4b0cd02p-10, -0x1.837e1513da2f7p-17)
    STEP(-0x1.5600367a681c4p-8, 0x1.7f321de6d0d04p-11)
    STEP(0x1.d95cf4998e57dp-7, -0x1.fcb5a3e506bdcp-9)
    STEP(-0x1.dea2e402746d1p-6, 0x1.5deb68b51b82cp-7)
    STEP(0x1.7fe9ea02554e7p-5, -0x1.33243d4396defp-6)
    STEP(-0x1.04bf579041dd5p-4, 0x1.75111181a1bd3p-6)
    STEP(0x1.3d945ea3d558ep-4, -0x1.3ccabfa8d43ep-6)
    STEP(-0x1.6c2abe412a6ffp-4, 0x1.6d4c0cef27ab6p-7)
    STEP(0x1.97ac5cecdfb7cp-4, -0x1.b0470d5e75325p-9)
    STEP(-0x1.c7847d5fe1ed4p-4, 0x1.bb7a4d497f27fp-13)
    STEP(0x1.010061ad52c97p-3, 0x1.6098c969c61e7p-11)
    STEP(-0x1.27024828ba35dp-3, 0x1.b2601d576dee3p-10)
    STEP(0x1.5b40abeaa938ap-3, 0x1.0370db6527ffp-9)
    STEP(-0x1.a8b9bf8c2fc45p-3, 0x1.fa57681cabf2ap-9)
    STEP(0x1.151322a2ae032p-2, 0x1.4c6659833ac49p-7)
    STEP(-0x1.9a4d55be728adp-2, 0x1.827d2806541fep-6)
    STEP(0x1.a51a66253033p-1, 0x1.7fffffff886dfp-5)
    STEP(-0x1.2788cfc6fb616p-1, 0x1.5555555555d6bp-4)
#endif
#undef STEP
    return (gamma_polynomial){v, q * u, dq};
}

/* What the second derivative by log(a) needs.
 * a <  SPLIT:  digamma(1 + a) + a trigamma(1 + a), the derivative of a digamma(1 + a).
 *              Absolute error 0.44 eps (float), 0.23 eps (double).
 * a >= SPLIT:  (D(a) + a^2 trigamma(a) - a) / v.  Error of D + a^2 trigamma 0.2 eps (float), 0.34 eps (double). */
NLLK_INLINE REAL gamma_second_polynomial_(REAL a, REAL v)
{
    REAL u = SELECT(a, v);
#define STEP(below, above) q = mul_add(q, u, SELECT(below, above));
#if NLLK_BITS == 32
    REAL q = SELECT(-0x1.c6c12p-1f, 0.0f);
    STEP(0x1.7f6bbcp+1f, -0x1.4341a6p-10f)
    STEP(-0x1.39ef04p+2f, 0x1.1d87a6p-7f)
    STEP(0x1.6022dep+2f, -0x1.a39f92p-6f)
    STEP(-0x1.451824p+2f, 0x1.34de46p-5f)
    STEP(0x1.1464p+2f, -0x1.42e13cp-6f)
    STEP(-0x1.cd8496p+1f, -0x1.5e7a7cp-6f)
    STEP(0x1.a51a02p+1f, 0x1.0058eep-6f)
    STEP(-0x1.2788cep-1f, 0x1.554e0cp-4f)
#else
    REAL q = SELECT(-0x1.9b3d84cd2b7d1p-6, 0.0);
    STEP(0x1.d22b650c41c63p-3, 0.0)
    STEP(-0x1.f7733da2836b9p-1, 0x1.30bae6ae8ea0cp-4)
    STEP(0x1.5ade71849ac8dp+1, -0x1.34c420da6598bp-1)
    STEP(-0x1.59a43cdb0006fp+2, 0x1.2243b713e6ba1p+1)
    STEP(0x1.0cd13b95d0942p+3, -0x1.4f033469bfbd7p+2)
    STEP(-0x1.59c3ddfd18dd3p+3, 0x1.08326302e8dbep+3)
    STEP(0x1.82a2bc819c083p+3, -0x1.2add41245f23dp+3)
    STEP(-0x1.8916117ef2c2p+3, 0x1.ec04f14af87fep+2)
    STEP(0x1.7924ff96f55bap+3, -0x1.20dbb7d15cda8p+2)
    STEP(-0x1.5e7de63a50341p+3, 0x1.bcfe6807988d1p+0)
    STEP(0x1.3fff3de99734bp+3, -0x1.4d4ece625c944p-2)
    STEP(-0x1.2087e57465cf5p+3, -0x1.38894fbd95e9p-7)
    STEP(0x1.0109d8933f40bp+3, -0x1.bc5e85eca183fp-6)
    STEP(-0x1.c3bd5601b0929p+2, 0x1.f761e4a0559a5p-6)
    STEP(0x1.86a8e1133ecf2p+2, 0x1.05ce22e2ab0a9p-6)
    STEP(-0x1.4bd11f06791dp+2, -0x1.3bda36eca96d7p-6)
    STEP(0x1.151322abb6a57p+2, -0x1.c032618b1f3cp-6)
    STEP(-0x1.cd9700767bdb9p+1, 0x1.6665b11a417b3p-10)
    STEP(0x1.a51a662530784p+1, 0x1.8000002475d27p-5)
    STEP(-0x1.2788cfc6fb619p-1, 0x1.55555555297f5p-4)
#endif
#undef STEP
    return q;
}

/* lgamma and its derivatives by log(a) without the logarithms, which a likelihood adds to its own:
 *
 *              a < SPLIT                                    a >= SPLIT
 *     p        lgamma(1 + a)                                delta(a)
 *     d1       a digamma(1 + a) - 1                         a (digamma(a) - log(a))
 *     d2_log   a (digamma(1 + a) + a trigamma(1 + a))       d1 + a^2 trigamma(a)
 *
 * On both sides a^2 trigamma(a) = d2_log - d1, in which nothing cancels.  The compiler drops `d2_log` where it is not used. */
typedef struct {
    REAL p, d1, d2_log;
} gamma_terms;

NLLK_INLINE gamma_terms gamma_terms_(REAL a)
{
    gamma_polynomial g = gamma_polynomial_(a);
    REAL q = gamma_second_polynomial_(a, g.v), a_v = mul_add(-g.v, GAMMA_SHIFT, R(1.0)); /* a / (a + SHIFT) */
    return (gamma_terms){
        .p = g.p,
        .d1 = SELECT(mul_add(a, g.dp, R(-1.0)), mul_add(-a_v * g.v, g.dp, R(-0.5))),
        .d2_log = mul_add(SELECT(a, g.v), q, SELECT(R(0.0), a)),
    };
}

/* a^2 trigamma(a): from 1 at 0, ~ a + 1/2 at infinity.
 * Worst: float 1.55 ulp at 0x1.1cb746p-1, double 2.01 ulp at 0x1.88434c2491544p-1. */
NLLK_INLINE REAL trigamma_scaled_(REAL a)
{
    gamma_terms g = gamma_terms_(a);
    return g.d2_log - g.d1;
}

/* lgamma(1 + y) - y log(y) + y, y >= 0: what remains of a Poisson likelihood where the rate is y.  0 at y = 0, whatever
 * finite log_y is there; ~ log(2 pi y)/2 for large y.
 * Worst: float 1.41 ulp at 0x1.f76ddap-96, double 1.46 ulp at 0x1.9790a83ce2479p-1. */
NLLK_INLINE REAL poisson_saturated_of(REAL a, REAL log_a)
{
    return mul_add(SELECT(-a, R(0.5)), log_a, gamma_polynomial_(a).p + SELECT(a, HALF_LOG_2PI));
}

/* delta(a), in units of eps max(|exact|, 1): not accurate relative to delta itself for large a.
 * Worst: float 3.03 ulp at 0x1.a6de46p-7, double 2.69 ulp at 0x1.6a09e667f3bcep-6. */
NLLK_INLINE REAL stirling_remainder_(REAL a)
{
    gamma_polynomial g = gamma_polynomial_(a);
    return SELECT(mul_add(-(a + R(0.5)), log_(a), g.p + (a - HALF_LOG_2PI)), g.p);
}

/* The second derivative by log(a) of lgamma(a) - a log(a) + a, and a: positive, ~ -a log(a) at 0, ~ a at infinity.
 * Worst: float 2.38 ulp at 0x1.1ba8ap-1, double 2.37 ulp at 0x1.2d12b118a0c93p-1. */
NLLK_INLINE REAL gamma_d2_log_(REAL a)
{
    gamma_terms g = gamma_terms_(a);
    return SELECT(mul_add(-a, log_(a), g.d2_log), g.d2_log);
}

NLLK_INLINE REAL poisson_saturated_(REAL y) { return poisson_saturated_of(y, log_(y > R(0.0) ? y : R(1.0))); }

#undef SELECT

#endif
