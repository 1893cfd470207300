"""Losses over classes, on the last axis, in NumPy's widest float."""

from typing import Any

import numpy as np

from ..tables.supports import NONNEGATIVE
from . import _math as rm
from ._math import Array, product
from ._protocol import Outside, Reference, Samples, as_float64, loss, within


class ClassReference(Reference):
    """A loss over classes, which reads its own target: indices or probabilities."""

    def _convert(self, arguments: dict[str, Any]) -> tuple[dict[str, Any], list[bool]]:
        return arguments, [False]


@loss(ClassReference)
def cross_entropy(
    logits: Any,
    target: Any,
    class_weight: Any,
    label_smoothing: float,
    ignore_index: int | None,
    z_loss: float,
    softcap: float | None,
) -> Samples:
    """Softmax cross-entropy of logits (..., K) with class indices (...) or probabilities (..., K).

    s_k   = softcap * tanh(z_k / softcap),  or z_k without softcap
    lse   = log sum_k exp(s_k),  p_k = exp(s_k - lse)
    tau_k = class_weight_k * ((1 - eps) * t_k + eps / K),  T = sum_k tau_k
    value = sum_k tau_k (lse - s_k) + z_loss lse^2
    grad  = (T p_k - tau_k + 2 z_loss lse p_k) s'_k
    hess  = ((T + 2 z_loss lse) p_k (1 - p_k) + 2 z_loss p_k^2) s'_k^2 + (dvalue/ds_k) s''_k

    A logit of -inf is a masked class: p = 0 and derivatives exactly 0.  Its term is +inf if the
    target gives it mass and absent if not.  NaN, +inf, or no class left: the sample is NaN.
    """
    z = _scores("logits", logits)
    s: tuple[Any, ...] = z, 1.0, 0.0
    if softcap is not None:
        t, slope = np.tanh(z / softcap), rm.sech2(z / softcap)
        s = np.where(np.isinf(z), z, softcap * t), slope, -2.0 * t * slope / softcap
    return _of_softmax(z, s, target, class_weight, label_smoothing, ignore_index, z_loss)


@loss(ClassReference)
def normalized_sigmoid_nll(
    logits: Any, target: Any, class_weight: Any, label_smoothing: float, ignore_index: int | None
) -> Samples:
    """Cross-entropy of sigmoids divided by their sum, with class indices or probabilities.

    s_k     = log sigmoid(z_k),  s'_k = sigmoid(-z_k),  s''_k = -sigmoid(z_k) sigmoid(-z_k)
    theta_k = sigmoid(z_k) / sum_j sigmoid(z_j) = softmax(s)_k
    tau_k   = class_weight_k * ((1 - eps) * t_k + eps / K),  T = sum_k tau_k
    value   = -sum_k tau_k log theta_k
    grad    = (T theta_k - tau_k) s'_k
    hess    = T theta_k (1 - theta_k) s'_k^2 + (T theta_k - tau_k) s''_k

    A logit of -inf is a masked class, as in cross_entropy; +inf is a sigmoid of 1.
    """
    z = _scores("logits", logits)
    slope = rm.sigmoid(-z)
    s = -rm.softplus(-z), slope, -rm.sigmoid(z) * slope
    return _of_softmax(z, s, target, class_weight, label_smoothing, ignore_index)


def _of_softmax(
    z: Array,
    scores: tuple[Any, ...],
    target: Any,
    class_weight: Any,
    label_smoothing: float,
    ignore_index: int | None,
    z_loss: float = 0.0,
) -> Samples:
    """Of the softmax of scores s of logits z: ``scores`` are s, s' and s''."""
    s, s1, s2 = scores
    classes = z.shape[-1]
    w = np.ones(classes) if class_weight is None else as_float64("class_weight", class_weight)
    if w.shape != (classes,):
        raise ValueError(f"class_weight has shape {w.shape}, expected {(classes,)}")
    t, counts, weight = _class_target(target, z.shape, w, ignore_index)
    if weight is None:
        weight = np.where(counts, 1.0, 0.0)
    elif label_smoothing == 0 and z_loss == 0:
        counts = counts & (weight != 0)
    tau = w * ((1.0 - label_smoothing) * t + label_smoothing / classes)
    mass = tau.sum(axis=-1, keepdims=True)
    m, rest, p, q = rm.softmax(s)
    lse = m + np.log1p(rest)
    value = product(tau, m - s).sum(-1) + (mass * np.log1p(rest) + z_loss * lse * lse)[..., 0]
    ds = rm.sum_of_others(tau) * p - tau * q + 2.0 * z_loss * lse * p
    d2s = (mass + 2.0 * z_loss * lse) * p * q + 2.0 * z_loss * p**2
    masked = z == -np.inf
    bad = np.isnan(s).any(-1) | (s == np.inf).any(-1) | masked.all(-1)
    outside = {"target": (~(t >= 0), "not negative")}
    return _samples(bad, masked, (value, ds * s1, d2s * s1**2 + ds * s2), outside, counts, weight)


def _scores(name: str, x: Any) -> Array:
    z = as_float64(name, x)
    if z.ndim == 0 or z.shape[-1] == 0:
        raise ValueError(f"{name} must be (..., K) with K >= 1, got shape {z.shape}")
    return z.astype(np.longdouble)


def _samples(
    bad: Array,
    masked: Array,
    results: tuple[Array, Array, Array],
    outside: Outside,
    counts: Array | bool = True,
    weight: Array | float = 1.0,
) -> Samples:
    """Of value, gradient and second derivatives: NaN for a bad sample, 0 for a masked class."""
    value, *derivatives = (x.astype(np.float64) for x in results)
    grad, hess = (np.where(bad[..., None], np.nan, np.where(masked, 0.0, x)) for x in derivatives)
    return Samples(np.where(bad, np.nan, value), (grad,), (hess,), outside, counts, weight)


def _class_target(
    target: Any, logits_shape: tuple[int, ...], class_weight: Array, ignore_index: int | None
) -> tuple[Array, Array, Array | None]:
    """(probabilities, counts, weight): indices become one-hot; weight is None for probabilities."""
    classes = logits_shape[-1]
    target = np.asarray(target)
    if target.dtype.kind in "iu":
        if target.shape != logits_shape[:-1]:
            raise ValueError(f"target has shape {target.shape}, expected {logits_shape[:-1]}")
        counts = np.ones(target.shape, bool)
        if ignore_index is not None:
            counts = np.asarray(target != ignore_index)
        bad = counts & ((target < 0) | (target >= classes))
        if bad.any():
            where = tuple(int(i) for i in np.argwhere(bad)[0])
            raise IndexError(
                f"target {int(target[where])} at position {where} is not in [0, {classes})"
            )
        index = np.where(counts, target, 0).astype(np.intp)
        one_hot = (np.arange(classes) == index[..., None]).astype(np.float64)
        return one_hot, counts, np.where(counts, class_weight[index], 0.0)

    t = as_float64("target", target)
    if t.shape != logits_shape:
        raise ValueError(f"target has shape {t.shape}, expected {logits_shape}")
    counts = np.ones(t.shape[:-1], bool)
    if ignore_index is not None and 0 <= ignore_index < classes:
        # A row whose whole mass lies on the ignored class is the one-hot form of that index.
        on_class = np.arange(classes) == ignore_index
        counts = ~np.all((t != 0) == on_class, axis=-1)
    return t, counts, None


@loss(ClassReference)
def kl_divergence(logits: Any, target: Any, link: str) -> Samples:
    """Kullback-Leibler divergence of probabilities (..., K) from a prediction (..., K).

    link "softmax", p = softmax(z):
    value = sum_k t_k (log t_k - log p_k)
    grad  = T p_k - t_k,  T = sum_k t_k
    hess  = T p_k (1 - p_k)

    link "log", l = log p given: value = sum_k t_k (log t_k - l_k), grad = -t_k, hess = 0.

    0 log 0 = 0.  -inf is a masked class: p = 0, derivatives exactly 0, and value +inf if the target
    gives it mass.  NaN, +inf, a target that is negative or infinite: the sample is NaN; under
    softmax also if no class is left.
    """
    z = _scores("logits", logits)
    t = as_float64("target", target)
    if t.shape != z.shape:
        raise ValueError(f"target has shape {t.shape}, expected {z.shape}")
    masked, wrong = z == -np.inf, ~within(NONNEGATIVE, t)
    bad = np.isnan(z).any(-1) | (z == np.inf).any(-1) | wrong.any(-1)
    log_p, grad, hess = z, -t, np.zeros_like(t)
    if link == "softmax":
        bad |= masked.all(-1)
        m, rest, p, q = rm.softmax(z)
        log_p = (z - m) - np.log1p(rest)
        grad = rm.sum_of_others(t) * p - t * q
        hess = t.sum(axis=-1, keepdims=True) * p * q
    value = np.where(t == 0, 0.0, t * (np.log(t, dtype=np.longdouble) - log_p)).sum(-1)
    outside = {"target": (wrong, "not negative and finite"), "logits": (np.isnan(z), "a number")}
    return _samples(bad, masked, (value, grad, hess), outside)


@loss(ClassReference)
def multiclass_hinge(
    scores: Any, target: Any, margin: float, variant: str, ignore_index: int | None
) -> Samples:
    """Multiclass hinge loss of scores (..., K) with class indices y (...).

    "crammer_singer":  value = max(0, margin + max_{j != y} s_j - s_y)
    "weston_watkins":  value = sum_{j != y} max(0, margin + s_j - s_y)
    grad_j = 1 for each j whose term is positive (the first of the largest), grad_y = -their number
    hess   = 0

    A score of -inf is a masked class: no term, derivatives 0.  NaN: the sample is NaN.
    """
    s = _scores("scores", scores)
    if np.asarray(target).dtype.kind not in "iu":
        raise TypeError(f"target has dtype {np.asarray(target).dtype}, expected integers")
    t, counts, weight = _class_target(target, s.shape, np.ones(s.shape[-1]), ignore_index)
    assert weight is not None
    is_target = t == 1
    own = np.where(is_target, s, 0.0).sum(axis=-1, keepdims=True)
    masked = s == -np.inf
    candidate = ~is_target & ~masked
    if variant == "crammer_singer":
        first = np.where(candidate, s, -np.inf).argmax(-1)[..., None]
        candidate &= np.arange(s.shape[-1]) == first
    d = s - own
    lost = (s - (d - (d - s))) - (own + (d - s))  # of the rounding of d (Knuth)
    lost = np.where(np.isfinite(lost), lost, 0.0)
    active = candidate & ((d > -margin) | ((d == -margin) & (lost > 0)))
    value = np.where(active, (margin + d) + lost, 0.0).sum(-1)
    bad = np.isnan(s).any(-1) | masked.all(-1) | (candidate & np.isnan(d)).any(-1)
    grad = active - np.where(is_target & ~masked, active.sum(axis=-1, keepdims=True), 0)
    results = value, grad, np.zeros_like(s)
    outside = {"scores": (np.isnan(s), "a number")}
    return _samples(bad, np.zeros_like(masked), results, outside, counts, weight)


@loss(ClassReference)
def binned_cross_entropy(
    logits: Any, target: Any, edges: Any, outside: str, **options: Any
) -> Samples:
    """Cross-entropy of logits (..., K) with the bins that real targets (...) fall into.

    Bin k is [edge_k, edge_{k+1}), the last one closed; ``edges`` are K + 1 increasing numbers or a
    pair (low, high), which stands for np.linspace(low, high, K + 1).  A target outside goes to
    the end bin, or raises.
    """
    z, y = _scores("logits", logits), as_float64("target", target)
    edges = np.asarray(edges, np.float64)
    if edges.shape == (2,):
        edges = np.linspace(edges[0], edges[1], z.shape[-1] + 1)
    if edges.shape != (z.shape[-1] + 1,) or not np.all(np.diff(edges) > 0):
        raise ValueError(f"edges must be a pair or K + 1 increasing numbers, got {edges}")
    if y.shape != z.shape[:-1]:
        raise ValueError(f"target has shape {y.shape}, expected {z.shape[:-1]}")
    bad = np.isnan(y)
    if outside == "raise":
        bad |= (y < edges[0]) | (y > edges[-1])
    if bad.any():
        raise ValueError(f"target at index {tuple(map(int, np.argwhere(bad)[0]))} has no bin")
    index = np.clip(np.searchsorted(edges, y, side="right") - 1, 0, z.shape[-1] - 1)
    return cross_entropy.samples(logits, index, ignore_index=None, **options)
