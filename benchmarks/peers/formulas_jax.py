"""The losses as a JAX user may write them, from optax and jax.scipy.stats where these have them.

Functions of the arguments in nllkern's order; the sum over samples, constants included.
"""

import math

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.nn import softplus
from jax.scipy import stats
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import gammaln, xlogy

from ..catalogue import BINS, MU, TEMPERATURE

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
LOG_2 = math.log(2)


def at_index(array, index):
    return jnp.take_along_axis(array, index[:, None], -1)[:, 0]


def cross_entropy(logits, target):
    return optax.softmax_cross_entropy_with_integer_labels(logits, target).sum()


def cross_entropy_gather(logits, target):
    return -at_index(jax.nn.log_softmax(logits), target).sum()


def cross_entropy_one_hot(logits, target):
    one_hot = jax.nn.one_hot(target, logits.shape[-1], dtype=logits.dtype)
    return optax.softmax_cross_entropy(logits, one_hot).sum()


def bce(logits, target):
    return optax.sigmoid_binary_cross_entropy(logits, target).sum()


def bce_softplus(logits, target):
    return (softplus(logits) - logits * target).sum()


def normalized_sigmoid(logits, target):
    return cross_entropy(jax.nn.log_sigmoid(logits), target)


def normalized_sigmoid_by_hand(logits, target):
    total = jax.nn.sigmoid(logits).sum(-1)
    return (jnp.log(total) + softplus(-at_index(logits, target))).sum()


def normalized_sigmoid_one_hot(logits, target):
    own = jax.nn.one_hot(target, logits.shape[-1], dtype=logits.dtype)
    log_theta = jax.nn.log_sigmoid(logits)
    return (jnp.log(jnp.exp(log_theta).sum(-1)) - (own * log_theta).sum(-1)).sum()


def kl_divergence(logits, target):
    return optax.kl_divergence(jax.nn.log_softmax(logits), target).sum()


def kl_by_cross_entropy(logits, target):
    return optax.softmax_cross_entropy(logits, target).sum() + xlogy(target, target).sum()


def uniform_bin(target):
    return jnp.clip(jnp.floor((target + 1) * (BINS / 2)), 0, BINS - 1).astype(jnp.int32)


def mu_law_bin(target):
    even = jnp.sign(target) * jnp.log1p(MU * jnp.abs(target)) / math.log1p(MU)
    return uniform_bin(even)


def binned_uniform(logits, target):
    return cross_entropy(logits, uniform_bin(target))


def binned_uniform_one_hot(logits, target):
    return cross_entropy_one_hot(logits, uniform_bin(target))


def binned_mu_law(logits, target):
    return cross_entropy(logits, mu_law_bin(target))


def binned_mu_law_one_hot(logits, target):
    return cross_entropy_one_hot(logits, mu_law_bin(target))


def l2_loss(prediction, target):
    return optax.l2_loss(prediction, target).sum()


def absolute(prediction, target):
    return jnp.abs(prediction - target).sum()


def huber(prediction, target):
    return optax.huber_loss(prediction, target, delta=1.0).sum()


def huber_by_clip(prediction, target):
    difference = prediction - target
    slope = lax.stop_gradient(jnp.clip(difference, -1, 1))
    return (slope * (difference - 0.5 * slope)).sum()


def log_cosh(prediction, target):
    return optax.log_cosh(prediction, target).sum()


def log_cosh_of_magnitude(prediction, target):
    size = jnp.abs(prediction - target)
    return (size + jnp.log1p(jnp.exp(-2 * size)) - LOG_2).sum()


def gaussian(mean, raw, target):
    return -stats.norm.logpdf(target, mean, softplus(raw)).sum()


def gaussian_by_hand(mean, raw, target):
    sigma = softplus(raw)
    z = (target - mean) / sigma
    return (jnp.log(sigma) + 0.5 * z * z).sum() + HALF_LOG_2PI * mean.size


def laplace(mean, raw, target):
    return -stats.laplace.logpdf(target, mean, softplus(raw)).sum()


def laplace_by_hand(mean, raw, target):
    scale = softplus(raw)
    return (jnp.abs(target - mean) / scale + jnp.log(scale)).sum() + LOG_2 * mean.size


def student_t(mean, raw, df, target):
    return -stats.t.logpdf(target, df, mean, softplus(raw)).sum()


def t_by_hand(mean, scale, df, target):
    z = (target - mean) / scale
    half = 0.5 * df
    constant = gammaln(half) - gammaln(half + 0.5) + 0.5 * jnp.log(df * math.pi)
    return ((half + 0.5) * jnp.log1p(z * z / df) + jnp.log(scale) + constant).sum()


def student_t_by_hand(mean, raw, df, target):
    return t_by_hand(mean, softplus(raw), df, target)


def student_t_df(mean, raw, raw_df, target):
    return student_t(mean, raw, softplus(raw_df), target)


def student_t_df_by_hand(mean, raw, raw_df, target):
    return t_by_hand(mean, softplus(raw), softplus(raw_df), target)


def exponential(raw, target):
    return -stats.expon.logpdf(target, scale=1 / softplus(raw)).sum()


def exponential_by_hand(raw, target):
    rate = softplus(raw)
    return (rate * target - jnp.log(rate)).sum()


def gamma(shape, rate, target):
    return -stats.gamma.logpdf(target, softplus(shape), scale=1 / softplus(rate)).sum()


def gamma_by_hand(shape, rate, target):
    a, b = softplus(shape), softplus(rate)
    return (gammaln(a) - a * jnp.log(b) - (a - 1) * jnp.log(target) + b * target).sum()


def poisson_log(raw, target):
    return -stats.poisson.logpmf(target, jnp.exp(raw)).sum()


def poisson_log_by_hand(raw, target):
    return (jnp.exp(raw) - raw * target + gammaln(target + 1)).sum()


def poisson_softplus(raw, target):
    return -stats.poisson.logpmf(target, softplus(raw)).sum()


def poisson_softplus_by_hand(raw, target):
    rate = softplus(raw)
    return (rate - target * jnp.log(rate) + gammaln(target + 1)).sum()


# jax.scipy.stats.multivariate_normal takes the covariance and factorises it again.
def multivariate_solve(mean, factor, target):
    z = lax.linalg.triangular_solve(factor, (target - mean)[..., None], left_side=True, lower=True)
    log_det = jnp.log(jnp.diagonal(factor, axis1=-2, axis2=-1)).sum()
    return 0.5 * (z * z).sum() + log_det + HALF_LOG_2PI * mean.size


def multivariate_shared_solve(mean, factor, target):
    z = solve_triangular(factor, (target - mean).T, lower=True)
    log_det = len(mean) * jnp.log(jnp.diagonal(factor)).sum()
    return 0.5 * (z * z).sum() + log_det + HALF_LOG_2PI * mean.size


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


def triplet_by_hand(anchor, positive, negative):
    near = jnp.sqrt(jnp.square(anchor - positive).sum(-1))
    far = jnp.sqrt(jnp.square(anchor - negative).sum(-1))
    return jax.nn.relu(near - far + 1).sum()


def unit_rows(x):
    return x / jnp.linalg.norm(x, axis=-1, keepdims=True)


def info_nce(queries, keys):
    similarity = unit_rows(queries) @ unit_rows(keys).T / TEMPERATURE
    return cross_entropy(similarity, jnp.arange(len(queries)))


def info_nce_by_hand(queries, keys):
    q, k = unit_rows(queries) / TEMPERATURE, unit_rows(keys)
    return jax.nn.logsumexp(q @ k.T, -1).sum() - (q * k).sum()


def nt_xent_optax(queries, keys):
    labels = jnp.tile(jnp.arange(len(queries)), 2)
    both = jnp.concatenate([queries, keys])
    return optax.losses.ntxent(both, labels, TEMPERATURE) * len(queries)


def nt_xent(queries, keys):
    z = unit_rows(jnp.concatenate([queries, keys]))
    n = len(queries)
    similarity = jnp.where(jnp.eye(2 * n, dtype=bool), -jnp.inf, z @ z.T / TEMPERATURE)
    return cross_entropy(similarity, (jnp.arange(2 * n) + n) % (2 * n)) / 2


FORMULAS = {
    "cross_entropy": [cross_entropy, cross_entropy_gather, cross_entropy_one_hot],
    "binary_cross_entropy": [bce, bce_softplus],
    "normalized_sigmoid_nll": [
        normalized_sigmoid,
        normalized_sigmoid_by_hand,
        normalized_sigmoid_one_hot,
    ],
    "kl_divergence": [kl_divergence, kl_by_cross_entropy],
    "binned_cross_entropy, uniform": [binned_uniform, binned_uniform_one_hot],
    "binned_cross_entropy, mu-law": [binned_mu_law, binned_mu_law_one_hot],
    "squared_error": [l2_loss],
    "absolute_error": [absolute],
    "huber": [huber, huber_by_clip],
    "log_cosh": [log_cosh, log_cosh_of_magnitude],
    "gaussian_nll": [gaussian, gaussian_by_hand],
    "laplace_nll": [laplace, laplace_by_hand],
    "student_t_nll, df=4": [student_t, student_t_by_hand],
    "student_t_nll, df predicted": [student_t_df, student_t_df_by_hand],
    "exponential_nll": [exponential, exponential_by_hand],
    "gamma_nll": [gamma, gamma_by_hand],
    "poisson_nll, log": [poisson_log, poisson_log_by_hand],
    "poisson_nll, softplus": [poisson_softplus, poisson_softplus_by_hand],
    "multivariate_gaussian_nll": [multivariate_solve],
    "multivariate_gaussian_nll, shared": [multivariate_shared_solve],
    "hinge": [hinge],
    "squared_hinge": [squared_hinge],
    "multiclass_hinge": [multiclass_hinge, multiclass_hinge_gather],
    "triplet_margin": [triplet, triplet_by_hand],
    "info_nce": [info_nce, info_nce_by_hand],
    "info_nce, nt_xent": [nt_xent_optax, nt_xent],
}
