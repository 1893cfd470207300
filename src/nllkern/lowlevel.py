"""The functions of ``nllkern.h`` for ctypes and Numba: structs, and functions by their names.

Pointers are given as addresses (``array.ctypes.data``) or with ``ctypes.byref``; arrays have to be
contiguous and of the function's dtype, which nothing checks.

>>> import ctypes, numpy as np, nllkern as nk
>>> from nllkern.lowlevel import Options, Results
>>> logits, target = np.zeros((4, 10), np.float32), np.zeros(4, np.int64)
>>> options, results = Options(reduction=nk.lowlevel.SUM), Results()
>>> f = nk.ctypes_function("nllk_cross_entropy_f32")
>>> f(4, 10, logits.ctypes.data, target.ctypes.data, ctypes.byref(options), ctypes.byref(results))
0
>>> round(results.value, 4)
9.2103
"""

import ctypes
from ctypes import c_double, c_int, c_int64, c_size_t, c_ssize_t, c_uint64, c_void_p
from functools import cache
from typing import Any

from ._engine import c_functions

__all__ = ["Call", "Options", "Results", "ctypes_function", "function_names"]

# The names that Python has for reductions, links and variants, in the order of their numbers.
REDUCTIONS = ("mean", "sum", "none")
LINKS = ("identity", "softplus", "log", "variance", "log_variance")
VARIANTS = {"softmax": 0, "log": 1, "crammer_singer": 0, "weston_watkins": 1}

MEAN, SUM, NONE = range(3)
VALUE, GRADIENT, HESSIAN = range(3)
IDENTITY, SOFTPLUS, LOG, VARIANCE, LOG_VARIANCE = range(5)
TARGET_DEFAULT, TARGET_INT64, TARGET_INT32, TARGET_PROBABILITIES = range(4)
FROM_SOFTMAX, FROM_LOG = range(2)
CRAMMER_SINGER, WESTON_WATKINS = range(2)


class Options(ctypes.Structure):
    """``nllk_options``: what a call says beside its inputs."""

    _fields_ = (
        ("size", c_size_t),
        ("want", c_int),
        ("reduction", c_int),
        ("link", c_int),
        ("own_link", c_int),
        ("target", c_int),
        ("variant", c_int),
        ("shared", c_int),
        ("num_threads", c_int),
        ("drop_constants", c_int),
        ("has_ignore_index", c_int),
        ("ignore_index", c_int64),
        ("normalizer", c_double),
        ("sample_weight", c_void_p),
        ("class_weight", c_void_p),
        ("extra", c_void_p),
        ("extra_period", c_ssize_t),
        ("row_stride", c_ssize_t),
        ("label_smoothing", c_double),
        ("z_loss", c_double),
        ("softcap", c_double),
        ("margin", c_double),
        ("p", c_double),
        ("parallel", c_void_p),
        ("context", c_void_p),
    )

    def __init__(self, **given: Any) -> None:
        super().__init__()
        ctypes_function("nllk_default_options")(ctypes.byref(self))
        for name, value in given.items():
            if name not in dict(self._fields_):
                raise TypeError(f"Options: unknown option {name!r}")
            setattr(self, name, value)


class Results(ctypes.Structure):
    """``nllk_results``: where the arrays go, and the numbers that a call returns."""

    _fields_ = (
        ("size", c_size_t),
        ("loss", c_void_p),
        ("grad", c_void_p * 3),
        ("hess", c_void_p * 3),
        ("value", c_double),
        ("denominator", c_double),
        ("grad_sum", c_double * 3),
        ("hess_sum", c_double * 3),
        ("bad", c_ssize_t),
    )

    def __init__(self) -> None:
        super().__init__()
        ctypes_function("nllk_empty_results")(ctypes.byref(self))


class Call(ctypes.Structure):
    """``nllk_call``: a call whose blocks the caller runs."""

    _fields_ = (("room", c_uint64 * 96),)


TYPES: dict[str, Any] = {
    "double": c_double,
    "int": c_int,
    "ptrdiff_t": c_ssize_t,
    "void": None,
    "const char *": ctypes.c_char_p,
}


def function_names() -> list[str]:
    """The names that ``ctypes_function`` knows."""
    return [name for name, _, _ in c_functions()]


@cache
def ctypes_function(name: str) -> Any:
    """A function of ``nllkern.h`` as ctypes and Numba call it.

    Parameters
    ----------
    name : str
        Its name in C, such as ``"nllk_gaussian_nll_f32"``.

    Returns
    -------
    ctypes function
        With argument types, so that Numba can compile calls of it.  It releases the GIL.

    Raises
    ------
    ValueError
        If there is no such function.
    """
    for known, signature, address in c_functions():
        if known == name:
            returns, arguments = signature.rstrip(")").split("(", 1)
            kinds = [argument.strip() for argument in arguments.split(",") if argument != "void"]
            types = [c_void_p if "*" in kind else TYPES[kind.split()[0]] for kind in kinds]
            return ctypes.CFUNCTYPE(TYPES[returns.strip()], *types)(address)
    raise ValueError(
        f"ctypes_function: name is {name!r}, expected one of {', '.join(function_names())}"
    )
