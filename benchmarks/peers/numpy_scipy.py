"""NumPy with scipy.special by hand: whole arrays, and cache-sized blocks shared by threads."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy
from scipy import special

BLOCK_BYTES = 1 << 18  # of one array; the temporaries of a block stay in the L2 cache
HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


def versions():
    return {"numpy": np.__version__, "scipy": scipy.__version__}


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
    value = np.abs(logits)
    np.negative(value, out=value)
    np.exp(value, out=value)
    np.log1p(value, out=value)
    value += np.maximum(logits, 0)
    np.multiply(logits, target, out=grad)
    value -= grad
    special.expit(logits, out=grad)
    grad -= target
    return value.sum()


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


LOSSES = {f.__name__: f for f in (cross_entropy, binary_cross_entropy, gaussian_nll, gamma_nll)}


def build(loss, args, out, threads):
    formula = LOSSES[loss]
    grads = tuple(np.empty_like(a) for a in args[:-1])
    arrays = (*args, *grads)
    rows = max(1, BLOCK_BYTES // (args[0][:1].nbytes))
    blocks = [[a[i : i + rows] for a in arrays] for i in range(0, len(args[0]), rows)]
    calls = {"whole": lambda: (formula(*arrays), grads)}
    if len(blocks) > 1:
        pool = ThreadPoolExecutor(threads)
        calls["blocks"] = lambda: (sum(pool.map(lambda b: formula(*b), blocks)), grads)
    return calls
