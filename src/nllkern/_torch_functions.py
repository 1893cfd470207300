"""The losses as functions of PyTorch's tensors."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch._C._functorch import TransformType
from torch._functorch.pyfunctorch import retrieve_all_functorch_interpreters
from torch.autograd import forward_ad

from . import _torch_extension as extension
from ._adapters import (
    ARRAY_KINDS,
    ROWS,
    expect_count,
    is_fixed,
    is_shared,
    loss_shape,
    no_gradient,
    option_of,
    plain,
)
from ._losses import loss_named
from ._torch_autograd import FLOATS, Compiled, Transformed, plain_apply, results_of, split, value_of
from .tables import Loss

_HALF = {torch.float16, torch.bfloat16}
_UNREADABLE = _HALF | {torch.complex64, torch.complex128}
_is_transformed = torch._C._are_functorch_transforms_active


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
    raise ValueError(no_gradient(name, what, "{}.detach()"))


def _function(row: Loss) -> Callable[..., torch.Tensor]:
    """The loss of a row.  What a call does not need is left out: a small batch feels it."""
    name, count = row.name, len(row.parameters)
    loss = loss_named(name)
    names, value_and_grad = row.arguments, loss.value_and_grad
    has_target_gradient = row.has_target_gradient

    def call(*inputs: Any, **keywords: Any) -> torch.Tensor:
        if not torch.compiler.is_compiling():
            found = _by_extension(name, inputs, keywords)
            if found is not None:
                return found
        expect_count(row, inputs)
        want = False
        for k, x in enumerate(inputs):
            if not isinstance(x, torch.Tensor):
                return call(*_as_tensors(row, inputs, keywords), **keywords)
            if not x.is_cpu or x.dtype in _UNREADABLE:
                if _is_autocast(x):
                    return call(*map(_wide, inputs), **_wide_keywords(keywords))
                _refuse(name, names[k], x)
            if x.requires_grad:
                want = True
                if k >= count and not has_target_gradient:
                    _refuse(name, names[k], x)
        want = want and torch.is_grad_enabled()
        if keywords:
            keywords = _check_keywords(row, inputs, keywords)
            if want and keywords.get("reduction") == "none":
                inputs = tuple(_one_for_each(row, inputs))
        if torch.compiler.is_compiling():
            spec, arrays = split(name, keywords)
            if want:
                return Compiled.apply(spec, *inputs, *arrays)[0]
            return results_of(spec, [*inputs, *arrays], False)[0]
        if _is_transformed() or forward_ad._current_level >= 0:
            _expect_one_forward(name)
            spec, arrays = split(name, keywords)
            return Transformed.apply(spec, *inputs, *arrays)[0]
        if keywords:
            keywords = {
                key: x.numpy() if isinstance(x, torch.Tensor) else x for key, x in keywords.items()
            }
        if want:
            return plain_apply(name, value_and_grad, keywords, *inputs)
        return value_of(loss, inputs, keywords)

    call.__name__ = call.__qualname__ = name
    call.__module__ = "nllkern.torch"
    call.__doc__ = f"``nllkern.{name}`` of CPU tensors, differentiable.  See its documentation."
    return call


def _by_extension(
    name: str, inputs: tuple[Any, ...], keywords: dict[str, Any]
) -> torch.Tensor | None:
    """The value if the extension serves the call: it is there, and the call an ordinary one."""
    attempt = extension.attempt
    if attempt is None:
        if not extension.asked:
            extension.start()
        return None
    if forward_ad._current_level >= 0:
        return None
    plan, arrays = extension.plan_of_call(name, keywords)
    found: torch.Tensor | None = plan and attempt(plan, *inputs, *arrays)
    return found


def _expect_one_forward(name: str) -> None:
    """Refuse forward mode inside forward mode, where PyTorch loses what custom functions add."""
    levels = [x.key() for x in retrieve_all_functorch_interpreters()]
    if levels.count(TransformType.Jvp) > 1:
        raise NotImplementedError(
            f"{name}: forward mode inside forward mode is not offered, since PyTorch has none for "
            "custom functions: use torch.func.hessian, or jacrev for one of the two"
        )


def _as_tensors(row: Loss, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> list[torch.Tensor]:
    """Numbers and arrays beside tensors: without a dtype of their own, integers stay integers."""
    tensors = [x for x in inputs if isinstance(x, torch.Tensor)]
    if not tensors:
        raise TypeError(
            f"{row.name}: {row.arguments[0]} is {type(inputs[0]).__name__}, expected a tensor"
        )
    tensors += [x for x in keywords.values() if isinstance(x, torch.Tensor)]
    dtype = next((x.dtype for x in tensors if x.dtype in FLOATS | _HALF), torch.float64)
    found = []
    for name, x in zip(row.arguments, inputs, strict=True):
        if not isinstance(x, torch.Tensor):
            is_array = isinstance(x, np.ndarray)
            try:
                array = np.asarray(x)
                x = torch.from_numpy(array) if is_array else torch.as_tensor(array)
            except (TypeError, ValueError) as error:
                raise type(error)(f"{row.name}: {name} is no tensor: {error}") from None
            x = x.to(dtype) if not is_array and x.is_floating_point() else x
        found.append(x)
    return found


# Under torch.autocast, losses are computed in float32, as those of torch.nn are.


def _is_autocast(x: torch.Tensor) -> bool:
    return x.is_cpu and x.dtype in _HALF and torch.is_autocast_enabled("cpu")


def _wide(x: Any) -> Any:
    return x.float() if isinstance(x, torch.Tensor) and x.dtype in _HALF else x


def _wide_keywords(keywords: dict[str, Any]) -> dict[str, Any]:
    return {key: _wide(x) for key, x in keywords.items()}


def _check_keywords(
    row: Loss, inputs: Sequence[torch.Tensor], keywords: dict[str, Any]
) -> dict[str, Any]:
    """Keywords as nllkern takes them: tensors where arrays belong, Python's numbers elsewhere."""
    name, found = row.name, {}
    for key, x in keywords.items():
        option = option_of(row, key)
        if isinstance(x, torch.Tensor):
            if _is_autocast(x):
                x = x.float()
            if x.requires_grad or not x.is_cpu or x.dtype in _UNREADABLE:
                _refuse(name, key, x)
            if option.kind not in ARRAY_KINDS:
                x = plain(name, key, option, x)
        found[key] = x
    for k, x in enumerate(inputs[: len(row.parameters)]):
        if x.requires_grad and is_fixed(row, found, k):
            _refuse(name, row.arguments[k], x)
    return found


def _one_for_each(row: Loss, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Inputs of which each sample has its own where a gradient is needed, for reduction="none"."""
    shapes = [tuple(x.shape) for x in inputs]
    shape, found = loss_shape(row, shapes), list(inputs)
    for k, x in enumerate(inputs):
        if x.requires_grad and is_shared(row, shapes, k):
            if row.kind == "contrastive":
                raise ValueError(
                    f"{row.name}: all samples share {row.arguments[k]}, so it has no gradient for "
                    "each of them with reduction='none': use another reduction"
                )
            found[k] = x.expand(shape + shapes[k])
    return found


FUNCTIONS = {name: _function(row) for name, row in ROWS.items()}
