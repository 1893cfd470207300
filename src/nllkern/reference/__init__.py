"""The losses in plain NumPy float64: the definition of what the compiled library computes.

Every function takes the raw inputs and returns the loss of each sample with its first
and (diagonal) second derivatives; the formula stands above the code, and the code is the
numerically stable form of it, in NumPy's widest float.  Each has the public protocol of
nllkern: calling it, ``value_and_grad``, ``grad``, ``value_grad_hess``, with the same names and
keywords.  Results are float64 whatever the inputs' dtype; ``num_threads`` is accepted and ignored.
"""

from . import _classes, _contrastive, _pointwise, _vectors  # noqa: F401
from ._protocol import LOSSES, Reference, losses

__all__ = ["LOSSES", "losses", *LOSSES]


def __getattr__(name: str) -> Reference:
    if name in LOSSES:
        return LOSSES[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
