"""The losses on JAX arrays on the CPU: under ``jit``, ``grad`` and ``vmap``, without a copy.

Every function has the name and the keywords of nllkern's loss (but for ``out``) and
returns an array.  Value and gradient come from one pass, in the rule of the derivative; derivatives
of gradients, and those by targets of floats, come from the formulas of the losses.  Differentiating
by weights or other options is an error.

On first use a small C++ file is compiled against the installed jaxlib and kept in the user's cache
folder (``XDG_CACHE_HOME``).  Without a C++ compiler, and for ``info_nce``, ``binned_cross_entropy``
and a fixed covariance, the arrays go through Python: ``using_ffi()`` tells.

>>> import jax, nllkern.jax
>>> loss, grad = jax.value_and_grad(nllkern.jax.cross_entropy)(logits, target)
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

try:
    import jax
    import jax.ffi
    import jax.numpy as jnp
except ImportError as error:
    raise ImportError("nllkern.jax needs JAX 0.5 or newer: pip install 'nllkern[jax]'") from error

import numpy as np
from jax.custom_derivatives import SymbolicZero
from jax.scipy import special

from . import _second_order as second_order
from ._adapters import (
    ARRAY_KINDS,
    ROWS,
    Spec,
    empty_inputs,
    expect_count,
    expect_shapes,
    is_shared,
    loss_shape,
    option_of,
    plain,
)
from ._jax_call import run, using_ffi
from ._losses import loss_named
from .tables import Loss

# ---- arguments ----


def _default_dtype() -> np.dtype[Any]:
    """The dtype of numbers: float64 with jax_enable_x64, in this thread, else float32."""
    return np.dtype(jnp.result_type(float))


class _Argument:
    """An input or an array option: what was given, and the dtype that it has of its own."""

    def __init__(self, row: Loss, name: str, x: Any) -> None:
        self.name = name
        holds_jax = isinstance(x, (list, tuple)) and any(
            isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(x)
        )
        self.x: Any
        self.has_dtype = not isinstance(x, (int, float, list, tuple)) or isinstance(x, bool)
        if isinstance(x, jax.Array):
            self.has_dtype = not x.weak_type
            self.x = x
        elif isinstance(x, np.ma.MaskedArray):
            raise TypeError(
                f"{row.name}: {name} is a masked array, whose mask would be ignored: pass its "
                "data, and 0 in sample_weight for the masked samples"
            )
        else:
            try:
                self.x = jnp.asarray(x) if holds_jax else np.asarray(x)
            except (ValueError, TypeError) as error:
                raise type(error)(f"{row.name}: {name} is no array: {error}") from None
        self.shape: tuple[int, ...] = self.x.shape
        self.dtype = self.x.dtype
        if self.dtype == np.float64:
            self.dtype = _default_dtype()

    @property
    def is_float(self) -> bool:
        """Whether it is of one of the dtypes in which a loss is computed."""
        return self.dtype in (np.float32, np.float64)

    @property
    def is_integer(self) -> bool:
        """Whether NumPy knows it as an integer."""
        return self.dtype.kind in "iu"

    def as_float(self, dtype: Any) -> jax.Array:
        """The numbers in the dtype of the call, however large the integers are."""
        return jnp.asarray(self.x.astype(dtype))

    def as_index(self) -> jax.Array:
        """Class indices in one of the two dtypes that C reads; none comes into range on the way."""
        wide = np.dtype(np.int64 if _default_dtype() == np.float64 else np.int32)
        narrow = self.dtype.itemsize < 4 or self.dtype == np.int32
        to: Any = np.dtype(np.int32) if narrow else wide
        x, limits, own = self.x, np.iinfo(to), np.iinfo(self.dtype)
        if own.max > limits.max:
            x = (jnp if isinstance(x, jax.Array) else np).clip(
                x, max(limits.min, own.min), limits.max
            )
        return jnp.asarray(x.astype(to))


def _dtype_of_call(arguments: list[_Argument]) -> Any:
    """The dtype of the first argument that has one: validation refuses a second one."""
    own = (a.dtype for a in arguments if a.has_dtype and a.is_float)
    return np.dtype(next(own, _default_dtype()))


def _expect_cpu(name: str, what: str, x: jax.Array) -> None:
    if isinstance(x, jax.core.Tracer):
        return
    platforms = {device.platform for device in x.devices()}
    if platforms != {"cpu"}:
        raise ValueError(
            f"{name}: {what} is on {', '.join(sorted(platforms))}, expected the CPU: "
            f"use jax.device_put({what}, jax.devices('cpu')[0])"
        )


@lru_cache(1024)
def _validate(spec: Spec, described: tuple[Any, ...], types: Any) -> None:
    """Shapes here; dtypes and constants by nllkern itself, of a batch without samples."""
    row, count = spec.row, len(spec.row.arguments)
    shapes = {name: shape for name, shape, _ in described}
    dtypes = [dtype for _, _, dtype in described]
    is_index = "index" in row.targets and dtypes[count - 1].kind in "iu"
    expect_shapes(row, shapes, is_index)
    inputs = empty_inputs(row, list(shapes.values())[:count], dtypes[:count])
    arrays = {}
    for name, shape, dtype in described[count:]:
        option = row.option(name)
        whole = option is not None and option.kind == "per_class"
        arrays[name] = np.ones(shape if whole else (0,) * bool(shape), dtype)
    loss_named(spec.name)(*inputs, **dict(spec.constants), **arrays)


def _constant(row: Loss, key: str, x: Any) -> Any:
    """An option that is no array, which has to be known when the call is traced."""
    option = option_of(row, key)
    leaves = jax.tree.leaves(x)
    if any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
        what = "array" if option.kind == "edges" else "number"
        raise TypeError(
            f"{row.name}: {key} is traced by JAX, expected a Python {what} "
            f"({option.words}): options that are no arrays are constants of a compiled function"
        )
    return plain(row.name, key, option, x)


def _prepare(row: Loss, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[Any, ...]:
    """What a call is given, validated and converted: Spec, parameters, other inputs, arrays."""
    expect_count(row, inputs)
    arguments = [_Argument(row, *pair) for pair in zip(row.arguments, inputs, strict=True)]
    constants = []
    for key, x in keywords.items():
        kind = option_of(row, key).kind
        has_axes = isinstance(x, (jax.core.Tracer, list, tuple)) or np.ndim(x) > 0
        is_number = kind == "per_sample" and not has_axes
        if kind not in ARRAY_KINDS or is_number:
            constants.append((key, _constant(row, key, x)))
        elif x is not None:
            arguments.append(_Argument(row, key, x))
    spec, dtype = Spec(row.name, tuple(constants)), _dtype_of_call(arguments)
    described = tuple(
        (a.name, a.shape, a.dtype if a.has_dtype or not a.is_float else dtype) for a in arguments
    )
    _validate(spec, described, tuple(type(x) for _, x in constants))
    converted, count = {}, len(row.parameters)
    for a in arguments:
        is_index = a.name == "target" and "index" in row.targets and a.is_integer
        x = a.as_index() if is_index else a.as_float(dtype)
        _expect_cpu(row.name, a.name, x)
        converted[a.name] = x
    given = [converted.pop(name) for name in row.arguments]
    shape = loss_shape(row, [x.shape for x in given])
    for key, x in converted.items():
        if x.ndim and option_of(row, key).kind == "per_sample" and x.shape != shape[-x.ndim :]:
            converted[key] = jnp.broadcast_to(x, shape)
    return spec, tuple(given[:count]), tuple(given[count:]), converted


# ---- differentiation ----


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _value(spec: Spec, parameters: Any, rest: Any, arrays: Any) -> jax.Array:
    """The value alone."""
    value: jax.Array = run(spec, (*parameters, *rest), arrays, False)[0]
    return value


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _value_and_grad(spec: Spec, parameters: Any, rest: Any, arrays: Any) -> tuple[jax.Array, Any]:
    """The value and the gradients by the parameters, from one pass, and that by the target."""
    value, *grads = run(spec, (*parameters, *rest), arrays, True)
    if spec.by_target:
        call = _call_of(spec, parameters, rest, arrays)
        grads.append(second_order.by_target(_LIBRARY, call))
    return value, tuple(grads)


def _moving(spec: Spec, tangents: Any) -> tuple[Spec, list[Any]]:
    """A Spec with the gradients that are needed, and the directions of the inputs (None: 0)."""

    def direction(t: Any) -> Any:
        still = isinstance(t, SymbolicZero) or t.dtype == jax.dtypes.float0
        return None if still else t

    directions = [direction(t) for t in (*tangents[0], *tangents[1])]
    others = {name: direction(t) for name, t in tangents[2].items()}
    names, all_of = (*spec.row.arguments, *others), (*directions, *others.values())
    spec.expect_gradients([t is not None for t in all_of], names, "jax.lax.stop_gradient({})")
    of_target = directions[len(tangents[0]) :]
    by_target = spec.by_target or any(t is not None for t in of_target)
    return spec._replace(by_target=by_target), directions


def _value_jvp(spec: Spec, primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    parameters, rest, arrays = primals
    spec, directions = _moving(spec, tangents)
    if spec.reduction == "none" and spec.row.kind == "contrastive":  # which see each other
        f = partial(_samples, spec, rest, arrays)
        moves = tuple(
            jnp.zeros_like(x) if t is None else t
            for x, t in zip(parameters, directions, strict=True)
        )
        return _value(spec, *primals), jax.jvp(f, parameters, moves)[1]
    if spec.reduction == "none":
        inputs = _one_for_each(spec.row, (*parameters, *rest))
        parameters, rest = inputs[: len(parameters)], inputs[len(parameters) :]
    value, grads = _value_and_grad(spec, parameters, rest, arrays)
    return value, _along(value, grads, directions)


def _one_for_each(row: Loss, inputs: Any) -> tuple[jax.Array, ...]:
    """Inputs of which each sample has its own, so that each has its own derivative."""
    shapes = [x.shape for x in inputs]
    shape = loss_shape(row, shapes)
    return tuple(
        jnp.broadcast_to(x, shape + x.shape)
        if row.kind != "contrastive" and is_shared(row, shapes, k)
        else x
        for k, x in enumerate(inputs)
    )


def _along(value: jax.Array, grads: Any, directions: list[Any]) -> jax.Array:
    """The derivative of the value (or values) along directions, from the gradients."""
    found = jnp.zeros_like(value)
    for grad, direction in zip(grads, directions, strict=False):
        if direction is not None:
            product = grad * direction
            found += product.sum(tuple(range(value.ndim, product.ndim)))
    return found


def _value_and_grad_jvp(spec: Spec, primals: Any, tangents: Any) -> tuple[Any, Any]:
    parameters, rest, arrays = primals
    more, directions = _moving(spec, tangents)
    value, grads = _value_and_grad(more, parameters, rest, arrays)
    first = _along(value, grads, directions)
    grads = grads[: len(parameters) + spec.by_target]
    call = _call_of(spec, parameters, rest, arrays)
    second = [jnp.zeros_like(grad) for grad in grads]
    places = spec.places()
    for k, x in zip(places, second_order.along(_LIBRARY, call, directions, places), strict=True):
        second[k] = x
    return (value, grads), (first, tuple(second))


def _samples(spec: Spec, rest: Any, arrays: Any, *parameters: Any) -> Any:
    """The losses of the samples by their formula."""
    return second_order.samples(_LIBRARY, _call_of(spec, parameters, rest, arrays))


def _call_of(spec: Spec, parameters: Any, rest: Any, arrays: Any) -> second_order.Call:
    target = rest[0] if rest else None
    return second_order.Call(spec.row, dict(spec.constants), parameters, target, arrays)


def _hvp(f: Any, at: list[Any], directions: list[Any]) -> list[Any]:
    """The Hessian of a function times directions."""
    gradient = jax.grad(lambda x: f(*x))
    found: list[Any] = jax.jvp(gradient, (at,), (directions,))[1]
    return found


_LIBRARY = second_order.ArrayLibrary(
    jnp,
    float,
    special.logsumexp,
    lambda n, x: (
        special.polygamma(n, x) if n > 0 else special.digamma(x) if n == 0 else special.gammaln(x)
    ),
    lambda a, b: jax.scipy.linalg.solve_triangular(a, b, lower=True),
    lambda edges, y: jnp.searchsorted(jnp.asarray(edges, y.dtype), y, side="right"),
    jax.grad,
    _hvp,
)


_value.defjvp(_value_jvp, symbolic_zeros=True)
_value_and_grad.defjvp(_value_and_grad_jvp, symbolic_zeros=True)


# ---- the public functions ----


def _function(row: Loss) -> Callable[..., jax.Array]:
    def call(*inputs: Any, **keywords: Any) -> jax.Array:
        return _value(*_prepare(row, inputs, keywords))

    call.__name__ = call.__qualname__ = row.name
    call.__module__ = __name__
    call.__doc__ = f"``nllkern.{row.name}`` of JAX arrays, differentiable.  See its documentation."
    return call


if TYPE_CHECKING:

    def __getattr__(name: str) -> Callable[..., jax.Array]: ...


globals().update({name: _function(row) for name, row in ROWS.items()})

__all__ = ["using_ffi", *ROWS]
