"""Tables of hard points with their exact losses and derivatives; made by ``make_golden.py``.

An exact value x is stored as (high + low) * 2**exponent with 1/2 <= |high| < 1: more digits than
a float64 holds, and a range beyond it.  high = +-inf says that x overflows the dtype (or is
infinite); NaN that nothing is asked, because x is within a rounding of the overflow threshold.
"""

import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

FOLDER = Path(__file__).parent


class Exact(NamedTuple):
    high: np.ndarray
    low: np.ndarray
    exponent: np.ndarray


class Table(NamedTuple):
    """Points of one loss, dtype and set of options."""

    name: str  # for the test's id
    loss: str
    dtype: np.dtype
    options: dict  # keyword arguments
    args: list  # the positional arguments, float arrays in ``dtype``
    value: Exact
    grads: list  # one ``Exact`` a parameter
    hesss: list


@cache
def tables() -> tuple[Table, ...]:
    return tuple(t for path in sorted(FOLDER.glob("*.npz")) for t in _load(path))


def _load(path):
    with np.load(path) as data:
        for i, meta in enumerate(json.loads(str(data["tables"]))):
            options = dict(meta["options"])
            for key in meta["array_options"]:
                options[key] = data[f"{i}.{key}"]
            outputs = [
                Exact(*(data[f"{i}.{part}{j}"] for part in Exact._fields))
                for j in range(meta["outputs"])
            ]
            n = (len(outputs) - 1) // 2
            yield Table(
                name=meta["name"],
                loss=path.stem,
                dtype=np.dtype(meta["dtype"]),
                options=options,
                args=[data[f"{i}.arg{j}"] for j in range(meta["args"])],
                value=outputs[0],
                grads=outputs[1 : 1 + n],
                hesss=outputs[1 + n :],
            )


def error(got, exact: Exact, tolerance, dtype, second=False):
    """The error of every entry in ulps, as ``tolerance.py`` defines it.

    Everything is scaled by 2**-exponent first, so that denormal and huge results are measured
    with the full precision of the stored value.  A ``second`` derivative is allowed to overflow a
    factor 4 early, and to lose its sign (NaN) where it overflows.
    """
    high, low, exponent = exact
    eps = float(np.finfo(dtype).eps)
    with np.errstate(all="ignore"):

        def scaled(x):
            half = exponent // 2
            return np.ldexp(np.ldexp(np.asarray(x, np.float64), -half), half - exponent)

        unit = eps * np.maximum(np.abs(high), scaled(tolerance.floor))
        off = np.abs((scaled(got) - high) - low)
        err = np.maximum(off - scaled(tolerance.grant), 0.0) / unit
    err = np.where(np.isnan(err), np.inf, err)
    err = np.where(np.isinf(high), np.where(np.asarray(got) == high, 0.0, np.inf), err)
    if second:
        huge = np.isinf(high) | (exponent >= np.finfo(dtype).maxexp - 1)
        err = np.where(huge & ~np.isfinite(got), 0.0, err)
    return np.where(np.isnan(high), 0.0, err)
