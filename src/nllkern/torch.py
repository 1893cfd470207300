"""The losses on PyTorch's CPU tensors, differentiable by autograd and inside ``torch.compile``.

Every function has the name and the keywords of nllkern's loss (but for ``out`` and ``check``) and
returns a tensor.  Value and gradient come from one pass, in the forward call; the backward call
only multiplies by the upstream gradient.  Tensors are read where they lie.

>>> import torch, nllkern.torch
>>> logits = torch.zeros(4, 10, requires_grad=True)
>>> nllkern.torch.cross_entropy(logits, torch.tensor([3, 1, 4, 1])).backward()
"""

from ast import literal_eval
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

try:
    import torch
    from torch.library import custom_op
except ImportError as error:
    raise ImportError(
        "nllkern.torch needs PyTorch 2.6 or newer: pip install 'nllkern[torch]'"
    ) from error

import numpy as np

from ._adapters import LEFT_OUT, expect_count, is_shared, loss_shape, times_upstream
from ._engine import get_num_threads
from ._losses import loss_infos, loss_named

_INFO = {info.name: info for info in loss_infos()}
_PARAMETERS = {name: info.parameters for name, info in _INFO.items()}
_ARRAYS = ("pos_weight", "delta", "class_weight")  # keywords that may be tensors, one a loss
_UNREADABLE = {torch.float16, torch.bfloat16, torch.complex64, torch.complex128}


def _refuse(name: str, what: str, x: torch.Tensor) -> None:
    """Say why nllkern cannot read the tensor, or not give the gradient that is expected."""
    if not x.is_cpu:
        raise ValueError(
            f"{name}: {what} is on device {x.device}, expected the CPU: use {what}.cpu()"
        )
    if x.dtype in _UNREADABLE:
        raise TypeError(
            f"{name}: {what} has dtype {x.dtype}, expected torch.float32 or torch.float64: "
            f"use {what}.float()"
        )
    raise ValueError(
        f"{name}: {what} requires a gradient, which this loss does not have: use {what}.detach()"
    )


def _text(keywords: dict[str, Any]) -> str:
    """Keywords as a string, which an operator can take; ``_keywords`` reads it."""
    items = []
    for key, x in keywords.items():
        text = repr(x)
        if isinstance(x, float) and abs(x) == float("inf"):
            text = text.replace("inf", "1e999")
        items.append(f"'{key}': {text}")
    return "{" + ", ".join(items) + "}"


@lru_cache(1024)
def _keywords(text: str) -> dict[str, Any]:
    found: dict[str, Any] = literal_eval(text)
    return found


def _tensor(x: Any, dtype: torch.dtype) -> torch.Tensor:
    """A result of nllkern: an array, whose memory the tensor shares, or a number."""
    return torch.from_numpy(x) if isinstance(x, np.ndarray) else torch.scalar_tensor(x, dtype=dtype)


def _with_threads(keywords: dict[str, Any]) -> dict[str, Any]:
    """Keywords that let a call have no more threads than PyTorch has."""
    threads = torch.get_num_threads()
    if threads >= get_num_threads():
        return keywords
    return {"num_threads": threads, **keywords}


def _arrays(inputs: Sequence[torch.Tensor]) -> list[Any]:
    """The same memory as arrays.  `data` is `detach()` in half the time; nothing is written to it."""
    return [x.data.numpy() for x in inputs]


def _value(loss: Any, inputs: Sequence[torch.Tensor], keywords: dict[str, Any]) -> torch.Tensor:
    value = loss(*_arrays(inputs), **_with_threads(keywords))
    return _tensor(value, inputs[0].dtype)


def _run(
    value_and_grad: Any, inputs: Sequence[torch.Tensor], keywords: dict[str, Any]
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The value and the gradients by the parameters."""
    value, grads = value_and_grad(*_arrays(inputs), **_with_threads(keywords))
    dtype = inputs[0].dtype
    if isinstance(grads, tuple):
        return _tensor(value, dtype), [_tensor(g, dtype) for g in grads if g is not None]
    return _tensor(value, dtype), [_tensor(grads, dtype)]


def _check_shared(name: str, inputs: Sequence[torch.Tensor]) -> None:
    """Refuse gradients that are sums over samples of which each has an upstream gradient."""
    for k, parameter in enumerate(_PARAMETERS[name]):
        if inputs[k].requires_grad and is_shared(_INFO[name], inputs, k):
            raise ValueError(
                f"{name}: {parameter} is shared by all samples, so it has no gradient of its own "
                "for each with reduction='none': use another reduction, or expand it"
            )


# ---- inside torch.compile


@custom_op("nllkern::loss", mutates_args=(), device_types="cpu")
def _op(
    name: str,
    first: torch.Tensor,
    second: torch.Tensor | None,
    third: torch.Tensor | None,
    target: torch.Tensor | None,
    sample_weight: torch.Tensor | None,
    extra: torch.Tensor | None,
    options: str,
    want: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Value and gradients; an empty tensor takes the place of each gradient that is not there."""
    inputs = [x for x in (first, second, third, target) if x is not None]
    keywords = dict(_keywords(options))
    if sample_weight is not None:
        keywords["sample_weight"] = sample_weight.numpy()
    if extra is not None:
        keywords[next(key for key in _ARRAYS if key in _INFO[name].extra.split())] = extra.numpy()
    loss = loss_named(name)
    if want:
        value, grads = _run(loss.value_and_grad, inputs, keywords)
        count = sum(x is not None for x in (first, second, third))
        grads += [torch.zeros_like(x) for x in inputs[len(grads) : count]]  # not used
    else:
        value, grads = _value(loss, inputs, keywords), []
    grads += [first.new_empty(0) for _ in range(3 - len(grads))]
    return value, grads[0], grads[1], grads[2]


@_op.register_fake
def _(name: str, first: torch.Tensor, *others: Any) -> tuple[torch.Tensor, ...]:
    second, third, target, _, _, options, want = others
    parameters = [x for x in (first, second, third) if x is not None]
    inputs = [*parameters, target] if target is not None else parameters
    shape: Any = ()
    if _keywords(options).get("reduction") == "none":
        shape = loss_shape(_INFO[name], inputs)
    grads = [x.new_empty(x.shape) for x in parameters] if want else []
    grads += [first.new_empty(0) for _ in range(3 - len(grads))]
    return first.new_empty(shape), grads[0], grads[1], grads[2]


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, ...]) -> None:
    ctx.mark_non_differentiable(*output[1:])
    ctx.save_for_backward(*output[1:])
    ctx.count = sum(x is not None for x in inputs[1:4])


def _backward(ctx: Any, upstream: torch.Tensor, *_: Any) -> tuple[Any, ...]:
    grads: list[Any] = [None, None, None]
    for k in range(ctx.count):
        if ctx.needs_input_grad[1 + k]:
            grads[k] = times_upstream(ctx.saved_tensors[k], upstream)
    return None, *grads, None, None, None, None, None


_op.register_autograd(_backward, setup_context=_setup)


# ---- outside of it: less to do per call


class _Once(torch.autograd.Function):
    """A gradient that depends on the inputs, in a way that autograd cannot follow further."""

    @staticmethod
    def forward(ctx: Any, grad: torch.Tensor, *inputs: torch.Tensor) -> torch.Tensor:
        return grad.view_as(grad)

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> Any:
        raise NotImplementedError(
            "nllkern.torch: derivatives of gradients are not offered; value_grad_hess of the loss "
            "itself has the diagonal second derivatives"
        )


class _Function(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, value_and_grad: Any, keywords: dict[str, Any], *inputs: torch.Tensor
    ) -> torch.Tensor:
        value, grads = _run(value_and_grad, inputs, keywords)
        ctx.kept = grads, value_and_grad, keywords
        ctx.save_for_backward(*inputs)
        return value

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[Any, ...]:
        # The gradients are given away: autograd then need not copy them.  A second backward call
        # over a graph that was retained computes them anew.
        grads, value_and_grad, keywords = ctx.kept
        ctx.kept = None, value_and_grad, keywords
        if grads is None:
            grads = _run(value_and_grad, ctx.saved_tensors, keywords)[1]
        if upstream.ndim > 0 or upstream.item() != 1:
            grads = [times_upstream(grad, upstream) for grad in grads]
        if torch.is_grad_enabled():  # create_graph=True
            grads = [_Once.apply(grad, upstream, *ctx.saved_tensors) for grad in grads]
        _, _, *needs = ctx.needs_input_grad
        grads += [None] * (len(needs) - len(grads))
        return None, None, *[g if need else None for g, need in zip(grads, needs, strict=True)]


# apply() less its provisions for torch.func, which take 5 us where the whole call takes 30.
_is_transformed = torch._C._are_functorch_transforms_active
_plain_apply = super(torch.autograd.Function, _Function).apply


def _function(name: str) -> Callable[..., torch.Tensor]:
    """The loss of that name.  What a call does not need is left out: a small batch feels it."""
    loss, count = loss_named(name), len(_PARAMETERS[name])
    names = loss.arguments
    value_and_grad = loss.value_and_grad

    def call(*inputs: Any, **keywords: Any) -> torch.Tensor:
        expect_count(name, names, inputs)
        want = False
        for k, x in enumerate(inputs):
            if not isinstance(x, torch.Tensor):
                return call(*_as_tensors(name, inputs), **keywords)
            if not x.is_cpu or x.dtype in _UNREADABLE:
                _refuse(name, names[k], x)
            if x.requires_grad:
                want = True
                if k >= count:
                    _refuse(name, names[k], x)
        want = want and torch.is_grad_enabled()
        if keywords:
            _check_keywords(name, inputs, keywords, want)
        if torch.compiler.is_compiling():
            return _traced(name, inputs, count, keywords, want)
        if keywords:
            keywords = {
                key: x.numpy() if isinstance(x, torch.Tensor) else x for key, x in keywords.items()
            }
        if want:
            apply = _Function.apply if _is_transformed() else _plain_apply
            return apply(value_and_grad, keywords, *inputs)
        return _value(loss, inputs, keywords)

    call.__name__ = call.__qualname__ = name
    call.__module__ = __name__
    call.__doc__ = f"``nllkern.{name}`` of CPU tensors, differentiable.  See its documentation."
    return call


def _as_tensors(name: str, inputs: tuple[Any, ...]) -> list[torch.Tensor]:
    """Numbers as tensors of the first input's dtype."""
    if not isinstance(inputs[0], torch.Tensor):
        raise TypeError(
            f"{name}: {_PARAMETERS[name][0]} is {type(inputs[0]).__name__}, expected a tensor"
        )
    dtype = inputs[0].dtype
    return [x if isinstance(x, torch.Tensor) else torch.as_tensor(x, dtype=dtype) for x in inputs]


def _check_keywords(
    name: str, inputs: Sequence[torch.Tensor], keywords: dict[str, Any], want: bool
) -> None:
    for key, x in keywords.items():
        if key in LEFT_OUT:
            raise TypeError(f"{name}: {key} is for arrays, not for tensors")
        if isinstance(x, torch.Tensor) and (
            x.requires_grad or not x.is_cpu or x.dtype in _UNREADABLE
        ):
            _refuse(name, key, x)
    if keywords.get("link") == "covariance" and inputs[1].requires_grad:
        _refuse(name, "factor", inputs[1])
    if want and keywords.get("reduction") == "none":
        _check_shared(name, inputs)


def _traced(
    name: str, tensors: Sequence[torch.Tensor], count: int, keywords: dict[str, Any], want: bool
) -> torch.Tensor:
    parameters = [*tensors[:count], None, None][:3]
    target = tensors[count] if len(tensors) > count else None
    weight = extra = None
    rest = {}
    for key, x in keywords.items():
        if not isinstance(x, torch.Tensor):
            rest[key] = x
        elif key == "sample_weight":
            weight = x
        elif key in _ARRAYS:
            extra = x
        else:
            rest[key] = x.tolist()
    return torch.ops.nllkern.loss(name, *parameters, target, weight, extra, _text(rest), want)[0]


if TYPE_CHECKING:

    def __getattr__(name: str) -> Callable[..., torch.Tensor]: ...


globals().update({name: _function(name) for name in _PARAMETERS})

from ._torch_modules import (  # noqa: E402 (they call the functions above)
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    GaussianNLLLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    MSELoss,
    MultiLabelSoftMarginLoss,
    MultiMarginLoss,
    PoissonNLLLoss,
    SmoothL1Loss,
    SoftMarginLoss,
    TripletMarginLoss,
)

__all__ = [
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "GaussianNLLLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "MSELoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "PoissonNLLLoss",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "TripletMarginLoss",
    *_PARAMETERS,
]
