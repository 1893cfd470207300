"""Links: what a loss makes of theta(u), its logarithm, and its first and second derivatives.

An exponential likelihood b y - log b shows a positive link bare: at y = 0 it is -log theta, and a
large y leaves theta alone.  The links of a scale are seen through a normal likelihood's scale.
"""

import numpy as np
import pytest

import nllkern as nk
from nllkern._accuracy import LIMIT, float_error
from nllkern.tables import LINKS, LOSSES

mpmath = pytest.importorskip("mpmath")
from mpmath import mp, mpf  # noqa: E402

pytestmark = pytest.mark.thread_unsafe(reason="sets the digits of mpmath, which are the process's")

THETA = {
    "identity": lambda u: u,
    "softplus": lambda u: mp.log1p(mp.exp(u)),
    "log": mp.exp,
    "variance": mp.sqrt,
    "log_variance": lambda u: mp.exp(u / 2),
}
RAW = [-300.0, -87.0, -30.0, -17.0, -5.0, -1.0, -1e-3, 0.0, 0.5, 1.0, 5.0, 17.0, 40.0, 80.0]
POSITIVE = [1e-30, 1e-10, 1e-3, 0.3, 1.0, 2.0, 17.0, 1e3, 1e10]


def raw(name, dtype):
    link = next(x for x in LINKS if x.name == name)
    found = np.array(POSITIVE if link.raw is None or link.raw.name == "positive" else RAW, dtype)
    return found[np.abs(found) < (85 if dtype == "float32" else 500)] if link.raw else found


def exact(name, u, function):
    """The function of theta and its first two derivatives by u, each with its bound.

    One rounding of the result, of u, and of theta: d/dh of f(theta (1 + h)).
    """

    def f(x, h=0):
        return function(THETA[name](x) * (1 + h))

    with mp.workdps(600):
        x = mpf(float(u))
        step = mpf(10) ** -60
        h = abs(x) * step or step
        found = []
        for order in range(3):

            def derivative(at, more=0, order=order):
                if order == 0:
                    return f(at, more)
                return mp.diff(lambda t: f(t, more), at, order, h=h)

            here = derivative(x)
            moved = abs(derivative(x * (1 + step * 1000)) - here) / (step * 1000)
            linked = abs(derivative(x, step) - here) / step if name != "identity" else 0
            found.append((float(here), float(abs(here) + moved + linked)))
    return found


def check(name, dtype, function, call):
    u = raw(name, dtype)
    value, grad, hess = call(u)
    right = list(zip(*(exact(name, x, function) for x in u), strict=True))
    for got, pairs in zip((value, grad, hess), right, strict=True):
        f, bound = np.array(pairs).T
        err = float_error(got, f, bound, dtype)
        worst = int(err.argmax())
        assert err[worst] <= LIMIT, f"u = {u[worst]!r}: got {got[worst]!r}, exact {f[worst]!r}"


def names(loss, parameter):
    row = next(x for x in LOSSES if x.name == loss)
    return [x.name for p in row.parameters if p.name == parameter for x in p.links if x.in_c]


each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])
each_rate = pytest.mark.parametrize("link", names("exponential_nll", "rate"))
each_scale = pytest.mark.parametrize("link", names("gaussian_nll", "scale"))


@each_dtype
@each_rate
def test_logarithm(link, dtype, simd_level):
    def call(u):
        zero = np.zeros_like(u)
        return nk.exponential_nll.value_grad_hess(u, zero, link=link, reduction="none")

    check(link, dtype, lambda theta: -mp.log(theta), call)


@each_dtype
@each_rate
def test_value(link, dtype, simd_level):
    y = float(np.dtype(dtype).type(1e20))

    def call(u):
        return nk.exponential_nll.value_grad_hess(
            u, np.full_like(u, y), link=link, reduction="none"
        )

    check(link, dtype, lambda theta: theta * mpf(y) - mp.log(theta), call)


@each_dtype
@each_scale
def test_of_a_scale(link, dtype, simd_level):
    def call(u):
        value, grads, hesss = nk.gaussian_nll.value_grad_hess(
            np.zeros_like(u), u, np.zeros_like(u), link=link, full=False, reduction="none"
        )
        return value, grads[1], hesss[1]

    check(link, dtype, mp.log, call)


@pytest.mark.parametrize("link", [x.name for x in LINKS if x.in_c])
def test_every_link_is_tested(link):
    """The log-odds are the binary loss itself: test_accuracy."""
    assert link in (*names("exponential_nll", "rate"), *names("gaussian_nll", "scale"), "logit")
