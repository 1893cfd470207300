"""Stable special functions for the reference: NumPy, float64, no SciPy.

Each is accurate to a few units in the last place over its whole stated range, because the
reference is the yardstick of the compiled kernels.
"""

from typing import NamedTuple

import numpy as np

HALF_LOG_2PI = 0.5 * np.log(2.0 * np.pi)


def product(x, y):
    """x*y with 0*inf = 0: a term whose weight is zero is absent."""
    return np.where((x == 0) | (y == 0), 0.0, x * y)


def replaced(x, index, value):
    """A copy of x with ``value`` at ``index`` of the last axis."""
    x = x.copy()
    np.put_along_axis(x, index, value, axis=-1)
    return x


def sum_of_others(x):
    """sum_{j != k} x_j for every k of the last axis, x >= 0.

    total - x_k loses digits only where x_k dominates the total, and only the largest entry can.
    """
    top = np.argmax(x, axis=-1, keepdims=True)
    rest = replaced(x, top, 0.0).sum(axis=-1, keepdims=True)
    return replaced((rest + np.take_along_axis(x, top, axis=-1)) - x, top, rest)


def softmax_rest(s):
    """(max s, sum of exp(s_k - max s) over all k but the first maximum, its index).

    The other classes are shifted by their own maximum, and brought back in two halves: many
    terms that underflow one by one have a sum that need not.
    """
    top = s.argmax(axis=-1, keepdims=True)
    m = np.take_along_axis(s, top, axis=-1)
    others = replaced(s, top, -np.inf)
    runner_up = others.max(axis=-1, keepdims=True)
    half = np.exp(0.5 * (runner_up - m))
    rest = half * (half * np.exp(others - runner_up).sum(axis=-1, keepdims=True))
    return m, np.where(runner_up == -np.inf, 0.0, rest), top


def sigmoid(x):
    """1 / (1 + exp(-x))."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, e) / (1.0 + e)


def softplus(x):
    """log(1 + exp(x))."""
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def sech2(x):
    """sech(x)^2 = 1 - tanh(x)^2, without the subtraction."""
    e = np.exp(-2.0 * np.abs(x))
    return 4.0 * e / (1.0 + e) ** 2


def log_cosh(x):
    """log(cosh(x)) = log(1 + 2 sinh(x/2)^2)."""
    size = np.abs(x)
    far = (size - np.log(2.0)) + np.log1p(np.exp(-2.0 * size))
    return np.where(size < 1.0, np.log1p(2.0 * np.sinh(0.5 * np.minimum(size, 1.0)) ** 2), far)


def _atanh_tail(s):
    """atanh(s)/s - 1 = s^2/3 + s^4/5 + ...  for |s| <= 1/3."""
    total = np.zeros_like(s)
    for n in range(20, 0, -1):
        total = s * s * (1.0 / (2 * n + 1) + total)
    return total


def log1pmx_ratio(x):
    """(log(1 + x) - x) / x  for -1/2 <= x <= 1.

    With s = x/(2 + x), log(1 + x) = 2 atanh(s) and 2s - x = -x s.
    """
    s = x / (2.0 + x)
    return (1.0 - s) * _atanh_tail(s) - s


def log1pmx(x):
    """log(1 + x) - x."""
    near = (x >= -0.5) & (x <= 1.0)
    return np.where(near, x * log1pmx_ratio(np.where(near, x, 0.0)), np.log1p(x) - x)


# Gamma function family.  Upward recurrence to z >= 16, then the asymptotic series of
# DLMF 5.11 in the Bernoulli numbers B_2, B_4, ..., B_16.

BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)


def _climb(a, step, series):
    """step(a) + step(a + 1) + ... + step(z - 1) + series(z), z = a + n >= 16."""
    total, z = np.zeros_like(a), a
    for n in range(16):
        low = a + n < 16
        total = total + np.where(low, step(np.where(low, a + n, 1.0)), 0.0)
        z = np.where(low, a + n + 1, z)
    return total + series(z)


def _power_series(w, coefficients):
    """c_0 + c_1 w^2 + c_2 w^4 + ..."""
    total = np.zeros_like(w)
    for c in reversed(coefficients):
        total = c + w * w * total
    return total


def stirling_remainder(a):
    """delta(a) = lgamma(a) - (a - 1/2) log a + a - log(2 pi)/2  for a >= 1.

    delta(a) - delta(a + 1) = (a + 1/2) log(1 + 1/a) - 1 = atanh(s)/s - 1, s = 1/(2a + 1).
    """
    c = [b / ((2 * n) * (2 * n - 1)) for n, b in enumerate(BERNOULLI, 1)]
    return _climb(a, lambda z: _atanh_tail(1 / (2 * z + 1)), lambda z: _power_series(1 / z, c) / z)


def log_minus_digamma(a):
    """Log a - digamma(a)  for a >= 1; a step of the recurrence is 1/a - log(1 + 1/a)."""
    c = [b / (2 * n) for n, b in enumerate(BERNOULLI, 1)]
    return _climb(a, lambda z: -log1pmx(1 / z), lambda z: (0.5 + _power_series(1 / z, c) / z) / z)


def trigamma(a):
    """The derivative of digamma, for a >= 1; a step of the recurrence is 1/a^2."""
    return _climb(
        a, lambda z: 1 / z**2, lambda z: (1 + (0.5 + _power_series(1 / z, BERNOULLI) / z) / z) / z
    )


# The three functions of the gamma likelihood, for a > 0.  Below 1 they step up once by hand and
# take log a from the caller, so that they have their limits even where a itself underflows to 0.


def lgamma_scaled(a, log_a):
    """lgamma(a) - a log a + a."""
    large = HALF_LOG_2PI - 0.5 * log_a + stirling_remainder(np.maximum(a, 1.0))
    a = np.minimum(a, 1.0)
    up = (a + 0.5) * np.log1p(a) - 1.0 + HALF_LOG_2PI + stirling_remainder(a + 1.0)
    return np.where(a < 1, up - product(1.0 + a, log_a), large)


def digamma_scaled(a, log_a):
    """A (digamma(a) - log a)."""
    large = np.clip(a, 1.0, 1e300)
    large = -large * log_minus_digamma(large)
    a = np.minimum(a, 1.0)
    up = np.log1p(a) - log_minus_digamma(a + 1.0) - log_a
    return np.where(a < 1, product(a, up) - 1.0, large)


def trigamma_scaled(a):
    """a^2 trigamma(a)."""
    large = np.clip(a, 1.0, 1e300)
    large = a * (large * trigamma(large))
    a = np.minimum(a, 1.0)
    return np.where(a < 1, 1.0 + a * a * trigamma(a + 1.0), large)


def poisson_saturated(y):
    """lgamma(1 + y) - y log y + y: minus the log-probability of y where the rate is y."""
    positive = np.where(y > 0, y, 1.0)
    large = HALF_LOG_2PI + 0.5 * np.log(positive) + stirling_remainder(np.maximum(y, 1.0))
    small = np.clip(y, 0.0, 1.0)
    up = (small + 0.5) * np.log1p(small) - 1.0 + HALF_LOG_2PI + stirling_remainder(small + 1.0)
    return np.where(y < 1, up - small * np.log(positive), large)


# Student's t, with x = nu/2: c(nu) = log(x)/2 - lgamma(x + 1/2) + lgamma(x).  A step of its
# recurrence is log(1 + 1/(4 x (x + 1)))/2, and all steps and the series have one sign.

_MIDPOINTS = [b * (2.0 - 2.0 ** (1 - 2 * n)) for n, b in enumerate(BERNOULLI, 1)]


def _of_half(nu, first, step, series):
    """series(x, 1) for x = nu/2 >= 16, else first(x) + step(x + 1, x) + ... + series(z, x/z)."""
    x = np.minimum(0.5 * nu, 16.0)
    near = first(x) + _climb(x + 1.0, lambda z: step(z, x), lambda z: series(z, x / z))
    return np.where(nu < 32, near, series(np.maximum(0.5 * nu, 16.0), 1.0))


def student_normalizer(nu, log_nu):
    """C(nu)."""
    c = [b / ((2 * n) * (2 * n - 1)) for n, b in enumerate(_MIDPOINTS, 1)]
    return _of_half(
        nu,
        lambda x: np.log(x + 0.5) - 0.5 * np.log1p(x) - 0.5 * (log_nu - np.log(2.0)),
        lambda z, _: 0.5 * np.log1p(0.25 / (z * (z + 1.0))),
        lambda z, _: _power_series(1 / z, c) / z,
    )


def student_slope(nu):
    """Nu c'(nu), from -1/2 at nu = 0 to 0."""
    c = [b / (2 * n) for n, b in enumerate(_MIDPOINTS, 1)]
    return -_of_half(
        nu,
        lambda x: 0.25 / ((x + 0.5) * (x + 1.0)),
        lambda z, x: 0.25 * x / (z * (z + 0.5) * (z + 1.0)),
        lambda z, share: share * _power_series(1 / z, c) / z,
    )


def student_curve(nu):
    """nu^2 c''(nu), from 1/2 at nu = 0 to 0."""
    return _of_half(
        nu,
        lambda x: (3.0 * x * (x + 1.0) + 0.5) / (2.0 * (x + 0.5) * (x + 1.0)) ** 2,
        lambda z, x: (3.0 * z * (z + 1.0) + 0.5) * (0.5 * x / (z * (z + 0.5) * (z + 1.0))) ** 2,
        lambda z, share: share**2 * _power_series(1 / z, _MIDPOINTS) / z,
    )


def product_ratio(x, y, a):
    """((x y - a) / a, log(x y / a))  for positive x, y, a, without cancellation or overflow.

    Works on the mantissas; the rounding error of their product is recovered by Dekker's
    algorithm, so that x y close to a leaves an exact difference.
    """
    (mx, ex), (my, ey), (ma, ea) = np.frexp(x), np.frexp(y), np.frexp(a)
    shift = ex + ey - ea
    high = mx * my
    low = _product_error(mx, my, high)
    scaled_a = np.ldexp(ma, -np.clip(shift, -4, 4))
    residual = ((high - scaled_a) + low) / scaled_a
    log_ratio = np.log(high / ma) + shift * np.log(2.0)
    ratio = np.ldexp(high / ma, shift)
    near = np.abs(ratio - 1.0) <= 0.5
    return np.where(near, residual, ratio - 1.0), np.where(near, np.log1p(residual), log_ratio)


def _product_error(x, y, xy):
    """The exact x*y - fl(x*y) for x, y of modest size (Dekker 1971)."""
    xs, ys = 134217729.0 * x, 134217729.0 * y
    x1, y1 = xs - (xs - x), ys - (ys - y)
    x2, y2 = x - x1, y - y1
    return ((x1 * y1 - xy) + x1 * y2 + x2 * y1) + x2 * y2


_LOG_2 = 0.6931471805592082, 7.371002565167799e-13  # its first 40 bits, and the rest


def _times_exp(x, log):
    """X exp(log), where the exponential alone may under- or overflow."""
    log = np.clip(log, -2e4, 2e4)
    k = np.rint(np.nan_to_num(log) / np.log(2.0))
    rest = (log - k * _LOG_2[0]) - k * _LOG_2[1]
    mantissa, exponent = np.frexp(x)  # x may be subnormal
    return np.ldexp(mantissa * np.exp(rest), exponent + k.astype(int))


class Linked(NamedTuple):
    """A positive parameter p = link(u) and what the derivatives with respect to u need."""

    value: np.ndarray  # p
    log: np.ndarray  # log p, finite even where p overflows or underflows
    slope: np.ndarray  # p'/p, the derivative of log p
    bend: np.ndarray  # (log p)''/(log p)'
    second: np.ndarray  # p''/p
    valid: np.ndarray  # u is in the domain of the link
    lost: np.ndarray  # p underflows or overflows, so that only log p is known

    def times(self, x):
        """P x, also where p underflows or overflows and p x does not."""
        return np.where(self.lost & ~np.isnan(x), _times_exp(x, self.log), x * self.value)

    def divide(self, x):
        """X / p, likewise."""
        return np.where(self.lost & ~np.isnan(x), _times_exp(x, -self.log), x / self.value)


def apply_link(link: str, u: np.ndarray) -> Linked:
    """P = u (identity), sqrt(u) (variance), softplus(u), exp(u) (log), exp(u/2) (log_variance)."""
    one, zero, never = np.ones_like(u), np.zeros_like(u), np.zeros(u.shape, bool)
    number = ~np.isnan(u)
    if link == "identity":
        return Linked(u, np.log(u), 1 / u, -1 / u, zero, u > 0, never)
    if link == "variance":
        return Linked(np.sqrt(u), 0.5 * np.log(u), 0.5 / u, -1 / u, -0.25 / u / u, u > 0, never)
    if link == "log":
        return Linked(np.exp(u), u, one, zero, one, number, np.abs(u) > 700)
    if link == "log_variance":
        half = 0.5 * one
        return Linked(np.exp(0.5 * u), 0.5 * u, half, zero, half**2, number, np.abs(u) > 1400)

    # For u < 0, with e = exp(u): softplus(u) = e (1 + ratio), ratio = (log(1 + e) - e)/e, so log p
    # is u + log(1 + ratio) and p'/p = 1 / ((1 + e)(1 + ratio)): neither ever divides 0 by 0.
    e = np.exp(np.minimum(u, 0.0))
    ratio = log1pmx_ratio(e)
    p = softplus(u)
    negative = u < 0
    slope = np.where(negative, 1 / ((1 + e) * (1 + ratio)), sigmoid(u) / p)
    return Linked(
        value=p,
        log=np.where(negative, u + np.log1p(ratio), np.log(p)),
        slope=slope,
        bend=np.where(negative, slope * ratio, sigmoid(-u) - slope),
        second=slope * sigmoid(-u),
        valid=number,
        lost=u < -700,
    )
