"""Sums and functions of the reference, for arrays of any float: none of them cancels."""

from typing import Any

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
