"""What the tests of the losses of vectors share: problems, and the reference beside them."""

import numpy as np
from cases import LOSSES, Problem, assert_type, flat, weigh

from nllkern._accuracy import LIMIT, float_error
from nllkern.reference.sampled import judge


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


def exact_of(problem, reduction):
    """[(f, bound)] of every result, weights and reduction included; sums over samples add up."""
    own = {k: v for k, v in problem.options.items() if k in ("link", "full", "p", "margin")}
    args, shared = list(problem.args), is_shared(problem)
    fixed = own.get("link") == "covariance"
    if fixed:
        own["link"], args[1] = "identity", np.linalg.cholesky(np.float64(args[1]))
    if shared:
        args[1] = np.broadcast_to(args[1], (*shape_of(problem), *args[1].shape))
    parts = judge(problem.loss.name, tuple(args), own)
    if fixed:
        parts = [parts[k] for k in (0, 1, 3)]
    given = problem.options.get("sample_weight")
    weight = np.ones(shape_of(problem)) if given is None else np.float64(given)
    weighted = given is not None or reduction == "mean"
    divisor = weight.sum() if reduction == "mean" else 1.0
    count = len(parts) // 2
    found = []
    for k, (f, bound) in enumerate(parts):
        pair = weigh(f, bound, weight, divisor, weighted)
        total = k == 0 and reduction != "none"
        if total or (shared and k and (k - 1) % count == 1):
            pair = tuple(x.sum(tuple(range(weight.ndim))) for x in pair)
        found.append(pair)
    return found


def assert_right(problem, reduction="none", method="value_grad_hess", limit=LIMIT):
    """To 4 roundings; of float64 to 8, where the judge is the reference in float64."""
    got = results(problem, method, reduction=reduction)
    exact = exact_of(problem, reduction)
    count = len(problem.loss.parameters) - (problem.options.get("link") == "covariance")
    exact = exact[: {"value": 1, "value_and_grad": 1 + count}.get(method)]
    exact = exact[1 : 1 + count] if method == "grad" else exact
    limit = limit if problem.dtype == np.float32 else 2 * limit
    for k, (x, (f, bound)) in enumerate(zip(got, exact, strict=True)):
        what = f"result {k} ({reduction}, {problem.options})"
        assert_type(x, f, problem.dtype, what)
        error = float_error(x, f, bound, problem.dtype)
        assert np.all(error <= limit), f"{what}: {np.max(error):.3g} roundings"
