"""The NumPy reference: against the tables of hard points, and its semantics by small examples."""

import math
from pathlib import Path

import numpy as np
import pytest

import nllkern as nk
from nllkern import reference
from nllkern._accuracy import LIMIT, error, flat, load
from nllkern.reference import _math as rm
from nllkern.reference.sampled import IS_WIDER, ROWS

GOLDEN = Path(__file__).parent.parent / "golden"
TABLES = [t for path in sorted(GOLDEN.glob("*.npz")) for t in load(path)]
GAUSSIAN_LINKS = ("identity", "softplus", "log", "variance", "log_variance")
GAMMA_LINKS = ("identity", "softplus", "log")
NAN, INF = math.nan, math.inf
FAR = 5000.0  # raw numbers beyond: the exponentials leave the range of the reference's floats


# Accuracy.


@pytest.mark.parametrize("table", TABLES, ids=str)
def test_hard_points(table):
    """Rounded to float32, to 1 rounding; float64 to 4, as asked of the library (vectors: to 16).

    Where the exact result overflows, NumPy's floats may have been left on the way to it.
    """
    row = ROWS[table.loss]
    if row.kind == "pointwise" and not IS_WIDER:
        pytest.skip("NumPy has no float wider than float64 here")
    loss = getattr(reference, table.loss)
    results = flat(loss.value_grad_hess(*table.args, **table.options, reduction="none"))
    ordinary = np.ones(len(table.args[0]), bool)
    for p, x in zip(row.parameters, table.args, strict=False):
        if p.option and p.kind == "number" and table.options[p.option.name] != "identity":
            ordinary &= np.abs(x) <= FAR
    limit = 1.0 if table.dtype == "float32" else LIMIT * (4 if row.kind == "vectors" else 1)
    for got, exact in zip(results, table.results, strict=True):
        assert got.dtype == np.float64
        with np.errstate(all="ignore"):
            err = error(got.astype(table.dtype), exact, table.dtype)
        err = np.where(np.isinf(exact.high) & ~np.isfinite(got), 0.0, err)
        assert np.max(err[ordinary], initial=0.0) <= limit


def test_sum_of_others_loses_nothing():
    got = rm.sum_of_others(np.array([[1e-30, 1.0, 2e-30], [0.0, 0.0, 5.0]]))
    np.testing.assert_allclose(got, [[1.0, 3e-30, 1.0], [5.0, 5.0, 0.0]], rtol=1e-15)


# Semantics.

LOGITS = np.array([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0], [2.0, 2.0, 2.0]])
TARGET = np.array([1, 0, 2])
PER_SAMPLE = reference.cross_entropy(LOGITS, TARGET, reduction="none")
PER_GRAD = reference.cross_entropy.grad(LOGITS, TARGET, reduction="none")


def test_registry():
    assert {x.name for x in reference.losses()} == {x.name for x in nk.losses()}
    assert reference.LOSSES["gamma_nll"] is reference.gamma_nll
    assert reference.gamma_nll.parameters == ("shape", "rate")
    assert reference.gaussian_nll.links == GAUSSIAN_LINKS
    assert "p_k" in reference.cross_entropy.__doc__


def test_reductions():
    ce = reference.cross_entropy
    assert PER_SAMPLE.shape == (3,)
    assert ce(LOGITS, TARGET) == pytest.approx(PER_SAMPLE.mean(), rel=1e-15)
    assert ce(LOGITS, TARGET, reduction="sum") == pytest.approx(PER_SAMPLE.sum(), rel=1e-15)
    assert type(ce(LOGITS, TARGET)) is float
    np.testing.assert_allclose(ce.grad(LOGITS, TARGET), PER_GRAD / 3, rtol=1e-15)
    value, grad = ce.value_and_grad(LOGITS, TARGET, reduction="sum")
    assert value == ce(LOGITS, TARGET, reduction="sum")
    np.testing.assert_array_equal(grad, PER_GRAD)


def test_sample_weight():
    ce, w = reference.cross_entropy, np.array([2.0, 0.0, 0.5])
    np.testing.assert_allclose(
        ce(LOGITS, TARGET, reduction="none", sample_weight=w), w * PER_SAMPLE
    )
    value, grad = ce.value_and_grad(LOGITS, TARGET, sample_weight=w)
    assert value == pytest.approx((w * PER_SAMPLE).sum() / 2.5, rel=1e-15)
    np.testing.assert_allclose(grad, w[:, None] * PER_GRAD / 2.5)
    # A weight of zero takes the sample out, whatever its data.
    bad = LOGITS.copy()
    bad[1] = [NAN, INF, 0.0]
    assert ce(bad, TARGET, sample_weight=w) == value
    v, g, h = reference.gamma_nll.value_grad_hess(
        [1.0, NAN], [1.0, -1.0], [1.0, 0.0], sample_weight=[1.0, 0.0]
    )
    assert v == pytest.approx(1.0, rel=1e-15)
    assert [x[1] for x in (*g, *h)] == [0.0] * 4


def test_normalizer():
    ce = reference.cross_entropy
    assert ce(LOGITS, TARGET, normalizer=7) == pytest.approx(PER_SAMPLE.sum() / 7, rel=1e-15)
    np.testing.assert_allclose(ce.grad(LOGITS, TARGET, normalizer=7.0), PER_GRAD / 7)
    for bad in (0, -1.0, INF, NAN):
        with pytest.raises(ValueError, match="normalizer"):
            ce(LOGITS, TARGET, normalizer=bad)
    with pytest.raises(ValueError, match="normalizer"):
        ce(LOGITS, TARGET, normalizer=3, reduction="sum")


def test_ignore_index():
    ce, target = reference.cross_entropy, np.array([1, -100, 2])
    value, grad = ce.value_and_grad(LOGITS, target, ignore_index=-100)
    assert value == pytest.approx((PER_SAMPLE[0] + PER_SAMPLE[2]) / 2, rel=1e-15)
    np.testing.assert_array_equal(grad[1], 0.0)
    np.testing.assert_allclose(grad[[0, 2]], PER_GRAD[[0, 2]] / 2)
    # The one-hot form of the same targets, with class 0 ignored.
    index = ce.value_grad_hess(LOGITS, TARGET, ignore_index=0)
    one_hot = ce.value_grad_hess(LOGITS, np.eye(3)[TARGET], ignore_index=0)
    for a, b in zip(index, one_hot, strict=True):
        np.testing.assert_array_equal(a, b)
    # Nothing left: 0, not NaN.
    value, grad = ce.value_and_grad(LOGITS, [-1, -1, -1], ignore_index=-1)
    assert value == 0.0
    assert not grad.any()


def test_class_weight():
    ce, w = reference.cross_entropy, np.array([0.5, 2.0, 0.0])
    weighted = np.array([2.0, 0.5, 0.0]) * PER_SAMPLE
    assert ce(LOGITS, TARGET, class_weight=w) == pytest.approx(weighted.sum() / 2.5, rel=1e-15)
    # For probabilities "mean" divides by the number of samples.
    soft = np.eye(3)[TARGET]
    assert ce(LOGITS, soft, class_weight=w) == pytest.approx(weighted.mean(), rel=1e-15)
    # A sample of a class of weight 0 does not count, unless smoothing or z_loss gives it a loss.
    bad = LOGITS.copy()
    bad[2] = NAN
    assert ce(bad, TARGET, class_weight=w) == ce(LOGITS, TARGET, class_weight=w)
    assert np.isnan(ce(bad, TARGET, class_weight=w, z_loss=0.1))
    assert np.isnan(ce(bad, TARGET, class_weight=w, label_smoothing=0.1))


def test_smoothing_comes_before_class_weights():
    z, w, eps = np.array([0.3, -0.2, 1.0]), np.array([1.0, 2.0, 3.0]), 0.3
    log_p = z - np.log(np.exp(z).sum())
    tau = w * np.array([0.1, 0.8, 0.1])
    value = reference.cross_entropy(
        z, 1, class_weight=w, label_smoothing=eps, z_loss=0.01, reduction="sum"
    )
    expected = -(tau * log_p).sum() + 0.01 * np.log(np.exp(z).sum()) ** 2
    assert value == pytest.approx(expected, rel=1e-14)


def test_masked_classes():
    ce = reference.cross_entropy
    z = np.array([[1.0, -INF, 2.0], [1.0, 5.0, 2.0]])
    value, grad, hess = ce.value_grad_hess(z, [2, 1], reduction="none")
    assert value[0] == pytest.approx(math.log1p(math.exp(-1)), rel=1e-15)
    assert grad[0, 1] == hess[0, 1] == 0.0
    # The same with softcap: a masked class stays masked.
    capped = ce.grad(z, [2, 1], reduction="none", softcap=3.0)
    assert capped[0, 1] == 0.0
    assert capped[0, 0] > 0
    # A target on the masked class, by index or through smoothing: an infinite loss.
    value, grad = ce.value_and_grad(z, [1, 1], reduction="none")
    assert value[0] == INF
    assert math.isfinite(value[1])
    assert grad[0, 1] == 0.0
    assert np.isfinite(grad).all()
    assert ce(z, [2, 1], reduction="none", label_smoothing=0.1)[0] == INF
    # Zero mass on the masked class: its term is absent.
    assert math.isfinite(ce(z, [[0.5, 0.0, 0.5], [0.0, 1.0, 0.0]]))


@pytest.mark.parametrize("row", [[INF, 0.0, 1.0], [NAN, 0.0, 1.0], [-INF, -INF, -INF]])
def test_not_a_number_stays_in_its_sample(row):
    z = np.array([row, [1.0, 5.0, 2.0]])
    value, grad = reference.cross_entropy.value_and_grad(z, [1, 1], reduction="none")
    assert np.isnan(value[0])
    assert math.isfinite(value[1])
    np.testing.assert_array_equal(np.isnan(grad[0]), z[0] != -INF)
    assert np.isfinite(grad[1]).all()


def test_one_class():
    value, grad, hess = reference.cross_entropy.value_grad_hess([[3.0], [-1e30]], [0, 0])
    assert (value, *grad.ravel(), *hess.ravel()) == (0.0,) * 5


def test_leading_axes_and_no_axes():
    ce, rng = reference.cross_entropy, np.random.default_rng(9)
    z, t = rng.normal(size=(2, 3, 4)), rng.integers(4, size=(2, 3))
    assert ce(z, t, reduction="none").shape == (2, 3)
    np.testing.assert_array_equal(
        ce.grad(z, t, reduction="none")[1, 2], ce.grad(z[1, 2], t[1, 2], reduction="none")
    )
    value, grad = ce.value_and_grad(np.empty((0, 4)), np.empty(0, int))
    assert (value, grad.shape) == (0.0, (0, 4))


def test_binary_limits():
    bce = reference.binary_cross_entropy
    value, grad = bce.value_and_grad([INF, -INF, INF, -INF], [1.0, 0.0, 0.0, 1.0], reduction="none")
    assert value.tolist() == [0.0, 0.0, INF, INF]
    assert grad.tolist() == [0.0, 0.0, 1.0, -1.0]


def test_pos_weight():
    bce, z = reference.binary_cross_entropy, np.zeros((2, 3))
    y = np.array([[1.0, 0.0, 0.5]] * 2)
    got = bce(z, y, pos_weight=[2.0, 2.0, 4.0], reduction="none")
    np.testing.assert_allclose(got, [[2.0 * math.log(2), math.log(2), 2.5 * math.log(2)]] * 2)
    with pytest.raises(ValueError, match="pos_weight"):
        bce(z, y, pos_weight=[1.0, 2.0])


def test_scalar_parameters():
    nll, rng = reference.gaussian_nll, np.random.default_rng(10)
    mean, y = rng.normal(size=(2, 5))
    for reduction in ("mean", "sum", "none"):
        args = {"reduction": reduction, "link": "softplus"}
        value, (g_mean, g_scale), (_, h_scale) = nll.value_grad_hess(mean, 0.3, y, **args)
        full = nll.value_grad_hess(mean, np.full(5, 0.3), y, **args)
        np.testing.assert_array_equal(value, full[0])
        np.testing.assert_array_equal(g_mean, full[1][0])
        assert type(g_scale) is float
        assert g_scale == pytest.approx(full[1][1].sum(), rel=1e-14)
        assert h_scale == pytest.approx(full[2][1].sum(), rel=1e-14)


def test_unit_variance_is_half_the_squared_error():
    mean, y = np.random.default_rng(11).normal(size=(2, 50))
    value, (grad, _) = reference.gaussian_nll.value_and_grad(
        mean, 1.0, y, full=False, reduction="none"
    )
    np.testing.assert_allclose(value, 0.5 * (y - mean) ** 2, rtol=1e-15)
    np.testing.assert_allclose(grad, mean - y, rtol=1e-15)


def test_full_keeps_the_constants():
    y = np.array([0.5, 2.0])
    a = reference.gaussian_nll(0.0, 1.0, y, reduction="none")
    b = reference.gaussian_nll(0.0, 1.0, y, reduction="none", full=False)
    np.testing.assert_allclose(a - b, 0.5 * math.log(2 * math.pi))
    a = reference.gamma_nll(3.0, 1.0, y, reduction="none")
    b = reference.gamma_nll(3.0, 1.0, y, reduction="none", full=False)
    np.testing.assert_allclose(a - b, np.log(y))


def test_exponential_is_a_gamma_of_shape_one():
    y, rate = np.array([0.1, 1.0, 30.0]), 0.7
    value = reference.gamma_nll(1.0, rate, y, reduction="none")
    np.testing.assert_allclose(value, rate * y - math.log(rate), rtol=1e-14)


def test_student_with_infinite_degrees_of_freedom_is_gaussian():
    rng = np.random.default_rng(12)
    mean, y = rng.normal(size=(2, 50)) * 3
    scale = rng.gamma(2.0, size=50)
    value, grads, hesss = reference.student_t_nll.value_grad_hess(
        mean, scale, INF, y, reduction="none"
    )
    right = reference.gaussian_nll.value_grad_hess(mean, scale, y, reduction="none")
    np.testing.assert_allclose(value, right[0], rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(grads[:2], right[1], rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(hesss[:2], right[2], rtol=1e-13, atol=1e-13)
    assert (grads[2], hesss[2]) == (0.0, 0.0)


def test_poisson_is_the_logarithm_of_its_probabilities():
    y, rate = np.arange(60.0), 7.3
    value = reference.poisson_nll(rate, y, reduction="none")
    assert np.exp(-value).sum() == pytest.approx(1.0, rel=1e-14)
    assert value[3] == pytest.approx(rate - 3 * math.log(rate) + math.log(6), rel=1e-14)


def test_outside_the_domain():
    nan4 = [True] * 4
    v, g, h = reference.gamma_nll.value_grad_hess(
        [1.0, 1.0, 0.0, 1.0, -1.0],
        [1.0, 1.0, 1.0, -2.0, 1.0],
        [0.0, -1.0, 1.0, 1.0, -1.0],
        reduction="none",
    )
    np.testing.assert_allclose(v, [0.0, INF, NAN, NAN, NAN], atol=1e-15)
    assert [np.isnan(x[1:]).all() for x in (*g, *h)] == nan4
    for link in ("identity", "variance"):
        v, g, h = reference.gaussian_nll.value_grad_hess(
            [0.0] * 3, [0.0, -1.0, 1.0], [0.0] * 3, link=link, reduction="none"
        )
        np.testing.assert_array_equal(np.isnan([v, *g, *h]), [[True, True, False]] * 5)


def test_far_raw_parameters_stay_finite():
    """Softplus and exp underflow long before the losses do."""
    v, g = reference.gaussian_nll.value_and_grad(
        [1.0] * 2, [-5e3] * 2, [1.0] * 2, link="softplus", reduction="none"
    )
    np.testing.assert_allclose(v, -5e3 + 0.5 * math.log(2 * math.pi))
    assert [x.tolist() for x in g] == [[0.0, 0.0], [1.0, 1.0]]
    v, g = reference.gamma_nll.value_and_grad(
        [-1e4], [-2e3], [1.0], link="softplus", reduction="none"
    )
    assert v[0] == 1e4
    assert [x[0] for x in g] == [-1.0, 0.0]


@pytest.mark.parametrize(
    ("loss", "args", "options", "message"),
    [
        ("gamma_nll", ([1.0, 1.0], [1.0, 1.0], [1.0, -0.5]), {}, r"target at index \(1,\)"),
        ("gamma_nll", ([1.0, NAN], [1.0, 1.0], [1.0, 1.0]), {}, r"shape at index \(1,\)"),
        ("gaussian_nll", ([1.0], [0.0], [1.0]), {"link": "variance"}, r"scale at index \(0,\)"),
        ("binary_cross_entropy", ([[0.0, 0.0]], [[1.0, 1.5]]), {}, r"target at index \(0, 1\)"),
        ("cross_entropy", ([[0.0, 0.0]], [[0.5, -0.5]]), {}, r"target at index \(0, 1\)"),
    ],
)
def test_check(loss, args, options, message):
    getattr(reference, loss)(*args, **options)
    with pytest.raises(ValueError, match=message):
        getattr(reference, loss)(*args, **options, check=True)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda ce: ce(LOGITS, [0, 5, 1]), IndexError, r"target 5 at position \(1,\).*\[0, 3\)"),
        (lambda ce: ce(LOGITS, [0, 1, -1]), IndexError, r"target -1 at position \(2,\)"),
        (lambda ce: ce(LOGITS, [0, 1]), ValueError, "target has shape"),
        (lambda ce: ce(LOGITS, np.ones((3, 2))), ValueError, "target has shape"),
        (lambda ce: ce(np.ones((3, 0)), TARGET), ValueError, "K >= 1"),
        (lambda ce: ce(LOGITS, TARGET, reduction="avg"), ValueError, "reduction"),
        (lambda ce: ce(LOGITS, TARGET, label_smoothing=1.5), ValueError, "label_smoothing"),
        (lambda ce: ce(LOGITS, TARGET, softcap=0.0), ValueError, "softcap"),
        (lambda ce: ce(LOGITS, TARGET, z_loss=-1.0), ValueError, "z_loss"),
        (lambda ce: ce(LOGITS, TARGET, class_weight=[1.0, 1.0]), ValueError, "class_weight"),
        (lambda ce: ce(LOGITS, TARGET, sample_weight=[1.0]), ValueError, "sample_weight"),
        (lambda ce: ce(LOGITS, TARGET, temperature=2.0), TypeError, "temperature"),
        (lambda ce: ce(LOGITS.astype(np.float16), TARGET), TypeError, "float16"),
        (lambda ce: ce(LOGITS + 0j, TARGET), TypeError, "complex"),
        (lambda _: reference.gamma_nll(1.0, 1.0, [1.0], link="variance"), ValueError, "link"),
        (lambda _: reference.gaussian_nll([1.0, 2.0], 1.0, [1.0]), ValueError, "mean has shape"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call(reference.cross_entropy)


def test_out():
    out = np.empty_like(LOGITS, dtype=np.float32)
    value, grad = reference.cross_entropy.value_and_grad(LOGITS, TARGET, out=out)
    assert grad is out
    np.testing.assert_array_equal(out, (PER_GRAD / 3).astype(np.float32))
    z = LOGITS.copy()
    assert reference.cross_entropy.value_and_grad(z, TARGET, out=z)[0] == value
    np.testing.assert_array_equal(z, PER_GRAD / 3)
    y, pair = np.ones(4), (np.empty(4), np.empty(4))
    grads = reference.gamma_nll.grad(y, y, y, out=pair)
    assert grads[0] is pair[0]
    assert grads[1] is pair[1]
    np.testing.assert_array_equal(grads, reference.gamma_nll.grad(y, y, y))
