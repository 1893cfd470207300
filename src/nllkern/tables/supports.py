"""Supports: the sets that parameters, targets and weights lie in."""

from typing import NamedTuple


class Support(NamedTuple):
    """One row."""

    name: str
    test: str  # whether x is inside: an expression both in C and in NumPy; NaN is outside
    words: str  # "expected ..."


REAL = Support("real", "(x > -INFINITY) & (x < INFINITY)", "a finite number")
EXTENDED = Support("extended", "x == x", "a number")
LOGIT = Support("logit", "x < INFINITY", "a number below inf")
POSITIVE = Support("positive", "(x > 0) & (x < INFINITY)", "a positive, finite number")
NONNEGATIVE = Support("nonnegative", "(x >= 0) & (x < INFINITY)", "a finite number >= 0")
COUNT = Support("count", "(x >= 0) & (x < INFINITY) & (x == floor(x))", "a whole number >= 0")
UNIT = Support("unit", "(x >= 0) & (x <= 1)", "a number from 0 to 1")
OPEN_UNIT = Support("open_unit", "(x > 0) & (x < 1)", "a number between 0 and 1, both excluded")
SIGN = Support("sign", "(x == -1) | (x == 1)", "-1 or 1")

HALF_LINES = (POSITIVE, NONNEGATIVE, COUNT)  # a target outside one of them is impossible: +inf
SUPPORTS = (REAL, EXTENDED, LOGIT, POSITIVE, NONNEGATIVE, COUNT, UNIT, OPEN_UNIT, SIGN)
