"""The value of every pointwise loss: one formula each, of which all else follows.

``f`` holds the functions (``functions.py``); the parameters are those of the distribution, behind
their links.  Derivatives come from running a formula on jets, exact values from running it on
mpmath's numbers.  A formula has to be right for ordinary parameters; where the textbook form
cancels it is written in one that does not.
"""


def binary_cross_entropy(f, logits, target, pos_weight):
    """-w y log p - (1 - y) log(1 - p), p = sigmoid(logits)."""
    positive = f.times(pos_weight * target, f.softplus(-logits))
    return positive + f.times(1 - target, f.softplus(logits))


def squared_error(f, prediction, target):
    d = prediction - target
    return d * d * 0.5


def absolute_error(f, prediction, target):
    return f.abs(prediction - target)


def huber(f, prediction, target, delta):
    """d^2/2 where |d| <= delta, delta (|d| - delta/2) beyond."""
    d = prediction - target
    size = f.abs(d)
    inside = size.value <= delta.value
    return f.where(inside, lambda: d * d * 0.5, lambda: delta * (size - delta * 0.5))


def log_cosh(f, prediction, target):
    return f.log_cosh(prediction - target)


def hinge(f, score, target):
    return f.relu(1 - target * score)


def squared_hinge(f, score, target):
    h = f.relu(1 - target * score)
    return h * h


def gaussian_nll(f, mean, scale, target, full):
    z = (target - mean) / scale
    return f.log(scale) + z * z * 0.5 + (f.half_log_2pi if full else 0)


def laplace_nll(f, mean, scale, target, full):
    return f.log(scale) + f.abs(target - mean) / scale + (f.log_2 if full else 0)


def student_t_nll(f, mean, scale, df, target, full):
    """The value log sigma + (nu + 1)/2 log(1 + z^2/nu) + c(nu) + log(2 pi)/2.

    c(nu) = lgamma(x) - lgamma(x + 1/2) + log(x)/2 with x = nu/2; nu = inf is the normal
    distribution.
    """
    d = target - mean
    z, x, infinite = d / scale, df * 0.5, df.value == float("inf")

    def near():  # (nu + 1) log(1 + q) without cancellation
        q = z * z / df
        return f.log(scale) + (z * z + q + (df + 1) * f.log1pmx(q)) * 0.5

    def middle():  # for large nu what far is made of, nu log nu, would cancel here
        return f.log(scale) + (df + 1) * f.log1p(z * z / df) * 0.5

    def far():  # log(1 + q) = log q + log(1 + 1/q): what cancels is left out
        rest = (df + 1) * (f.log1p(df / (z * z)) - f.log(df)) * 0.5
        return (df + 1) * f.log(f.abs(d)) - df * f.log(scale) + rest

    def student():
        q = z.value * z.value / df.value
        core = f.where(q < 1, near, lambda: f.where(q < 4, middle, far))
        return core + f.lgamma_half_step(x, f.log(df) - f.log_2)

    value = f.where(infinite, lambda: f.log(scale) + z * z * 0.5, student)
    return value + (f.half_log_2pi if full else 0)


def exponential_nll(f, rate, target, full):
    return rate * target - f.log(rate)


def poisson_nll(f, rate, target, full):
    """The value b - y log b + lgamma(1 + y); the last only if full."""
    b, y = rate, target

    def deviance():
        """The part b - y - y log(b/y)."""
        x = (b - y) / y
        near = abs(x.value) < 0.5
        apart = f.where(near, lambda: -y * f.log1pmx(x), lambda: b - y - y * (f.log(b) - f.log(y)))
        return apart + saturated()

    def saturated():
        """The part lgamma(1 + y) - y log y + y."""
        return f.where(
            y.value < 1,
            lambda: f.lgamma1p(y) - y * f.log(y) + y,
            lambda: f.log(y) * 0.5 + f.half_log_2pi + f.stirling(y),
        )

    if not full:
        return b - f.times(y, f.log(b))
    return f.where(y.value > 0, deviance, lambda: b - f.times(y, f.log(b)) + f.lgamma1p(y))


def gamma_nll(f, shape, rate, target, full):
    """The value lgamma(a) - a log b - (a - 1) log y + b y; of log y the constant only if full."""
    a, b, y = shape, rate, target

    def rest():
        """The part lgamma(a) - a log a + a."""
        return f.where(
            a.value < 1,
            lambda: f.lgamma1p(a) - (1 + a) * f.log(a) + a,
            lambda: f.stirling(a) + f.half_log_2pi - f.log(a) * 0.5,
        )

    def inside():
        x = (b * y - a) / a
        near = abs(x.value) < 0.5
        excess = f.where(
            near,
            lambda: -a * f.log1pmx(x),
            lambda: b * y - a - a * (f.log(b) + f.log(y) - f.log(a)),
        )
        return rest() + excess + (f.log(y) if full else 0)

    def edge():  # y = 0
        power = f.times(a - 1, f.log(y)) if full else f.times(a, f.log(y))
        return rest() - a + a * f.log(a) - a * f.log(b) - power + b * y

    return f.where(y.value > 0, inside, edge)


def weibull_nll(f, shape, scale, target, full):
    """e^t - t - log k + log y, t = k log(y / s)."""
    t = shape * (f.log(target) - f.log(scale))
    return f.exp_excess(t) - f.log(shape) + (f.log(target) if full else 0)


def lognormal_nll(f, mean, scale, target, full):
    z = (f.log(target) - mean) / scale
    return f.log(scale) + z * z * 0.5 + (f.log(target) + f.half_log_2pi if full else 0)
