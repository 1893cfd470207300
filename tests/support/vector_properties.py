"""What holds for every loss of vectors; the tests of each say over which problems."""

import numpy as np
from cases import REDUCTIONS, assert_exact, assert_same_bits

METHODS = ("value_and_grad", "value_grad_hess")


def batch_of(problem):
    """The results that have an axis of samples, by position; a shared factor's have not."""
    count = len(problem.run(reduction="none"))
    half = (count - 1) // 2
    return [k for k in range(count) if not (any(problem.shared) and k and (k - 1) % half == 1)]


def check_reference(problem):
    for p in (problem, problem.with_weights()):
        for reduction in REDUCTIONS:
            assert_exact(p, reduction)


def check_calls_agree(problem):
    """The value alone, and the gradient alone, are those of the longer calls."""
    problem = problem.with_weights()
    for reduction in REDUCTIONS:
        every = problem.run("value_grad_hess", reduction=reduction)
        both = problem.run("value_and_grad", reduction=reduction)
        assert_same_bits(both, every[: len(both)])
        assert_same_bits(problem.run("value", reduction=reduction), both[:1])
        assert_same_bits(problem.run("grad", reduction=reduction), both[1:])


def check_position(problem):
    """A sample has the same bits in any batch, in any order; so have its own derivatives."""
    n = len(problem.args[0])
    problem = problem.with_weights()
    keep = batch_of(problem)
    whole = problem.run(reduction="none")
    for index in (slice(0, 1), slice(3, 20), slice(n // 2, n), np.arange(n)[::-1].copy()):
        part = problem.rows(index).run(reduction="none")
        assert_same_bits([part[k] for k in keep], [whole[k][index] for k in keep], str(index))


def check_in_place(problem, fixed=False):
    """Gradients, then second derivatives, written over the inputs of their shape."""
    problem = problem.with_weights()
    want = problem.run()
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
        want = problem.run(method, reduction="none")
        for k, at in places:
            args = [x.copy() for x in problem.args]
            args[k][(5, *at)] = np.nan
            got = problem.having(*args).run(method, reduction="none")
            chosen = [j for j in keep if j < len(got)]
            assert_same_bits([got[j][others] for j in chosen], [want[j][others] for j in chosen])
            assert np.isnan(got[0][5])
            assert np.isnan(got[1][5]).all()
            for j in chosen:  # but for what is 0 by definition
                assert np.all(np.isnan(got[j][5]) | (want[j][5] == 0))
            assert np.isnan(problem.having(*args).run(method)[0])


def check_weight_of_zero(problem):
    """Whatever the data, in value, derivatives, and the sums of a shared factor."""
    weight = np.ones(problem.shape, problem.dtype)
    weight[[2, 5]] = 0
    problem = problem.having(sample_weight=weight)
    want = problem.run()
    for bad in (np.nan, np.inf):
        args = [x.copy() for x in problem.args]
        for k, x in enumerate(args):
            if not (k < len(problem.shared) and problem.shared[k]):
                x[[2, 5]] = bad
        for method in METHODS:
            got = problem.having(*args).run(method)
            assert_same_bits(got, want[: len(got)])
        got = problem.having(*args).run(reduction="none")
        for k in batch_of(problem):
            assert not got[k][[2, 5]].any()
    nothing = problem.having(sample_weight=0 * weight).run()
    assert nothing[0] == 0.0
    assert not any(np.any(x) for x in nothing[1:])


def check_empty(problem):
    empty = problem.rows(slice(0, 0))
    for reduction in REDUCTIONS:
        assert_exact(empty, reduction)
        got = empty.run(reduction=reduction)
        assert not any(np.any(x) for x in got)
