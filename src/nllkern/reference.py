"""The losses in plain NumPy float64: the definition of what the compiled library computes.

Every function below takes the raw inputs and returns the loss of each sample with its first
and (diagonal) second derivatives; the formula stands above the code, and the code is the
numerically stable form of it.  The ``@loss`` decorator gives each the public protocol of
nllkern: calling it, ``value_and_grad``, ``grad``, ``value_grad_hess``, with the same names and
keywords.  Results are float64 whatever the inputs' dtype; ``num_threads`` is accepted and ignored.
"""

import inspect
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from . import _reference_math as rm
from ._reference_math import apply_link, product, sigmoid, softplus

__all__ = [
    "LOSSES",
    "binary_cross_entropy",
    "cross_entropy",
    "gamma_nll",
    "gaussian_nll",
    "losses",
]


class Samples(NamedTuple):
    """What one loss function returns: everything per sample, before weights and reduction."""

    value: np.ndarray
    grad: tuple  # one array a parameter
    hess: tuple  # likewise
    outside: dict  # argument name -> (mask of the entries outside the domain, what was expected)
    counts: np.ndarray | bool = True  # False: contributes exactly nothing, whatever its data
    weight: np.ndarray | float = 1.0  # this sample's share of the denominator of "mean"


class Reference:
    """A loss with the public protocol around a function that returns ``Samples``."""

    def __init__(self, samples: Callable[..., Samples], parameters: tuple, links: tuple):
        self.samples = samples
        self.name = samples.__name__
        self.parameters = parameters
        self.links = links
        self.__doc__ = samples.__doc__
        self.__signature__ = inspect.signature(samples)

    def __repr__(self):
        return f"<nllkern.reference.{self.name}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The value."""
        return self._run(args, **kwargs)[0]

    def value_and_grad(self, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        """(value, gradient)."""
        value, grad, _ = self._run(args, **kwargs)
        return value, self._deliver(grad, out)

    def grad(self, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        """The gradient: an array, or a tuple when the loss has several parameters."""
        return self._deliver(self._run(args, **kwargs)[1], out)

    def value_grad_hess(self, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        """(value, gradient, diagonal second derivatives); ``out`` is a pair (grad, hess)."""
        value, grad, hess = self._run(args, **kwargs)
        grad_out, hess_out = (None, None) if out is None else out
        return value, self._deliver(grad, grad_out), self._deliver(hess, hess_out)

    def _run(
        self,
        args,
        *,
        reduction="mean",
        sample_weight=None,
        normalizer=None,
        num_threads=None,
        check=False,
        **options,
    ):
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f'reduction must be "mean", "sum" or "none", got {reduction!r}')
        if normalizer is not None:
            if reduction != "mean":
                raise ValueError(f'normalizer needs reduction="mean", got {reduction!r}')
            if not (math.isfinite(normalizer) and normalizer > 0):
                raise ValueError(f"normalizer must be positive and finite, got {normalizer!r}")
        bound = self.__signature__.bind(*args, **options)
        bound.apply_defaults()
        arguments, scalars = self._convert(bound.arguments)
        with np.errstate(all="ignore"):
            s = self.samples(**arguments)
            if check:
                _raise_if_outside(s.outside)
            weight = _sample_weight(sample_weight, s.value.shape)
            counts = np.asarray(s.counts & (weight != 0))
            denominator = 1.0
            if reduction == "mean":
                denominator = float(np.sum(weight * s.weight) if normalizer is None else normalizer)
            if denominator == 0:  # nothing counts: value 0, derivatives 0
                counts, denominator = np.zeros_like(counts), 1.0

            def weighted(x, scalar=False):
                axes = (...,) + (None,) * (x.ndim - weight.ndim)
                x = np.where(counts[axes], weight[axes] * x, 0.0)
                return float(x.sum()) / denominator if scalar else np.asarray(x / denominator)

            return (
                weighted(s.value, scalar=reduction != "none"),
                tuple(map(weighted, s.grad, scalars)),
                tuple(map(weighted, s.hess, scalars)),
            )

    def _convert(self, arguments):
        """Float64 arrays of one shape; also which parameters were Python scalars."""
        if self.links and arguments["link"] not in self.links:
            raise ValueError(f"link must be one of {self.links}, got {arguments['link']!r}")
        names = (*self.parameters, "target")
        arrays = {name: _as_float64(name, arguments[name]) for name in names}
        scalars = {
            name: x.ndim == 0 and not isinstance(arguments[name], np.ndarray)
            for name, x in arrays.items()
        }
        shape = arrays["target"].shape
        for name, x in arrays.items():
            if x.shape != shape and not scalars[name]:
                raise ValueError(f"{name} has shape {x.shape}, expected that of target, {shape}")
        arrays = {name: np.broadcast_to(x, shape) for name, x in arrays.items()}
        return {**arguments, **arrays}, [scalars[name] for name in self.parameters]

    def _deliver(self, results, out):
        """One array or a tuple; copied into ``out`` where given."""
        if out is not None:
            outs = (out,) if len(self.parameters) == 1 else out
            for array, result in zip(outs, results, strict=True):
                if array is not None:
                    np.copyto(array, result, casting="same_kind")
            results = [r if o is None else o for o, r in zip(outs, results, strict=True)]
        return results[0] if len(self.parameters) == 1 else tuple(results)


class ClassReference(Reference):
    """A loss over classes, which reads its own target: indices or probabilities."""

    def _convert(self, arguments):
        return arguments, [False]


LOSSES: dict[str, Reference] = {}


def losses() -> list[Reference]:
    """Every reference loss."""
    return list(LOSSES.values())


def loss(*parameters: str, links: tuple = (), kind: type = Reference):
    """Give a per-sample function the public protocol, under the same name."""

    def decorate(samples):
        LOSSES[samples.__name__] = kind(samples, parameters, links)
        return LOSSES[samples.__name__]

    return decorate


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
    z = _as_float64("logits", logits)
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
        w = _as_float64("class_weight", class_weight)
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


@loss("logits")
def binary_cross_entropy(logits, target, *, pos_weight=None):
    """Binary cross-entropy from logits z, with targets y anywhere in [0, 1].

    value = pos_weight y softplus(-z) + (1 - y) softplus(z)
    grad  = (1 - y) sigmoid(z) - pos_weight y sigmoid(-z)
    hess  = ((1 - y) + pos_weight y) sigmoid(z) sigmoid(-z)
    """
    z, y = logits, target
    w = np.ones(()) if pos_weight is None else _as_float64("pos_weight", pos_weight)
    try:
        w = np.broadcast_to(w, z.shape)
    except ValueError:
        raise ValueError(
            f"pos_weight has shape {w.shape}, which does not broadcast to {z.shape}"
        ) from None
    positive, negative = w * y, 1.0 - y
    return Samples(
        product(positive, softplus(-z)) + product(negative, softplus(z)),
        (negative * sigmoid(z) - positive * sigmoid(-z),),
        ((negative + positive) * sigmoid(z) * sigmoid(-z),),
        {"target": (~((y >= 0) & (y <= 1)), "in [0, 1]")},
    )


@loss("mean", "scale", links=("identity", "softplus", "log", "variance", "log_variance"))
def gaussian_nll(mean, scale, target, *, link="identity", full=True):
    """Negative log-density of a normal distribution; sigma = link(scale), z = (y - mean)/sigma.

    value       = log sigma + z^2/2 + log(2 pi)/2        (the constant only if full)
    d/dmean     = -z/sigma                               d2/dmean2 = 1/sigma^2
    d/dlogsigma = 1 - z^2                                d2/dlogsigma2 = 2 z^2
    and from log sigma to the raw scale by the chain rule.  A scale outside the domain of its
    link (<= 0 under identity and variance) gives NaN.
    """
    sigma = apply_link(link, scale)
    difference = target - mean
    z = sigma.divide(difference)
    precision = sigma.divide(sigma.divide(np.ones_like(z)))
    usual = (precision > 1e-300) & (precision < np.inf)

    def one_minus_z2(x):  # (1 - z^2) x, where z^2 alone might overflow
        return product(1.0 - np.abs(z), product(1.0 + np.abs(z), x))

    value = sigma.log + 0.5 * z * z + (rm.HALF_LOG_2PI if full else 0.0)
    grads = (
        -np.where(usual, difference * precision, sigma.divide(z)),
        one_minus_z2(sigma.slope),
    )
    hesss = (
        precision,
        product(
            sigma.slope,
            2.0 * product(z, product(z, sigma.slope)) + one_minus_z2(sigma.bend),
        ),
    )
    return _where_valid(
        sigma.valid, value, grads, hesss, {"scale": (~sigma.valid, f"> 0 under link {link!r}")}
    )


@loss("shape", "rate", links=("identity", "softplus", "log"))
def gamma_nll(shape, rate, target, *, link="identity", full=True):
    """Negative log-density of a gamma distribution; a = link(shape), b = link(rate).

    value = lgamma(a) - a log b - (a - 1) log y + b y    (without +log y unless full)
          = [lgamma(a) - a log a + a] + log y + a (r - 1 - log r),   r = b y / a
    d/da  = digamma(a) - log(b y)                        d2/da2 = trigamma(a)
    d/db  = y - a/b                                      d2/db2 = a/b^2
    and to the raw parameters by the chain rule.  A target <= 0 is impossible: value +inf,
    derivatives NaN.  A parameter outside the domain of its link gives NaN.
    """
    a, b, y = apply_link(link, shape), apply_link(link, rate), target
    by = b.times(y)

    # r - 1 and log r from the numbers themselves, or from their logarithms where those are lost.
    x, log_r = rm.product_ratio(b.value, y, a.value)
    lost = a.lost | b.lost
    log_r = np.where(lost, (b.log - a.log) + np.log(y), log_r)
    x = np.where(lost, np.expm1(log_r), x)
    near, large = np.abs(x) <= 0.5, a.value >= 1
    residual = np.where(near | large, a.times(x), by - a.value)  # b y - a
    excess = np.where(
        near,
        -a.times(rm.log1pmx(x)),
        np.where(large, a.times(x - log_r), residual - a.times(log_r)),
    )

    value = rm.lgamma_scaled(a.value, a.log) + excess + (np.log(y) if full else 0.0)
    da = rm.digamma_scaled(a.value, a.log) - a.times(log_r)  # a d/da
    grads = a.slope * da, b.slope * residual
    hesss = (
        a.slope * (a.slope * rm.trigamma_scaled(a.value)) + product(da, a.second),
        product(by, b.second) - product(a.times(b.slope), b.bend),
    )
    impossible = y <= 0
    value = np.where(impossible, np.inf, value)
    grads, hesss = (
        (np.where(impossible, np.nan, x), np.where(impossible, np.nan, x2))
        for x, x2 in (grads, hesss)
    )
    expected = f"> 0 under link {link!r}"
    outside = {
        "shape": (~a.valid, expected),
        "rate": (~b.valid, expected),
        "target": (~(y > 0), "> 0"),
    }
    return _where_valid(a.valid & b.valid & ~np.isnan(y), value, grads, hesss, outside)


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

    t = _as_float64("target", target)
    if t.shape != logits_shape:
        raise ValueError(f"target has shape {t.shape}, expected {logits_shape}")
    counts = np.ones(t.shape[:-1], bool)
    if ignore_index is not None and 0 <= ignore_index < classes:
        # A row whose whole mass lies on the ignored class is the one-hot form of that index.
        on_class = np.arange(classes) == ignore_index
        counts = ~np.all((t != 0) == on_class, axis=-1)
    return t, counts, None


def _where_valid(valid, value, grads, hesss, outside):
    value, *derivatives = (np.where(valid, x, np.nan) for x in (value, *grads, *hesss))
    n = len(grads)
    return Samples(value, tuple(derivatives[:n]), tuple(derivatives[n:]), outside)


def _as_float64(name, x):
    x = np.asarray(x)
    if x.dtype.kind not in "biu" and x.dtype not in (np.float32, np.float64):
        raise TypeError(f"{name} has dtype {x.dtype}, expected float32 or float64")
    return x.astype(np.float64)


def _sample_weight(weight, shape):
    if weight is None:
        return np.ones(shape)
    weight = _as_float64("sample_weight", weight)
    if weight.shape != shape:
        raise ValueError(f"sample_weight has shape {weight.shape}, expected {shape}")
    return weight


def _raise_if_outside(outside):
    for name, (bad, expected) in outside.items():
        if bad.any():
            where = tuple(int(i) for i in np.argwhere(bad)[0])
            raise ValueError(f"{name} at index {where} is not {expected}")
