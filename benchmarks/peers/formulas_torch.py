"""The losses as a PyTorch user may write them: functions of the arguments in nllkern's order.

Every function returns the sum over samples, constants included.
"""

import math

import numpy as np
import torch
from torch import distributions
from torch.nn import functional as F  # noqa: N812, its usual name

from ..catalogue import BINS, MU, TEMPERATURE

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
LOG_2 = math.log(2)


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


def normalized_sigmoid(logits, target):
    return F.cross_entropy(F.logsigmoid(logits), target, reduction="sum")


def normalized_sigmoid_by_hand(logits, target):
    own = logits.gather(-1, target[:, None])
    return (torch.sigmoid(logits).sum(-1).log() + F.softplus(-own)[:, 0]).sum()


def kl_div(logits, target):
    return F.kl_div(torch.log_softmax(logits, -1), target, reduction="sum")


def kl_by_cross_entropy(logits, target):
    entropy = -torch.xlogy(target, target).sum()
    return F.cross_entropy(logits, target, reduction="sum") - entropy


def uniform_bin(target):
    """Index of the bin in [-1, 1), all of one width."""
    return ((target + 1) * (BINS / 2)).floor().clamp(0, BINS - 1).long()


def mu_law_bin(target):
    even = target.sign() * torch.log1p(MU * target.abs()) / math.log1p(MU)
    return uniform_bin(even)


def binned_uniform(logits, target):
    return F.cross_entropy(logits, uniform_bin(target), reduction="sum")


def binned_uniform_logsumexp(logits, target):
    return cross_entropy_logsumexp(logits, uniform_bin(target))


def binned_mu_law(logits, target):
    return F.cross_entropy(logits, mu_law_bin(target), reduction="sum")


def binned_mu_law_logsumexp(logits, target):
    return cross_entropy_logsumexp(logits, mu_law_bin(target))


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


def huber_by_clamp(prediction, target):
    difference = prediction - target
    slope = difference.clamp(-1, 1).detach()
    return (slope * (difference - 0.5 * slope)).sum()


def log_cosh(prediction, target):
    difference = prediction - target
    return (difference + F.softplus(-2 * difference) - LOG_2).sum()


def log_cosh_of_magnitude(prediction, target):
    size = (prediction - target).abs()
    return (size + torch.log1p(torch.exp(-2 * size)) - LOG_2).sum()


def gaussian(mean, raw, target):
    variance = F.softplus(raw) ** 2
    return F.gaussian_nll_loss(mean, target, variance, full=True, eps=0.0, reduction="sum")


def gaussian_by_hand(mean, raw, target):
    sigma = F.softplus(raw)
    return (sigma.log() + 0.5 * ((target - mean) / sigma) ** 2).sum() + HALF_LOG_2PI * mean.numel()


def gaussian_distribution(mean, raw, target):
    return -distributions.Normal(mean, F.softplus(raw), validate_args=False).log_prob(target).sum()


def laplace_distribution(mean, raw, target):
    d = distributions.Laplace(mean, F.softplus(raw), validate_args=False)
    return -d.log_prob(target).sum()


def laplace_by_hand(mean, raw, target):
    scale = F.softplus(raw)
    return ((target - mean).abs() / scale + scale.log()).sum() + LOG_2 * mean.numel()


def student_t(mean, scale, df, target):
    d = distributions.StudentT(df, mean, scale, validate_args=False)
    return -d.log_prob(target).sum()


def student_t_distribution(mean, raw, df, target):
    return student_t(mean, F.softplus(raw), df, target)


def student_t_by_hand(mean, raw, df, target):
    """The constant of a df that is a number costs nothing."""
    scale = F.softplus(raw)
    z = (target - mean) / scale
    constant = math.lgamma(df / 2) - math.lgamma((df + 1) / 2) + 0.5 * math.log(df * math.pi)
    return (0.5 * (df + 1) * torch.log1p(z * z / df) + scale.log()).sum() + constant * mean.numel()


def student_t_df_distribution(mean, raw, raw_df, target):
    return student_t(mean, F.softplus(raw), F.softplus(raw_df), target)


def student_t_df_by_hand(mean, raw, raw_df, target):
    scale, df = F.softplus(raw), F.softplus(raw_df)
    z = (target - mean) / scale
    half = 0.5 * df
    constant = torch.lgamma(half) - torch.lgamma(half + 0.5) + 0.5 * (df * math.pi).log()
    return ((half + 0.5) * torch.log1p(z * z / df) + scale.log() + constant).sum()


def exponential_distribution(raw, target):
    d = distributions.Exponential(F.softplus(raw), validate_args=False)
    return -d.log_prob(target).sum()


def exponential_by_hand(raw, target):
    rate = F.softplus(raw)
    return (rate * target - rate.log()).sum()


def gamma_distribution(shape, rate, target):
    d = distributions.Gamma(F.softplus(shape), F.softplus(rate), validate_args=False)
    return -d.log_prob(target).sum()


def gamma_by_hand(shape, rate, target):
    a, b = F.softplus(shape), F.softplus(rate)
    return (torch.lgamma(a) - a * b.log() - (a - 1) * target.log() + b * target).sum()


# F.poisson_nll_loss(full=True) has Stirling's approximation in place of lgamma: another value.
def poisson_log(raw, target):
    loss = F.poisson_nll_loss(raw, target, log_input=True, full=False, reduction="sum")
    return loss + torch.lgamma(target + 1).sum()


def poisson_log_by_hand(raw, target):
    return (raw.exp() - raw * target + torch.lgamma(target + 1)).sum()


def poisson_log_distribution(raw, target):
    return -distributions.Poisson(raw.exp(), validate_args=False).log_prob(target).sum()


def poisson_softplus(raw, target):
    rate = F.softplus(raw)
    loss = F.poisson_nll_loss(rate, target, log_input=False, full=False, eps=0.0, reduction="sum")
    return loss + torch.lgamma(target + 1).sum()


def poisson_softplus_by_hand(raw, target):
    rate = F.softplus(raw)
    return (rate - target * rate.log() + torch.lgamma(target + 1)).sum()


def poisson_softplus_distribution(raw, target):
    d = distributions.Poisson(F.softplus(raw), validate_args=False)
    return -d.log_prob(target).sum()


def multivariate_distribution(mean, factor, target):
    d = distributions.MultivariateNormal(mean, scale_tril=factor, validate_args=False)
    return -d.log_prob(target).sum()


def multivariate_solve(mean, factor, target):
    z = torch.linalg.solve_triangular(factor, (target - mean)[..., None], upper=False)
    log_det = factor.diagonal(dim1=-2, dim2=-1).log().sum()
    return 0.5 * z.square().sum() + log_det + HALF_LOG_2PI * mean.numel()


def multivariate_shared_solve(mean, factor, target):
    z = torch.linalg.solve_triangular(factor, (target - mean).T, upper=False)
    log_det = len(mean) * factor.diagonal().log().sum()
    return 0.5 * z.square().sum() + log_det + HALF_LOG_2PI * mean.numel()


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


def triplet_by_hand(anchor, positive, negative):
    near = (anchor - positive).square().sum(-1).sqrt()
    far = (anchor - negative).square().sum(-1).sqrt()
    return F.relu(near - far + 1).sum()


def info_nce(queries, keys):
    q, k = F.normalize(queries, dim=-1, eps=0.0), F.normalize(keys, dim=-1, eps=0.0)
    target = torch.arange(len(q), device=q.device)
    return F.cross_entropy(q @ k.T / TEMPERATURE, target, reduction="sum")


def info_nce_by_hand(queries, keys):
    q = queries / (queries.norm(dim=-1, keepdim=True) * TEMPERATURE)
    k = keys / keys.norm(dim=-1, keepdim=True)
    return torch.logsumexp(q @ k.T, -1).sum() - (q * k).sum()


def nt_xent(queries, keys):
    """Both views stacked, every row against all others; a pair's loss is the mean of its rows'."""
    z = F.normalize(torch.cat([queries, keys]), dim=-1, eps=0.0)
    n = len(queries)
    own = torch.eye(2 * n, dtype=torch.bool, device=z.device)
    similarity = (z @ z.T / TEMPERATURE).masked_fill(own, -math.inf)
    target = (torch.arange(2 * n, device=z.device) + n) % (2 * n)
    return F.cross_entropy(similarity, target, reduction="sum") / 2


FORMULAS = {
    "cross_entropy": [cross_entropy, cross_entropy_gather, cross_entropy_logsumexp],
    "binary_cross_entropy": [bce, bce_softplus],
    "normalized_sigmoid_nll": [normalized_sigmoid, normalized_sigmoid_by_hand],
    "kl_divergence": [kl_div, kl_by_cross_entropy],
    "binned_cross_entropy, uniform": [binned_uniform, binned_uniform_logsumexp],
    "binned_cross_entropy, mu-law": [binned_mu_law, binned_mu_law_logsumexp],
    "squared_error": [half_mse, half_square],
    "absolute_error": [l1],
    "huber": [huber, smooth_l1, huber_by_clamp],
    "log_cosh": [log_cosh, log_cosh_of_magnitude],
    "gaussian_nll": [gaussian, gaussian_by_hand, gaussian_distribution],
    "laplace_nll": [laplace_distribution, laplace_by_hand],
    "student_t_nll, df=4": [student_t_distribution, student_t_by_hand],
    "student_t_nll, df predicted": [student_t_df_distribution, student_t_df_by_hand],
    "exponential_nll": [exponential_distribution, exponential_by_hand],
    "gamma_nll": [gamma_distribution, gamma_by_hand],
    "poisson_nll, log": [poisson_log, poisson_log_by_hand, poisson_log_distribution],
    "poisson_nll, softplus": [
        poisson_softplus,
        poisson_softplus_by_hand,
        poisson_softplus_distribution,
    ],
    "multivariate_gaussian_nll": [multivariate_distribution, multivariate_solve],
    "multivariate_gaussian_nll, shared": [multivariate_distribution, multivariate_shared_solve],
    "hinge": [hinge, hinge_by_clamp],
    "squared_hinge": [squared_hinge],
    "multiclass_hinge": [multiclass_hinge, multiclass_hinge_max],
    "triplet_margin": [triplet, triplet_by_hand],
    "info_nce": [info_nce, info_nce_by_hand],
    "info_nce, nt_xent": [nt_xent],
}


def tensors(work, args):
    """Predictions as leaves that require a gradient, and the other arguments; no copies."""
    leaves = [torch.from_numpy(a).requires_grad_() for a in args[: work.predictions]]
    others = args[work.predictions :]
    return leaves, [torch.from_numpy(a) if isinstance(a, np.ndarray) else a for a in others]
