"""Negative log-likelihoods and their gradients on the CPU: fast, accurate, in one pass."""

from . import lowlevel, reference
from ._binned import mu_law_edges
from ._engine import _C_API as _C_API
from ._engine import (
    get_num_threads,
    get_threading,
    num_threads,
    set_num_threads,
    set_threading,
    simd_levels,
)
from ._losses import *
from ._losses import losses
from ._results import empty_cache
from ._show import __version__, get_include, show_config
from .lowlevel import ctypes_function

__all__ = [
    "__version__",
    "ctypes_function",
    "empty_cache",
    "get_include",
    "get_num_threads",
    "get_threading",
    "losses",
    "lowlevel",
    "mu_law_edges",
    "num_threads",
    "reference",
    "set_num_threads",
    "set_threading",
    "show_config",
    "simd_levels",
    *(loss.name for loss in losses()),
]
