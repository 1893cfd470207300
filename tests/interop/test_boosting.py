"""nllkern.boosting: derivatives beside the loss's own, layouts, and boosters trained for real."""

import copy
import pickle

import numpy as np
import pytest

import nllkern as nk
from nllkern.boosting import Objective
from nllkern.reference.functions import FLOATS
from nllkern.reference.jets import Jet
from nllkern.reference.links import linked
from nllkern.tables import LOSSES

ROWS = {row.name: row for row in LOSSES if row.kind in ("pointwise", "rows")}
POINTWISE = [row for row in ROWS.values() if row.kind == "pointwise"]
ONE = [row.name for row in POINTWISE if len(row.parameters) == 1]
REAL = [row.name for row in POINTWISE if row.target.name == "real"]
PARAMETERS = {"gamma_nll": 2, "gaussian_nll": 2, "poisson_nll": 1, "exponential_nll": 1}


def drawn(name, theta, rng):
    """Targets of the distribution."""
    if name == "gaussian_nll":
        return rng.normal(theta[0], theta[1])
    if name == "gamma_nll":
        return rng.gamma(theta[0], 1 / theta[1])
    return rng.poisson(theta[0]) if name == "poisson_nll" else rng.exponential(1 / theta[0])


@pytest.mark.parametrize(
    ("name", "link"), [(name, link) for name in PARAMETERS for link in getattr(nk, name).links]
)
def test_fisher_is_the_mean_of_the_true_one(name, link):
    """And of the gradient's square."""
    rng, n = np.random.default_rng(0), 400_000
    raw = np.tile([1.3, 0.7][: PARAMETERS[name]], (n, 1))
    behind = [k for k in range(PARAMETERS[name]) if name != "gaussian_nll" or k == 1]
    theta = [
        linked(FLOATS, link if k in behind else "identity", Jet((raw[:, k],))).value
        for k in range(raw.shape[1])
    ]
    y = drawn(name, theta, rng)
    scores = raw if raw.shape[1] > 1 else raw[:, 0]
    grad, fisher = Objective(name, link=link, floor=0).derivatives(y, scores)
    _, true = Objective(name, link=link, hessian="true", floor=-np.inf).derivatives(y, scores)
    for x in (np.float64(true), np.float64(grad) ** 2):
        np.testing.assert_allclose(x.mean(axis=0), fisher.mean(axis=0, dtype=float), rtol=0.02)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_layout(dtype):
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(40, 3)).astype(dtype)
    soft = rng.dirichlet(np.ones(3), 40)
    weight = rng.uniform(0, 2, 40)
    labels = rng.integers(0, 3, 40)
    for target in (labels, labels.astype(float), soft):
        grad, hess = Objective("cross_entropy").derivatives(target, scores, weight)
        assert grad.dtype == hess.dtype == np.float32
        assert grad.flags.c_contiguous
        assert hess.flags.c_contiguous
        index = target if target.ndim == 2 else labels
        want = nk.cross_entropy.value_grad_hess(
            scores,
            index if index.ndim == 1 else index.astype(dtype),
            sample_weight=weight.astype(dtype),
            reduction="sum",
        )
        np.testing.assert_allclose(grad, want[1], rtol=1e-6)
        np.testing.assert_allclose(hess, want[2], rtol=1e-6, atol=1e-5)
    fixed = Objective("cross_entropy", target=soft).derivatives(np.zeros(40), scores)
    np.testing.assert_array_equal(fixed[0], Objective("cross_entropy").derivatives(soft, scores)[0])
    y = rng.uniform(size=40)
    grad, hess = Objective("binary_cross_entropy").derivatives(y, scores[:, 0])
    assert grad.shape == hess.shape == (40,)
    np.testing.assert_allclose(grad, 1 / (1 + np.exp(-scores[:, 0])) - y, rtol=1e-4, atol=1e-6)


def test_floor():
    y, scores = np.full(5, 3.0), np.stack([np.zeros(5), np.full(5, 2.0)], axis=1)
    true = Objective("gaussian_nll", link="log", hessian="true", floor=-np.inf)
    assert (true.derivatives(np.zeros(5), scores)[1][:, 1] <= 0).all()
    weight = np.arange(5.0)
    raised = Objective("gaussian_nll", link="log", hessian="true", floor=0.5)
    found = raised.derivatives(np.zeros(5), scores, weight)[1]
    np.testing.assert_allclose(found[:, 1], 0.5 * weight)
    assert (Objective("gaussian_nll", link="log").derivatives(y, scores)[1] > 0).all()


def test_constant():
    rng = np.random.default_rng(0)
    y = rng.gamma(3.0, 2.0, 2000)
    shape, rate = np.exp(Objective("gamma_nll", link="log").constant(y))
    assert shape / rate == pytest.approx(y.mean(), rel=1e-4)
    scipy_stats = pytest.importorskip("scipy.stats")
    assert shape == pytest.approx(scipy_stats.gamma.fit(y, floc=0)[0], rel=1e-3)
    mean, log_scale = Objective("gaussian_nll", link="log").constant(y)
    assert (mean, np.exp(log_scale)) == pytest.approx((y.mean(), y.std()), rel=1e-3)
    assert Objective("poisson_nll", link="log").base_margin([1, 2, 3]).shape == (3,)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_constant_of_every_link(scale):
    y = scale * np.random.default_rng(0).gamma(3.0, 2.0, 500)
    for name in [row.name for row in POINTWISE if any(p.option for p in row.parameters)]:
        found = [
            Objective(name, link=link).nll(y, Objective(name, link=link).base_margin(y))
            for link in getattr(nk, name).links
        ]
        np.testing.assert_allclose(found, found[0], rtol=1e-5, atol=1e-5)
    mean, log_scale = Objective("gaussian_nll").constant(y)
    assert (mean, np.exp(log_scale)) == pytest.approx((y.mean(), y.std()), rel=1e-3)
    assert Objective("absolute_error").constant(y) == pytest.approx(np.median(y), rel=1e-3)


def test_constant_of_part():
    """Samples of weight 0 do not count; options that hold a number for each sample do."""
    y, w = np.array([1.0, np.nan, 2.0, 3.0]), np.array([1.0, 0.0, 1.0, 1.0])
    assert Objective("squared_error", check=False).constant(y, w) == pytest.approx([2.0])
    delta = np.full(4, 100.0)
    assert Objective("huber", delta=delta, check=False).constant(y, w) == pytest.approx([2.0])


def test_bounded():
    rng = np.random.default_rng(0)
    y, scores, weight = rng.normal(size=(3, 50))
    weight = np.abs(weight)
    distance = np.abs(scores - y)
    step = np.maximum(distance, np.average(distance, weights=weight))
    grad, hess = Objective("absolute_error").derivatives(y, scores, weight)
    np.testing.assert_allclose(grad, weight * np.sign(scores - y), rtol=1e-6)
    np.testing.assert_allclose(hess, weight / step, rtol=1e-6)
    _, true, curve = nk.huber.value_grad_hess(scores, y, delta=0.5, reduction="sum")
    found = Objective("huber", delta=0.5).derivatives(y, scores)
    longest = np.maximum(distance, distance.mean())
    np.testing.assert_allclose(found[1], np.maximum(curve, np.abs(true) / longest), rtol=1e-6)
    labels = np.sign(y)
    grad, hess = Objective("hinge").derivatives(labels, scores)
    np.testing.assert_allclose(hess, np.maximum(np.abs(grad), 1e-6))


@pytest.mark.parametrize("name", [name for name in REAL if name not in ("huber", "log_cosh")])
def test_call_knows_no_units(name):
    """Targets in other units lead to the same trees, but for losses that have a unit themselves."""
    rng = np.random.default_rng(0)
    columns = len(ROWS[name].parameters)
    y, scores = rng.normal(size=50), rng.normal(size=(50, columns))
    moved = scores.copy()
    moved[:, 0] *= 1e4
    if columns > 1:
        moved[:, 1] += np.log(1e4)
    if columns == 1:
        scores, moved = scores[:, 0], moved[:, 0]
    grad, hess = Objective(name)(y, scores)
    far_grad, far_hess = Objective(name)(1e4 * y, moved)
    unit = np.array([1e4, 1.0, 1.0])[:columns] if columns > 1 else 1e4
    np.testing.assert_allclose(far_grad, grad * unit, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(far_hess, hess, rtol=1e-4)
    assert np.abs(hess.reshape(50, -1)[:, 0].mean() - 1) < 1e-5
    true = Objective(name, hessian="true")
    np.testing.assert_array_equal(true(y, scores), true.derivatives(y, scores))


@pytest.mark.parametrize("name", ONE)
def test_one_column(name):
    """Scores of shape (n, 1), as some versions of the boosters have them."""
    y, scores = np.array([0.0, 1.0, 1.0]), np.array([0.3, 0.2, -1.0])
    for call in (Objective(name), Objective(name).derivatives):
        for wide, narrow in zip(call(y, scores[:, None]), call(y, scores), strict=True):
            assert wide.shape == (3, 1)
            np.testing.assert_array_equal(wide[:, 0], narrow)


def test_signs():
    scores = np.array([0.3, -0.2, 2.0])
    for name in ("hinge", "squared_hinge"):
        objective = Objective(name)
        for labels in ([1, 0, 0], [True, False, False], [1.0, 0.0, 0.0]):
            np.testing.assert_array_equal(
                objective.derivatives(labels, scores), objective.derivatives([1, -1, -1], scores)
            )
            want = getattr(nk, name)(scores, np.array([1.0, -1.0, -1.0]))
            assert objective.nll(labels, scores) == want
        for labels in ([1, 0, -1], [1, 2, 2], [0.5, 1, 0]):
            with pytest.raises(ValueError, match=r"target.*-1 or 1"):
                objective.derivatives(labels, scores)


class Data:
    """What the boosters hand to an objective."""

    def __init__(self, label, weight=None):
        self.label, self.weight = label, weight

    def get_label(self):
        return self.label

    def get_weight(self):
        return self.weight


def test_metric_of_other_data():
    rng = np.random.default_rng(0)
    soft, scores = rng.dirichlet(np.ones(3), 6), rng.normal(size=(6, 3))
    train, valid = Data(np.zeros(6)), Data(np.array([0.0, 1, 2, 0, 1, 2]))
    objective = Objective("cross_entropy", target=soft)
    objective(scores, train)
    assert objective.metric(scores, train) == ("cross_entropy", nk.cross_entropy(scores, soft))
    want = nk.cross_entropy(scores, valid.label.astype(int))
    assert objective.metric(scores, valid) == ("cross_entropy", want)
    assert objective.nll(valid.label, scores) == want
    with pytest.raises(ValueError, match=r"labels have shape \(6, 3\), expected 4 of them"):
        objective(scores[:4], Data(np.zeros(4)))
    with pytest.raises(ValueError, match=r"labels have shape \(\), expected 6"):
        objective.metric(scores, Data(None))


def test_copies():
    objective = Objective("gamma_nll", target=np.ones(3))
    assert copy.deepcopy({"objective": objective})["objective"] is objective
    loaded = pickle.loads(pickle.dumps(objective))
    assert loaded.options == objective.options
    np.testing.assert_array_equal(
        loaded(np.ones(3), np.ones((3, 2))), objective(np.ones(3), np.ones((3, 2)))
    )


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cross_entropy", {"z_lss": 1.0}, "z_lss.*expected one of.*label_smoothing.*z_loss"),
        ("cross_entropy", {"label_smoothing": 2.0}, "label_smoothing is 2.0"),
        ("cross_entropy", {"class_weight": "balanced"}, "class_weight"),
        ("gaussian_nll", {"link": "exp"}, "link is 'exp', expected one of identity"),
        ("student_t_nll", {"df_link": "exp"}, "df_link is 'exp', expected one of identity"),
        ("huber", {"delta": -1.0}, "delta"),
        ("huber", {"delta": np.array([1.0, -1.0])}, "delta"),
        ("huber", {"full": True}, "unknown keyword 'full', expected one of check, delta"),
        ("multiclass_hinge", {"variant": "best"}, "variant is 'best'"),
        ("binned_cross_entropy", {}, "edges"),
        ("binned_cross_entropy", {"edges": [1.0, 0.0, 2.0]}, r"edges\[1\] is 0.0"),
        ("huber", {"floor": "high"}, "floor is 'high'"),
        ("huber", {"hessian": ""}, "hessian is ''"),
    ],
)
def test_options_are_checked_at_construction(name, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Objective(name, **options)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_options_may_be_arrays(dtype):
    scores = np.array([[0.5, -1.0], [2.0, 0.1]], dtype)
    found = Objective("cross_entropy", class_weight=[1, 2]).derivatives([0, 1], scores)
    want = nk.cross_entropy.value_grad_hess(
        scores, [0, 1], class_weight=np.array([1, 2], dtype), reduction="sum"
    )
    np.testing.assert_array_equal(found[0], np.float32(want[1]))
    pos_weight = np.array([0.5, 3.0])
    found = Objective("binary_cross_entropy", pos_weight=pos_weight).derivatives([0, 1], scores[0])
    want = nk.binary_cross_entropy.grad(
        scores[0], np.array([0, 1], dtype), pos_weight=pos_weight.astype(dtype), reduction="sum"
    )
    np.testing.assert_array_equal(found[0], np.float32(want))


def test_labels_outside_the_domain():
    for name, label in (("gamma_nll", -1.0), ("poisson_nll", -2.0), ("huber", np.nan)):
        objective = Objective(name)
        scores = np.zeros((3, 2)) if name == "gamma_nll" else np.zeros(3)
        with pytest.raises(ValueError, match=r"target\[1\] is"):
            objective([1.0, label, 1.0], scores)
        with pytest.raises(ValueError, match=r"target\[1\] is"):
            objective.constant([1.0, label, 1.0])
        objective([1.0, label, 1.0], scores, [1.0, 0.0, 1.0])


def test_errors():
    with pytest.raises(ValueError, match="loss is 'gamma', expected one of cross_entropy"):
        Objective("gamma")
    with pytest.raises(ValueError, match=r"hessian is 'fisher', expected 'true'.*huber"):
        Objective("huber", hessian="fisher")
    with pytest.raises(TypeError, match="reduction is the booster's"):
        Objective("huber", reduction="mean")
    with pytest.raises(
        ValueError, match=r"scores have shape \(5,\), expected \(n, 2\) for shape, rate"
    ):
        Objective("gamma_nll").derivatives(np.ones(5), np.ones(5))
    with pytest.raises(ValueError, match=r"scores have shape \(5,\), expected \(n, K\)"):
        Objective("cross_entropy").derivatives(np.ones(5), np.ones(5))
    with pytest.raises(ValueError, match="labels hold fractions"):
        Objective("cross_entropy").derivatives(np.full(5, 0.5), np.ones((5, 2)))
    with pytest.raises(ValueError, match="constant is not offered"):
        Objective("cross_entropy").constant([1, 2])
