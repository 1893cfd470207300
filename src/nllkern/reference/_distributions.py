"""Negative log-likelihoods with one number per parameter and one target per sample."""

import numpy as np

from . import _math as rm
from ._math import apply_link, product
from ._protocol import loss, where_possible, where_valid


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
    return where_valid(
        sigma.valid, value, grads, hesss, {"scale": (~sigma.valid, f"> 0 under link {link!r}")}
    )


@loss("mean", "scale", links=("identity", "softplus", "log"))
def laplace_nll(mean, scale, target, *, link="identity", full=True):
    """Negative log-density of a Laplace distribution; b = link(scale), r = |y - mean| / b.

    value   = r + log b + log 2                          (the constant only if full)
    d/dmean = -sign(y - mean) / b                        d2/dmean2 = 0
    d/dlogb = 1 - r                                      d2/dlogb2 = r
    and from log b to the raw scale by the chain rule.  A scale <= 0 under identity gives NaN.
    """
    b = apply_link(link, scale)
    difference = target - mean
    r = b.divide(np.abs(difference))
    grads = -b.divide(np.sign(difference)), product(1.0 - r, b.slope)
    hess = (r * b.slope + product(1.0 - r, b.bend)) * b.slope
    if link == "identity":
        hess = product(product(2.0 * r - 1.0, b.slope), b.slope)
    hesss = np.zeros_like(r), hess
    value = r + b.log + (np.log(2.0) if full else 0.0)
    outside = {"scale": (~b.valid, f"> 0 under link {link!r}")}
    return where_valid(b.valid & ~np.isnan(difference), value, grads, hesss, outside)


@loss("mean", "scale", "df", links=("identity", "softplus", "log"))
def student_t_nll(mean, scale, df, target, *, link="identity", df_link="identity", full=True):
    """Negative log-density of Student's t; sigma = link(scale), nu = df_link(df).

    value = log sigma + (nu + 1)/2 log(1 + q) + c(nu) + log(2 pi)/2      (the last only if full)
            with z = (y - mean)/sigma, q = z^2/nu,
            c(nu) = lgamma(nu/2) - lgamma((nu + 1)/2) + log(nu/2)/2
    and with r = 1/(1 + q), s = q r, a = nu s = z^2 r, h = log(1 + q) - s
    d/dmean      = -(1 + 1/nu) r z/sigma     d2/dmean2      = (1 + 1/nu) (r - s) r/sigma^2
    d/dlog sigma = r - a                     d2/dlog sigma2 = 2 (a + s) r
    nu d/dnu     = (nu h - s)/2 + nu c'(nu)  nu^2 d2/dnu2   = s (1 + r - a)/2 + nu^2 c''(nu)
    and to the raw parameters by the chain rule.  nu = inf is the normal distribution.  A parameter
    outside the domain of its link gives NaN.
    """
    sigma, nu = apply_link(link, scale), apply_link(df_link, df)
    d = target - mean
    z = sigma.divide(d)
    z2 = z * z
    # q from the numbers themselves, or from their logarithms where those are lost.
    log_q = 2.0 * (np.log(np.abs(d)) - sigma.log) - nu.log
    part = nu.divide(z)
    q, found = z * part, np.abs(part) * np.minimum(np.abs(z), 1.0)
    lost = ~((np.abs(log_q) < 650) & np.isfinite(z2 + part) & (z2 > 1e-290) & (found > 1e-290))
    q = np.where(lost & ~np.isnan(q * log_q), np.exp(log_q), q)
    huge, far = q > 1e300, q >= 1
    r = np.where(huge, np.exp(-log_q), 1.0 / (1.0 + q))
    s = np.where(huge, 1.0, q * r)
    log1p_q = np.where(huge, log_q, np.log1p(q))
    h = np.where(q < 1, -rm.log1pmx(-s), log1p_q - s)
    a = np.where(far, nu.times(s), z2 * r)
    both = a + s
    # Near q = 0, also for nu = inf: (nu + 1) log(1 + q) = z^2 + q, nu h = z^2 q/2.
    tiny = q < 1e-17
    core = np.where(tiny, z2 + q, nu.times(log1p_q) + log1p_q)
    z2_q = np.where(z2 < 1e150, nu.divide(z2 * z2), product(z2, q))
    nu_h = np.where(tiny, 0.5 * z2_q, nu.times(h))
    value = sigma.log + 0.5 * core + rm.student_normalizer(nu.value, nu.log)

    z_sigma = sigma.divide(z)
    balance = sigma.divide((r - s) * r)
    pull = np.where(far, both / d, (z_sigma + nu.divide(z_sigma)) * r)
    precision = sigma.divide(balance + nu.divide(balance))
    # r underflows where q is huge.
    both_r = np.where(huge, product(both, np.exp(-log_q)), both * r)
    by_scale = np.where(z2 < 2, (1.0 - z2) * r, r - a)
    # c ~ 1/(4 nu), where nu itself overflows.
    beyond, inverse = np.isinf(nu.value), nu.divide(np.ones_like(q))
    slope = np.where(beyond, -0.25 * inverse, rm.student_slope(nu.value))
    by_df = 0.5 * (nu_h - s) + slope
    a_s = np.where(tiny, z2_q, product(a, s))
    curve = np.where(beyond, 0.5 * inverse, rm.student_curve(nu.value))
    by_df2 = 0.5 * (s * (1.0 + r) - a_s) + curve
    grads = -pull, product(by_scale, sigma.slope), product(by_df, nu.slope)
    hesss = (
        np.where(far, pull * ((r - s) / d), precision),
        product(sigma.slope, 2.0 * product(both_r, sigma.slope) + product(by_scale, sigma.bend)),
        product(nu.slope, product(nu.slope, by_df2)) + product(by_df, nu.second),
    )
    if df_link == "log":  # where both terms may be infinite
        rest = np.where(tiny, -0.5 * z2_q, nu_h - a_s)
        hesss = *hesss[:2], 0.5 * (rest + s * r) + (slope + curve)
    value = value + (rm.HALF_LOG_2PI if full else 0.0)
    outside = {
        "scale": (~sigma.valid, f"> 0 under link {link!r}"),
        "df": (~nu.valid, f"> 0 under link {df_link!r}"),
    }
    return where_valid(sigma.valid & nu.valid & ~np.isnan(d), value, grads, hesss, outside)


@loss("rate", links=("identity", "softplus", "log"))
def exponential_nll(rate, target, *, link="identity", full=True):
    """Negative log-density of an exponential distribution; b = link(rate).

    value  = b y - log b                                 (no constant: full changes nothing)
    d/db   = y - 1/b                                     d2/db2 = 1/b^2
    and to the raw rate by the chain rule.  A target < 0 is impossible: value +inf, derivatives
    NaN.  A rate outside the domain of its link gives NaN.
    """
    b, y = apply_link(link, rate), target
    by = b.times(y)
    x, _ = rm.product_ratio(b.value, y, np.ones_like(y))
    excess = np.where(b.lost | ~(np.abs(x) <= 0.5), by - 1.0, x)  # b y - 1
    grad = np.where(np.isinf(by), product(y, b.value * b.slope), product(excess, b.slope))
    hess = product(by, b.second) - b.slope * b.bend
    value, grads, hesss = where_possible((y >= 0) & (y < np.inf), by - b.log, (grad,), (hess,))
    outside = {
        "rate": (~b.valid, f"> 0 under link {link!r}"),
        "target": (~((y >= 0) & (y < np.inf)), ">= 0 and finite"),
    }
    return where_valid(b.valid & ~np.isnan(y), value, grads, hesss, outside)


@loss("rate", links=("identity", "softplus", "log"))
def poisson_nll(rate, target, *, link="identity", full=True):
    """Negative log-probability of a Poisson distribution; b = link(rate).

    value = b - y log b + lgamma(1 + y)                  (the last term only if full)
          = y (r - 1 - log r) + P(y),   r = b / y,   P(y) = lgamma(1 + y) - y log y + y
    d/db  = 1 - y/b                                      d2/db2 = y/b^2
    and to the raw rate by the chain rule.  y need not be an integer.  A target < 0 is impossible:
    value +inf, derivatives NaN.  A rate outside the domain of its link gives NaN.
    """
    b, y = apply_link(link, rate), target
    excess = b.value - y
    x, r = excess / y, b.value / y
    near = np.abs(x) <= 0.5
    usual = (r > 1e-290) & (r < 1e290)
    log_r = np.where(usual, np.log(r), b.log - np.log(y))
    apart = np.where(usual & (r < 1), y * (x - log_r), excess - y * log_r)
    deviance = np.where(near, -y * rm.log1pmx(x), apart)
    if full:
        value = rm.poisson_saturated(y) + np.where(y > 0, deviance, b.value)
    else:
        value = b.value - product(y, b.log)
    value = np.where(b.value < np.inf, value, b.value)
    grad = excess / b.value if link == "identity" else product(excess, b.slope)
    hess = b.times(b.second) - product(product(y, b.slope), b.bend)
    possible = (y >= 0) & (y < np.inf)
    value, grads, hesss = where_possible(possible, value, (grad,), (hess,))
    outside = {
        "rate": (~b.valid, f"> 0 under link {link!r}"),
        "target": (~possible, ">= 0 and finite"),
    }
    return where_valid(b.valid & ~np.isnan(y), value, grads, hesss, outside)


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
    value, grads, hesss = where_possible((y > 0) & (y < np.inf), value, grads, hesss)
    expected = f"> 0 under link {link!r}"
    outside = {
        "shape": (~a.valid, expected),
        "rate": (~b.valid, expected),
        "target": (~(y > 0), "> 0"),
    }
    return where_valid(a.valid & b.valid & ~np.isnan(y), value, grads, hesss, outside)
