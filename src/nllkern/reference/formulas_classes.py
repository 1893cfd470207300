"""The value of every loss over classes: formulas like those of ``formulas.py``, of whole rows.

The classes are the last axis; a target is given as probabilities, an index as its one-hot row.
"""


def cross_entropy(f, logits, target, class_weight, label_smoothing, z_loss, softcap):
    """sum_k tau_k (lse - s_k) + z_loss lse^2, s = softcap tanh(z / softcap)."""
    scores = logits
    if softcap is not None:
        capped = f.rounded(f.tanh(logits / softcap) * softcap)
        scores = f.where(f.masked(logits), lambda: logits, lambda: capped)
    tau = smoothed(f, target, class_weight, label_smoothing)
    value, lse = softmax_nll(f, scores, tau)
    return value + lse * lse * z_loss if z_loss else value


binned_cross_entropy = cross_entropy  # its target is that of the bins


def normalized_sigmoid_nll(f, logits, target, class_weight, label_smoothing):
    """Of the softmax of log sigmoid(z)."""
    tau = smoothed(f, target, class_weight, label_smoothing)
    return softmax_nll(f, f.rounded(-f.softplus(-logits)), tau)[0]


def kl_divergence(f, logits, target, link):
    """sum_k t_k (log t_k - log p_k)."""
    entropy = f.sum(f.x_log_x(target))
    if link == "log":
        return entropy - f.sum(f.times(target, logits))
    return entropy + softmax_nll(f, logits, target)[0]


def multiclass_hinge(f, scores, target, margin, variant):
    """max(0, margin + s_j - s_y) of the largest other class j, or the sum over all others."""
    own = f.pick(scores, target.value.argmax(-1)[..., None])
    if variant == "weston_watkins":
        return f.sum(f.relu(margin + scores - own) * (target.value == 0))
    others = f.largest_but(scores, target.value == 1)
    return f.relu(margin + others - own) if others is not None else own * 0


def smoothed(f, target, class_weight, label_smoothing):
    """What each class weighs."""
    if label_smoothing:
        eps, classes = f.n.real(label_smoothing), target.value.shape[-1]
        target = target * (1 - eps) + eps / classes
    return class_weight * target


def softmax_nll(f, scores, tau):
    """(sum_k tau_k (lse - s_k), lse), from the gaps to the largest score."""
    pivot = scores.value.argmax(-1)[..., None]
    top = f.pick(scores, pivot)
    gap = scores - top
    log_total = f.log1p(f.sum(f.exp(gap) * f.all_but(scores, pivot)))
    return f.sum(tau) * log_total - f.sum(f.times(tau, gap)), top + log_total
