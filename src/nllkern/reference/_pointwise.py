"""Errors, margins and binary classes: one prediction and one target per sample."""

import numpy as np

from . import _math as rm
from ._math import product, sigmoid, softplus
from ._protocol import Samples, broadcast, loss, where_valid


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
