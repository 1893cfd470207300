"""Derivatives of a value formula: truncated Taylor series, and a tape of what was computed.

A series is a tuple of Taylor coefficients in e: (c,) of a constant, (c0, c1, c2) of a number that
moves with e, e^3 = 0.  A ``Jet`` is a series that remembers what it was made of.  Running a formula
on jets with one input moving as x + e gives the value, the first and the second derivative;
``Jet.gradients`` then gives the derivatives of all three by every input, back over the tape.

The numbers may be floats, NumPy arrays or mpmath's: only + - * / are asked of them.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

Series = tuple[Any, ...]

_clock = itertools.count()


def constant(x: Any) -> Series:
    return (x,)


def moving(x: Any) -> Series:
    """X + e."""
    return x, 1, 0


def add(a: Series, b: Series) -> Series:
    if len(a) < len(b):
        a, b = b, a
    return (*(x + y for x, y in zip(a, b, strict=False)), *a[len(b) :])


def multiply(a: Series, b: Series) -> Series:
    if len(a) < len(b):
        a, b = b, a
    if len(b) == 1:
        return tuple(x * b[0] for x in a)
    return a[0] * b[0], a[0] * b[1] + a[1] * b[0], a[0] * b[2] + a[1] * b[1] + a[2] * b[0]


def scale(a: Series, k: Any) -> Series:
    return tuple(x * k for x in a)


def compose(g: Sequence[Any], x: Series) -> Series:
    """G(x), from g and its first two derivatives at x[0]."""
    if len(x) == 1:
        return (g[0],)
    return g[0], g[1] * x[1], g[1] * x[2] + g[2] * x[1] * x[1] / 2


def reciprocal(a: Series) -> Series:
    r = 1 / a[0]
    return compose((r, -r * r, 2 * r * r * r), a)


class Jet:
    """A number of a formula.

    ``parents`` are pairs of a jet and the map from a derivative by this number to that by the jet.
    ``rounding`` is a linked parameter, and what its relative rounding adds to this number.
    """

    __slots__ = ("log", "order", "parents", "rounding", "series")
    __array_ufunc__ = None  # an array on the left leaves arithmetic to this class

    def __init__(self, series: Series, parents: Iterable[tuple["Jet", Callable[..., Any]]] = ()):
        self.series = series
        self.parents = parents
        self.order = next(_clock)
        self.rounding: tuple[Jet, Series] | None = None
        self.log: Jet | None = None  # its logarithm, where it is known better than by taking it

    @property
    def value(self) -> Any:
        return self.series[0]

    @property
    def derivatives(self) -> tuple[Any, Any, Any]:
        """The value, the first and the second derivative."""
        c0, c1, c2 = self.series if len(self.series) == 3 else (self.series[0], 0, 0)
        return c0, c1, 2 * c2

    def __add__(self, other: Any) -> "Jet":
        other = jet(other)
        series = add(self.series, other.series)
        return Jet(series, ((self, _same), (other, _same)))

    def __mul__(self, other: Any) -> "Jet":
        other = jet(other)
        a, b = self.series, other.series
        parents = (self, lambda d: multiply(d, b)), (other, lambda d: multiply(d, a))
        return Jet(multiply(a, b), parents)

    def __truediv__(self, other: Any) -> "Jet":
        other = jet(other)
        r = reciprocal(other.series)
        q = multiply(self.series, r)
        parents = (
            (self, lambda d: multiply(d, r)),
            (other, lambda d: scale(multiply(multiply(d, r), q), -1)),
        )
        return Jet(q, parents)

    def __rtruediv__(self, other: Any) -> "Jet":
        return jet(other) / self

    def __neg__(self) -> "Jet":
        return self * -1

    def __sub__(self, other: Any) -> "Jet":
        return self + -jet(other)

    def __rsub__(self, other: Any) -> "Jet":
        return jet(other) - self

    __radd__ = __add__
    __rmul__ = __mul__

    def apply(self, g: Sequence[Any]) -> "Jet":
        """A function of it, from the function and its first three derivatives there."""
        slope = compose(g[1:], self.series)
        return Jet(compose(g, self.series), ((self, lambda d: multiply(d, slope)),))

    def gradients(self, where: Callable[..., Any] | None = None) -> dict["Jet", Series]:
        """The derivative by every jet that this one was made of, as a series in e.

        Its coefficients are the derivatives of the value, of the first derivative, and of half the
        second.  ``where`` is that of the library whose arrays the numbers are.
        """
        found: dict[Jet, Series] = {self: (1,)}
        seen, waiting = {self}, [self]
        while waiting:
            for parent, _ in waiting.pop().parents:
                if parent not in seen:
                    seen.add(parent)
                    waiting.append(parent)
        for node in sorted(seen, key=lambda x: -x.order):
            for parent, through in node.parents:
                if node in found:
                    part = _or_nothing(through(found[node]), found[node], where)
                    part = _of_shape(np.shape(parent.value), part)
                    found[parent] = add(found[parent], part) if parent in found else part
        return found


def _same(d: Series) -> Series:
    return d


def _or_nothing(part: Series, source: Series, where: Callable[..., Any] | None) -> Series:
    """0 wherever the source is: what was not selected has no derivative, not 0 times infinity."""
    if where is None and any(isinstance(c, np.ndarray) for c in (*part, *source)):
        where = np.where
    nothing = sum(abs(c) for c in source) == 0
    if where is None or isinstance(nothing, bool):
        return part
    return tuple(where(nothing, 0, c) for c in part)


def _of_shape(shape: tuple[int, ...], part: Series) -> Series:
    """Summed over the last axis where the number was one for all classes."""
    if not shape or shape[-1] != 1:
        return part
    return tuple(c.sum(-1, keepdims=True) if np.ndim(c) else c for c in part)


def jet(x: Any) -> Jet:
    return x if isinstance(x, Jet) else Jet((x,))
