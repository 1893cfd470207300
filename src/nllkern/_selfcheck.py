"""Does the installed library compute the right numbers?  (``python -m nllkern``)

Three kinds of checks, on every SIMD level: hard points, against the exact results that
``hard_points.npz`` holds; random inputs, against the reference; and the bits of a batch, which do
not depend on threads and positions.  Errors count as ``_accuracy`` says.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ._accuracy import LIMIT, Array, Table, errors, flat, float_error, load
from ._engine import simd_levels, use_simd_level
from ._losses import loss_named
from ._selfcheck_data import DTYPES, Problem, problems
from .reference.sampled import IS_WIDER, judge
from .tables import LOSSES, Loss

ROUNDED = 8.0  # the limit of float64 where the reference is of float64 itself


class Result(NamedTuple):
    """The worst of a check on one SIMD level; infinite where inf or NaN differ."""

    loss: str
    dtype: str
    case: str
    level: str
    samples: int
    error: float
    limit: float
    worst: str  # where the error is largest

    @property
    def passed(self) -> bool:
        return self.error <= self.limit


@cache
def tables() -> tuple[Table, ...]:
    return tuple(load(Path(__file__).parent / "hard_points.npz"))


def rows() -> list[tuple[str, str]]:
    """What there is a line of: (loss, dtype)."""
    return [(row.name, dtype) for row in LOSSES for dtype in DTYPES]


def check(name: str, dtype: str, mode: str) -> list[Result]:
    """All checks of one loss and dtype; ``mode`` is quick, usual or full."""
    row = next(x for x in LOSSES if x.name == name)
    found: list[Result] = []
    for table in tables():
        if (table.loss, table.dtype) == (name, dtype):
            found += check_table(table)
    for problem in problems(row, dtype, mode):
        found += check_problem(row, dtype, problem)
    return [*found, *check_bits(row, dtype)]


def check_table(table: Table) -> Iterator[Result]:
    loss: Any = loss_named(table.loss)
    for level in simd_levels():
        worst, text = 0.0, ""
        with use_simd_level(level):
            for name, got, exact, err in errors(loss, table):
                if err.size and err.max() > worst:
                    worst, at = largest(err)
                    right = np.ldexp(exact.high[at], exact.exponent[at])
                    text = describe(name, at, got[at], right, table.args)
        count = len(table.args[0])
        case = f"hard points {table.name}".rstrip()
        yield Result(table.loss, table.dtype, case, level, count, worst, LIMIT, text)


def check_problem(row: Loss, dtype: str, problem: Problem) -> Iterator[Result]:
    """Without reduction, and as a weighted mean."""
    loss: Any = loss_named(row.name)
    options = problem.options
    wider = dtype == "float32" or (IS_WIDER and row.kind == "pointwise")
    limit = LIMIT if wider else ROUNDED
    judged = [(f, b) for f, b in judge(row.name, problem.args, options)]
    names = [
        "value",
        *(f"d/d{p}" for p in loss.parameters),
        *(f"d2/d{p}2" for p in loss.parameters),
    ]
    method = loss.value_grad_hess if row.has_hess else loss.value_and_grad
    count = len(problem.args[0])
    weight = (np.arange(count) % 4 / 2).astype(dtype)
    total = float(weight.sum(dtype=np.float64))
    weighted = {"sample_weight": weight, "normalizer": total}
    share = weight.astype(np.float64) / total
    for level in simd_levels():
        worst, text = 0.0, ""
        with use_simd_level(level):
            plain = flat(method(*problem.args, **options, reduction="none"))
            mean = flat(method(*problem.args, **options, **weighted))
        weighs = row.kind != "contrastive"  # there the samples see each other
        for k, (f, bound) in enumerate(judged):
            scaled = share.reshape(-1, *[1] * (np.ndim(f) - 1))
            asked: Any
            with np.errstate(invalid="ignore"):  # 0 times what nothing is asked of
                asked = np.where(np.isinf(bound), np.inf, scaled * (bound + np.abs(f)))
                of_mean = scaled * f, asked
            if k == 0:
                of_mean = of_mean[0].sum(), of_mean[1].sum()
            compared = (plain[k], (f, bound), ""), (mean[k], of_mean, " of the mean")
            for got, want, what in compared[: 1 + weighs]:
                err = float_error(got, *want, dtype)
                if err.size and err.max() > worst:
                    worst, at = largest(err)
                    right = np.asarray(want[0])[at]
                    text = describe(names[k] + what, at, np.asarray(got)[at], right, problem.args)
        yield Result(row.name, dtype, problem.name, level, count, worst, limit, text)


def check_bits(row: Loss, dtype: str) -> Iterator[Result]:
    """The same bits on one thread and on two, and of a part of the batch alone."""
    loss: Any = loss_named(row.name)
    problem = next(problems(row, dtype, "bits"))
    options = {**problem.options, "reduction": "none"}
    part = slice(5, len(problem.args[0]) // 3)
    for level in simd_levels():
        with use_simd_level(level):
            one = flat(loss.value_and_grad(*problem.args, **options, num_threads=1))
            two = flat(loss.value_and_grad(*problem.args, **options, num_threads=2))
            same = all(np.array_equal(x, y, equal_nan=True) for x, y in zip(one, two, strict=True))
            if same and row.kind != "contrastive":
                args = [a[part] for a in problem.args]
                here = {k: x[part] if isinstance(x, np.ndarray) else x for k, x in options.items()}
                pieces = flat(loss.value_and_grad(*args, **here))
                same = all(np.array_equal(x[part], y) for x, y in zip(one, pieces, strict=True))
        text = "" if same else "bits depend on the number of threads or on the batch"
        error = 0.0 if same else np.inf
        size = len(problem.args[0])
        yield Result(row.name, dtype, "bits", level, size, error, LIMIT, text)


def largest(err: Array) -> tuple[float, tuple[int, ...]]:
    at = np.unravel_index(int(err.argmax()), err.shape)
    return float(err[at]), tuple(map(int, at))


def describe(name: str, at: tuple[int, ...], got: Any, exact: Any, args: Iterable[Any]) -> str:
    text = f"{name}{list(at) if at else ''}: got {float(got)!r}, exact {float(exact)!r}"
    if at:
        shown = (np.array2string(np.asarray(a)[at[0]], threshold=6) for a in args)
        text += f", inputs {', '.join(shown)}"
    return text
