"""The losses in NumPy and scipy.special: functions of (arguments..., buffers of the gradients).

Every function returns the sum over samples, constants included, and fills the buffers.
"""

import math

import numpy as np
from scipy import linalg, special

from ..catalogue import BINS, MU, TEMPERATURE
from .formulas import HALF_LOG_2PI, LOG_2


def cross_entropy(logits, target, grad):
    """Value logsumexp - logit; gradient softmax - onehot."""
    rows = np.arange(len(target))
    np.subtract(logits, logits.max(axis=-1, keepdims=True), out=grad)
    own = grad[rows, target]
    np.exp(grad, out=grad)
    total = grad.sum(axis=-1, keepdims=True)
    grad /= total
    grad[rows, target] -= 1
    return np.log(total).sum() - own.sum()


def binary_cross_entropy(logits, target, grad):
    """Value max(z, 0) - z y + log1p(exp(-|z|)); gradient sigmoid(z) - y."""
    value = softplus(logits)
    np.multiply(logits, target, out=grad)
    value -= grad
    special.expit(logits, out=grad)
    grad -= target
    return value.sum()


def normalized_sigmoid(logits, target, grad):
    """Value log sum theta - log theta_t; gradient (1 - theta) (theta / sum theta - onehot)."""
    rows = np.arange(len(target))
    theta = special.expit(logits)
    total = theta.sum(axis=-1, keepdims=True)
    np.divide(theta, total, out=grad)
    grad[rows, target] -= 1
    np.subtract(1, theta, out=theta)
    grad *= theta
    return np.log(total).sum() + softplus(-logits[rows, target]).sum()


def kl_divergence(logits, target, grad):
    """Value sum t (log t - log p); gradient p - t, where the target's rows sum to one."""
    np.subtract(logits, logits.max(axis=-1, keepdims=True), out=grad)
    value = special.xlogy(target, target).sum() - np.vdot(target, grad)
    np.exp(grad, out=grad)
    total = grad.sum(axis=-1, keepdims=True)
    grad /= total
    grad -= target
    return value + np.log(total).sum()


def uniform_bin(target):
    index = np.floor((target + 1) * (BINS / 2)).astype(np.intp)
    return np.clip(index, 0, BINS - 1, out=index)


def mu_law_bin(target):
    even = np.log1p(MU * np.abs(target))
    even /= math.log1p(MU)
    return uniform_bin(np.copysign(even, target, out=even))


def binned_uniform(logits, target, grad):
    return cross_entropy(logits, uniform_bin(target), grad)


def binned_mu_law(logits, target, grad):
    return cross_entropy(logits, mu_law_bin(target), grad)


def squared_error(prediction, target, grad):
    np.subtract(prediction, target, out=grad)
    return 0.5 * np.vdot(grad, grad)


def absolute_error(prediction, target, grad):
    difference = prediction - target
    np.sign(difference, out=grad)
    return np.vdot(difference, grad)


def huber(prediction, target, grad):
    """Gradient g = clip(d, -1, 1); value g (d - g / 2)."""
    difference = prediction - target
    np.clip(difference, -1, 1, out=grad)
    return np.vdot(grad, difference) - 0.5 * np.vdot(grad, grad)


def log_cosh(prediction, target, grad):
    np.subtract(prediction, target, out=grad)
    size = np.abs(grad)
    value = size.sum()
    size *= -2
    np.exp(size, out=size)
    np.log1p(size, out=size)
    np.tanh(grad, out=grad)
    return value + size.sum() - LOG_2 * size.size


def softplus(raw):
    """Value log(1 + exp(u)), as max(u, 0) + log1p(exp(-|u|))."""
    result = np.abs(raw)
    np.negative(result, out=result)
    np.exp(result, out=result)
    np.log1p(result, out=result)
    result += np.maximum(raw, 0)
    return result


def gaussian_nll(mean, raw, target, grad_mean, grad_raw):
    """Value log sigma + z^2/2; gradients -z / sigma and (1 - z^2) / sigma * sigmoid(u)."""
    sigma = softplus(raw)
    z = target - mean
    z /= sigma
    np.divide(z, sigma, out=grad_mean)
    np.negative(grad_mean, out=grad_mean)
    z *= z
    np.subtract(1, z, out=grad_raw)
    grad_raw /= sigma
    grad_raw *= special.expit(raw)
    return np.log(sigma).sum() + 0.5 * z.sum() + HALF_LOG_2PI * z.size


def laplace_nll(mean, raw, target, grad_mean, grad_raw):
    """Value log(2 b) + r, r = |y - mu| / b; gradients -sign(y - mu) / b and (1 - r) / b."""
    scale = softplus(raw)
    r = target - mean
    np.sign(r, out=grad_mean)
    grad_mean /= scale
    np.negative(grad_mean, out=grad_mean)
    np.abs(r, out=r)
    r /= scale
    np.subtract(1, r, out=grad_raw)
    grad_raw /= scale
    grad_raw *= special.expit(raw)
    return np.log(scale).sum() + r.sum() + LOG_2 * r.size


def student_t(mean, raw, df, target, grad_mean, grad_raw):
    """(z^2, log1p(z^2/df), (df + 1) / (df + z^2), scale); gradients of mean and raw filled."""
    scale = softplus(raw)
    z = target - mean
    z /= scale
    square = z * z
    pull = (df + 1) / (df + square)
    np.multiply(pull, z, out=grad_mean)
    grad_mean /= scale
    np.negative(grad_mean, out=grad_mean)
    np.multiply(pull, square, out=grad_raw)
    np.subtract(1, grad_raw, out=grad_raw)
    grad_raw /= scale
    grad_raw *= special.expit(raw)
    return square, np.log1p(square / df), pull, scale


def student_t_nll(mean, raw, df, target, grad_mean, grad_raw):
    _, tail, _, scale = student_t(mean, raw, df, target, grad_mean, grad_raw)
    constant = math.lgamma(df / 2) - math.lgamma((df + 1) / 2) + 0.5 * math.log(df * math.pi)
    return 0.5 * (df + 1) * tail.sum() + np.log(scale).sum() + constant * scale.size


def student_t_df(mean, raw, raw_df, target, grad_mean, grad_raw, grad_df):
    """d/d df = (digamma(df/2) - digamma((df+1)/2) + 1/df + log1p(z^2/df) - pull z^2 / df) / 2."""
    df = softplus(raw_df)
    square, tail, pull, scale = student_t(mean, raw, df, target, grad_mean, grad_raw)
    half = 0.5 * df
    above = half + 0.5
    special.digamma(half, out=grad_df)
    grad_df -= special.digamma(above)
    grad_df += tail
    grad_df += (1 - pull * square) / df
    grad_df *= 0.5
    grad_df *= special.expit(raw_df)
    constant = special.gammaln(half) - special.gammaln(above) + 0.5 * np.log(df * math.pi)
    return (above * tail + np.log(scale) + constant).sum()


def exponential_nll(raw, target, grad):
    """Value b y - log b; gradient (y - 1 / b) sigmoid(u)."""
    rate = softplus(raw)
    value = np.vdot(rate, target) - np.log(rate).sum()
    np.reciprocal(rate, out=rate)
    np.subtract(target, rate, out=grad)
    grad *= special.expit(raw)
    return value


def gamma_nll(shape, rate, target, grad_shape, grad_rate):
    """Value lgamma(a) - a log b - (a - 1) log y + b y, at a and b the softplus of the inputs.

    Gradients digamma(a) - log(b y) and y - a / b, each times the sigmoid of its input.
    """
    a, b = softplus(shape), softplus(rate)
    log_b, log_y = np.log(b), np.log(target)
    special.digamma(a, out=grad_shape)
    grad_shape -= log_b
    grad_shape -= log_y
    grad_shape *= special.expit(shape)
    np.divide(a, b, out=grad_rate)
    np.subtract(target, grad_rate, out=grad_rate)
    grad_rate *= special.expit(rate)
    value = special.gammaln(a)
    value -= a * log_b
    a -= 1
    a *= log_y
    value -= a
    b *= target
    value += b
    return value.sum()


def poisson_log(raw, target, grad):
    """Value exp(u) - u y + lgamma(y + 1); gradient exp(u) - y."""
    np.exp(raw, out=grad)
    value = grad.sum() - np.vdot(raw, target) + special.gammaln(target + 1).sum()
    grad -= target
    return value


def poisson_softplus(raw, target, grad):
    """Value b - y log b + lgamma(y + 1); gradient (1 - y / b) sigmoid(u)."""
    rate = softplus(raw)
    value = rate.sum() - np.vdot(target, np.log(rate)) + special.gammaln(target + 1).sum()
    np.divide(target, rate, out=grad)
    np.subtract(1, grad, out=grad)
    grad *= special.expit(raw)
    return value


def multivariate(mean, factor, target, grad_mean, grad_factor):
    """L z = y - mu, L^T w = z by substitution, all samples at once.

    Gradients -w and tril(-w z^T) + diag(1 / L_ii).
    """
    d = mean.shape[-1]
    z, w = target - mean, grad_mean
    for i in range(d):
        z[:, i] -= np.einsum("nj,nj->n", factor[:, i, :i], z[:, :i])
        z[:, i] /= factor[:, i, i]
    np.negative(z, out=w)
    for i in reversed(range(d)):
        w[:, i] -= np.einsum("nj,nj->n", factor[:, i + 1 :, i], w[:, i + 1 :])
        w[:, i] /= factor[:, i, i]
    np.multiply(w[:, :, None], z[:, None, :], out=grad_factor)
    grad_factor *= np.tri(d, dtype=mean.dtype)
    diagonal = np.arange(d)
    own = factor[:, diagonal, diagonal]
    grad_factor[:, diagonal, diagonal] += 1 / own
    return 0.5 * np.vdot(z, z) + np.log(own).sum() + HALF_LOG_2PI * mean.size


def multivariate_shared(mean, factor, target, grad_mean, grad_factor):
    z = linalg.solve_triangular(factor, (target - mean).T, lower=True, check_finite=False)
    w = linalg.solve_triangular(factor, z, lower=True, trans="T", check_finite=False)
    np.negative(w.T, out=grad_mean)
    own = np.diagonal(factor)
    grad_factor[...] = np.diag(len(mean) / own) - np.tril(w @ z.T)
    return 0.5 * np.vdot(z, z) + len(mean) * np.log(own).sum() + HALF_LOG_2PI * mean.size


def hinge(score, target, grad):
    """Gradient -y where y s < 1."""
    slack = score * target
    np.subtract(1, slack, out=slack)
    np.maximum(slack, 0, out=slack)
    np.multiply(target, slack > 0, out=grad)
    np.negative(grad, out=grad)
    return slack.sum()


def squared_hinge(score, target, grad):
    slack = score * target
    np.subtract(1, slack, out=slack)
    np.maximum(slack, 0, out=slack)
    np.multiply(target, slack, out=grad)
    grad *= -2
    return np.vdot(slack, slack)


def multiclass_hinge(scores, target, grad):
    """Gradient +1 at the best of the others and -1 at the target, where the margin is missed."""
    rows = np.arange(len(target))
    own = scores[rows, target]
    grad[...] = scores
    grad[rows, target] = -np.inf
    rival = grad.argmax(axis=-1)
    slack = np.maximum(grad[rows, rival] - own + 1, 0)
    grad[...] = 0
    missed = slack > 0
    grad[rows, rival] = missed
    grad[rows, target] = -missed.astype(scores.dtype)
    return slack.sum()


def triplet_margin(anchor, positive, negative, grad_anchor, grad_positive, grad_negative):
    np.subtract(positive, anchor, out=grad_positive)
    np.subtract(anchor, negative, out=grad_negative)
    near, far = (
        np.sqrt(np.einsum("ij,ij->i", x, x))[:, None] for x in (grad_positive, grad_negative)
    )
    slack = np.maximum(near - far + 1, 0)
    missed = (slack > 0).astype(anchor.dtype)
    grad_positive *= missed / near
    grad_negative *= missed / far
    np.add(grad_positive, grad_negative, out=grad_anchor)
    np.negative(grad_anchor, out=grad_anchor)
    return slack.sum()


def unit_rows(x):
    norm = np.sqrt(np.einsum("ij,ij->i", x, x))[:, None]
    return x / norm, norm


def through_norm(of_unit, x, norm, grad):
    """Gradient with respect to a vector from that with respect to its unit vector."""
    np.multiply(x, -np.einsum("ij,ij->i", of_unit, x)[:, None], out=grad)
    grad += of_unit
    grad /= norm


def info_nce(queries, keys, grad_queries, grad_keys):
    """The matrix of similarities becomes its own gradient softmax - identity."""
    (q, q_norm), (k, k_norm) = unit_rows(queries), unit_rows(keys)
    similarity = q @ k.T
    similarity /= TEMPERATURE
    value = cross_entropy(similarity, np.arange(len(q)), similarity)
    through_norm(similarity @ k / TEMPERATURE, q, q_norm, grad_queries)
    through_norm(similarity.T @ q / TEMPERATURE, k, k_norm, grad_keys)
    return value


def nt_xent(queries, keys, grad_queries, grad_keys):
    """Both views stacked, every row against all others; a pair's loss is the mean of its rows'."""
    n = len(queries)
    z, norm = unit_rows(np.concatenate([queries, keys]))
    similarity = z @ z.T
    similarity /= TEMPERATURE
    np.fill_diagonal(similarity, -np.inf)
    value = cross_entropy(similarity, np.roll(np.arange(2 * n), n), similarity)
    of_unit = (similarity @ z + similarity.T @ z) / (2 * TEMPERATURE)
    through_norm(of_unit[:n], z[:n], norm[:n], grad_queries)
    through_norm(of_unit[n:], z[n:], norm[n:], grad_keys)
    return value / 2


FORMULAS = {
    "cross_entropy": cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "normalized_sigmoid_nll": normalized_sigmoid,
    "kl_divergence": kl_divergence,
    "binned_cross_entropy, uniform": binned_uniform,
    "binned_cross_entropy, mu-law": binned_mu_law,
    "squared_error": squared_error,
    "absolute_error": absolute_error,
    "huber": huber,
    "log_cosh": log_cosh,
    "gaussian_nll": gaussian_nll,
    "laplace_nll": laplace_nll,
    "student_t_nll, df=4": student_t_nll,
    "student_t_nll, df predicted": student_t_df,
    "exponential_nll": exponential_nll,
    "gamma_nll": gamma_nll,
    "poisson_nll, log": poisson_log,
    "poisson_nll, softplus": poisson_softplus,
    "multivariate_gaussian_nll": multivariate,
    "multivariate_gaussian_nll, shared": multivariate_shared,
    "hinge": hinge,
    "squared_hinge": squared_hinge,
    "multiclass_hinge": multiclass_hinge,
    "triplet_margin": triplet_margin,
    "info_nce": info_nce,
    "info_nce, nt_xent": nt_xent,
}
