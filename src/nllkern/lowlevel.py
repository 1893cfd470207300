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

import numpy as np

from ._engine import c_functions
from .tables import LINKS as ALL_LINKS
from .tables import LOSSES, Loss, Option
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
TARGETS = {
    "int64": TARGET_INT64,
    "int32": TARGET_INT32,
    "float32": TARGET_PROBABILITIES,
    "float64": TARGET_PROBABILITIES,
}

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
    """``nllk_options``: what a call says beside its inputs.

    Parameters
    ----------
    **given
        Members of the struct; those that are not named have their defaults.
    """

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

    def set(self, loss: str, **keywords: Any) -> "Options":
        """Set what the keywords of a loss's Python function say.

        Parameters
        ----------
        loss : str
            Its name, such as ``"gaussian_nll"``.
        **keywords
            Options of the loss; ``None`` leaves the default.  Arrays have to be contiguous and of
            the function's dtype, and to live as long as they are read.

        Returns
        -------
        Options
            Itself.
        """
        row = next((row for row in LOSSES if row.name == loss and row.in_c), None)
        if row is None:
            raise ValueError(f"Options.set: C has no loss {loss!r}")
        for name, value in keywords.items():
            option = row.option(name)
            if option is None or not option.in_c:
                raise TypeError(f"Options.set: C has no option {name!r} of {loss}")
            if value is not None:
                self._set(row, option, value)
        return self

    def _set(self, row: Loss, option: Option, value: Any) -> None:
        field = option.c_field
        if isinstance(value, np.ndarray) and value.ndim:
            value = value.ctypes.data
        elif option.kind == "choice":
            value = option.choices.index(value)
        elif option.kind == "flag":
            value = value != option.default
        elif option.kind == "integer":
            setattr(self, f"has_{field}", True)
        elif option.kind == "per_sample":
            field = f"{field}_value"
        if option.kind == "link":
            for k, parameter in enumerate(row.parameters):
                if parameter.option is option:
                    self.link[k] = LINKS.index(value)
        else:
            setattr(self, field, value)


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
