"""The losses by their formulas, in the functions that PyTorch and JAX have both.

Functions of the arguments in nllkern's order; the sum over samples, constants included.  ``xp`` has
the functions under one name: formulas_torch.py, formulas_jax.py.
"""

import math

from ..catalogue import BINS, MU, TEMPERATURE

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
LOG_2 = math.log(2)


def size(x):
    return math.prod(x.shape)


def uniform_bin(xp, target):
    """Index of the bin in [-1, 1), all of one width."""
    return xp.as_index(xp.clip(xp.floor((target + 1) * (BINS / 2)), 0, BINS - 1))


def mu_law_bin(xp, target):
    even = xp.sign(target) * xp.log1p(MU * xp.abs(target)) / math.log1p(MU)
    return uniform_bin(xp, even)


def binned(xp, bins, formula):
    """A cross-entropy whose targets are put into bins first."""

    def call(logits, target):
        return formula(logits, bins(xp, target))

    call.__name__ = formula.__name__
    return call


def of_values(xp):
    """{entry of the catalogue: formula} of losses that are no densities of a number."""

    def cross_entropy(logits, target):
        return -xp.at_index(xp.log_softmax(logits), target).sum()

    def binary(logits, target):
        return (xp.softplus(logits) - logits * target).sum()

    def normalized_sigmoid(logits, target):
        total = xp.sigmoid(logits).sum(-1)
        return (xp.log(total) + xp.softplus(-xp.at_index(logits, target))).sum()

    def kl_divergence(logits, target):
        return xp.soft_cross_entropy(logits, target) + xp.xlogy(target, target).sum()

    def huber(prediction, target):
        difference = prediction - target
        slope = xp.constant(xp.clip(difference, -1, 1))
        return (slope * (difference - 0.5 * slope)).sum()

    def log_cosh(prediction, target):
        magnitude = xp.abs(prediction - target)
        return (magnitude + xp.log1p(xp.exp(-2 * magnitude)) - LOG_2).sum()

    def poisson_log(raw, target):
        return (xp.exp(raw) - raw * target + xp.gammaln(target + 1)).sum()

    def multivariate(mean, factor, target):
        z = xp.solve(factor, (target - mean)[..., None])
        log_det = xp.log(xp.diagonal(factor)).sum()
        return 0.5 * xp.square(z).sum() + log_det + HALF_LOG_2PI * size(mean)

    def multivariate_shared(mean, factor, target):
        z = xp.solve(factor, (target - mean).T)
        log_det = len(mean) * xp.log(xp.diagonal(factor)).sum()
        return 0.5 * xp.square(z).sum() + log_det + HALF_LOG_2PI * size(mean)

    def triplet(anchor, positive, negative):
        near, far = (xp.sqrt(xp.square(anchor - x).sum(-1)) for x in (positive, negative))
        return xp.relu(near - far + 1).sum()

    def info_nce(queries, keys):
        q, k = queries / (xp.norm(queries) * TEMPERATURE), keys / xp.norm(keys)
        return xp.logsumexp(q @ k.T).sum() - (q * k).sum()

    return {
        "cross_entropy": cross_entropy,
        "binary_cross_entropy": binary,
        "normalized_sigmoid_nll": normalized_sigmoid,
        "kl_divergence": kl_divergence,
        "huber": huber,
        "log_cosh": log_cosh,
        "poisson_nll, log": poisson_log,
        "multivariate_gaussian_nll": multivariate,
        "multivariate_gaussian_nll, shared": multivariate_shared,
        "triplet_margin": triplet,
        "info_nce": info_nce,
    }


def of_densities(xp):
    """{entry: (the density's name, its parameters of the raw ones, the formula of these)}."""
    softplus = xp.softplus

    def normal(y, mean, sigma):
        return (xp.log(sigma) + 0.5 * xp.square((y - mean) / sigma)).sum() + HALF_LOG_2PI * size(y)

    def laplace(y, mean, scale):
        return (xp.abs(y - mean) / scale + xp.log(scale)).sum() + LOG_2 * size(y)

    def student_t(y, df, mean, scale):
        """The constant of a df that is a number costs nothing."""
        z, half = (y - mean) / scale, 0.5 * df
        is_number = isinstance(df, float)
        lgamma, log = (math.lgamma, math.log) if is_number else (xp.gammaln, xp.log)
        constant = lgamma(half) - lgamma(half + 0.5) + 0.5 * log(df * math.pi)
        each = (half + 0.5) * xp.log1p(z * z / df) + xp.log(scale)
        return each.sum() + constant * size(y) if is_number else (each + constant).sum()

    def exponential(y, rate):
        return (rate * y - xp.log(rate)).sum()

    def gamma(y, a, b):
        return (xp.gammaln(a) - a * xp.log(b) - (a - 1) * xp.log(y) + b * y).sum()

    def poisson(y, rate):
        return (rate - y * xp.log(rate) + xp.gammaln(y + 1)).sum()

    def positive(*raw):
        return tuple(map(softplus, raw))

    def location(mean, raw):
        return mean, softplus(raw)

    def with_df(mean, raw, df):
        return df, mean, softplus(raw)

    def with_raw_df(mean, raw, raw_df):
        return softplus(raw_df), mean, softplus(raw)

    return {
        "gaussian_nll": ("normal", location, normal),
        "laplace_nll": ("laplace", location, laplace),
        "student_t_nll, df=4": ("student_t", with_df, student_t),
        "student_t_nll, df predicted": ("student_t", with_raw_df, student_t),
        "exponential_nll": ("exponential", positive, exponential),
        "gamma_nll": ("gamma", positive, gamma),
        "poisson_nll, log": ("poisson", lambda raw: (xp.exp(raw),), None),
        "poisson_nll, softplus": ("poisson", positive, poisson),
    }


def by_density(log_density, parameters):
    def density(*args):
        *raw, target = args
        return -log_density(target, *parameters(*raw)).sum()

    return density


def by_formula(formula, parameters):
    def plain(*args):
        *raw, target = args
        return formula(target, *parameters(*raw))

    return plain


def formulations(xp, own):
    """{entry: its formulas}: the library's own, its densities, and those written by hand.

    ``own``: {entry: [formulas]}; ``xp.densities``: {name: log-density of (target, *parameters)}.
    """
    found = {name: list(formulas) for name, formulas in own.items()}
    for name, (density, parameters, formula) in of_densities(xp).items():
        more = [by_density(xp.densities[density], parameters)]
        more += [by_formula(formula, parameters)] if formula else []
        found.setdefault(name, []).extend(more)
    for name, formula in of_values(xp).items():
        formula.__name__ = "plain"
        found.setdefault(name, []).append(formula)
    for name, bins in (("uniform", uniform_bin), ("mu-law", mu_law_bin)):
        found[f"binned_cross_entropy, {name}"] = [binned(xp, bins, f) for f in xp.index_formulas]
    return found
