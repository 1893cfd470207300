"""Exact results and their bounds, in mpmath (which only this module needs)."""

from functools import lru_cache

import numpy as np
from mpmath import mp, mpf

from .._accuracy import LIMIT, Exact
from . import formulas_classes, formulas_vectors
from .bounds import results, row_results, vector_results
from .functions import Functions, select, stirling
from .jets import jet

DIGITS = (100, 400, 1000, 2000)
ENOUGH = mpf(10) ** -25  # of a bound: how far results at two numbers of digits may differ
NOTHING = mpf(10) ** -350  # below every denormal
HUGE = mpf(10) ** 1000  # an infinite input is taken to its limit


class MpmathNumbers:
    """mpmath's numbers, and arrays of them, at its present number of digits."""

    def __init__(self):
        for name in ("exp", "log", "log1p", "expm1", "sqrt", "tanh", "sinh", "ceil"):
            setattr(self, name, elementwise(getattr(mp, name)))
        self.real, self.log1pmx = mpf, elementwise(log1pmx)
        self.any = bool
        self.digits, self.pi, self.steps = mp.dps, +mp.pi, int(0.6 * mp.dps)
        self.stirling = lru_cache(64)(lambda a: stirling(self, a))
        self._bernoulli = [mp.bernoulli(2 * m) for m in range(1, self.digits // 2 + 4)]

    def bernoulli(self):
        return self._bernoulli

    def choose(self, condition, yes, no):
        if isinstance(condition, np.ndarray):
            return np.where(condition, yes(), no())
        return yes() if condition else no()

    def select(self, condition, yes, no):
        if isinstance(condition, np.ndarray):
            return select(condition, yes, no)
        return jet(yes() if condition else no())


def elementwise(function):
    of_array = np.frompyfunc(function, 1, 1)
    return lambda x: of_array(x) if isinstance(x, np.ndarray) else function(x)


def log1pmx(x):
    with mp.extraprec(max(0, -mp.mag(x)) + 10 if x else 0):
        return mp.log1p(x) - x


@lru_cache(32)
def functions(digits):
    """The namespace of the formulas at that many digits, which have to be set."""
    return Functions(MpmathNumbers())


def number(x):
    x = mpf(x)
    return x if mp.isfinite(x) else HUGE * mp.sign(x)


def pointwise(reference, inputs, links, options):
    """[(f, bound)] of one sample of a pointwise loss: value, gradients, second derivatives."""
    numbers = {name: number(x) for name, x in inputs.items()}
    return settled(
        lambda: results(reference.formula, functions(mp.dps), numbers, links, options)
    )


def rows(reference, inputs, constants, options, classes):
    """(value, gradients, second derivatives), each (f, bound), of one row, by some classes."""

    def compute():
        numbers, fixed = (
            {name: np.array([number(v) for v in x]) for name, x in part.items()}
            for part in (inputs, constants)
        )
        found = row_results(formula, functions(mp.dps), numbers, fixed, options, classes)
        return [(f.item(), bound.item()) for f, bound in (found[0], *found[1], *found[2])]

    formula = getattr(formulas_classes, reference.name)
    flat = settled(compute)
    count = len(classes)
    return flat[0], flat[1 : 1 + count], flat[1 + count :]


def vectors(reference, inputs, link, options, places):
    """(value, gradients, second derivatives), each (f, bound), of one sample, by some inputs."""
    formula, count = getattr(formulas_vectors, reference.name), len(places)

    def repeated(x):
        if isinstance(x, list):
            return [repeated(v) for v in x]
        return np.array([number(x)] * count)

    def compute():
        numbers = {name: repeated(x) for name, x in inputs.items()}
        found = vector_results(formula, functions(mp.dps), numbers, link, options, places)
        value, first, second = (
            list(zip(*(np.broadcast_to(x, count).tolist() for x in pair), strict=True))
            for pair in found
        )
        return [value[0], *first, *second]

    flat = settled(compute)
    return flat[0], flat[1 : 1 + count], flat[1 + count :]


def settled(compute):
    """The results of ``compute`` at as many digits as it takes."""
    before = None
    for digits in DIGITS:
        with mp.workdps(digits):
            now = compute()
            if before is not None and all(map(agree, before, now)):
                break
            before = now
    return now


def agree(one, other):
    (f, bound), (g, now) = one, other
    if max(bound, now) < NOTHING:
        return True
    return abs(f - g) <= ENOUGH * now and abs(bound - now) <= now / 1000


def packed(pairs, dtype):
    """The four arrays of ``Exact`` of a nested list of (f, bound), in that dtype's range."""
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
