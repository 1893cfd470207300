"""PyTorch, run eagerly: autograd, and gradients written by hand into buffers made beforehand."""

import torch

from .formulas_torch import FORMULAS, tensors


def versions():
    return {"torch": torch.__version__}


def by_autograd(formula, leaves, target):
    def value_and_grad():
        value = formula(*leaves, target)
        return value, torch.autograd.grad(value, leaves)

    return value_and_grad


def cross_entropy_by_hand(leaves, target):
    """Gradient softmax - onehot, without autograd, in one buffer."""
    logits, index = leaves[0].detach(), target[:, None]
    grad = torch.empty_like(logits)
    minus_one = torch.full_like(index, -1, dtype=logits.dtype)

    def value_and_grad():
        torch.log_softmax(logits, -1, out=grad)
        value = -grad.gather(-1, index).sum()
        grad.exp_().scatter_add_(-1, index, minus_one)
        return value, (grad,)

    return value_and_grad


def bce_by_hand(leaves, target):
    """Gradient sigmoid - target, without autograd, in one buffer."""
    logits = leaves[0].detach()
    grad = torch.empty_like(logits)

    def value_and_grad():
        value = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, target, reduction="sum"
        )
        torch.sigmoid(logits, out=grad).sub_(target)
        return value, (grad,)

    return value_and_grad


BY_HAND = {"cross_entropy": cross_entropy_by_hand, "binary_cross_entropy": bce_by_hand}


def build(loss, args, out, threads):
    torch.set_num_threads(threads)
    leaves, target = tensors(args)
    calls = {f.__name__: by_autograd(f, leaves, target) for f in FORMULAS[loss]}
    if loss in BY_HAND:
        calls["by_hand"] = BY_HAND[loss](leaves, target)
    return calls
