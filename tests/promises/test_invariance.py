"""The same bits, whatever the batch, the position in it, the threads, and the buffers."""

from itertools import permutations, product

import numpy as np
import pytest
from cases import DTYPES, Case, assert_same_bits, assert_same_on_threads, cases

import nllkern as nk

pytestmark = pytest.mark.thin

METHODS = ("value_and_grad", "value_grad_hess")
CLASSES = (1, 2, 5, 16, 48, 49, 67, 130)  # 48 | 49: the narrow rows' loop and the wide rows'
each_dtype = pytest.mark.parametrize("dtype", DTYPES)
each_case = pytest.mark.parametrize("case", cases(CLASSES), ids=str)


def join(pieces):
    return [np.concatenate(parts) for parts in zip(*pieces, strict=True)]


@each_dtype
@each_case
def test_any_split_of_the_batch(case, dtype, simd_level):
    problem = case.weighted(70, dtype)
    for method in METHODS:
        for reduction in ("none", "sum"):
            results = slice(reduction == "sum", None)  # the sum itself does change
            whole = problem.run(method, reduction=reduction)[results]
            for cut in range(71):
                pieces = (problem.rows(slice(0, cut)), problem.rows(slice(cut, 70)))
                got = join(p.run(method, reduction=reduction)[results] for p in pieces)
                assert_same_bits(got, whole, f"{method} {reduction}, cut at {cut}")


@each_dtype
@each_case
def test_any_order_of_the_batch(case, dtype, simd_level):
    problem = case.weighted(301, dtype)
    order = np.random.default_rng(3).permutation(301)
    for method in METHODS:
        whole = problem.run(method, reduction="none")
        shuffled = problem.rows(order).run(method, reduction="none")
        assert_same_bits(shuffled, [x[order] for x in whole], method)


LINKED = [case for case in cases() if getattr(nk, case.name).links]


@each_dtype
@pytest.mark.parametrize("case", LINKED, ids=str)
def test_extreme_neighbours(case, dtype, simd_level):
    """Tiles whose samples are all far from overflow are handled in another way."""
    tiny = np.finfo(dtype).smallest_subnormal
    usual = case.problem(300, dtype)
    problems = (usual,) if case.rowwise else (usual, spread_out(case, usual))
    for problem, method in product(problems, METHODS):
        want = problem.run(method, reduction="none")
        for k in range(len(problem.args)):
            for extreme in (tiny, np.finfo(dtype).max / 4, np.inf, np.nan):
                args = [x.copy() for x in problem.args]
                args[k][::50] = extreme
                got = problem.having(*args).run(method, reduction="none")
                keep = np.arange(300) % 50 != 0
                what = f"{method}, argument {k} = {extreme}"
                assert_same_bits([x[keep] for x in got], [x[keep] for x in want], what)


def spread_out(case, problem):
    """Numbers from all of the range that is not extreme, for each argument."""
    rng = np.random.default_rng(9)
    most = 18.0 if problem.dtype == np.float32 else 180.0
    args = []
    for k, x in enumerate(problem.args):
        u = rng.uniform(-most, most, x.shape)
        target = k == len(problem.args) - 1
        if k in case.positive or (target and np.all(x >= 0)):
            u = np.where(x == 0, 0.0, np.exp(u))
        elif target or not case.has_link(k):
            u = np.exp(u) * rng.choice([-1, 1], u.shape)
        args.append(np.asarray(u, problem.dtype))
    return problem.having(*args)


@each_dtype
@pytest.mark.parametrize("classes", [5003, 32_000])
def test_gradients_written_past_the_caches(classes, dtype, simd_level):
    """A gradient of over 64 MiB is, at any address, also in place of the logits."""
    rows = (65 << 20) // (classes * np.dtype(dtype).itemsize) + 1
    rng = np.random.default_rng(6)
    room = np.empty(rows * classes + 7, dtype)
    logits = room[3 : 3 + rows * classes].reshape(rows, classes)
    logits[...] = 3 * rng.standard_normal((rows, classes), dtype=dtype)
    logits[1, :7] = -np.inf
    target = rng.integers(0, classes, rows)
    target[5] = -1
    call = nk.cross_entropy.value_and_grad
    options = {"ignore_index": -1, "reduction": "sum"}
    want = [call(logits[i : i + 1], target[i : i + 1], **options)[1][0] for i in range(rows)]
    for threads in (1, 2):
        out = np.empty_like(room)[1 : 1 + rows * classes].reshape(rows, classes)
        assert_same_bits(call(logits, target, out=out, num_threads=threads, **options)[1], want)
    assert_same_bits(call(logits, target, out=logits, **options)[1], want)


# Sizes of several blocks of work, which several threads share.
LARGE = [
    (case, {10: 10_007, 67: 1501, 1000: 203, 70_000: 7}.get(case.classes, 100_003))
    for case in cases((10, 67, 1000, 70_000))
]
each_large = pytest.mark.parametrize(("case", "n"), LARGE, ids=lambda x: str(x))


@each_dtype
@each_large
def test_any_number_of_threads(case, n, dtype, threading_way):
    assert_same_on_threads(case.weighted(n, dtype))


@each_dtype
@pytest.mark.parametrize("case", [Case("gaussian_nll", "log"), Case("gamma_nll", "log")], ids=str)
def test_any_number_of_threads_for_sums_over_samples(case, dtype, threading_way):
    """The gradient of a parameter that is one number is a sum over all blocks."""
    problem = case.weighted(100_003, dtype)
    problem = problem.having(problem.args[0], 0.25, problem.args[2])
    assert type(problem.run()[2]) is float
    assert_same_on_threads(problem, ["value_grad_hess"])


@each_dtype
@each_large
def test_split_and_order_of_a_large_batch(case, n, dtype):
    problem = case.weighted(n, dtype)
    order = np.random.default_rng(4).permutation(n)
    whole = problem.run(reduction="none")
    pieces = [problem.rows(part) for part in (slice(0, n // 3), slice(n // 3, n))]
    assert_same_bits(join(p.run(reduction="none") for p in pieces), whole)
    assert_same_bits(problem.rows(order).run(reduction="none"), [x[order] for x in whole])


def buffers(problem):
    """The float inputs that have the shape of a gradient."""
    inputs = [*problem.args, *problem.options.values()]
    shape = problem.args[0].shape
    return [
        k
        for k, x in enumerate(inputs)
        if getattr(x, "shape", None) == shape and x.dtype == problem.dtype
    ]


def run_into(problem, method, reduction, where, shared):
    """Results of a call whose outputs k are its own inputs where[k]; None: new arrays."""
    args = [x.copy() for x in problem.args]
    options = {k: x.copy() if hasattr(x, "copy") else x for k, x in problem.options.items()}
    inputs = [*args, *options.values()]
    given = [inputs[k] if k is not None else np.full_like(args[0], np.nan) for k in where]
    count = len(problem.loss.parameters)
    parts = [given[k : k + count] for k in range(0, len(given), count)]
    parts = [p[0] if count == 1 else tuple(p) for p in parts]
    out = parts[0] if len(parts) == 1 else tuple(parts)
    results = problem.having(*args, **options).run(method, reduction=reduction, out=out)
    assert all(x is y for x, y in zip(results[1:], given, strict=True))
    for k, x in enumerate(inputs):  # the others are as they were
        if k not in where and isinstance(x, np.ndarray):
            assert np.array_equal(x, shared[k])
    return results


@each_dtype
@pytest.mark.parametrize(
    ("case", "n"),
    [(c, {5000: 3}.get(c.classes, 150)) for c in cases((5, 67, 5000))],
    ids=lambda x: str(x),
)
def test_in_place(case, n, dtype, simd_level):
    """Outputs in place of every input of their shape, in every combination."""
    problem = case.weighted(n, dtype)
    args = [x.copy() for x in problem.args]
    if not case.rowwise:
        args[0][:20] = args[-1][:20]  # some gradients are exactly zero
        problem = problem.having(*args)
    shared = [*problem.args, *problem.options.values()]
    for method in METHODS:
        want = problem.run(method, reduction="mean")
        spots = set(permutations([*buffers(problem), *[None] * 2], len(want) - 1))
        for where in sorted(spots, key=str):
            got = run_into(problem, method, "mean", where, shared)
            assert_same_bits(got, want, f"{method} into {where}")
    for reduction in ("sum", "none"):
        want = problem.run("value_and_grad", reduction=reduction)
        where = (0, 1, 2)[: len(want) - 1]
        got = run_into(problem, "value_and_grad", reduction, where, shared)
        assert_same_bits(got, want)


@each_dtype
@each_large
def test_in_place_with_threads(case, n, dtype, threading_way):
    problem = case.weighted(n, dtype)
    shared = [*problem.args, *problem.options.values()]
    want = problem.run(reduction="mean")
    spots = buffers(problem)
    where = tuple(spots[k] if k < len(spots) else None for k in range(len(want) - 1))
    assert_same_bits(run_into(problem, "value_grad_hess", "mean", where, shared), want)


@each_dtype
def test_partial_out(dtype):
    """A tuple may leave out what the call is to allocate itself."""
    problem = Case("gamma_nll", "log").problem(20, dtype)
    value, grads, hesss = nk.gamma_nll.value_grad_hess(*problem.args, link="log")
    g, h = np.empty(20, dtype), np.empty(20, dtype)
    got = nk.gamma_nll.value_grad_hess(*problem.args, link="log", out=((None, g), (h, None)))
    assert got[1][1] is g
    assert got[2][0] is h
    assert_same_bits([got[0], *got[1], *got[2]], [value, *grads, *hesss])
    got = nk.gamma_nll.value_grad_hess(*problem.args, link="log", out=(None, (g, h)))
    assert got[2][0] is g
    assert got[2][1] is h
    assert_same_bits([got[0], *got[1], *got[2]], [value, *grads, *hesss])
