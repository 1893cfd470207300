"""The criterion of accuracy: a result, and what its bound is.

A result f is a value, a first or a second derivative of one sample.  Its bound is

    |f| + sum over inputs |x df/dx| + sum over linked parameters |theta df/dtheta|

what one rounding of the result, of each input and of each linked parameter amounts to.  Moving an
input moves the point at which the formula is differentiated; moving a linked parameter multiplies
it by 1 + h, wherever the formula has it, and differentiates that.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from ..tables import Loss
from . import formulas_classes
from .functions import Functions, spread
from .jets import Jet, Series, add, jet, moving, multiply, scale
from .links import linked

Result = tuple[Any, Any]  # f and its bound


def run(
    formula: Callable[..., Any],
    f: Functions,
    inputs: dict[str, Any],
    links: dict[str, str],
    options: dict[str, Any],
    name: str,
) -> tuple[Jet, dict[str, Jet]]:
    """The formula with the input of that name moving, and the jets of the inputs."""
    jets = {n: Jet(moving(x) if n == name else (x,)) for n, x in inputs.items()}
    arguments = {n: linked(f, links[n], x) if n in links else x for n, x in jets.items()}
    return jet(formula(f, **arguments, **options)), jets


def results(
    formula: Callable[..., Any],
    f: Functions,
    inputs: dict[str, Any],
    links: dict[str, str],
    options: dict[str, Any],
) -> list[Result]:
    """Value, gradients and second derivatives of a pointwise loss.

    ``inputs``: numbers, of parameters, target and options that are arrays, by name; ``links``: the
    link of every parameter.
    """
    values, firsts, seconds = [], [], []
    for name in links:
        result, jets = run(formula, f, inputs, links, options, name)
        value, first, second = judged_of(result, list(jets.values()))
        values.append(value)
        firsts.append(first)
        seconds.append(second)
    return [values[0], *firsts, *seconds]


def row_inputs(
    row: Loss, z: Any, target: Any, given: dict[str, Any]
) -> tuple[Callable[..., Any], dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The formula of a loss over classes, and of a call its inputs, constants and other options."""
    formula = getattr(formulas_classes, row.name)
    classes, is_index = z.shape[-1], np.ndim(target) < z.ndim
    inputs, constants = {row.parameters[0].name: z}, {}
    if is_index:
        constants["target"] = np.arange(classes) == np.asarray(target)[..., None]
    else:
        inputs["target"] = target
    for option in row.options:
        if option.kind == "per_class":
            weight = given[option.name]
            group = constants if weight is None else inputs
            group[option.name] = np.ones(classes) if weight is None else weight
    others = inspect.signature(formula).parameters.keys() - {*inputs, *constants}
    return formula, inputs, constants, {name: given[name] for name in others - {"f"}}


def row_results(
    formula: Callable[..., Any],
    f: Functions,
    inputs: dict[str, Any],
    constants: dict[str, Any],
    options: dict[str, Any],
    classes: Iterable[int],
) -> tuple[Result, list[Result], list[Result]]:
    """(value, gradients, second derivatives) of a loss over classes, by some of the classes.

    ``inputs``: rows of numbers, the prediction first; ``constants``: rows that are not rounded (the
    one-hot form of an index).  The gap to the largest of a row takes the place of a prediction,
    and the largest moves all of them, unless the scores are linked: then each moves by itself.
    """
    values, firsts, seconds = [], [], []
    prediction = next(iter(inputs))
    z = inputs[prediction]
    for k in classes:
        one = np.broadcast_to((np.arange(z.shape[-1]) == k).astype(int), z.shape)
        jets = {n: Jet((x, one, 0 * one) if n == prediction else (x,)) for n, x in inputs.items()}
        fixed = {n: Jet((x,)) for n, x in constants.items()}
        result = formula(f, **jets, **fixed, **options)
        gradients = result.gradients()
        linked = list(linked_moves(gradients))
        moves = []
        for name, x in jets.items():
            by = gradients.get(x, (0,))
            if name == prediction and not linked:
                top = z.max(-1, keepdims=True)
                moves.append(scale(by, z - top))
                moves.append(tuple(spread(c, z.shape).sum(-1, keepdims=True) * top for c in by))
            else:
                moves.append(scale(by, x.value))
        sums = [tuple(_total(_size(c), z) for c in move) for move in (*moves, *linked)]
        value, first, second = judged(result, sums)
        values.append(value)
        firsts.append(first)
        seconds.append(second)
    return values[0], firsts, seconds


def vector_results(
    formula: Callable[..., Any],
    f: Functions,
    inputs: dict[str, Any],
    link: str | None,
    options: dict[str, Any],
    places: list[tuple[Any, ...]],
) -> tuple[Any, Result, Result]:
    """(value, gradients, second derivatives) of a loss of vectors, by several inputs at once.

    ``inputs``: lists of numbers, and lists of the rows of a lower triangle, whose diagonal is
    behind the link.  Every number is an array, whose first axis is that of the places: (name, i)
    or (name, i, j), the input that moves there.  A loss whose samples see each other returns the
    list of its values; derivatives are those of their sum.
    """
    jets: list[Jet] = []
    arguments: dict[str, Any] = {}
    for name, x in inputs.items():
        if isinstance(x[0], list):
            rows = [
                [_moving(v, (name, i, j), places) for j, v in enumerate(row)]
                for i, row in enumerate(x)
            ]
            jets += [v for row in rows for v in row]
            arguments[name] = [
                [*row[:-1], linked(f, link, row[-1])] if link else row for row in rows
            ]
        else:
            arguments[name] = [_moving(v, (name, j), places) for j, v in enumerate(x)]
            jets += arguments[name]
    found = formula(f, **arguments, **options)
    if not isinstance(found, list):
        value, first, second = judged_of(found, jets)
        return value, first, second
    _, first, second = judged_of(jet(sum(found)), jets)
    return [judged_of(x, jets)[0] for x in found], first, second


def _moving(x: Any, place: tuple[Any, ...], places: list[tuple[Any, ...]]) -> Jet:
    """A number that moves in its own place only."""
    if place not in places:
        return Jet((x,))
    one = np.array([int(p == place) for p in places]).reshape((-1, *[1] * (np.ndim(x) - 1)))
    return Jet((x, one, 0 * one))


def judged_of(result: Jet, jets: list[Jet]) -> list[Result]:
    gradients = result.gradients()
    moves = [scale(gradients[x], x.value) for x in jets if x in gradients]
    return judged(result, [*moves, *linked_moves(gradients)])


def _total(x: Any, z: Any) -> Any:
    """The sum over the classes."""
    return x.sum(-1, keepdims=True) if np.ndim(x) and x.shape[-1] == z.shape[-1] else x


def judged(result: Jet, moves: Iterable[Series]) -> list[Result]:
    """(f, bound) of the value, the first and the second derivative."""
    outputs = result.derivatives
    bounds = [abs(x) for x in outputs]
    for move in moves:
        for i, x in enumerate(move):
            bounds[i] = bounds[i] + _size(x) * (2 if i == 2 else 1)
    return list(zip(outputs, bounds, strict=True))


def _size(x: Any) -> Any:
    return np.nan_to_num(abs(x), posinf=np.inf) if isinstance(x, np.ndarray) else abs(x)


def linked_moves(gradients: dict[Jet, Series]) -> Iterator[Series]:
    """Of every linked parameter that a result depends on: what its rounding does."""
    moves: dict[Jet, Series] = {}
    for node in gradients:
        if node.rounding is not None:
            parameter, rounding = node.rounding
            move = multiply(rounding, gradients[node])
            moves[parameter] = add(moves[parameter], move) if parameter in moves else move
    yield from moves.values()
