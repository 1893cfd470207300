"""multivariate_gaussian_nll: against reference, SciPy and mpmath's tables, by all its paths."""

import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import vector_properties as check
from cases import DTYPES, REDUCTIONS, assert_exact, assert_same_bits, assert_same_on_threads
from cases_vectors import gaussian

import nllkern as nk
from nllkern._accuracy import LIMIT, Exact, error, load

pytestmark = pytest.mark.thin

LOSS = nk.multivariate_gaussian_nll
GOLDEN = Path(__file__).parent.parent / "golden"
TABLES = list(load(GOLDEN / "multivariate_gaussian_nll.npz"))
LINKS = ("identity", "softplus", "log")
# Each path: samples in lanes, rows one by one, a factor shared, a covariance.
PATHS = [("identity", False), ("softplus", False), ("log", True), ("softplus", True)]
PATHS += [("identity", True), ("covariance", True)]
SIZES = (1, 2, 3, 4, 7, 16, 17, 33)

each_dtype = pytest.mark.parametrize("dtype", DTYPES)
each_path = pytest.mark.parametrize(
    ("link", "shared"), PATHS, ids=lambda x: x if isinstance(x, str) else ("each", "shared")[x]
)
each_size = pytest.mark.parametrize("d", SIZES)


@each_path
@each_size
@each_dtype
def test_equals_reference(dtype, d, link, shared, simd_level):
    check.check_reference(gaussian(21, d, dtype, link, shared))
    assert_exact(gaussian(21, d, dtype, link, shared, full=False))


@pytest.mark.thin(1)
@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("d", [64, 200])
@each_dtype
def test_many_dimensions(dtype, d, link):
    for shared in (False, True):
        assert_exact(gaussian(3, d, dtype, link, shared), "mean")


@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (2, 1, 4), (0, 3), (3, 0)], ids=str)
@each_path
def test_leading_axes(link, shared, shape):
    if shape == () and shared and link != "covariance":
        shared = False  # one matrix for one sample is the sample's own
    for reduction in REDUCTIONS:
        assert_exact(gaussian(shape, 3, "float64", link, shared).with_weights(), reduction)


# Hard points: the tables of test_accuracy, each sample alone with its factor as if shared.


@pytest.mark.parametrize("table", TABLES, ids=str)
def test_hard_points_with_a_shared_factor(table, simd_level):
    mean, factor, target = table.args
    for i in range(len(mean)):
        value, grads, hesss = LOSS.value_grad_hess(
            mean[i : i + 1], factor[i], target[i : i + 1], **table.options, reduction="none"
        )
        got = [value[0], grads[0][0], grads[1], hesss[0][0], hesss[1]]
        for k, (x, exact) in enumerate(zip(got, table.results, strict=True)):
            err = error(x, Exact(*(part[i] for part in exact)), table.dtype)
            assert np.all(err <= LIMIT), f"sample {i}, result {k}: {np.max(err):.3g} roundings"


def test_inverting_the_covariance_fails():
    """The tables are hard: the textbook's inverse in the dtype itself misses by far."""
    table = next(t for t in TABLES if str(t) == f"{LOSS.name}-identity-5-float32")
    mean, factor, target = table.args
    low = np.where(np.tri(5, dtype=bool), factor, 0)
    some = [i for i in range(len(low)) if np.linalg.cond(low[i].astype(float)) > 30]
    inverse = np.linalg.inv(low[some] @ np.swapaxes(low[some], -1, -2))
    grad = (inverse @ (mean - target)[some, :, None])[..., 0]
    err = error(grad, Exact(*(part[some] for part in table.results[1])), table.dtype)
    assert np.count_nonzero(err > 100) >= 3


def test_against_torch():
    torch = pytest.importorskip("torch")
    for shared in (False, True):
        mean, factor, target = gaussian(9, 5, "float64", shared=shared).args
        low = np.where(np.tri(5, dtype=bool), factor, 0)
        m, f = (torch.tensor(x, requires_grad=True) for x in (mean, low))
        normal = torch.distributions.MultivariateNormal(m, scale_tril=f)
        (-normal.log_prob(torch.tensor(target)).mean()).backward()
        _, grads = LOSS.value_and_grad(mean, factor, target)
        np.testing.assert_allclose(grads[0], m.grad.numpy(), rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(grads[1], np.tril(f.grad.numpy()), rtol=1e-11, atol=1e-14)


# Identities.


@each_dtype
def test_one_dimension_is_gaussian_nll(dtype, simd_level):
    for link in LINKS:
        problem = gaussian(30, 1, dtype, link)
        mean, factor, target = (x.reshape(30) for x in problem.args)
        value, grads, hesss = nk.gaussian_nll.value_grad_hess(mean, factor, target, link=link)
        got = problem.run()
        for x, y in zip(got, [value, *grads, *hesss], strict=True):
            size = np.max(np.abs(y))
            np.testing.assert_allclose(np.ravel(x), np.ravel(y), rtol=1e-5, atol=1e-6 * size)


@each_dtype
@pytest.mark.parametrize("d", [2, 17])
def test_shared_factor_is_the_sum(dtype, d, simd_level):
    """And a covariance is its own factor."""
    one = gaussian(700, d, dtype, "softplus", shared=True).with_weights()
    mean, factor, target = one.args
    each = one.having(mean, np.ascontiguousarray(np.broadcast_to(factor, (700, d, d))), target)
    got, want = one.run(reduction="sum"), each.run(reduction="sum")
    eps = float(np.finfo(dtype).eps)
    for k, (x, y, (_, bound)) in enumerate(zip(got, want, one.exact("sum"), strict=True)):
        y = y.sum(0, dtype=np.float64) if k in (2, 4) else np.float64(y)
        # Of two float32 results one is a sum of as many rounded numbers, the sizes of which add up.
        rounded = np.abs(want[k]).sum(0, dtype=np.float64) if k in (2, 4) else np.abs(y)
        assert np.all(np.abs(x - y) <= 8 * eps * np.maximum(rounded, bound))
    low = np.tril(np.nan_to_num(factor), -1) + 1.5 * np.eye(d, dtype=dtype)
    covariance = (low.astype(float) @ low.T.astype(float)).astype(dtype)
    got = LOSS.value_and_grad(mean, covariance, target, link="covariance")
    want = LOSS.value_and_grad(mean, low, target)
    assert got[1][1] is None
    assert got[0] == pytest.approx(want[0], rel=100 * eps)
    np.testing.assert_allclose(got[1][0], want[1][0], rtol=0, atol=100 * eps)


@each_dtype
@pytest.mark.parametrize("d", [3, 20])
def test_above_the_diagonal(dtype, d, simd_level):
    """Not read; its derivatives are 0 with their sign."""
    upper = np.triu(np.ones((d, d), bool), 1)
    for shared in (False, True):
        problem = gaussian(19, d, dtype, shared=shared)
        got = problem.run()
        for k in (2, 4):
            assert not got[k][..., upper].any()
            assert not np.signbit(got[k][..., upper]).any()
        mean, factor, target = problem.args
        again = problem.having(mean, np.where(upper, np.dtype(dtype).type(3), factor), target).run()
        assert_same_bits(again, got)


# What all losses promise.


@each_path
@pytest.mark.parametrize("d", [1, 3, 16, 17])
@each_dtype
def test_promises(dtype, d, link, shared, simd_level):
    problem = gaussian(37, d, dtype, link, shared)
    check.check_calls_agree(problem)
    check.check_position(problem)
    check.check_in_place(problem, fixed=link == "covariance")
    check.check_weight_of_zero(problem)
    check.check_empty(problem)
    places = [(0, (d - 1,)), (2, (0,))]
    if not shared:
        places += [(1, (d - 1, 0)), (1, (d - 1, d - 1))]
    check.check_nan_stays(problem, places)


@each_path
@pytest.mark.parametrize(("n", "d"), [(20_000, 2), (3000, 16), (1500, 20), (600, 100)])
@each_dtype
def test_any_number_of_threads(dtype, n, d, link, shared):
    if not shared and d == 100:
        n = 60
    assert_same_on_threads(gaussian(n, d, dtype, link, shared).with_weights())


@pytest.mark.thread_unsafe(reason="counts the memory of the process")
def test_memory_of_a_shared_factor():
    """The sums of the parts are bounded, whatever the batch."""
    peaks = []
    for n in (4000, 16_000):
        mean, factor, target = gaussian(n, 256, "float32", shared=True).args
        out = np.empty_like(mean), np.empty_like(factor)
        tracemalloc.start()
        LOSS.value_and_grad(mean, factor, target, out=out)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert max(peaks) < 5.5 * 2**20
    assert peaks[0] == pytest.approx(peaks[1], rel=0.01)


def test_extreme_diagonals(simd_level):
    """Finite raw numbers give finite values, also where theta itself is no number of the dtype."""
    for dtype, sizes in (("float32", (100.0, 300.0)), ("float64", (800.0, 3000.0))):
        for size in sizes:
            for d in (2, 18):
                for link in ("softplus", "log"):
                    mean = np.ones((3, d), dtype)
                    factor = np.zeros((3, d, d), dtype) - size * np.eye(d, dtype=dtype)
                    value, grads = LOSS.value_and_grad(mean, factor, mean, link=link)
                    assert value == pytest.approx(-size * d + 0.5 * d * np.log(2 * np.pi))
                    assert not grads[0].any()
                    assert np.allclose(np.diagonal(grads[1], axis1=1, axis2=2), 1 / 3)


# Bad input.

M, F, Y = gaussian(4, 3, "float32").args
C = np.eye(3, dtype=np.float32)


def test_bad_out():
    g, h = np.full((4, 3), 7, np.float32), np.full((4, 3, 3), 7, np.float32)
    frozen = h.copy()
    frozen.flags.writeable = False
    for out, what in [
        ((g, g), "out[1] has shape (4, 3)"),
        ((g, frozen), "read-only"),
        ((g, h[..., ::-1]), "strides"),
        ((g, None, None), "tuple of 2"),
        ((h[0], h), "out[0]"),
    ]:
        with pytest.raises((TypeError, ValueError), match=re.escape(what)):
            LOSS.grad(M, F, Y, out=out)
    with pytest.raises(ValueError, match=re.escape("out[1] was given for factor, which is fixed")):
        LOSS.grad(M, C, Y, link="covariance", out=(None, C.copy()))
    assert np.all(g == 7)
    assert np.all(h == 7)


@each_dtype
def test_outside_the_domain(dtype, simd_level):
    """NaN, in the sample alone; check=True names the place."""
    for d in (3, 20):
        problem = gaussian(20, d, dtype)
        for worst in (0.0, -1.0, -np.inf):
            args = [x.copy() for x in problem.args]
            args[1][7, 2, 2] = worst
            broken = problem.having(*args)
            lower = np.tri(d, dtype=bool)
            value, grads, hesss = LOSS.value_grad_hess(*args, reduction="none")
            assert np.isnan(value[7])
            assert all(np.isnan(x[0][7]).all() for x in (grads, hesss))
            assert all(np.isnan(x[1][7][lower]).all() for x in (grads, hesss))
            others = np.arange(20) != 7
            want = problem.run(reduction="none")
            got = broken.run(reduction="none")
            assert_same_bits([x[others] for x in got], [x[others] for x in want])
            assert_exact(broken)
            with pytest.raises(ValueError, match=re.escape("factor[7, 2, 2] is")):
                LOSS(*args, check=True)


def test_conversions():
    """Lists, other strides, torch's tensors."""
    problem = gaussian(6, 3, "float64")
    want = problem.run()
    mean, factor, target = problem.args
    strided = np.ascontiguousarray(np.swapaxes(factor, 0, 2)).swapaxes(0, 2)
    assert_same_bits(problem.having(mean[::-1].copy()[::-1], strided, target).run(), want)
    assert_same_bits(problem.having(mean.tolist(), factor, target.tolist()).run(), want)
    assert_same_bits(problem.rows(slice(None)).run(), want)
