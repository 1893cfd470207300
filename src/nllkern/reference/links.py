"""The links in jets: (theta, log theta) of a raw number."""


def identity(f, u):
    return u, None


def softplus(f, u):
    return f.softplus(u), f.log_softplus(u)


def log(f, u):
    return f.exp(u), u * 1


def variance(f, u):
    return f.sqrt(u), f.log(u) * 0.5


def log_variance(f, u):
    return f.exp(u * 0.5), u * 0.5


def logit(f, u):
    return 1 / (1 + f.exp(-u)), -f.softplus(-u)


def linked(f, name, u):
    """The parameter; its logarithm beside it, where the link knows it."""
    theta, theta.log = globals()[name](f, u)
    if theta.log is not None:
        theta.rounding, theta.log.rounding = theta.series, (1,)
    return theta
