"""Losses whose samples are vectors, on the last axis."""

from typing import Any

import numpy as np

from ._math import HALF_LOG_2PI, Array, sum_of_others
from ._protocol import Outside, Reference, Samples, as_float64, loss
from .functions import FLOATS
from .jets import Jet, moving
from .links import linked


class VectorReference(Reference):
    """A loss of vectors: every argument has an axis more than the loss, a matrix two."""

    def _convert(self, arguments: dict[str, Any]) -> tuple[dict[str, Any], list[bool]]:
        vectors = [name for name in (*self.parameters, "target") if name in arguments]
        arrays = {name: as_float64(name, arguments[name]) for name in vectors}
        shape = arrays[vectors[0]].shape
        if not shape or shape[-1] == 0:
            raise ValueError(f"{vectors[0]} must be (..., d) with d >= 1, got shape {shape}")
        summed = dict.fromkeys(vectors, False)
        if "factor" in arrays:
            link, d = arguments["link"], shape[-1]
            one = arrays["factor"].shape == (d, d) and (len(shape) > 1 or link == "covariance")
            if link == "covariance" and not one:
                raise ValueError(f"factor has shape {arrays['factor'].shape}, expected {(d, d)}")
            summed["factor"] = one
        for name, x in arrays.items():
            expected = (*shape, shape[-1]) if name == "factor" else shape
            if x.shape != expected and not summed[name]:
                raise ValueError(f"{name} has shape {x.shape}, expected {expected}")
        return {**arguments, **arrays}, [summed[name] for name in self.parameters]


def forward(factor: Array, diagonal: Array, right: Array) -> Array:
    """L^-1 right by forward substitution."""
    w = np.array(right)
    for i in range(w.shape[-1]):
        done = np.einsum("...j,...j->...", factor[..., i, :i], w[..., :i])
        w[..., i] = (w[..., i] - done) / diagonal[..., i]
    return w


def backward(factor: Array, diagonal: Array, right: Array) -> tuple[Array, Array]:
    """(L^-T right, its product with the diagonal) by back substitution."""
    b, g = np.array(right), np.empty_like(right)
    for i in reversed(range(b.shape[-1])):
        g[..., i] = b[..., i] / diagonal[..., i]
        b[..., :i] -= factor[..., i, :i] * g[..., i, None]
    return g, b


@loss(VectorReference)
def multivariate_gaussian_nll(
    mean: Array, factor: Array, target: Array, link: str, full: bool
) -> Samples:
    """Negative log-density of a multivariate normal distribution of d numbers, covariance L L^T.

    L is the lower triangle of ``factor``, its diagonal theta = link(diagonal of factor);
    L w = y - mean,  L^T g = w,  b_i = theta_i g_i,  N_i = |L^-1 theta_i e_i|^2

    value     = |w|^2/2 + sum_i log theta_i + d log(2 pi)/2         (the constant only if full)
    d/dmean   = -g                            d2/dmean_i^2     = N_i / theta_i^2
    d/dL_ij   = -g_i w_j  (j < i)             d2/dL_ij^2       = w_j^2 N_i / theta_i^2
    d/dlogtheta_i = 1 - b_i w_i               d2/dlogtheta_i^2 = N_i w_i^2 + b_i w_i
    and from log theta to the raw diagonal by the chain rule.  The upper triangle is not read, its
    derivatives are 0.  A diagonal <= 0 under identity gives NaN.  One matrix (d, d) for a batch is
    shared: its derivatives are sums over the samples.  Under "covariance" it is the covariance
    itself and has no derivatives.
    """
    given = link == "covariance"
    if given:
        factor, link = _cholesky(factor), "identity"
    mean, factor, target = (x.astype(np.longdouble) for x in (mean, factor, target))
    d = mean.shape[-1]
    raw = np.diagonal(factor, axis1=-2, axis2=-1)
    valid = raw > 0 if link == "identity" else ~np.isnan(raw)
    theta = linked(FLOATS, link, Jet(moving(raw)))
    log, slope, bend = FLOATS.log(theta).derivatives
    diagonal = theta.value

    w = forward(factor, diagonal, target - mean)
    g, b = backward(factor, diagonal, w)
    norms = np.empty_like(diagonal)
    for i in range(d):
        v = np.zeros_like(diagonal)
        v[..., i] = 1.0
        for k in range(i + 1, d):
            done = np.einsum("...j,...j->...", factor[..., k, i:k], v[..., i:k])
            v[..., k] = -done / diagonal[..., k]
        norms[..., i] = (v * v).sum(-1)
    precision = norms / diagonal**2

    value = 0.5 * (w * w).sum(-1) + log.sum(-1) + (d * HALF_LOG_2PI if full else 0.0)
    bw = b * w
    first = slope * (1.0 - bw)
    second = slope**2 * (norms * w * w + bw) + bend * (1.0 - bw)
    triangle = np.tri(d, dtype=bool)
    defined = valid.all(-1) & ~np.isnan(np.where(triangle, factor, 0.0)).any((-2, -1))
    undefined = np.where(defined & ~np.isnan(w).any(-1), 0.0, np.nan)  # added, it makes NaN
    extra = undefined[..., None]

    def matrix(below: Array, diagonal: Array) -> Array:
        x = np.where(np.eye(d, dtype=bool), diagonal[..., None], below) + extra[..., None]
        return np.where(triangle, x, 0.0)

    grad = matrix(-g[..., :, None] * w[..., None, :], first)
    hess = matrix(precision[..., :, None] * (w * w)[..., None, :], second)
    outside: Outside = {"factor": (~valid, f"> 0 on the diagonal under link {link!r}")}
    value, *grads = (x.astype(np.float64) for x in (value + undefined, extra - g, grad))
    hesss = [x.astype(np.float64) for x in (extra + precision, hess)]
    if given:
        grads[1] = hesss[1] = None
    return Samples(value, tuple(grads), tuple(hesss), outside)


def _cholesky(covariance: Array) -> Array:
    if not np.allclose(covariance, covariance.T, rtol=0, atol=1e-6 * np.abs(covariance).max()):
        raise ValueError("factor is not symmetric, expected a covariance matrix")
    try:
        return np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        raise ValueError("factor is not positive definite, expected a covariance matrix") from None


@loss(VectorReference)
def triplet_margin(
    anchor: Array, positive: Array, negative: Array, margin: float, p: float
) -> Samples:
    """Triplet margin loss: z = margin + |anchor - positive|_p - |anchor - negative|_p.

    value = max(0, z)
    u(x)_i = d|x|/dx_i    = sign(x_i) t_i^(p-1),                   t_i = |x_i| / |x|
    h(x)_i = d2|x|/dx_i^2 = (p - 1) t_i^(p-2) (1 - t_i^p) / |x|
    d/danchor = u(a - p) - u(a - n),  d/dpositive = -u(a - p),  d/dnegative = u(a - n)
    d2        = h(a - p) - h(a - n),                h(a - p),               -h(a - n)

    All 0 where z <= 0; u and h are 0 where they do not exist: at |x| = 0, h for p = 1 and inf, and
    for p < 2 at x_i = 0.  For p = inf, entries that tie for the largest share its sign.
    """
    near, u, h, u_rest = _norm(anchor - positive, p)
    far, v, k, v_rest = _norm(anchor - negative, p)
    # numbers next to 1 would cancel: of these, the complements
    large = (u * v > 0) & (np.minimum(np.abs(u), np.abs(v)) > 0.5)
    both = np.where(large, np.sign(u) * (v_rest - u_rest), u - v)
    z = margin + near - far
    value = np.where(z > 0, z, np.where(np.isnan(z), np.nan, 0.0))
    active = (z > 0)[..., None]
    rest = np.where(np.isnan(z), np.nan, 0.0)[..., None]
    grads = tuple(np.where(active, x, rest) for x in (both, -u, v))
    hesss = tuple(np.where(active, x, rest) for x in (h - k, h, -k))
    return Samples(value, grads, hesss, {})


def _norm(x: Array, p: float) -> tuple[Array, Array, Array, Array]:
    """Norm over the last axis, its derivatives u, their diagonal second ones, and 1 - |u|."""
    size = np.abs(x)
    if p not in (1, 2, np.inf):
        size = size.astype(np.longdouble)  # a power loses p roundings
    top = size.max(-1, keepdims=True)
    scaled = np.where(top > 0, size / np.where(top > 0, top, 1.0), 0.0)
    scaled = np.where(np.isnan(top), np.nan, scaled)
    if p == np.inf:
        tied = scaled == 1
        slope = np.sign(x) * tied / np.maximum(tied.sum(-1, keepdims=True), 1)
        return top[..., 0], slope, 0.0 * x, 1 - np.abs(slope)
    powers = scaled**p
    total = powers.sum(-1, keepdims=True)
    norm = total ** (1 / p)
    rest = sum_of_others(powers) / np.where(total > 0, total, 1.0)  # 1 - t^p
    positive = np.where(norm > 0, norm, 1.0)
    t = scaled / positive
    slope = np.sign(x) * t ** (p - 1)
    usual = (top > 0) & (size > 0 if 1 < p < 2 else p > 1)
    bend = (p - 1) * np.where(usual, t, 1.0) ** (p - 2) * rest / positive / top
    complement = -np.expm1((p - 1) / p * np.log1p(-np.minimum(rest, 0.999)))  # where t is large
    found = (top * norm)[..., 0], slope, np.where(usual, bend, 0.0), complement
    value, first, second, gap = (part.astype(np.float64) for part in found)
    return value, first, second, gap
