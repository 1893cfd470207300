"""Gradients that a PyTorch user may write by hand, without autograd, in buffers made beforehand.

Each function takes the arguments of a loss and returns the call that computes value and gradients.
"""

import torch
from torch.nn import functional as F  # noqa: N812, its usual name

from .formulas import HALF_LOG_2PI, LOG_2, mu_law_bin, uniform_bin
from .formulas_torch import XP


def in_place(formula):
    """The call of a formula of one prediction, one target and the buffer of the gradient."""

    def make(prediction, target):
        grad = torch.empty_like(prediction)

        def value_and_grad():
            return formula(prediction, target, grad), (grad,)

        return value_and_grad

    return make


def cross_entropy(logits, target, grad):
    """Gradient softmax - onehot."""
    index = target[:, None]
    torch.log_softmax(logits, -1, out=grad)
    value = -grad.gather(-1, index).sum()
    grad.exp_().scatter_add_(-1, index, torch.full_like(index, -1, dtype=logits.dtype))
    return value


def binned_uniform(logits, target, grad):
    return cross_entropy(logits, uniform_bin(XP, target), grad)


def binned_mu_law(logits, target, grad):
    return cross_entropy(logits, mu_law_bin(XP, target), grad)


def kl_divergence(logits, target, grad):
    """Gradient softmax * sum(t) - t; the rows of t sum to one."""
    torch.log_softmax(logits, -1, out=grad)
    value = torch.xlogy(target, target).sum() - torch.dot(target.view(-1), grad.view(-1))
    grad.exp_().sub_(target)
    return value


def binary_cross_entropy(logits, target, grad):
    """Gradient sigmoid - target."""
    value = F.binary_cross_entropy_with_logits(logits, target, reduction="sum")
    torch.sigmoid(logits, out=grad).sub_(target)
    return value


def squared_error(prediction, target, grad):
    torch.sub(prediction, target, out=grad)
    return 0.5 * torch.dot(grad, grad)


def absolute_error(prediction, target, grad):
    torch.sub(prediction, target, out=grad)
    value = torch.linalg.vector_norm(grad, 1)
    grad.sign_()
    return value


def huber(prediction, target, grad):
    """Gradient g = clip(d, -1, 1); value g (d - g / 2)."""
    difference = prediction - target
    torch.clamp(difference, -1, 1, out=grad)
    return torch.dot(grad, difference) - 0.5 * torch.dot(grad, grad)


def log_cosh(prediction, target, grad):
    torch.sub(prediction, target, out=grad)
    value = (F.softplus(-2 * grad).add_(grad)).sum() - LOG_2 * grad.numel()
    grad.tanh_()
    return value


def exponential(raw, target, grad):
    """Gradient (y - 1 / rate) sigmoid(u)."""
    rate = F.softplus(raw)
    value = torch.dot(rate, target) - rate.log().sum()
    torch.sub(target, rate.reciprocal_(), out=grad).mul_(torch.sigmoid(raw))
    return value


def poisson_log(raw, target, grad):
    torch.exp(raw, out=grad)
    value = grad.sum() - torch.dot(raw, target) + torch.lgamma(target + 1).sum()
    grad.sub_(target)
    return value


def hinge(score, target, grad):
    """Gradient -y where y s < 1."""
    slack = torch.addcmul(torch.ones((), dtype=score.dtype), score, target, value=-1).relu_()
    torch.mul(target, slack > 0, out=grad).neg_()
    return slack.sum()


def squared_hinge(score, target, grad):
    slack = torch.addcmul(torch.ones((), dtype=score.dtype), score, target, value=-1).relu_()
    torch.mul(target, slack, out=grad).mul_(-2)
    return torch.dot(slack, slack)


def multiclass_hinge(scores, target, grad):
    """Gradient +1 at the best of the others and -1 at the target, where the margin is missed."""
    index = target[:, None]
    own = scores.gather(-1, index)
    grad.copy_(scores).scatter_(-1, index, -torch.inf)
    best, rival = grad.max(-1, keepdim=True)
    slack = (best - own + 1).relu_()
    missed = (slack > 0).to(scores.dtype)
    grad.zero_().scatter_(-1, rival, missed).scatter_(-1, index, -missed)
    return slack.sum()


def multivariate(mean, factor, target):
    """L z = y - mu, L^T w = z; gradients -w and tril(-w z^T) + diag(1 / L_ii)."""

    def value_and_grad():
        z = torch.linalg.solve_triangular(factor, (target - mean)[..., None], upper=False)
        w = torch.linalg.solve_triangular(factor.mT, z, upper=True)
        grad_factor = torch.matmul(-w, z.mT).tril_()
        own = factor.diagonal(dim1=-2, dim2=-1)
        grad_factor.diagonal(dim1=-2, dim2=-1).add_(own.reciprocal())
        value = 0.5 * z.square().sum() + own.log().sum() + HALF_LOG_2PI * mean.numel()
        return value, (w[..., 0].neg_(), grad_factor)

    return value_and_grad


def multivariate_shared(mean, factor, target):
    def value_and_grad():
        z = torch.linalg.solve_triangular(factor, (target - mean).T, upper=False)
        w = torch.linalg.solve_triangular(factor.T, z, upper=True)
        own = factor.diagonal()
        grad_factor = -(w @ z.T).tril_()
        grad_factor.diagonal().add_(own.reciprocal(), alpha=len(mean))
        value = 0.5 * z.square().sum() + len(mean) * own.log().sum() + HALF_LOG_2PI * mean.numel()
        return value, (-w.T, grad_factor)

    return value_and_grad


def triplet(anchor, positive, negative):
    grads = [torch.empty_like(anchor) for _ in range(3)]

    def value_and_grad():
        of_anchor, of_positive, of_negative = grads
        torch.sub(positive, anchor, out=of_positive)
        torch.sub(anchor, negative, out=of_negative)
        near = torch.linalg.vector_norm(of_positive, dim=-1, keepdim=True)
        far = torch.linalg.vector_norm(of_negative, dim=-1, keepdim=True)
        slack = (near - far + 1).relu_()
        missed = (slack > 0).to(anchor.dtype)
        of_positive.mul_(missed / near)
        of_negative.mul_(missed / far)
        torch.add(of_positive, of_negative, out=of_anchor).neg_()
        return slack.sum(), tuple(grads)

    return value_and_grad


BY_HAND = {
    "cross_entropy": in_place(cross_entropy),
    "binary_cross_entropy": in_place(binary_cross_entropy),
    "kl_divergence": in_place(kl_divergence),
    "binned_cross_entropy, uniform": in_place(binned_uniform),
    "binned_cross_entropy, mu-law": in_place(binned_mu_law),
    "squared_error": in_place(squared_error),
    "absolute_error": in_place(absolute_error),
    "huber": in_place(huber),
    "log_cosh": in_place(log_cosh),
    "exponential_nll": in_place(exponential),
    "poisson_nll, log": in_place(poisson_log),
    "hinge": in_place(hinge),
    "squared_hinge": in_place(squared_hinge),
    "multiclass_hinge": in_place(multiclass_hinge),
    "multivariate_gaussian_nll": multivariate,
    "multivariate_gaussian_nll, shared": multivariate_shared,
    "triplet_margin": triplet,
}
