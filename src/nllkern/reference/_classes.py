"""Losses over classes, on the last axis."""

import math

import numpy as np

from . import _math as rm
from ._math import product
from ._protocol import Reference, Samples, as_float64, loss


class ClassReference(Reference):
    """A loss over classes, which reads its own target: indices or probabilities."""

    def _convert(self, arguments):
        return arguments, [False]


@loss("logits", kind=ClassReference)
def cross_entropy(
    logits,
    target,
    *,
    class_weight=None,
    label_smoothing=0.0,
    ignore_index=None,
    z_loss=0.0,
    softcap=None,
):
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
    if z.ndim == 0 or z.shape[-1] == 0:
        raise ValueError(f"logits must be (..., K) with K >= 1, got shape {z.shape}")
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must be in [0, 1], got {label_smoothing!r}")
    if not (z_loss >= 0 and math.isfinite(z_loss)):
        raise ValueError(f"z_loss must be finite and not negative, got {z_loss!r}")
    if softcap is not None and not (softcap > 0 and math.isfinite(softcap)):
        raise ValueError(f"softcap must be positive and finite, got {softcap!r}")
    classes = z.shape[-1]
    w = np.ones(classes)
    if class_weight is not None:
        w = as_float64("class_weight", class_weight)
        if w.shape != (classes,):
            raise ValueError(f"class_weight has shape {w.shape}, expected {(classes,)}")
    t, counts, weight = _class_target(target, z.shape, w, ignore_index)
    if weight is None:
        weight = np.where(counts, 1.0, 0.0)
    elif label_smoothing == 0 and z_loss == 0:
        counts = counts & (weight != 0)

    masked = z == -np.inf
    if softcap is None:
        s, s1, s2 = z, 1.0, 0.0
    else:
        s = np.where(masked, -np.inf, softcap * np.tanh(z / softcap))
        s1 = rm.sech2(z / softcap)
        s2 = -2.0 * np.tanh(z / softcap) * s1 / softcap

    # The sum over the other classes is kept apart from a class's own term: q_k = 1 - p_k.
    m, rest, top = rm.softmax_rest(s)
    e = np.exp(s - m)
    p = e / (1.0 + rest)
    q = rm.replaced((1.0 + rest) - e, top, rest) / (1.0 + rest)
    lse = m + np.log1p(rest)
    bad = np.isnan(z).any(-1) | (z == np.inf).any(-1) | masked.all(-1)

    tau = w * ((1.0 - label_smoothing) * t + label_smoothing / classes)
    mass = tau.sum(axis=-1, keepdims=True)
    value = product(tau, m - s).sum(-1) + (mass * np.log1p(rest) + z_loss * lse * lse)[..., 0]
    ds = rm.sum_of_others(tau) * p - tau * q + 2.0 * z_loss * lse * p
    d2s = (mass + 2.0 * z_loss * lse) * p * q + 2.0 * z_loss * p**2
    grad = np.where(bad[..., None], np.nan, ds * s1)
    hess = np.where(bad[..., None], np.nan, d2s * s1**2 + ds * s2)
    return Samples(
        np.where(bad, np.nan, value),
        (np.where(masked, 0.0, grad),),
        (np.where(masked, 0.0, hess),),
        {"target": (~(t >= 0), "not negative")},
        counts,
        weight,
    )


def _class_target(target, logits_shape, class_weight, ignore_index):
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
