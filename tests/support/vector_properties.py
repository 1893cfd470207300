"""What holds for every loss of vectors; the tests of each say over which problems."""

import numpy as np
import pytest
from cases import REDUCTIONS, assert_same_bits
from cases_vectors import assert_right, is_shared, results, rows, shape_of, weighted

METHODS = ("value_and_grad", "value_grad_hess")


def batch_of(problem):
    """The results that have an axis of samples, by position; a shared factor's have not."""
    count = len(results(problem, reduction="none"))
    half = (count - 1) // 2
    return [k for k in range(count) if not (is_shared(problem) and k and (k - 1) % half == 1)]


def check_reference(problem):
    for p in (problem, weighted(problem)):
        for reduction in REDUCTIONS:
            assert_right(p, reduction)


def check_calls_agree(problem):
    """The value alone, and the gradient alone, are those of the longer calls."""
    problem = weighted(problem)
    for reduction in REDUCTIONS:
        every = results(problem, "value_grad_hess", reduction=reduction)
        both = results(problem, "value_and_grad", reduction=reduction)
        assert_same_bits(both, every[: len(both)])
        assert_same_bits(results(problem, "value", reduction=reduction), both[:1])
        assert_same_bits(results(problem, "grad", reduction=reduction), both[1:])


def check_position(problem):
    """A sample has the same bits in any batch, in any order; so have its own derivatives."""
    n = len(problem.args[0])
    problem = weighted(problem)
    keep = batch_of(problem)
    whole = results(problem, reduction="none")
    for index in (slice(0, 1), slice(3, 20), slice(n // 2, n), np.arange(n)[::-1].copy()):
        part = results(rows(problem, index), reduction="none")
        assert_same_bits([part[k] for k in keep], [whole[k][index] for k in keep], str(index))


def check_threads(problem):
    problem = weighted(problem)
    for method in METHODS:
        for reduction in REDUCTIONS:
            one = results(problem, method, reduction=reduction, num_threads=1)
            for threads in (2, 3, 7):
                got = results(problem, method, reduction=reduction, num_threads=threads)
                assert_same_bits(got, one, f"{method} {reduction} on {threads} threads")


def check_in_place(problem, fixed=False):
    """Gradients, then second derivatives, written over the inputs of their shape."""
    problem = weighted(problem)
    want = results(problem)
    count = len(problem.loss.parameters)
    for shift in range(count):
        for second in (False, True):
            args = [x.copy() for x in problem.args]
            spots = [args[(k + shift) % count] for k in range(count)]
            outs = [
                x if x.shape == problem.args[k].shape else np.full_like(problem.args[k], np.nan)
                for k, x in enumerate(spots)
            ]
            given = tuple(None if fixed and k == 1 else x for k, x in enumerate(outs))
            out = (None, given) if second else (given, None)
            call = problem.having(*args)
            value, *derivatives = call.loss.value_grad_hess(*args, **call.options, out=out)
            for x, y in zip(derivatives[second], given, strict=True):
                assert x is y
            got = [value, *(x for part in derivatives for x in part if x is not None)]
            assert_same_bits(got, want, f"shift {shift}")


def check_nan_stays(problem, places):
    """``places``: (argument, index within a sample)."""
    keep = batch_of(problem)
    n = len(problem.args[0])
    others = np.arange(n) != 5
    for method in METHODS:
        want = results(problem, method, reduction="none")
        for k, at in places:
            args = [x.copy() for x in problem.args]
            args[k][(5, *at)] = np.nan
            got = results(problem.having(*args), method, reduction="none")
            chosen = [j for j in keep if j < len(got)]
            assert_same_bits([got[j][others] for j in chosen], [want[j][others] for j in chosen])
            assert np.isnan(got[0][5])
            assert np.isnan(got[1][5]).all()
            for j in chosen:  # but for what is 0 by definition
                assert np.all(np.isnan(got[j][5]) | (want[j][5] == 0))
            assert np.isnan(results(problem.having(*args), method)[0])


def check_weight_of_zero(problem):
    """Whatever the data, in value, derivatives, and the sums of a shared factor."""
    weight = np.ones(shape_of(problem), problem.dtype)
    weight[[2, 5]] = 0
    problem = problem.having(sample_weight=weight)
    want = results(problem)
    for bad in (np.nan, np.inf):
        args = [x.copy() for x in problem.args]
        for k, x in enumerate(args):
            if not (is_shared(problem) and k == 1):
                x[[2, 5]] = bad
        for method in METHODS:
            got = results(problem.having(*args), method)
            assert_same_bits(got, want[: len(got)])
        got = results(problem.having(*args), reduction="none")
        for k in batch_of(problem):
            assert not got[k][[2, 5]].any()
    nothing = results(problem.having(sample_weight=0 * weight))
    assert nothing[0] == 0.0
    assert not any(np.any(x) for x in nothing[1:])


def check_empty(problem):
    empty = rows(problem, slice(0, 0))
    for reduction in REDUCTIONS:
        assert_right(empty, reduction)
        got = results(empty, reduction=reduction)
        assert not any(np.any(x) for x in got)


def check_bad_input(loss, args, options, error, parts, outs):
    """An error that says these things, and `outs`, full of 7, as they were."""
    outs = tuple(outs)
    for call, more in ((loss, {}), (loss.grad, {}), (loss.value_and_grad, {"out": outs})):
        with pytest.raises(error) as raised:
            call(*args, **options, **more)
        assert str(raised.value).startswith(loss.name)
        assert all(part in str(raised.value) for part in parts), raised.value
    assert all(np.all(x == 7) for x in outs)
