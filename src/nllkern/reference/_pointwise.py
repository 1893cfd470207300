"""Losses with one number per parameter and one target per sample."""

import numpy as np

from . import _math as rm
from ._math import apply_link, product, sigmoid, softplus
from ._protocol import Samples, as_float64, loss, where_valid


@loss("logits")
def binary_cross_entropy(logits, target, *, pos_weight=None):
    """Binary cross-entropy from logits z, with targets y anywhere in [0, 1].

    value = pos_weight y softplus(-z) + (1 - y) softplus(z)
    grad  = (1 - y) sigmoid(z) - pos_weight y sigmoid(-z)
    hess  = ((1 - y) + pos_weight y) sigmoid(z) sigmoid(-z)
    """
    z, y = logits, target
    w = np.ones(()) if pos_weight is None else as_float64("pos_weight", pos_weight)
    try:
        w = np.broadcast_to(w, z.shape)
    except ValueError:
        raise ValueError(
            f"pos_weight has shape {w.shape}, which does not broadcast to {z.shape}"
        ) from None
    positive, negative = w * y, 1.0 - y
    return Samples(
        product(positive, softplus(-z)) + product(negative, softplus(z)),
        (negative * sigmoid(z) - positive * sigmoid(-z),),
        ((negative + positive) * sigmoid(z) * sigmoid(-z),),
        {"target": (~((y >= 0) & (y <= 1)), "in [0, 1]")},
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
    impossible = y <= 0
    value = np.where(impossible, np.inf, value)
    grads, hesss = (
        (np.where(impossible, np.nan, x), np.where(impossible, np.nan, x2))
        for x, x2 in (grads, hesss)
    )
    expected = f"> 0 under link {link!r}"
    outside = {
        "shape": (~a.valid, expected),
        "rate": (~b.valid, expected),
        "target": (~(y > 0), "> 0"),
    }
    return where_valid(a.valid & b.valid & ~np.isnan(y), value, grads, hesss, outside)
