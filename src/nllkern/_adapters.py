"""What the adapters for other array libraries have in common; arrays may be of any of them."""

from collections.abc import Sequence
from typing import Any

from ._losses import LossInfo

LEFT_OUT = ("out", "check")  # keywords that are for NumPy arrays alone


def expect_count(name: str, arguments: Sequence[str], given: Sequence[Any]) -> None:
    """Refuse a wrong number of positional arguments."""
    if len(given) != len(arguments):
        raise TypeError(
            f"{name}: got {len(given)} positional arguments, "
            f"expected {len(arguments)}: {', '.join(arguments)}"
        )


def loss_shape(info: LossInfo, inputs: Sequence[Any]) -> tuple[int, ...]:
    """Shape of the losses of the samples."""
    shape: tuple[int, ...] = inputs[0].shape[:-1]
    if info.kind == "pointwise":
        shape = max((x.shape for x in inputs), key=len)
    return shape


def is_shared(info: LossInfo, inputs: Sequence[Any], k: int) -> bool:
    """Whether all samples share input k, so that its gradient is a sum over them."""
    if info.kind == "pointwise":
        return inputs[k].ndim == 0 and any(x.ndim > 0 for x in inputs)
    if info.kind == "vectors" and info.linked >> k & 1:  # a factor
        return bool(inputs[k].ndim < inputs[0].ndim + 1)
    return info.kind == "contrastive"


def times_upstream(grad: Any, upstream: Any) -> Any:
    """A gradient times the upstream gradients of the samples."""
    return grad * upstream.reshape(upstream.shape + (1,) * (grad.ndim - upstream.ndim))
