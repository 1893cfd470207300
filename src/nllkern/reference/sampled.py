"""Results and bounds of a whole batch, in NumPy.

Those of pointwise losses come from the widest float that NumPy has, and may judge float64 where it
has more digits than that; those of classes and vectors are the reference's, in float64, which
loses fewer digits than jets where a second derivative p (1 - p) is small.
"""

from typing import Any

import numpy as np

from ..tables import LOSSES, Loss
from . import formulas_vectors
from ._pointwise import Pointwise
from ._protocol import LOSSES as REFERENCES
from .bounds import Result, results, row_inputs, row_results, vector_results
from .functions import FLOATS

ROWS = {row.name: row for row in LOSSES}
MOST = 16  # derivatives of a row or a vector that have a bound; that of the others is infinite
# Measured: valgrind has float64's digits and range for a float that NumPy knows to be wider.
IS_WIDER = bool(np.longdouble(1) + np.finfo(np.float64).eps / 2 > 1)


def judge(name: str, args: tuple[Any, ...], options: dict[str, Any]) -> list[Result]:
    """[(f, bound)] of value, gradients and second derivatives, one sample each.

    ``options``: those of the loss itself; not the common ones.
    """
    row = ROWS[name]
    given = {x.name: x.default for x in row.options} | options
    with np.errstate(all="ignore"):
        found = _KINDS[row.kind](row, args, given)
    if row.kind == "pointwise":
        return found
    reference = REFERENCES[name]
    method = reference.value_grad_hess if row.has_hess else reference.value_and_grad
    value, *derivatives = method(*args, **options, reduction="none")
    every = [value, *(x for d in derivatives for x in (d if isinstance(d, tuple) else (d,)))]
    return [(f, np.fmax(bound, np.abs(f))) for f, (_, bound) in zip(every, found, strict=True)]


def spread(of_sample: Any, like: Any) -> Any:
    """A number of each sample, over the axes that a result has beyond."""
    return of_sample.reshape(of_sample.shape + (1,) * (np.ndim(like) - of_sample.ndim))


def wide(x: Any) -> Any:
    return np.asarray(x).astype(np.longdouble)


def _pointwise(row: Loss, args: tuple[Any, ...], given: dict[str, Any]) -> list[Result]:
    reference = Pointwise(row)
    shape = np.shape(args[-1])
    named = given | dict(zip(row.arguments, args, strict=True))
    inputs, links, others = reference.arguments(named, shape)
    inputs = {k: np.broadcast_to(wide(x), shape) for k, x in inputs.items()}
    found = results(reference.formula, FLOATS, inputs, links, others)
    outside = reference.outside(inputs, links)
    meaningless, impossible = reference.excluded(inputs, links, outside)
    for k, (f, bound) in enumerate(found):
        if not IS_WIDER:  # nothing is asked where the reference has left its floats on the way
            bound = np.where(np.isnan(f), np.inf, bound)
        f = np.where(meaningless | (impossible & (k > 0)), np.nan, np.where(impossible, np.inf, f))
        found[k] = f, np.broadcast_to(bound, shape)
    return found


def _rows(row: Loss, args: tuple[Any, ...], given: dict[str, Any]) -> list[Result]:
    logits, target = wide(args[0]), np.asarray(args[1])
    classes = logits.shape[-1]
    if "real" in row.targets:
        target = bin_of(target, given["edges"], classes)  # an index
    formula, *arrays, others = row_inputs(row, logits, target, given)
    inputs, fixed = (
        {k: np.broadcast_to(wide(x), logits.shape) for k, x in part.items()} for part in arrays
    )
    asked = some(list(range(classes)))
    value, *derivatives = row_results(formula, FLOATS, inputs, fixed, others, asked)

    def joined(parts: list[Result]) -> Result:
        f, bound = np.zeros(logits.shape), np.full(logits.shape, np.inf, np.longdouble)
        for k, (_, x) in zip(asked, parts, strict=True):
            bound[..., k] = np.broadcast_to(x, (*logits.shape[:-1], 1))[..., 0]
        return f, np.where(logits == -np.inf, 0, bound)

    first = tuple(np.broadcast_to(x, (*logits.shape[:-1], 1))[..., 0] for x in value)
    return [first, *map(joined, derivatives)]


def some(places: list[Any], most: int = MOST) -> list[Any]:
    """At most so many of them, the first and the last among them."""
    if len(places) <= most:
        return places
    return [places[i] for i in np.linspace(0, len(places) - 1, most).astype(int)]


def bin_of(target: Any, edges: Any, classes: int) -> Any:
    if len(edges) == 2:
        edges = np.linspace(edges[0], edges[1], classes + 1)
    return np.clip(np.searchsorted(edges, target, side="right") - 1, 0, classes - 1)


def _vectors(row: Loss, args: tuple[Any, ...], given: dict[str, Any]) -> list[Result]:
    """Each place has its own slice of a first axis."""
    arrays = dict(zip(row.arguments, map(wide, args), strict=True))
    matrices = {p.name for p in row.parameters if p.kind == "factor"}
    d = args[0].shape[-1]
    shape = args[0].shape[:-1]
    triangle = list(zip(*np.tril_indices(d), strict=True))
    names = [
        (p.name, *at)
        for p in row.parameters
        for at in some(
            triangle if p.name in matrices else [(i,) for i in range(d)], MOST if d < 50 else 3
        )
    ]
    count = len(names)

    def entry(name: str, *at: int) -> Any:
        return np.broadcast_to(arrays[name][(..., *at)], (count, *shape))

    inputs = {
        name: [[entry(name, i, j) for j in range(i + 1)] for i in range(d)]
        if name in matrices
        else [entry(name, i) for i in range(d)]
        for name in arrays
    }
    others = {x.name: given[x.name] for x in row.options if x.kind in ("number", "flag")}
    formula = getattr(formulas_vectors, row.name)
    value, *derivatives = vector_results(formula, FLOATS, inputs, given.get("link"), others, names)
    found = [tuple(np.broadcast_to(x, (count, *shape))[0] for x in value)]
    for _, part in derivatives:
        part = np.broadcast_to(part, (count, *shape))
        for p in row.parameters:
            bound = np.full(arrays[p.name].shape, np.inf, np.longdouble)
            for k, (name, *at) in enumerate(names):
                if name == p.name:
                    bound[(..., *at)] = part[k]
            if p.name in matrices:
                bound[(..., *np.triu_indices(d, 1))] = 0
            found.append((0 * bound, bound))
    return found


def _contrastive(row: Loss, args: tuple[Any, ...], given: dict[str, Any]) -> list[Result]:
    names = [p.name for p in row.parameters]
    places = [(n, *at) for n, x in zip(names, args, strict=True) for at in np.ndindex(x.shape)]

    def repeated(x: Any) -> list[list[Any]]:
        return [[np.full(len(places), v) for v in line] for line in wide(x)]

    inputs = {name: repeated(x) for name, x in zip(names, args, strict=True)}
    formula = getattr(formulas_vectors, row.name)
    values, first, _ = vector_results(formula, FLOATS, inputs, None, given, places)
    of_samples = [np.array([np.max(x[k]) for x in values]) for k in range(2)]
    found = [(of_samples[0], of_samples[1])]
    ends = np.cumsum([0, *(x.size for x in args)])
    for x, start, end in zip(args, ends[:-1], ends[1:], strict=True):
        f, bound = (part[start:end].reshape(x.shape) for part in first)
        found.append((f, bound))
    return found


_KINDS = {"pointwise": _pointwise, "rows": _rows, "vectors": _vectors, "contrastive": _contrastive}
