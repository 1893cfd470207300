"""Exact results and their bounds, in mpmath (which only this module needs)."""

from functools import lru_cache

from mpmath import mp, mpf

from .bounds import results
from .functions import Functions, stirling
from .jets import jet

DIGITS = (100, 400, 1000, 2000)
ENOUGH = mpf(10) ** -25  # of a bound: how far results at two numbers of digits may differ
NOTHING = mpf(10) ** -350  # below every denormal
HUGE = mpf(10) ** 1000  # an infinite input is taken to its limit


class MpmathNumbers:
    """mpmath's numbers, at its present number of digits."""

    def __init__(self):
        for name in ("exp", "log", "log1p", "expm1", "sqrt", "tanh", "sinh", "ceil"):
            setattr(self, name, getattr(mp, name))
        self.real, self.any = mpf, bool
        self.digits, self.pi, self.steps = mp.dps, +mp.pi, int(0.6 * mp.dps)
        self.stirling = lru_cache(64)(lambda a: stirling(self, a))
        self._bernoulli = [mp.bernoulli(2 * m) for m in range(1, self.digits // 2 + 4)]

    def bernoulli(self):
        return self._bernoulli

    def choose(self, condition, yes, no):
        return yes() if condition else no()

    def select(self, condition, yes, no):
        return jet(yes() if condition else no())

    def log1pmx(self, x):
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
