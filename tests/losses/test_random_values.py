"""Shapes and values drawn by hypothesis: -0.0, denormals, infinities and NaN among them.

The reference decides which results are NaN and which infinite; finite ones are close to it.
"""

import numpy as np
import pytest
from cases import DTYPES, LOSSES, ROW, Case, Problem, assert_exact, assert_same_bits, cases, known
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nllkern._accuracy import float_error
from nllkern.tables.supports import REAL

pytestmark = pytest.mark.thin

modest = settings(
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=30,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)
FAR = 300.0
INTEREST = (0.0, -0.0, 1.0, -1.0, 0.5, 100.0, -100.0, 1e4, -1e4, 1e-30, np.nan, np.inf, -np.inf)


def numbers(dtype, wild):
    """Floats of moderate size; where wild, denormals, infinities and NaN too."""
    width = np.dtype(dtype).itemsize * 8
    moderate = st.floats(-50, 50, width=width)
    if not wild:
        return moderate
    info = np.finfo(dtype)
    special = (*INTEREST, info.tiny, -info.tiny, info.smallest_subnormal)
    special = st.sampled_from([float(np.dtype(dtype).type(x)) for x in special])
    return st.one_of(moderate, special, st.floats(-(2.0**20), 2.0**20, width=width))


def arrays(shape, dtype, wild):
    return hnp.arrays(dtype, shape, elements=numbers(dtype, wild))


@st.composite
def row_problems(draw, name, kind, dtype, wild):
    """A loss over classes under any options."""
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=4))
    classes = draw(st.sampled_from([1, 2, 3, 7, 16, 50, 67]))
    logits = draw(arrays((*shape, classes), dtype, wild))
    if "probabilities" not in ROW[name].targets or kind == "index":
        ignored = draw(st.sampled_from([None, 0, -1]))
        low = -1 if ignored == -1 else 0
        target = draw(hnp.arrays(np.int64, shape, elements=st.integers(low, classes - 1)))
    else:
        ignored = draw(st.sampled_from([None, 0]))
        target = draw(hnp.arrays(dtype, (*shape, classes), elements=st.floats(0, 1, width=32)))
        # Equal shares of equal scores cancel to 0, whatever the rounding of a share.
        target = (target + np.linspace(0.25, 1, classes)).astype(dtype)
    weights = st.sampled_from([0.0, 0.25, 1.0, 3.0])
    options = {
        "ignore_index": ignored,
        "label_smoothing": draw(st.sampled_from([0.0, 0.125, 0.75])),
        "z_loss": draw(st.sampled_from([0.0, 0.01])),
        "softcap": draw(st.sampled_from([None, 1.0, 30.0])),
        "margin": draw(st.sampled_from([0.0, 1.0])),
        "link": kind,
        "variant": kind,
    }
    if draw(st.booleans()):
        options["sample_weight"] = draw(hnp.arrays(dtype, shape, elements=weights))
    if draw(st.booleans()):
        options["class_weight"] = draw(hnp.arrays(dtype, classes, elements=weights))
    options = {k: v for k, v in options.items() if k == "sample_weight" or known(name, {k: v})}
    return Problem(LOSSES[name], (logits, target), options)


@st.composite
def point_problems(draw, case, dtype, wild):
    """A pointwise loss: any numbers where wild, else numbers of its domain."""
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=6))
    problem = case.problem(shape, dtype, seed=draw(st.integers(0, 99)))
    args = list(problem.args)
    options = dict(problem.options)
    if wild:
        args[:-1] = [np.asarray(draw(arrays(shape, dtype, wild))) for _ in args[:-1]]
    if draw(st.booleans()):
        weights = st.sampled_from([0.0, 0.25, 1.0, 3.0])
        options["sample_weight"] = np.asarray(draw(hnp.arrays(dtype, shape, elements=weights)))
    return Problem(problem.loss, tuple(args), options)


def near(problem):
    """Samples whose raw numbers have exponentials within NumPy's floats."""
    result = np.ones(problem.shape, bool)
    for x, p in zip(problem.args, problem.loss.row.parameters, strict=False):
        link = problem.options[p.option.name] if p.option and not problem.rowwise else None
        if any(y.name == link and y.raw in (None, REAL) for y in p.links):
            result &= ~(np.abs(x) > FAR)
    return result


def assert_alike(problem):
    """The same samples are NaN as the reference's; the others agree, also in what is infinite.

    An infinite parameter of a link has no promised limit; finite ones whose exponential, or that of
    their products, leaves NumPy's floats are judged by mpmath alone, in the tables of hard points.
    """
    got = problem.run("value_and_grad", reduction="none")
    exact = problem.exact("none")
    compared = near(problem)
    for x, p in zip(problem.args, problem.loss.row.parameters, strict=False):
        compared &= (
            np.ones(problem.shape, bool) if problem.rowwise or not p.option else ~np.isinf(x)
        )
    nan = np.isnan(exact[0][0])
    assert np.array_equal(np.isnan(got[0])[compared], nan[compared])
    compared &= ~nan
    infinite = np.any([np.isinf(x) for x in problem.args], axis=0) if not problem.rowwise else False
    for k, (x, (f, bound)) in enumerate(zip(got, exact, strict=False)):
        asked = compared & ~(infinite & np.isnan(f)) if not problem.rowwise else compared
        err = float_error(x, f, bound, problem.dtype)[asked]
        x, f = x[asked], f[asked]
        bad = (err > 64) & ~(np.abs(f) > np.finfo(problem.dtype).max / 4)
        assert not bad.any(), (k, x[bad], f[bad], err[bad])


def check_exact(problems):
    @modest
    @given(problems, st.sampled_from(["none", "mean"]))
    def run(problem, reduction):
        assert_exact(problem, reduction, rounded=64.0)

    run()


def check_alike(problems):
    @modest
    @given(problems)
    def run(problem):
        assert_alike(problem)

    run()


each_kind = pytest.mark.parametrize(
    ("name", "kind"),
    dict.fromkeys((c.name, c.kind) for c in cases() if c.rowwise and c.kind != "one-hot"),
)
each_pointwise = pytest.mark.parametrize("case", [c for c in cases() if not c.rowwise], ids=str)


@each_dtype
@each_kind
def test_classes(name, kind, dtype, simd_level):
    check_exact(row_problems(name, kind, dtype, wild=False))


@each_dtype
@each_kind
def test_classes_of_anything(name, kind, dtype, simd_level):
    check_alike(row_problems(name, kind, dtype, wild=True))


@each_dtype
@each_pointwise
def test_pointwise(case, dtype, simd_level):
    check_exact(point_problems(case, dtype, wild=False))


@each_dtype
@each_pointwise
def test_pointwise_of_anything(case, dtype, simd_level):
    check_alike(point_problems(case, dtype, wild=True))


@each_dtype
@pytest.mark.parametrize("case", [Case("cross_entropy", "index", 7), *cases(())], ids=str)
def test_in_place_and_split_of_anything(case, dtype):
    """Bits do not depend on buffers and positions for wild values either."""

    @modest
    @given(arrays((23, 7), dtype, wild=True), st.integers(0, 23))
    def run(values, cut):
        problem = case.problem(23, dtype)
        args = [values if case.rowwise else values[:, 0].copy(), *problem.args[1:]]
        problem = problem.having(*args)
        want = problem.run("value_and_grad", reduction="none")
        pieces = [problem.rows(part) for part in (slice(0, cut), slice(cut, 23))]
        pieces = [p.run("value_and_grad", reduction="none") for p in pieces]
        joined = [np.concatenate(x) for x in zip(*pieces, strict=True)]
        assert_same_bits(joined, want)
        first = args[0].copy()
        out = first if len(want) == 2 else (first, *[None] * (len(want) - 2))
        problem = problem.having(first, *args[1:])
        assert_same_bits(problem.run("value_and_grad", reduction="none", out=out), want)

    run()
