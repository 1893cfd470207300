"""The losses as a PyTorch user may write them: functions of the arguments in nllkern's order.

Every function returns the sum over samples, constants included.
"""

import math
from types import SimpleNamespace

import numpy as np
import torch
from torch import distributions
from torch.nn import functional as F  # noqa: N812, its usual name

from ..catalogue import TEMPERATURE
from .formulas import LOG_2, formulations


def cross_entropy(logits, target):
    return F.cross_entropy(logits, target, reduction="sum")


def cross_entropy_logsumexp(logits, target):
    return (torch.logsumexp(logits, -1) - logits.gather(-1, target[:, None])[:, 0]).sum()


def bce(logits, target):
    return F.binary_cross_entropy_with_logits(logits, target, reduction="sum")


def normalized_sigmoid(logits, target):
    return F.cross_entropy(F.logsigmoid(logits), target, reduction="sum")


def kl_div(logits, target):
    return F.kl_div(torch.log_softmax(logits, -1), target, reduction="sum")


def half_mse(prediction, target):
    return F.mse_loss(prediction, target, reduction="sum") / 2


def half_square(prediction, target):
    return 0.5 * (prediction - target).square().sum()


def l1(prediction, target):
    return F.l1_loss(prediction, target, reduction="sum")


def huber(prediction, target):
    return F.huber_loss(prediction, target, reduction="sum", delta=1.0)


def smooth_l1(prediction, target):  # the same at beta = delta = 1
    return F.smooth_l1_loss(prediction, target, reduction="sum", beta=1.0)


def log_cosh_softplus(prediction, target):
    difference = prediction - target
    return (difference + F.softplus(-2 * difference) - LOG_2).sum()


def gaussian(mean, raw, target):
    variance = F.softplus(raw) ** 2
    return F.gaussian_nll_loss(mean, target, variance, full=True, eps=0.0, reduction="sum")


# F.poisson_nll_loss(full=True) has Stirling's approximation in place of lgamma: another value.
def poisson_log(raw, target):
    loss = F.poisson_nll_loss(raw, target, log_input=True, full=False, reduction="sum")
    return loss + torch.lgamma(target + 1).sum()


def poisson_softplus(raw, target):
    rate = F.softplus(raw)
    loss = F.poisson_nll_loss(rate, target, log_input=False, full=False, eps=0.0, reduction="sum")
    return loss + torch.lgamma(target + 1).sum()


def multivariate_distribution(mean, factor, target):
    d = distributions.MultivariateNormal(mean, scale_tril=factor, validate_args=False)
    return -d.log_prob(target).sum()


def hinge(score, target):
    return F.relu(1 - score * target).sum()


def hinge_by_clamp(score, target):
    return (1 - score * target).clamp(min=0).sum()


def squared_hinge(score, target):
    return F.relu(1 - score * target).square().sum()


def multiclass_hinge(scores, target):
    """Largest score with the margin added to all but the target's, less the target's."""
    index = target[:, None]
    others = (scores + 1).scatter_add(-1, index, torch.full_like(index, -1, dtype=scores.dtype))
    return (others.amax(-1) - scores.gather(-1, index)[:, 0]).sum()


def multiclass_hinge_max(scores, target):
    """`max` sends the gradient to one index, `amax` shares it between equal ones."""
    one_hot = F.one_hot(target, scores.shape[-1])
    best = (scores + 1 - one_hot).max(-1).values
    return (best - scores.gather(-1, target[:, None])[:, 0]).sum()


def triplet(anchor, positive, negative):
    return F.triplet_margin_loss(
        anchor, positive, negative, margin=1.0, p=2.0, eps=0.0, reduction="sum"
    )


def info_nce(queries, keys):
    q, k = F.normalize(queries, dim=-1, eps=0.0), F.normalize(keys, dim=-1, eps=0.0)
    target = torch.arange(len(q), device=q.device)
    return F.cross_entropy(q @ k.T / TEMPERATURE, target, reduction="sum")


def nt_xent(queries, keys):
    """Both views stacked, every row against all others; a pair's loss is the mean of its rows'."""
    z = F.normalize(torch.cat([queries, keys]), dim=-1, eps=0.0)
    n = len(queries)
    own = torch.eye(2 * n, dtype=torch.bool, device=z.device)
    similarity = (z @ z.T / TEMPERATURE).masked_fill(own, -math.inf)
    target = (torch.arange(2 * n, device=z.device) + n) % (2 * n)
    return F.cross_entropy(similarity, target, reduction="sum") / 2


def density(kind):
    return lambda y, *parameters: kind(*parameters, validate_args=False).log_prob(y)


XP = SimpleNamespace(
    abs=torch.abs,
    clip=torch.clamp,
    exp=torch.exp,
    floor=torch.floor,
    gammaln=torch.lgamma,
    log1p=torch.log1p,
    log=torch.log,
    relu=F.relu,
    sigmoid=torch.sigmoid,
    sign=torch.sign,
    softplus=F.softplus,
    sqrt=torch.sqrt,
    square=torch.square,
    xlogy=torch.xlogy,
    as_index=lambda x: x.long(),
    at_index=lambda x, index: x.gather(-1, index[:, None])[:, 0],
    constant=lambda x: x.detach(),
    diagonal=lambda x: x.diagonal(dim1=-2, dim2=-1),
    log_softmax=lambda x: torch.log_softmax(x, -1),
    logsumexp=lambda x: torch.logsumexp(x, -1),
    norm=lambda x: x.norm(dim=-1, keepdim=True),
    soft_cross_entropy=cross_entropy,
    solve=lambda factor, y: torch.linalg.solve_triangular(factor, y, upper=False),
    index_formulas=[cross_entropy, cross_entropy_logsumexp],
    densities={
        "normal": density(distributions.Normal),
        "laplace": density(distributions.Laplace),
        "student_t": density(distributions.StudentT),
        "exponential": density(distributions.Exponential),
        "gamma": density(distributions.Gamma),
        "poisson": density(distributions.Poisson),
    },
)
FORMULAS = formulations(
    XP,
    {
        "cross_entropy": [cross_entropy, cross_entropy_logsumexp],
        "binary_cross_entropy": [bce],
        "normalized_sigmoid_nll": [normalized_sigmoid],
        "kl_divergence": [kl_div],
        "squared_error": [half_mse, half_square],
        "absolute_error": [l1],
        "huber": [huber, smooth_l1],
        "log_cosh": [log_cosh_softplus],
        "gaussian_nll": [gaussian],
        "poisson_nll, log": [poisson_log],
        "poisson_nll, softplus": [poisson_softplus],
        "multivariate_gaussian_nll": [multivariate_distribution],
        "multivariate_gaussian_nll, shared": [multivariate_distribution],
        "hinge": [hinge, hinge_by_clamp],
        "squared_hinge": [squared_hinge],
        "multiclass_hinge": [multiclass_hinge, multiclass_hinge_max],
        "triplet_margin": [triplet],
        "info_nce": [info_nce],
        "info_nce, nt_xent": [nt_xent],
    },
)


def tensors(work, args):
    """Predictions as leaves that require a gradient, and the other arguments; no copies."""
    leaves = [torch.from_numpy(a).requires_grad_() for a in args[: work.predictions]]
    others = args[work.predictions :]
    return leaves, [torch.from_numpy(a) if isinstance(a, np.ndarray) else a for a in others]
