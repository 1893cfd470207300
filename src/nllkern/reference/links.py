"""The links in jets: (theta, log theta) of a raw number."""

from collections.abc import Callable

from .functions import Functions
from .jets import Jet

Parameter = tuple[Jet, Jet | None]


def identity(f: Functions, u: Jet) -> Parameter:
    return u, None


def softplus(f: Functions, u: Jet) -> Parameter:
    return f.softplus(u), f.log_softplus(u)


def log(f: Functions, u: Jet) -> Parameter:
    return f.exp(u), u * 1


def variance(f: Functions, u: Jet) -> Parameter:
    return f.sqrt(u), f.log(u) * 0.5


def log_variance(f: Functions, u: Jet) -> Parameter:
    return f.exp(u * 0.5), u * 0.5


def logit(f: Functions, u: Jet) -> Parameter:
    return 1 / (1 + f.exp(-u)), -f.softplus(-u)


def linked(f: Functions, name: str, u: Jet) -> Jet:
    """The parameter; its logarithm beside it, where the link knows it."""
    link: Callable[[Functions, Jet], Parameter] = globals()[name]
    theta, logarithm = link(f, u)
    if logarithm is not None:
        theta.log = logarithm
        theta.rounding, logarithm.rounding = (theta, theta.series), (theta, (1,))
    return theta
