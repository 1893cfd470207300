"""Arrays of every layout, size, and integer type give what a plain contiguous array gives."""

from dataclasses import replace

import numpy as np
import pytest
from cases import DTYPES, Case, assert_exact, assert_same_bits, cases

import nllkern as nk

pytestmark = pytest.mark.thin

each_dtype = pytest.mark.parametrize("dtype", DTYPES)


def row_strided(x):
    """Rows with a gap between them."""
    wide = np.full((*x.shape[:-1], x.shape[-1] + 3), x.flat[0], x.dtype)
    wide[..., 1:-2] = x
    return wide[..., 1:-2]


def every_second(x):
    spread = np.repeat(x, 2, axis=0)
    return spread[::2]


def backwards(x):
    return x[::-1].copy()[::-1]


def columns_backwards(x):
    return x[..., ::-1].copy()[..., ::-1]


def fortran_order(x):
    return np.asfortranarray(x)


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


def unaligned(x):
    raw = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    raw[...] = x
    return raw


def byte_swapped(x):
    return x.astype(x.dtype.newbyteorder())


def repeated(x):
    """One sample for all: stride 0."""
    return np.broadcast_to(x[:1], x.shape)


def backed_by_file(x, tmp_path):
    x.tofile(tmp_path / "x")
    return np.memmap(tmp_path / "x", x.dtype, "r", shape=x.shape)


LAYOUTS = (
    row_strided,
    every_second,
    backwards,
    columns_backwards,
    fortran_order,
    read_only,
    unaligned,
    byte_swapped,
    repeated,
)


@pytest.mark.thin(1)
@pytest.mark.parametrize("layout", LAYOUTS)
@each_dtype
@pytest.mark.parametrize("case", cases((5, 67)), ids=str)
def test_layouts(case, dtype, layout):
    problem = case.weighted((9, 7) if case.rowwise else (9, 21), dtype)
    names = [*range(len(problem.args)), *problem.options]
    for name in names:
        x = problem.args[name] if isinstance(name, int) else problem.options[name]
        if not isinstance(x, np.ndarray):
            continue
        arranged = layout(x)
        plain = np.array(arranged, x.dtype, order="C")
        before = arranged.tobytes()
        got, want = (
            problem.having(*(v if k == name else a for k, a in enumerate(problem.args)))
            if isinstance(name, int)
            else problem.having(**{name: v})
            for v in (arranged, plain)
        )
        for method in ("value_and_grad", "value_grad_hess"):
            assert_same_bits(got.run(method), want.run(method), f"{name}")
        assert arranged.tobytes() == before


@each_dtype
@pytest.mark.parametrize("axes", [(1, 0, 2), (0, 1, 2), (1, 2, 0)], ids=str)
def test_row_strided_logits_of_several_axes(axes, dtype):
    """Rows that one stride walks through, and rows that it does not."""
    case = Case("cross_entropy", "index", 6)
    logits, target = case.problem((4, 6), dtype).args
    parts = logits, logits[::2], logits[:, ::2], logits[:1], logits[:, :1]
    same = np.broadcast_to(logits[0, 0], logits.shape)  # stride 0
    for x in (*parts, row_strided(logits), repeated(logits), same, same[0]):
        axes = axes if x.ndim == 3 else (1, 0)
        for y in (x, x[::-1], x[..., ::-1], x[None], x.transpose(axes)):
            t = np.zeros(y.shape[:-1], int)
            got = nk.cross_entropy.value_and_grad(y, t, reduction="none")
            assert_same_bits(got, nk.cross_entropy.value_and_grad(y.copy(), t, reduction="none"))
    assert target.shape == logits.shape[:-1]


def test_memory_mapped(tmp_path):
    problem = Case("binary_cross_entropy").problem(70, "float32")
    mapped = backed_by_file(problem.args[0], tmp_path)
    assert_same_bits(problem.having(mapped, problem.args[1]).run(), problem.run())


def test_structured_field_and_subclass():
    """Views of other arrays, and subclasses of ndarray."""
    problem = Case("binary_cross_entropy").problem(70, "float32")
    records = np.zeros(70, [("pad", "u1"), ("z", "f4")])
    records["z"] = problem.args[0]
    matrix = problem.args[0].view(np.recarray)
    for z in (records["z"], matrix):
        assert_same_bits(problem.having(z, problem.args[1]).run(), problem.run())


# Sizes.


@each_dtype
@pytest.mark.parametrize("kind", ["index", "soft"])
def test_every_number_of_classes(kind, dtype, simd_level):
    for classes in [*range(1, 71), 127, 128, 129]:
        assert_exact(Case("cross_entropy", kind, classes).weighted(34, dtype))


OTHERS = [c for c in cases((10,)) if c.rowwise and c.name != "cross_entropy"]


@each_dtype
@pytest.mark.parametrize("case", OTHERS, ids=str)
def test_every_width_of_the_others(case, dtype, simd_level):
    """Around the lanes and chunks of the loops that they share with cross-entropy."""
    for classes in (1, 2, 3, 4, 7, 15, 16, 17, 31, 47, 48, 49, 63, 64, 65, 127, 128, 129, 1000):
        problem = replace(case, classes=classes).weighted(34, dtype)
        assert_exact(problem)
        assert_exact(problem, method="value_and_grad")


@each_dtype
@pytest.mark.parametrize("kind", ["index", "one-hot", "soft"])
@pytest.mark.parametrize("classes", [1000, 4096, 4097, 16_385])
def test_many_classes(classes, kind, dtype, simd_level):
    problem = Case("cross_entropy", kind, classes).weighted(3, dtype)
    for method in ("value_and_grad", "value_grad_hess"):
        assert_exact(problem, method=method)


@pytest.mark.parametrize(("kind", "dtype"), [("index", "float64"), ("soft", "float32")])
def test_a_million_classes(kind, dtype):
    problem = Case("cross_entropy", kind, 1_000_000).problem(1, dtype)
    assert_exact(problem, method="value_and_grad")
    # All equal: the sum of 10^6 exponentials is exact.
    value = nk.cross_entropy(np.full((2, 1_000_000), 3, dtype), np.array([0, 999_999]))
    assert value == pytest.approx(np.log(1e6), rel=float(np.finfo(dtype).eps))


@pytest.mark.slow
def test_more_than_2_31_elements():
    """2.2e9 logits, all rows of which are the same memory."""
    row = np.random.default_rng(0).normal(size=(1, 1_000_000)).astype(np.float32)
    logits = np.broadcast_to(row, (2200, 1_000_000))
    target = np.arange(2200)
    value = nk.cross_entropy(logits, target, reduction="none")
    assert np.array_equal(value[-3:], nk.cross_entropy(logits[-3:], target[-3:], reduction="none"))


@each_dtype
@pytest.mark.parametrize("kind", ["index", "soft"])
def test_one_class(kind, dtype, simd_level):
    """A single class is certain."""
    problem = Case("cross_entropy", kind, 1).problem(40, dtype)
    for x in problem.run(reduction="none"):
        assert not x.any()


@pytest.mark.thin(1)
@each_dtype
@pytest.mark.parametrize("n", [0, 1, 127, 128, 129, 5000, 16_384, 16_385, 40_001])
@pytest.mark.parametrize("case", cases((10,)), ids=str)
def test_numbers_of_samples(case, n, dtype):
    """Around the sizes of tiles and blocks."""
    assert_exact(case.weighted(n, dtype), "none", method="value_and_grad")


@each_dtype
@pytest.mark.parametrize("case", cases((1, 10, 67)), ids=str)
def test_empty_batch(case, dtype):
    problem = case.weighted((0, 3), dtype)
    for reduction in ("sum", "mean"):
        value, *rest = problem.run(reduction=reduction)
        assert value == 0.0
        assert type(value) is float
        assert all(x.size == 0 and x.dtype == dtype for x in rest)
    assert problem.run("value", reduction="none")[0].shape == (0, 3)
    out = np.empty_like(problem.args[0])
    if len(problem.loss.parameters) == 1:
        assert problem.loss.grad(*problem.args, out=out) is out


# Types of numbers.

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


@each_dtype
@pytest.mark.parametrize("integer", INTEGERS)
@pytest.mark.parametrize("classes", [10, 67])
def test_index_types(classes, integer, dtype):
    problem = Case("cross_entropy", "index", classes).weighted(45, dtype)
    logits, target = problem.args
    for options in ({}, {"ignore_index": 3}, {"label_smoothing": 0.1}):
        want = problem.having(**options).run("value_and_grad")
        for index in (target.astype(integer), byte_swapped(target.astype(integer))):
            same = problem.having(logits, index, **options)
            assert_same_bits(same.run("value_and_grad"), want)


def test_numbers_without_a_precision():
    """Lists, Python numbers, integers and booleans take the precision of the others."""
    z32 = np.array([0.5, -1.0], np.float32)
    for target in ([1, 0], (1.0, 0.0), np.array([1, 0]), np.array([True, False]), [True, False]):
        value = nk.binary_cross_entropy(z32, target, reduction="none")
        assert value.dtype == np.float32
        assert_same_bits([value], [nk.binary_cross_entropy(
            z32, np.array([1, 0], np.float32), reduction="none")])  # fmt: skip
    assert nk.binary_cross_entropy([1, 2], [1, 0], reduction="none").dtype == np.float64
    one_hot = np.array([[True, False], [False, True]])
    logits = np.array([[0.5, -1.0], [2.0, 1.0]], np.float32)
    got = nk.cross_entropy.value_and_grad(logits, one_hot)
    want = nk.cross_entropy.value_and_grad(logits, one_hot.astype(np.float32))
    assert_same_bits(got, want)
    assert nk.cross_entropy([[0.5, -1.0]], [1]) == pytest.approx(np.log1p(np.exp(1.5)))
    assert nk.gaussian_nll(0, 1, 0.0, full=False) == 0.0
    assert nk.gaussian_nll([1.0, 2.0], 1, [1, 2], full=False) == 0.0


@each_dtype
def test_scalar_arrays(dtype):
    """Arrays without axes are one sample; a NumPy scalar counts as an array with a dtype."""
    z, y = np.array(0.3, dtype), np.array(1.0, dtype)
    value, grad = nk.binary_cross_entropy.value_and_grad(z, y, reduction="none")
    assert value.shape == grad.shape == ()
    assert value.dtype == grad.dtype == dtype
    value, grad = nk.cross_entropy.value_and_grad(np.array([1, 2, 3], dtype), np.array(2))
    assert grad.shape == (3,)
    assert type(value) is float
    assert nk.cross_entropy(np.array([1, 2, 3], dtype), 2) == value
