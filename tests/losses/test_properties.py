"""What holds for every loss: equality with the reference, true derivatives, and identities."""

import inspect
import math
import pickle

import numpy as np
import pytest
from cases import (
    DTYPES,
    LOSSES,
    REDUCTIONS,
    Case,
    assert_exact,
    assert_same_bits,
    cases,
    flat,
    known,
)
from cases_vectors import gaussian, triplet

import nllkern as nk
from nllkern import reference
from nllkern._accuracy import LIMIT, float_error

pytestmark = pytest.mark.thin

each_case = pytest.mark.parametrize("case", cases(), ids=str)
each_small_case = pytest.mark.parametrize("case", cases(classes=(5,)), ids=str)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)
each_reduction = pytest.mark.parametrize("reduction", REDUCTIONS)
SEVERAL_PARAMETERS = [c for c in cases() if len(LOSSES[c.name].parameters) > 1]
METHODS = ("value", "value_and_grad", "grad", "value_grad_hess")


# Against the reference.


@each_reduction
@each_dtype
@each_case
def test_equals_reference(case, dtype, reduction, simd_level):
    assert_exact(case.problem(70, dtype), reduction)
    assert_exact(case.weighted(70, dtype), reduction)


@each_dtype
@each_case
def test_small_numbers_of_samples(case, dtype, simd_level):
    for n in (0, 1, 2, 3, 15, 17):
        assert_exact(case.weighted(n, dtype, seed=n), "mean")


@pytest.mark.thin(1)
@each_dtype
@each_small_case
@pytest.mark.parametrize("shape", [(), (1,), (7, 3), (2, 1, 5), (0, 4), (4, 0)], ids=str)
def test_leading_axes(case, shape, dtype):
    problem = case.weighted(shape, dtype)
    for reduction in REDUCTIONS:
        assert_exact(problem, reduction)


@pytest.mark.parametrize("full", [True, False])
@each_case
def test_constants(case, full):
    """full=False drops what depends on no parameter, and nothing else."""
    if "full" not in inspect.signature(LOSSES[case.name]).parameters:
        with pytest.raises(TypeError, match="unknown keyword 'full'"):
            case.problem(3, "float64").having(full=full).run()
        return
    problem = case.problem(70, "float64")
    assert_exact(problem.having(full=full))
    assert_same_bits(problem.having(full=full).run()[1:], problem.run()[1:])


# Derivatives, by differences of the reference's values.

STEP = 0.004
FIRST = {1: 4 / 5, 2: -1 / 5, 3: 4 / 105, 4: -1 / 280}  # f' ~ sum c_i (f(+ih) - f(-ih)) / h
SECOND = {0: -205 / 72, 1: 8 / 5, 2: -1 / 5, 3: 8 / 315, 4: -1 / 560}  # f'' likewise, / h^2


def differences(problem, parameter, at, step=STEP):
    """First and second derivative of each sample's value, of eighth order in the step."""

    def value(steps):
        args = list(problem.args)
        args[parameter] = args[parameter].copy()
        args[parameter][at] += steps * step
        (result,) = problem.having(*args).run("value", reference=True, reduction="none")
        return result

    values = {i: value(i) for i in range(-4, 5)}
    first = sum(c * (values[i] - values[-i]) for i, c in FIRST.items()) / step
    second = sum(c * (values[i] + values[-i]) for i, c in SECOND.items() if i)
    second = (second + SECOND[0] * values[0]) / step**2
    return first, second


CROSS_ENTROPY_OPTIONS = {
    "label_smoothing": {"label_smoothing": 0.1},
    "z_loss": {"z_loss": 0.05},
    "softcap": {"softcap": 4.0},
    "all": {"label_smoothing": 0.2, "z_loss": 0.05, "softcap": 3.0},
}


def derivative_problems():
    """(problem, the places of each parameter's numbers within a sample)"""
    for case in cases(classes=(5,)):
        for name, options in {"": {}, **(CROSS_ENTROPY_OPTIONS if case.rowwise else {})}.items():
            if options and not known(case.name, options):
                continue
            problem = case.weighted(40, "float64").having(**known(case.name, options))
            # Away from the pole at 0.
            args = [x + 0.5 if k in case.positive else x for k, x in enumerate(problem.args)]
            places = [[(k,) for k in range(5)]] if case.rowwise else [[()]] * (len(args) - 1)
            yield pytest.param(problem.having(*args), places, id=f"{case}-{name}")
    each, triangle = [(k,) for k in range(3)], list(zip(*np.tril_indices(3), strict=True))
    for link in ("identity", "softplus", "log"):
        problem = gaussian(4, 3, "float64", link)
        yield pytest.param(problem, [each, triangle], id=f"multivariate_gaussian_nll-{link}")
    for p in (2.0, 1.5, 3.0):
        problem = triplet(40, 3, "float64", p, margin=8.0, seed=3)  # no hinge at rest
        yield pytest.param(problem, [each] * 3, id=f"triplet_margin-{p}")


@pytest.mark.parametrize(("problem", "places"), list(derivative_problems()))
def test_derivatives(problem, places):
    _, *derivatives = problem.run(reduction="none")
    for k, at in ((k, (..., *place)) for k, own in enumerate(places) for place in own):
        first, second = differences(problem, k, at)
        # Next to a corner or a jump differences of different steps differ, and none is right.
        finer, again = differences(problem, k, at, STEP / 2)
        smooth = np.abs(second - again) < 1e-6 * (1 + np.abs(second))
        assert np.mean(smooth) > 0.8
        bound = 1e-10 * (1 + np.abs(first)) + 2 * np.abs(first - finer)
        assert np.all((np.abs(derivatives[k][at] - first) < bound)[smooth])
        scale = 1 + np.abs(second)
        error = np.abs(derivatives[len(places) + k][at] - second) / scale
        assert np.max(error[smooth]) < 1e-7


# The calls agree with each other.


@each_dtype
@each_case
def test_value_alone_and_gradient_alone(case, dtype, simd_level):
    problem = case.weighted(45, dtype)
    for reduction in REDUCTIONS:
        both = problem.run("value_and_grad", reduction=reduction)
        assert_same_bits(problem.run("value", reduction=reduction), both[:1])
        assert_same_bits(problem.run("grad", reduction=reduction), both[1:])


@each_dtype
@each_case
def test_reduced_value_is_the_sum_in_float64(case, dtype, simd_level):
    """Weights are multiplied in float64 too; losses may be summed before they are rounded."""
    problem = case.weighted(333, dtype)
    (each,) = problem.having(sample_weight=None).run("value", reduction="none")
    problem = problem.rows(
        np.isfinite(each)
    )  # a sum of float32 losses may hold what float32 cannot
    weight = problem.options["sample_weight"].astype(float)
    (each,) = problem.having(sample_weight=None).run("value", reduction="none")
    each = weight * each
    (total,) = problem.run("value", reduction="sum")
    assert type(total) is float
    limit = (0.5 * np.finfo(dtype).eps + 16 * np.finfo(np.float64).eps) * np.abs(each).sum()
    assert abs(total - math.fsum(each)) <= limit
    (mean,) = problem.run("value", reduction="mean")
    assert mean == pytest.approx(total / problem.denominator(), rel=1e-14)


@each_dtype
@each_case
def test_gradient_is_that_of_the_reduced_value(case, dtype):
    problem = case.weighted(45, dtype)
    each = problem.run("grad", reduction="none")
    assert_same_bits(problem.run("grad", reduction="sum"), each)
    assert_same_bits(problem.run("grad", normalizer=1.0), each)
    for x, y in zip(problem.run("grad", reduction="mean"), each, strict=True):
        np.testing.assert_allclose(x * problem.denominator(), y, rtol=4 * np.finfo(dtype).eps)


@each_dtype
@each_case
def test_gradient_accumulation(case, dtype, simd_level):
    """Micro-batches that share a normalizer have the gradients of the whole batch."""
    problem = case.weighted(50, dtype)
    problem = problem.having(normalizer=float(problem.denominator()))
    whole = problem.run("value_and_grad")
    parts = [problem.rows(part).run("value_and_grad") for part in np.split(np.arange(50), [9, 30])]
    assert_same_bits([np.concatenate(g) for g in list(zip(*parts, strict=True))[1:]], whole[1:])
    assert sum(p[0] for p in parts) == pytest.approx(whole[0], rel=1e-12)


# Identities.


@each_dtype
@each_case
def test_weights_of_one_are_no_weights(case, dtype, simd_level):
    problem, weighted = case.problem(70, dtype), case.weighted(70, dtype)
    ones = {k: np.ones_like(v) for k, v in weighted.options.items() if isinstance(v, np.ndarray)}
    for method in METHODS:
        for reduction in REDUCTIONS:
            same = [p.run(method, reduction=reduction) for p in (problem.having(**ones), problem)]
            assert_same_bits(*same, what=f"{method} {reduction}")


@each_dtype
@pytest.mark.parametrize("name", ["cross_entropy", "normalized_sigmoid_nll"])
@pytest.mark.parametrize("classes", [2, 10, 67])
def test_one_hot_equals_index(classes, name, dtype, simd_level):
    case = Case(name, "index", classes)
    problem = case.problem(70, dtype)
    problem = problem.having(sample_weight=np.linspace(0, 2, 70, dtype=dtype))
    logits, index = problem.args
    one_hot = problem.having(logits, np.eye(classes, dtype=dtype)[index])
    for options in ({}, {"ignore_index": 1}, *CROSS_ENTROPY_OPTIONS.values()):
        options = known(name, options)
        for reduction in REDUCTIONS:
            got = one_hot.having(**options).run(reduction=reduction)
            want = problem.having(**options).run(reduction=reduction)
            exact = one_hot.having(**options).exact(reduction)
            for x, y, (_, bound) in zip(got, want, exact, strict=True):
                assert np.all(float_error(x, y, bound, dtype) <= 2 * LIMIT)


@each_dtype
@pytest.mark.parametrize("case", [c for c in cases() if c.rowwise], ids=str)
def test_options_at_their_neutral_value(case, dtype, simd_level):
    problem = case.weighted(70, dtype)
    neutral = {"label_smoothing": 0.0, "z_loss": 0.0, "softcap": None, "ignore_index": None}
    neutral = known(case.name, {**neutral, "margin": 1.0})
    for method in METHODS:
        assert_same_bits(problem.having(**neutral).run(method), problem.run(method))
    never = problem.having(**known(case.name, {"ignore_index": -100}))  # no sample has it
    for method in METHODS:
        assert_same_bits(never.run(method), problem.run(method))


def shifts(case):
    """Whether only the differences of the predictions of a row matter."""
    return case.rowwise and case.name != "normalized_sigmoid_nll" and case.kind != "log"


@each_dtype
@pytest.mark.parametrize(
    "case", [c for c in cases() if shifts(c) or c.name == "gaussian_nll"], ids=str
)
def test_shift(case, dtype, simd_level):
    """Adding 1e6 to all logits, or to mean and target, is exact here and so changes no bit."""
    problem = case.problem(70, dtype)
    moved = [0] if case.rowwise else [0, 2]
    million = np.dtype(dtype).type(1e6)
    near = [np.round(4 * x) / 4 if k in moved else x for k, x in enumerate(problem.args)]
    far = [x + million if k in moved else x for k, x in enumerate(near)]
    assert all(np.array_equal(far[k] - million, near[k]) for k in moved)
    for method in METHODS:
        assert_same_bits(problem.having(*far).run(method), problem.having(*near).run(method))


each_library = pytest.mark.parametrize("lib", [nk, reference], ids=["nllkern", "reference"])


@each_library
@each_dtype
def test_half_the_squared_error(dtype, lib):
    """gaussian_nll with a fixed sigma of 1 and without its constant."""
    rng = np.random.default_rng(0)
    mean, target = rng.normal(size=(2, 70)).astype(dtype)
    value, (grad, _) = lib.gaussian_nll.value_and_grad(
        mean, 1.0, target, full=False, reduction="none"
    )
    np.testing.assert_allclose(value, 0.5 * (mean - target) ** 2, rtol=4 * np.finfo(dtype).eps)
    np.testing.assert_allclose(grad, mean - target, rtol=np.finfo(dtype).eps)


@each_library
@each_dtype
def test_student_with_infinite_degrees_of_freedom_is_gaussian(dtype, lib, simd_level):
    rng = np.random.default_rng(1)
    mean, target = (3 * rng.normal(size=(2, 70))).astype(dtype)
    scale = rng.gamma(2.0, size=70).astype(dtype)
    got = flat(lib.student_t_nll.value_grad_hess(mean, scale, np.inf, target, reduction="none"))
    want = flat(lib.gaussian_nll.value_grad_hess(mean, scale, target, reduction="none"))
    assert got.pop(6) == got.pop(3) == 0.0
    for x, y in zip(got, want, strict=True):
        np.testing.assert_allclose(x, y, rtol=8 * np.finfo(dtype).eps, atol=8 * np.finfo(dtype).eps)


# Parameters that are one number for all samples.


@each_reduction
@each_dtype
@pytest.mark.parametrize("case", SEVERAL_PARAMETERS, ids=str)
def test_scalar_parameters(case, dtype, reduction, simd_level):
    problem = case.weighted(70, dtype)
    count = len(problem.args) - 1
    for which in range(1, 2**count):
        scalar = [which >> k & 1 for k in range(count)]
        args = [float(a[0]) if s else a for a, s in zip(problem.args, scalar, strict=False)]
        one = problem.having(*args, problem.args[-1])
        assert_exact(one, reduction)
        got = one.run(reduction=reduction)
        args = [np.full(70, a, dtype) if s else a for a, s in zip(args, scalar, strict=True)]
        full = problem.having(*args, problem.args[-1]).run(reduction=reduction)
        for k, s in enumerate(scalar * 2, start=1):
            if not s:
                assert_same_bits([got[k]], [full[k]])
                continue
            assert type(got[k]) is float
            if np.isfinite(full[k]).all():  # a sum of float32 numbers may hold what float32 cannot
                assert got[k] == pytest.approx(math.fsum(full[k].tolist()), rel=1e-13, abs=1e-13)


# The loss objects.


@pytest.mark.parametrize("loss", nk.losses(), ids=str)
def test_loss_objects(loss):
    assert getattr(nk, loss.name) is loss
    assert loss.reference is getattr(reference, loss.name)
    assert loss.name in repr(loss)
    assert pickle.loads(pickle.dumps(loss)) is loss
    assert loss.links == tuple(loss.reference.links)
    signature = inspect.signature(loss)
    positional = [p.name for p in signature.parameters.values() if p.kind is p.POSITIONAL_ONLY]
    target = ("target",) if loss.row.target else ()
    assert tuple(positional) == (*loss.parameters, *target)
    for name in (*loss.parameters, *signature.parameters):
        assert name in loss.__doc__, f"{name} is not in the docstring"
