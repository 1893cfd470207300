"""NaN, infinities, masked classes, weights of zero, batches in which nothing counts."""

import numpy as np
import pytest
from cases import DTYPES, REDUCTIONS, Case, assert_exact, assert_same_bits, cases, known

import nllkern as nk

pytestmark = pytest.mark.thin

NAN, INF = np.nan, np.inf
each_dtype = pytest.mark.parametrize("dtype", DTYPES)
each_case = pytest.mark.parametrize("case", cases((5, 10, 67)), ids=str)
CLASSES = pytest.mark.parametrize("classes", [2, 5, 10, 48, 49, 67, 200])
KINDS = pytest.mark.parametrize("kind", ["index", "one-hot", "soft"])
POSITIVE = [c for c in cases() if not c.rowwise and c.positive]
EVERY_OPTION = {"label_smoothing": 0.1, "z_loss": 0.01, "softcap": 5.0}


def spoil(problem, sample, value):
    """The float arguments (not a class index) of one sample overwritten."""
    args = [x.copy() for x in problem.args]
    for x in args:
        if x.dtype.kind == "f":
            x[sample] = value
    return problem.having(*args)


@each_dtype
@each_case
def test_nan_stays_in_its_sample(case, dtype, simd_level):
    problem = case.weighted(70, dtype)
    options = [{}, known(case.name, EVERY_OPTION)] if case.rowwise else [{}]
    others = np.arange(70) != 40
    for extra in options:
        for method in ("value_and_grad", "value_grad_hess"):
            want = problem.run(method, reduction="none", **extra)
            for k in range(len(problem.args)):
                if problem.args[k].dtype.kind != "f":
                    continue
                args = [x.copy() for x in problem.args]
                args[k][(40, 3) if case.rowwise else 40] = NAN
                got = problem.having(*args).run(method, reduction="none", **extra)
                assert_same_bits([x[others] for x in got], [x[others] for x in want], method)
                assert np.isnan(got[0][40])
                if k == 0:
                    assert all(np.isnan(x[40]).all() for x in got[1:2])
                total = problem.having(*args).run(method, reduction="sum", **extra)
                assert np.isnan(total[0])
                assert_same_bits([x[others] for x in total[1:]], [x[others] for x in want[1:]])


@each_dtype
@pytest.mark.parametrize("case", [c for c in cases((5, 10, 67)) if c.rowwise], ids=str)
def test_masked_classes_of_a_sample_that_is_nan(case, dtype, simd_level):
    """A sample is NaN with all its derivatives, masked classes too; in others those are 0."""
    problem = case.weighted(70, dtype)
    logits, target = problem.args
    logits = logits.copy()
    logits[:, 1] = -INF
    logits[[7, 40], 2] = NAN, INF
    logits[33] = -INF
    if target.dtype.kind == "i":
        target = np.where(np.arange(70) < 20, 0, np.where(np.arange(70) < 50, 3, 1))
    for extra in ({}, known(case.name, EVERY_OPTION)):
        problem = problem.having(logits, target, reduction="none", **extra)
        for method in ("value_and_grad", "value_grad_hess"):
            got, want = (problem.run(method, reference=r) for r in (False, True))
            for x, y in zip(got, want, strict=True):
                assert np.array_equal(np.isnan(x), np.isnan(y)), (method, extra)
            for x in got[1:]:
                assert (x[~np.isnan(got[0]), 1] == 0).all()


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
@each_dtype
@each_case
def test_weight_of_zero(case, bad, dtype, simd_level):
    """A sample of weight 0 contributes exactly nothing, whatever its data."""
    problem = case.weighted(70, dtype)
    weight = problem.options["sample_weight"].copy()
    weight[[3, 40]] = 0
    problem = problem.having(sample_weight=weight)
    spoilt = spoil(problem, [3, 40], bad)
    options = [{}, known(case.name, EVERY_OPTION)] if case.rowwise else [{}]
    for extra in options:
        for method in ("value_and_grad", "value_grad_hess"):
            for reduction in REDUCTIONS:
                got = spoilt.run(method, reduction=reduction, **extra)
                assert_same_bits(got, problem.run(method, reduction=reduction, **extra))
                assert not any(x[[3, 40]].any() for x in got[1:])


@each_dtype
@each_case
def test_nothing_counts(case, dtype, simd_level):
    """The mean of nothing is 0.0, and so is its gradient."""
    problem = case.problem(70, dtype)
    problem = problem.having(sample_weight=np.zeros(70, dtype))
    for p in (problem, spoil(problem, slice(0, 70), NAN)):
        for reduction in REDUCTIONS:
            for method in ("value_and_grad", "value_grad_hess"):
                got = p.run(method, reduction=reduction)
                assert all(not np.any(x) for x in got)
                if reduction != "none":
                    assert type(got[0]) is float
    assert problem.run("value", normalizer=3.0) == [0.0]


@each_dtype
@KINDS
@CLASSES
def test_everything_ignored(classes, kind, dtype):
    case = Case("cross_entropy", kind if kind == "index" else "one-hot", classes)
    problem = case.problem(40, dtype)
    if kind == "index":
        target = np.full(40, -100)
        ignored = -100
    else:
        target = np.zeros((40, classes), dtype)
        target[:, 1] = 0.5 if kind == "soft" else 1.0
        ignored = 1
    for logits in (problem.args[0], np.full((40, classes), NAN, dtype)):
        for extra in ({}, EVERY_OPTION):
            p = problem.having(logits, target, ignore_index=ignored, **extra)
            for reduction in REDUCTIONS:
                assert all(not np.any(x) for x in p.run(reduction=reduction))


IGNORING = [c for c in cases((2, 48, 49, 200)) if known(c.name, {"ignore_index": 1})]


@each_dtype
@pytest.mark.parametrize("case", [c for c in IGNORING if c.indexed], ids=str)
def test_ignored_samples(case, dtype, simd_level):
    """Ignoring is leaving out: value, gradient, denominator."""
    problem = case.weighted(70, dtype)
    logits, target = (x.copy() for x in problem.args)
    dropped = np.random.default_rng(5).uniform(size=70) < 0.3
    target[dropped] = 255
    logits[dropped] = NAN
    for extra in ({}, known(case.name, EVERY_OPTION)):
        for reduction in REDUCTIONS:
            ignoring = problem.having(logits, target, ignore_index=255, **extra)
            got = ignoring.run(reduction=reduction)
            want = problem.rows(~dropped).run(reduction=reduction, **extra)
            assert not any(x[dropped].any() for x in got[reduction != "none" :])
            kept = [x[~dropped] for x in got[reduction != "none" :]]
            assert_same_bits(kept, want[reduction != "none" :])
            if reduction != "none":
                assert got[0] == pytest.approx(want[0], rel=1e-12)
    everything = problem.having(logits, np.full(70, 255), ignore_index=255)
    assert not any(np.any(x) for x in everything.run())


@each_dtype
@CLASSES
def test_class_weight_of_zero(classes, dtype, simd_level):
    """A sample whose class has weight 0 does not count, whatever its logits."""
    problem = Case("cross_entropy", "index", classes).problem(70, dtype)
    logits, target = (x.copy() for x in problem.args)
    logits[target == 0] = NAN
    weight = np.arange(classes).astype(dtype)
    problem = problem.having(logits, target, class_weight=weight)
    for reduction in REDUCTIONS:
        assert_exact(problem, reduction)
        assert all(np.all(np.isfinite(x)) for x in problem.run(reduction=reduction))


@each_dtype
@KINDS
@CLASSES
def test_masked_classes(classes, kind, dtype, simd_level):
    """-inf: probability 0, gradient 0; the others are a softmax of their own."""
    problem = Case("cross_entropy", kind, classes).problem(70, dtype)
    logits, target = (x.copy() for x in problem.args)
    masked = np.random.default_rng(6).uniform(size=logits.shape) < 0.4
    masked[:, 0] = False
    if kind == "index":
        np.put_along_axis(masked, target[:, None], False, axis=-1)
    else:
        target[masked] = 0
    logits[masked] = -INF
    smooth_free = {k: v for k, v in EVERY_OPTION.items() if k != "label_smoothing"}
    for extra in ({}, {"softcap": 5.0}, smooth_free):
        p = problem.having(logits, target, **extra)
        assert_exact(p, "none")
        value, grad, hess = p.run(reduction="none")
        assert np.all(np.isfinite(value))
        assert not grad[masked].any()
        assert not hess[masked].any()
    # Smoothing or a soft target that gives a masked class mass: impossible, but its gradient is 0.
    p = problem.having(logits, problem.args[1], label_smoothing=0.1)
    assert_exact(p, "none")
    value, grad, _ = p.run(reduction="none")
    assert np.all(value[masked.any(-1)] == INF)
    assert not grad[masked].any()


@each_dtype
@KINDS
@CLASSES
@pytest.mark.parametrize(
    "extra", [{}, {"softcap": 5.0}, EVERY_OPTION], ids=["plain", "capped", "all"]
)
def test_infinite_logits(classes, kind, extra, dtype, simd_level):
    """+inf, or no class left, is NaN; a target on a masked class costs +inf."""
    problem = Case("cross_entropy", kind, classes).problem(70, dtype)
    logits = problem.args[0].copy()
    logits[3, 1] = INF
    logits[35] = -INF
    logits[50] = NAN
    logits[60, :-1] = -INF
    p = problem.having(logits, problem.args[1], **extra)
    value, grad, hess = p.run(reduction="none")
    assert np.isnan(value[[3, 35, 50]]).all()
    others = ~np.isin(np.arange(70), [3, 35, 50])
    assert_exact(p.rows(others), "none")
    alone = p.rows(others).run(reduction="none")
    assert_same_bits([x[others] for x in (value, grad, hess)], alone)


@each_dtype
def test_confident_rows_are_not_zero(dtype, simd_level):
    """A confident, correct row has a tiny loss and gradient."""
    for classes in (2, 10, 67):
        logits = np.zeros((1, classes), dtype)
        logits[0, 1] = 60
        value, grad = nk.cross_entropy.value_and_grad(logits, np.array([1]))
        exact = (classes - 1) * np.exp(-60.0)
        rel = 4 * float(np.finfo(dtype).eps)
        assert value == pytest.approx(exact, rel=rel)
        assert grad[0, 1] == pytest.approx(-exact, rel=rel)


@each_dtype
def test_binary_limits(dtype, simd_level):
    z = np.array([INF, INF, -INF, -INF, INF, -INF], dtype)
    y = np.array([1, 0, 0, 1, 0.5, 0.5], dtype)
    value, grad, hess = nk.binary_cross_entropy.value_grad_hess(z, y, reduction="none")
    assert value.tolist() == [0, INF, 0, INF, INF, INF]
    assert grad.tolist() == [0, 1, 0, -1, 0.5, -0.5]
    assert not hess.any()


@each_dtype
@pytest.mark.parametrize("link", ["identity", "softplus", "log"])
def test_outside_the_support_of_gamma(link, dtype, simd_level):
    y = np.array([0.0, -0.0, -1.0, -INF, 1.0], dtype)
    ones = np.ones(5, dtype)
    value, grads, hesss = nk.gamma_nll.value_grad_hess(ones, ones, y, link=link, reduction="none")
    at_zero = (
        0.0 if link == "identity" else INF
    )  # -log(rate) for shape 1; a larger shape has no mass at 0
    assert np.all(value[:2] == at_zero)
    assert np.all(value[2:4] == INF)
    assert np.isfinite(value[4])
    assert all(np.isnan(x[2:4]).all() and np.isfinite(x[4]) for x in (*grads, *hesss))


@each_dtype
@pytest.mark.parametrize("case", POSITIVE, ids=str)
def test_parameter_outside_its_domain(case, dtype, simd_level):
    """NaN, and NaN also where the target is impossible."""
    parameter = getattr(nk, case.name).row.parameters[case.positive[-1]]
    zeros = () if parameter.support.name == "nonnegative" else (0.0, -0.0)
    for bad in (*zeros, -1.0, -INF, NAN):
        problem = case.problem(70, dtype)
        args = [x.copy() for x in problem.args]
        args[case.positive[-1]][33] = bad
        assert_exact(problem.having(*args), "none")
        got = problem.having(*args).run(reduction="none")
        assert all(np.isnan(x[33]) for x in got)
        args[-1][33] = -1.0
        assert np.isnan(problem.having(*args).run(reduction="none")[0][33])


@each_dtype
@pytest.mark.parametrize("case", POSITIVE, ids=str)
def test_denormal_parameters(case, dtype, simd_level):
    info = np.finfo(dtype)
    for small in (info.smallest_subnormal, info.tiny / 3, info.tiny):
        problem = case.problem(70, dtype)
        for k in range(len(problem.args) - 1):
            args = [x.copy() for x in problem.args]
            args[k][33] = small
            (got,) = problem.having(*args).run("value", reduction="none")
            (want,) = problem.having(*args).run("value", reference=True, reduction="none")
            if abs(want[33]) < info.max / 4:
                assert got[33] == pytest.approx(want[33], rel=8 * float(info.eps))


@each_dtype
@pytest.mark.parametrize(
    "case",
    [c for c in cases() if not c.rowwise and c.kind in ("log", "softplus", "log_variance")],
    ids=str,
)
def test_finite_raw_parameters_give_finite_results(case, dtype, simd_level):
    """Where the loss leaves even NumPy's widest float, it is infinite."""
    steps = np.array([-300, -100, -30, -3, -1e-3, 0, 1e-3, 3, 30, 100, 300])
    u, v = (x.ravel().astype(dtype) for x in np.meshgrid(steps, steps))
    for target in (1e-3, 1.0, 1e3):
        problem = case.problem(len(u), dtype)
        y = np.full_like(u, target)
        raw = [u if case.has_link(0) else y + np.sign(u), v, v[::-1].copy()][
            : len(problem.args) - 1
        ]
        problem = problem.having(*raw, y)
        inside = np.isfinite(problem.exact("none")[0][0])
        assert_exact(problem.rows(inside), "none")
        assert np.all(problem.rows(~inside).run("value", reduction="none")[0] == INF)
