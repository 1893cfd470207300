"""Values of the likelihoods: minus the log-densities of scipy.stats, with every link."""

import numpy as np
import pytest

import nllkern as nk
from nllkern.tables import LOSSES

stats = pytest.importorskip("scipy.stats")

N = 500
RAW = {  # from a positive parameter to the raw one
    "identity": lambda s: s,
    "softplus": lambda s: s + np.log(-np.expm1(-s)),
    "log": np.log,
    "variance": lambda s: s**2,
    "log_variance": lambda s: 2 * np.log(s),
}


def positive(rng, spread=2.0):
    return np.exp(spread * rng.normal(size=N))


def gaussian_nll(rng, raw):
    mean, sigma, y = 3 * rng.normal(size=N), positive(rng), 3 * rng.normal(size=N)
    return (mean, raw(sigma), y), stats.norm.logpdf(y, mean, sigma)


def laplace_nll(rng, raw):
    mean, scale, y = 3 * rng.normal(size=N), positive(rng), 3 * rng.normal(size=N)
    return (mean, raw(scale), y), stats.laplace.logpdf(y, mean, scale)


def student_t_nll(rng, raw):
    mean, scale, df = 3 * rng.normal(size=N), positive(rng), positive(rng)
    y = 3 * rng.normal(size=N)
    return (mean, raw(scale), raw(df), y), stats.t.logpdf(y, df, mean, scale)


def exponential_nll(rng, raw):
    rate, y = positive(rng), positive(rng)
    y[::10] = 0
    return (raw(rate), y), stats.expon.logpdf(y, scale=1 / rate)


def poisson_nll(rng, raw):
    rate = positive(rng)
    y = rng.poisson(rate).astype(np.float64)
    return (raw(rate), y), stats.poisson.logpmf(y, rate)


def gamma_nll(rng, raw):
    shape, rate, y = positive(rng), positive(rng), positive(rng)
    return (raw(shape), raw(rate), y), stats.gamma.logpdf(y, shape, scale=1 / rate)


def weibull_nll(rng, raw):
    shape, scale, y = positive(rng, 0.5), positive(rng), positive(rng)
    return (raw(shape), raw(scale), y), stats.weibull_min.logpdf(y, shape, scale=scale)


def lognormal_nll(rng, raw):
    mean, scale, y = rng.normal(size=N), positive(rng), positive(rng)
    return (mean, raw(scale), y), stats.lognorm.logpdf(y, scale, scale=np.exp(mean))


LIKELIHOODS = [row for row in LOSSES if row.kind == "pointwise" and row.option("full")]


@pytest.mark.parametrize(
    ("name", "link"), [(row.name, link) for row in LIKELIHOODS for link in row.links]
)
def test_density(name, link):
    args, density = globals()[name](np.random.default_rng(8), RAW[link])
    loss = getattr(nk, name)
    links = {x.name: link for x in loss.row.options if x.kind == "link"}
    value = loss(*args, reduction="none", **links)
    there = np.isfinite(density)  # SciPy's Laplace density underflows before its logarithm is taken
    assert there.mean() > 0.9
    np.testing.assert_allclose(value[there], -density[there], rtol=1e-11, atol=1e-11)


def test_student_t_of_infinite_df_is_the_gaussian():
    (mean, sigma, y), density = gaussian_nll(np.random.default_rng(9), RAW["identity"])
    value = nk.student_t_nll(mean, sigma, np.inf, y, reduction="none")
    np.testing.assert_allclose(value, -density, rtol=1e-11, atol=1e-11)


def test_bernoulli():
    rng = np.random.default_rng(10)
    p = rng.uniform(1e-6, 1 - 1e-6, size=N)
    y = rng.integers(0, 2, N).astype(np.float64)
    value = nk.binary_cross_entropy(np.log(p) - np.log1p(-p), y, reduction="none")
    np.testing.assert_allclose(value, -stats.bernoulli.logpmf(y, p), rtol=1e-9)


def test_categorical():
    """A multinomial of one draw: by softmax, and by sigmoids over their sum."""
    rng = np.random.default_rng(11)
    p = rng.dirichlet(np.ones(7), size=N)
    index = rng.integers(0, 7, N)
    density = stats.multinomial.logpmf(np.eye(7)[index], 1, p)
    value = nk.cross_entropy(np.log(p), index, reduction="none")
    np.testing.assert_allclose(value, -density, rtol=1e-11, atol=1e-11)
    value = nk.normalized_sigmoid_nll(np.log(p) - np.log1p(-p), index, reduction="none")
    np.testing.assert_allclose(value, -density, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("d", [1, 2, 5, 20])
def test_multivariate_normal(d):
    """A factor of its own for each sample, and one covariance for all."""
    rng = np.random.default_rng(12)
    mean, y = rng.normal(size=(2, 30, d))
    factor = np.tril(rng.normal(size=(30, d, d))) / np.sqrt(d)
    at = np.arange(d)
    factor[:, at, at] = np.exp(0.5 * factor[:, at, at])
    covariance = factor @ np.swapaxes(factor, 1, 2)
    density = [
        stats.multivariate_normal.logpdf(*row) for row in zip(y, mean, covariance, strict=True)
    ]
    value = nk.multivariate_gaussian_nll(mean, factor, y, reduction="none")
    np.testing.assert_allclose(value, np.negative(density), rtol=1e-9)
    one = covariance[0]
    density = stats.multivariate_normal.logpdf(y - mean, np.zeros(d), one)
    value = nk.multivariate_gaussian_nll(mean, one, y, link="covariance", reduction="none")
    np.testing.assert_allclose(value, -density, rtol=1e-9)
