"""nllkern.boosting: derivatives beside the loss's own, layouts, and boosters trained for real."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.model_selection import KFold, train_test_split

import nllkern as nk
from nllkern.boosting import Objective
from nllkern.reference._math import apply_link

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
    linked = [k for k in range(PARAMETERS[name]) if name != "gaussian_nll" or k == 1]
    theta = [
        apply_link(link, raw[:, k]).value if k in linked else raw[:, k] for k in range(raw.shape[1])
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


# ---- training ----


@pytest.fixture(scope="module")
def diabetes():
    return load_diabetes(return_X_y=True)


TREES = {"max_depth": 2, "eta": 0.05, "lambda": 5.0, "nthread": 1}


def own_gamma(xgboost, rounds, x, y, test):
    """XGBoost's own objective: the mean, and one shape for all samples, fitted afterwards."""
    train = xgboost.DMatrix(x, y)
    booster = xgboost.train({**TREES, "objective": "reg:gamma"}, train, rounds)
    ratio = y / booster.predict(train)
    shape = np.exp(Objective("gamma_nll", link="log").constant(ratio)[0])
    mean = booster.predict(xgboost.DMatrix(test))
    return np.full(len(mean), shape), shape / mean


def both_parameters(xgboost, rounds, x, y, test):
    objective = Objective("gamma_nll", link="log")
    start = objective.base_margin(y)
    booster = xgboost.train(
        {**TREES, "num_class": 2, "base_score": 0.0, "disable_default_eval_metric": 1},
        xgboost.DMatrix(x, y, base_margin=start),
        rounds,
        obj=objective,
    )
    margin = np.tile(start[0], (len(test), 1))
    scores = booster.predict(xgboost.DMatrix(test, base_margin=margin), output_margin=True)
    return np.exp(np.float64(scores.reshape(len(test), 2))).T


@pytest.mark.slow
def test_gamma_beats_fixed_dispersion():
    """Held-out likelihood of the standard error of a tumour's area, which scatters by its size.

    Three folds; each way has as many rounds as serve it best on a part of the training data.
    """
    xgboost = pytest.importorskip("xgboost")
    data = load_breast_cancer()
    errors = np.array(["error" in name for name in data.feature_names])
    x, y = data.data[:, ~errors], data.data[:, list(data.feature_names).index("area error")]
    found = {own_gamma: [], both_parameters: []}
    for train, test in KFold(3, shuffle=True, random_state=0).split(x):
        inner, check = train_test_split(train, test_size=0.2, random_state=0)
        for fit, values in found.items():

            def held_out(rounds, train, test, fit=fit):
                shape, rate = np.float64(fit(xgboost, rounds, x[train], y[train], x[test]))
                return nk.gamma_nll(shape, rate, y[test])

            rounds = min((100, 200, 400, 800), key=lambda r: held_out(r, inner, check))
            values.append(held_out(rounds, train, test))
    assert np.mean(found[both_parameters]) < np.mean(found[own_gamma]) - 0.1


def test_lightgbm_gaussian(diabetes):
    """Mean and scale, against the constant prediction."""
    lightgbm = pytest.importorskip("lightgbm")
    x, y = diabetes
    x, x_test, y, y_test = train_test_split(x, y, random_state=0)
    objective = Objective("gaussian_nll", link="log")
    start = objective.base_margin(y)
    data = lightgbm.Dataset(x, y, init_score=start)
    options = {
        "objective": objective,
        "num_class": 2,
        "learning_rate": 0.05,
        "num_leaves": 4,
        "verbose": -1,
        "num_threads": 1,
    }
    booster = lightgbm.train(options, data, 60)
    scores = booster.predict(x_test, raw_score=True) + start[0]
    assert (
        objective.nll(y_test, scores)
        < objective.nll(y_test, np.tile(start[0], (len(y_test), 1))) - 0.1
    )


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_fractional_targets(library):
    """Probabilities as binary targets, through the scikit-learn class."""
    module = pytest.importorskip(library)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 3))
    p = 1 / (1 + np.exp(-(2 * x[:, 0] - x[:, 1])))
    y = rng.binomial(10, p) / 10
    options = {"n_estimators": 60, "learning_rate": 0.2, "max_depth": 3, "n_jobs": 1}
    objective = Objective("binary_cross_entropy")
    if library == "xgboost":
        model = module.XGBRegressor(objective=objective, base_score=0.0, **options)
        scores = model.fit(x, y).predict(x, output_margin=True)
    else:
        model = module.LGBMRegressor(objective=objective, verbose=-1, **options)
        scores = model.fit(x, y).predict(x, raw_score=True)
    assert np.abs(1 / (1 + np.exp(-scores)) - p).mean() < 0.06


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_soft_targets(library):
    """Digits with smoothed probabilities as targets."""
    module = pytest.importorskip(library)
    x, labels = load_digits(return_X_y=True)
    x, x_test, labels, test = train_test_split(x, labels, random_state=0)
    soft = 0.9 * np.eye(10)[labels] + 0.01
    objective = Objective("cross_entropy", target=soft)
    if library == "xgboost":
        options = {
            "num_class": 10,
            "max_depth": 3,
            "eta": 0.3,
            "base_score": 0.0,
            "nthread": 2,
            "disable_default_eval_metric": 1,
        }
        booster = module.train(options, module.DMatrix(x, labels), 20, obj=objective)
        scores = booster.predict(module.DMatrix(x_test), output_margin=True)
    else:
        options = {
            "num_class": 10,
            "objective": objective,
            "verbose": -1,
            "num_threads": 2,
            "num_leaves": 8,
        }
        booster = module.train(options, module.Dataset(x, labels), 30)
        scores = booster.predict(x_test, raw_score=True)
    assert (scores.argmax(axis=1) == test).mean() > 0.9
