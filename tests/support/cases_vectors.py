"""Problems of the losses of vectors."""

import numpy as np
from cases import LOSSES, Problem


def gaussian(n, d, dtype, link="identity", shared=False, seed=0, **options):
    """A batch of n vectors of d numbers; n may be any leading shape."""
    rng = np.random.default_rng(seed)
    shape = (n,) if isinstance(n, int) else n
    mean, target = rng.normal(size=(2, *shape, d))
    factor = rng.normal(size=(d, d) if shared or link == "covariance" else (*shape, d, d))
    below = np.tril(factor, -1) / np.sqrt(d)
    diagonal = np.diagonal(factor, axis1=-2, axis2=-1)
    raw = np.exp(0.3 * diagonal) if link == "identity" else diagonal
    factor = below + np.eye(d) * raw[..., None]
    if link == "covariance":
        factor = below @ below.T + np.eye(d)
    else:  # what is above the diagonal does not matter
        factor = factor + np.triu(np.full((d, d), np.nan), 1)
    args = tuple(x.astype(dtype) for x in (mean, factor, target))
    return Problem(LOSSES["multivariate_gaussian_nll"], args, {"link": link, **options})


def triplet(n, d, dtype, p=2.0, margin=1.0, seed=0, **options):
    rng = np.random.default_rng(seed)
    shape = (n,) if isinstance(n, int) else n
    args = tuple(rng.normal(size=(3, *shape, d)).astype(dtype))
    return Problem(LOSSES["triplet_margin"], args, {"p": p, "margin": margin, **options})
