"""Exact results and their bounds, in mpmath (which only this module needs)."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from mpmath import mp, mpf
from numpy.random import Generator

from .._accuracy import LIMIT, Exact
from ..tables import LOSSES as TABLE
from ..tables import Loss
from . import formulas_vectors
from ._pointwise import Pointwise
from .bounds import Result, results, row_inputs, row_results, vector_results
from .functions import NAMES, Functions, select, stirling
from .jets import Jet, jet

DIGITS = (100, 400, 1000, 2000)
ENOUGH = mpf(10) ** -25  # of a bound: how far results at two numbers of digits may differ
NOTHING = mpf(10) ** -350  # below every denormal
ROWS = {row.name: row for row in TABLE}
UNASKED = (np.nan, 0)
Args = tuple[Any, ...]
HUGE = mpf(10) ** 1000  # an infinite input is taken to its limit
FAR = mpf(10) ** 1500  # exponents beyond are all the same to every dtype, and slow


class MpmathNumbers:
    """mpmath's numbers, and arrays of them, at its present number of digits."""

    exp: Callable[[Any], Any]
    log: Callable[[Any], Any]
    log1p: Callable[[Any], Any]

    def __init__(self) -> None:
        for name in NAMES:
            setattr(self, name, elementwise(getattr(mp, name)))
        self.exp, self.expm1 = elementwise(exp), elementwise(expm1)
        self.real, self.log1pmx, self.infinity = mpf, elementwise(log1pmx), HUGE
        self.any = bool
        self.digits, self.pi, self.steps = mp.dps, +mp.pi, int(0.6 * mp.dps)
        self.stirling = lru_cache(64)(lambda a: stirling(self, a))
        self._bernoulli = [mp.bernoulli(2 * m) for m in range(1, self.digits // 2 + 4)]

    def bernoulli(self) -> list[Any]:
        """B_2, B_4, ..."""
        return self._bernoulli

    def choose(self, condition: Any, yes: Any, no: Any) -> Any:
        if isinstance(condition, np.ndarray):
            return np.where(condition, yes(), no())
        return yes() if condition else no()

    def select(self, condition: Any, yes: Any, no: Any) -> Jet:
        if isinstance(condition, np.ndarray):
            return select(condition, yes, no)
        return jet(yes() if condition else no())


def elementwise(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    of_array = np.frompyfunc(function, 1, 1)
    return lambda x: of_array(x) if isinstance(x, np.ndarray) else function(x)


def exp(x: Any) -> Any:
    return mp.exp(x if abs(x) < FAR else FAR * mp.sign(x))


def expm1(x: Any) -> Any:
    return mp.expm1(x) if abs(x) < 1 else exp(x) - 1


def log1pmx(x: Any) -> Any:
    with mp.extraprec(max(0, -mp.mag(x)) + 10 if x else 0):
        return mp.log1p(x) - x


@lru_cache(32)
def functions(digits: int) -> Functions:
    """The namespace of the formulas at that many digits, which have to be set."""
    return Functions(MpmathNumbers())


def number(x: float) -> Any:
    x = mpf(x)
    return x if mp.isfinite(x) else HUGE * mp.sign(x)


def sample(
    name: str,
    args: tuple[Any, ...],
    options: dict[str, Any],
    dtype: Any,
    most: int | None = None,
    seed: int = 0,
) -> list[Exact]:
    """Exact results of one sample: value, gradients, second derivatives, each an ``Exact``.

    ``args``: its numbers, rows or vectors; ``options``: keywords, arrays of one sample among them.
    Of a row or vectors at most so many derivatives are computed; nothing is asked of the others.
    """
    row = ROWS[name]
    given = {x.name: x.default for x in row.options} | options
    return _KINDS[row.kind](row, args, given, dtype, most, np.random.default_rng(seed))


def _pointwise(
    row: Loss, args: Args, given: dict[str, Any], dtype: Any, most: int | None, rng: Generator
) -> list[Exact]:
    reference = Pointwise(row)
    inputs, links, others = reference.arguments(
        given | dict(zip(row.arguments, args, strict=True)), ()
    )
    numbers = {k: number(float(x)) for k, x in inputs.items()}
    found = settled(lambda: results(reference.formula, functions(mp.dps), numbers, links, others))
    return [packed(pair, dtype) for pair in found]


def _rows(
    row: Loss, args: Args, given: dict[str, Any], dtype: Any, most: int | None, rng: Generator
) -> list[Exact]:
    z, target = args
    classes, index = len(z), np.ndim(target) == 0
    formula, inputs, fixed, others = row_inputs(row, np.asarray(z), target, given)
    heaviest = [int(target) if index else int(np.argmax(target)), int(np.argmax(z)), classes - 1]
    asked = list(dict.fromkeys([*heaviest, *rng.permutation(classes).tolist()]))[:most]

    def compute() -> list[Result]:
        numbers, constants = (
            {name: np.array([number(float(v)) for v in x]) for name, x in part.items()}
            for part in (inputs, fixed)
        )
        found = row_results(formula, functions(mp.dps), numbers, constants, others, asked)
        return [(f.item(), bound.item()) for f, bound in (found[0], *found[1], *found[2])]

    value, *derivatives = settled(compute)
    found = [packed(value, dtype)]
    for part in (derivatives[: len(asked)], derivatives[len(asked) :]):
        pairs: list[Result] = [UNASKED] * classes
        for k, pair in zip(asked, part, strict=True):
            pairs[k] = (0, 0) if z[k] == -np.inf else pair
        found.append(packed(pairs, dtype))
    return found


def _vectors(
    row: Loss, args: Args, given: dict[str, Any], dtype: Any, most: int | None, rng: Generator
) -> list[Exact]:
    formula = getattr(formulas_vectors, row.name)
    arrays = dict(zip(row.arguments, args, strict=True))
    places: list[tuple[Any, ...]] = []
    for p in row.parameters:
        shape = np.shape(arrays[p.name])
        every = [(p.name, *at) for at in np.ndindex(shape) if at[-1] <= at[0]]
        share = most and max(1, most // len(row.parameters))
        places += [every[i] for i in sorted(rng.permutation(len(every))[:share])]
    count = len(places)
    others = {x.name: given[x.name] for x in row.options if x.kind in ("number", "flag")}

    def repeated(x: float) -> Any:
        return np.array([number(float(x))] * count)

    def compute() -> list[Result]:
        numbers = {
            name: [repeated(v) for v in x]
            if np.ndim(x) == 1
            else [[repeated(v) for v in line[: i + 1]] for i, line in enumerate(x)]
            for name, x in arrays.items()
        }
        found = vector_results(
            formula, functions(mp.dps), numbers, given.get("link"), others, places
        )
        value, first, second = (
            list(zip(*(np.broadcast_to(x, count).tolist() for x in pair), strict=True))
            for pair in found
        )
        return [value[0], *first, *second]

    value, *derivatives = settled(compute)
    found = [packed(value, dtype)]
    for part in (derivatives[:count], derivatives[count:]):
        for p in row.parameters:
            shape = np.shape(arrays[p.name])
            pairs: Any = np.full((*shape, 2), np.nan, dtype=object)
            pairs[..., 1] = 0
            if len(shape) == 2:
                pairs[np.triu_indices(shape[0], 1)] = 0  # what is above the diagonal is not read
            for place, pair in zip(places, part, strict=True):
                if place[0] == p.name:
                    pairs[place[1:]] = pair
            found.append(packed(pairs, dtype))
    return found


_KINDS = {"pointwise": _pointwise, "rows": _rows, "vectors": _vectors}


def settled(compute: Callable[[], list[Result]]) -> list[Result]:
    """The results of ``compute`` at as many digits as it takes."""
    before = None
    for digits in DIGITS:
        with mp.workdps(digits):
            now = compute()
            if before is not None and all(map(agree, before, now)):
                break
            before = now
    return now


def agree(one: Result, other: Result) -> bool:
    (f, bound), (g, now) = one, other
    if max(bound, now) < NOTHING:
        return True
    return bool(abs(f - g) <= ENOUGH * now and abs(bound - now) <= now / 1000)


def packed(pairs: Any, dtype: Any) -> Exact:
    """The four arrays of ``Exact`` of (f, bound), or nested lists of it, in the dtype's range."""
    info = np.finfo(dtype)
    most, least, eps = (mpf(float(x)) for x in (info.max, info.tiny, info.eps))
    pairs = np.array(pairs, dtype=object)
    shape, flat = pairs.shape[:-1], pairs.reshape(-1, 2).tolist()
    high, low = np.zeros(len(flat)), np.zeros(len(flat), np.float32)
    exponent = np.zeros(len(flat), np.int16)
    bounds = np.full(len(flat), 0.5, np.float16)
    with mp.workdps(60):
        for i, (f, bound) in enumerate(flat):
            unit = max(mpf(bound), least)
            grant = LIMIT * eps * unit
            if f != f:  # nothing is asked
                high[i] = np.nan
            elif abs(f) - grant > most:
                high[i] = np.inf * int(mp.sign(f))
            elif abs(f) + grant > most:
                high[i] = np.nan
            else:
                exponent[i] = mp.mag(unit)
                mantissa = mp.ldexp(f, -int(exponent[i]))
                high[i] = float(mantissa)
                bounds[i] = float(mp.ldexp(unit, -int(exponent[i])))
                if info.bits == 64:
                    low[i] = float(mantissa - mpf(high[i]))
    return Exact(*(a.reshape(shape) for a in (high, low, exponent, bounds)))
