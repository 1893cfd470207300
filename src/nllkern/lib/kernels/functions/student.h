/* Student's t.
 *
 *     c(nu) = lgamma(nu/2) - lgamma((nu + 1)/2) + log(nu/2)/2,        ~ 1/(4 nu), 0 at infinity
 *
 * is by how much minus the logarithm of the density's peak exceeds that of the normal distribution.  It and its first two
 * derivatives by log(nu),
 *
 *     d1     = nu c'(nu)                     from -1/2 at 0 to 0
 *     d2_log = nu c'(nu) + nu^2 c''(nu)      ~ nu log(2) at 0, ~ 1/(4 nu) at infinity
 *
 * have a polynomial each, with coefficients selected by the size of nu:
 *     nu <  SPLIT:  p(u),    u = (SPLIT - nu) / (nu + BELOW),  of c(nu) + log(nu)/2, d1 and d2_log / nu
 *     nu >= SPLIT:  u p(u),  u = 1 / (nu + ABOVE)
 * d1 < 0 < d2_log: in nu^2 c''(nu) = d2_log - d1 nothing cancels. */
#ifndef NLLK_STUDENT_H
#define NLLK_STUDENT_H

#include "logarithm.h"

#define STUDENT_SPLIT C(1.5, 2.125)
#define STUDENT_BELOW C(2.25, 2.75)
#define STUDENT_ABOVE C(0.75, 1.25)

#define SELECT(below, above) (nu < STUDENT_SPLIT ? (below) : (above))
#define STEP(below, above) q = mul_add(q, u, SELECT(below, above));

NLLK_INLINE REAL student_argument(REAL nu)
{
    return SELECT(STUDENT_SPLIT - nu, R(1.0)) / (nu + SELECT(STUDENT_BELOW, STUDENT_ABOVE));
}

/* c(nu) + log(nu)/2 where nu < SPLIT, c(nu) above: the logarithm is left to the caller, who has others to add it to.
 * Error 0.06 eps (float), 0.12 eps (double), absolute. */
NLLK_INLINE REAL student_smooth_(REAL nu)
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
    return q;
}

/* nu c'(nu), from -1/2 at 0 to 0.  Error 0.52 eps (float), 1.1 eps (double).
 * Worst: float 2.27 ulp at 0x1.28dfp-8, double 2.91 ulp at 0x1.ec3daccc0cf94p-46. */
NLLK_INLINE REAL student_d1_(REAL nu)
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

/* nu c'(nu) + nu^2 c''(nu).  Error 0.57 eps (float), 1.2 eps (double).
 * Worst: float 3.51 ulp at 0x1.82e08p-7, double 4.62 ulp at 0x1.e3ba5fbc6b17p-4. */
NLLK_INLINE REAL student_d2_log_(REAL nu)
{
    REAL u = student_argument(nu);
#if NLLK_BITS == 32
    REAL q = SELECT(0x1.87aa7ep-3f, -0x1.7a525ep+2f);
    STEP(-0x1.0daf18p-2f, 0x1.c6881ep+3f)
    STEP(0x1.5ba7dap-2f, -0x1.bbb64p+3f)
    STEP(-0x1.a4b73cp-10f, 0x1.8b25cep+2f)
    STEP(0x1.fb107p-3f, -0x1.182582p-2f)
    STEP(0x1.494adep-2f, -0x1.6f287ep-1f)
    STEP(0x1.c0df6ap-2f, -0x1.e15e48p-3f)
    STEP(0x1.c1a90ep-2f, 0x1.80043ap-3f)
    STEP(0x1.186304p-2f, 0x1.fffffep-3f)
    STEP(0x1.333618p-4f, 0.0f)
#else
    REAL q = SELECT(0x1.052151897ac4dp-5, -0x1.712f7e36fdd9ap+21);
    STEP(-0x1.ac4ad5e505788p-3, 0x1.6611de1493b07p+23)
    STEP(0x1.50792fdae3502p-1, -0x1.3e6b20b90dd34p+24)
    STEP(-0x1.4a3230fe06274p+0, 0x1.58fc0c3baaa35p+24)
    STEP(0x1.c41d5f848d43fp+0, -0x1.fcc6a7da9aa8cp+23)
    STEP(-0x1.c72a52e892dc2p+0, 0x1.0d279d0d48ee2p+23)
    STEP(0x1.5dad3f27f63efp+0, -0x1.a13088c6de611p+21)
    STEP(-0x1.9d8351f248b53p-1, 0x1.d6262be486902p+19)
    STEP(0x1.88875feba4453p-2, -0x1.6ecdc349f56d3p+17)
    STEP(-0x1.0a142fa4c725bp-3, 0x1.569448bd5ce3cp+14)
    STEP(0x1.bf5edcd51cb31p-5, -0x1.df938bd64f436p+9)
    STEP(0x1.d4fb81da5a181p-7, 0x1.fcd1648d83e5cp+6)
    STEP(0x1.4075c0a440172p-5, -0x1.62158a53bfe4dp+6)
    STEP(0x1.e3d74b94e659fp-5, -0x1.123892f36c64cp+1)
    STEP(0x1.78c8c9f7c0e74p-4, 0x1.223fb407b71a4p+3)
    STEP(0x1.1d20a22e76da3p-3, 0x1.405dbe6524f2cp+0)
    STEP(0x1.9e8aa55606b4ep-3, -0x1.a7c031dc7c341p+0)
    STEP(0x1.1589f1f05ae6ep-2, -0x1.d5ffff2309b6p-1)
    STEP(0x1.3f2da550d3422p-2, 0x1.ffffffbf83e66p-7)
    STEP(0x1.1e9eeaf0752e6p-2, 0x1.4000000000eb8p-2)
    STEP(0x1.4fe1f5ab4fd89p-3, 0x1.ffffffffffffep-3)
    STEP(0x1.65f85fc7f3fcep-5, 0.0)
#endif
    return SELECT(nu, R(1.0)) * q;
}

/* nu^2 c''(nu), from 1/2 at 0 to 0.
 * Worst: float 2.39 ulp at 0x1.c6a282p+1, double 3.02 ulp at 0x1.f3db9213e8f9dp+2. */
NLLK_INLINE REAL student_d2_(REAL nu) { return student_d2_log_(nu) - student_d1_(nu); }

/* c(nu), in units of eps max(|exact|, 1):
 * Worst: float 1.87 ulp at 0x1.8a78dp-4, double 1.80 ulp at 0x1.2e1313e57fc10p-4. */
NLLK_INLINE REAL student_normalizer_(REAL nu)
{
    return mul_add(R(-0.5), SELECT(log_(nu), R(0.0)), student_smooth_(nu));
}

#undef STEP
#undef SELECT

#endif
