"""The functions of nllkern.h: Python's bits, in any order of blocks; errors; what may only grow."""

import ctypes
import os
import random
from pathlib import Path

import numpy as np
import pytest
from cases import DTYPES, REDUCTIONS, ROW, Case, Problem, assert_same_bits, cases
from cases_vectors import gaussian, triplet
from through_c import WANTS, CProblem

import nllkern as nk
from nllkern import _capi
from nllkern._engine import build_info, c_functions
from nllkern.lowlevel import Call, Options, Results

pytestmark = pytest.mark.thin

HERE = Path(__file__).parent
CASES = cases((5, 67))
MESSAGES = [nk.ctypes_function("nllk_message")(k).decode() for k in range(13)]


def drawn(case, n, dtype, seed=0):
    return case.weighted(n, dtype, seed) if seed % 2 else case.problem(n, dtype, seed)


def of_vectors(dtype):
    yield from (
        gaussian(70, 5, dtype, link, shared=s) for link in ("identity", "log") for s in (0, 1)
    )
    yield gaussian(3000, 4, dtype, "softplus", shared=True)
    yield from (triplet(70, 9, dtype, p=p) for p in (1, 2, 2.5, np.inf))


def python(problem, method, reduction):
    if method == "value":
        return [problem.loss(*problem.args, **problem.options, reduction=reduction)]
    return problem.run(method, reduction=reduction)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_same_bits_as_python(case, dtype, reduction):
    for seed, method in enumerate(WANTS):
        problem = drawn(case, 100, dtype, seed)
        through = CProblem(problem, method, reduction)
        assert MESSAGES[through.run()] == "no error"
        assert_same_bits(through.answer(), python(problem, method, reduction))


@pytest.mark.parametrize("dtype", DTYPES)
def test_same_bits_of_vectors(dtype):
    for problem in of_vectors(dtype):
        for method in WANTS:
            through = CProblem(problem, method)
            assert MESSAGES[through.run()] == "no error"
            assert_same_bits(through.answer(), python(problem, method, "mean"))


@pytest.mark.parametrize("dtype", DTYPES)
def test_bins_are_indices(dtype):
    rng = np.random.default_rng(0)
    logits, y = rng.normal(size=(50, 20)).astype(dtype), rng.normal(size=50).astype(dtype)
    want = nk.binned_cross_entropy.value_and_grad(logits, y, edges=(-3, 3))
    bins = nk.binned_cross_entropy.encode(y, (-3, 3), K=20)
    through = CProblem(Problem(nk.binned_cross_entropy, (logits, bins)), "value_and_grad")
    assert through.run() == 0
    assert_same_bits(through.answer(), want)


@pytest.mark.parametrize("dtype", DTYPES)
def test_encode(dtype):
    """As Python's encode; numbers on the edges, outside, and NaN, in few samples and in many."""
    rng = np.random.default_rng(0)
    encode = nk.ctypes_function(f"nllk_encode_{'f32' if dtype == 'float32' else 'f64'}")
    edges = np.sort(rng.normal(size=21))
    for n, own in ((50, None), (50, edges), (100_003, None), (100_003, edges)):
        x = (2 * rng.normal(size=n)).astype(dtype)
        x[:5] = [-3, 3, -np.inf, np.inf, edges[7]]
        index = np.full(n, 99)
        where = 0 if own is None else own.ctypes.data
        arguments = n, x.ctypes.data, 20, where, -3, 3, index.ctypes.data
        assert encode(*arguments) == 0
        pair = (-3, 3) if own is None else own
        np.testing.assert_array_equal(index, nk.binned_cross_entropy.encode(x, pair, K=20))
        x[[7, n - 1]] = np.nan
        expected = index.copy()
        expected[[7, n - 1]] = -1
        assert encode(*arguments) == 0
        np.testing.assert_array_equal(index, expected)


def test_errors_of_encode():
    x, index = np.zeros(5), np.full(5, 99)
    edges, flat = np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 1.0])
    encode = nk.ctypes_function("nllk_encode_f64")
    bad = {
        "a negative number of samples": (-1, x, 2, edges, 0, 0, index),
        "no classes": (5, x, 0, edges, 0, 0, index),
        "an input is NULL": (5, None, 2, edges, 0, 0, index),
        "NULL": (5, x, 2, edges, 0, 0, None),
        "edges that are not finite or do not increase": (5, x, 2, flat, 0, 0, index),
        "edges that are not": (5, x, 2, None, 1, 1, index),
        "edges that": (5, x, 2, None, 0, np.inf, index),
        "edges": (5, x, 2, None, 1e16, 1e16 + 2, index),
    }
    for message, arguments in bad.items():
        status = encode(
            *[a.ctypes.data if isinstance(a, np.ndarray) else a or 0 for a in arguments]
        )
        assert status != 0
        assert message in MESSAGES[status]
        assert (index == 99).all()
    assert encode(0, 0, 2, 0, 0, 1, 0) == 0


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES[::3], ids=str)
def test_blocks_in_any_order(case, dtype, workers):
    """A caller's own threads and any order of the blocks make no difference."""
    size = 20_000 if case.classes else 150_000
    problem = drawn(case, size, dtype, seed=1)

    def shuffled(blocks):
        assert len(blocks) > 3
        return random.Random(0).sample(blocks, len(blocks))

    through = CProblem(problem, "value_and_grad")
    assert through.run_blocks(shuffled, workers) == 0
    assert_same_bits(through.answer(), problem.run("value_and_grad"))


@pytest.mark.parametrize("dtype", DTYPES)
def test_blocks_of_vectors(dtype):
    for problem in of_vectors(dtype):
        for method in WANTS:
            through = CProblem(problem, method)
            assert through.run_blocks(lambda blocks: blocks[::-1], 2) == 0
            assert_same_bits(through.answer(), python(problem, method, "mean"))


def test_whole_ranges_of_blocks():
    """Several blocks in one go; what are not whole blocks is refused."""
    problem = Case("gaussian_nll", "log").problem(200_000, "float32")
    through, call = CProblem(problem, "value_and_grad"), Call()
    pointers = [ctypes.byref(x) for x in (through.options, through.results, call)]
    assert nk.ctypes_function("nllk_gaussian_nll_f32_open")(*through.inputs, *pointers) == 0
    run = nk.ctypes_function("nllk_run")
    size = nk.ctypes_function("nllk_block")(pointers[-1])
    for begin, end in ((1, size), (0, size + 1), (-size, 0), (0, 200_001), (size, 0)):
        assert MESSAGES[run(pointers[-1], begin, end)] == "the samples are not whole blocks"
    assert run(pointers[-1], 3 * size, 200_000) == 0
    assert run(pointers[-1], 0, 3 * size) == 0
    assert nk.ctypes_function("nllk_close")(pointers[-1], pointers[1]) == 0
    assert_same_bits(through.answer(), problem.run("value_and_grad"))


@pytest.mark.parametrize("weight", [0.0, None])
def test_nothing_counts(weight):
    """Value 0, also of each sample, and derivatives 0, as in Python."""
    for case in CASES[::4]:
        problem = case.problem(40, "float32")
        if weight is None:
            problem = problem.rows(slice(0, 0))
        else:
            problem = problem.having(sample_weight=np.zeros(40, np.float32))
        for blocks in (False, True):
            through = CProblem(problem)
            assert (through.run_blocks() if blocks else through.run()) == 0
            assert through.results.denominator == 0
            assert (through.loss == 0).all()
            assert_same_bits(through.answer(), problem.run())


def test_opened_and_given_up():
    problem = gaussian(1000, 4, "float64", shared=True)
    through, call = CProblem(problem), Call()
    pointers = [ctypes.byref(x) for x in (through.options, through.results, call)]
    name = "nllk_multivariate_gaussian_nll_f64_open"
    assert nk.ctypes_function(name)(*through.inputs, *pointers) == 0
    assert nk.ctypes_function("nllk_close")(pointers[-1], None) == 0
    assert all((x == 7).all() for x in (through.loss, *through.grads, *through.hesss))


def test_own_parallel_for():
    """options.parallel stands in for the threads of the library."""
    counts = []
    work = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int)

    @ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, work, ctypes.c_void_p)
    def parallel(context, count, function, task):
        counts.append((context, count))
        for k in range(count):
            function(task, k)

    problem = Case("binary_cross_entropy").problem(200_000, "float64")
    through = CProblem(problem, num_threads=5)
    through.options.parallel = ctypes.cast(parallel, ctypes.c_void_p).value
    through.options.context = 77
    assert through.run() == 0
    assert counts == [(77, 5)]
    assert_same_bits(through.answer(), problem.run())


BAD = [  # (loss, kind of the case, members of the struct, message)
    ("cross_entropy", "index", {"size": 3}, "options or results are NULL"),
    ("cross_entropy", "index", {"want": 3}, "want is none of"),
    ("cross_entropy", "index", {"reduction": -1}, "no such reduction"),
    ("cross_entropy", "index", {"normalizer": -1.0}, "no such reduction"),
    ("cross_entropy", "index", {"normalizer": np.nan}, "no such reduction"),
    ("cross_entropy", "index", {"normalizer": 1.0, "reduction": 1}, "no such reduction"),
    ("cross_entropy", "index", {"num_threads": -1}, "out of its range"),
    ("cross_entropy", "index", {"link": (1, 0, 0)}, "no such link"),
    ("cross_entropy", "index", {"link": (0, 1, 0)}, "no such link"),
    ("cross_entropy", "index", {"extra_value": 2.0}, "or one that the loss does not have"),
    ("cross_entropy", "index", {"target": 4}, "no such target"),
    ("cross_entropy", "index", {"label_smoothing": 1.5}, "out of its range"),
    ("cross_entropy", "index", {"z_loss": np.inf}, "out of its range"),
    ("cross_entropy", "index", {"softcap": -1.0}, "out of its range"),
    ("cross_entropy", "index", {"margin": np.nan}, "out of its range"),
    ("cross_entropy", "index", {"variant": 1}, "or one that the loss does not have"),
    ("cross_entropy", "index", {"extra": 8}, "or one that the loss does not have"),
    ("squared_error", "", {"link": (1, 0, 0)}, "no such link"),
    ("gamma_nll", "log", {"link": (3, 0, 0)}, "no such link"),
    ("gaussian_nll", "log", {"link": (0, 6, 0)}, "no such link"),
    ("student_t_nll", "log", {"link": (0, 0, 3)}, "no such link"),
    ("kl_divergence", "softmax", {"target": 1}, "no such target"),
    ("multiclass_hinge", "crammer_singer", {"target": 3}, "no such target"),
    ("normalized_sigmoid_nll", "index", {"softcap": 1.0}, "that the loss does not have"),
    ("kl_divergence", "softmax", {"label_smoothing": 0.1}, "that the loss does not have"),
]


def refuses(through, message):
    assert message in MESSAGES[through.run()]
    assert message in MESSAGES[through.run_blocks()]
    assert all((x == 7).all() for x in (through.loss, *through.grads, *through.hesss))


@pytest.mark.parametrize(("name", "kind", "options", "message"), BAD)
def test_bad_options(name, kind, options, message):
    classes = 5 if ROW[name].kind == "rows" else 0
    through = CProblem(Case(name, kind, classes).problem(10, "float32"))
    for key, value in options.items():
        setattr(through.options, key, (ctypes.c_int * 3)(*value) if key == "link" else value)
    refuses(through, message)


@pytest.mark.parametrize("bad", [-1, 5, 2**40])
def test_bad_index(bad):
    problem = Case("cross_entropy", "index", 5).problem(100, "float32")
    problem.args[1][[31, 60]] = bad
    through = CProblem(problem)
    refuses(through, "a class index is out of range")
    assert (through.results.argument, through.results.bad) == (b"target", 31)


def test_null_pointers():
    for case in CASES:
        problem = case.problem(10, "float32")
        for k in range(len(problem.args)):
            through = CProblem(problem)
            through.inputs[k - len(problem.args)] = None
            refuses(through, "an input is NULL")
        through = CProblem(problem)
        through.results.hess[0] = None
        refuses(through, "the place of a derivative that is asked for")
        for missing in (ctypes.byref(through.options), None), (None, ctypes.byref(through.results)):
            status = nk.ctypes_function(through.name)(*through.inputs, *missing)
            assert "options or results are NULL" in MESSAGES[status]


def test_bad_sizes():
    problem = Case("cross_entropy", "index", 5).problem(10, "float32")
    for sizes in ((-1, 5), (10, 0)):
        through = CProblem(problem)
        through.inputs[:2] = sizes
        refuses(through, "a negative number of samples")
    through = CProblem(gaussian(2, 257, "float32"))
    refuses(through, "a dimension out of range")


def test_lowlevel():
    with pytest.raises(ValueError, match=r"nllk_nothing.*expected one of.*nllk_gaussian_nll_f32"):
        nk.ctypes_function("nllk_nothing")
    with pytest.raises(TypeError, match="unknown option 'wants'"):
        Options(wants=1)
    with pytest.raises(TypeError, match="no option 'edges' of binned_cross_entropy"):
        Options().set("binned_cross_entropy", edges=(0, 1))
    with pytest.raises(ValueError, match="no loss 'info_nce'"):
        Options().set("info_nce")
    assert Options().size == ctypes.sizeof(Options)
    assert Results().size == ctypes.sizeof(Results)
    assert nk.ctypes_function("nllk_version")().decode() == nk.__version__


def test_threads_are_those_of_python():
    before = nk.get_num_threads()
    if not build_info()["threads"]:
        pytest.skip("built without threads")
    nk.ctypes_function("nllk_set_num_threads")(before + 3)
    try:
        assert nk.get_num_threads() == before + 3
    finally:
        nk.set_num_threads(before)
    assert nk.ctypes_function("nllk_get_num_threads")() == before


@pytest.mark.thread_unsafe(reason="sets whose threads the process uses")
def test_threading_is_that_of_python(threading_way):
    names = ["", "pool", "openmp"]
    assert nk.ctypes_function("nllk_get_threading")() == names.index(threading_way)
    change = nk.ctypes_function("nllk_set_threading")
    for way in (-1, 3):
        assert "an option out of its range" in MESSAGES[change(way)]
    assert change(0) == 0
    assert nk.get_threading() == "pool"
    problem = Case("binary_cross_entropy").problem(200_000, "float64")
    through = CProblem(problem, num_threads=3)
    assert change(names.index(threading_way)) == 0
    assert through.run() == 0
    assert_same_bits(through.answer(), problem.run(num_threads=1))


# ---- what others compile against may only grow ----


class Function(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("type", ctypes.c_char_p), ("address", ctypes.c_void_p))


class Api(ctypes.Structure):
    _fields_ = (
        ("abi", ctypes.c_int),
        ("size", ctypes.c_size_t),
        ("count", ctypes.c_ssize_t),
        ("functions", ctypes.POINTER(Function)),
    )


def test_capsule():
    get = ctypes.pythonapi.PyCapsule_Import
    get.restype, get.argtypes = ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_int)
    api = Api.from_address(get(b"nllkern._C_API", 0))
    assert (api.abi, api.size) == (2, ctypes.sizeof(Api))
    names = [api.functions[k].name.decode() for k in range(api.count)]
    assert names == nk.lowlevel.function_names()


def test_only_grows():
    """golden/c_functions.txt: what others may have been compiled with, in C and in Cython.

    Those that came later are written there by NLLKERN_UPDATE_SNAPSHOT=1, before a release.
    """
    found = {f"C {name}: {kind}" for name, kind, _ in c_functions()}
    capsule_name = ctypes.pythonapi.PyCapsule_GetName
    capsule_name.restype, capsule_name.argtypes = ctypes.c_char_p, (ctypes.py_object,)
    found |= {f"Cython {k}: {capsule_name(v).decode()}" for k, v in _capi.__pyx_capi__.items()}
    snapshot = HERE.parent / "golden" / "c_functions.txt"
    if os.environ.get("NLLKERN_UPDATE_SNAPSHOT"):
        snapshot.write_text("".join(f"{line}\n" for line in sorted(found)))
    known = set(snapshot.read_text().splitlines())
    assert not known - found, "these functions are gone, or are of another type"
