"""The NumPy reference: against the tables of hard points, and call by call beside the library."""

import math
from pathlib import Path

import numpy as np
import pytest
from cases import REDUCTIONS, cases, known
from cases_vectors import gaussian, triplet

import nllkern as nk
from nllkern import reference
from nllkern._accuracy import LIMIT, error, flat, load
from nllkern.reference import _math as rm
from nllkern.reference.sampled import IS_WIDER, ROWS
from nllkern.tables.supports import EXTENDED, POSITIVE

GOLDEN = Path(__file__).parent.parent / "golden"
TABLES = [t for path in sorted(GOLDEN.glob("*.npz")) for t in load(path)]
NAN, INF = math.nan, math.inf
FAR = 5000.0  # raw numbers beyond: the exponentials leave the range of the reference's floats


# Accuracy.


@pytest.mark.parametrize("table", TABLES, ids=str)
def test_hard_points(table):
    """Rounded to float32, to 1 rounding; float64 to 4, as asked of the library (vectors: to 16).

    Where the exact result overflows, NumPy's floats may have been left on the way to it.
    """
    row = ROWS[table.loss]
    if not IS_WIDER:
        pytest.skip("NumPy has no float wider than float64 here")
    loss = getattr(reference, table.loss)
    results = flat(loss.value_grad_hess(*table.args, **table.options, reduction="none"))
    ordinary = np.ones(len(table.args[0]), bool)
    for p, x in zip(row.parameters, table.args, strict=False):
        if p.option and p.kind == "number" and table.options[p.option.name] != "identity":
            ordinary &= np.abs(x) <= FAR
    limit = 1.0 if table.dtype == "float32" else LIMIT * (4 if row.kind == "vectors" else 1)
    for got, exact in zip(results, table.results, strict=True):
        assert got.dtype == np.float64
        with np.errstate(all="ignore"):
            err = error(got.astype(table.dtype), exact, table.dtype)
        err = np.where(np.isinf(exact.high) & ~np.isfinite(got), 0.0, err)
        assert np.max(err[ordinary], initial=0.0) <= limit


def test_sum_of_others_loses_nothing():
    got = rm.sum_of_others(np.array([[1e-30, 1.0, 2e-30], [0.0, 0.0, 5.0]]))
    np.testing.assert_allclose(got, [[1.0, 3e-30, 1.0], [5.0, 5.0, 0.0]], rtol=1e-15)


# Semantics: those that the tests of the library ask for.


def in_place_of(problem, k, at, value):
    args = [x.copy() for x in problem.args]
    args[k][at] = value
    return problem.having(*args)


def variants(case):
    """The case under weights and options, with scalars, and with numbers that are not ordinary."""
    problem = case.problem((5, 4), "float64")
    yield problem
    yield case.problem((), "float64")
    yield case.problem((0, 4), "float64")
    weighted = case.weighted((5, 4), "float64")
    yield weighted
    yield weighted.having(normalizer=7)
    weight = np.arange(20.0).reshape(5, 4)
    spoilt = weighted.having(sample_weight=weight)
    for k, x in enumerate(problem.args):
        if x.dtype.kind == "f":
            spoilt = in_place_of(spoilt, k, (0, 0), np.nan)  # a weight of zero takes it out
            p = case.row.parameters[min(k, len(case.row.parameters) - 1)]
            # What the limit at infinity is, is promised for logits.
            infinite = case.rowwise or p.links[0].raw is EXTENDED
            for bad in (np.nan, np.inf, -np.inf) if infinite else (np.nan, -1.0, 0.0):
                if np.isnan(bad) or (k < len(problem.args) - 1 and (bad or p.support is POSITIVE)):
                    yield in_place_of(problem, k, (1, 2, 0) if case.rowwise else (1, 2), bad)
                yield in_place_of(spoilt, k, (0, 0), bad)
        if not case.rowwise and k < len(problem.args) - 1 > 1:
            args = [float(y[0, 0]) if j == k else y for j, y in enumerate(problem.args)]
            yield problem.having(*args)
    yield problem.having(sample_weight=0 * weight)
    if "full" in {x.name for x in case.row.options}:
        yield problem.having(full=False)
    if case.rowwise:
        options = ({"ignore_index": 1}, {"label_smoothing": 0.3}, {"z_loss": 0.1}, {"softcap": 3.0})
        for own in (known(case.name, x) for x in options):
            if own:
                yield in_place_of(weighted, 0, (1, 2, 0), -np.inf).having(**own)
        for own in ({}, *options[1:3]):  # a class of weight 0 has no loss, unless these give it one
            own = known(case.name, {"class_weight": np.arange(case.classes) * 1.0, **own})
            if "class_weight" in own:
                yield in_place_of(problem, 0, (1, 2, 0), np.nan).having(**own)


def assert_the_library_agrees(problem, reduction, method):
    found = problem.run(method, reference=True, reduction=reduction)
    for got, want in zip(found, problem.run(method, reduction=reduction), strict=True):
        if want is not None:
            assert type(got) is type(want), (problem, method)
            assert np.asarray(got).dtype == np.float64
            np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-10, err_msg=repr(problem))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("case", cases((1, 5)), ids=str)
def test_gives_what_the_library_gives(case, reduction):
    for problem in variants(case):
        if "normalizer" not in problem.options or reduction == "mean":
            assert_the_library_agrees(problem, reduction, "value_grad_hess")
    for method in ("value", "value_and_grad", "grad"):
        assert_the_library_agrees(problem, reduction, method)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_gives_what_the_library_gives_of_vectors(reduction):
    for link in nk.multivariate_gaussian_nll.links:
        for shared in (False, True):
            assert_the_library_agrees(gaussian(6, 3, "float64", link, shared), reduction, "grad")
    for p in (1.0, 2.0, 3.0, np.inf):
        assert_the_library_agrees(triplet(6, 3, "float64", p), reduction, "value_grad_hess")


@pytest.mark.parametrize("row", [[INF, 0.0, 1.0], [NAN, 0.0, -INF], [-INF, -INF, -INF]])
def test_not_a_number_stays_in_its_sample(row):
    z = np.array([row, [1.0, 5.0, 2.0]])
    value, grad = reference.cross_entropy.value_and_grad(z, [1, 1], reduction="none")
    assert np.isnan(value[0])
    assert math.isfinite(value[1])
    assert np.isnan(grad[0]).all()
    assert np.isfinite(grad[1]).all()


def test_registry():
    assert {x.name for x in reference.losses()} == {x.name for x in nk.losses()}
    assert reference.LOSSES["gamma_nll"] is reference.gamma_nll
    assert reference.gamma_nll.parameters == ("shape", "rate")
    assert "p_k" in reference.cross_entropy.__doc__


def test_far_raw_parameters_stay_finite():
    """Softplus and exp underflow long before the losses do."""
    v, g = reference.gaussian_nll.value_and_grad(
        [1.0] * 2, [-5e3] * 2, [1.0] * 2, link="softplus", reduction="none"
    )
    np.testing.assert_allclose(v, -5e3 + 0.5 * math.log(2 * math.pi))
    assert [x.tolist() for x in g] == [[0.0, 0.0], [1.0, 1.0]]
    v, g = reference.gamma_nll.value_and_grad(
        [-1e4], [-2e3], [1.0], link="softplus", reduction="none"
    )
    assert v[0] == 1e4
    assert [x[0] for x in g] == [-1.0, 0.0]


@pytest.mark.parametrize(
    ("loss", "args", "options", "message"),
    [
        ("gamma_nll", ([1.0, 1.0], [1.0, 1.0], [1.0, -0.5]), {}, r"target at index \(1,\)"),
        ("gamma_nll", ([1.0, NAN], [1.0, 1.0], [1.0, 1.0]), {}, r"shape at index \(1,\)"),
        ("gaussian_nll", ([1.0], [0.0], [1.0]), {"link": "variance"}, r"scale at index \(0,\)"),
        ("binary_cross_entropy", ([[0.0, 0.0]], [[1.0, 1.5]]), {}, r"target at index \(0, 1\)"),
        ("cross_entropy", ([[0.0, 0.0]], [[0.5, -0.5]]), {}, r"target at index \(0, 1\)"),
    ],
)
def test_check(loss, args, options, message):
    getattr(reference, loss)(*args, **options)
    with pytest.raises(ValueError, match=message):
        getattr(reference, loss)(*args, **options, check=True)


LOGITS = np.array([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0], [2.0, 2.0, 2.0]])
TARGET = np.array([1, 0, 2])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda ce: ce(LOGITS, [0, 5, 1]), IndexError, r"target 5 at position \(1,\).*\[0, 3\)"),
        (lambda ce: ce(LOGITS, TARGET, temperature=2.0), TypeError, "temperature"),
        (lambda ce: ce(LOGITS.astype(np.float16), TARGET), TypeError, "float16"),
        (lambda ce: ce(LOGITS + 0j, TARGET), TypeError, "complex"),
        (lambda ce: ce(LOGITS, TARGET, normalizer=3, reduction="sum"), ValueError, "normalizer"),
        (
            lambda _: reference.binary_cross_entropy([0.0], [0.0], pos_weight=[1, 2]),
            ValueError,
            "pos",
        ),
    ],
)
def test_bad_input(call, error, message):
    """More is asked of library and reference in unit/test_bad_input.py."""
    with pytest.raises(error, match=message):
        call(reference.cross_entropy)


def test_out():
    right = reference.cross_entropy.grad(LOGITS, TARGET)
    out = np.empty_like(LOGITS, dtype=np.float32)
    assert reference.cross_entropy.grad(LOGITS, TARGET, out=out) is out
    np.testing.assert_array_equal(out, right.astype(np.float32))
    z = LOGITS.copy()
    value, _ = reference.cross_entropy.value_and_grad(z, TARGET, out=z)
    assert value == reference.cross_entropy(LOGITS, TARGET)
    np.testing.assert_array_equal(z, right)
    y, pair = np.ones(4), (np.empty(4), np.empty(4))
    grads = reference.gamma_nll.grad(y, y, y, out=pair)
    assert grads[0] is pair[0]
    assert grads[1] is pair[1]
    np.testing.assert_array_equal(grads, reference.gamma_nll.grad(y, y, y))
