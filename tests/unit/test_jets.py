"""Derivatives and bounds by jets: against numerical differentiation of the value formulas."""

import numpy as np
import pytest

from nllkern import reference
from nllkern._selfcheck_data import problems
from nllkern.reference import bounds
from nllkern.reference.functions import FLOATS
from nllkern.reference.jets import Jet, jet
from nllkern.reference.links import linked
from nllkern.tables import LOSSES

mpmath = pytest.importorskip("mpmath")
from mpmath import mp, mpf  # noqa: E402

from nllkern.reference import exact  # noqa: E402

pytestmark = pytest.mark.thread_unsafe(reason="sets the digits of mpmath, which are the process's")

POINTWISE = [row for row in LOSSES if row.kind == "pointwise"]
DIGITS = 100
H = mpf(10) ** -25


def points(row):
    """A few ordinary points for every set of links: (reference, inputs, links, options)."""
    loss = getattr(reference, row.name)
    for problem in problems(row, "float64", "quick"):
        given = loss.__signature__.bind(*problem.args, **problem.options)
        given.apply_defaults()
        inputs, links, options = loss.arguments(given.arguments, problem.args[0].shape)
        for i in range(3):
            yield loss, {k: mpf(float(x[i])) for k, x in inputs.items()}, links, options


def value(loss, inputs, links, options, shifted=None):
    """The value alone; one linked parameter multiplied by 1 + H where asked for."""
    f = exact.functions(mp.dps)
    arguments = {}
    for name, x in inputs.items():
        theta = linked(f, links[name], Jet((x,))) if name in links else Jet((x,))
        if name == shifted:
            log = theta.log
            theta = theta * (1 + H)
            theta.log = log + mp.log1p(H)
        arguments[name] = theta
    return jet(loss.formula(f, **arguments, **options)).value


def derivative(function, x, order):
    return mp.diff(function, x, order, h=mpf(10) ** -25)


@pytest.mark.parametrize("row", POINTWISE, ids=lambda row: row.name)
def test_derivatives(row):
    with mp.workdps(DIGITS):
        for loss, inputs, links, options in points(row):
            found = bounds.results(loss.formula, exact.functions(DIGITS), inputs, links, options)
            count = len(links)
            for k, name in enumerate(links):

                def along(x, name=name, point=(loss, inputs, links, options)):
                    loss, inputs, links, options = point
                    return value(loss, inputs | {name: x}, links, options)

                for order in (1, 2):
                    f, bound = found[1 + k + (order - 1) * count]
                    numeric = derivative(along, inputs[name], order)
                    assert abs(f - numeric) <= mpf(10) ** -15 * (bound + mpf(10) ** -100)


@pytest.mark.parametrize("row", POINTWISE, ids=lambda row: row.name)
def test_bounds(row):
    """Each input moved by 1e-25 of itself, each linked parameter likewise, in the same formula."""
    with mp.workdps(DIGITS):
        for loss, inputs, links, options in points(row):
            found = bounds.results(loss.formula, exact.functions(DIGITS), inputs, links, options)
            here, bound = found[0]
            expected = abs(here)
            for name, x in inputs.items():
                moved = value(loss, inputs | {name: x * (1 + H)}, links, options)
                expected += abs(moved - here) / H
            for name, link in links.items():
                if link != "identity":
                    moved = value(loss, inputs, links, options, shifted=name)
                    expected += abs(moved - here) / H
            assert abs(bound - expected) <= mpf(10) ** -15 * expected


@pytest.mark.parametrize("row", POINTWISE, ids=lambda row: row.name)
def test_numpy_agrees(row):
    """The same jets in NumPy's floats."""
    for loss, inputs, links, options in points(row):
        wide = {k: np.array([float(x)], np.longdouble) for k, x in inputs.items()}
        got = bounds.results(loss.formula, FLOATS, wide, links, options)
        with mp.workdps(DIGITS):
            right = bounds.results(loss.formula, exact.functions(DIGITS), inputs, links, options)
            for (f, bound), (g, exactly) in zip(right, got, strict=True):
                assert abs(f - np.ravel(g)[0].item()) <= 2.0**-51 * bound
                assert abs(bound - np.ravel(exactly)[0].item()) <= 1e-9 * bound
