"""The functions of lib/kernels/functions/ in NumPy, for any float type, and in mpmath."""

import mpmath as mp
import numpy as np

from nllkern.reference import exact
from nllkern.reference.jets import Jet, moving

BERNOULLI = [(1, 6), (-1, 30), (1, 42), (-1, 30), (5, 66), (-691, 2730), (7, 6), (-3617, 510)]
SHIFT = 20  # from which on the expansions with these eight Bernoulli numbers are good for 70 bits
with mp.workdps(40):
    LOG_SCALE = mp.nstr(mp.log(mp.rf(SHIFT + 1, SHIFT - 1)), 30)  # (SHIFT + 1) ... (2 SHIFT - 1)
    LGAMMA_SERIES = [mp.nstr(1 - mp.euler, 30)] + [
        mp.nstr((mp.zeta(k) - 1) * (-1) ** k / k, 30) for k in range(2, 40)
    ]


# ---- the functions in NumPy, for any float type ------------------------------------------------


def log1pmx(x):
    """log1p(x) - x; near 0 as 2 s^3 (1/3 + s^2/5 + ...) - x s with s = x / (2 + x)."""
    s = x / (2 + x)
    z = s * s
    series = sum_series(z, [x.dtype.type(1) / (2 * k + 3) for k in range(24)])
    far = np.where(x < np.inf, np.log1p(x) - x, -x)
    return np.where(np.abs(x) < 0.5, 2 * s * z * series - x * s, far)


def sum_series(z, coefficients):
    total = np.zeros_like(z)
    for c in reversed(coefficients):
        total = total * z + c
    return total


def sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def log_softplus(x):
    e = np.exp(np.maximum(np.minimum(x, 0), -100))
    return np.where(x < 0, x + np.log(np.log1p(e) / e), np.log(softplus(np.maximum(x, 0))))


def sech2(x):
    e = np.exp(-2 * np.abs(x))
    return 4 * e / (1 + e) ** 2


def log_cosh(x):
    size = np.abs(x)
    far = size + np.log1p(np.exp(-2 * size)) - np.log(x.dtype.type(2))
    return np.where(size < 1, np.log1p(2 * np.sinh(np.minimum(size, 1) / 2) ** 2), far)


def shifted(a):
    """Where a < SHIFT: a + SHIFT, else a; and that condition."""
    small = a < SHIFT
    return np.where(small, a + SHIFT, a), small


def asymptotic(z, divide, times=lambda _: 1):
    """The expansions at infinity: sum over k of B_2k times(2k) / divide(2k) z^(1-2k)."""
    one = z.dtype.type(1)
    coefficients = [
        one * n * times(2 * k) / (d * divide(2 * k)) for k, (n, d) in enumerate(BERNOULLI, 1)
    ]
    return sum_series(1 / (z * z), coefficients) / z


def stirling(a, power):
    """lgamma(1 + a) - (a + power) log(a) + a - log(2 pi)/2."""
    z, small = shifted(a)
    log_a = np.log(np.where(a > 0, a, 1))
    far = asymptotic(z, lambda n: n * (n - 1))
    product = np.ones_like(a)
    for k in range(1, SHIFT):
        product = product * np.where(small, (a + k) / (SHIFT + k), 1)
    log_scale = a.dtype.type(LOG_SCALE)
    near = far + (z - 0.5) * np.log(z) - (a + power) * log_a - SHIFT
    near = near - (np.log(product) + log_scale)
    return np.where(small, near, far + (0.5 - power) * log_a)


def stirling_remainder(a):
    """lgamma(a) - (a - 1/2) log(a) + a - log(2 pi)/2."""
    return stirling(a, 0.5)


def poisson_saturated(y):
    """lgamma(1 + y) - y log(y) + y; small y: log1p(y) + lgamma(1 + y) = (1 - euler) y + ..."""
    pi = np.arccos(y.dtype.type(-1))
    near, u = y < 0.5, np.minimum(y, 0.5)
    lgamma = u * sum_series(u, [y.dtype.type(c) for c in LGAMMA_SERIES]) - np.log1p(u)
    small = lgamma + u * (1 - np.log(np.where(u > 0, u, 1)))
    return np.where(near, small, stirling(y, 0.0) + np.log(2 * pi) / 2)


def gamma_d2_log(a):
    """The second derivative by log(a) of lgamma(a) - a log(a) + a, and a."""
    z, small = shifted(a)
    far = a + asymptotic(z, lambda n: n, lambda n: n - 1)
    trigamma_of_z = a * a * (1 / z + (0.5 + asymptotic(z, lambda n: 1)) / (z * z))
    near = a * (np.log(z) - np.log(a) - (0.5 + asymptotic(z, lambda n: n)) / z) + trigamma_of_z
    for k in range(1, SHIFT):
        near = near - a * k / (a + k) ** 2
    return np.where(small, near, far)


def trigamma_scaled(a):
    """a^2 trigamma(a)."""
    z, small = shifted(a)
    far = 0.5 + asymptotic(z, lambda n: 1)
    near = a * a * (1 / z + far / (z * z))
    for k in range(1, SHIFT):
        near = near + (a / (a + k)) ** 2
    return np.where(small, near + 1, a + far)


# c(nu) = log(x)/2 - lgamma(x + 1/2) + lgamma(x), x = nu/2; steps from x to x + SHIFT are sums.


def expansion(z, divide):
    """B_2k - B_2k(1/2) takes the place of B_2k."""
    return asymptotic(z, divide, lambda n: 2 - 2.0 ** (1 - n))


def student_normalizer(nu):
    z, small = shifted(nu / 2)
    x, far = nu / 2, expansion(z, lambda n: n * (n - 1))
    product = x + 0.5
    for k in range(1, SHIFT):
        product = product * np.where(small, 1 + 0.5 / (x + k), 1)
    log_x = np.log(nu) - np.log(nu.dtype.type(2))
    near = far - (np.log(z) + log_x) / 2 + np.log(product)
    return np.where(small, near, far)


def student_d1(nu):
    """Nu c'(nu)."""
    z, small = shifted(nu / 2)
    x, far = nu / 2, expansion(z, lambda n: -n)
    near = 0.5 + x / z * (far - 0.5) - 0.5 / (x + 0.5)
    for k in range(1, SHIFT):
        near = near - 0.5 * x / ((x + k) * (x + k + 0.5))
    return np.where(small, near, far)


def student_d2(nu):
    """nu^2 c''(nu)."""
    z, small = shifted(nu / 2)
    x, far = nu / 2, expansion(z, lambda _: 1)
    near = (x / z) ** 2 * (far + 0.5) - 0.5 + (x + 0.25) / (x + 0.5) ** 2
    for k in range(1, SHIFT):
        near = near + x * x * (x + k + 0.25) / ((x + k) * (x + k + 0.5)) ** 2
    return np.where(small, near, far)


def student_d2_log(nu):
    """Nu c'(nu) + nu^2 c''(nu) = x d/dx of x (digamma(1 + x) - digamma(x + 1/2))."""
    z, small = shifted(nu / 2)
    x, far = nu / 2, asymptotic(z, lambda n: n, lambda n: (n - 1) * (2 - 2.0 ** (1 - n)))
    near = x / z * ((0.5 + expansion(z, lambda n: -n)) * SHIFT / z + x / z * far)
    for k in range(SHIFT):
        near = near + x * ((k + 0.5) * (k + 1) - x * x) / (2 * ((x + k + 0.5) * (x + k + 1)) ** 2)
    return np.where(small, near, far)


NUMPY = {
    "exp": np.exp,
    "exp_nonpositive": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log_normal": np.log,
    "log1p": np.log1p,
    "log1p_unit": np.log1p,
    "log1pmx": log1pmx,
    "sigmoid": sigmoid,
    "softplus": softplus,
    "log_softplus": log_softplus,
    "tanh": np.tanh,
    "sech2": sech2,
    "log_cosh": log_cosh,
    "stirling_remainder": stirling_remainder,
    "trigamma_scaled": trigamma_scaled,
    "poisson_saturated": poisson_saturated,
    "student_normalizer": student_normalizer,
    "gamma_d2_log": gamma_d2_log,
    "student_d1": student_d1,
    "student_d2": student_d2,
    "student_d2_log": student_d2_log,
}


# ---- and in mpmath, by the functions of the reference's formulas --------------------------------


def by_formula(formula):
    """Of numbers, from a formula (of the functions and a jet that moves) of a positive number."""

    def call(x):
        return formula(exact.functions(mp.mp.dps), Jet(moving(x)))

    return call


def value(name):
    return by_formula(lambda f, x: getattr(f, name)(x).value)


def poisson(f, y):
    """Its logarithm is 0 times infinite at 0."""
    if y.value == 0:
        return y.value
    if y.value < 1:
        return (f.lgamma1p(y) - y * f.log(y) + y).value
    return (f.log(y) * 0.5 + f.half_log_2pi + f.stirling(y)).value


def student(f, nu):
    """The value c(nu) + log(nu)/2 of small nu, and c(nu)."""
    x = nu * 0.5
    if nu.value < 32:
        return f.lgamma(x + 1) - f.lgamma(x + 0.5) + f.log_2 / 2
    return f.stirling(x) - f.stirling(x + 0.5) - x * f.log1pmx(0.5 / x)


def student_value(f, nu):
    return student(f, nu).value - (mp.log(nu.value) / 2 if nu.value < 32 else 0)


def by_logarithm(jet, a):
    """The first and the second derivative by log(a)."""
    _, first, second = jet.derivatives
    return a * first, a * first + a * a * second


def student_d1(f, nu):
    return by_logarithm(student(f, nu), nu.value)[0] - (mp.mpf(nu.value < 32) / 2)


def student_d2_log(f, nu):
    return by_logarithm(student(f, nu), nu.value)[1]


def gamma_d2_log(f, a):
    """Of lgamma(a), the logarithm of a is left out: it has none."""
    rest = f.lgamma1p(a) - a * f.log(a) + a if a.value < 1 else f.stirling(a)
    return by_logarithm(rest, a.value)[1] + a.value


def trigamma_scaled(f, a):
    return a.value + mp.mpf(1) / 2 + a.value**2 * f.stirling(a).derivatives[2]


EXACT = {
    "exp": mp.exp,
    "exp_nonpositive": mp.exp,
    "expm1": mp.expm1,
    "log": mp.log,
    "log_normal": mp.log,
    "log1p": mp.log1p,
    "log1p_unit": mp.log1p,
    "log1pmx": exact.log1pmx,
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    "softplus": value("softplus"),
    "log_softplus": by_formula(lambda f, x: mp.log(f.softplus(x).value)),
    "tanh": mp.tanh,
    "sech2": lambda x: mp.sech(x) ** 2,
    "log_cosh": value("log_cosh"),
    "stirling_remainder": value("stirling"),
    "trigamma_scaled": by_formula(trigamma_scaled),
    "poisson_saturated": by_formula(poisson),
    "student_normalizer": by_formula(student_value),
    "gamma_d2_log": by_formula(gamma_d2_log),
    "student_d1": by_formula(student_d1),
    "student_d2": by_formula(lambda f, nu: student_d2_log(f, nu) - student_d1(f, nu)),
    "student_d2_log": by_formula(student_d2_log),
}
