"""Calls of all C functions on arrays between guard pages.

    python guard_loop.py LOG quick|full [FIRST]

LOG says at any time which call is made, as "number name", so that a crash has a name; FIRST is the
number of the first call.  Every call is made on ordinary arrays too, and has to give the same bits.
"""

import os
import sys
from functools import partial
from itertools import product
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1])]

import numpy as np
from cases import (
    DTYPES,
    REDUCTIONS,
    Case,
    Problem,
    assert_same_bits,
    cases,
    known,
    per_sample_option,
)
from cases_vectors import gaussian, triplet
from guard import Guarded
from thin import covering
from through_c import SUFFIX, WANTS, CProblem

import nllkern as nk

EDGES = ("begin", "end")
BEYOND = (127, 128, 129, 255, 256, 257, 511, 512, 513, 1025)  # around tiles and blocks
MANY = {
    "full": (*range(1, 71), *BEYOND),
    "quick": (*range(1, 10), 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 70, 129, 513),
}
FEW = {"full": (1, 2, 3, 7, 33), "quick": (1, 3)}
PLACES = {"full": 6, "quick": 1}  # calls of each loss, dtype and size
PERIOD = 3  # of pos_weight and its like
GAP = 5  # between two rows
MOST = 1 << 15  # numbers in a batch of matrices
OPTIONS = {"label_smoothing": 0.1, "z_loss": 1e-3, "softcap": 20.0, "margin": 0.7}  # of rows


def sizes_2d(scale):
    """(samples, numbers of a sample): many of either, beside few of the other."""
    many, few = MANY[scale], FEW[scale]
    pairs = [(n, k) for k in many for n in few] + [(n, k) for n in many for k in (1, 10, 49)]
    return list(dict.fromkeys(pairs))


# ---- problems: of a size, dtype, layout, with weights or without ----


def points(case, size, dtype, layout, has_weights):
    problem = (case.weighted if has_weights else case.problem)(size, dtype, seed=size)
    what, _, which = layout.partition(" ")
    if what == "period":
        few = np.random.default_rng(size).uniform(0.5, 2.0, min(PERIOD, size)).astype(dtype)
        return problem.having(**{per_sample_option(case.name): few})
    if what == "shared":
        args = list(problem.args)
        args[int(which)] = args[int(which)][0].reshape(())
        return problem.having(*args)
    return problem


def rows(name, kind, index, size, dtype, layout, has_weights):
    n, classes = size
    case = Case(name, kind, classes)
    problem = (case.weighted if has_weights else case.problem)(n, dtype, seed=n)
    logits, target = problem.args
    if index:
        target = target.astype(index)
    if "options" not in layout:
        return problem.having(logits, target)
    ignored = {"ignore_index": int(target[-1])} if index and n > 1 else {}
    return problem.having(logits, target, **known(name, OPTIONS | ignored))


def bins(index, size, dtype, layout, has_weights):
    """Targets of binned_cross_entropy are indices of bins."""
    problem = rows("cross_entropy", "index", index, size, dtype, layout, has_weights)
    options = {k: v for k, v in problem.options.items() if k != "ignore_index"}
    return Problem(nk.binned_cross_entropy, problem.args, options)


def of_vectors(draw, size, dtype, layout, has_weights):
    problem = draw(*size, dtype, **({"shared": True} if layout == "shared" else {}))
    return problem.with_weights() if has_weights else problem


def subjects(scale):
    """(name, layouts, sizes, function that makes a problem)"""
    for case in (x for x in cases() if not x.rowwise):
        layouts = ["plain", "in place", *(["period"] if per_sample_option(case.name) else [])]
        layouts += [
            f"shared {k}" for k in range(len(case.row.parameters) + 1)
        ]  # the target as well
        yield str(case), layouts, MANY[scale], partial(points, case)
    layouts = ["plain", "in place", "strided", "options", "strided options"]
    sizes = sizes_2d(scale)
    for name, kind in dict.fromkeys((x.name, x.kind) for x in cases() if x.rowwise):
        has_index = Case(name, kind, 2).problem(1, "float32").args[1].dtype.kind == "i"
        for index in ("int64", "int32") if has_index else ("",):
            yield f"{name}-{kind} {index}", layouts, sizes, partial(rows, name, kind, index)
    for index in ("int64", "int32"):
        yield f"binned_cross_entropy {index}", layouts, sizes, partial(bins, index)
    sizes = [(n, d) for n, d in sizes if n * d * d <= MOST]
    for link in ("identity", "softplus", "log"):
        name, draw = f"multivariate_gaussian_nll-{link}", partial(gaussian, link=link)
        yield name, ["plain", "in place", "shared"], sizes, partial(of_vectors, draw)
    for p in (1.0, 2.0, 2.5, np.inf):
        draw = partial(triplet, p=p)
        yield f"triplet_margin-{p}", ["plain", "in place"], sizes, partial(of_vectors, draw)


# ---- calls ----


def call(make, size, dtype, layout, want, reduction, edge, has_weights, guarded):
    """One call of a C function, on guarded arrays and on ordinary ones."""
    problem = make(size, dtype, layout, has_weights)
    guarded.begin(edge)
    place_input = guarded.output if layout == "in place" else guarded.input
    through = CProblem(problem, want, reduction, guarded.output, place_input)
    plain = CProblem(problem, want, reduction)
    if layout == "in place":
        for k, array in enumerate(through.keep[2 : 2 + len(through.like)]):
            through.results.grad[k] = through.address(array)
            through.grads[k] = array
    if layout == "period":
        period = problem.options[per_sample_option(problem.loss.name)].size
        through.options.extra_period = plain.options.extra_period = period
    if "strided" in layout:
        n, classes = size
        spread = np.full((n, classes + GAP), np.nan, dtype)  # what lies between rows is not used
        spread[:, :classes] = problem.args[0]
        flat = spread.reshape(-1)[: spread.size - GAP]
        through.inputs[2] = through.address(guarded.input(flat))
        through.options.row_stride = classes + GAP
    assert (through.run(), plain.run()) == (0, 0), "status"
    guarded.check()
    assert_same_bits(through.answer(), plain.answer())


def encode(size, dtype, bins, has_edges, edge, guarded):
    """Numbers into bins."""
    rng = np.random.default_rng(size)
    x = (2 * rng.normal(size=size)).astype(dtype)
    if size % 3 == 0:
        x[-1] = np.nan
    edges = np.sort(rng.normal(size=bins + 1)) if has_edges else None
    function = nk.ctypes_function(f"nllk_encode_{SUFFIX[dtype]}")
    guarded.begin(edge)
    found = []
    for put, put_input in ((guarded.output, guarded.input), (np.copy, np.copy)):
        index = put(np.full(size, 99))
        numbers, where = put_input(x), None if edges is None else put_input(edges)
        address = None if edges is None else where.ctypes.data
        assert function(size, numbers.ctypes.data, bins, address, -3.0, 3.0, index.ctypes.data) == 0
        found.append(index)
    guarded.check()
    assert_same_bits([found[0]], [found[1]])


def info_nce(size, dtype, form, edge, guarded):
    """Through Python: it has no function in C."""
    n = size[0] + size[0] % 2
    args = np.random.default_rng(n).normal(size=(2, n, size[1])).astype(dtype)
    guarded.begin(edge)
    out = tuple(guarded.output(np.zeros_like(x)) for x in args)
    inputs = [guarded.input(x) for x in args]
    got = nk.info_nce.value_and_grad(*inputs, form=form, out=out)
    guarded.check()
    expected = nk.info_nce.value_and_grad(*args, form=form)
    assert_same_bits([got[0], *got[1]], [expected[0], *expected[1]])


def calls(scale):
    """(name, function of the guarded memory)"""
    for name, layouts, sizes, make in subjects(scale):
        places = covering(product(layouts, WANTS, REDUCTIONS, EDGES, (False, True)))
        turn = 0
        for dtype in DTYPES:
            for size in sizes:
                for _ in range(PLACES[scale]):
                    place = places[turn % len(places)]
                    turn += 1
                    what = f"{name} {dtype} {size} {' '.join(map(str, place))}"
                    yield what, partial(call, make, size, dtype, *place)
    places = covering(product(DTYPES, (False, True), EDGES))
    for bins in (1, 2, 3, 17, 64, 256):
        for size in MANY[scale]:
            for dtype, has_edges, edge in places:
                what = f"encode {dtype} {size} {bins} {has_edges} {edge}"
                yield what, partial(encode, size, dtype, bins, has_edges, edge)
    for form in ("queries", "symmetric", "nt_xent"):
        for k, size in enumerate(sizes_2d(scale)[:: 1 if scale == "full" else 4]):
            dtype, edge = DTYPES[k // 2 % 2], EDGES[k % 2]
            what = f"info_nce {form} {dtype} {size} {edge}"
            yield what, partial(info_nce, size, dtype, form, edge)


def main(log, scale, first="0"):
    """Exit status 1, and a message, at the first call that is wrong."""
    guarded, file = Guarded(), os.open(log, os.O_WRONLY | os.O_CREAT)
    number = -1
    for number, (name, function) in enumerate(calls(scale)):
        if number < int(first):
            continue
        os.pwrite(file, f"{number} {name}".encode().ljust(200), 0)
        try:
            function(guarded=guarded)
        except AssertionError as error:
            sys.exit(f"{name}: {error}")
    print(number + 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
