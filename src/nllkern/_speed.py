"""Throughput of value and gradient, beside NumPy.  (``python -m nllkern``)"""

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ._accuracy import Array
from ._losses import loss_named
from ._selfcheck_data import problems
from .tables import LOSSES, Loss
from .tables.supports import REAL

ELEMENTS = {"quick": 100_000, "usual": 1_000_000, "full": 4_000_000}
SECONDS = {"quick": 0.02, "usual": 0.1, "full": 0.5}  # of measuring
CLASSES, FACTOR, VECTOR = 1000, 16, 128  # numbers of a row, of a vector with a matrix, and alone
MOST_ROWS = 2048  # of a contrastive loss, whose similarities are a matrix in NumPy


class Speed(NamedTuple):
    """Best times of one call; rates count predictions, targets and gradients once."""

    loss: str
    dtype: str
    elements: int  # of the first prediction
    gb: float
    seconds: float
    numpy_seconds: float | None  # of the formula in NumPy, where there is one

    @property
    def rate(self) -> float:
        return self.gb / self.seconds

    @property
    def numpy_rate(self) -> float | None:
        return self.gb / self.numpy_seconds if self.numpy_seconds else None


# What one writes in NumPy: whole arrays, the input's dtype, stable formulas.


def softplus(x: Array) -> Array:
    return np.asarray(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def cross_entropy(logits: Array, target: Array) -> Any:
    """Value logsumexp - logit; gradient softmax - one-hot."""
    rows = np.arange(len(target))
    shifted = logits - logits.max(axis=1, keepdims=True)
    own = shifted[rows, target]
    grad = np.exp(shifted)
    total = grad.sum(axis=1, keepdims=True)
    grad /= total
    grad[rows, target] -= 1
    return (np.log(total[:, 0]) - own).mean(), grad / len(target)


def binary_cross_entropy(logits: Array, target: Array) -> Any:
    """Value softplus(z) - y z; gradient sigmoid(z) - y."""
    return (softplus(logits) - target * logits).mean(), (sigmoid(logits) - target) / logits.size


def gaussian_nll(mean: Array, raw: Array, target: Array) -> Any:
    """Value log sigma + z^2/2, gradients -z/sigma and (1 - z^2)/sigma * sigmoid(u)."""
    sigma = softplus(raw)
    z = (target - mean) / sigma
    value = np.log(sigma) + z * z / 2 + math.log(2 * math.pi) / 2
    grads = -z / sigma, (1 - z * z) / sigma * sigmoid(raw)
    return value.mean(), tuple(g / z.size for g in grads)


def info_nce(queries: Array, keys: Array) -> Any:
    """Cross-entropy of the whole matrix of similarities, and two products with its gradient."""
    lengths = [np.linalg.norm(x, axis=1, keepdims=True) for x in (queries, keys)]
    q, k = queries / lengths[0], keys / lengths[1]
    temperature = np.asarray(0.1, q.dtype)
    value, grad = cross_entropy(q @ k.T / temperature, np.arange(len(q)))
    grads = grad @ k / temperature, grad.T @ q / temperature
    return value, tuple(
        (g - u * (u * g).sum(axis=1, keepdims=True)) / length
        for g, u, length in zip(grads, (q, k), lengths, strict=True)
    )


def triplet_margin(anchor: Array, positive: Array, negative: Array) -> Any:
    """Distances by sums of squares; gradients are unit vectors where the hinge is active."""
    near, far = anchor - positive, anchor - negative
    a, b = np.sqrt((near * near).sum(-1)), np.sqrt((far * far).sum(-1))
    z = 1 + a - b
    on = (z > 0) / len(z)
    near *= (on / a)[:, None]
    far *= (on / b)[:, None]
    return np.maximum(z, 0).mean(), (near - far, -near, far)


FORMULAS: dict[str, Callable[..., Any]] = {
    "cross_entropy": cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "gaussian_nll": gaussian_nll,
    "info_nce": info_nce,
    "triplet_margin": triplet_margin,
}


def inputs(row: Loss, dtype: str, elements: int) -> tuple[tuple[Array, ...], dict[str, Any]]:
    """Random inputs of a loss, with the links that take any number where there are such."""
    if row.kind == "contrastive":
        rng = np.random.default_rng(5)
        rows = min(elements // VECTOR, MOST_ROWS)
        queries, keys = rng.normal(size=(2, rows, VECTOR)).astype(dtype)
        return (queries, keys), {}
    has_factor = any(p.kind == "factor" for p in row.parameters)
    width = FACTOR if has_factor else CLASSES if row.kind == "rows" else VECTOR
    links = {
        p.option.name: next(link.name for link in p.links if link.raw == REAL)
        for p in row.parameters
        if p.option
    }
    every = problems(row, dtype, "speed", elements, width)
    found = next(x for x in every if links.items() <= x.options.items())
    return found.args, {k: v for k, v in found.options.items() if not isinstance(v, np.ndarray)}


def best_time(call: Callable[[], Any], seconds: float) -> float:
    """The shortest of several calls."""
    call()
    best, end = float("inf"), time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        call()
        now = time.perf_counter()
        best = min(best, now - start)
        if now > end:
            return best


def measure(name: str, dtype: str, mode: str) -> Speed:
    """One loss on one dtype."""
    row = next(x for x in LOSSES if x.name == name)
    loss: Any = loss_named(name)
    args, options = inputs(row, dtype, ELEMENTS[mode])
    grads = tuple(np.empty_like(a) for a in args[: len(row.parameters)])
    out = grads[0] if len(grads) == 1 else grads
    seconds = best_time(lambda: loss.value_and_grad(*args, out=out, **options), SECONDS[mode])
    formula = FORMULAS.get(name)
    of_numpy = best_time(lambda: formula(*args), SECONDS[mode]) if formula else None
    gb = (sum(a.nbytes for a in args) + sum(g.nbytes for g in grads)) / 1e9
    return Speed(name, dtype, args[0].size, gb, seconds, of_numpy)
