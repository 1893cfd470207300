"""Prints the polynomials of functions/*.h and rows/divergence.h.  Needs mpmath only.

    python tools/coefficients.py [--check] [name ...]

For each polynomial: degree, interval, the largest error that it leaves in the function it serves
(approximation alone, with rounded coefficients, in units of eps), and the coefficients from the
highest power down, as they stand in the headers.  --check: fail if one does not stand there.
"""

import sys
from pathlib import Path

import mpmath as mp
from minimax import fit, hex_float

SQRT2 = mp.sqrt(2)
HALF = mp.mpf(1) / 2
HALF_LOG_2 = mp.log(2) / 2 * mp.mpf("1.001")  # and a little: n is rounded from an inexact product
TINY = mp.mpf(10) ** -10  # below this the limits at 0 are taken; 1 / TINY: any error will do

# a < SPLIT: polynomials in a; above: in 1 / (a + SHIFT).  Format, degree of lgamma's derivative and
# degrees of the second derivative's two polynomials, SPLIT, SHIFT.
GAMMA = {
    "f32": (24, 7, (8, 7), mp.mpf("0.5625"), mp.mpf("0.1875")),
    "f64": (53, 18, (20, 18), mp.mpf("0.78125"), mp.mpf("0.5625")),
}
BERNOULLI = [mp.bernoulli(2 * k) for k in range(1, 16)]

# log_cosh: format, degree of both polynomials, |x| from which on it is in exp(-2|x|).
LOG_COSH = {"f32": (24, 5, mp.mpf("0.75")), "f64": (53, 11, mp.mpf("0.75"))}

# The divergence's |s| = |p - t| / (p + t) at most: log2(p / t) is found to within 0.0861 of +-1/2.
DIVERGENCE = mp.tanh((mp.mpf("0.5") + mp.mpf("0.0861")) * mp.log(2) / 2)

# Student's t, nu < SPLIT: polynomials in (SPLIT - nu) / (nu + BELOW); above: v = 1 / (nu + ABOVE)
# times one in v.  Format, degrees of normalizer, d1 and d2_log, SPLIT, BELOW, ABOVE.
STUDENT = {
    "f32": (24, (7, 8, 9), mp.mpf("1.5"), mp.mpf("2.25"), mp.mpf("0.75")),
    "f64": (53, (17, 19, 21), mp.mpf("2.125"), mp.mpf("2.75"), mp.mpf("1.25")),
}


# ---- exp and log: the functions fitted, and the size of an error that counts as 1 ---------------


def exp_quotient(r):
    """(exp(r) - 1 - r) / r^2."""
    return (mp.expm1(r) - r) / r**2 if abs(r) > 1e-15 else HALF + r / 6 + r * r / 24


def exp_weight(r):
    """Relative to exp(r)."""
    return mp.exp(r) / (r * r + TINY)


def log1p_quotient(x, order):
    """log1p(x) less its first `order` Taylor terms, over x^(order + 1)."""
    if abs(x) < 1e-6:
        return sum((-1) ** (k + order) * x**k / (k + order + 1) for k in range(9))
    taylor = sum((-1) ** (k + 1) * x**k / k for k in range(1, order + 1))
    return (mp.log1p(x) - taylor) / x ** (order + 1)


def log1pmx_weight(f):
    """Relative to log1p(f) - f, nearly."""
    return 1 / (2 * abs(f) + TINY)


def atanh_quotient(z):
    """2 (atanh(s)/s - 1) / z,  z = s^2."""
    s = mp.sqrt(z)
    return 2 * (mp.atanh(s) / s - 1) / z if z > 1e-12 else mp.mpf(2) / 3 + 2 * z / 5


def atanh_weight(z):
    """Relative to log1p(f) - f, nearly, where f = 2 s / (1 - s)."""
    return 2 / (mp.sqrt(z) + TINY)


def log1p_unit_weight(x):
    """Relative to log1p(x)."""
    return mp.log1p(x) / (x * x) if x > 0 else 1 / TINY


# ---- gamma; for large a by the expansions at infinity, where the definitions cancel -------------


def scaled_digamma(a):
    """D(a) = a (digamma(a) - log(a))."""
    if a > 30:
        return -HALF - sum(b / (2 * k + 2) * a ** (-2 * k - 1) for k, b in enumerate(BERNOULLI))
    return a * (mp.digamma(a) - mp.log(a))


def gamma_second(a):
    """The second derivative by log(a) of lgamma(a) - a log(a) + a."""
    if a > 30:
        return sum(
            b * (1 - mp.mpf(1) / (2 * k + 2)) * a ** (-2 * k - 1) for k, b in enumerate(BERNOULLI)
        )
    return a * (mp.digamma(a) - mp.log(a)) + a * a * mp.psi(1, a) - a


def gamma_fits(kind):
    bits, degree, second_degrees, split, shift = GAMMA[kind]

    def slope_below(a):
        return mp.digamma(1 + a)

    def slope_below_weight(a):
        """Relative to D(a) / a, up to 4: for a small y of Poisson, p(y) is not small beside L."""
        return min(abs(scaled_digamma(a)) / a, mp.mpf(4)) if a > 0 else mp.mpf(4)

    def slope_above(v):
        """From D = -1/2 - a v^2 delta'(v), the derivative being with respect to v."""
        a = 1 / v - shift if v > TINY else 0
        return -(scaled_digamma(a) + HALF) / (a * v * v) if a else mp.mpf(1) / 12 + shift * v / 6

    def slope_above_weight(v):
        return abs(scaled_digamma(1 / v - shift)) / ((1 - shift * v) * v) if v > 0 else 1 / TINY

    def second_below(a):
        """The derivative of a digamma(1 + a)."""
        return mp.digamma(1 + a) + a * mp.psi(1, 1 + a)

    def second_above(v):
        return gamma_second(1 / v - shift) / v if v > TINY else mp.mpf(1) / 12

    def second_above_weight(v):
        a = 1 / v - shift if v > 0 else 0
        return (gamma_second(a) + a) / v if a else 1 / TINY

    top = 1 / (split + shift)
    options = {"grid": 250, "antiderivative": True}
    below, above = (0, split, degree, bits), (0, top, degree, bits)
    yield f"lgamma below {kind}", (slope_below, *below), options | {"weight": slope_below_weight}
    yield f"lgamma above {kind}", (slope_above, *above), options | {"weight": slope_above_weight}
    options = {"grid": 250}
    below, above = (0, split, second_degrees[0], bits), (0, top, second_degrees[1], bits)
    yield f"gamma second below {kind}", (second_below, *below), options
    yield (
        f"gamma second above {kind}",
        (second_above, *above),
        options | {"weight": second_above_weight},
    )


# ---- log cosh ------------------------------------------------------------------------------------


def log_cosh(x):
    return x * x / 2 - x**4 / 12 if x < 1e-9 else x - mp.log(2) + mp.log1p(mp.exp(-2 * x))


def log_cosh_fits(kind):
    bits, degree, split = LOG_COSH[kind]

    def near(w):
        """log(cosh(x)) / x^2,  w = x^2."""
        return log_cosh(mp.sqrt(w)) / w if w > 0 else HALF

    def far(e):
        """log1p(e) / e,  e = exp(-2x)."""
        return mp.log1p(e) / e if e > 0 else mp.mpf(1)

    def far_weight(e):
        return log_cosh(-mp.log(e) / 2) / e if e > 0 else 1 / TINY

    top = mp.exp(-2 * split)
    yield f"log_cosh near {kind}", (near, 0, split**2, degree, bits), {"weight": near}
    yield f"log_cosh far {kind}", (far, 0, top, degree, bits), {"weight": far_weight}


# ---- Student's t: c(nu) = lgamma(nu/2) - lgamma((nu + 1)/2) + log(nu/2)/2 ------------------------


def student_smooth(nu):
    """c(nu) + log(nu)/2."""
    return mp.loggamma(1 + nu / 2) - mp.loggamma((1 + nu) / 2) + mp.log(2) / 2


def student_d1(nu):
    """Nu c'(nu)."""
    x = nu / 2
    return HALF - x * (mp.digamma(x + HALF) - mp.digamma(x)) if nu > 0 else -HALF


def student_d2_log(nu):
    """Nu c'(nu) + nu^2 c''(nu)."""
    x = nu / 2
    first = mp.digamma(1 + x) - mp.digamma(HALF + x)
    return x * (first + x * (mp.psi(1, 1 + x) - mp.psi(1, HALF + x)))


def student_fits(kind):
    bits, degrees, split, below, above = STUDENT[kind]
    low, high = (0, split / below), (0, 1 / (split + above))

    def nu_below(u):
        return (split - below * u) / (1 + u)

    def quotient(function, limit):
        """function(nu) / v, v = 1 / (nu + above), and its limit at v = 0."""
        return lambda v: function(1 / v - above) / v if v > TINY else limit

    rest = quotient(lambda nu: student_smooth(nu) - mp.log(nu) / 2, HALF / 2)
    options = {"grid": 250}
    name = f"student {{}} {kind}".format
    yield (
        name("normalizer below"),
        (lambda u: student_smooth(nu_below(u)), *low, degrees[0], bits),
        options,
    )
    weight = {"weight": lambda v: 1 / (v + TINY)}  # it is added to terms of order one
    yield name("normalizer above"), (rest, *high, degrees[0] - 1, bits), options | weight
    near = {"weight": lambda u: student_d1(nu_below(u))}
    far = quotient(student_d1, -HALF / 2)
    yield (
        name("d1 below"),
        (lambda u: student_d1(nu_below(u)), *low, degrees[1], bits),
        options | near,
    )
    yield name("d1 above"), (far, *high, degrees[1] - 1, bits), options | {"weight": far}

    def second_below(u):
        nu = nu_below(u)
        return student_d2_log(nu) / nu if nu > TINY else mp.log(2)

    far = quotient(student_d2_log, HALF / 2)
    near = {"weight": second_below}
    yield name("d2_log below"), (second_below, *low, degrees[2], bits), options | near
    yield name("d2_log above"), (far, *high, degrees[2] - 1, bits), options | {"weight": far}


def fits():
    """Name of each polynomial, and what minimax.fit takes."""
    r, f = (-HALF_LOG_2, HALF_LOG_2), (1 / SQRT2 - 1, SQRT2 - 1)
    yield "exp f32", (exp_quotient, *r, 4, 24), {"weight": exp_weight}
    yield "exp f64", (exp_quotient, *r, 9, 53), {"weight": exp_weight}
    yield ("log1pmx f32", (lambda x: log1p_quotient(x, 2), *f, 7, 24), {"weight": log1pmx_weight})
    yield (
        "log1pmx f64",
        (atanh_quotient, 0, (3 - 2 * SQRT2) ** 2, 6, 53),
        {"weight": atanh_weight},
    )
    yield (
        "log1p_unit f32",
        (lambda x: log1p_quotient(x, 1), 0, 1, 8, 24),
        {"weight": log1p_unit_weight},
    )
    yield "log1p_unit f64", (atanh_quotient, 0, mp.mpf(1) / 9, 9, 53), {"weight": atanh_weight}
    for kind, degree, bits in (("f32", 2, 24), ("f64", 7, 53)):
        yield (
            f"divergence {kind}",
            (atanh_quotient, 0, DIVERGENCE**2, degree, bits),
            {"weight": atanh_weight},
        )
    yield from gamma_fits("f32")
    yield from gamma_fits("f64")
    for kind in ("f32", "f64"):
        yield from log_cosh_fits(kind)
        yield from student_fits(kind)


def main(arguments):
    check = "--check" in arguments
    wanted = [name for name in arguments if name != "--check"]
    kernels = Path(__file__).parent.parent / "src" / "nllkern" / "lib" / "kernels"
    headers = "".join(path.read_text() for path in sorted(kernels.rglob("*.h")))
    missing = 0
    for name, what, options in fits():
        if wanted and not any(w in name for w in wanted):
            continue
        coefficients, error = fit(*what, **options)
        _, lo, hi, degree, bits = what
        interval = f"[{mp.nstr(mp.mpf(lo), 6)}, {mp.nstr(mp.mpf(hi), 6)}]"
        eps = mp.nstr(error * 2 ** (bits - 1), 2)
        print(f"{name}: degree {degree} on {interval}, error {eps} eps")
        for c in reversed(coefficients):
            absent = check and hex_float(c) not in headers
            missing += absent
            print("   ", hex_float(c), "  is not in the headers" if absent else "")
    sys.exit(1 if missing else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
