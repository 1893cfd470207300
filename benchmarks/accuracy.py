"""Errors on hard inputs, against mpmath: the criterion of the accuracy tests.

The points are finite and inside the domain, where the loss has a derivative: confident rows, large
common offsets, saturated and tiny logits, very small and very large differences, scales and shapes.
"""

import itertools

import numpy as np

from .catalogue import BINS

CLASSES = 8


def grid(dtype, *axes):
    """Every combination of the axes' values, one array an axis, rounded to the dtype."""
    return tuple(np.array(column, dtype) for column in zip(*itertools.product(*axes), strict=True))


def class_logits(dtype, offsets=(0, 100, -1e4, 1e6)):
    """(logits, target): many spreads at every offset; then rows whose first class is far ahead."""
    rng = np.random.default_rng(0)
    logits = []
    for offset, scale in itertools.product(offsets, [1e-3, 1, 5, 20, 80]):
        logits.append(offset + scale * rng.standard_normal((6, CLASSES)))
    gaps = np.array([1, 5, 10, 16, 17, 20, 30, 37, 50, 80, 87, 100])
    confident = rng.standard_normal((len(gaps), CLASSES))
    confident[:, 0] = confident.max(axis=1) + gaps
    logits = np.concatenate([*logits, confident, confident + 1e4]).astype(dtype)
    target = rng.integers(0, CLASSES, len(logits))
    target[::3] = logits[::3].argmax(axis=1)  # confident and right: a tiny loss
    target[-2 * len(gaps) :] = 0
    return logits, target


def sigmoid_points(dtype):
    """Down to where every theta is tiny, or too small for the dtype."""
    return class_logits(dtype, (0, -20, -100, -1e4, 20))


def divergence_points(dtype):
    """Targets of every kind: even, peaked, with zeros, and the softmax of the logits itself."""
    logits, _ = class_logits(dtype)
    rng = np.random.default_rng(1)
    shifted = logits.astype(float) - logits.max(axis=-1, keepdims=True)
    target = np.exp(shifted)
    peaked = rng.standard_exponential(target.shape) ** 8
    peaked[:, 3] = 0.0
    target[1::3] = peaked[1::3]
    target[2::3] = 1.0
    return logits, (target / target.sum(axis=-1, keepdims=True)).astype(dtype)


def bin_points(dtype):
    rng = np.random.default_rng(2)
    scales = np.array([1e-3, 1, 1, 5, 20, 80])[:, None]
    target = np.array([-0.999, -0.3, 0.001, 0.02, 0.6, 0.9985])
    return (scales * rng.standard_normal((6, BINS))).astype(dtype), target.astype(dtype)


def binary_points(dtype):
    sizes = [1e-10, 1e-3, 0.5, 1, 3, 8, 15, 17, 20, 34, 37, 50, 87]
    logits = [s * z for z in sizes for s in (-1, 1)]
    return grid(dtype, logits, [0, 1e-6, 0.1, 0.5, 0.9, 1 - 1e-6, 1])


def difference_points(dtype):
    """Differences from tiny to where exp and cosh overflow."""
    sizes = [1e-15, 1e-8, 1e-5, 1e-3, 0.03, 0.3, 0.999, 1.5, 9, 20, 50, 89, 300, 1000]
    prediction, difference = grid(dtype, [0, 0.7, -1000], [s * d for d in sizes for s in (-1, 1)])
    target = prediction - difference
    apart = target != prediction
    return prediction[apart], target[apart]


RAW = [-20, -10, -3, -0.5, 0, 1, 5, 22, 50]


def gaussian_points(dtype):
    return grid(dtype, [-3, 0, 0.25, 1000], RAW, [-2.5, 0, 0.2501, 1.5, 1001])


def location_points(dtype):
    return grid(dtype, [-3, 0, 0.25, 1000], RAW, [-2.5, 0.1, 0.2501, 1.5, 1001])


def student_t_points(dtype):
    """Its df is the number of the catalogue's entry."""
    mean, raw, target = location_points(dtype)
    return mean, raw, 4.0, target


def student_t_df_points(dtype):
    """Degrees of freedom from 1e-4 to 1e10."""
    raw_df = [-9, -1, 0.54, 3, 30, 1e4, 1e7, 1e10]
    return grid(dtype, [0, 0.25, 1000], [-10, -0.5, 1, 22], raw_df, [0.1, 0.2501, 1.5, 1001])


def exponential_points(dtype):
    return grid(dtype, [-50, -20, *RAW, 87, 1e4], [1e-6, 1e-3, 0.5, 1, 1.5, 30, 1e4])


def gamma_points(dtype):
    """Raw outputs, some of them such that the target lies near the mean shape / rate."""
    raw = [-50, -10, -1, 0.54, 1, 3, 10, 100, 1e4, 1e6]
    return grid(dtype, raw, raw, [1e-3, 0.5, 1, 1.001, 30, 1e4])


def poisson_log_points(dtype):
    """Some of them with the rate near the count."""
    return grid(dtype, [-50, -10, -1, 0, 0.7, 2.3, 6.9, 13.8, 20], [0, 1, 2, 3, 10, 1000, 1e6])


def poisson_points(dtype):
    raw = [-50, -10, -1, 0.54, 2, 3, 10, 1000, 1e6]
    return grid(dtype, raw, [0, 1, 2, 3, 10, 1000, 1e6])


def vector_points(dtype, d=4):
    """Factors of very different scales and condition."""
    rng = np.random.default_rng(3)
    cases = list(itertools.product([1e-3, 1, 1e3], [1e-3, 1, 10], [0, 100], range(2)))
    mean, difference = rng.standard_normal((2, len(cases), d))
    factor = np.tril(rng.standard_normal((len(cases), d, d)), -1)
    for i, (scale, below, offset, _) in enumerate(cases):
        factor[i] *= below
        np.fill_diagonal(factor[i], rng.uniform(0.5, 2, d))
        factor[i] *= scale
        mean[i] += offset
        difference[i] *= scale
    return mean.astype(dtype), factor.astype(dtype), (mean + difference).astype(dtype)


def margin_points(dtype):
    scores = [-1e4, -3, -0.1, 0, 1e-8, 0.5, 0.999, 1.001, 2, 1e4]
    return grid(dtype, scores, [-1, 1])


def multiclass_margin_points(dtype):
    return class_logits(dtype, (0, 100, -1e4))


def triplet_points(dtype, d=8):
    """Vectors from near each other to far apart, at several offsets."""
    rng = np.random.default_rng(4)
    cases = list(itertools.product([1e-6, 1e-2, 1, 100], [0, 10], range(4)))
    anchor, positive, negative = rng.standard_normal((3, len(cases), d))
    for i, (scale, offset, _) in enumerate(cases):
        anchor[i] += offset
        positive[i] = anchor[i] + scale * positive[i]
        negative[i] = anchor[i] + scale * negative[i]
    return tuple(x.astype(dtype) for x in (anchor, positive, negative))


POINTS = {
    "cross_entropy": class_logits,
    "binary_cross_entropy": binary_points,
    "normalized_sigmoid_nll": sigmoid_points,
    "kl_divergence": divergence_points,
    "binned_cross_entropy, uniform": bin_points,
    "binned_cross_entropy, mu-law": bin_points,
    "squared_error": difference_points,
    "absolute_error": difference_points,
    "huber": difference_points,
    "log_cosh": difference_points,
    "gaussian_nll": gaussian_points,
    "laplace_nll": location_points,
    "student_t_nll, df=4": student_t_points,
    "student_t_nll, df predicted": student_t_df_points,
    "exponential_nll": exponential_points,
    "gamma_nll": gamma_points,
    "poisson_nll, log": poisson_log_points,
    "poisson_nll, softplus": poisson_points,
    "multivariate_gaussian_nll": vector_points,
    "hinge": margin_points,
    "squared_hinge": margin_points,
    "multiclass_hinge": multiclass_margin_points,
    "triplet_margin": triplet_points,
}


def samples_of(args):
    """The samples of a batch, one tuple of arguments each."""
    count = len(args[0])
    return zip(*(a if np.ndim(a) else [a] * count for a in args), strict=True)


def calls_of(work, dtype):
    """What a library is asked for: [(arguments, whether for the value, whether for gradients)].

    Values one sample at a time, gradients of all in one call.
    """
    args = POINTS[work.name](dtype)
    singles = [tuple(a[i : i + 1] if np.ndim(a) else a for a in args) for i in range(len(args[0]))]
    return [*((one, True, False) for one in singles), (args, False, True)]


def judged_as(work, args):
    """(arguments, keywords) of what is exact: a binned target is the index of its bin."""
    keywords = dict(work.keywords)
    edges = keywords.pop("edges", None)
    if edges is None:
        return args, keywords
    logits, target = args
    edges = np.linspace(*edges, BINS + 1) if len(edges) == 2 else edges
    return (logits, np.searchsorted(edges, target) - 1), keywords


def can_judge(work):
    """Whether there are hard points for the entry."""
    return work.name in POINTS


class Judge:
    """Exact results of one entry and dtype, computed once; worst errors of anyone's results."""

    def __init__(self, work, dtype):
        from nllkern import _accuracy
        from nllkern.reference import exact  # it needs mpmath

        self.dtype, self.error_of = np.dtype(dtype), _accuracy.error
        args, keywords = judged_as(work, POINTS[work.name](dtype))
        samples = [exact.sample(work.loss, one, keywords, self.dtype) for one in samples_of(args)]
        joined = [
            _accuracy.Exact(*(np.hstack(list(map(np.ravel, x))) for x in zip(*parts, strict=True)))
            for parts in zip(*samples, strict=True)
        ]
        self.value, self.grads = joined[0], joined[1 : 1 + work.predictions]

    def worst(self, values, grads):
        """(worst error of the value, worst error of any gradient), in units of the criterion.

        `values`: one a sample; `grads`: from one call, one array a prediction.
        """
        of_grads = (self.error(*one) for one in zip(grads, self.grads, strict=False))
        return self.error(values, self.value), max(of_grads)

    def error(self, got, exact):
        return float(self.error_of(np.ravel(got), exact, self.dtype).max())
