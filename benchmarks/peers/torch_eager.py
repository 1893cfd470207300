"""PyTorch, run eagerly: autograd, and gradients written by hand into buffers made beforehand."""

import torch

from .by_hand_torch import BY_HAND
from .formulas_torch import FORMULAS, tensors


def versions():
    return {"torch": f"{torch.__version__} ({torch.backends.cpu.get_cpu_capability()})"}


def by_autograd(formula, leaves, others):
    def value_and_grad():
        value = formula(*leaves, *others)
        return value, torch.autograd.grad(value, leaves)

    return value_and_grad


def build(work, args, out, threads):
    torch.set_num_threads(threads)
    leaves, others = tensors(work, args)
    calls = {f.__name__: by_autograd(f, leaves, others) for f in FORMULAS.get(work.name, [])}
    if work.name in BY_HAND:
        calls["by_hand"] = BY_HAND[work.name](*(leaf.detach() for leaf in leaves), *others)
    return calls
