"""What the interfaces to other array libraries have in common: rows, shapes, keywords."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .tables import LOSSES, Loss, Option

ROWS = {row.name: row for row in LOSSES}
ARRAY_KINDS = ("sample_weight", "per_class", "per_sample")  # of options that may be arrays
_POWERS = {"number": 0, "classes": 1, "vector": 1, "factor": 2}


class Spec(NamedTuple):
    """What is constant in a call; after its inputs come the arrays that ``keys`` names."""

    name: str
    constants: tuple[tuple[str, Any], ...]
    keys: tuple[str, ...] = ()
    by_target: bool = False  # whether the target's gradient is wanted too

    @property
    def row(self) -> Loss:
        """The row of the loss."""
        return ROWS[self.name]

    @property
    def reduction(self) -> str:
        """How the losses of the samples are reduced."""
        reduction: str = dict(self.constants).get("reduction", "mean")
        return reduction

    def shape(self, inputs: Sequence[Any]) -> tuple[int, ...]:
        """The shape of the value."""
        if self.reduction != "none":
            return ()
        return loss_shape(self.row, [x.shape for x in inputs[: len(self.row.arguments)]])

    def differentiable(self) -> list[int]:
        """The numbers of the parameters that have gradients."""
        row, constants = self.row, dict(self.constants)
        return [k for k in range(len(row.parameters)) if not is_fixed(row, constants, k)]

    def places(self) -> list[int]:
        """The numbers of the inputs whose gradients are wanted."""
        return [*self.differentiable(), *[len(self.row.parameters)] * self.by_target]

    @property
    def in_c(self) -> bool:
        """Whether C has the loss and all its options."""
        row = self.row
        needed = any(option.default is ... for option in row.options)
        return row.in_c and not needed and len(self.differentiable()) == len(row.parameters)

    def expect_gradients(self, moving: Sequence[bool], names: Sequence[str], cut: str) -> None:
        """Refuse to differentiate by what has no gradient; ``cut`` is how a library avoids it."""
        row = self.row
        offered = [row.arguments[k] for k in self._replace(by_target=False).places()]
        offered += ["target"] * row.has_target_gradient
        for name, moves in zip(names, moving, strict=True):
            if moves and name not in offered:
                raise ValueError(no_gradient(row.name, name, cut))


def expect_count(row: Loss, given: Sequence[Any]) -> None:
    """Refuse a wrong number of positional arguments."""
    if len(given) != len(row.arguments):
        raise TypeError(
            f"{row.name}: got {len(given)} positional arguments, "
            f"expected {len(row.arguments)}: {', '.join(row.arguments)}"
        )


def option_of(row: Loss, key: str) -> Option:
    """The option that a keyword names, if the interface offers it."""
    option = row.option(key)
    if option is None or option.kind == "out":
        known = sorted(x.name for x in row.all_options if x.kind != "out")
        hint = ": it is for NumPy arrays" if option else ""
        raise TypeError(
            f"{row.name}: unknown keyword {key!r}{hint}, expected one of {', '.join(known)}"
        )
    return option


def no_gradient(name: str, what: str, cut: str) -> str:
    """The message about an input or an option by which a loss is not differentiated."""
    return (
        f"{name}: {what} requires a gradient, which this loss does not have: use {cut.format(what)}"
    )


def is_fixed(row: Loss, constants: dict[str, Any], k: int) -> bool:
    """Whether parameter k has no derivatives: its link is Python's alone."""
    parameter = row.parameters[k]
    if parameter.option is None:
        return False
    chosen = constants.get(parameter.option.name, parameter.option.default)
    return any(link.name == chosen and not link.in_c for link in parameter.links)


def loss_shape(row: Loss, shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """Shape of the losses of the samples."""
    return max(shapes, key=len) if row.kind == "pointwise" else shapes[0][:-1]


def is_shared(row: Loss, shapes: Sequence[tuple[int, ...]], k: int) -> bool:
    """Whether all samples share input k, so that its gradient is a sum over them."""
    if row.kind == "pointwise":
        return not shapes[k] and any(shapes)
    is_factor = k < len(row.parameters) and row.parameters[k].kind == "factor"
    return row.kind == "contrastive" or (is_factor and len(shapes[k]) < len(shapes[0]) + 1)


def powers(row: Loss, has_classes: bool) -> list[int]:
    """Elements per sample of each input, as a power of the classes or of the dimension."""
    kinds = [p.kind for p in row.parameters]
    if row.target is not None:
        kinds.append("classes" if has_classes else "vector" if row.kind == "vectors" else "number")
    return [_POWERS[kind] for kind in kinds]


def times_upstream(grad: Any, upstream: Any) -> Any:
    """A gradient times the upstream gradients of the samples."""
    return grad * upstream.reshape(upstream.shape + (1,) * (grad.ndim - upstream.ndim))


# ---- shapes ----


def expect_shapes(row: Loss, shapes: dict[str, tuple[int, ...]], is_index: bool) -> None:
    """Refuse inputs and array options whose shapes do not go together."""
    inputs = [shapes[name] for name in row.arguments]
    first, shape = inputs[0], loss_shape(row, inputs)
    for k, (name, own) in enumerate(zip(row.arguments, inputs, strict=True)):
        kind = row.parameters[k].kind if k < len(row.parameters) else "target"
        if row.kind == "pointwise":
            good = own in (shape, ())
        elif row.kind == "contrastive":
            good = len(own) == 2
        elif kind == "factor":
            good = own in (shape + first[-1:] * 2, first[-1:] * 2)
        elif kind == "target" and (is_index or "real" in row.targets):
            good = own == shape
        else:
            good = own == first
        if not good:
            raise ValueError(
                f"{row.name}: {name} has shape {own}, which does not go with "
                f"{row.arguments[0]} of shape {first}"
            )
    for option in row.all_options:
        if option.name not in shapes:
            continue
        own = shapes[option.name]
        if option.kind == "sample_weight" and own != shape:
            raise ValueError(f"{row.name}: {option.name} has shape {own}, expected {shape}")
        if option.kind == "per_class" and own != first[-1:]:
            raise ValueError(f"{row.name}: {option.name} has shape {own}, expected {first[-1:]}")
        if option.kind == "per_sample" and not broadcasts(own, shape):
            raise ValueError(
                f"{row.name}: {option.name} has shape {own}, "
                f"expected one that broadcasts to {shape}"
            )


def broadcasts(own: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether an array of the one shape can be broadcast to the other."""
    return len(own) <= len(shape) and all(
        n in (1, m) for n, m in zip(own[::-1], shape[::-1], strict=False)
    )


def empty_inputs(row: Loss, shapes: Sequence[tuple[int, ...]], dtypes: Sequence[Any]) -> list[Any]:
    """Arrays of those dtypes without samples, but with as many classes and dimensions."""
    found: list[Any] = []
    for k, (own, dtype) in enumerate(zip(shapes, dtypes, strict=True)):
        kind = row.parameters[k].kind if k < len(row.parameters) else "target"
        shape: tuple[int, ...]
        if row.kind == "pointwise":
            shape = (0,) if own else ()
        elif kind == "factor":
            shape = own[-2:] if is_shared(row, shapes, k) else (0, *own[-2:])
        else:
            shape = (0,) if len(own) < len(shapes[0]) else (0, *own[-1:]) if own else ()
        is_matrix = kind == "factor" and len(shape) == 2
        found.append(np.eye(shape[0], dtype=dtype) if is_matrix else np.ones(shape, dtype))
    return found


# ---- keywords ----


def plain(name: str, key: str, option: Option, x: Any) -> Any:
    """A keyword that is a constant of the call: numbers of any library as Python's."""
    if option.kind == "edges" and hasattr(x, "__len__"):
        return tuple(np.asarray(x).tolist())
    if isinstance(x, np.generic) or getattr(x, "shape", None) == ():
        return x.item()
    try:
        hash(x)
    except TypeError:
        raise TypeError(
            f"{name}: {key} is {type(x).__name__} {str(x)[:100]}, expected {option.words}"
        ) from None
    return x
