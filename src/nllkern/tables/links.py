"""Links: from the raw number u that a network hands over to a parameter theta.

The code of a link is one file in ``lib/kernels/pointwise/links``; its number in C is its place
here.
"""

from typing import NamedTuple

from .supports import EXTENDED, POSITIVE, REAL, Support


class Link(NamedTuple):
    """One row."""

    name: str
    formula: str  # theta of u
    raw: Support | None  # of u; None: that of theta
    words: str
    in_c: bool = True

    @property
    def number(self) -> int:
        """Its number in C; -1 if C does not have it."""
        return LINKS.index(self) if self.in_c else -1


IDENTITY = Link("identity", "u", None, "the parameter itself")
SOFTPLUS = Link("softplus", "log(1 + exp(u))", REAL, "smooth, and about u for large u")
LOG = Link("log", "exp(u)", REAL, "u is the logarithm")
VARIANCE = Link("variance", "sqrt(u)", POSITIVE, "u is the variance, theta its square root")
LOG_VARIANCE = Link("log_variance", "exp(u / 2)", REAL, "u is the logarithm of the variance")
LOGIT = Link("logit", "1 / (1 + exp(-u))", EXTENDED, "u is the log-odds")
COVARIANCE = Link(
    "covariance", "cholesky(u)", None, "u is the covariance of all samples", in_c=False
)

LINKS = (IDENTITY, SOFTPLUS, LOG, VARIANCE, LOG_VARIANCE, LOGIT, COVARIANCE)
