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


def _normalized_sigmoid_nll(
    dtype, z, target, *, class_weight=None, label_smoothing=0.0, ignore_index=None
):
    classes = z.shape[-1]
    index = target.dtype.kind in "iu"
    t = target
    if index:
        t = (np.arange(classes) == np.asarray(target)[..., None]).astype(np.float64)
    w = np.ones(classes) if class_weight is None else np.asarray(class_weight, np.float64)
    tau = np.abs(w * ((1 - label_smoothing) * t + label_smoothing / classes))
    mass = tau.sum(-1, keepdims=True)

    # The score is linked: s = min(z, 0) - l, l = log1p(exp(-|z|)); l is granted a rounding.
    masked = z == -np.inf
    top = z.argmax(-1, keepdims=True)
    peak = np.take_along_axis(z, top, -1)
    tail = np.log1p(np.exp(-np.abs(z)))
    tail_top = np.take_along_axis(tail, top, -1)
    below, base = np.minimum(z, 0), np.minimum(peak, 0)
    fall = np.minimum((below - base) - (tail - tail_top), 0)
    e = rm.replaced(np.exp(fall), top, np.ones(peak.shape))
    others = rm.sum_of_others(e)
    total = 1 + np.take_along_axis(others, top, -1)
    p, q = e / total, others / total
    moved = np.where(_rounds(below, base, dtype), base - below, 0.0) + tail + tail_top
    moved = np.where(masked | (z == peak), 0.0, moved)
    spread = (p * moved).sum(-1, keepdims=True)
    dp = p * (q * moved + (spread - p * moved))

    ds = rm.sum_of_others(tau) * p - tau * q
    s1, s2 = rm.sigmoid(-z), rm.sigmoid(z) * rm.sigmoid(-z)
    value = rm.product(tau, -fall).sum(-1) + (mass * np.log(total))[..., 0]
    hess = mass * p * q * s1**2
    plain = index and label_smoothing == 0
    value_floor = 0.0 * value if plain else value if index else np.maximum(value, 1.0)
    grad_floor = 0.0 * ds if plain else (mass * p + tau) * s1
    hess_floor = hess + (np.abs(ds) if plain else mass * p + tau) * s2
    grad_grant = mass * dp * s1
    hess_grant = mass * dp * (np.abs(q - p) * s1**2 + s2)
    dvalue = (np.abs(ds) * moved).sum(-1)
    zero = np.where(masked, 0.0, 1.0)
    return (
        (value_floor, dvalue),
        [(grad_floor * zero, grad_grant * zero)],
        [(hess_floor * zero, hess_grant * zero)],
    )


def _kl_divergence(dtype, z, t, *, link="softmax"):
    """Not even the value is measured against 1, but against the terms of its own stable form.

    softmax: p - t and t log(t / p) of each class, and sum t - 1; the probability p has two
    roundings, which count by |p - t|; the sum of t is one of at least twice the digits, less a few.
    log: t (e log 2 - l) and t log m, where t = 2^e m; log 2 itself is known to 2^-20 eps.
    """
    masked = z == -np.inf
    zero = np.where(masked, 0.0, 1.0)
    if link == "log":
        m, e = np.frexp(t)
        low = m < np.sqrt(0.5)
        m, e = np.where(low, 2 * m, m), np.where(low, e - 1, e)
        terms = np.abs(e * np.log(2) - z) + np.abs(np.log(m)) + np.abs(e) * 2.0**-20
        floor = rm.product(t, terms).sum(-1)
        return (floor, 0 * floor), [(0 * t, 0 * t)], [(0 * t, 0 * t)]
    m = z.max(-1, keepdims=True)
    e = np.exp(z - m)
    others = rm.sum_of_others(e)
    total = 1 + np.take_along_axis(others, z.argmax(-1, keepdims=True), -1)
    p, q = e / total, others / total
    moved = np.where(masked, 0.0, np.where(_rounds(z, m, dtype), m - z, 0.0))
    spread = (p * moved).sum(-1, keepdims=True)
    dp = p * (q * moved + (spread - p * moved))
    mass = t.sum(-1, keepdims=True)
    d = np.log(t) - ((z - m) - np.log(total))
    excess = np.abs(mass - 1) + (mass + 1) * (2.0**-29 if dtype == np.float32 else 2.0**-52)
    value = (np.abs(p - t) + rm.product(t, np.abs(d))).sum(-1) + excess[..., 0]
    dvalue = (np.abs(mass * p - t) * moved).sum(-1)
    return (
        (value, dvalue),
        [((mass * p + t) * zero, mass * dp * zero)],
        [(0 * t, mass * dp * np.abs(q - p) * zero)],
    )


def _multiclass_hinge(dtype, s, target, *, margin=1.0, variant="", ignore_index=None):
    """Full relative accuracy: the rounding of a difference of scores is carried along."""
    zero, zeros = np.zeros(s.shape[:-1]), np.zeros(s.shape)
    return (zero, zero), [(zeros, zeros)], [(zeros, zeros)]


def _binary_cross_entropy(dtype, z, y, *, pos_weight=1.0):
    w = 1.0 if pos_weight is None else np.asarray(pos_weight, np.float64)
    zero = np.zeros(np.broadcast_shapes(y.shape, z.shape))
    grad = (1 - y) * rm.sigmoid(z) + np.abs(w) * y * rm.sigmoid(-z)
    return (zero, zero), [(grad, zero)], [(zero, zero)]


def _of_difference(dtype, x, y, value, grad):
    """A loss of x - y alone: how far its rounding moves value and gradient."""
    moved = np.abs(x - y) * _rounds(x + 0.0 * y, y + 0.0 * x, dtype)
    zero = np.zeros(moved.shape)
    return (zero, moved * np.abs(value)), [(zero, moved * grad)], [(zero, zero)]


def _squared_error(dtype, x, y):
    return _of_difference(dtype, x, y, x - y, 1.0)


def _absolute_error(dtype, x, y):
    return _of_difference(dtype, x, y, 1.0, 0.0)


def _huber(dtype, x, y, *, delta=1.0):
    return _of_difference(dtype, x, y, np.minimum(np.abs(x - y), delta), np.abs(x - y) <= delta)


def _log_cosh(dtype, x, y):
    """The second derivative falls off as exp(-2|x - y|), and the rounding moves it by that."""
    d = x - y
    value, grads, [(floor, _)] = _of_difference(dtype, x, y, np.tanh(d), rm.sech2(d))
    moved = 2 * np.abs(d) * _rounds(x + 0.0 * y, y + 0.0 * x, dtype)
    return value, grads, [(floor, rm.product(moved, rm.sech2(d)))]


def _hinge(dtype, z, y):
    zero = np.zeros(np.broadcast_shapes(z.shape, y.shape))
    return (zero, zero), [(zero, zero)], [(zero, zero)]


def _laplace_nll(dtype, mean, scale, y, *, link="identity", full=True):
    b = rm.apply_link(link, scale + 0.0 * y)
    r1, r2 = b.slope, b.second
    r, inverse = b.divide(np.abs(y - mean)), np.minimum(b.divide(np.ones_like(y)), 1e300)
    linked, soft = float(link != "identity"), float(link == "softplus")
    moved = (np.where(_rounds(y, mean + 0.0 * y, dtype), 1.0, 0.0) + linked) * r
    zero = np.zeros(r.shape)
    value = np.maximum(np.abs(b.log) + r + full * np.log(2.0), 1.0), moved + soft
    scale_grad = (1 + r) * r1, moved * r1 + soft * np.abs(1 - r) * r1
    scale_hess = (1 + 2 * r) * r1**2 + (1 + r) * r2, moved * (2 * r1**2 + r2)
    scale_hess = scale_hess[0], scale_hess[1] + soft * scale_hess[0]
    return value, [(zero, linked * inverse), scale_grad], [(zero, zero), scale_hess]


def _exponential_nll(dtype, rate, y, *, link="identity", full=True):
    b = rm.apply_link(link, rate + 0.0 * y)
    by, r1, r2 = b.times(y), b.slope, b.second
    linked, soft = float(link != "identity"), float(link == "softplus")
    zero = np.zeros(by.shape)
    hess = by * r2 + np.abs(r1 * b.bend), linked * by * r2 + soft * (by * r2 + r1**2)
    return (
        (np.maximum(by + np.abs(b.log), 1.0), linked * by + soft),
        [(zero, (linked * by + soft * np.abs(by - 1)) * r1)],
        [hess if soft else (zero, hess[1])],
    )


def _poisson_nll(dtype, rate, y, *, link="identity", full=True):
    b = rm.apply_link(link, rate + 0.0 * y)
    r1, r2 = b.slope, b.second
    linked, soft = float(link != "identity"), float(link == "softplus")
    residual = np.abs(b.value - y)
    zero = np.zeros(residual.shape)
    terms = zero if full else b.value + rm.product(y, np.abs(b.log))  # those of full are positive
    hess = b.value * r2 + y * np.abs(r1 * b.bend), linked * b.value * r2 + soft * y * r1**2
    return (
        (np.maximum(terms, 1.0), linked * residual),
        [(zero, rm.product(linked * b.value + soft * residual, r1))],
        [hess if soft else (zero, hess[1])],
    )


def _student_t_nll(dtype, mean, scale, df, y, *, link="identity", df_link="identity", full=True):
    sigma, nu = rm.apply_link(link, scale + 0.0 * y), rm.apply_link(df_link, df + 0.0 * y)
    d = y - mean
    s1, s2, n1, n2 = sigma.slope, sigma.second, nu.slope, nu.second
    log_q = 2 * (np.log(np.abs(d)) - sigma.log) - nu.log
    q, huge = np.exp(log_q), log_q > 600
    r, s = 1 / (1 + q), np.where(huge, 1.0, q / (1 + q))
    log1p_q = np.where(huge, log_q, np.log1p(q))
    z2 = np.exp(2 * (np.log(np.abs(d)) - sigma.log))
    a = np.where(q < 1, z2 * r, nu.times(s))
    h = np.where(q < 1e-3, q * q / 2, log1p_q - s)
    nu_h = np.where(q < 1e-3, rm.product(z2, q) / 2, nu.times(h))
    both = a + s
    normalizer = np.abs(rm.student_normalizer(nu.value, nu.log))
    slope, curve = np.abs(rm.student_slope(nu.value)), rm.student_curve(nu.value)
    core = np.where(q < 1e-3, z2 + q, nu.times(log1p_q) + log1p_q) / 2
    # Which roundings are granted, and what each moves.
    of_d = np.where(_rounds(y, mean + 0.0 * y, dtype), 1.0, 0.0)
    of_sigma, soft = float(link != "identity"), float(link == "softplus")
    of_nu, nu_soft = float(df_link != "identity"), float(df_link == "softplus")
    of_z = of_d + of_sigma
    by_scale, by_df = np.abs(r - a), np.abs((nu_h - s) / 2 + rm.student_slope(nu.value))
    both_r = np.where(huge, both * np.exp(-log_q), both * r)
    by_df_terms = (nu_h + s) / 2 + slope
    by_df2_terms = s * (1 + r + a) / 2 + curve
    by_df_log = by_df_terms + by_df2_terms  # d2/d(log nu)2 at most
    ones = np.ones_like(z2)
    precision = r * (sigma.divide(sigma.divide(ones + nu.divide(ones))))
    pull = np.where(q < 1, np.sqrt(z2) * sigma.divide(ones + nu.divide(ones)) * r, both / np.abs(d))
    far_precision = np.where(q < 1, precision, both * s / d / d)
    value = np.maximum(np.abs(sigma.log) + core + normalizer + full * rm.HALF_LOG_2PI, 1.0)
    zero = np.zeros(value.shape)
    scale_moved = 2 * of_z * both_r + of_nu * np.abs(both_r - a)
    bend = both + 2 * both_r
    scale_hess = {
        "identity": (s1**2 * (bend + 1), s1**2 * (of_z * 6 * both_r + of_nu * 3 * bend)),
        "log": (zero, (4 * of_z + 3 * of_nu) * both_r),
        "softplus": (
            s1**2 * (bend + 1) + s2 * (r + a),
            (4 * of_z + 3 * of_nu) * bend * (s1**2 + s2) + by_scale * s2 + s1**2 * np.abs(bend - 1),
        ),
    }[link]
    df_hess = (
        n1**2 * by_df2_terms + n2 * by_df_terms,
        (of_z + of_nu) * 3 * (n1**2 * by_df2_terms + n2 * by_df_terms),
    )
    return (
        (value, of_z * both + soft + of_nu * by_df + nu_soft),
        [
            (zero, pull * (of_d * np.abs(1 - 2 * s) + of_sigma * 2 * r + of_nu)),
            ((r + a) * s1, (scale_moved + soft * by_scale) * s1),
            (by_df_terms * n1, n1 * (of_z * (a + r) * s + of_nu * by_df_log + nu_soft * by_df)),
        ],
        [
            (far_precision, far_precision * (2 * of_sigma + (6 * of_z + 3 * of_nu) * s + of_nu)),
            scale_hess,
            df_hess,
        ],
    )


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
    "normalized_sigmoid_nll": _normalized_sigmoid_nll,
    "kl_divergence": _kl_divergence,
    "multiclass_hinge": _multiclass_hinge,
    "binary_cross_entropy": _binary_cross_entropy,
    "squared_error": _squared_error,
    "absolute_error": _absolute_error,
    "huber": _huber,
    "log_cosh": _log_cosh,
    "hinge": _hinge,
    "squared_hinge": _hinge,
    "gaussian_nll": _gaussian_nll,
    "laplace_nll": _laplace_nll,
    "student_t_nll": _student_t_nll,
    "poisson_nll": _poisson_nll,
    "exponential_nll": _exponential_nll,
    "gamma_nll": _gamma_nll,
    "multivariate_gaussian_nll": tolerance_vectors.multivariate_gaussian_nll,
    "triplet_margin": tolerance_vectors.triplet_margin,
}
