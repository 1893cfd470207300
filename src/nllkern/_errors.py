"""Errors of the C library in words: what was got and expected, which argument, which place."""

from typing import Any, NamedTuple

import numpy as np

from .tables import Loss


class Failure(NamedTuple):
    """What a call failed with, and what it was given."""

    row: Loss
    message: str  # of the status
    argument: str  # or ""
    position: int  # of the element, or -1
    args: tuple[Any, ...]
    options: dict[str, Any]
    links: tuple[int, ...]  # of the parameters, by their numbers in C
    size: int  # classes, or the dimension


def _place(a: np.ndarray, position: int) -> str:
    """Element `position` of a flattened array, as it is written behind the array's name."""
    at = np.unravel_index(position, a.shape)
    return f"[{', '.join(str(int(i)) for i in at)}]" if at else ""


def bad_index(failure: Failure) -> IndexError:
    """A class index out of range."""
    target, ignored = np.asarray(failure.args[1]), failure.options.get("ignore_index")
    also = "" if ignored is None else f" or ignore_index = {ignored}"
    return IndexError(
        f"{failure.row.name}: target{_place(target, failure.position)} is "
        f"{target.flat[failure.position]}, expected 0 <= index < {failure.size}{also}"
    )


def bad_value(failure: Failure) -> ValueError:
    """An input outside its domain, found by ``check=True``."""
    row, argument = failure.row, failure.argument
    option = row.option(argument)
    if option is not None:
        a = np.asarray(failure.options[argument])
        words = option.support.words if option.support else option.words
    else:
        k = row.arguments.index(argument)
        a = np.asarray(failure.args[k])
        link = failure.links[k] if k < len(row.parameters) else 0
        words = row.words_of(k, link)
        if k < len(row.parameters) and row.parameters[k].kind == "factor":
            i, j = divmod(failure.position % failure.size**2, failure.size)
            on_diagonal = i == j and link == 0
            words = "a positive number, on the diagonal" if on_diagonal else "a finite number"
    position = failure.position % max(a.size, 1)  # all samples may share one number
    x = a.flat[position]
    if row.kind == "rows" and argument == row.arguments[0] and x == -np.inf:
        words = "a row with a number above -inf"
    return ValueError(f"{row.name}: {argument}{_place(a, position)} is {x}, expected {words}")


def bad_weight(failure: Failure) -> ValueError:
    """Weights that do not sum to a positive number."""
    return ValueError(
        f"{failure.row.name}: the weights of the mean do not sum to a positive number, though "
        "some are not 0: expected sample_weight >= 0, or a normalizer"
    )


def bad_option(failure: Failure) -> ValueError:
    """Anything else."""
    name, argument = failure.row.name, failure.argument
    if argument == "normalizer" and failure.options.get("reduction", "mean") != "mean":
        return ValueError(
            f"{name}: normalizer is the denominator of reduction='mean', got another reduction"
        )
    option = failure.row.option(argument)
    if option is not None:
        given = failure.options.get(argument)
        return ValueError(f"{name}: {argument} is {given!r}, expected {option.words}")
    return ValueError(f"{name}: {argument or 'the call'}: {failure.message}")
