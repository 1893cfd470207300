"""How far from the exact result an output may lie: the accuracy criterion of the whole suite.

    err = (|got - exact| - grant) / (eps * max(|exact|, floor))  <=  4

eps is that of the dtype.  ``floor`` is the smallest normal number where full relative accuracy
is promised.  Where terms of opposite sign meet it is the sum of the magnitudes of the terms of
the stable form (for a value at least 1).  ``grant`` is the first-order change of the result when
each linked parameter (softplus(u), exp(u), sqrt(u), a softcapped logit and its argument
z/softcap) and each difference of inputs (z - max, y - mean) changes by eps relative: one rounding.
A difference that the dtype holds exactly is granted nothing.

The results need only be right to a few per cent, so this is plain float64 NumPy.
"""

from typing import NamedTuple

import numpy as np
import tolerance_vectors

from nllkern.reference import _math as rm

LIMIT = 4.0


class Tolerance(NamedTuple):
    floor: np.ndarray
    grant: np.ndarray


def tolerances(name, args, options, dtype):
    """Per sample: (value, [one a parameter] for grad, the same for hess), each a ``Tolerance``."""
    args = [np.asarray(a) for a in args]
    args = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in args]
    eps, tiny = float(np.finfo(dtype).eps), float(np.finfo(dtype).tiny)
    with np.errstate(all="ignore"):
        value, grads, hesss = _FUNCTIONS[name](np.dtype(dtype), *args, **options)

    def finish(pair):
        floor, grant = pair
        grant = np.where(np.isnan(grant), 0.0, grant)  # 0 * inf: no rounding
        return Tolerance(np.maximum(floor, tiny), eps * grant)

    return finish(value), [finish(g) for g in grads], [finish(h) for h in hesss]


def error_in_ulps(got, exact, tolerance, dtype):
    """Err as above, for an ``exact`` known to float64 (a float32 result against the reference)."""
    got, exact = np.asarray(got, np.float64), np.asarray(exact, np.float64)
    with np.errstate(all="ignore"):
        unit = np.finfo(dtype).eps * np.maximum(np.abs(exact), tolerance.floor)
        err = np.maximum(np.abs(got - exact) - tolerance.grant, 0.0) / unit
        same = (got == exact) | (np.isnan(got) & np.isnan(exact))
        overflow = np.isinf(got) & (np.abs(exact) > np.finfo(dtype).max) & (got * exact > 0)
    return np.where(same | overflow, 0.0, np.where(np.isnan(err), np.inf, err))


def _rounds(x, y, dtype):
    """Whether x - y is not a number of the dtype: the error term of Knuth's two-sum."""
    x, y = x.astype(dtype), y.astype(dtype)
    s = x - y
    v = s - x
    return ((x - (s - v)) - (y + v)) != 0


def _cross_entropy(
    dtype,
    z,
    target,
    *,
    class_weight=None,
    label_smoothing=0.0,
    ignore_index=None,
    z_loss=0.0,
    softcap=None,
):
    classes = z.shape[-1]
    index = target.dtype.kind in "iu"
    t = target
    if index:
        t = (np.arange(classes) == np.asarray(target)[..., None]).astype(np.float64)
    w = np.ones(classes) if class_weight is None else np.asarray(class_weight, np.float64)
    tau = np.abs(w * ((1 - label_smoothing) * t + label_smoothing / classes))
    mass = tau.sum(-1, keepdims=True)

    masked = z == -np.inf
    s, s1, s2, bend = z, 1.0, 0.0, 0.0
    if softcap is not None:
        x = z / softcap
        s = np.where(masked, -np.inf, softcap * np.tanh(x))
        s1 = rm.sech2(x)
        s2 = 2 * np.abs(np.tanh(x)) * s1 / softcap
        bend = np.where(masked, 0.0, 2 * np.abs(x * np.tanh(x)))  # relative condition of s1
    m = s.max(-1, keepdims=True)
    e = np.exp(s - m)
    others = rm.sum_of_others(e)
    total = 1 + np.take_along_axis(others, s.argmax(-1, keepdims=True), -1)
    p, q = e / total, others / total
    lse = np.abs(m) + np.log(total)

    # moved_k: how much one rounding moves s_k - max; dp: how much all of them move p.
    moved = np.where(masked, 0.0, m - s)
    if softcap is None:
        moved = np.where(_rounds(z, m, dtype), moved, 0.0)
    else:
        moved = moved + np.where(masked, 0.0, np.abs(s) + np.abs(m))
    spread = (p * moved).sum(-1, keepdims=True)
    dp = p * (q * moved + (spread - p * moved))

    exact_ds = rm.sum_of_others(tau) * p - tau * q + 2 * z_loss * (m + np.log(total)) * p
    dvalue = (np.abs(exact_ds) * moved).sum(-1)
    value = rm.product(tau, m - s).sum(-1) + (mass * np.log(total) + z_loss * lse * lse)[..., 0]
    ds = mass * p + tau + 2 * z_loss * lse * p
    dds = (mass + 2 * z_loss * lse) * dp + 2 * z_loss * p * spread
    pull = mass + 2 * z_loss * lse
    d2s = pull * p * q + 2 * z_loss * p**2
    dd2s = pull * dp * np.abs(q - p) + 4 * z_loss * p * dp + 2 * z_loss * p * q * spread
    hess = d2s * s1**2 + ds * s2
    dhess = dd2s * s1**2 + dds * s2 + 2 * bend * d2s * s1**2 + (bend + 1) * np.abs(exact_ds) * s2
    if softcap is None:
        dhess = dd2s
    plain = index and label_smoothing == 0 and z_loss == 0
    if plain:
        value_floor, grad_floor = 0.0 * value, 0.0 * ds
        hess_floor = 0.0 * hess if softcap is None else d2s * s1**2 + np.abs(exact_ds) * s2
    else:
        value_floor = value if index else np.maximum(value, 1.0)
        grad_floor, hess_floor = ds * s1, hess
    zero = np.where(masked, 0.0, 1.0)
    return (
        (value_floor, dvalue),
        [(grad_floor * zero, (dds * s1 + bend * np.abs(exact_ds) * s1) * zero)],
        [(hess_floor * zero, dhess * zero)],
    )


def _binary_cross_entropy(dtype, z, y, *, pos_weight=1.0):
    w = 1.0 if pos_weight is None else np.asarray(pos_weight, np.float64)
    zero = np.zeros(np.broadcast_shapes(y.shape, z.shape))
    grad = (1 - y) * rm.sigmoid(z) + np.abs(w) * y * rm.sigmoid(-z)
    return (zero, zero), [(grad, zero)], [(zero, zero)]


def _gaussian_nll(dtype, mean, scale, y, *, link="identity", full=True):
    sigma = rm.apply_link(link, scale + 0.0 * y)
    r1, r2 = sigma.slope, sigma.second
    zz = sigma.divide(y - mean) ** 2
    linked, soft = float(link != "identity"), float(link == "softplus")
    rounds = np.where(_rounds(y, mean + 0.0 * y, dtype), 1.0, 0.0)
    moved = 2 * (rounds + linked) * zz  # how much one rounding each moves z^2
    zero = np.zeros(zz.shape)
    const = rm.HALF_LOG_2PI if full else 0.0
    value = np.maximum(np.abs(sigma.log) + zz / 2 + const, 1.0), moved / 2 + soft
    mean_grad = np.abs(sigma.divide(sigma.divide(y - mean)))
    precision = sigma.divide(sigma.divide(np.ones_like(zz)))
    scale_grad = (1 + zz) * r1, moved * r1 + (np.abs(1 - zz) * r1 if soft else 0.0)
    coefficient = np.abs(3 * r1**2 - r2)
    scale_hess = coefficient * zz + np.abs(r2 - r1**2), coefficient * moved
    if link == "softplus":
        scale_hess = (
            (3 * zz + 1) * r1**2 + (1 + zz) * r2,
            scale_hess[1] + 2 * np.abs(3 * zz - 1) * r1**2 + np.abs(1 - zz) * r2,
        )
    return (
        value,
        [(zero, (rounds + 2 * linked) * mean_grad), scale_grad],
        [(zero, 2 * linked * precision), scale_hess],
    )


def _gamma_nll(dtype, shape, rate, y, *, link="identity", full=True):
    a, b = rm.apply_link(link, shape + 0.0 * y), rm.apply_link(link, rate + 0.0 * y)
    x, log_r = rm.product_ratio(b.value, y, a.value)
    lost = a.lost | b.lost
    log_r = np.where(lost, b.log - a.log + np.log(y), log_r)
    x = np.where(lost, np.expm1(log_r), x)
    by, p = b.times(y), a.value
    residual = np.abs(np.where(np.abs(x) < 0.5, rm.product(p, x), by - p))
    a_log_r = np.abs(rm.product(p, log_r))
    psi = np.abs(rm.digamma_scaled(p, a.log))  # a (log a - digamma(a))
    a_g = np.abs(rm.digamma_scaled(p, a.log) - rm.product(p, log_r))  # a |dvalue/da|
    tri = rm.trigamma_scaled(p)
    delta = np.abs(rm.lgamma_scaled(p, a.log) - rm.HALF_LOG_2PI + 0.5 * a.log)
    excess = np.where(np.abs(x) < 0.5, np.abs(rm.product(p, rm.log1pmx(x))), residual + a_log_r)
    value = rm.HALF_LOG_2PI + 0.5 * np.abs(a.log) + delta + excess + full * np.abs(np.log(y))
    value = np.maximum(value, 1.0)
    ra, rb = a.slope, b.slope
    zero = np.zeros(value.shape)
    floors = {
        "shape": (ra * (psi + a_log_r), ra**2 * tri + a.second * (psi + a_log_r)),
        "rate": (zero, zero if link != "softplus" else p * rb**2 + b.second * (by + p)),
    }
    if link == "identity":
        grants = {"value": zero, "shape": (zero, zero), "rate": (zero, zero)}
    else:
        grants = {"value": a_g + residual}
        if link == "log":
            grants["shape"] = (a_g + tri + p, 2 * tri + a_g + p)
            grants["rate"] = (p + by, by)
        else:
            grants["shape"] = (ra * (tri + p), 2 * ra**2 * tri + a.second * (tri + p))
            grants["rate"] = (2 * rb * p, 3 * p * rb**2 + 2 * p * b.second)
    return (
        (value, grants["value"]),
        [(floors[k][0], grants[k][0]) for k in ("shape", "rate")],
        [(floors[k][1], grants[k][1]) for k in ("shape", "rate")],
    )


_FUNCTIONS = {
    "cross_entropy": _cross_entropy,
    "binary_cross_entropy": _binary_cross_entropy,
    "gaussian_nll": _gaussian_nll,
    "gamma_nll": _gamma_nll,
    "multivariate_gaussian_nll": tolerance_vectors.multivariate_gaussian_nll,
    "triplet_margin": tolerance_vectors.triplet_margin,
}
