"""Errors on hard inputs, in ulp, against mpmath: the same criterion as the accuracy tests.

The points are finite and inside the domain: confident rows, large common offsets, saturated and
tiny logits, very small and very large scales and shapes.
"""

import itertools

import numpy as np

CLASSES = 8
LINK = {"gaussian_nll": "softplus", "gamma_nll": "softplus"}


def grid(dtype, *axes):
    """Every combination of the axes' values, one array an axis, rounded to the dtype."""
    return tuple(np.array(column, dtype) for column in zip(*itertools.product(*axes), strict=True))


def cross_entropy_points(dtype):
    rng = np.random.default_rng(0)
    logits = []
    for offset, scale in itertools.product([0, 100, -1e4, 1e6], [1e-3, 1, 5, 20, 80]):
        logits.append(offset + scale * rng.standard_normal((6, CLASSES)))
    gaps = np.array([1, 5, 10, 16, 17, 20, 30, 37, 50, 80, 87, 100])
    confident = rng.standard_normal((len(gaps), CLASSES))
    confident[:, 0] = confident.max(axis=1) + gaps
    logits = np.concatenate([*logits, confident, confident + 1e4]).astype(dtype)
    target = rng.integers(0, CLASSES, len(logits))
    target[::3] = logits[::3].argmax(axis=1)  # confident and right: a tiny loss
    target[-2 * len(gaps) :] = 0
    return logits, target


def binary_points(dtype):
    sizes = [1e-10, 1e-3, 0.5, 1, 3, 8, 15, 17, 20, 34, 37, 50, 87]
    logits = [s * z for z in sizes for s in (-1, 1)]
    return grid(dtype, logits, [0, 1e-6, 0.1, 0.5, 0.9, 1 - 1e-6, 1])


def gaussian_points(dtype):
    raw = [-20, -10, -3, -0.5, 0, 1, 5, 22, 50]
    return grid(dtype, [-3, 0, 0.25, 1000], raw, [-2.5, 0, 0.2501, 1.5, 1001])


def gamma_points(dtype):
    """Raw outputs, some of them such that the target lies near the mean shape / rate."""
    raw = [-50, -10, -1, 0.54, 1, 3, 10, 100, 1e4, 1e6]
    return grid(dtype, raw, raw, [1e-3, 0.5, 1, 1.001, 30, 1e4])


POINTS = {
    "cross_entropy": cross_entropy_points,
    "binary_cross_entropy": binary_points,
    "gaussian_nll": gaussian_points,
    "gamma_nll": gamma_points,
}


def hard_points(loss, dtype):
    """Arguments of the loss, one sample a row."""
    return POINTS[loss](dtype)


def exact_sample(loss, *args):
    """(value, gradients) of one sample by mpmath."""
    from tests.golden import exact

    if loss == "cross_entropy":
        logits, target = args
        one_hot = [int(k == target) for k in range(CLASSES)]
        ones = [1.0] * CLASSES
        return exact.cross_entropy(logits.tolist(), one_hot, ones, 0.0, 0.0, None)[:2]
    args = [float(a) for a in args]
    if loss == "binary_cross_entropy":
        return exact.binary_cross_entropy(*args, 1.0)[:2]
    return getattr(exact, loss)(*args, LINK[loss], True)[:2]


class Judge:
    """Exact results of one loss and dtype, computed once; worst errors of anyone's results."""

    def __init__(self, loss, dtype):
        from tests import tolerance

        self.dtype, self.error_in_ulps = np.dtype(dtype), tolerance.error_in_ulps
        args = hard_points(loss, dtype)
        samples = [exact_sample(loss, *point) for point in zip(*args, strict=True)]
        self.value = np.array([float(value) for value, _ in samples])
        grads = np.array([[float(g) for g in grad] for _, grad in samples])
        self.grads = [grads] if loss == "cross_entropy" else list(grads.T)
        options = {"link": LINK[loss]} if loss in LINK else {}
        self.value_tolerance, self.grad_tolerances, _ = tolerance.tolerances(
            loss, args, options, self.dtype
        )

    def worst(self, value, grads):
        """(worst error of the value, worst error of any gradient), in ulp."""
        of_value = self.error_in_ulps(value, self.value, self.value_tolerance, self.dtype)
        of_grads = [
            self.error_in_ulps(got, exact, tol, self.dtype).max()
            for got, exact, tol in zip(grads, self.grads, self.grad_tolerances, strict=True)
        ]
        return float(of_value.max()), float(max(of_grads))
