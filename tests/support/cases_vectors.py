"""What the tests of the losses of vectors share: problems, and the reference beside them."""

import numpy as np
from cases import LOSSES, Problem, flat
from tolerance import Tolerance, error_in_ulps, tolerances

LEVELS = 4.0, 8.0  # ulp of float32; of float64, where the reference may be off itself


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


def shape_of(problem):
    """Shape of the loss."""
    return problem.args[0].shape[:-1]


def weighted(problem, seed=1):
    weight = np.random.default_rng(seed).uniform(0.1, 2.0, shape_of(problem))
    return problem.having(sample_weight=weight.astype(problem.dtype))


def is_shared(problem):
    if problem.loss.name == "triplet_margin":
        return False
    own = len(shape_of(problem)) + 2  # axes of a factor for every sample
    return problem.args[1].ndim != own or problem.options["link"] == "covariance"


def rows(problem, index):
    """Some samples alone; a factor that all share stays."""
    shared = is_shared(problem)
    args = tuple(x if shared and k == 1 else x[index] for k, x in enumerate(problem.args))
    options = {k: v[index] if k == "sample_weight" else v for k, v in problem.options.items()}
    return Problem(problem.loss, args, options)


def results(problem, method="value_grad_hess", reference=False, **options):
    """As a flat list, without what is None."""
    loss = problem.loss.reference if reference else problem.loss
    call = loss if method == "value" else getattr(loss, method)
    return [x for x in flat(call(*problem.args, **{**problem.options, **options})) if x is not None]


def tolerance_of(problem, reduction):
    """A Tolerance per result, weights and reduction included; sums over samples add up."""
    own = {k: v for k, v in problem.options.items() if k in ("link", "full", "p", "margin")}
    args = list(problem.args)
    if is_shared(problem):
        args[1] = np.broadcast_to(args[1], (*shape_of(problem), *args[1].shape))
    with np.errstate(all="ignore"):
        value, grads, hesss = tolerances(problem.loss.name, args, own, problem.dtype)
    fixed = own.get("link") == "covariance"
    parts = [value, *(grads[:1] if fixed else grads), *(hesss[:1] if fixed else hesss)]
    weight = problem.options.get("sample_weight")
    weight = np.ones(shape_of(problem)) if weight is None else np.abs(np.float64(weight))
    divisor = weight.sum() if reduction == "mean" else 1.0
    count = len(parts) // 2
    found = []
    for k, part in enumerate(parts):
        w = weight.reshape(weight.shape + (1,) * (part.floor.ndim - weight.ndim)) / (divisor or 1)
        floor, grant = (np.where(w == 0, 0.0, w * x) for x in part)
        total = k == 0 and reduction != "none"
        if total or (is_shared(problem) and k and (k - 1) % count == 1):
            axes = tuple(range(weight.ndim))
            floor, grant = floor.sum(axes), grant.sum(axes)
        found.append(Tolerance(np.maximum(floor, np.finfo(problem.dtype).tiny), grant))
    return found


def assert_right(problem, reduction="none", method="value_grad_hess", limits=LEVELS):
    """Equal to the reference."""
    got = results(problem, method, reduction=reduction)
    want = results(problem, method, reference=True, reduction=reduction)
    assert len(got) == len(want)
    limit = limits[problem.dtype == np.float64]
    eps = np.finfo(problem.dtype).eps
    for k, (x, exact, tol) in enumerate(
        zip(got, want, tolerance_of(problem, reduction), strict=False)
    ):
        what = f"result {k} ({reduction}, {problem.options})"
        if isinstance(exact, float):
            assert type(x) is float, what
        else:
            assert x.dtype == problem.dtype, what
            assert x.shape == exact.shape, what
        size = np.maximum(np.abs(exact), tol.floor)  # further roundings: of weight and scale
        error = error_in_ulps(x, exact, Tolerance(size, tol.grant + 2 * eps * size), problem.dtype)
        assert np.all(error <= limit), f"{what}: {np.max(error):.3g} ulp"
