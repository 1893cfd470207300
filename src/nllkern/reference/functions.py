"""The functions that value formulas are written in, each with three derivatives.

``Functions`` works on jets of the numbers of ``numbers``: NumPy's extended precision here, mpmath's
in ``exact.py``.  What cancels in its textbook form is a function of its own, stable by itself, so
that one text of a formula serves both.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from .jets import Jet, jet

# B_2, B_4, ...: enough for 64-bit mantissas from 16 on.
_HIGHER = ((-691, 2730), (7, 6), (-3617, 510), (43867, 798), (-174611, 330))
BERNOULLI = ((1, 6), (-1, 30), (1, 42), (-1, 30), (5, 66), *_HIGHER)
FAR = 16  # from here on a difference of two of Stirling's series loses little


NAMES = ("exp", "log", "log1p", "expm1", "sqrt", "tanh", "sinh", "ceil")


class ArrayNumbers:
    """Arrays of a library, whose numbers ``real`` makes; every branch is computed."""

    infinity = np.inf
    steps = 16  # of the recurrence in front of Stirling's series
    log: Callable[[Any], Any]

    def __init__(self, xp: Any, real: Callable[[Any], Any], pi: Any) -> None:
        self.xp, self.real, self.pi = xp, real, pi
        for name in NAMES:
            setattr(self, name, getattr(xp, name))

    def any(self, condition: Any) -> bool:
        """Whether the recurrence is needed."""
        return bool(self.xp.any(condition))

    def bernoulli(self) -> list[Any]:
        """B_2, B_4, ..."""
        return [self.real(p) / q for p, q in BERNOULLI]

    def stirling(self, a: Any) -> Any:
        return stirling(self, a)

    def choose(self, condition: Any, yes: Any, no: Any) -> Any:
        """Numbers of two, of which both are computed."""
        return self.xp.where(condition, yes(), no())

    def select(self, condition: Any, yes: Any, no: Any) -> Jet:
        return select(condition, yes, no, self.xp.where)

    def log1pmx(self, x: Any) -> Any:
        """log(1 + x) - x: with s = x/(2 + x), log(1 + x) = 2 atanh(s) and 2s - x = -x s."""
        where, near = self.xp.where, (x > -0.5) & (x < 1)
        t = where(near, x, 0)
        s = t / (2 + t)
        tail = 0 * s
        for n in range(24, 0, -1):
            tail = s * s * (1 / self.real(2 * n + 1) + tail)
        return where(near, t * ((1 - s) * tail - s), self.xp.log1p(x) - x)


def select(condition: Any, yes: Any, no: Any, where: Callable[..., Any] = np.where) -> Jet:
    """A jet of two, of which both are computed."""
    yes, no = jet(yes()), jet(no())
    length = max(len(yes.series), len(no.series))
    a, b = ((*x.series, 0, 0)[:length] for x in (yes, no))
    series = tuple(where(condition, x, y) for x, y in zip(a, b, strict=True))
    of_yes = yes, lambda d: tuple(where(condition, c, 0) for c in d)
    of_no = no, lambda d: tuple(where(condition, 0, c) for c in d)
    return Jet(series, (of_yes, of_no))


class Functions:
    """The namespace that formulas are given."""

    def __init__(self, numbers: Any):
        self.n = numbers
        self.log_2 = numbers.log(numbers.real(2))
        self.half_log_2pi = numbers.log(2 * numbers.pi) / 2

    def where(self, condition: Any, yes: Any, no: Any) -> Jet:
        """Of two functions without arguments, the result of the one that the condition selects."""
        found: Jet = self.n.select(condition, yes, no)
        return found

    def exp(self, x: Jet) -> Jet:
        return x.apply((self.n.exp(x.value),) * 4)

    def log(self, x: Jet) -> Jet:
        x = jet(x)
        if x.log is not None:
            return x.log
        r = 1 / x.value
        return x.apply((self.n.log(x.value), r, -r * r, 2 * r * r * r))

    def log1p(self, x: Jet) -> Jet:
        r = 1 / (1 + x.value)
        return x.apply((self.n.log1p(x.value), r, -r * r, 2 * r * r * r))

    def log1pmx(self, x: Jet) -> Jet:
        """log(1 + x) - x."""
        v, r = x.value, 1 / (1 + x.value)
        return x.apply((self.n.log1pmx(v), -v * r, -r * r, 2 * r * r * r))

    def exp_excess(self, x: Jet) -> Jet:
        """exp(x) - x, whose derivative does not cancel near 0."""
        v = self.n.exp(x.value)
        return x.apply((v - x.value, self.n.expm1(x.value), v, v))

    def sqrt(self, x: Jet) -> Jet:
        s, r = self.n.sqrt(x.value), 1 / x.value
        return x.apply((s, s * r / 2, -s * r * r / 4, 3 * s * r * r * r / 8))

    def power(self, x: Jet, p: Any) -> Jet:
        """x^p of a positive x and a number p."""
        v, r = self.n.exp(p * self.n.log(x.value)), 1 / x.value
        first = p * v * r
        second = (p - 1) * first * r
        return x.apply((v, first, second, (p - 2) * second * r))

    def abs(self, x: Jet) -> Jet:
        """|x|, of which all derivatives at 0 are 0."""
        sign = (x.value > 0) * 1 - (x.value < 0) * 1
        return x.apply((abs(x.value), sign, 0 * sign, 0 * sign))

    def relu(self, x: Jet) -> Jet:
        """max(x, 0), of which the derivatives at 0 are 0."""
        on = (x.value > 0) * 1
        return x.apply((self.n.choose(x.value > 0, lambda: x.value, lambda: 0), on, 0 * on, 0 * on))

    def sigmoids(self, x: Any) -> tuple[Any, Any]:
        """(sigmoid(x), sigmoid(-x)) of numbers."""
        e = self.n.exp(-abs(x))
        large, small = 1 / (1 + e), e / (1 + e)
        choose = self.n.choose
        return (
            choose(x >= 0, lambda: large, lambda: small),
            choose(x >= 0, lambda: small, lambda: large),
        )

    def softplus(self, x: Jet) -> Jet:
        """log(1 + exp(x))."""
        v, (p, q) = x.value, self.sigmoids(x.value)
        positive = self.n.choose(v > 0, lambda: v, lambda: 0 * q)
        value = positive + self.n.log1p(self.n.exp(-abs(v)))
        return x.apply((value, p, p * q, p * q * (q - p)))

    def log_softplus(self, x: Jet) -> Jet:
        """log(log(1 + exp(x))), about x for x far below 0."""
        n, v, (p, q) = self.n, x.value, self.sigmoids(x.value)
        e = n.exp(n.choose(v < 0, lambda: v, lambda: 0 * q))
        ratio = n.log1pmx(e) / e  # softplus(x) = e (1 + ratio) for x < 0
        below = v < 0
        plus = n.choose(v > 0, lambda: v, lambda: 0 * q) + n.log1p(n.exp(-abs(v)))
        value = n.choose(below, lambda: v + n.log1p(ratio), lambda: n.log(plus))
        first = n.choose(below, lambda: 1 / ((1 + e) * (1 + ratio)), lambda: p / plus)
        bend = n.choose(below, lambda: first * ratio, lambda: q - first)
        second = first * bend
        return x.apply((value, first, second, second * bend - first * (p * q + second)))

    def log_cosh(self, x: Jet) -> Jet:
        n, size = self.n, abs(x.value)
        e = n.exp(-2 * size)
        near = n.choose(size < 1, lambda: size, lambda: 0 * size)
        value = n.choose(
            size < 1,
            lambda: n.log1p(2 * n.sinh(near / 2) ** 2),
            lambda: size - self.log_2 + n.log1p(e),
        )
        t, s = n.tanh(x.value), 4 * e / ((1 + e) * (1 + e))
        return x.apply((value, t, s, -2 * t * s))

    def tanh(self, x: Jet) -> Jet:
        e = self.n.exp(-2 * abs(x.value))
        t, s = self.n.tanh(x.value), 4 * e / ((1 + e) * (1 + e))
        return x.apply((t, s, -2 * t * s, s * (4 * t * t - 2 * s)))

    def times(self, x: Any, y: Any) -> Jet:
        """X y, and 0 where x is 0 though y be infinite."""
        x, y = jet(x), jet(y)
        return self.where((x.value == 0) & (abs(y.value) == np.inf), lambda: 0 * x, lambda: x * y)

    # Rows: sums over the last axis, which stays, with one entry.

    def sum(self, x: Jet) -> Jet:
        shape = x.value.shape
        series = tuple(spread(c, shape).sum(-1, keepdims=True) for c in x.series)
        return Jet(series, ((x, lambda d: tuple(spread(c, shape) for c in d)),))

    def pick(self, x: Jet, index: Any) -> Jet:
        """The entry at an index, of shape (..., 1)."""
        chosen = ~self.all_but(x, index)
        series = tuple(np.take_along_axis(spread(c, x.value.shape), index, -1) for c in x.series)
        return Jet(series, ((x, lambda d: tuple(np.where(chosen, c, 0) for c in d)),))

    def all_but(self, x: Jet, index: Any) -> Any:
        """False at an index."""
        return np.arange(x.value.shape[-1]) != index

    def largest_but(self, x: Jet, without: Any) -> Jet | None:
        """The first of the largest entries, some left out; None if none is left."""
        if without.shape[-1] == 1:
            return None
        lowest = np.where(without, x.value.min(-1, keepdims=True) - 1, x.value)
        return self.pick(x, lowest.argmax(-1)[..., None])

    def masked(self, x: Jet) -> Any:
        """Where x is -inf."""
        return x.value <= -self.n.infinity

    def rounded(self, x: Jet) -> Jet:
        """The same, as a linked parameter."""
        x.rounding = x, x.series
        return x

    def x_log_x(self, x: Jet) -> Jet:
        """X log x, 0 at 0, where the derivatives are left out."""
        v = self.n.choose(x.value > 0, lambda: x.value, lambda: 1 + 0 * x.value)
        log, r, on = self.n.log(v), 1 / v, (x.value > 0) * 1
        return x.apply((on * v * log, on * (log + 1), on * r, -on * r * r))

    # The gamma function's family.

    def stirling(self, a: Jet) -> Jet:
        """lgamma(a) - (a - 1/2) log a + a - log(2 pi)/2 for a > 0."""
        return a.apply(self.n.stirling(a.value))

    def lgamma(self, a: Jet) -> Jet:
        """Logarithm of gamma(a) for a > 0; relative accuracy away from 1 and 2 only."""
        return (a - 0.5) * self.log(a) - a + jet(self.half_log_2pi) + self.stirling(a)

    def lgamma1p(self, y: Jet) -> Jet:
        """Logarithm of gamma(1 + y) for y >= 0, about -0.577 y for small y."""
        n, v = self.n, y.value
        a = 1 + v
        r, (_, d1, d2, d3) = 1 / a, n.stirling(a)
        first = n.log(a) - r / 2 + d1, r + r * r / 2 + d2, d3 - r * r - r * r * r
        value = n.choose(
            v < 1,
            lambda: self._lgamma1p_of_small(n.choose(v < 1, lambda: v, lambda: 0 * v)),
            lambda: self.lgamma(jet(a)).value,
        )
        return y.apply((value, *first))

    def lgamma_half_step(self, x: Jet, log_x: Jet) -> Jet:
        """lgamma(x) - lgamma(x + 1/2) + log(x)/2 for x > 0, about 1/(8x) for large x.

        A step of its recurrence is log((x + 1/2)^2 / (x (x + 1)))/2; no sum here cancels.
        """
        n, v = self.n, x.value
        low = v < FAR
        total = [0 * v] * 4
        for k in range(1, FAR):
            a = n.choose(low, lambda k=k: v + k, lambda: 0 * v + 1)
            r, s, t = 1 / a, 1 / (a + n.real(1) / 2), 1 / (a + 1)
            value, first = n.log1p(r * t / 4) / 2, -r * s * t / 4
            sums = r + s + t, r * r + s * s + t * t
            second = -first * sums[0]
            step = value, first, second, first * sums[1] - second * sums[0]
            total = [c + low * d for c, d in zip(total, step, strict=True)]
        z: Jet = x + n.choose(low, lambda: 0 * v + FAR, lambda: 0 * v)
        far = self.stirling(z) - self.stirling(z + 0.5) - z * self.log1pmx(0.5 / z)

        def first_step() -> Jet:
            return self.where(
                v < 1 / 8,
                lambda: self.log(x + 0.5) - (log_x + self.log1p(x)) * 0.5,
                lambda: self.log1p(0.25 / (x * (x + 1))) * 0.5,
            )

        return far + x.apply(total) + self.where(low, first_step, lambda: jet(0 * v))

    def _lgamma1p_of_small(self, y: Any) -> Any:
        """lgamma(z + y) - lgamma(z) - y log z, z = steps + 1, less what the steps add."""
        n = self.n
        z = n.real(n.steps + 1)
        log = n.log1p(y / z)
        total = (z - n.real(1) / 2 + y) * log - y
        for m, b in enumerate(n.bernoulli(), 1):  # of Stirling's series at z + y, less that at z
            total = total + b / (2 * m * (2 * m - 1)) * z ** (1 - 2 * m) * n.expm1(
                (1 - 2 * m) * log
            )
        for k in range(1, n.steps + 1):
            total = total + (y * n.log1p(n.real(1) / k) - n.log1p(y / k))
        return total


def spread(c: Any, shape: tuple[int, ...]) -> Any:
    return np.broadcast_to(np.asarray(c), shape)


def stirling(n: Any, a: Any) -> tuple[Any, ...]:
    """lgamma(a) - (a - 1/2) log a + a - log(2 pi)/2 and three derivatives, of numbers a > 0.

    A step of its recurrence is (a + 1/2) log(1 + 1/a) - 1; the series at the end is DLMF 5.11.1.
    """
    total = [0 * a] * 4
    for k in range(n.steps):
        low = a + k < n.steps
        if not n.any(low):
            break
        z = n.choose(low, lambda k=k: a + k, lambda: 0 * a + 1)
        r, s = 1 / z, 1 / (z + 1)
        log, half, slope, bend = n.log1p(r), z + n.real(1) / 2, -r * s, r * r - s * s
        third = 2 * (s * s * s - r * r * r)
        step = half * log - 1, log + half * slope, 2 * slope + half * bend, 3 * bend + half * third
        total = [t + low * x for t, x in zip(total, step, strict=True)]
    z = n.choose(a < n.steps, lambda: a + n.ceil(n.steps - a), lambda: a)
    r = 1 / z
    power = r
    for m, b in enumerate(n.bernoulli(), 1):
        p, c = 2 * m - 1, b / (2 * m * (2 * m - 1)) * power
        term = c, -p * c * r, p * (p + 1) * c * r * r, -p * (p + 1) * (p + 2) * c * r * r * r
        total = [t + x for t, x in zip(total, term, strict=True)]
        power = power * r * r
    return tuple(total)


# The widest float that NumPy has here.
FLOATS = Functions(ArrayNumbers(np, np.longdouble, np.arctan(np.longdouble(1)) * 4))
