"""Losses with one number per parameter and one target per sample."""

import numpy as np

from . import _math as rm
from ._math import apply_link, product, sigmoid, softplus
from ._protocol import Samples, broadcast, loss, where_possible, where_valid


@loss("logits")
def binary_cross_entropy(logits, target, *, pos_weight=None):
    """Binary cross-entropy from logits z, with targets y anywhere in [0, 1].

    value = pos_weight y softplus(-z) + (1 - y) softplus(z)
    grad  = (1 - y) sigmoid(z) - pos_weight y sigmoid(-z)
    hess  = ((1 - y) + pos_weight y) sigmoid(z) sigmoid(-z)
    """
    z, y = logits, target
    w = broadcast("pos_weight", 1.0 if pos_weight is None else pos_weight, z.shape)
    positive, negative = w * y, 1.0 - y
    return Samples(
        product(positive, softplus(-z)) + product(negative, softplus(z)),
        (negative * sigmoid(z) - positive * sigmoid(-z),),
        ((negative + positive) * sigmoid(z) * sigmoid(-z),),
        {"target": (~((y >= 0) & (y <= 1)), "in [0, 1]")},
    )


def _of_difference(prediction, target, value, grad, hess, valid=True):
    """A loss of one prediction without a domain: NaN where the difference is."""
    number = ~np.isnan(prediction - target) & valid
    return where_valid(number, value, (grad,), (hess,), {"target": (np.isnan(target), "a number")})


@loss("prediction")
def squared_error(prediction, target):
    """Half the squared error, d = prediction - target.

    value = d^2/2,  grad = d,  hess = 1
    """
    d = prediction - target
    return _of_difference(prediction, target, 0.5 * d * d, d, np.ones_like(d))


@loss("prediction")
def absolute_error(prediction, target):
    """Absolute error, d = prediction - target.

    value = |d|,  grad = sign(d) (0 at 0),  hess = 0
    """
    d = prediction - target
    return _of_difference(prediction, target, np.abs(d), np.sign(d), np.zeros_like(d))


@loss("prediction")
def huber(prediction, target, *, delta=1.0):
    """Huber's loss, d = prediction - target.

    value = d^2/2 where |d| <= delta, delta (|d| - delta/2) beyond
    grad  = d limited to [-delta, delta],  hess = 1 where |d| <= delta, 0 beyond
    """
    d = prediction - target
    delta = broadcast("delta", delta, d.shape)
    size = np.abs(d)
    reach = np.minimum(size, delta)
    inside = np.where(size <= delta, 1.0, 0.0)
    value, grad = reach * (size - 0.5 * reach), np.copysign(reach, d)
    s = _of_difference(prediction, target, value, grad, inside, delta > 0)
    return s._replace(outside={**s.outside, "delta": (~(delta > 0), "> 0")})


@loss("prediction")
def log_cosh(prediction, target):
    """The logarithm of the hyperbolic cosine, d = prediction - target.

    value = log(cosh(d)),  grad = tanh(d),  hess = 1 / cosh(d)^2
    """
    d = prediction - target
    return _of_difference(prediction, target, rm.log_cosh(d), np.tanh(d), rm.sech2(d))


@loss("score")
def hinge(score, target):
    """Hinge loss of a score z for a label y = -1 or 1.

    value = max(0, 1 - y z),  grad = -y where y z < 1, else 0,  hess = 0
    """
    margin = 1.0 - target * score
    active = margin > 0
    s = _of_difference(
        score,
        target,
        np.maximum(margin, 0.0),
        np.where(active, -target, 0.0),
        np.zeros_like(margin),
    )
    return _with_labels(s, margin, target)


@loss("score")
def squared_hinge(score, target):
    """Squared hinge loss of a score z for a label y = -1 or 1, h = max(0, 1 - y z).

    value = h^2,  grad = -2 y h,  hess = 2 y^2 where y z < 1, else 0
    """
    margin = 1.0 - target * score
    h = np.maximum(margin, 0.0)
    hess = np.where(margin > 0, 2.0 * target * target, 0.0)
    return _with_labels(
        _of_difference(score, target, h * h, -2.0 * target * h, hess), margin, target
    )


def _with_labels(s, margin, target):
    """The domain of the labels; NaN where the margin is, as of an infinite score times 0."""
    return where_valid(
        ~np.isnan(margin), s.value, s.grad, s.hess, {"target": (np.abs(target) != 1, "-1 or 1")}
    )


@loss("mean", "scale", links=("identity", "softplus", "log", "variance", "log_variance"))
def gaussian_nll(mean, scale, target, *, link="identity", full=True):
    """Negative log-density of a normal distribution; sigma = link(scale), z = (y - mean)/sigma.

    value       = log sigma + z^2/2 + log(2 pi)/2        (the constant only if full)
    d/dmean     = -z/sigma                               d2/dmean2 = 1/sigma^2
    d/dlogsigma = 1 - z^2                                d2/dlogsigma2 = 2 z^2
    and from log sigma to the raw scale by the chain rule.  A scale outside the domain of its
    link (<= 0 under identity and variance) gives NaN.
    """
    sigma = apply_link(link, scale)
    difference = target - mean
    z = sigma.divide(difference)
    precision = sigma.divide(sigma.divide(np.ones_like(z)))
    usual = (precision > 1e-300) & (precision < np.inf)

    def one_minus_z2(x):  # (1 - z^2) x, where z^2 alone might overflow
        return product(1.0 - np.abs(z), product(1.0 + np.abs(z), x))

    value = sigma.log + 0.5 * z * z + (rm.HALF_LOG_2PI if full else 0.0)
    grads = (
        -np.where(usual, difference * precision, sigma.divide(z)),
        one_minus_z2(sigma.slope),
    )
    hesss = (
        precision,
        product(
            sigma.slope,
            2.0 * product(z, product(z, sigma.slope)) + one_minus_z2(sigma.bend),
        ),
    )
    return where_valid(
        sigma.valid, value, grads, hesss, {"scale": (~sigma.valid, f"> 0 under link {link!r}")}
    )


@loss("mean", "scale", links=("identity", "softplus", "log"))
def laplace_nll(mean, scale, target, *, link="identity", full=True):
    """Negative log-density of a Laplace distribution; b = link(scale), r = |y - mean| / b.

    value   = r + log b + log 2                          (the constant only if full)
    d/dmean = -sign(y - mean) / b                        d2/dmean2 = 0
    d/dlogb = 1 - r                                      d2/dlogb2 = r
    and from log b to the raw scale by the chain rule.  A scale <= 0 under identity gives NaN.
    """
    b = apply_link(link, scale)
    difference = target - mean
    r = b.divide(np.abs(difference))
    grads = -b.divide(np.sign(difference)), product(1.0 - r, b.slope)
    hess = (r * b.slope + product(1.0 - r, b.bend)) * b.slope
    if link == "identity":
        hess = product(product(2.0 * r - 1.0, b.slope), b.slope)
    hesss = np.zeros_like(r), hess
    value = r + b.log + (np.log(2.0) if full else 0.0)
    outside = {"scale": (~b.valid, f"> 0 under link {link!r}")}
    return where_valid(b.valid & ~np.isnan(difference), value, grads, hesss, outside)


@loss("rate", links=("identity", "softplus", "log"))
def exponential_nll(rate, target, *, link="identity", full=True):
    """Negative log-density of an exponential distribution; b = link(rate).

    value  = b y - log b                                 (no constant: full changes nothing)
    d/db   = y - 1/b                                     d2/db2 = 1/b^2
    and to the raw rate by the chain rule.  A target < 0 is impossible: value +inf, derivatives
    NaN.  A rate outside the domain of its link gives NaN.
    """
    b, y = apply_link(link, rate), target
    by = b.times(y)
    x, _ = rm.product_ratio(b.value, y, np.ones_like(y))
    excess = np.where(b.lost | ~(np.abs(x) <= 0.5), by - 1.0, x)  # b y - 1
    grad = np.where(np.isinf(by), product(y, b.value * b.slope), product(excess, b.slope))
    hess = product(by, b.second) - b.slope * b.bend
    value, grads, hesss = where_possible((y >= 0) & (y < np.inf), by - b.log, (grad,), (hess,))
    outside = {
        "rate": (~b.valid, f"> 0 under link {link!r}"),
        "target": (~((y >= 0) & (y < np.inf)), ">= 0 and finite"),
    }
    return where_valid(b.valid & ~np.isnan(y), value, grads, hesss, outside)


@loss("shape", "rate", links=("identity", "softplus", "log"))
def gamma_nll(shape, rate, target, *, link="identity", full=True):
    """Negative log-density of a gamma distribution; a = link(shape), b = link(rate).

    value = lgamma(a) - a log b - (a - 1) log y + b y    (without +log y unless full)
          = [lgamma(a) - a log a + a] + log y + a (r - 1 - log r),   r = b y / a
    d/da  = digamma(a) - log(b y)                        d2/da2 = trigamma(a)
    d/db  = y - a/b                                      d2/db2 = a/b^2
    and to the raw parameters by the chain rule.  A target <= 0 is impossible: value +inf,
    derivatives NaN.  A parameter outside the domain of its link gives NaN.
    """
    a, b, y = apply_link(link, shape), apply_link(link, rate), target
    by = b.times(y)

    # r - 1 and log r from the numbers themselves, or from their logarithms where those are lost.
    x, log_r = rm.product_ratio(b.value, y, a.value)
    lost = a.lost | b.lost
    log_r = np.where(lost, (b.log - a.log) + np.log(y), log_r)
    x = np.where(lost, np.expm1(log_r), x)
    near, large = np.abs(x) <= 0.5, a.value >= 1
    residual = np.where(near | large, a.times(x), by - a.value)  # b y - a
    excess = np.where(
        near,
        -a.times(rm.log1pmx(x)),
        np.where(large, a.times(x - log_r), residual - a.times(log_r)),
    )

    value = rm.lgamma_scaled(a.value, a.log) + excess + (np.log(y) if full else 0.0)
    da = rm.digamma_scaled(a.value, a.log) - a.times(log_r)  # a d/da
    grads = a.slope * da, b.slope * residual
    hesss = (
        a.slope * (a.slope * rm.trigamma_scaled(a.value)) + product(da, a.second),
        product(by, b.second) - product(a.times(b.slope), b.bend),
    )
    value, grads, hesss = where_possible((y > 0) & (y < np.inf), value, grads, hesss)
    expected = f"> 0 under link {link!r}"
    outside = {
        "shape": (~a.valid, expected),
        "rate": (~b.valid, expected),
        "target": (~(y > 0), "> 0"),
    }
    return where_valid(a.valid & b.valid & ~np.isnan(y), value, grads, hesss, outside)
