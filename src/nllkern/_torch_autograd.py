"""Calls of nllkern with PyTorch's tensors: as an operator, and as functions that autograd knows."""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch._functorch.utils import unwrap_dead_wrappers

from . import _second_order as second_order
from . import _torch_extension as extension
from ._adapters import ARRAY_KINDS, ROWS, Spec, option_of, plain, times_upstream
from ._engine import get_num_threads, prefer_openmp
from ._losses import loss_named

FLOATS = {torch.float32, torch.float64}
_BATCHED = torch._C._dispatch_key_parse("Batched")  # of is_grads_batched=True


# ---- calls of nllkern ----


def _with_threads(keywords: dict[str, Any]) -> dict[str, Any]:
    """Keywords that let a call have no more threads than PyTorch has."""
    threads = torch.get_num_threads()
    if threads >= get_num_threads():
        return keywords
    return {"num_threads": threads, **keywords}


def _arrays(inputs: Sequence[torch.Tensor]) -> list[Any]:
    """The same memory as arrays.  `data` is `detach()` in half the time; nothing writes to it."""
    return [x.data.numpy() for x in inputs]


def _dtype(inputs: Sequence[torch.Tensor], keywords: dict[str, Any]) -> torch.dtype:
    """The dtype in which the loss is computed: that of the tensors of floats, as NumPy has it."""
    for x in inputs:
        if x.dtype in FLOATS:
            return x.dtype
    wanted = [x.dtype for x in keywords.values() if isinstance(x, np.ndarray)]
    return torch.float32 if np.dtype(np.float32) in wanted else torch.float64


def _tensor(x: Any, dtype: torch.dtype) -> torch.Tensor:
    """A result of nllkern: an array, whose memory the tensor shares, or a number."""
    return torch.from_numpy(x) if isinstance(x, np.ndarray) else torch.scalar_tensor(x, dtype=dtype)


def _call(function: Any, inputs: Sequence[torch.Tensor], keywords: dict[str, Any]) -> Any:
    """A call on OpenMP's threads, which PyTorch has woken, unless the user chose others."""
    before = prefer_openmp(True)
    try:
        return function(*_arrays(inputs), **_with_threads(keywords))
    finally:
        prefer_openmp(before)


def value_of(loss: Any, inputs: Sequence[torch.Tensor], keywords: dict[str, Any]) -> torch.Tensor:
    value = _call(loss, inputs, keywords)
    return _tensor(value, _dtype(inputs, keywords))


def _run(
    value_and_grad: Any, inputs: Sequence[torch.Tensor], keywords: dict[str, Any]
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The value and the gradients by the parameters."""
    value, grads = _call(value_and_grad, inputs, keywords)
    dtype = _dtype(inputs, keywords)
    if isinstance(grads, tuple):
        return _tensor(value, dtype), [_tensor(g, dtype) for g in grads if g is not None]
    return _tensor(value, dtype), [_tensor(grads, dtype)]


# ---- a call as an operator takes it: a name, texts and tensors ----


def split(name: str, keywords: dict[str, Any]) -> tuple[Spec, list[torch.Tensor]]:
    """Keywords as constants and tensors."""
    row, constants, arrays = ROWS[name], {}, {}
    for key, x in keywords.items():
        option = option_of(row, key)
        is_array = isinstance(x, (torch.Tensor, np.ndarray, list, tuple))
        if is_array and option.kind in ARRAY_KINDS:
            arrays[key] = x if isinstance(x, torch.Tensor) else torch.as_tensor(x)
        else:
            constants[key] = plain(name, key, option, x)
    return Spec(name, tuple(constants.items()), tuple(arrays)), list(arrays.values())


@torch.compiler.assume_constant_result
def _text(*spec: Any) -> str:
    """What a Spec holds as an operator takes it."""
    return json.dumps(spec)


@lru_cache(1024)
def _spec(text: str) -> Spec:
    name, constants, keys, by_target = json.loads(text)
    return Spec(name, tuple((key, x) for key, x in constants), tuple(keys), by_target)


def _compute(spec: Spec, tensors: Sequence[torch.Tensor], want: bool) -> list[torch.Tensor]:
    """The value and, if wanted, the gradients."""
    count = len(spec.row.arguments)
    arrays = dict(zip(spec.keys, _arrays(tensors[count:]), strict=True))
    keywords, inputs = dict(spec.constants) | arrays, tensors[:count]
    loss = loss_named(spec.name)
    if not want:
        return [value_of(loss, inputs, keywords)]
    value, grads = _run(loss.value_and_grad, inputs, keywords)
    if spec.by_target:
        call = _call_of(spec, tensors, value.dtype)
        grads.append(second_order.by_target(_LIBRARY, call))
    return [value, *grads]


# This kernel serves where there is none for the CPU: until the extension has been loaded.
_OPERATORS = torch.library.Library("nllkern", "FRAGMENT")
_OPERATORS.define(
    "loss(str spec, Tensor[] tensors, bool want) -> Tensor[]", tags=(torch.Tag.pt2_compliant_tag,)
)


@torch.library.impl(_OPERATORS, "loss", "CompositeExplicitAutograd")
def _op(spec: str, tensors: Sequence[torch.Tensor], want: bool) -> list[torch.Tensor]:
    return _compute(_spec(spec), tensors, want)


@torch.library.register_fake("nllkern::loss", lib=_OPERATORS)
def _(spec: str, tensors: Sequence[torch.Tensor], want: bool) -> list[torch.Tensor]:
    call = _spec(spec)
    floats = [x for x in tensors if x.dtype in FLOATS]
    like = floats[0] if floats else tensors[0].to(torch.float64)
    grads = [like.new_empty(tensors[k].shape) for k in call.places()] if want else []
    return [like.new_empty(call.shape(tensors)), *grads]


def results_of(spec: Spec, tensors: Sequence[torch.Tensor], want: bool) -> list[torch.Tensor]:
    if torch.compiler.is_compiling():
        text = _text(*spec)
        found: list[torch.Tensor] = torch.ops.nllkern.loss(text, list(tensors), want)
        return found
    return _compute(spec, tensors, want)


# ---- autograd ----


class _WithGrads(torch.autograd.Function):
    """(value, gradients), all of which can be differentiated."""

    @staticmethod
    def forward(spec: Spec, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(results_of(spec, tensors, True))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, ...]) -> None:
        spec, *tensors = inputs
        ctx.spec = spec
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors, *output[1:])
        ctx.save_for_forward(*tensors, *output[1:])

    @staticmethod
    def backward(ctx: Any, upstream: Any, *directions: Any) -> tuple[Any, ...]:
        places = ctx.spec.places()
        tensors = ctx.saved_tensors[: -len(places)]
        moves = dict(zip(places, directions, strict=True))
        found = _first_order(ctx, upstream)
        wanted = [k for k, needed in enumerate(ctx.needs_input_grad[1:]) if needed]
        for k, second in _along(ctx.spec, tensors, moves, wanted).items():
            found[1 + k] = second if found[1 + k] is None else found[1 + k] + second
        return tuple(found)


def _first_order(ctx: Any, upstream: Any) -> list[Any]:
    """The gradients by the inputs of _WithGrads, from the value's alone."""
    needs, spec, places = ctx.needs_input_grad[1:], ctx.spec, ctx.spec.places()
    spec.expect_gradients(needs, _names(spec), "{}.detach()")
    found: list[Any] = [None] * (1 + len(needs))
    if upstream is None:
        return found
    grads, target = ctx.saved_tensors[-len(places) :], len(spec.row.parameters)
    if target not in places and any(needs[target:]):
        grads = _with_target(spec, ctx.saved_tensors[: -len(places)])
        places = [*places, target]
    for k, grad in zip(places, grads, strict=True):
        if needs[k]:
            found[1 + k] = times_upstream(grad, upstream)
    return found


def _names(spec: Spec) -> tuple[str, ...]:
    """Of the tensors of a call."""
    return (*spec.row.arguments, *spec.keys)


def _with_target(spec: Spec, tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The gradients by the parameters and that by the target, which is computed if it is needed."""
    spec = spec._replace(by_target=True)
    if torch.compiler.is_compiling():
        return results_of(spec, tensors, True)[1:]
    return list(Transformed.apply(spec, *tensors)[1:])


class Transformed(_WithGrads):
    """The same for torch.func: forward mode, and batches of calls."""

    @staticmethod
    def jvp(ctx: Any, _: Any, *tangents: Any) -> tuple[Any, ...]:
        spec, places = ctx.spec, ctx.spec.places()
        tensors = ctx.saved_tensors[: -len(places)]
        moves = {k: x for k, x in enumerate(tangents) if x is not None}
        spec.expect_gradients(
            [k in moves for k in range(len(tensors))], _names(spec), "{}.detach()"
        )
        target = len(spec.row.parameters)
        by_target = spec._replace(by_target=spec.by_target or target in moves)
        # Saved ones have no tangents of their own.
        grads = dict(
            zip(by_target.places(), Transformed.apply(by_target, *tensors)[1:], strict=True)
        )
        value = grads[places[0]].new_zeros(spec.shape(tensors))
        for k, direction in moves.items():
            product = grads[k] * direction
            value = value + product.sum(tuple(range(value.ndim, product.ndim)))
        second = _along(spec, tensors, moves, places)
        return value, *(second.get(k, torch.zeros_like(grads[k])) for k in places)

    @staticmethod
    def vmap(info: Any, in_dims: Any, spec: Spec, *tensors: torch.Tensor) -> tuple[Any, Any]:
        calls = []
        for k in range(info.batch_size):
            given = [
                x if d is None else x.select(d, k)
                for x, d in zip(tensors, in_dims[1:], strict=True)
            ]
            calls.append(Transformed.apply(spec, *given))
        if not calls:
            places = [tensors[k].shape for k in spec.places()]
            return tuple(tensors[0].new_empty((0, *s)) for s in (spec.shape(tensors), *places)), 0
        outputs = tuple(torch.stack(x) for x in zip(*calls, strict=True))
        return outputs, (0,) * len(outputs)


class Compiled(_WithGrads):
    """The same for torch.compile, which differentiates once."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, ...]) -> None:
        _WithGrads.setup_context(ctx, inputs, output)
        ctx.mark_non_differentiable(*output[1:])

    @staticmethod
    def backward(ctx: Any, upstream: Any, *_: Any) -> tuple[Any, ...]:
        return tuple(_first_order(ctx, upstream))


def _along(
    spec: Spec, tensors: Sequence[torch.Tensor], moves: dict[int, Any], wanted: Sequence[int]
) -> dict[int, torch.Tensor]:
    """The derivatives of the gradients by the inputs wanted, along directions in some inputs."""
    numbers = [k for k, x in moves.items() if x is not None]
    if not numbers:
        return {}
    # A pullback may be called after its level of torch.func has ended, and levels begin below.
    tensors = unwrap_dead_wrappers(tuple(tensors))
    given = unwrap_dead_wrappers(tuple(moves[k] for k in numbers))
    dtype = given[0].dtype
    directions: list[Any] = [None] * len(spec.row.arguments)
    for k, x in zip(numbers, given, strict=True):
        directions[k] = x
    found = second_order.along(_LIBRARY, _call_of(spec, tensors, dtype), directions, wanted)
    return {k: x.to(dtype) for k, x in zip(wanted, found, strict=True)}


def _call_of(spec: Spec, tensors: Sequence[torch.Tensor], dtype: torch.dtype) -> second_order.Call:
    row = spec.row
    count, number = len(row.arguments), len(row.parameters)
    inputs = [x.to(dtype) for x in tensors[:number]]
    target = tensors[number] if count > number else None
    is_index = "index" in row.targets and target is not None and target.ndim < inputs[0].ndim
    if target is not None and not is_index:
        target = target.to(dtype)
    arrays = {key: x.to(dtype) for key, x in zip(spec.keys, tensors[count:], strict=True)}
    return second_order.Call(row, dict(spec.constants), inputs, target, arrays)


def _hvp(f: Any, at: list[torch.Tensor], directions: list[torch.Tensor]) -> list[torch.Tensor]:
    """The Hessian of a function, which is symmetric, times directions."""
    gradient = torch.func.grad(f, tuple(range(len(at))))
    pull = torch.func.vjp(gradient, *at)[1]
    return list(pull(tuple(directions)))


_LIBRARY = second_order.ArrayLibrary(
    torch,
    lambda x: torch.tensor(x, dtype=torch.float64),
    torch.logsumexp,
    lambda n, x: torch.polygamma(n, x) if n >= 0 else torch.lgamma(x),
    lambda a, b: torch.linalg.solve_triangular(a, b, upper=False),
    lambda edges, y: torch.searchsorted(
        torch.tensor(edges, dtype=y.dtype), y.contiguous(), right=True
    ),
    torch.func.grad,
    _hvp,
)


class _Plain(torch.autograd.Function):
    """One pass and nothing else: a small batch feels every step."""

    @staticmethod
    def forward(
        ctx: Any, name: str, value_and_grad: Any, keywords: dict[str, Any], *inputs: torch.Tensor
    ) -> torch.Tensor:
        value, grads = _run(value_and_grad, inputs, keywords)
        ctx.kept = grads, name, keywords
        ctx.save_for_backward(*inputs)
        return value

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[Any, ...]:
        # The gradients are given away: autograd then need not copy them.  A second backward call
        # over a graph that was retained, and one that is to be differentiated, compute them anew.
        grads, name, keywords = ctx.kept
        ctx.kept = None, name, keywords
        _, _, _, *needs = ctx.needs_input_grad
        by_target = any(needs[len(ROWS[name].parameters) :])
        differentiate = torch.is_grad_enabled()  # create_graph=True
        if differentiate or grads is None or by_target:
            spec, arrays = split(name, keywords)
            spec = spec._replace(by_target=by_target)
            grads = list(_WithGrads.apply(spec, *ctx.saved_tensors, *arrays)[1:])
        is_batch = torch._C._dispatch_keys(upstream).has(_BATCHED)
        if differentiate or is_batch or upstream.ndim > 0 or upstream.item() != 1:
            grads = [times_upstream(grad, upstream) for grad in grads]
        first = len(grads) - by_target  # between them: those without a gradient
        grads[first:first] = [None] * (len(needs) - len(grads))
        return None, None, None, *[g if x else None for g, x in zip(grads, needs, strict=True)]


# apply() less its provisions for torch.func, which take 5 us where the whole call takes 30.
plain_apply = super(torch.autograd.Function, _Plain).apply


# ---- what the extension calls ----


def _again(
    spec: str, tensors: tuple[torch.Tensor, ...], needs: tuple[bool, ...], upstream: torch.Tensor
) -> list[Any]:
    """The gradients by the parameters anew, times the upstream one: they can be differentiated."""
    grads = _WithGrads.apply(_spec(spec), *tensors)[1:]
    found = [times_upstream(g, upstream) if x else None for g, x in zip(grads, needs, strict=False)]
    return found + [None] * (len(needs) - len(found))


extension.connect(_again, _op)
