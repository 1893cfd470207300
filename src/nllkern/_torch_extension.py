"""The calls in C++ (``_torch_call.cc``): compiled, loaded, and told what is constant in a call."""

import importlib.util
import json
import sys
import sysconfig
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import _compiled
from ._adapters import ARRAY_KINDS, ROWS, Spec, empty_inputs, option_of, plain, powers
from ._losses import loss_named
from .lowlevel import Options
from .tables import LOSSES

attempt: Any = None  # the function that serves ordinary calls, once it is there
asked = False  # whether it has been looked for
_module: Any = None
_connected: tuple[Any, ...] = ()  # Python's functions that the C++ calls
_loading = threading.Lock()


def _program() -> _compiled.Program:
    folder = Path(torch.__file__).parent
    include = folder / "include"
    flags = [
        *("-std=c++20", "-O1"),
        *(f"-I{x}" for x in (include, include / "torch/csrc/api/include")),
        f"-I{sysconfig.get_paths()['include']}",
        f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}",
        *(f"-L{folder / 'lib'}", "-ltorch_python", "-ltorch_cpu", "-lc10"),
    ]
    if sys.platform == "darwin":
        flags += ["-undefined", "dynamic_lookup"]
    version = f"{torch.__version__} {sysconfig.get_config_var('SOABI')}"
    return _compiled.program("torch", version, flags, "_torch_call.cc", "_torch_compute.h")


def _load(path: Path) -> None:
    global attempt, _module
    with _loading:
        if _module is not None:
            return
        spec = importlib.util.spec_from_file_location("nllkern._torch_call", path)
        if spec is None or spec.loader is None:
            raise OSError(f"{path} is no extension module")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        _module = module
        module.connect(*_connected)
        attempt = module.attempt


def connect(again: Callable[..., Any], compute: Callable[..., Any]) -> None:
    """Tell what the C++ calls: for derivatives of gradients, and where it does not serve a call."""
    global _connected
    _connected = again, compute, plan


def start() -> None:
    """Load the C++ if it has been compiled; else have it compiled, and use it when it is there."""
    global asked
    asked = True
    way = _compiled.way() or "background"
    if way == "0":
        return
    try:
        what = _program()
        if way == "wait" or Path(what.target).exists():
            _load(_compiled.compile_now(what))
        elif not what.failure.exists():
            threading.Thread(target=_follow, args=(what,), daemon=True).start()
    except (OSError, ImportError):
        return  # Python's code serves all calls


def _follow(what: _compiled.Program) -> None:
    """Load what another process compiles."""
    try:
        if _compiled.compile_in_background(what).wait() == 0 and Path(what.target).exists():
            _load(Path(what.target))
    except (OSError, ImportError):
        return


def compile_extension() -> None:
    """Compile the calls of the losses in C++ now, and use them from now on.

    Otherwise the first call of a loss has them compiled by another process, and Python's code
    serves calls until then.  What is compiled is kept in the user's cache folder.

    Raises
    ------
    OSError
        Without a C++ compiler, or with the compiler's words if it fails.
    """
    global asked
    asked = True
    _load(_compiled.compile_now(_program()))


def using_extension() -> bool:
    """Whether the calls are in C++: they have been compiled, and a loss has been called."""
    return attempt is not None


# ---- what is constant in a call ----


def _accepted(spec: Spec) -> bool:
    """Whether nllkern takes the constants; if not, Python's code says what is wrong with them."""
    row, is_index = spec.row, "index" in spec.row.targets
    shapes = [(1, *(2,) * power) for power in powers(row, not is_index)]
    dtypes = [np.float64] * len(row.parameters) + [np.int64 if is_index else np.float64]
    try:
        inputs = empty_inputs(row, shapes, dtypes[: len(shapes)])
        loss_named(spec.name)(*inputs, **dict(spec.constants))
    except (TypeError, ValueError):
        return False
    return True


@lru_cache(1024)
def plan(text: str) -> Any:
    """What the C++ knows of a Spec, given as JSON; None if Python's code serves its calls."""
    name, constants, keys, by_target = json.loads(text)
    return _plan(Spec(name, tuple((key, x) for key, x in constants), tuple(keys), by_target), text)


def _plan(spec: Spec, text: str) -> Any:
    row = spec.row
    kinds = [option_of(row, key).kind for key in spec.keys]
    if _module is None or spec.by_target or not spec.in_c or not _accepted(spec):
        return None
    options = Options().set(row.name, **dict(spec.constants))
    return _module.plan(
        text,
        bytes(options),
        LOSSES.index(row),
        len(row.parameters),
        row.target_kinds,
        bytes(powers(row, bool(row.targets))),
        bytes(ARRAY_KINDS.index(kind) for kind in kinds),
    )


@lru_cache(1024, typed=True)
def _plan_of_keywords(name: str, keys: tuple[str, ...], arrays: tuple[str, ...], *x: Any) -> Any:
    row, constants = ROWS[name], []
    for key, value in zip(keys, x, strict=True):
        option = option_of(row, key)
        if option.kind in ARRAY_KINDS and np.ndim(value):
            return None
        constants.append((key, plain(name, key, option, value)))
    if any(option_of(row, key).kind not in ARRAY_KINDS for key in arrays):
        return None
    return plan(json.dumps(Spec(name, tuple(constants), arrays)))


_seen: set[Any] = set()


def _is_new(key: Any) -> bool:
    """Whether no recent call had these numbers.

    They may differ in each call, as a normalizer does, and a plan takes longer than Python's code.
    """
    if key in _seen:
        return False
    if len(_seen) >= 1024:
        _seen.clear()
    _seen.add(key)
    return True


def plan_of_call(name: str, keywords: dict[str, Any]) -> tuple[Any, Sequence[torch.Tensor]]:
    """(plan, tensors among the keywords); without a plan Python's code has to serve the call."""
    if not keywords:
        return _plan_of_keywords(name, (), ()), ()
    constants = {key: x for key, x in keywords.items() if not isinstance(x, torch.Tensor)}
    arrays = {key: x for key, x in keywords.items() if isinstance(x, torch.Tensor)}
    key = (name, tuple(constants), tuple(arrays), *constants.values())
    try:
        if any(isinstance(x, float) for x in constants.values()) and _is_new(key):
            return None, ()
        found = _plan_of_keywords(*key)
    except (TypeError, ValueError):  # unknown keywords, what cannot be hashed
        return None, ()
    return found, tuple(arrays.values())
