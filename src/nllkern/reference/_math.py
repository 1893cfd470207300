"""Stable special functions for the reference: NumPy, float64, no SciPy.

Each is accurate to a few units in the last place over its whole stated range, because the
reference is the yardstick of the compiled kernels.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

HALF_LOG_2PI = 0.5 * np.log(2.0 * np.pi)


def product(x: Array, y: Array) -> Array:
    """x*y with 0*inf = 0: a term whose weight is zero is absent."""
    return np.where((x == 0) | (y == 0), 0.0, x * y)


def replaced(x: Array, index: Array, value: Any) -> Array:
    """A copy of x with ``value`` at ``index`` of the last axis."""
    x = x.copy()
    np.put_along_axis(x, index, value, axis=-1)
    return x


def sum_of_others(x: Array) -> Array:
    """sum_{j != k} x_j for every k of the last axis, x >= 0.

    total - x_k loses digits only where x_k dominates the total, and only the largest entry can.
    """
    top = np.argmax(x, axis=-1, keepdims=True)
    rest = replaced(x, top, 0.0).sum(axis=-1, keepdims=True)
    return replaced((rest + np.take_along_axis(x, top, axis=-1)) - x, top, rest)


def softmax_rest(s: Array) -> tuple[Array, Array, Array]:
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


def softmax(s: Array) -> tuple[Array, Array, Array, Array]:
    """(max s, sum of the other exponentials as in ``softmax_rest``, p, 1 - p)."""
    m, rest, top = softmax_rest(s)
    e = np.exp(s - m)
    return m, rest, e / (1.0 + rest), replaced((1.0 + rest) - e, top, rest) / (1.0 + rest)


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x))."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, e) / (1.0 + e)


def softplus(x: Array) -> Array:
    """log(1 + exp(x))."""
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def sech2(x: Array) -> Array:
    """sech(x)^2 = 1 - tanh(x)^2, without the subtraction."""
    e = np.exp(-2.0 * np.abs(x))
    return 4.0 * e / (1.0 + e) ** 2


def _atanh_tail(s: Array) -> Array:
    """atanh(s)/s - 1 = s^2/3 + s^4/5 + ...  for |s| <= 1/3."""
    total = np.zeros_like(s)
    for n in range(20, 0, -1):
        total = s * s * (1.0 / (2 * n + 1) + total)
    return total


def log1pmx_ratio(x: Array) -> Array:
    """(log(1 + x) - x) / x  for -1/2 <= x <= 1.

    With s = x/(2 + x), log(1 + x) = 2 atanh(s) and 2s - x = -x s.
    """
    s = x / (2.0 + x)
    return (1.0 - s) * _atanh_tail(s) - s


def log1pmx(x: Array) -> Array:
    """log(1 + x) - x."""
    near = (x >= -0.5) & (x <= 1.0)
    return np.where(near, x * log1pmx_ratio(np.where(near, x, 0.0)), np.log1p(x) - x)


_LOG_2 = 0.6931471805592082, 7.371002565167799e-13  # its first 40 bits, and the rest


def _times_exp(x: Array, log: Array) -> Array:
    """X exp(log), where the exponential alone may under- or overflow."""
    log = np.clip(log, -2e4, 2e4)
    k = np.rint(np.nan_to_num(log) / np.log(2.0))
    rest = (log - k * _LOG_2[0]) - k * _LOG_2[1]
    mantissa, exponent = np.frexp(x)  # x may be subnormal
    return np.asarray(np.ldexp(mantissa * np.exp(rest), exponent + k.astype(int)))


class Linked(NamedTuple):
    """A positive parameter p = link(u) and what the derivatives with respect to u need."""

    value: Array  # p
    log: Array  # log p, finite even where p overflows or underflows
    slope: Array  # p'/p, the derivative of log p
    bend: Array  # (log p)''/(log p)'
    second: Array  # p''/p
    valid: Array  # u is in the domain of the link
    lost: Array  # p underflows or overflows, so that only log p is known

    def times(self, x: Array) -> Array:
        """P x, also where p underflows or overflows and p x does not."""
        return np.where(self.lost & ~np.isnan(x), _times_exp(x, self.log), x * self.value)

    def divide(self, x: Array) -> Array:
        """X / p, likewise."""
        return np.where(self.lost & ~np.isnan(x), _times_exp(x, -self.log), x / self.value)


def apply_link(link: str, u: Array) -> Linked:
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
