"""torch.compile: forward and backward apart (autograd), and in one graph (torch.func)."""

import functools
import os
import tempfile
from pathlib import Path

import torch

from .formulas_torch import FORMULAS, tensors
from .torch_eager import versions as versions

# PyTorch takes compiled code for AVX-512 from its cache where it is held to AVX2, and the other way
# round, which gives wrong numbers or a crash (2.13): a cache each.
_CACHE = Path(tempfile.gettempdir()) / f"inductor_{torch.backends.cpu.get_cpu_capability()}"
os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(_CACHE))

torch._dynamo.config.recompile_limit = 1000
torch._dynamo.config.accumulated_recompile_limit = 10000


@functools.cache
def compiled(formula):
    return torch.compile(formula, dynamic=False)


@functools.cache
def compiled_in_one(formula, predictions):
    both = torch.func.grad_and_value(formula, argnums=tuple(range(predictions)))
    return torch.compile(both, dynamic=False)


def by_autograd(formula, leaves, others):
    forward = compiled(formula)

    def value_and_grad():
        value = forward(*leaves, *others)
        return value, torch.autograd.grad(value, leaves)

    return value_and_grad


def in_one_graph(formula, leaves, others):
    both = compiled_in_one(formula, len(leaves))
    args = [leaf.detach() for leaf in leaves]

    def value_and_grad():
        grads, value = both(*args, *others)
        return value, grads

    return value_and_grad


def build(work, args, out, threads):
    torch.set_num_threads(threads)
    leaves, others = tensors(work, args)
    calls = {}
    for formula in FORMULAS.get(work.name, []):
        calls[formula.__name__] = by_autograd(formula, leaves, others)
        calls[formula.__name__ + " (one graph)"] = in_one_graph(formula, leaves, others)
    return calls
