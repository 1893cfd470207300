"""Negative log-likelihoods and their gradients on the CPU: fast, accurate, in one pass."""

from . import reference
from ._binned import mu_law_edges
from ._engine import get_num_threads, num_threads, set_num_threads, simd_levels
from ._losses import *
from ._losses import losses
from ._show import __version__, get_include, show_config

__all__ = [
    "__version__",
    "get_include",
    "get_num_threads",
    "losses",
    "mu_law_edges",
    "num_threads",
    "reference",
    "set_num_threads",
    "show_config",
    "simd_levels",
    *(loss.name for loss in losses()),
]
