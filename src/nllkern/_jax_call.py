"""The losses as a custom call of XLA, or through Python where there is none."""

import math
from ctypes import CDLL
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.ffi
import jax.numpy as jnp
import numpy as np

from . import _compiled, lowlevel
from ._adapters import ARRAY_KINDS, Spec, is_shared, loss_shape, powers
from ._losses import loss_named
from .tables import LOSSES


@cache
def using_ffi() -> bool:
    """Whether the custom call of XLA is there; the first call compiles it if it has to."""
    if _compiled.way() == "0":
        return False
    try:
        library = CDLL(str(_library()))
    except OSError:
        return False
    jax.ffi.register_ffi_target(
        "nllkern_loss", jax.ffi.pycapsule(library.nllkern_jax), platform="cpu"
    )
    return True


def _library() -> Path:
    """The compiled handler, from the cache if it is there."""
    flags = ("-std=c++17", "-O2", f"-I{jax.ffi.include_dir()}")
    return _compiled.compile_now(_compiled.program("jax", jax.__version__, flags, "_jax_ffi.cc"))


# ---- what the custom call is told ----


def _outputs(spec: Spec, inputs: tuple[Any, ...], want: bool) -> list[jax.ShapeDtypeStruct]:
    """Shape and dtype of the value and of the gradients."""
    parameters = inputs[: len(spec.row.parameters)] if want else ()
    shapes = [spec.shape(inputs), *(x.shape for x in parameters)]
    return [jax.ShapeDtypeStruct(s, inputs[0].dtype) for s in shapes]


def run(spec: Spec, inputs: tuple[Any, ...], arrays: dict[str, Any], want: bool) -> tuple[Any, ...]:
    """(value, gradients if they are wanted), traced; dtypes and shapes have been checked."""
    results = _outputs(spec, inputs, want)
    if spec.in_c and using_ffi():
        return tuple(_custom_call(spec, inputs, arrays, want, results))
    call = partial(_by_numpy, spec, want)
    found = jax.pure_callback(call, results, inputs, arrays, vmap_method="sequential")
    return tuple(found)


def _custom_call(
    spec: Spec,
    inputs: tuple[Any, ...],
    arrays: dict[str, Any],
    want: bool,
    results: list[jax.ShapeDtypeStruct],
) -> Any:
    row, shapes, target = spec.row, [x.shape for x in inputs], inputs[-1]
    has_classes = bool(row.targets) and jnp.issubdtype(target.dtype, jnp.floating)
    by_kind = {row.option(key).kind: x for key, x in arrays.items()}  # type: ignore[union-attr]
    given = [kind for kind in ARRAY_KINDS if kind in by_kind]
    shared = [is_shared(row, shapes, k) for k in range(len(inputs))]
    options = lowlevel.Options(want=want, shared=sum(s << k for k, s in enumerate(shared)))
    options.set(row.name, **dict(spec.constants))
    if row.targets:
        options.target = lowlevel.TARGETS[target.dtype.name]
    if "per_sample" in by_kind:
        options.extra_period = max(by_kind["per_sample"].size, 1)
    call = [
        LOSSES.index(row),
        inputs[0].dtype == jnp.float64,
        math.prod(loss_shape(row, shapes)),
        0 if row.kind == "pointwise" else shapes[0][-1],
        len(results[0].shape),
        sum(1 << ARRAY_KINDS.index(kind) for kind in given),
        *(power + 4 * s for power, s in zip(powers(row, has_classes), shared, strict=True)),
    ]
    return jax.ffi.ffi_call("nllkern_loss", results, vmap_method="expand_dims")(
        *inputs,
        *(by_kind[kind] for kind in given),
        loss=row.name,
        options=np.frombuffer(bytes(options), np.int64),
        call=np.array(call, np.int64),
    )


def _by_numpy(spec: Spec, want: bool, inputs: Any, arrays: Any) -> tuple[Any, ...]:
    """The same by nllkern's Python functions."""
    loss, dtype = loss_named(spec.name), inputs[0].dtype
    inputs = [np.asarray(x) for x in inputs]
    keywords = dict(spec.constants) | {key: np.asarray(x) for key, x in arrays.items()}
    if not want:
        return (np.asarray(loss(*inputs, **keywords), dtype),)
    value, grads = loss.value_and_grad(*inputs, **keywords)
    grads = grads if isinstance(grads, tuple) else (grads,)
    grads = [
        np.full(x.shape, np.nan, dtype) if grad is None else np.asarray(grad, dtype)
        for x, grad in zip(inputs, grads, strict=False)
    ]
    return np.asarray(value, dtype), *grads
