"""The criterion of accuracy: a result, and what its bound is.

A result f is a value, a first or a second derivative of one sample.  Its bound is

    |f| + sum over inputs |x df/dx| + sum over linked parameters |theta df/dtheta|

what one rounding of the result, of each input and of each linked parameter amounts to.  Moving an
input moves the point at which the formula is differentiated; moving a linked parameter multiplies
it by 1 + h, wherever the formula has it, and differentiates that.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from .functions import Functions
from .jets import Jet, Series, jet, moving, multiply, scale
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
        gradients = result.gradients()
        moves = [scale(gradients[x], x.value) for x in jets.values() if x in gradients]
        value, first, second = judged(result, [*moves, *linked_moves(gradients)])
        values.append(value)
        firsts.append(first)
        seconds.append(second)
    return [values[0], *firsts, *seconds]


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
    for node in gradients:
        if node.rounding is not None:
            yield multiply(node.rounding, gradients[node])
