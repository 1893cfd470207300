"""Regression over bins: encoding to the bit, the loss of the bins, moments of the predictions."""

import math
from fractions import Fraction

import numpy as np
import pytest
from cases import DTYPES, REDUCTIONS, Case, assert_same_bits

import nllkern as nk

pytestmark = pytest.mark.thin

BINNED, CE = nk.binned_cross_entropy, nk.cross_entropy
each_dtype = pytest.mark.parametrize("dtype", DTYPES)
EDGES = {
    "unit": ((0.0, 1.0), 10),
    "one": ((-1.0, 3.0), 1),
    "two": ((-1.0, 3.0), 2),
    "thirds": ((0.0, 1.0), 3),
    "far": ((1e6, 1e6 + 1), 77),
    "odd": ((-0.3, 1.7), 1000),
    "tiny": ((1e-300, 3e-300), 13),
    "many": ((-8.0, 8.0), 100_003),
    "narrow": ((1.0, 1.0 + 2.0**-36), 256),
    "given": (np.r_[-5.0, -1.0, -0.999, 0.0, 1e-9, 2.0, 100.0], 6),
    "mu-law": (nk.mu_law_edges(256), 256),
    "mu-law, 5": (nk.mu_law_edges(5, mu=10, low=0, high=4), 5),
}
each_edges = pytest.mark.parametrize("name", EDGES)


def all_edges(edges, bins):
    return np.linspace(*edges, bins + 1) if isinstance(edges, tuple) else edges


def numbers(edges, dtype, rng):
    """On every edge, next to it on both sides, between, outside, and far away."""
    near = edges if len(edges) < 3000 else rng.choice(edges, 3000)
    near = near.astype(dtype)
    inside = rng.uniform(edges[0], edges[-1], 2000).astype(dtype)
    width = edges[-1] - edges[0]
    outside = rng.normal(size=50) * 3 * width
    steps = [np.nextafter(near, dtype.type(x)) for x in (-np.inf, np.inf)]
    special = [0.0, -0.0, np.inf, -np.inf, float(np.finfo(dtype).max), 1e-30]
    return np.concatenate([near, *steps, inside, outside, special]).astype(dtype)


def searched(edges, y):
    """The definition."""
    return np.clip(np.searchsorted(edges, y, side="right") - 1, 0, len(edges) - 2)


@each_dtype
@each_edges
def test_encode_is_searchsorted(name, dtype, simd_level):
    given, bins = EDGES[name]
    edges = all_edges(given, bins)
    with np.errstate(over="ignore", under="ignore"):
        y = numbers(edges, np.dtype(dtype), np.random.default_rng(0))
    got = BINNED.encode(y, given, bins)
    assert got.dtype == np.int64
    np.testing.assert_array_equal(got, searched(edges, y.astype(float)))
    np.testing.assert_array_equal(BINNED.encode(y, edges, bins), got)  # the same, written out
    inside = y[(y >= edges[0]) & (y <= edges[-1])]
    again = BINNED.encode(inside, given, bins, outside="raise")
    np.testing.assert_array_equal(again, BINNED.encode(inside, given, bins))


@each_dtype
def test_encode_random_pairs(dtype, simd_level):
    """Pairs of all sizes: arithmetic must not be off by one bin anywhere."""
    rng = np.random.default_rng(1)
    for _ in range(300):
        low = rng.normal() * 10.0 ** rng.integers(-6, 7)
        high = low + abs(rng.normal()) * 10.0 ** rng.integers(-6, 7)
        bins = int(rng.integers(1, 400))
        edges = np.linspace(low, high, bins + 1)
        if not np.all(np.diff(edges) > 8 * np.spacing(max(abs(low), abs(high)))):
            continue
        y = np.concatenate([edges, np.nextafter(edges, -np.inf), rng.uniform(low, high, 100)])
        y = y.astype(dtype)
        np.testing.assert_array_equal(
            BINNED.encode(y, (low, high), bins), searched(edges, y.astype(float))
        )


def test_encode_shapes_and_threads():
    rng = np.random.default_rng(2)
    y = rng.normal(size=(300, 500))
    want = searched(np.linspace(-2, 2, 65), y)
    for threads in (None, 1, 2, 3):
        np.testing.assert_array_equal(BINNED.encode(y, (-2, 2), 64, num_threads=threads), want)
    np.testing.assert_array_equal(BINNED.encode(y.T, (-2, 2), 64), want.T)
    assert BINNED.encode(0.5, (0, 1), 2) == 1
    assert BINNED.encode([], (0, 1), 2).shape == (0,)
    assert BINNED.encode([1, 2, 3], [1, 2, 3]).tolist() == [0, 1, 1]


@pytest.mark.parametrize("outside", ["clip", "raise"])
@pytest.mark.parametrize("edges", [(0, 1), np.linspace(0, 1, 9)], ids=["pair", "array"])
def test_numbers_without_a_bin_are_named(edges, outside):
    y = np.full((40, 2000), 0.5)
    y[30, 1234] = np.nan
    with pytest.raises(ValueError, match=r"encode: target\[30, 1234\] is nan, expected a number"):
        BINNED.encode(y, edges, 8, outside=outside)
    y[20, 7] = 1.5
    if outside == "raise":
        with pytest.raises(ValueError, match=r"target\[20, 7\] is 1.5, .* from 0.0 to 1.0"):
            BINNED.encode(y, edges, 8, outside=outside)
    with pytest.raises(ValueError, match=r"encode: target is nan"):
        BINNED.encode(np.nan, edges, 8)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: BINNED.encode([1.0], (0, 1)), ValueError, "K is None"),
        (lambda: BINNED.encode([1.0], (0, 1), 0), ValueError, "K is 0"),
        (lambda: BINNED.encode([1.0], (0, 1), 2.0), TypeError, "K is 2.0"),
        (lambda: BINNED.encode([1.0], (0, 1, 2), 3), ValueError, "edges has 3 numbers, expected 4"),
        (lambda: BINNED.encode([1j], (0, 1), 2), TypeError, "encode: target has dtype complex"),
        (lambda: BINNED.encode([1.0], (0, 1), 2, num_threads=0), ValueError, "num_threads is 0"),
        (lambda: BINNED.encode([1.0], (0, 1), 2, num_threads=1.5), TypeError, "num_threads is 1.5"),
        (lambda: BINNED.expectation(1.0, (0, 1)), ValueError, "expectation: logits have shape"),
        (lambda: BINNED.expectation(["a"], (0, 1)), TypeError, "expectation: logits has dtype"),
        (lambda: BINNED.quantile([0.0, 1.0], 1.5, (0, 1)), ValueError, "q holds 1.5"),
        (lambda: BINNED.quantile([0.0, 1.0], [np.nan], (0, 1)), ValueError, "q holds nan"),
        (lambda: BINNED.quantile([0.0, 1.0], 0.5, (0, 1, 2, 3)), ValueError, "expected 3 for 2"),
        (lambda: nk.mu_law_edges(0), ValueError, "K is 0"),
        (lambda: nk.mu_law_edges(2.5), TypeError, "K is 2.5"),
        (lambda: nk.mu_law_edges(4, mu=0), ValueError, "mu is 0"),
        (lambda: nk.mu_law_edges(4, low=1), ValueError, "low is 1.0"),
        (lambda: nk.mu_law_edges(4, mu="a"), TypeError, "mu is 'a'"),
    ],
)
def test_bad_input_of_the_helpers(call, error, message):
    with pytest.raises(error, match=message):
        call()


# The loss.

OPTIONS = ({}, {"label_smoothing": 0.1}, {"z_loss": 0.01, "softcap": 5.0})


@each_dtype
@pytest.mark.parametrize("classes", [1, 10, 67])
def test_loss_is_cross_entropy_of_the_bins(classes, dtype, simd_level):
    """To the bit, under every option, reduction and method."""
    rng = np.random.default_rng(3)
    logits = 3 * rng.normal(size=(70, classes)).astype(dtype)
    y = (2 * rng.normal(size=70)).astype(dtype)
    weights = {
        "sample_weight": rng.uniform(0, 2, 70).astype(dtype),
        "class_weight": rng.uniform(0, 2, classes).astype(dtype),
    }
    for edges in ((-1.5, 1.5), np.sort(rng.normal(size=classes + 1))):
        index = BINNED.encode(y, edges, classes)
        for options in OPTIONS:
            for extra in ({}, weights):
                for reduction in REDUCTIONS:
                    own = {**options, **extra, "reduction": reduction}
                    for method in ("__call__", "value_and_grad", "value_grad_hess"):
                        got = getattr(BINNED, method)(logits, y, edges=edges, **own)
                        want = getattr(CE, method)(logits, index, **own)
                        got, want = ((x,) if method == "__call__" else x for x in (got, want))
                        assert_same_bits(got, want, f"{method} {own}")


@each_dtype
def test_loss_in_place_and_on_threads(dtype):
    problem = Case("cross_entropy", "index", 32).problem(20_000, dtype)
    logits = problem.args[0]
    y = np.random.default_rng(4).uniform(-2, 2, 20_000).astype(dtype)
    want = BINNED.value_and_grad(logits, y, edges=(-1, 1), num_threads=1)
    for threads in (2, 3):
        got = BINNED.value_and_grad(logits, y, edges=(-1, 1), num_threads=threads)
        assert_same_bits(got, want)
    copy = logits.copy()
    assert_same_bits(BINNED.value_and_grad(copy, y, edges=(-1, 1), out=copy), want)
    strided = np.repeat(logits, 2, axis=0)[::2]
    assert_same_bits(BINNED.value_and_grad(strided, y, edges=(-1, 1)), want)
    row = np.zeros((2, 32), dtype)
    with pytest.raises(ValueError, match="out partly overlaps target"):
        BINNED.grad(np.zeros((2, 32), dtype), row.reshape(-1)[:2], edges=(0, 1), out=row)


@each_dtype
def test_missing_targets_have_weight_zero(dtype, simd_level):
    """A sample of weight 0 may be anything, NaN included; out is untouched by an error."""
    rng = np.random.default_rng(5)
    logits, y = rng.normal(size=(50, 8)).astype(dtype), rng.uniform(size=50).astype(dtype)
    weight = np.ones(50, dtype)
    y[[3, 40]], weight[[3, 40]] = np.nan, 0
    kept = weight > 0
    for outside in ("clip", "raise"):
        options = {"edges": (0, 1), "outside": outside}
        value, grad = BINNED.value_and_grad(logits, y, sample_weight=weight, **options)
        want = BINNED.value_and_grad(logits[kept], y[kept], **options)
        assert value == pytest.approx(want[0], rel=1e-13)
        assert not grad[~kept].any()
        out = np.full_like(logits, 7)
        with pytest.raises(ValueError, match=r"binned_cross_entropy: target\[3\] is nan"):
            BINNED.grad(logits, y, out=out, **options)
        assert np.all(out == 7)


def test_leading_axes_and_empty_batches():
    rng = np.random.default_rng(6)
    logits, y = rng.normal(size=(3, 4, 5)), rng.uniform(size=(3, 4))
    value = BINNED(logits, y, edges=(0, 1), reduction="none")
    assert value.shape == (3, 4)
    flat = BINNED(logits.reshape(12, 5), y.ravel(), edges=(0, 1), reduction="none")
    assert_same_bits([value.ravel()], [flat])
    assert BINNED(np.empty((0, 5)), np.empty(0), edges=(0, 1)) == 0.0
    assert BINNED.expectation(np.empty((0, 5)), (0, 1)).shape == (0,)
    assert BINNED.quantile(np.empty((0, 5)), [0.1, 0.2], (0, 1)).shape == (2, 0)
    assert BINNED(logits[0, 0], 0.5, edges=(0, 1)) == value.dtype.type(
        BINNED(logits[:1, 0], [0.5], edges=(0, 1))
    )


# Moments of the predictions.


def softmax(z):
    z = z.astype(np.longdouble)
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@each_dtype
@each_edges
def test_expectation(name, dtype, simd_level):
    given, bins = EDGES[name]
    edges = all_edges(given, bins).astype(np.longdouble)
    rng = np.random.default_rng(7)
    z = (4 * rng.normal(size=(5 if bins > 5000 else 40, bins))).astype(dtype)
    p, middle = softmax(z), (edges[1:] + edges[:-1]) / 2
    got = BINNED.expectation(z, given)
    assert got.dtype == dtype
    exact = (p * middle).sum(-1)
    bound = 16 * np.finfo(dtype).eps * (p * np.abs(middle)).sum(-1)
    assert np.all(np.abs(got - exact) <= bound + np.finfo(dtype).tiny)
    far = z + np.dtype(dtype).type(0)
    np.testing.assert_array_equal(BINNED.expectation(far[::-1], given), got[::-1])


@each_dtype
@each_edges
def test_quantile(name, dtype, simd_level):
    given, bins = EDGES[name]
    edges = all_edges(given, bins).astype(np.longdouble)
    rng = np.random.default_rng(8)
    z = (4 * rng.normal(size=(3 if bins > 5000 else 30, bins))).astype(dtype)
    q = np.array([[0.5, 0.0, 0.9], [1.0, 0.01, 0.5]])
    got = BINNED.quantile(z, q, given)
    assert got.shape == (2, 3, len(z))
    assert got.dtype == dtype
    assert np.all(got >= edges[0] - np.spacing(np.abs(edges[0])) * 4) or dtype == "float32"
    total = np.concatenate([np.zeros((len(z), 1)), softmax(z).cumsum(-1)], -1)
    for i, j in np.ndindex(q.shape):
        assert_same_bits([BINNED.quantile(z, q[i, j], given)], [got[i, j]])
        for k in range(len(z)):
            exact = np.interp(q[i, j], total[k].astype(float), edges.astype(float))
            here = np.clip(np.searchsorted(edges, exact) - 1, 0, bins - 1)
            near = slice(max(here - 1, 0), here + 2)
            density = (np.diff(total[k])[near] / np.diff(edges)[near]).min()
            eps = float(np.finfo(dtype).eps)
            bound = 16 * eps / density + 4 * eps * np.abs(exact) + np.finfo(dtype).tiny
            assert abs(got[i, j, k] - exact) <= bound


@each_dtype
def test_quantiles_by_hand(dtype, simd_level):
    """Two bins of mass 1/4 and 3/4; masked bins have none, and their edges are never reached."""
    z = np.log(np.array([[1, 3], [3, 1]])).astype(dtype)
    got = BINNED.quantile(z, [0.0, 0.125, 0.25, 0.625, 1.0], (0, 2))
    np.testing.assert_allclose(got[:, 0], [0, 0.5, 1, 1.5, 2], rtol=4 * np.finfo(dtype).eps)
    masked = np.full((1, 5), -np.inf, dtype)
    masked[0, [1, 3]] = 2.0
    got = BINNED.quantile(masked, [0.0, 0.25, 0.5, 0.75, 1.0], (0, 5))
    assert got[:, 0].tolist() == [1.0, 1.5, 2.0, 3.5, 4.0]
    assert BINNED.expectation(masked, (0, 5)).tolist() == [2.5]
    nothing = np.array([[-np.inf, -np.inf], [np.nan, 0], [np.inf, 0], [0, 0]], dtype)
    for x in (BINNED.expectation(nothing, (0, 2)), BINNED.quantile(nothing, 0.5, (0, 2))):
        assert np.isnan(x).tolist() == [True, True, True, False]


def test_moments_on_threads_and_of_any_layout():
    rng = np.random.default_rng(9)
    z = rng.normal(size=(3000, 40)).astype(np.float32)
    for call in (
        lambda z, **k: BINNED.expectation(z, (-1, 1), **k),
        lambda z, **k: BINNED.quantile(z, [0.1, 0.5], (-1, 1), **k),
    ):
        want = call(z, num_threads=1)
        for other in (z, z.reshape(60, 50, 40), np.asfortranarray(z), z.astype(">f4")):
            for threads in (2, 3):
                got = call(other, num_threads=threads)
                np.testing.assert_array_equal(got.reshape(want.shape), want)


def test_mu_law_edges():
    """As WaveNet has it: the companded edges are evenly spaced, and the middle is symmetric."""
    edges = nk.mu_law_edges(256)
    assert edges[0] == -1
    assert edges[128] == 0
    assert edges[-1] == 1
    np.testing.assert_array_equal(edges, -edges[::-1])
    companded = np.sign(edges) * np.log1p(255 * np.abs(edges)) / math.log(256)
    np.testing.assert_allclose(companded, np.linspace(-1, 1, 257), atol=1e-15)
    shifted = nk.mu_law_edges(10, mu=4, low=2, high=6)
    np.testing.assert_allclose(shifted, 4 + 2 * nk.mu_law_edges(10, mu=4), rtol=1e-15)
    assert nk.mu_law_edges(1).tolist() == [-1, 1]
    assert np.all(np.diff(nk.mu_law_edges(100_000, mu=1e6)) > 0)


def test_edges_of_a_pair_are_those_of_linspace():
    """The doubles that the kernel computes, by the numbers next to them."""
    for low, high, bins in ((0.0, 1.0, 49), (-0.1, 0.7, 1001), (1e-3, 5e3, 333)):
        edges = np.linspace(low, high, bins + 1)
        assert Fraction(edges[-1]) == Fraction(high)
        np.testing.assert_array_equal(BINNED.encode(edges[:-1], (low, high), bins), np.arange(bins))
        np.testing.assert_array_equal(
            BINNED.encode(np.nextafter(edges[1:], -np.inf), (low, high), bins), np.arange(bins)
        )


# Real data.


def test_binned_regression_on_diabetes():
    """Held out, the mean of the predicted distribution beats the mean of the training targets."""
    datasets = pytest.importorskip("sklearn.datasets")
    optimize = pytest.importorskip("scipy.optimize")
    x, y = datasets.load_diabetes(return_X_y=True)
    x = np.column_stack([x / x.std(axis=0), np.ones(len(x))])
    order = np.random.default_rng(0).permutation(len(y))
    held_out, train = order[:140], order[140:]
    bins, edges = 16, (20.0, 350.0)

    def objective(flat):
        w = flat.reshape(bins, -1)
        value, grad = BINNED.value_and_grad(x[train] @ w.T, y[train], edges=edges)
        penalty = 3e-3 * np.diff(w, axis=0)  # neighbouring bins are alike
        smooth = np.zeros_like(w)
        smooth[1:] += penalty
        smooth[:-1] -= penalty
        value += 0.5 * np.sum(penalty**2) / 3e-3 + 0.5e-2 * np.sum(w[:, :-1] ** 2)
        decay = np.column_stack([1e-2 * w[:, :-1], np.zeros(bins)])
        return value, (grad.T @ x[train] + smooth + decay).ravel()

    start = np.zeros(bins * x.shape[1])
    found = optimize.minimize(objective, start, jac=True, method="L-BFGS-B")
    assert optimize.check_grad(lambda v: objective(v)[0], lambda v: objective(v)[1], start) < 1e-5
    logits = x[held_out] @ found.x.reshape(bins, -1).T
    mean = BINNED.expectation(logits, edges)
    constant = y[train].mean()
    error, baseline = (np.mean((p - y[held_out]) ** 2) for p in (mean, constant))
    assert error < 0.75 * baseline
    # It is a distribution: the likelihood beats that of the histogram, the intervals cover.
    histogram = np.log(np.bincount(BINNED.encode(y[train], edges, bins), minlength=bins) + 1.0)
    everyone = np.broadcast_to(histogram, logits.shape)
    assert BINNED(logits, y[held_out], edges=edges) < BINNED(everyone, y[held_out], edges=edges)
    low, high = BINNED.quantile(logits, [0.1, 0.9], edges)
    assert 0.6 < np.mean((low <= y[held_out]) & (y[held_out] <= high)) < 0.95
