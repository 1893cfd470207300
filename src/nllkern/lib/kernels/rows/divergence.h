/* Terms of the Kullback-Leibler divergence of a target t from a prediction p.
 *
 *   softmax:  KL = sum_k (p_k - t_k + t_k log(t_k / p_k)) + (sum t - 1),   p = softmax(z)
 *   log:      KL = sum_k t_k (log t_k - l_k),                              l = log p as it was given
 *
 * (where sum t < 1/2 the p are left out, and sum t is added instead of sum t - 1: it would lose digits).  The first
 * form's terms are t h(log(t / p)), h(d) = exp(-d) - 1 + d >= 0.  Let n = 2^-k p be near t and
 * s = (n - t) / (n + t):
 *
 *   t (n/t - 1 - log(n/t)) = s ((n - t) - t s^2 A(s^2)),   A(z) = 2 (atanh(s)/s - 1) / z,   |s| <= 0.2004
 *   p - t + t log(t / p)   = that + (p - n) - t k ln 2
 *
 * n - t is exact, and where p is near t, k = 0 leaves no difference at all: a divergence much smaller than the entropies
 * of t and p keeps its digits.  0 log 0 = 0, and t > 0 = p costs +inf. */
#ifndef NLLK_DIVERGENCE_H
#define NLLK_DIVERGENCE_H

#include "functions/logarithm.h"

enum { NO_DIVERGENCE, FROM_SOFTMAX, FROM_LOG };

/* t, if it may stand for a probability; else NaN. */
NLLK_INLINE REAL target_mass(REAL t) { return ((t >= 0) & (t < REAL_INF)) ? t : REAL_NAN; }

/* A(z), z = s^2.  Relative error 0.2 eps (float), 0.007 eps (double) of what it serves. */
NLLK_INLINE REAL divergence_poly(REAL z)
{
#if NLLK_BITS == 32
    return mul_add(mul_add(0x1.35494p-2f, z, 0x1.99424cp-2f), z, 0x1.55558ep-1f);
#else
    REAL z2 = z * z;
    REAL odd = mul_add(0x1.1a4851e83f117p-3, z2, 0x1.3b31fda77fc56p-3);
    odd = mul_add(odd, z2, 0x1.c71c73e16b7e6p-3);
    odd = mul_add(odd, z2, 0x1.999999999aedcp-2);
    REAL even = mul_add(0x1.0e01a604e4b8cp-3, z2, 0x1.745c6d75eb5afp-3);
    even = mul_add(even, z2, 0x1.24924922ce86dp-2);
    even = mul_add(even, z2, 0x1.5555555555553p-1);
    return mul_add(odd, z, even);
#endif
}

/* exp(fall) underflows long before log p = fall - log total is meaningless: below this, exp(FALL_LOW) stands for it in the
 * logarithm, which the rest of the fall joins. */
#define FALL_LOW C(-40.0, -400.0)
#define EXP_FALL_LOW C(0x1.397924p-58, 0x1.e50c483c04dcdp-578)

/* What the p of the terms of a row add up to: 1, or 0 where they are left out. */
NLLK_INLINE REAL divergence_unit(REAL mass) { return mass < R(0.5) ? R(0.0) : R(1.0); }

/* unit p - t + t log(t / p) for p = e over, e = exp(fall). */
NLLK_INLINE REAL softmax_term(REAL t, REAL fall, REAL e, REAL over, REAL unit)
{
    const UBITS half = (UBITS)1 << (MANTISSA_BITS - 1);
    int low = fall < FALL_LOW, subnormal = t < REAL_MIN;
    REAL p = unit * (e * over), q = (low ? EXP_FALL_LOW : e) * over, k;
    REAL lifted = subnormal ? t * C(0x1p23, 0x1p52) : t, down = subnormal ? C(0x1p-23, 0x1p-52) : R(1.0);
    lifted = t == 0 ? R(1.0) : lifted; /* or the unused n would be subnormal, which takes a processor long */
    /* Differences of bits are those of logarithms, nearly. */
    BITS difference = (BITS)((UBITS)bits_of(q) - (UBITS)bits_of(lifted) + half);
    REAL n = real_of((BITS)((UBITS)bits_of(q) - (UBITS)exponent_of(difference, &k)));
    REAL d = n - lifted, s = d / (n + lifted), z = s * s;
    REAL near = s * mul_add(-lifted * z, divergence_poly(z), d);
    k += subnormal ? R(1.0) * MANTISSA_BITS : R(0.0);
    REAL log_far = mul_add(k, LN2, low ? fall - FALL_LOW : R(0.0));
    return t == 0 ? p : near * down + mul_add(-t, log_far, p - n * down);
}

/* log t - l for t > 0: l meets the part of log t that is as large as it is first. */
NLLK_INLINE REAL log_quotient(REAL t, REAL l)
{
    log_reduction u = log_reduce_any(t);
    return mul_add(u.e, LN2_HIGH, -l) + (u.f + mul_add(u.e, LN2_LOW, log1pmx_poly(u.f, R(1.0) / (R(2.0) + u.f))));
}

#endif
