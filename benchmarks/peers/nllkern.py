"""The library under test."""

import os

import numpy as np

import nllkern as nk
from nllkern import __version__


def versions():
    level = os.environ.get("NLLKERN_SIMD") or "".join(nk.simd_levels()[-1:])
    return {"nllkern": f"{__version__} ({level})" if level else __version__}


def build(work, args, out, threads):
    if not work.here:
        return {}
    call = getattr(nk, work.loss).value_and_grad
    keywords = {"reduction": "sum", "num_threads": threads, **work.keywords}
    if out:
        keywords["out"] = buffers(getattr(nk, work.loss), args)

    def value_and_grad():
        value, grad = call(*args, **keywords)
        return value, grad[: work.predictions] if isinstance(grad, tuple) else (grad,)

    return {"value_and_grad": value_and_grad}


def buffers(loss, args):
    """Uninitialised gradients in the form that `out` takes: an array, or a tuple of several.

    None for a parameter that is a number: its gradient is one.
    """
    predictions = args[: len(loss.parameters)]
    made = tuple(np.empty_like(p) if np.ndim(p) else None for p in predictions)
    return made if len(made) > 1 else made[0]
