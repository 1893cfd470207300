"""The losses as a JAX user may write them, from optax and jax.scipy.stats where these have them.

Functions of the arguments in nllkern's order; the sum over samples, constants included.
"""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.scipy import special, stats

from ..catalogue import TEMPERATURE
from .formulas import formulations


def at_index(array, index):
    return jnp.take_along_axis(array, index[:, None], -1)[:, 0]


def cross_entropy(logits, target):
    return optax.softmax_cross_entropy_with_integer_labels(logits, target).sum()


def cross_entropy_one_hot(logits, target):
    one_hot = jax.nn.one_hot(target, logits.shape[-1], dtype=logits.dtype)
    return soft_cross_entropy(logits, one_hot)


def soft_cross_entropy(logits, target):
    return optax.softmax_cross_entropy(logits, target).sum()


def bce(logits, target):
    return optax.sigmoid_binary_cross_entropy(logits, target).sum()


def normalized_sigmoid(logits, target):
    return cross_entropy(jax.nn.log_sigmoid(logits), target)


def normalized_sigmoid_one_hot(logits, target):
    own = jax.nn.one_hot(target, logits.shape[-1], dtype=logits.dtype)
    log_theta = jax.nn.log_sigmoid(logits)
    return (jnp.log(jnp.exp(log_theta).sum(-1)) - (own * log_theta).sum(-1)).sum()


def kl_divergence(logits, target):
    return optax.kl_divergence(jax.nn.log_softmax(logits), target).sum()


def l2_loss(prediction, target):
    return optax.l2_loss(prediction, target).sum()


def absolute(prediction, target):
    return jnp.abs(prediction - target).sum()


def huber(prediction, target):
    return optax.huber_loss(prediction, target, delta=1.0).sum()


def log_cosh(prediction, target):
    return optax.log_cosh(prediction, target).sum()


def hinge(score, target):
    return optax.hinge_loss(score, target).sum()


def squared_hinge(score, target):
    return jnp.square(optax.hinge_loss(score, target)).sum()


def multiclass_hinge(scores, target):
    return optax.losses.multiclass_hinge_loss(scores, target).sum()


def multiclass_hinge_gather(scores, target):
    own = at_index(scores, target)
    others = jnp.where(jnp.arange(scores.shape[-1]) == target[:, None], scores, scores + 1)
    return (others.max(-1) - own).sum()


def triplet(anchor, positive, negative):
    return optax.losses.triplet_margin_loss(anchor, positive, negative, margin=1.0, eps=0.0).sum()


def unit_rows(x):
    return x / jnp.linalg.norm(x, axis=-1, keepdims=True)


def info_nce(queries, keys):
    similarity = unit_rows(queries) @ unit_rows(keys).T / TEMPERATURE
    return cross_entropy(similarity, jnp.arange(len(queries)))


def nt_xent_optax(queries, keys):
    labels = jnp.tile(jnp.arange(len(queries)), 2)
    both = jnp.concatenate([queries, keys])
    return optax.losses.ntxent(both, labels, TEMPERATURE) * len(queries)


def nt_xent(queries, keys):
    z = unit_rows(jnp.concatenate([queries, keys]))
    n = len(queries)
    similarity = jnp.where(jnp.eye(2 * n, dtype=bool), -jnp.inf, z @ z.T / TEMPERATURE)
    return cross_entropy(similarity, (jnp.arange(2 * n) + n) % (2 * n)) / 2


XP = SimpleNamespace(
    abs=jnp.abs,
    clip=jnp.clip,
    exp=jnp.exp,
    floor=jnp.floor,
    gammaln=special.gammaln,
    log1p=jnp.log1p,
    log=jnp.log,
    relu=jax.nn.relu,
    sigmoid=jax.nn.sigmoid,
    sign=jnp.sign,
    softplus=jax.nn.softplus,
    sqrt=jnp.sqrt,
    square=jnp.square,
    xlogy=special.xlogy,
    as_index=lambda x: x.astype(jnp.int32),
    at_index=at_index,
    constant=lax.stop_gradient,
    diagonal=lambda x: jnp.diagonal(x, axis1=-2, axis2=-1),
    log_softmax=jax.nn.log_softmax,
    logsumexp=lambda x: jax.nn.logsumexp(x, -1),
    norm=lambda x: jnp.linalg.norm(x, axis=-1, keepdims=True),
    soft_cross_entropy=soft_cross_entropy,
    solve=lambda factor, y: lax.linalg.triangular_solve(factor, y, left_side=True, lower=True),
    index_formulas=[cross_entropy, cross_entropy_one_hot],
    densities={
        "normal": stats.norm.logpdf,
        "laplace": stats.laplace.logpdf,
        "student_t": stats.t.logpdf,
        "exponential": lambda y, rate: stats.expon.logpdf(y, scale=1 / rate),
        "gamma": lambda y, a, rate: stats.gamma.logpdf(y, a, scale=1 / rate),
        "poisson": stats.poisson.logpmf,
    },
)
# jax.scipy.stats.multivariate_normal takes the covariance and factorises it again.
FORMULAS = formulations(
    XP,
    {
        "cross_entropy": [cross_entropy, cross_entropy_one_hot],
        "binary_cross_entropy": [bce],
        "normalized_sigmoid_nll": [normalized_sigmoid, normalized_sigmoid_one_hot],
        "kl_divergence": [kl_divergence],
        "squared_error": [l2_loss],
        "absolute_error": [absolute],
        "huber": [huber],
        "log_cosh": [log_cosh],
        "hinge": [hinge],
        "squared_hinge": [squared_hinge],
        "multiclass_hinge": [multiclass_hinge, multiclass_hinge_gather],
        "triplet_margin": [triplet],
        "info_nce": [info_nce],
        "info_nce, nt_xent": [nt_xent_optax, nt_xent],
    },
)
