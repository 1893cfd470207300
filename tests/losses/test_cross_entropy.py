"""All options of cross_entropy together, for every kind of target."""

from itertools import product

import numpy as np
import pytest
from cases import DTYPES, REDUCTIONS, Case, assert_exact, assert_same_bits
from thin import covering

import nllkern as nk

pytestmark = pytest.mark.thin

OPTIONS = {
    "class_weight": (False, True),
    "sample_weight": (False, True),
    "ignore_index": (None, 1, -100),
    "label_smoothing": (0.0, 0.1, 1.0),
    "z_loss": (0.0, 0.02),
    "softcap": (None, 30.0, 2.0),
}
each_dtype = pytest.mark.parametrize("dtype", DTYPES)
each_kind = pytest.mark.parametrize("kind", ["index", "one-hot", "soft"])
each_classes = pytest.mark.parametrize("classes", [5, 67])


def combinations(problem, values=OPTIONS, choose=list):
    """The problem under every combination of options, or those chosen; True: array of weights."""
    rng = np.random.default_rng(0)
    weights = {
        "class_weight": rng.uniform(0.2, 2, problem.args[0].shape[-1]).astype(problem.dtype),
        "sample_weight": rng.uniform(0.2, 2, problem.shape).astype(problem.dtype),
    }
    weights["sample_weight"].flat[::5] = 0
    if problem.args[1].dtype.kind == "i":
        problem.args[1].flat[::7] = -100  # a padding, which only ignore_index=-100 allows
    for combination in choose(product(*values.values())):
        options = dict(zip(values, combination, strict=True))
        for name in weights:
            options[name] = weights[name] if options[name] else None
        target = problem.args[1]
        if options["ignore_index"] != -100 and target.dtype.kind == "i":
            target = np.where(target == -100, 0, target)
        yield problem.having(problem.args[0], target, **options)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@each_kind
@each_dtype
@each_classes
def test_every_pair_of_options(classes, dtype, kind, reduction):
    problem = Case("cross_entropy", kind, classes).problem(40, dtype)
    for one in combinations(problem, choose=covering):
        assert_exact(one, reduction)


@pytest.mark.slow
@each_kind
@each_dtype
@each_classes
def test_every_combination(classes, dtype, kind):
    for problem in combinations(Case("cross_entropy", kind, classes).problem(40, dtype)):
        for reduction in REDUCTIONS:
            assert_exact(problem, reduction)


@each_kind
@each_dtype
@each_classes
def test_all_or_nothing_at_every_level(classes, dtype, kind, simd_level):
    """Each option off or on."""
    values = {name: (off, on[-1]) for name, (off, *on) in OPTIONS.items()}
    for problem in combinations(
        Case("cross_entropy", kind, classes).problem((5, 7), dtype), values
    ):
        assert_exact(problem, "mean")
        got = problem.run("value_and_grad", reduction="mean")
        assert_same_bits(problem.run("value", reduction="mean"), got[:1])


@each_dtype
def test_rows_need_not_sum_to_one(dtype, simd_level):
    """The gradient is sum(t) p - t."""
    rng = np.random.default_rng(1)
    logits, target = rng.normal(size=(2, 40, 5)).astype(dtype)
    grad = nk.cross_entropy.grad(logits, target, reduction="sum")
    p = np.exp(logits.astype(float))
    p /= p.sum(-1, keepdims=True)
    exact = target.sum(-1, keepdims=True, dtype=float) * p - target
    np.testing.assert_allclose(grad, exact, rtol=0, atol=20 * np.finfo(dtype).eps)
    problem = Case("cross_entropy", "soft", 5).problem(40, dtype)
    for factor in (0, 0.25, 4):
        scaled = problem.having(problem.args[0], problem.args[1] * np.dtype(dtype).type(factor))
        for x, y in zip(scaled.run(reduction="none"), problem.run(reduction="none"), strict=True):
            np.testing.assert_array_equal(x, factor * y)


@each_dtype
def test_smoothing_is_a_soft_target(dtype, simd_level):
    """(1 - e) t + e/K, before the class weights."""
    problem = Case("cross_entropy", "index", 8).weighted(40, dtype)
    logits, index = problem.args
    smooth = (0.5 * np.eye(8)[index] + 0.5 / 8).astype(dtype)
    got = problem.run(label_smoothing=0.5, reduction="none")
    want = problem.having(logits, smooth).run(reduction="none")
    for x, y in zip(got, want, strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=30 * np.finfo(dtype).eps)
