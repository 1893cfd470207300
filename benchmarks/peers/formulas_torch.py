"""The losses as a PyTorch user may write them: functions of (predictions..., target)."""

import math

import torch
from torch import distributions
from torch.nn import functional as F  # noqa: N812, its usual name

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


def cross_entropy(logits, target):
    return F.cross_entropy(logits, target, reduction="sum")


def cross_entropy_gather(logits, target):
    return -torch.log_softmax(logits, -1).gather(-1, target[:, None]).sum()


def cross_entropy_logsumexp(logits, target):
    return (torch.logsumexp(logits, -1) - logits.gather(-1, target[:, None])[:, 0]).sum()


def bce(logits, target):
    return F.binary_cross_entropy_with_logits(logits, target, reduction="sum")


def bce_softplus(logits, target):
    return (F.softplus(logits) - logits * target).sum()


def gaussian(mean, raw, target):
    variance = F.softplus(raw) ** 2
    return F.gaussian_nll_loss(mean, target, variance, full=True, eps=0.0, reduction="sum")


def gaussian_by_hand(mean, raw, target):
    sigma = F.softplus(raw)
    return (sigma.log() + 0.5 * ((target - mean) / sigma) ** 2).sum() + HALF_LOG_2PI * mean.numel()


def gaussian_distribution(mean, raw, target):
    return -distributions.Normal(mean, F.softplus(raw), validate_args=False).log_prob(target).sum()


def gamma_distribution(shape, rate, target):
    d = distributions.Gamma(F.softplus(shape), F.softplus(rate), validate_args=False)
    return -d.log_prob(target).sum()


def gamma_by_hand(shape, rate, target):
    a, b = F.softplus(shape), F.softplus(rate)
    return (torch.lgamma(a) - a * b.log() - (a - 1) * target.log() + b * target).sum()


FORMULAS = {
    "cross_entropy": [cross_entropy, cross_entropy_gather, cross_entropy_logsumexp],
    "binary_cross_entropy": [bce, bce_softplus],
    "gaussian_nll": [gaussian, gaussian_by_hand, gaussian_distribution],
    "gamma_nll": [gamma_distribution, gamma_by_hand],
}


def tensors(args):
    """Predictions as leaves that require a gradient, and the target; no copies."""
    leaves = [torch.from_numpy(a).requires_grad_() for a in args[:-1]]
    return leaves, torch.from_numpy(args[-1])
