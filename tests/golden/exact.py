"""The four losses of one sample as textbooks write them, in mpmath at enough digits to be exact.

No stable forms here: cancellation is met with digits.  Inputs are Python floats (exact), outputs
mpf; infinite inputs are taken to their limits.  Every function returns
(value, [first derivatives], [second derivatives]).
"""

from mpmath import mp, mpf

# Digits enough that no cancellation shows: p - 1 must be right where it is 1e-308, and terms that
# cancel to zero must leave less than the smallest denormal.  In the rate's derivatives terms as
# large as a shape of exp(1000) cancel; loggamma and its kin meet no such thing and are slow.
DIGITS = {
    "softmax": 420,
    "binary": 80,
    "gaussian": 420,
    "gamma": 80,
    "rate": 900,
    "difference": 800,
}


def _times(x, y):
    return mpf(0) if x == 0 or y == 0 else x * y


def cross_entropy(z, target, class_weight, label_smoothing, z_loss, softcap):
    """``target`` is a list of probabilities (one-hot for an index)."""
    with mp.workdps(DIGITS["softmax"]):
        classes = len(z)
        z = [mpf(x) for x in z]
        if softcap is None:
            s, s1, s2 = z, [mpf(1)] * classes, [mpf(0)] * classes
        else:
            c = mpf(softcap)
            th = [mp.tanh(x / c) for x in z]
            s = [c * t if x != -mp.inf else x for t, x in zip(th, z, strict=True)]
            s1 = [mp.sech(x / c) ** 2 if mp.isfinite(x) else mpf(0) for x in z]
            s2 = [-2 * t * d / c for t, d in zip(th, s1, strict=True)]
        top = max(s)
        e = [mp.exp(x - top) for x in s]
        total = mp.fsum(e)
        lse = top + mp.log(total)
        eps = mpf(label_smoothing)
        tau = [
            mpf(w) * ((1 - eps) * mpf(t) + eps / classes)
            for w, t in zip(class_weight, target, strict=True)
        ]
        mass = mp.fsum(tau)
        zl = mpf(z_loss)
        value = mp.fsum(_times(t, lse - x) for t, x in zip(tau, s, strict=True)) + zl * lse**2
        grad, hess = [], []
        for k in range(classes):
            p = e[k] / total
            g = mass * p - tau[k] + 2 * zl * lse * p
            h = (mass + 2 * zl * lse) * p * (1 - p) + 2 * zl * p**2
            masked = z[k] == -mp.inf
            grad.append(mpf(0) if masked else g * s1[k])
            hess.append(mpf(0) if masked else h * s1[k] ** 2 + g * s2[k])
        return value, grad, hess


def _sigmoid(x):
    return 1 / (1 + mp.exp(-x))


def _softplus(x):
    return x if x == mp.inf else mp.log1p(mp.exp(x))


def binary_cross_entropy(z, y, pos_weight):
    with mp.workdps(DIGITS["binary"]):
        z, y, w = mpf(z), mpf(y), mpf(pos_weight)
        value = _times(w * y, _softplus(-z)) + _times(1 - y, _softplus(z))
        grad = (1 - y) * _sigmoid(z) - w * y * _sigmoid(-z)
        hess = ((1 - y) + w * y) * _sigmoid(z) * _sigmoid(-z)
        return value, [grad], [hess]


def _of_difference(function):
    """A loss of the difference d of prediction and target: function(d) is (value, d/dd, d2/dd2)."""

    def exact(prediction, y, *options):
        with mp.workdps(DIGITS["difference"]):
            value, grad, hess = function(mpf(prediction) - mpf(y), *map(mpf, options))
            return value, [grad], [hess]

    return exact


squared_error = _of_difference(lambda d: (d**2 / 2, d, mpf(1)))
absolute_error = _of_difference(lambda d: (abs(d), mp.sign(d), mpf(0)))
huber = _of_difference(
    lambda d, delta: (
        (d**2 / 2, d, mpf(1))
        if abs(d) <= delta
        else (delta * (abs(d) - delta / 2), delta * mp.sign(d), mpf(0))
    )
)


log_cosh = _of_difference(lambda d: (mp.log(mp.cosh(d)), mp.tanh(d), mp.sech(d) ** 2))


def hinge(z, y):
    with mp.workdps(DIGITS["difference"]):
        margin = 1 - mpf(y) * mpf(z)
        return (margin, [-mpf(y)], [mpf(0)]) if margin > 0 else (mpf(0), [mpf(0)], [mpf(0)])


def squared_hinge(z, y):
    with mp.workdps(DIGITS["difference"]):
        y, h = mpf(y), max(1 - mpf(y) * mpf(z), mpf(0))
        return h**2, [-2 * y * h], [2 * y**2 if h > 0 else mpf(0)]


def _link(link, u):
    """p, p', p''."""
    if link == "identity":
        return u, mpf(1), mpf(0)
    if link == "softplus":
        return _softplus(u), _sigmoid(u), _sigmoid(u) * _sigmoid(-u)
    if link == "log":
        return (mp.exp(u),) * 3
    if link == "variance":
        return mp.sqrt(u), 1 / (2 * mp.sqrt(u)), -1 / (4 * u * mp.sqrt(u))
    if link == "log_variance":
        p = mp.exp(u / 2)
        return p, p / 2, p / 4
    raise ValueError(link)


def gaussian_nll(mean, scale, y, link, full):
    with mp.workdps(DIGITS["gaussian"]):
        sigma, s1, s2 = _link(link, mpf(scale))
        d = mpf(y) - mpf(mean)
        value = mp.log(sigma) + d**2 / (2 * sigma**2) + (mp.log(2 * mp.pi) / 2 if full else 0)
        f1 = 1 / sigma - d**2 / sigma**3
        f2 = -1 / sigma**2 + 3 * d**2 / sigma**4
        return value, [-d / sigma**2, f1 * s1], [1 / sigma**2, f2 * s1**2 + f1 * s2]


def laplace_nll(mean, scale, y, link, full):
    with mp.workdps(DIGITS["gaussian"]):
        b, b1, b2 = _link(link, mpf(scale))
        d = mpf(y) - mpf(mean)
        value = mp.log(b) + abs(d) / b + (mp.log(2) if full else 0)
        f1 = 1 / b - abs(d) / b**2
        f2 = -1 / b**2 + 2 * abs(d) / b**3
        return value, [-mp.sign(d) / b, f1 * b1], [mpf(0), f2 * b1**2 + f1 * b2]


def exponential_nll(rate, y, link, full):
    with mp.workdps(DIGITS["rate"]):
        b, b1, b2 = _link(link, mpf(rate))
        f1, f2 = mpf(y) - 1 / b, 1 / b**2
        return b * mpf(y) - mp.log(b), [f1 * b1], [f2 * b1**2 + f1 * b2]


def poisson_nll(rate, y, link, full):
    y = mpf(y)
    with mp.workdps(DIGITS["gamma"]):
        constant = mp.loggamma(1 + y) if full else mpf(0)
    with mp.workdps(DIGITS["rate"]):
        b, b1, b2 = _link(link, mpf(rate))
        f1, f2 = 1 - y / b, y / b**2
        return b - y * mp.log(b) + constant, [f1 * b1], [f2 * b1**2 + f1 * b2]


def student_t_nll(mean, scale, df, y, link, df_link, full):
    """The normal distribution for df = inf, where all derivatives by it are 0."""
    if df == mp.inf:
        value, grads, hesss = gaussian_nll(mean, scale, y, link, full)
        return value, [*grads, mpf(0)], [*hesss, mpf(0)]
    with mp.workdps(DIGITS["gaussian"]):
        nu, n1, n2 = _link(df_link, mpf(df))
        sigma, s1, s2 = _link(link, mpf(scale))
        d = mpf(y) - mpf(mean)
        half, q = (nu + 1) / 2, d**2 / (nu * sigma**2)
        normalizer, fn, fnn = _student_normalizer(nu)
        value = mp.log(sigma) + half * mp.log1p(q) + normalizer
        value += mp.log(2 * mp.pi) / 2 if full else 0
        grow = nu * sigma**2 + d**2  # nu sigma^2 (1 + q)
        fm, fmm = -2 * half * d / grow, 2 * half * (nu * sigma**2 - d**2) / grow**2
        fs = nu * (sigma**2 - d**2) / (sigma * grow)
        fss = 4 * half * nu * d**2 / grow**2 - fs / sigma
        s = d**2 / grow  # q / (1 + q), and dq/dnu = -q / nu
        fn += mp.log1p(q) / 2 - half * s / nu
        fnn += -s / nu + half * s * (2 - s) / nu**2
        grads = [fm, fs * s1, fn * n1]
        return value, grads, [fmm, fss * s1**2 + fs * s2, fnn * n1**2 + fn * n2]


def _student_normalizer(nu):
    """c(nu), c', c''; at infinity by the expansion, in the Bernoulli numbers, of DLMF 5.11."""
    x = nu / 2
    with mp.workdps(100):
        if x > mpf(10) ** 12:
            terms = [
                (
                    mp.bernoulli(2 * k) * (2 - mpf(2) ** (1 - 2 * k)) / (2 * k * (2 * k - 1)),
                    1 - 2 * k,
                )
                for k in range(1, 8)
            ]
            c = sum(b * x**p for b, p in terms)
            c1 = sum(b * p * x ** (p - 1) for b, p in terms)
            c2 = sum(b * p * (p - 1) * x ** (p - 2) for b, p in terms)
        else:
            half = mpf(1) / 2
            c = mp.log(x) / 2 - mp.loggamma(x + half) + mp.loggamma(x)
            c1 = 1 / (2 * x) - mp.digamma(x + half) + mp.digamma(x)
            c2 = -1 / (2 * x**2) - mp.psi(1, x + half) + mp.psi(1, x)
    return c, c1 / 2, c2 / 4


def gamma_nll(shape, rate, y, link, full):
    y = mpf(y)
    with mp.workdps(DIGITS["gamma"]):
        a, a1, a2 = _link(link, mpf(shape))
        b, _, _ = _link(link, mpf(rate))
        value = mp.loggamma(a) - a * mp.log(b) - (a - 1) * mp.log(y) + b * y
        if not full:
            value -= mp.log(y)
        fa, faa = mp.digamma(a) - mp.log(b) - mp.log(y), mp.psi(1, a)
        grad, hess = [fa * a1], [faa * a1**2 + fa * a2]
    with mp.workdps(DIGITS["rate"]):
        a, _, _ = _link(link, mpf(shape))
        b, b1, b2 = _link(link, mpf(rate))
        fb, fbb = y - a / b, a / b**2
        return value, [*grad, fb * b1], [*hess, fbb * b1**2 + fb * b2]
