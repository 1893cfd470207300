"""Losses over classes, on the last axis."""

import math
from typing import Any

import numpy as np

from . import _math as rm
from ._math import Array, product
from ._protocol import Outside, Reference, Samples, as_float64, loss


class ClassReference(Reference):
    """A loss over classes, which reads its own target: indices or probabilities."""

    def _convert(self, arguments: dict[str, Any]) -> tuple[dict[str, Any], list[bool]]:
        return arguments, [False]


@loss("logits", kind=ClassReference)
def cross_entropy(
    logits: Any,
    target: Any,
    *,
    class_weight: Any = None,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    z_loss: float = 0.0,
    softcap: float | None = None,
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
    z = as_float64("logits", logits)
    w = _checked_options(z, class_weight, label_smoothing)
    if not (z_loss >= 0 and math.isfinite(z_loss)):
        raise ValueError(f"z_loss must be finite and not negative, got {z_loss!r}")
    if softcap is not None and not (softcap > 0 and math.isfinite(softcap)):
        raise ValueError(f"softcap must be positive and finite, got {softcap!r}")
    t, counts, weight = _class_target(target, z.shape, w, ignore_index)
    if weight is None:
        weight = np.where(counts, 1.0, 0.0)
    elif label_smoothing == 0 and z_loss == 0:
        counts = counts & (weight != 0)

    masked = z == -np.inf
    if softcap is None:
        s, s1, s2 = z, np.ones_like(z), np.zeros_like(z)
    else:
        s = np.where(masked, -np.inf, softcap * np.tanh(z / softcap))
        s1 = rm.sech2(z / softcap)
        s2 = -2.0 * np.tanh(z / softcap) * s1 / softcap

    m, rest, p, q = rm.softmax(s)
    lse = m + np.log1p(rest)
    bad = np.isnan(z).any(-1) | (z == np.inf).any(-1) | masked.all(-1)

    tau = w * ((1.0 - label_smoothing) * t + label_smoothing / z.shape[-1])
    mass = tau.sum(axis=-1, keepdims=True)
    value = product(tau, m - s).sum(-1) + (mass * np.log1p(rest) + z_loss * lse * lse)[..., 0]
    ds = rm.sum_of_others(tau) * p - tau * q + 2.0 * z_loss * lse * p
    d2s = (mass + 2.0 * z_loss * lse) * p * q + 2.0 * z_loss * p**2
    outside = {"target": (~(t >= 0), "not negative")}
    return _samples(bad, masked, (value, ds * s1, d2s * s1**2 + ds * s2), outside, counts, weight)


def _samples(
    bad: Array,
    masked: Array,
    results: tuple[Array, Array, Array],
    outside: Outside,
    counts: Array | bool = True,
    weight: Array | float = 1.0,
) -> Samples:
    """Of value, gradient and second derivatives: NaN for a bad sample, 0 for a masked class."""
    value, *derivatives = results
    grad, hess = (np.where(masked, 0.0, np.where(bad[..., None], np.nan, x)) for x in derivatives)
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


@loss("logits", kind=ClassReference)
def normalized_sigmoid_nll(
    logits: Any,
    target: Any,
    *,
    class_weight: Any = None,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
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
    z = as_float64("logits", logits)
    w = _checked_options(z, class_weight, label_smoothing)
    t, counts, weight = _class_target(target, z.shape, w, ignore_index)
    if weight is None:
        weight = np.where(counts, 1.0, 0.0)
    elif label_smoothing == 0:
        counts = counts & (weight != 0)

    # s = min(z, 0) - log1p(exp(-|z|)): the differences s - max s are formed part by part, and the
    # exponentials of them as quotients of sigmoids.
    masked = z == -np.inf
    top = z.argmax(axis=-1, keepdims=True)
    peak = np.take_along_axis(z, top, axis=-1)
    tail = np.log1p(np.exp(-np.abs(z)))
    tail_top = np.take_along_axis(tail, top, axis=-1)
    base = np.minimum(peak, 0.0)
    fall = (np.minimum(z, 0.0) - base) - (tail - tail_top)
    fall = rm.replaced(fall, top, np.where(peak == -np.inf, np.nan, 0.0))
    # Quotients y of a sigmoid and exp(base).
    one_plus = 1.0 + np.exp(-np.abs(z))
    y = np.exp(np.where(z > 0, 0.0, z - base)) / one_plus
    y_top = 1.0 / (1.0 + np.exp(-np.abs(peak)))
    # Many terms that underflow one by one have a sum that need not: see softmax_rest.
    others = rm.replaced(z, top, -np.inf)
    second = np.minimum(others.max(axis=-1, keepdims=True), 0.0)
    half = np.exp(0.5 * (second - base))
    others = np.exp(np.where(others > 0, 0.0, others - second)) / one_plus
    others = half * (half * others.sum(axis=-1, keepdims=True))
    others = np.where(second == -np.inf, 0.0, others)
    total = y_top + others
    p = rm.replaced(y, top, y_top) / total
    q = rm.replaced(total - y, top, others) / total
    bad = np.isnan(z).any(-1) | masked.all(-1)

    tau = w * ((1.0 - label_smoothing) * t + label_smoothing / z.shape[-1])
    mass = tau.sum(axis=-1, keepdims=True)
    value = product(tau, -fall).sum(-1) + (mass * np.log1p(others / y_top))[..., 0]
    s1, s2 = rm.sigmoid(-z), -rm.sigmoid(z) * rm.sigmoid(-z)
    ds = rm.sum_of_others(tau) * p - tau * q
    outside = {"target": (~(t >= 0), "not negative")}
    return _samples(
        bad, masked, (value, ds * s1, mass * p * q * s1**2 + ds * s2), outside, counts, weight
    )


def _checked_options(z: Array, class_weight: Any, label_smoothing: float) -> Array:
    """The class weights, of logits z (..., K)."""
    if z.ndim == 0 or z.shape[-1] == 0:
        raise ValueError(f"logits must be (..., K) with K >= 1, got shape {z.shape}")
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must be in [0, 1], got {label_smoothing!r}")
    if class_weight is None:
        return np.ones(z.shape[-1])
    w = as_float64("class_weight", class_weight)
    if w.shape != z.shape[-1:]:
        raise ValueError(f"class_weight has shape {w.shape}, expected {z.shape[-1:]}")
    return w


@loss("logits", kind=ClassReference, links=("softmax", "log"))
def kl_divergence(logits: Any, target: Any, *, link: str = "softmax") -> Samples:
    """Kullback-Leibler divergence of probabilities (..., K) from a prediction (..., K).

    link "softmax", p = softmax(z):
    value = sum_k t_k (log t_k - log p_k)
          = sum_k (p_k - t_k + t_k log(t_k / p_k)) + (sum_k t_k - 1)
    grad  = T p_k - t_k,  T = sum_k t_k
    hess  = T p_k (1 - p_k)

    link "log", l = log p given: value = sum_k t_k (log t_k - l_k), grad = -t_k, hess = 0.

    0 log 0 = 0.  -inf is a masked class: p = 0, derivatives exactly 0, and value +inf if the target
    gives it mass.  NaN, +inf, a target that is negative or infinite: the sample is NaN; under
    softmax also if no class is left.
    """
    z = as_float64("logits", logits)
    if link not in ("softmax", "log"):
        raise ValueError(f"link must be 'softmax' or 'log', got {link!r}")
    _checked_options(z, None, 0.0)
    t = as_float64("target", target)
    if t.shape != z.shape:
        raise ValueError(f"target has shape {t.shape}, expected {z.shape}")
    masked = z == -np.inf
    wrong = ~((t >= 0) & (t < np.inf))
    bad = np.isnan(z).any(-1) | (z == np.inf).any(-1) | wrong.any(-1)
    mass = t.sum(axis=-1, keepdims=True)
    if link == "log":
        # log t = e log 2 + log m: e log 2 - l first, which is exact where t is close to exp(l).
        m, e = np.frexp(t)
        low = m < np.sqrt(0.5)
        m, e = np.where(low, 2 * m, m), np.where(low, e - 1, e)
        d = (e * LN2_HIGH - z) + (np.log(m) + e * LN2_LOW)
        value = np.where(t == 0, 0.0, t * d).sum(-1)
        grad, hess = -t, np.zeros_like(t)
    else:
        bad |= masked.all(-1)
        m, rest, p, q = rm.softmax(z)
        x = (p - t) / t
        log_r = np.where(np.abs(x) < 0.5, np.log1p(x), (z - m) - np.log1p(rest) - np.log(t))
        unit = np.where(mass < 0.5, 0.0, 1.0)  # sum p: of a small mass the 1 would take the digits
        far = (unit * p - t) - t * log_r
        term = np.where((np.abs(x) < 0.5) & (unit == 1), -t * rm.log1pmx(x), far)
        excess = [
            math.fsum((*row, -one)) if good else math.nan
            for row, one, good in zip(
                t.reshape(-1, t.shape[-1]).tolist(),
                unit.ravel(),
                ~wrong.any(-1).ravel(),
                strict=True,
            )
        ]
        value = np.where(t == 0, unit * p, term).sum(-1) + np.reshape(excess, bad.shape)
        grad = rm.sum_of_others(t) * p - t * q
        hess = mass * p * q
    outside = {"target": (wrong, "not negative and finite"), "logits": (np.isnan(z), "a number")}
    return _samples(bad, masked, (value, grad, hess), outside)


LN2_HIGH, LN2_LOW = float.fromhex("0x1.62e42fefa4p-1"), float.fromhex("-0x1.8432a1b0e2634p-43")


@loss("scores", kind=ClassReference)
def multiclass_hinge(
    scores: Any,
    target: Any,
    *,
    margin: float = 1.0,
    variant: str = "crammer_singer",
    ignore_index: int | None = None,
) -> Samples:
    """Multiclass hinge loss of scores (..., K) with class indices y (...).

    "crammer_singer":  value = max(0, margin + max_{j != y} s_j - s_y)
    "weston_watkins":  value = sum_{j != y} max(0, margin + s_j - s_y)
    grad_j = 1 for each j whose term is positive (the first of the largest), grad_y = -their number
    hess   = 0

    A score of -inf is a masked class: no term, derivatives 0.  NaN: the sample is NaN.
    """
    s = as_float64("scores", scores)
    if not (margin >= 0 and math.isfinite(margin)):
        raise ValueError(f"margin must be finite and not negative, got {margin!r}")
    if variant not in ("crammer_singer", "weston_watkins"):
        raise ValueError(f"variant must be 'crammer_singer' or 'weston_watkins', got {variant!r}")
    w = _checked_options(s, None, 0.0)
    if np.asarray(target).dtype.kind not in "iu":
        raise TypeError(f"target has dtype {np.asarray(target).dtype}, expected integers")
    t, counts, _ = _class_target(target, s.shape, w, ignore_index)
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
    return _samples(
        bad, np.zeros_like(masked), results, outside, counts, np.where(counts, 1.0, 0.0)
    )


@loss("logits", kind=ClassReference)
def binned_cross_entropy(
    logits: Any,
    target: Any,
    *,
    edges: Any,
    outside: str = "clip",
    class_weight: Any = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
) -> Samples:
    """Cross-entropy of logits (..., K) with the bins that real targets (...) fall into.

    Bin k is [edge_k, edge_{k+1}), the last one closed; ``edges`` are K + 1 increasing numbers or a
    pair (low, high), which stands for np.linspace(low, high, K + 1).  A target outside goes to
    the end bin, or raises.
    """
    z, y = as_float64("logits", logits), as_float64("target", target)
    _checked_options(z, None, 0.0)
    edges = np.asarray(edges, np.float64)
    if edges.shape == (2,):
        edges = np.linspace(edges[0], edges[1], z.shape[-1] + 1)
    if edges.shape != (z.shape[-1] + 1,) or not np.all(np.diff(edges) > 0):
        raise ValueError(f"edges must be a pair or K + 1 increasing numbers, got {edges}")
    if outside not in ("clip", "raise"):
        raise ValueError(f"outside must be 'clip' or 'raise', got {outside!r}")
    if y.shape != z.shape[:-1]:
        raise ValueError(f"target has shape {y.shape}, expected {z.shape[:-1]}")
    bad = np.isnan(y)
    if outside == "raise":
        bad |= (y < edges[0]) | (y > edges[-1])
    if bad.any():
        raise ValueError(f"target at index {tuple(map(int, np.argwhere(bad)[0]))} has no bin")
    index = np.clip(np.searchsorted(edges, y, side="right") - 1, 0, z.shape[-1] - 1)
    return cross_entropy.samples(
        z,
        index,
        class_weight=class_weight,
        label_smoothing=label_smoothing,
        z_loss=z_loss,
        softcap=softcap,
    )
