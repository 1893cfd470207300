"""Negative log-likelihoods and their gradients on the CPU: fast, accurate, in one pass."""

from . import reference
from ._engine import get_num_threads, num_threads, set_num_threads, simd_levels
from ._losses import loss_named, losses
from ._show import __version__, get_include, show_config

cross_entropy = loss_named("cross_entropy")
binary_cross_entropy = loss_named("binary_cross_entropy")
gaussian_nll = loss_named("gaussian_nll")
gamma_nll = loss_named("gamma_nll")

__all__ = [
    "__version__",
    "binary_cross_entropy",
    "cross_entropy",
    "gamma_nll",
    "gaussian_nll",
    "get_include",
    "get_num_threads",
    "losses",
    "num_threads",
    "reference",
    "set_num_threads",
    "show_config",
    "simd_levels",
]
