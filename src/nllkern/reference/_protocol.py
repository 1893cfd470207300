"""The public protocol of the reference losses, around functions of one sample each."""

import inspect
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..tables import LOSSES as ROWS
from ..tables import Loss
from ..tables.options import Option
from ..tables.supports import Support

Array = NDArray[Any]
Outside = dict[str, tuple[Array, str]]  # argument: entries outside the domain, what is expected


class Samples(NamedTuple):
    """What one loss function returns: everything per sample, before weights and reduction."""

    value: Array
    # One array a parameter; or, where samples see each other, the function that makes it of their
    # weights.
    grad: tuple[Any, ...]
    hess: tuple[Any, ...]  # likewise
    outside: Outside
    counts: Array | bool = True  # False: contributes exactly nothing, whatever its data
    weight: Array | float = 1.0  # this sample's share of the denominator of "mean"


class Reference:
    """The public protocol of a row's loss, around a function that returns ``Samples``."""

    def __init__(self, row: Loss, samples: Callable[..., Samples], doc: str | None):
        self.row, self.samples, self.name = row, samples, row.name
        self.parameters = tuple(p.name for p in row.parameters)
        self.links = row.links
        self.__doc__ = doc or f"The value of ``nllkern.{row.name}`` and its derivatives."
        kind = inspect.Parameter
        defaults = {x.name: kind.empty if x.default is ... else x.default for x in row.options}
        self.__signature__ = inspect.Signature(
            [kind(name, kind.POSITIONAL_OR_KEYWORD) for name in row.arguments]
            + [kind(name, kind.KEYWORD_ONLY, default=x) for name, x in defaults.items()]
        )

    def __repr__(self) -> str:
        return f"<nllkern.reference.{self.name}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The value."""
        return self._run(args, **kwargs)[0]

    def value_and_grad(self, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        """(value, gradient)."""
        value, grad, _ = self._run(args, **kwargs)
        return value, self._deliver(grad, out)

    def grad(self, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        """The gradient: an array, or a tuple when the loss has several parameters."""
        return self._deliver(self._run(args, **kwargs)[1], out)

    def value_grad_hess(self, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        """(value, gradient, diagonal second derivatives); ``out`` is a pair (grad, hess)."""
        value, grad, hess = self._run(args, **kwargs)
        grad_out, hess_out = (None, None) if out is None else out
        return value, self._deliver(grad, grad_out), self._deliver(hess, hess_out)

    def _run(
        self,
        args: tuple[Any, ...],
        *,
        reduction: str = "mean",
        sample_weight: Any = None,
        normalizer: float | None = None,
        num_threads: int | None = None,
        check: bool = False,
        **options: Any,
    ) -> tuple[Any, tuple[Any, ...], tuple[Any, ...]]:
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f'reduction must be "mean", "sum" or "none", got {reduction!r}')
        if normalizer is not None:
            if reduction != "mean":
                raise ValueError(f'normalizer needs reduction="mean", got {reduction!r}')
            if not (math.isfinite(normalizer) and normalizer > 0):
                raise ValueError(f"normalizer must be positive and finite, got {normalizer!r}")
        bound = self.__signature__.bind(*args, **options)
        bound.apply_defaults()
        for option in self.row.options:
            self._check_option(option, bound.arguments[option.name])
        arguments, shared = self._convert(bound.arguments)
        with np.errstate(all="ignore"):
            s = self.samples(**arguments)
            if check:
                _raise_if_outside(s.outside)
            weight = _sample_weight(sample_weight, s.value.shape)
            counts = np.asarray(s.counts & (weight != 0))
            denominator = 1.0
            if reduction == "mean":
                denominator = float(np.sum(weight * s.weight) if normalizer is None else normalizer)
            if denominator == 0:  # nothing counts: value 0, derivatives 0
                counts, denominator = np.zeros_like(counts), 1.0

            def weighted(x: Any, summed: bool = False) -> Any:
                if x is None:  # no derivatives
                    return None
                if callable(x):
                    return x(np.where(counts, weight, 0.0)) / denominator
                axes = (...,) + (None,) * (x.ndim - weight.ndim)
                x = np.where(counts[axes], weight[axes] * x, 0.0)
                if summed:  # over the samples
                    x = x.sum(axis=tuple(range(weight.ndim)))
                if summed and x.ndim == 0:
                    return float(x) / denominator
                return np.asarray(x / denominator)

            return (
                weighted(s.value, reduction != "none"),
                tuple(map(weighted, s.grad, shared)),
                tuple(map(weighted, s.hess, shared)),
            )

    def _check_option(self, option: Option, x: Any) -> None:
        words, choices = option.words, option.choices
        if option.kind == "link":
            of = (p.links for p in self.row.parameters if p.option is option)
            choices = tuple(link.name for link in next(of))
            words = f"one of {', '.join(choices)}"
        if option.kind == "number" and not (x is None and option.default is None):
            right = option.low <= as_number(option.name, x) <= option.high
        else:
            right = not choices or x in choices
        if not right:
            raise ValueError(f"{option.name} is {x!r}, expected {words}")

    def _convert(self, arguments: dict[str, Any]) -> tuple[dict[str, Any], list[bool]]:
        """Float64 arrays of one shape; also which parameters all samples share: Python scalars."""
        names = (*self.parameters, "target")
        arrays = {name: as_float64(name, arguments[name]) for name in names}
        scalars = {
            name: x.ndim == 0 and not isinstance(arguments[name], np.ndarray)
            for name, x in arrays.items()
        }
        shape = arrays["target"].shape
        for name, x in arrays.items():
            if x.shape != shape and not scalars[name]:
                raise ValueError(f"{name} has shape {x.shape}, expected that of target, {shape}")
        arrays = {name: np.broadcast_to(x, shape) for name, x in arrays.items()}
        return {**arguments, **arrays}, [scalars[name] for name in self.parameters]

    def _deliver(self, results: tuple[Any, ...], out: Any) -> Any:
        """One array or a tuple; copied into ``out`` where given."""
        if out is not None:
            outs = (out,) if len(self.parameters) == 1 else out
            for array, result in zip(outs, results, strict=True):
                if array is not None:
                    np.copyto(array, result, casting="same_kind")
            results = tuple(r if o is None else o for o, r in zip(outs, results, strict=True))
        return results[0] if len(self.parameters) == 1 else results


LOSSES: dict[str, Reference] = {}


def losses() -> list[Reference]:
    """Every reference loss."""
    return list(LOSSES.values())


def loss(kind: type[Reference]) -> Callable[[Callable[..., Samples]], Reference]:
    """Give a per-sample function the public protocol, under the same name."""

    def decorate(samples: Callable[..., Samples]) -> Reference:
        row = next(x for x in ROWS if x.name == samples.__name__)
        LOSSES[row.name] = kind(row, samples, samples.__doc__)
        return LOSSES[row.name]

    return decorate


def within(support: Support, x: Any) -> Any:
    """Whether the numbers are inside."""
    return eval(support.test, {"x": x, "INFINITY": np.inf, "floor": np.floor})


def as_number(name: str, x: Any) -> float:
    try:
        return float(x)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, got {x!r}") from None


def broadcast(name: str, x: Any, shape: tuple[int, ...]) -> Array:
    """A further input of a loss in the shape of its samples."""
    x = as_float64(name, x)
    try:
        return np.broadcast_to(x, shape)
    except ValueError:
        raise ValueError(
            f"{name} has shape {x.shape}, which does not broadcast to {shape}"
        ) from None


def as_float64(name: str, x: Any) -> Array:
    array: Array = np.asarray(x)
    if array.dtype.kind not in "biu" and array.dtype not in (np.float32, np.float64):
        raise TypeError(f"{name} has dtype {array.dtype}, expected float32 or float64")
    return array.astype(np.float64)


def _sample_weight(weight: Any, shape: tuple[int, ...]) -> Array:
    if weight is None:
        return np.ones(shape)
    found = as_float64("sample_weight", weight)
    if found.shape != shape:
        raise ValueError(f"sample_weight has shape {found.shape}, expected {shape}")
    return found


def _raise_if_outside(outside: Outside) -> None:
    for name, (bad, expected) in outside.items():
        if bad.any():
            where = tuple(int(i) for i in np.argwhere(bad)[0])
            raise ValueError(f"{name} at index {where} is not {expected}")
