"""Tolerances of the losses of vectors, for ``tolerance.py``.

A substitution L x = r is backward stable: x solves a system whose every entry is off by a few
eps, so that its error is a few eps times |L^-1| |L| |x|, entry by entry.  That is the size of its
terms, as the solution meets them, and is what "the sum of the magnitudes of the terms" means here.
The kernels substitute in float64 in either precision: for float32 it counts eps64 / eps32 of that.
"""

import numpy as np

from nllkern.reference import _math as rm


def multivariate_gaussian_nll(dtype, mean, factor, y, *, link="identity", full=True):
    d = mean.shape[-1]
    if link == "covariance":  # the factorisation is in float64, and as backward stable
        factor, link = np.linalg.cholesky(factor), "identity"
    raw = np.diagonal(factor, axis1=-2, axis2=-1)
    theta = rm.apply_link(link, raw)
    defined = theta.valid & np.isfinite(theta.value)  # what is not is NaN, whatever its tolerance
    theta = theta._replace(value=np.where(defined, theta.value, 1.0))
    eye = np.eye(d)
    below = np.where(np.tri(d, k=-1, dtype=bool), np.nan_to_num(factor), 0.0)
    low = below + eye * theta.value[..., None]
    size, back = np.abs(low), np.abs(np.linalg.inv(low))
    turned, back_turned = np.swapaxes(size, -1, -2), np.swapaxes(back, -1, -2)
    inverse = np.linalg.inv(low)

    def by(matrix, x):
        return (matrix @ x[..., None])[..., 0]

    w = by(inverse, y - mean)
    g = by(np.swapaxes(inverse, -1, -2), w)
    b, w, g = np.abs(theta.value * g), np.abs(w), np.abs(g)
    v = inverse * theta.value[..., None, :]  # column i: L^-1 theta_i e_i
    norms = (v * v).sum(-2)
    precision = norms / theta.value**2

    # What the substitutions may lose, in eps; and what one rounding of every theta moves.
    share = float(np.finfo(np.float64).eps) / float(np.finfo(dtype).eps)
    lost_w = share * by(back, by(size, w) + np.abs(y - mean))
    lost_g = share * by(back_turned, by(turned, g)) + by(back_turned, lost_w)
    lost_v = share * back @ size @ np.abs(v)
    lost_n = 2 * (np.abs(v) * lost_v).sum(-2)
    linked, soft = float(link != "identity"), float(link == "softplus")
    moved_w = linked * by(back, theta.value * w)
    moved_g = by(back_turned, moved_w + linked * theta.value * g)
    moved_v = linked * (back * theta.value[..., None, :]) @ np.abs(v)
    moved_n = 2 * (np.abs(v) * moved_v).sum(-2)

    def outer(x, z):
        return x[..., :, None] * z[..., None, :]

    def matrix(below, diagonal):
        below = np.where(np.tri(d, k=-1, dtype=bool), below, 0.0)
        return below + eye * diagonal[..., None]

    bw, nww = b * w, norms * w * w
    value = np.abs(theta.log).sum(-1) + (w * w).sum(-1) / 2 + full * d * rm.HALF_LOG_2PI
    value = np.maximum(value + (w * lost_w).sum(-1), 1.0)
    slope = np.abs(1 - b * w) if link == "identity" else 1 + bw
    rate, bend = np.abs(theta.slope), np.abs(theta.second)
    # Of b w: a product, whose own terms are b's and w's.
    lost_bw = theta.value * lost_g * w + b * lost_w
    moved_bw = theta.value * moved_g * w + b * moved_w + linked * bw
    lost_h = lost_n * w * w + 2 * norms * w * lost_w + 2 * lost_bw
    moved_h = moved_n * w * w + 2 * norms * w * moved_w + 2 * moved_bw
    plain = nww + 2 * bw + (link != "log")
    return (
        (value, (slope * linked).sum(-1)),
        [
            (lost_g, moved_g),
            (
                matrix(outer(lost_g, w) + outer(g, lost_w), rate * (1 + bw + lost_bw)),
                matrix(outer(moved_g, w) + outer(g, moved_w), rate * (moved_bw + soft * (1 + bw))),
            ),
        ],
        [
            (lost_n / theta.value**2, moved_n / theta.value**2 + 2 * linked * precision),
            (
                matrix(
                    outer(lost_n / theta.value**2, w * w) + 2 * outer(precision, w * lost_w),
                    rate**2 * (plain + lost_h) + bend * (1 + bw + lost_bw),
                ),
                matrix(
                    outer(moved_n / theta.value**2 + 2 * linked * precision, w * w)
                    + 2 * outer(precision, w * moved_w),
                    rate**2 * (moved_h + 2 * soft * plain)
                    + bend * (moved_bw + 2 * soft * (1 + bw)),
                ),
            ),
        ],
    )


def triplet_margin(dtype, anchor, positive, negative, *, margin=1.0, p=2.0):
    near, u, h, move_u, move_h = _norm(dtype, anchor, positive, p)
    far, v, k, move_v, move_k = _norm(dtype, anchor, negative, p)
    z = margin + near[0] - far[0]
    on = (z > 0)[..., None]
    zero = np.zeros(anchor.shape)
    value = np.maximum(np.abs(margin) + near[0] + far[0], 1.0), near[1] + far[1]

    def where_on(floor, grant):
        return np.where(on, floor, 0.0), np.where(on, grant, 0.0)

    return (
        value,
        [where_on(u + v, move_u + move_v), where_on(zero, move_u), where_on(zero, move_v)],
        [where_on(h + k, move_h + move_k), where_on(h, move_h), where_on(k, move_k)],
    )


def _norm(dtype, x, y, p):
    """((norm, what roundings of the differences move it), |u|, the terms of h, moves of both).

    float32 differences are exact in the kernels' float64, but for those whose power is taken.
    """
    size = np.abs(x - y)
    power = p not in (1.0, 2.0, np.inf)
    rounds = np.zeros(size.shape)
    if dtype == np.float64 or power:
        a, b = x.astype(dtype), y.astype(dtype)
        s = a - b
        t = s - a
        rounds = np.where((a - (s - t)) - (b + t) != 0, 1.0, 0.0)
    top = size.max(-1, keepdims=True)
    scaled = size / np.where(top > 0, top, 1.0)
    some = rounds.max(-1, keepdims=True)
    if p == np.inf:
        zero = np.zeros(size.shape)
        u = (scaled == 1) & (size > 0)
        return (top[..., 0], (some * top)[..., 0]), 1.0 * u, zero, zero, zero
    norm = (scaled**p).sum(-1, keepdims=True) ** (1 / p)
    norm = np.where(norm > 0, norm, 1.0)
    t = scaled / norm
    u = np.where(size > 0, t ** (p - 1), 0.0)
    h = np.zeros(size.shape)
    if p > 1:
        h = (p - 1) * np.where(size > 0, t, 1.0) ** (p - 2) * (1 + t**p) / norm
        h = np.where((size > 0) | (p == 2), h / np.where(top > 0, top, np.inf), 0.0)
    move_u = (p - 1) * (rounds + some) * u
    move_h = (np.abs(p - 2) + p + 1) * (rounds + some) * h
    return ((top * norm)[..., 0], (some * top * norm)[..., 0]), u, h, move_u, move_h
