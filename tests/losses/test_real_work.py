"""The losses at work on the data sets that scikit-learn ships.  Needs scikit-learn and SciPy."""

import numpy as np
import pytest

import nllkern as nk
from nllkern import reference

datasets = pytest.importorskip("sklearn.datasets")
linear_model = pytest.importorskip("sklearn.linear_model")
optimize = pytest.importorskip("scipy.optimize")
threadpoolctl = pytest.importorskip("threadpoolctl")  # comes with scikit-learn


@pytest.fixture(autouse=True)
def one_blas_thread():
    """The matrices are small: on a busy machine BLAS threads that wait for each other cost most."""
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        yield


def standardized(x):
    return (x - x.mean(axis=0)) / x.std(axis=0)


def minimize(objective, start):
    found = optimize.minimize(
        objective,
        start,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 5000, "maxfun": 20000, "gtol": 1e-8, "ftol": 0.0, "maxcor": 30},
    )
    return found.x, found.fun


def test_softmax_regression_on_digits():
    """L-BFGS on cross_entropy reaches the coefficients of LogisticRegression."""
    x, y = datasets.load_digits(return_X_y=True)
    x = x / 16.0
    n_classes, n_features = 10, x.shape[1]

    def objective(flat):  # the one of LogisticRegression(C=1), over the number of samples
        w, b = np.split(flat, [n_classes * n_features])
        w = w.reshape(n_classes, n_features)
        value, grad = nk.cross_entropy.value_and_grad(x @ w.T + b, y)
        value += 0.5 * np.sum(w * w) / len(y)
        return value, np.concatenate([(grad.T @ x + w / len(y)).ravel(), grad.sum(axis=0)])

    flat, _ = minimize(objective, np.zeros(n_classes * (n_features + 1)))
    w, b = np.split(flat, [n_classes * n_features])
    w = w.reshape(n_classes, n_features)

    sk = linear_model.LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-12).fit(x, y)
    np.testing.assert_allclose(w, sk.coef_, atol=1e-4)
    # The intercepts are free up to a shift that all classes share.
    np.testing.assert_allclose(b - b.mean(), sk.intercept_ - sk.intercept_.mean(), atol=5e-4)
    assert np.mean(np.argmax(x @ w.T + b, axis=1) == y) > 0.98


def test_gamma_regression_on_diabetes():
    """Shape and rate both predicted: the optimum is the one SciPy finds on the reference."""
    x, y = datasets.load_diabetes(return_X_y=True)
    x = np.column_stack([np.ones(len(y)), standardized(x)])
    y = y / y.mean()

    def objective_on(lib):
        def objective(flat):
            shape, rate = np.split(flat, 2)
            value, (d_shape, d_rate) = lib.gamma_nll.value_and_grad(
                x @ shape, x @ rate, y, link="softplus"
            )
            return value, np.concatenate([x.T @ d_shape, x.T @ d_rate])

        return objective

    start = np.zeros(2 * x.shape[1])
    flat, value = minimize(objective_on(nk), start)
    right, right_value = minimize(objective_on(reference), start)
    assert value == pytest.approx(right_value, rel=1e-10)
    np.testing.assert_allclose(flat, right, atol=1e-4)
    assert np.abs(objective_on(reference)(flat)[1]).max() < 1e-6

    # And it predicts: better than one gamma distribution for everybody.
    constant = np.zeros_like(start)

    def shared(pair):
        constant[[0, x.shape[1]]] = pair
        value, grad = objective_on(nk)(constant)
        return value, grad[[0, x.shape[1]]]

    assert value < minimize(shared, np.zeros(2))[1] - 0.1


def test_student_t_regression_resists_outliers():
    """Location linear in x, one scale and one df learned with it; errors with heavy tails.

    The standard errors of the nuclei's measurements: a few cells of a few samples are far off.
    """
    x, _ = datasets.load_breast_cancer(return_X_y=True)
    y = x[:, 13] / np.median(x[:, 13])  # the error of the area
    x = standardized(x[:, :10])
    order = np.random.default_rng(0).permutation(len(y))
    held_out, train = order[:150], order[150:]
    x = np.column_stack([np.ones(len(y)), x])

    def objective_on(lib):
        def objective(flat):
            coef, (scale, df) = flat[:-2], flat[-2:].tolist()
            value, (d_mean, d_scale, d_df) = lib.student_t_nll.value_and_grad(
                x[train] @ coef, scale, df, y[train], link="log", df_link="log"
            )
            return value, np.append(x[train].T @ d_mean, [d_scale, d_df])

        return objective

    start = np.zeros(x.shape[1] + 2)
    flat, value = minimize(objective_on(nk), start)
    right, right_value = minimize(objective_on(reference), start)
    assert value == pytest.approx(right_value, rel=1e-10)
    np.testing.assert_allclose(flat, right, atol=1e-4)
    assert np.abs(objective_on(reference)(flat)[1]).max() < 1e-6

    # Robust it is: heavy tails were found, and the typical error is smaller than by least squares.
    least_squares = np.linalg.lstsq(x[train], y[train], rcond=None)[0]
    typical = [np.median(np.abs(y - x @ w)[held_out]) for w in (flat[:-2], least_squares)]
    assert np.exp(flat[-1]) < 3
    assert typical[0] < 0.9 * typical[1]
    # Outliers ten times as far move least squares, and it hardly.
    far = np.argsort(np.abs(y[train] - x[train] @ flat[:-2]))[-10:]
    y[train[far]] *= 10
    moved = minimize(objective_on(nk), flat)[0][:-2] - flat[:-2]
    moved_squares = np.linalg.lstsq(x[train], y[train], rcond=None)[0] - least_squares
    assert np.abs(moved).max() < 0.05 * np.abs(moved_squares).max()


def test_poisson_regression_on_diabetes():
    """The coefficients of PoissonRegressor: half its deviance is the NLL up to a constant."""
    x, y = datasets.load_diabetes(return_X_y=True)
    x = np.column_stack([standardized(x), np.ones(len(y))])

    def objective(w):
        value, grad = nk.poisson_nll.value_and_grad(x @ w, y, link="log")
        penalized = np.append(w[:-1], 0)
        return value + 0.5 * penalized @ penalized, x.T @ grad + penalized

    w, _ = minimize(objective, np.append(np.zeros(x.shape[1] - 1), np.log(y.mean())))
    sk = linear_model.PoissonRegressor(alpha=1.0, solver="newton-cholesky", tol=1e-12)
    sk.fit(x[:, :-1], y)
    np.testing.assert_allclose(w[:-1], sk.coef_, atol=1e-7)
    assert w[-1] == pytest.approx(sk.intercept_, abs=1e-7)
    assert np.abs(sk.coef_).max() > 0.1


@pytest.mark.parametrize("epsilon", [1.1, 1.35, 2.0])
def test_huber_regression_on_diabetes(epsilon):
    """The coefficients of HuberRegressor, given the scale that it finds.

    It minimises sum(s + H(r / s) s) + alpha |w|^2 by w and s, with H(z) = z^2 up to epsilon and
    2 epsilon |z| - epsilon^2 beyond: for a given s, 2 / s times Huber's loss of delta = epsilon s.
    """
    x, y = datasets.load_diabetes(return_X_y=True)
    x, y = standardized(x), y / y.std()
    y[::20] += 5  # outliers
    alpha = 0.1
    sk = linear_model.HuberRegressor(epsilon=epsilon, alpha=alpha, tol=1e-9, max_iter=10000)
    sk.fit(x, y)
    x = np.column_stack([x, np.ones(len(y))])

    def objective(w):
        value, grad = nk.huber.value_and_grad(x @ w, y, delta=epsilon * sk.scale_, reduction="sum")
        penalized = np.append(w[:-1], 0)
        value = 2 / sk.scale_ * value + alpha * penalized @ penalized
        return value, 2 / sk.scale_ * (x.T @ grad) + 2 * alpha * penalized

    w, value = minimize(objective, np.zeros(x.shape[1]))
    np.testing.assert_allclose(w, np.append(sk.coef_, sk.intercept_), atol=2e-4)
    assert value <= objective(np.append(sk.coef_, sk.intercept_))[0] * (1 + 1e-12)
    far = np.abs(y - x @ w) > epsilon * sk.scale_
    assert 0.03 < far.mean() < 0.97  # both branches were taken


class Network:
    """One hidden layer of tanh beside a linear path, trained by Adam; gradients by hand."""

    def __init__(self, n_inputs, n_hidden, n_outputs, seed):
        rng = np.random.default_rng(seed)
        self.w1 = rng.normal(size=(n_inputs, n_hidden)) / np.sqrt(n_inputs)
        self.b1 = np.zeros(n_hidden)
        self.w2 = np.zeros((n_hidden, n_outputs))
        self.b2 = np.zeros(n_outputs)
        self.skip = np.zeros((n_inputs, n_outputs))
        self.shared = np.array([0.5])  # a raw scale that belongs to no input

    def forward(self, x):
        self.hidden = np.tanh(x @ self.w1 + self.b1)
        return self.hidden @ self.w2 + self.b2 + x @ self.skip

    def backward(self, x, d_out, d_shared, decay=0.05):
        d_hidden = (d_out @ self.w2.T) * (1 - self.hidden**2)
        return {
            "w1": x.T @ d_hidden + decay * self.w1,
            "b1": d_hidden.sum(axis=0),
            "w2": self.hidden.T @ d_out + decay * self.w2,
            "b2": d_out.sum(axis=0),
            "skip": x.T @ d_out + decay * self.skip,
            "shared": np.array([d_shared]),
        }

    def train(self, x, y, steps=400, rate=0.02):
        moments = {}
        for step in range(1, steps + 1):
            for name, g in self.backward(x, *self.loss_gradient(x, y)).items():
                m, v = moments.get(name, (0.0, 0.0))
                m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
                moments[name] = m, v
                update = (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
                setattr(self, name, getattr(self, name) - rate * update)
        return self


class MeanAndSigma(Network):
    """Predicts a mean and a raw scale for every input."""

    def loss_gradient(self, x, y):
        mean, scale = self.forward(x).T
        _, grads = nk.gaussian_nll.value_and_grad(mean, scale, y, link="softplus")
        return np.stack(grads, axis=1), 0.0

    def nll(self, x, y):
        mean, scale = self.forward(x).T
        return nk.gaussian_nll(mean, scale, y, link="softplus")


class MeanOnly(Network):
    """Predicts a mean; one sigma, a Python scalar, is shared and learned with it."""

    def loss_gradient(self, x, y):
        mean, scale = self.forward(x)[:, 0], float(self.shared[0])
        _, (d_mean, d_scale) = nk.gaussian_nll.value_and_grad(mean, scale, y, link="softplus")
        return d_mean[:, None], d_scale

    def nll(self, x, y):
        scale = float(self.shared[0])
        return nk.gaussian_nll(self.forward(x)[:, 0], scale, y, link="softplus")


def test_mean_and_sigma_network_beats_one_sigma():
    """Held-out NLL of a network that predicts sigma, against fits with one sigma for all.

    The ten mean measurements of each breast-cancer sample predict the area of its largest
    nuclei: the larger, the less certain.
    """
    x, _ = datasets.load_breast_cancer(return_X_y=True)
    y = standardized(x[:, 23])
    x = standardized(x[:, :10])
    order = np.random.default_rng(0).permutation(len(y))
    held_out, train = order[:150], order[150:]

    def design(rows):
        return np.column_stack([np.ones(len(rows)), x[rows]])

    coef = np.linalg.lstsq(design(train), y[train], rcond=None)[0]
    sigma = float(np.std(y[train] - design(train) @ coef))
    linear = nk.gaussian_nll(design(held_out) @ coef, sigma, y[held_out])

    one_sigma = MeanOnly(10, 8, 1, seed=1).train(x[train], y[train])
    each_sigma = MeanAndSigma(10, 8, 2, seed=1).train(x[train], y[train])
    nll = each_sigma.nll(x[held_out], y[held_out])
    assert nll < linear - 0.2
    assert nll < one_sigma.nll(x[held_out], y[held_out]) - 0.2
    # What it is trained on is what it reports: the reference agrees.
    mean, scale = each_sigma.forward(x[held_out]).T
    exact = reference.gaussian_nll(mean, scale, y[held_out], link="softplus")
    assert nll == pytest.approx(exact, rel=1e-12)
