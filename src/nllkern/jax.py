"""The losses on JAX arrays on the CPU: under ``jit``, ``grad`` and ``vmap``, without a copy.

Every function has the name and the keywords of nllkern's loss (but for ``out`` and ``check``) and
returns an array.  Value and gradient come from one pass, in the forward rule.

On first use a small C++ file is compiled against the installed jaxlib and kept in the user's cache
folder (``XDG_CACHE_HOME``).  Without a C++ compiler, and for ``info_nce``, ``binned_cross_entropy``
and a fixed covariance, the arrays go through Python: ``using_ffi()`` tells.

>>> import jax, nllkern.jax
>>> loss, grad = jax.value_and_grad(nllkern.jax.cross_entropy)(logits, target)
"""

import hashlib
import math
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from ctypes import CDLL
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

try:
    import jax
    import jax.ffi
    import jax.numpy as jnp
except ImportError as error:
    raise ImportError("nllkern.jax needs JAX 0.5 or newer: pip install 'nllkern[jax]'") from error

import numpy as np

from . import lowlevel
from ._adapters import LEFT_OUT, expect_count, is_shared, loss_shape, times_upstream
from ._config import ANSWERS
from ._losses import loss_infos, loss_named
from ._show import __version__

_INFO = {info.name: info for info in loss_infos()}
_ARRAYS = ("sample_weight", "class_weight", "extra")  # in the order of _jax_ffi.cc


# ---- the custom call ----


@cache
def using_ffi() -> bool:
    """Whether the custom call of XLA is there; the first call compiles it if it has to."""
    try:
        library = CDLL(str(_library()))
    except (OSError, subprocess.CalledProcessError):
        return False
    jax.ffi.register_ffi_target(
        "nllkern_loss", jax.ffi.pycapsule(library.nllkern_jax), platform="cpu"
    )
    return True


def _library() -> Path:
    """The compiled handler, from the cache if it is there."""
    source = Path(__file__).parent / "_jax_ffi.cc"
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        raise OSError("no C++ compiler")
    parts = (source.read_text(), jax.__version__, __version__, __file__, compiler)
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    cache_home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    target = Path(cache_home) / "nllkern" / f"jax-{key}.so"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        built = Path(folder) / target.name
        flags = ["-std=c++17", "-O2", "-shared", "-fPIC", f"-I{jax.ffi.include_dir()}"]
        flags += [ANSWERS["cflags"][0], str(source), "-o", str(built), *ANSWERS["libs"][0].split()]
        subprocess.run([compiler, *flags], check=True, capture_output=True)
        built.replace(target)  # at once: others may be compiling too
    return target


def _options(
    name: str, inputs: tuple[Any, ...], keywords: dict[str, Any], want: bool
) -> lowlevel.Options:
    """Keywords as the options of the C function."""
    info, target = _INFO[name], inputs[-1]
    options = lowlevel.Options(want=want)
    for key, x in keywords.items():
        if x is None:
            continue
        if key == "reduction":
            options.reduction = lowlevel.REDUCTIONS.index(x)
        elif key == "link" and info.kind != "rowwise":
            options.link = lowlevel.LINKS.index(x)
        elif key in ("link", "variant"):
            options.variant = lowlevel.VARIANTS[x]
        elif key == "full":
            options.drop_constants = not x
        elif key == "ignore_index":
            options.has_ignore_index, options.ignore_index = True, x
        elif key == "df_link":
            options.own_link = lowlevel.LINKS.index(x)
        else:
            setattr(options, key, x)
    if info.kind == "rowwise":
        if jnp.issubdtype(target.dtype, jnp.floating):
            options.target = lowlevel.TARGET_PROBABILITIES
        elif target.dtype == jnp.int32:
            options.target = lowlevel.TARGET_INT32
    options.shared = sum(is_shared(info, inputs, k) << k for k in range(len(inputs) - 1))
    if info.kind == "pointwise":
        options.shared |= is_shared(info, inputs, len(inputs) - 1) << 3
    return options


def _plain(name: str, keywords: dict[str, Any]) -> bool:
    """Whether the custom call knows all that is asked for."""
    python = _INFO[name].kind == "contrastive" or "edges" in keywords
    return not python and keywords.get("link") != "covariance"


def _outputs(
    name: str, inputs: tuple[Any, ...], reduction: str, want: bool
) -> list[jax.ShapeDtypeStruct]:
    """Shape and dtype of the value and of the gradients."""
    shape = loss_shape(_INFO[name], inputs) if reduction == "none" else ()
    parameters = inputs[: len(_INFO[name].parameters)] if want else ()
    shapes = [shape, *(x.shape for x in parameters)]
    return [jax.ShapeDtypeStruct(s, inputs[0].dtype) for s in shapes]


def _run(
    name: str,
    keywords: dict[str, Any],
    inputs: tuple[Any, ...],
    arrays: dict[str, Any],
    want: bool,
) -> Any:
    """(value, gradients...), traced."""
    reduction = keywords.get("reduction", "mean")
    results = _outputs(name, inputs, reduction, want)
    if _plain(name, keywords) and using_ffi():
        known = {key if key in _ARRAYS else "extra": x for key, x in arrays.items()}
        given = [key for key in _ARRAYS if key in known]
        values = [known[key] for key in given]
        options = _options(name, inputs, keywords, want)
        if "extra" in given:
            options.extra_period = max(values[-1].size, 1)
        first, suffix = inputs[0], "f64" if inputs[0].dtype == jnp.float64 else "f32"
        samples, size = math.prod(loss_shape(_INFO[name], inputs)), 0
        if _INFO[name].kind != "pointwise":
            size = first.shape[-1]
        arrays_given = sum(1 << _ARRAYS.index(key) for key in given)
        call = jax.ffi.ffi_call("nllkern_loss", results, vmap_method="expand_dims")
        return call(
            *inputs,
            *values,
            function=f"nllk_{name}_{suffix}",
            options=np.frombuffer(bytes(options), np.int64),
            call=np.array([samples, size, results[0].ndim, arrays_given], np.int64),
        )
    return jax.pure_callback(
        partial(_by_numpy, name, keywords, want), results, inputs, arrays, vmap_method="sequential"
    )


def _by_numpy(
    name: str, keywords: dict[str, Any], want: bool, inputs: Any, arrays: Any
) -> tuple[Any, ...]:
    """The same by nllkern's Python functions."""
    loss, dtype = loss_named(name), inputs[0].dtype
    inputs = [np.asarray(x) for x in inputs]
    keywords = keywords | {key: np.asarray(x) for key, x in arrays.items()}
    if not want:
        return (np.asarray(loss(*inputs, **keywords), dtype),)
    value, grads = loss.value_and_grad(*inputs, **keywords)
    grads = list(grads) if isinstance(grads, tuple) else [grads]
    if grads[-1] is None:  # a fixed covariance
        grads[-1] = np.full_like(inputs[len(grads) - 1], np.nan)
    return tuple(np.asarray(x, dtype) for x in (value, *grads))


# ---- differentiation ----


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _loss(name: str, keywords: tuple[Any, ...], parameters: Any, rest: Any, arrays: Any) -> Any:
    return _run(name, dict(keywords), (*parameters, *rest), arrays, False)[0]


def _forward(
    name: str, keywords: tuple[Any, ...], parameters: Any, rest: Any, arrays: Any
) -> tuple[Any, Any]:
    value, *grads = _run(name, dict(keywords), (*parameters, *rest), arrays, True)
    return value, (grads, rest, arrays)


def _backward(name: str, keywords: tuple[Any, ...], kept: Any, upstream: Any) -> tuple[Any, ...]:
    grads, rest, arrays = kept
    each = upstream.ndim > 0
    found = [
        _nothing(grad)
        if each and is_shared(_INFO[name], (*grads, *rest), k)
        else times_upstream(grad, upstream)
        for k, grad in enumerate(grads)
    ]
    return tuple(found), *jax.tree.map(_nothing, (rest, arrays))


def _nothing(x: Any) -> Any:
    """The cotangent of what has no derivative here: NaN says so if anyone looks at it."""
    if jnp.issubdtype(x.dtype, jnp.floating):
        return jnp.full(x.shape, jnp.nan, x.dtype)
    return np.zeros(x.shape, jax.dtypes.float0)


_loss.defvjp(_forward, _backward)


def _hashable(x: Any) -> Any:
    """A keyword that is the same for every call of a compiled function."""
    if isinstance(x, (jax.Array, np.ndarray, list)):
        return tuple(np.asarray(x).tolist())
    return x


def _check(name: str, what: str, x: jax.Array) -> None:
    """That nllkern can read the array."""
    if jnp.issubdtype(x.dtype, jnp.inexact) and x.dtype not in (jnp.float32, jnp.float64):
        raise TypeError(
            f"{name}: {what} has dtype {x.dtype}, expected float32 or float64: "
            f"use {what}.astype('float32')"
        )
    if not isinstance(x, jax.core.Tracer):
        platforms = {device.platform for device in x.devices()}
        if platforms != {"cpu"}:
            raise ValueError(
                f"{name}: {what} is on {', '.join(sorted(platforms))}, expected the CPU: "
                f"use jax.device_put({what}, jax.devices('cpu')[0])"
            )


def _validate(name: str, inputs: list[Any], arrays: dict[str, Any], rest: dict[str, Any]) -> None:
    """Shapes here; keywords by nllkern itself, of a batch without samples."""
    names, first = loss_named(name).arguments, inputs[0]
    pointwise, shape = _INFO[name].kind == "pointwise", loss_shape(_INFO[name], inputs)
    empty = []
    for what, x in zip(names, inputs, strict=True):
        if pointwise:
            good, none = x.shape in (shape, ()), (0,) * bool(x.ndim)
        elif what == "factor":
            d = first.shape[-1:]
            good, none = x.shape in (shape + d * 2, d * 2), (0,) * (x.ndim > 2) + d * 2
        elif name == "info_nce":
            good, none = x.ndim == 2, (0, *x.shape[-1:])
        elif what == "target" and _INFO[name].kind == "rowwise" and x.ndim < first.ndim:
            good, none = x.shape == shape, (0,)
        else:
            good, none = x.shape == first.shape, (0, *first.shape[-1:])
        if not good:
            raise ValueError(
                f"{name}: {what} has shape {x.shape}, which does not go with "
                f"{names[0]} of shape {first.shape}"
            )
        value = (
            np.eye(none[-1], dtype=x.dtype)
            if what == "factor" and none[0]
            else np.ones(none, x.dtype)
        )
        empty.append(float(value) if pointwise and not none else value)
    for key, x in arrays.items():
        if key == "sample_weight" and x.shape != shape:
            raise ValueError(f"{name}: sample_weight has shape {x.shape}, expected {shape}")
    own = {
        key: np.ones(
            (0,) if key == "sample_weight" else x.shape if key == "class_weight" else (),
            first.dtype,
        )
        for key, x in arrays.items()
    }
    loss_named(name)(*empty, **rest, **own)


def _whole(name: str, key: str, x: jax.Array, inputs: list[Any]) -> jax.Array:
    """A further input, broadcast unless it only has to be repeated."""
    if key in _ARRAYS or x.ndim == 0:
        return x
    shape = loss_shape(_INFO[name], inputs)
    return x if x.shape == shape[len(shape) - x.ndim :] else jnp.broadcast_to(x, shape)


def _function(name: str) -> Callable[..., jax.Array]:
    names, count = loss_named(name).arguments, len(_INFO[name].parameters)

    def call(*inputs: Any, **keywords: Any) -> jax.Array:
        expect_count(name, names, inputs)
        for key in LEFT_OUT:
            if key in keywords:
                raise TypeError(f"{name}: {key} is for NumPy arrays")
        arrays = {
            key: jnp.asarray(x)
            for key, x in keywords.items()
            if key != "edges" and (isinstance(x, (jax.Array, np.ndarray)) or key == "delta")
        }
        rest = {key: _hashable(x) for key, x in keywords.items() if key not in arrays}
        given = [jnp.asarray(x) for x in inputs]
        for what, x in (*zip(names, given, strict=True), *arrays.items()):
            _check(name, what, x)
        dtype = jnp.result_type(*[x.dtype for x in given[:count]])
        given[:count] = [x.astype(dtype) for x in given[:count]]
        _validate(name, given, arrays, rest)
        arrays = {key: _whole(name, key, x.astype(dtype), given) for key, x in arrays.items()}
        return _loss(name, tuple(rest.items()), tuple(given[:count]), tuple(given[count:]), arrays)

    call.__name__ = call.__qualname__ = name
    call.__module__ = __name__
    call.__doc__ = f"``nllkern.{name}`` of JAX arrays, differentiable.  See its documentation."
    return call


if TYPE_CHECKING:

    def __getattr__(name: str) -> Callable[..., jax.Array]: ...


globals().update({name: _function(name) for name in _INFO})

__all__ = ["using_ffi", *_INFO]
