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
from collections.abc import Iterable
from ctypes import c_char_p, c_double, c_int, c_int64, c_size_t, c_ssize_t, c_uint64, c_void_p
from functools import cache
from typing import Any

from ._engine import c_functions
from .tables import LINKS as ALL_LINKS
from .tables.options import REDUCTION
from .tables.structs import CALL_WORDS, OPTIONS, RESULTS, Member

__all__ = ["Call", "Options", "Results", "ctypes_function", "function_names"]

# Numbers of names, as in nllkern.h.
REDUCTIONS = REDUCTION.choices
LINKS = tuple(link.name for link in ALL_LINKS if link.in_c)

MEAN, SUM, NONE = range(3)
VALUE, GRADIENT, HESSIAN = range(3)
IDENTITY, SOFTPLUS, LOG, VARIANCE, LOG_VARIANCE, LOGIT = range(len(LINKS))
TARGET_DEFAULT, TARGET_INT64, TARGET_INT32, TARGET_PROBABILITIES = range(4)

TYPES: dict[str, Any] = {
    "double": c_double,
    "int": c_int,
    "int64_t": c_int64,
    "ptrdiff_t": c_ssize_t,
    "size_t": c_size_t,
    "void": None,
    "const char *": c_char_p,
}


def _fields(struct: Iterable[Member]) -> tuple[tuple[str, Any], ...]:
    """Members as ctypes has them; pointers are addresses."""
    found = []
    for m in struct:
        kind = TYPES.get(m.type, c_void_p)
        found.append((m.name, kind * m.length if m.length else kind))
    return tuple(found)


class Options(ctypes.Structure):
    """``nllk_options``: what a call says beside its inputs."""

    _fields_ = _fields(OPTIONS)

    def __init__(self, **given: Any) -> None:
        super().__init__()
        ctypes_function("nllk_default_options")(ctypes.byref(self))
        for name, value in given.items():
            if name not in dict(self._fields_):
                raise TypeError(f"Options: unknown option {name!r}")
            if isinstance(value, tuple):
                value = (c_int * len(value))(*value)
            setattr(self, name, value)


class Results(ctypes.Structure):
    """``nllk_results``: where the arrays go, and the numbers that a call returns."""

    _fields_ = _fields(RESULTS)

    def __init__(self) -> None:
        super().__init__()
        ctypes_function("nllk_empty_results")(ctypes.byref(self))


class Call(ctypes.Structure):
    """``nllk_call``: a call whose blocks the caller runs."""

    _fields_ = (("opaque", c_uint64 * CALL_WORDS),)


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
