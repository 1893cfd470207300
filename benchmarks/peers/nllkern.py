"""The library under test."""

import numpy as np

import nllkern as nk
from nllkern import __version__

KEYWORDS = {"gaussian_nll": {"link": "softplus"}, "gamma_nll": {"link": "softplus"}}


def versions():
    return {"nllkern": __version__}


def build(loss, args, out, threads):
    call = getattr(nk, loss).value_and_grad
    keywords = {"reduction": "sum", "num_threads": threads, **KEYWORDS.get(loss, {})}
    predictions = args[:-1]
    if out:
        buffers = tuple(np.empty_like(p) for p in predictions)
        keywords["out"] = buffers if len(buffers) > 1 else buffers[0]

    def value_and_grad():
        value, grad = call(*args, **keywords)
        return value, grad if len(predictions) > 1 else (grad,)

    return {"value_and_grad": value_and_grad}
