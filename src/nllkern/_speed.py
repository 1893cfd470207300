"""Throughput of value and gradient beside NumPy.  (``python -m nllkern``)"""

import math
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._losses import LossInfo, loss_infos, loss_named
from ._selfcheck_data import class_target, draw_target, needed

Array = NDArray[Any]

CLASSES = 1000
WIDTH = 256  # of the vectors of a contrastive loss
MOST_ROWS = 4096  # of those, since their similarities are a matrix in NumPy
VECTOR, FACTOR = 128, 16  # numbers of a vector, alone and with a matrix
DTYPES = ("float32", "float64")
REFERENCE_SHARE = 0.02  # the reference is slow: it gets few samples


class Speed(NamedTuple):
    """Best times of one call; rates count predictions, targets and gradients once."""

    loss: str
    dtype: str
    elements: int  # of the first prediction
    gb: float
    seconds: float
    numpy: str  # what was timed: "formula" or "reference"
    numpy_share: float  # of the samples that NumPy was given
    numpy_seconds: float

    @property
    def rate(self) -> float:
        return self.gb / self.seconds

    @property
    def numpy_rate(self) -> float:
        return self.gb * self.numpy_share / self.numpy_seconds


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


def inputs(info: LossInfo, dtype: str, elements: int) -> tuple[Array, ...]:
    """Random inputs of a loss, in the middle of its domain."""
    rng = np.random.default_rng(5)
    if info.kind == "rowwise":
        logits = rng.normal(scale=3.0, size=(elements // CLASSES, CLASSES)).astype(dtype)
        target = class_target(rng, dtype, info.support.split()[0], len(logits), CLASSES)
        return logits, target
    if info.kind == "contrastive":
        rows = min(elements // WIDTH, MOST_ROWS)
        return tuple(rng.normal(size=(2, rows, WIDTH)).astype(dtype))
    if info.kind == "vectors":
        d = FACTOR if info.links else VECTOR
        n = elements // (d * d if info.links else d)
        vectors = rng.normal(size=(3, n, d)).astype(dtype)
        if not info.links:
            return tuple(vectors)
        factor = np.tril(rng.normal(size=(n, d, d)) / math.sqrt(d)).astype(dtype)
        return vectors[0], factor, vectors[1]
    args = [rng.normal(size=elements) for _ in info.parameters]
    if info.links and "softplus" not in info.links:
        args = [np.exp(x) if info.linked >> j & 1 else x for j, x in enumerate(args)]
    target = draw_target(rng, info.support, (elements,))
    return tuple(x.astype(dtype) for x in (*args, target))


def best_time(call: Callable[[], Any], seconds: float) -> float:
    """The shortest of several calls."""
    call()
    best, end = math.inf, time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        call()
        now = time.perf_counter()
        best = min(best, now - start)
        if now > end:
            return best


def measure(info: LossInfo, dtype: str, quick: bool) -> Speed:
    """One loss on one dtype, with the softplus link where there is one."""
    name, links = info.name, info.links
    loss: Any = loss_named(name)
    elements, seconds = (200_000, 0.1) if quick else (2_000_000, 0.5)
    args = inputs(info, dtype, elements)
    options = {"link": "softplus"} if "softplus" in links else needed(info)
    grads = tuple(np.empty_like(a) for a in args[: len(info.parameters)])
    out = grads[0] if len(grads) == 1 else grads
    formula = FORMULAS.get(name)
    share = 1.0 if formula else REFERENCE_SHARE
    some = tuple(a[: int(len(a) * share)] for a in args)

    def with_numpy() -> Any:
        return formula(*some) if formula else loss.reference.value_and_grad(*some, **options)

    return Speed(
        name,
        dtype,
        args[0].size,
        (sum(a.nbytes for a in args) + sum(g.nbytes for g in grads)) / 1e9,
        best_time(lambda: loss.value_and_grad(*args, out=out, **options), seconds),
        "formula" if formula else "reference",
        share,
        best_time(with_numpy, seconds),
    )


def steps(quick: bool = False) -> Iterator[Speed]:
    """Every loss and dtype."""
    for info in loss_infos():
        for dtype in DTYPES:
            yield measure(info, dtype, quick)


def count_steps() -> int:
    """How many times ``steps`` yields."""
    return len(loss_infos()) * len(DTYPES)
