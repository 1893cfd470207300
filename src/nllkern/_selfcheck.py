"""Does the installed library compute what the reference says?  (``python -m nllkern``)

An error counts in roundings: |got - exact| over eps * |exact| (for a value at least eps)
plus what one rounding of each input, and of each linked parameter, does to the exact result.
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ._engine import simd_levels, use_simd_level
from ._losses import LossInfo, loss_infos, loss_named
from ._selfcheck_data import (
    DTYPES,
    Array,
    Case,
    Row,
    class_target,
    factor_case,
    needed,
    point_case,
    signed,
    triplet_case,
    vector_case,
)

LIMIT = 8.0  # roundings; the accuracy tests of the source tree hold it to much less
STEP = 1024.0  # inputs are moved by so many eps, to see the move above float64's own rounding
SIZE_OF_BITS_CHECK = 100_000  # enough elements that threads are used


class Result(NamedTuple):
    """A row on one SIMD level; ``error`` in roundings, infinite where inf or NaN differ."""

    loss: str
    dtype: str
    case: str
    level: str
    samples: int
    error: float
    worst: str  # where the error is largest

    @property
    def passed(self) -> bool:
        return self.error <= LIMIT


def steps(rows: list[Row]) -> Iterator[list[Result]]:
    """The results of each row, one per SIMD level."""
    for row in rows:
        yield check_row(row, simd_levels())
    for name, dtype in itertools.product((info.name for info in loss_infos()), DTYPES):
        yield [check_bits(name, dtype, level) for level in simd_levels()]


def count_steps(rows: list[Row]) -> int:
    """How many times ``steps`` yields."""
    return len(rows) + len(loss_infos()) * len(DTYPES)


# Comparison.


def outputs(loss: Any, args: tuple[Array, ...], options: dict[str, Any]) -> list[Array]:
    """Value, gradients and second derivatives, if any, as one flat list of float64 arrays."""
    both = loss.value_and_grad if "form" in options else loss.value_grad_hess
    value, *derivatives = both(*args, **options)
    flat = [value]
    for d in derivatives:
        flat += d if isinstance(d, tuple) else (d,)
    return [np.asarray(x, np.float64) for x in flat]


def check_row(row: Row, levels: Iterable[str]) -> list[Result]:
    """All cases of a row, each without reduction and as a weighted mean, on each level."""
    loss = loss_named(row.loss)
    vectors = info_of(row.loss).kind in ("vectors", "contrastive")
    find = vector_unit if vectors else exact_and_unit
    worst = dict.fromkeys(levels, (0.0, ""))
    for case in row.cases:
        weight = (np.arange(len(case.args[0])) % 4 / 2).astype(row.dtype)
        for more in ({"reduction": "none"}, {"reduction": "mean", "sample_weight": weight}):
            if "sample_weight" in more and not all(np.isfinite(a).all() for a in case.args):
                continue  # one NaN is all there is to see in a mean
            options = {**case.options, **more}
            exact, unit = find(loss.reference, case, options, row.dtype)
            for level in worst:
                with use_simd_level(level):
                    got = outputs(loss, case.args, options)
                for k, name in enumerate(output_names(loss.parameters)[: len(got)]):
                    err = roundings(got[k], exact[k], unit[k], row.dtype)
                    if err.size and err.max() > worst[level][0]:
                        at = np.unravel_index(int(err.argmax()), err.shape)
                        text = describe(name, at, got[k], exact[k], case.args, more)
                        worst[level] = float(err.max()), text
    samples = sum(len(case.args[0]) for case in row.cases)
    return [
        Result(row.loss, row.dtype, row.name, level, samples, error, text)
        for level, (error, text) in worst.items()
    ]


def info_of(name: str) -> LossInfo:
    return next(info for info in loss_infos() if info.name == name)


def output_names(parameters: tuple[str, ...]) -> list[str]:
    first, second = ([f"d{n}/d{p}{n}" for p in parameters] for n in ("", "2"))
    return ["value", *first, *second]


def describe(
    name: str,
    at: tuple[Any, ...],
    got: Array,
    exact: Array,
    args: tuple[Array, ...],
    options: dict[str, Any],
) -> str:
    place = tuple(map(int, at))
    text = f"{name}{list(place) if place else ''}, reduction={options['reduction']!r}: "
    text += f"got {float(got[at])!r}, exact {float(exact[at])!r}"
    if place:
        inputs = ", ".join(
            np.array2string(a[place[0]], threshold=6) for a in args if place[0] < len(a)
        )
        text += f", inputs {inputs}"
    return text


def exact_and_unit(
    reference: Any, case: Case, options: dict[str, Any], dtype: str
) -> tuple[list[Array], list[Array]]:
    """What the reference says, and what one rounding amounts to there."""
    eps, args = float(np.finfo(dtype).eps), case.args
    exact = outputs(reference, args, options)
    count = len(reference.parameters)
    with np.errstate(all="ignore"):
        floor = [np.maximum(np.abs(x), np.finfo(dtype).tiny) for x in exact]
        floor[0] = np.maximum(floor[0], 1.0)
        bent = reference.name == "normalized_sigmoid_nll"  # its score has a second derivative
        if bent or ("link" in options and signed(options["link"])):
            # Terms of the gradient's size cancel.
            for k in range(count):
                floor[1 + count + k] = np.fmax(floor[1 + count + k], np.abs(exact[1 + k]))
        if args[-1].ndim == 2 and "form" not in options:  # p and t cancel
            size = np.abs(args[-1]) * case.options.get("class_weight", 1.0)
            size = size * weight_of_samples(reference, args, options)[:, None]
            floor[1:] = [np.fmax(x, size) for x in floor[1:]]
        unit = [eps * x for x in floor]
        for moved, also in moves(args, options, STEP * eps):
            for u, x, y in zip(unit, exact, outputs(reference, moved, also), strict=True):
                u += np.nan_to_num(np.abs(y - x), posinf=0.0) / STEP
    return exact, unit


def vector_unit(
    reference: Any, case: Case, options: dict[str, Any], dtype: str
) -> tuple[list[Array], list[Array]]:
    """The same for vectors, whose entries are made of one another: a sample's largest counts."""
    eps, leading = float(np.finfo(dtype).eps), len(case.args[0])
    exact = outputs(reference, case.args, options)
    unit = []
    for k, x in enumerate(exact):
        own = x.ndim > 1 and len(x) == leading and x.ndim >= case.args[0].ndim
        axes = tuple(range(1 if own else 0, x.ndim))
        size = np.max(np.abs(x), axis=axes, keepdims=True, initial=0.0) if x.ndim > 1 else np.abs(x)
        unit.append(eps * np.maximum(size + 0 * x, 1.0 if k == 0 else np.finfo(dtype).tiny))
    rng = np.random.default_rng(3)
    for j, x in enumerate(case.args):
        for _ in range(4):
            step = STEP * eps * np.maximum(np.abs(x), 1.0) * rng.choice([-1, 1], size=x.shape)
            if j == 1 and options.get("link") == "covariance":  # stays symmetric
                step = step + np.swapaxes(step, -1, -2)
            moved = (*case.args[:j], x + step, *case.args[j + 1 :])
            for u, a, b in zip(unit, exact, outputs(reference, moved, options), strict=True):
                u += np.nan_to_num(np.abs(b - a)) / STEP
    return exact, unit


def weight_of_samples(reference: Any, args: tuple[Array, ...], options: dict[str, Any]) -> Array:
    """What the reduction multiplies the derivatives of each sample by."""
    if options["reduction"] == "none":
        return np.ones(len(args[0]))
    total = reference(*args, **{**options, "reduction": "sum"})
    return np.asarray(options["sample_weight"] * reference(*args, **options) / total)


def moves(
    args: tuple[Array, ...], options: dict[str, Any], step: float
) -> Iterator[tuple[tuple[Array, ...], dict[str, Any]]]:
    """The call with one input moved by a relative ``step``, for every input."""
    rng = np.random.default_rng(3)
    link = options.get("link")
    for j, x in enumerate(args):
        if x.dtype.kind != "f":
            continue
        far = x.astype(np.float64)
        if x.ndim == 2 and j == 0 and not options.keys() & {"softcap", "form"}:
            # z - max is what is rounded
            far = far - np.max(far, axis=1, keepdims=True)
        elif link and signed(link) and j < len(args) - 1:  # so are softplus(u) and exp(u)
            far = np.maximum(np.abs(far) if link == "softplus" else 0.0, 1.0)
        far = np.where(np.isfinite(far), far, 0.0)
        for _ in range(x.ndim**2):
            moved = x + step * far * rng.choice([-1, 1], size=x.shape)
            yield (*args[:j], moved, *args[j + 1 :]), options
    for key in ("class_weight",) if "class_weight" in options else ():
        for _ in range(2):
            sign = rng.choice([-1, 1], size=options[key].shape)
            yield args, {**options, key: options[key] * (1 + step * sign)}


def roundings(got: Array, exact: Array, unit: Array, dtype: str) -> Array:
    """The error of every entry; NaN and infinity have to be where the reference has them."""
    most = float(np.finfo(dtype).max)
    with np.errstate(all="ignore"):
        err = np.abs(got - exact) / unit
    overflows = np.abs(exact) > most / 16  # somewhere here a product on the way overflows
    same = (got == exact) | (np.isnan(got) & np.isnan(exact)) | (overflows & ~np.isfinite(got))
    return np.where(same, 0.0, np.where(np.isnan(err), np.inf, err))


def check_bits(name: str, dtype: str, level: str) -> Result:
    """The same bits on any number of threads, and with gradients written over the inputs."""
    rng = np.random.default_rng(11)
    loss: Any = loss_named(name)
    info = info_of(name)
    n = SIZE_OF_BITS_CHECK
    if info.kind == "rowwise":
        target = class_target(rng, dtype, info.support.split()[0], n // 50, 50)
        cases = [Case((rng.normal(size=(n // 50, 50)).astype(dtype), target), needed(info))]
    elif info.kind == "contrastive":
        cases = [vector_case(rng, dtype, "symmetric", True, n // 50, 50)]
    elif info.kind == "pointwise":
        link = info.links[-1] if info.links else ""
        cases = [point_case(rng, dtype, info, link, n, extra=False)]
    elif info.links:
        cases = [
            factor_case(rng, dtype, n // 50, 50, "softplus", True),
            factor_case(rng, dtype, n // 25, 5, "softplus", False),
        ]
    else:
        cases = [triplet_case(rng, dtype, n // 50, 50, 2.0)]
    differs = [
        any(found)
        for found in zip(*(differing_bits(loss, case, level) for case in cases), strict=True)
    ]
    what = ("2 threads", "3 threads", "in place")
    worst = ", ".join(w for w, d in zip(what, differs, strict=True) if d)
    samples = sum(len(case.args[0]) for case in cases)
    error = np.inf if worst else 0.0
    return Result(name, dtype, "same bits, threads and in place", level, samples, error, worst)


def differing_bits(loss: Any, case: Case, level: str) -> list[bool]:
    """Whether two threads, three threads, and writing in place change anything."""
    with use_simd_level(level):
        expected = loss.value_and_grad(*case.args, num_threads=1, **case.options)
        others = [loss.value_and_grad(*case.args, num_threads=k, **case.options) for k in (2, 3)]
        copies = tuple(a.copy() for a in case.args)
        predictions = copies[: len(loss.parameters)]
        out = predictions if len(predictions) > 1 else predictions[0]
        others.append(loss.value_and_grad(*copies, out=out, **case.options))
    return [not identical(expected, x) for x in others]


def identical(x: Any, y: Any) -> bool:
    if isinstance(x, tuple):
        return all(itertools.starmap(identical, zip(x, y, strict=True)))
    return bool(np.array_equal(np.asarray(x), np.asarray(y), equal_nan=True))
