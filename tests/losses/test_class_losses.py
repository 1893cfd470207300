"""What is special to the losses over classes beside cross-entropy: limits, identities, peers."""

import math

import numpy as np
import pytest
from cases import DTYPES, REDUCTIONS, Case, assert_exact, assert_same_bits

import nllkern as nk

pytestmark = pytest.mark.thin

INF, NAN = np.inf, np.nan
KL, SIGMOID, HINGE = nk.kl_divergence, nk.normalized_sigmoid_nll, nk.multiclass_hinge
each_dtype = pytest.mark.parametrize("dtype", DTYPES)
each_width = pytest.mark.parametrize("classes", [3, 10, 48, 49, 67])
VARIANTS = ("crammer_singer", "weston_watkins")


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


# Normalised sigmoids.


@each_width
@each_dtype
def test_tiny_sigmoids_are_a_softmax(dtype, classes, simd_level):
    """Far below zero sigmoid(z) is exp(z), whose own value underflows."""
    rng = np.random.default_rng(0)
    z = (np.round(64 * rng.normal(size=(40, classes))) / 64 - 1e4).astype(dtype)
    target = rng.integers(0, classes, 40)
    got = SIGMOID.value_and_grad(z, target, reduction="none")
    want = nk.cross_entropy.value_and_grad(z, target, reduction="none")
    for x, y in zip(got, want, strict=True):
        np.testing.assert_allclose(x, y, rtol=8 * np.finfo(dtype).eps)


@each_width
@each_dtype
def test_almost_sure_sigmoids(dtype, classes, simd_level):
    """Far above zero all classes are alike, to differences of exp(-z)."""
    z = np.full((2, classes), 20.0, dtype)
    z[1, 0] = 21.0
    value, grad = SIGMOID.value_and_grad(z, [0, 0], reduction="none")
    near = 4 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(value[0], math.log(classes), rtol=near)
    far = math.exp(-20.0)
    gain = far * (1 - 1 / math.e) * (1 - 1 / classes)  # of the surer class, to first order
    assert value[0] - value[1] == pytest.approx(gain, rel=1e-6, abs=near * 2)
    exact = far * (1 / classes - np.eye(classes)[0])
    np.testing.assert_allclose(grad[0], exact, rtol=1e-6)
    np.testing.assert_allclose(grad[1, 1:], exact[1:], rtol=1e-6)
    np.testing.assert_allclose(grad[1, 0], exact[0] / math.e, rtol=1e-6)


@each_dtype
def test_confident_sigmoids_are_not_zero(dtype, simd_level):
    for classes in (2, 10, 67):
        z = np.full((1, classes), -60.0, dtype)
        z[0, 1] = 3.0
        value, grad = SIGMOID.value_and_grad(z, np.array([1]))
        exact = (classes - 1) * math.exp(-60.0) * (1 + math.exp(-3.0))
        rel = 8 * float(np.finfo(dtype).eps)
        assert value == pytest.approx(exact, rel=rel)
        assert grad[0, 1] == pytest.approx(-exact / (1 + math.exp(3.0)), rel=rel)


@pytest.mark.parametrize("kind", ["index", "soft"])
@each_width
@each_dtype
def test_limits_of_sigmoids(dtype, classes, kind, simd_level):
    """-inf is masked, +inf a sigmoid of 1 that no step moves, and no class left is NaN."""
    problem = Case("normalized_sigmoid_nll", kind, classes).problem(70, dtype)
    z, target = (x.copy() for x in problem.args)
    z[3, 1] = INF
    z[5, ::2] = INF
    z[9, 1:] = -INF
    z[35] = -INF
    z[50, 2] = NAN
    problem = problem.having(z, target)
    for method in ("value_and_grad", "value_grad_hess"):
        got = problem.run(method, reduction="none")
        assert np.isnan(got[0][[35, 50]]).all()
        assert not np.isnan(got[0][[3, 5]]).any()
        assert all(x[3, 1] == 0 and not x[5, ::2].any() and not x[9, 1:].any() for x in got[1:])
        others = ~np.isin(np.arange(70), [35, 50])
        assert_exact(problem.rows(others), "none", method)
        alone = problem.rows(others).run(method, reduction="none")
        assert_same_bits([x[others] for x in got], alone)


# Divergence.


@each_width
@each_dtype
def test_divergence_is_cross_entropy_less_entropy(dtype, classes, simd_level):
    rng = np.random.default_rng(1)
    z = (3 * rng.normal(size=(50, classes))).astype(dtype)
    t = rng.dirichlet(np.full(classes, 0.3), size=50).astype(dtype)
    entropy = -np.where(t > 0, t * np.log(np.where(t > 0, t, 1), dtype=float), 0).sum(-1)
    got = KL.value_grad_hess(z, t, reduction="none")
    want = nk.cross_entropy.value_grad_hess(z, t, reduction="none")
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(got[0], want[0] - entropy, rtol=0, atol=32 * eps)
    for x, y in zip(got[1:], want[1:], strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=4 * eps)
    # Smoothing the labels is a divergence from the uniform distribution.
    u = np.full((50, classes), 1 / classes, dtype)
    smooth = nk.cross_entropy(z, t, label_smoothing=0.25, reduction="none")
    mixed = 0.75 * (got[0] + entropy) + 0.25 * (KL(z, u, reduction="none") + np.log(classes))
    np.testing.assert_allclose(smooth, mixed, rtol=64 * eps)


@each_width
@each_dtype
@pytest.mark.thread_unsafe(reason="sets the digits of mpmath, which are the process's")
def test_small_divergence_keeps_its_digits(dtype, classes, simd_level):
    """A prediction next to the target: the entropies are 1e8 times the divergence, or more."""
    mpmath = pytest.importorskip("mpmath")
    from nllkern.reference import exact

    rng = np.random.default_rng(2)
    eps = float(np.finfo(dtype).eps)
    for away in (1e-2, 1e-3, 30 * eps**0.5):
        z = rng.normal(size=(6, classes)).astype(dtype)
        t = softmax(z.astype(float)) * (1 + away * rng.choice([-1, 1], size=(6, classes)))
        t = (t / t.sum(-1, keepdims=True)).astype(dtype)
        value = KL(z, t, reduction="none")
        for row, p, got in zip(z.tolist(), t.tolist(), value.tolist(), strict=True):
            found = exact.sample(KL.name, [np.array(row), np.array(p)], {}, "float64", most=1)[0]
            right = float(np.ldexp(found.high, found.exponent))
            assert mpmath.isfinite(right)
            # Two roundings of p count by |p - t|: of the divergence, 1/away of them.
            assert abs(got - right) <= 16 * eps / away * abs(right) + 16 * eps * away**2
    same = softmax(rng.normal(size=(30, classes)))
    value = KL(np.log(same).astype(dtype), same.astype(dtype), reduction="none")
    total = [math.fsum((*row, -1.0)) for row in same.astype(dtype).tolist()]
    np.testing.assert_allclose(value, total, rtol=0, atol=classes * 200 * eps**2 + 4e-16)


@pytest.mark.parametrize("link", KL.links)
@each_width
@each_dtype
def test_zero_times_log_zero(dtype, classes, link, simd_level):
    """No target, no term, also where the prediction is -inf; t > 0 = p is impossible."""
    problem = Case("kl_divergence", link, classes).problem(70, dtype)
    z, t = (x.copy() for x in problem.args)
    masked = np.random.default_rng(3).uniform(size=z.shape) < 0.4
    masked[:, 0] = False
    t[:, 0] += 1
    z[masked] = -INF
    possible = np.where(masked, 0, t).astype(dtype)
    for target in (possible, t):
        p = problem.having(z, target)
        assert_exact(p, "none")
        value, grad, hess = p.run(reduction="none")
        assert not grad[masked].any()
        assert not hess[masked].any()
        expected = np.isfinite(value) if target is possible else value == INF
        assert expected[masked.any(-1)].all()
    one_hot = np.eye(classes, dtype=dtype)[np.zeros(5, int)]
    with np.errstate(divide="ignore"):
        sure = np.log(one_hot)
    value, grad = KL.value_and_grad(sure, one_hot, link=link)
    assert value == 0
    assert not grad[:, 1:].any()


@pytest.mark.parametrize("link", KL.links)
@each_width
@each_dtype
def test_meaningless_probabilities(dtype, classes, link, simd_level):
    problem = Case("kl_divergence", link, classes).problem(70, dtype)
    z, t = (x.copy() for x in problem.args)
    t[3, 1], t[10, 0], t[40, 2] = -1e-3, NAN, INF
    z[20, 1], z[30, 2] = INF, NAN
    bad = np.isin(np.arange(70), [3, 10, 20, 30, 40])
    got = problem.having(z, t).run(reduction="none")
    assert all(np.isnan(x[bad]).all() for x in got)
    want = problem.rows(~bad).run(reduction="none")
    assert_same_bits([x[~bad] for x in got], want)
    t[50] = 0  # no target at all: nothing to predict
    value, grad = KL.value_and_grad(z[50:51], t[50:51], link=link, reduction="none")
    assert np.all(np.abs(value) <= 4 * np.finfo(dtype).eps)
    assert not grad.any()


# Hinge.


def textbook_hinge(s, y, margin, variant):
    values, grads = [], []
    for row, t in zip(s, y, strict=True):
        terms = margin + row - row[t]
        terms[t] = -INF
        if variant == "crammer_singer":
            terms[np.arange(len(row)) != terms.argmax()] = -INF
        values.append(np.maximum(terms, 0).sum())
        grad = (terms > 0).astype(float)
        grad[t] = -grad.sum()
        grads.append(grad)
    return np.array(values), np.array(grads)


@pytest.mark.parametrize("variant", VARIANTS)
@each_width
@each_dtype
def test_hinge_is_the_textbook_one(dtype, classes, variant, simd_level):
    """Scores in quarters: every difference is exact, and many are ties or on the edge."""
    rng = np.random.default_rng(4)
    s = (np.round(4 * rng.normal(size=(200, classes))) / 4).astype(dtype)
    y = rng.integers(0, classes, 200)
    for margin in (1.0, 0.25, 0.0):
        value, grad = textbook_hinge(s.astype(float), y, margin, variant)
        options = {"margin": margin, "variant": variant, "reduction": "none"}
        got = HINGE.value_grad_hess(s, y, **options)
        np.testing.assert_array_equal(got[0], value)
        np.testing.assert_array_equal(got[1], grad)
        assert not got[2].any()


@pytest.mark.parametrize("variant", VARIANTS)
@each_width
@each_dtype
def test_masks_and_limits_of_hinge(dtype, classes, variant, simd_level):
    rng = np.random.default_rng(5)
    s, y = rng.normal(size=(12, classes)).astype(dtype), np.zeros(12, int)
    s[0, 1:] = -INF  # only the target is left
    s[1, 0] = -INF  # an impossible target
    s[2] = -INF  # no class left
    s[3, 1] = NAN
    s[4, 0] = NAN
    s[5, 2] = INF
    s[6, 0] = INF
    s[7, :2] = INF  # their difference is nothing
    s[8, 1] = -INF
    options = {"variant": variant, "reduction": "none"}
    value, grad, hess = HINGE.value_grad_hess(s, y, **options)
    want = HINGE.reference.value_grad_hess(s, y, **options)
    assert_same_bits([np.isnan(x) for x in (value, grad, hess)], [np.isnan(x) for x in want])
    np.testing.assert_array_equal(np.nan_to_num(grad), np.nan_to_num(want[1]))
    assert value[0] == value[6] == 0
    assert value[1] == value[5] == INF
    assert np.isnan(value[[2, 3, 4, 7]]).all()
    assert np.isfinite(value[8:]).all()
    assert grad[1, 0] == grad[8, 1] == 0


@pytest.mark.parametrize("variant", VARIANTS)
@each_dtype
def test_the_edge_of_the_margin_is_exact(dtype, variant, simd_level):
    """A term counts if it is positive before any rounding."""
    tiny = np.finfo(dtype).tiny
    for away in (-tiny, 0.0, tiny):
        for classes in (2, 60):
            s = np.full((1, classes), -1.0, dtype)
            s[0, :2] = away, -1.0
            s[0, 2:] = -5.0
            value, grad = HINGE.value_and_grad(s, [0], variant=variant, reduction="none")
            assert value[0] == max(-away, 0)
            assert grad[0, :2].tolist() == ([-1.0, 1.0] if away < 0 else [0.0, 0.0])


def test_one_class():
    for variant in VARIANTS:
        value, grad, hess = HINGE.value_grad_hess([[3.0], [-1e30]], [0, 0], variant=variant)
        assert value == 0
        assert not grad.any()
        assert not hess.any()
    assert SIGMOID([[3.0], [-1e4]], [0, 0]) == 0
    assert KL([[3.0], [-1e4]], [[1.0], [1.0]]) == 0


# Options that it shares with cross-entropy; ignored samples: test_hard_values.py.


@pytest.mark.parametrize("kind", ["index", "soft"])
@each_width
@each_dtype
def test_every_option_of_sigmoids(dtype, classes, kind, simd_level):
    problem = Case("normalized_sigmoid_nll", kind, classes).weighted(40, dtype)
    for smoothing in (0.0, 0.1, 1.0):
        for ignored in (None, 1):
            for reduction in REDUCTIONS:
                p = problem.having(label_smoothing=smoothing, ignore_index=ignored)
                assert_exact(p, reduction)
                assert_exact(p, reduction, "value_and_grad")


# Other libraries.


def data(classes=7):
    rng = np.random.default_rng(6)
    z = 3 * rng.normal(size=(40, classes))
    return z, rng.integers(0, classes, 40)


def test_sigmoids_against_torch():
    """The others: interop/test_torch_modules.py."""
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    z, y = data()
    x = torch.tensor(z, requires_grad=True)
    want = functional.cross_entropy(functional.logsigmoid(x), torch.tensor(y))
    want.backward()
    value, grad = SIGMOID.value_and_grad(z, y)
    assert value == pytest.approx(want.item(), rel=1e-13)
    np.testing.assert_allclose(grad, x.grad.numpy(), rtol=1e-11, atol=1e-16)


def test_against_sklearn():
    metrics = pytest.importorskip("sklearn.metrics")
    z, y = data()
    assert HINGE(z, y) == pytest.approx(metrics.hinge_loss(y, z), rel=1e-13)
