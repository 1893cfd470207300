"""The criterion of accuracy, and tables of hard points: what tests and self-check judge by.

An error counts in units of eps times the bound of the exact result f:

    |f| + sum over inputs |x df/dx| + sum over linked parameters |theta df/dtheta|

one rounding of the result, of each input and of each linked parameter.  Where the bound is below
the smallest normal number, that number is the bound; what overflows the dtype is infinite.

Tables hold points with exact results and bounds, which ``reference/exact.py`` has computed by
mpmath.  A result is stored as (high + low) * 2**exponent and its bound as bound * 2**exponent,
1/2 <= bound < 1: more digits than a float64 holds, and a range beyond it.  high = +-inf says that
the result overflows; NaN that nothing is asked, because it is within its bound of overflowing.
"""

import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

LIMIT = 4.0


class Exact(NamedTuple):
    """Exact numbers with their bounds."""

    high: Array
    low: Array
    exponent: Array
    bound: Array


class Table(NamedTuple):
    """Points of one loss, dtype and set of options."""

    loss: str
    name: str  # of the options
    dtype: str
    options: dict[str, Any]  # keyword arguments
    args: list[Array]  # positional arguments
    results: list[Exact]  # value, gradients, second derivatives

    def __str__(self) -> str:
        return "-".join(x for x in (self.loss, self.name, self.dtype) if x)


def error(got: Any, exact: Exact, dtype: Any) -> Array:
    """The error of every entry, in units of eps times its bound."""
    high, low, exponent, bound = exact
    got = np.asarray(got, np.float64)
    half = exponent // 2
    with np.errstate(all="ignore"):
        scaled = np.ldexp(np.ldexp(got, -half), half - exponent)
        err = np.abs((scaled - high) - low) / (np.finfo(dtype).eps * bound)
    err = np.where(np.isnan(err), np.inf, err)
    err = np.where(np.isinf(high), np.where(got == high, 0.0, np.inf), err)
    return np.where(np.isnan(high), 0.0, err)


def float_error(got: Any, f: Any, bound: Any, dtype: Any) -> Array:
    """The same, of an f and a bound that float64 (or a wider type) holds closely enough.

    Nothing is asked where the bound is infinite.
    """
    info = np.finfo(dtype)
    got, f, bound = (np.asarray(x) for x in (got, f, bound))
    with np.errstate(all="ignore"):
        err = np.abs(got - f) / (info.eps * np.maximum(bound, info.tiny))
        overflow = np.isinf(got) & (np.abs(f) + LIMIT * info.eps * bound > info.max) & (got * f > 0)
        same = overflow | (got == f) | (np.isnan(got) & np.isnan(f)) | (bound == np.inf)
        err = np.where(same, 0.0, np.where(np.isnan(err), np.inf, err))
        return np.asarray(err, np.float64)


def flat(results: Any) -> list[Any]:
    """(value, gradients, second derivatives) as one list."""
    parts = results if isinstance(results, tuple) else (results,)
    return [x for part in parts for x in (part if isinstance(part, tuple) else (part,))]


def errors(loss: Any, table: Table) -> Iterator[tuple[str, Array, Exact, Array]]:
    """What the loss makes of a table: (name of the output, results, exact, errors).

    Each of the calls may run a kernel of its own, so each is judged.
    """
    options = {**table.options, "reduction": "none"}
    names = ["value", *(f"d/d{p}" for p in loss.parameters)]
    names += [f"d2/d{p}2" for p in loss.parameters]
    methods = [loss, loss.value_and_grad]
    if len(table.results) == len(names):
        methods.append(loss.value_grad_hess)
    for method in methods:
        results = flat(method(*table.args, **options))
        where = "" if method is loss else f" of {method.__name__}"
        for name, got, exact in zip(names, results, table.results, strict=False):
            yield name + where, got, exact, error(got, exact, table.dtype)


# Files.


def save(path: Path, tables: Iterable[Table]) -> None:
    """Writes tables; the same bytes every time."""
    meta = []
    parts: dict[str, list[Array]] = {}
    for t in tables:
        arrays: list[tuple[str | None, Array]] = [(None, x) for x in t.args]
        arrays += [(k, x) for k, x in t.options.items() if isinstance(x, np.ndarray)]
        plain = {k: x for k, x in t.options.items() if not isinstance(x, np.ndarray)}
        for _, x in arrays:
            parts.setdefault(x.dtype.name, []).append(x.ravel())
        for field in Exact._fields:
            for r in t.results:
                parts.setdefault(f"{t.dtype}.{field}", []).append(getattr(r, field).ravel())
        meta.append(
            {
                "loss": t.loss,
                "name": t.name,
                "dtype": t.dtype,
                "options": plain,
                "arrays": [(k, x.dtype.name, x.shape) for k, x in arrays],
                "results": [r.high.shape for r in t.results],
            }
        )
    flat_parts = {k: np.concatenate(x) for k, x in parts.items()}
    flat_parts["tables"] = np.array(json.dumps(meta))
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in flat_parts.items():
            data = BytesIO()
            np.lib.format.write_array(data, array, allow_pickle=False)
            info = zipfile.ZipInfo(name + ".npy")  # it carries no date
            archive.writestr(info, data.getvalue(), zipfile.ZIP_DEFLATED, 9)


def load(path: Path) -> Iterator[Table]:
    """The tables of a file."""
    with np.load(path) as data:
        parts = {k: Reader(data[k]) for k in data.files if k != "tables"}
        for t in json.loads(str(data["tables"])):
            options, args = dict(t["options"]), []
            for key, dtype, shape in t["arrays"]:
                array = parts[dtype].take(shape)
                if key is None:
                    args.append(array)
                else:
                    options[key] = array
            results = [
                Exact(*(parts[f"{t['dtype']}.{field}"].take(shape) for field in Exact._fields))
                for shape in t["results"]
            ]
            yield Table(t["loss"], t["name"], t["dtype"], options, args, results)


class Reader:
    """Arrays one after the other out of a long one."""

    def __init__(self, array: Array):
        self.array, self.at = array, 0

    def take(self, shape: Sequence[int]) -> Array:
        start = self.at
        self.at += int(np.prod(shape, dtype=int))
        return self.array[start : self.at].reshape(shape)
