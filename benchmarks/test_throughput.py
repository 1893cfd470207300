"""Throughput of every loss in nk.losses(), beside the other libraries that are installed.

    python -m pytest benchmarks                     # a table a cell: a loss, a shape, a dtype
    python -m pytest benchmarks -k cross_entropy --peers nllkern torch_eager
    python -m pytest benchmarks -m quick            # a smoke test

Data, keywords and shapes are the catalogue's.  Each row has its GB/s (arrays read once, results
written once) and elements/s, of its fastest round.  nllkern's results go to the caller's buffers,
as in a training loop; of another library the formulation counts that is fastest at the first calls.
`--benchmark-save NAME` and `--benchmark-compare` put a later run beside an earlier one.
All libraries share one process: `benchmarks.compare` is the careful comparison.
"""

import functools
import time

import pytest

nk = pytest.importorskip("nllkern")

from benchmarks import peers  # noqa: E402, after the skip
from benchmarks.catalogue import works_of  # noqa: E402
from benchmarks.conftest import is_installed  # noqa: E402
from benchmarks.peers import OURS, PEERS  # noqa: E402
from benchmarks.peers.nllkern import buffers  # noqa: E402

DTYPES = ["float32", "float64"]
METHODS = {"value": 0, "value_and_grad": 1, "value_grad_hess": 2}  # results beside the value
PEERS_METHOD = "value_and_grad"
QUICK_PEERS = [OURS, "numpy_scipy"]
ENTRIES = {work.name: work for loss in nk.losses() for work in works_of(loss)}


def method_of(loss, method):
    """The value is the call itself."""
    return loss if method == "value" else getattr(loss, method)


@functools.cache
def methods_of(loss):
    """The methods that the loss has."""
    work, found = works_of(loss)[0], []
    for method in METHODS:
        try:
            method_of(loss, method)(*work.data(work.small, "float32"), **work.keywords)
        except NotImplementedError:
            continue
        found.append(method)
    return found


def large_cases(names):
    """A cell's contestants one after the other: they share its data."""
    for loss in nk.losses():
        for work in works_of(loss):
            for shape in dict.fromkeys((*work.shapes, *work.quick)):
                for dtype in DTYPES:
                    for name in names:
                        methods = methods_of(loss) if name == OURS else [PEERS_METHOD]
                        for method in methods:
                            yield loss, work, shape, dtype, name, method


def pytest_generate_tests(metafunc):
    names = [name for name in metafunc.config.getoption("--peers") if is_installed(name)]
    if metafunc.function is test_throughput:
        cases = [
            pytest.param(
                *case,
                id=f"{work.name}-{'x'.join(map(str, shape))}-{dtype}-{name}-{method}",
                marks=[pytest.mark.quick] if shape in work.quick and name in QUICK_PEERS else [],
            )
            for case in large_cases(names)
            for _, work, shape, dtype, name, method in [case]
        ]
        metafunc.parametrize("loss, work, shape, dtype, name, method", cases)
    elif metafunc.function is test_small_call:
        cases = [
            pytest.param(loss, work, method, dtype, id=f"{work.name}-{method}-{dtype}")
            for loss in nk.losses()
            for work in works_of(loss)
            for method in methods_of(loss)
            for dtype in DTYPES
        ]
        metafunc.parametrize("loss, work, method, dtype", cases)


@functools.lru_cache(maxsize=1)
def data_of(name, shape, dtype):
    """The arguments of an entry, by its name: the cell's contestants share them."""
    return ENTRIES[name].data(shape, dtype)


def fastest(calls):
    """Of several formulations the one whose third call takes least; None where none runs."""
    took = {}
    for call in calls.values():
        try:
            for _ in range(3):
                start = time.perf_counter()
                call()
                took[call] = time.perf_counter() - start
        except Exception:  # a formulation that this library cannot run
            continue
    return min(took, key=took.get, default=None)


def our_call(loss, work, args, method):
    """Results into buffers made beforehand."""
    keywords, written = dict(work.keywords), METHODS[method]
    if written == 1:
        keywords["out"] = buffers(loss, args)
    elif written == 2:
        keywords["out"] = buffers(loss, args), buffers(loss, args)
    return functools.partial(method_of(loss, method), *args, **keywords)


@pytest.mark.filterwarnings("ignore")  # other libraries' own
def test_throughput(benchmark, loss, work, shape, dtype, name, method):
    """Large arrays, all threads."""
    args = data_of(work.name, shape, dtype)
    if name == OURS:
        call, who = our_call(loss, work, args, method), f"{PEERS[name].label} {method}"
    else:
        call = fastest(peers.load(name).build(work, args, True, nk.get_num_threads()))
        who = PEERS[name].label
    if call is None:
        pytest.skip(f"{PEERS[name].label} has no {work.name}")
    benchmark.group = f"{work.name}, {' x '.join(map(str, shape))}, {dtype}"
    benchmark(call)
    read, gradient = work.traffic(args)
    add_rates(benchmark, who, args[0].size, read + METHODS[method] * gradient)


@pytest.mark.quick
def test_small_call(benchmark, loss, work, method, dtype):
    """Ten elements, results allocated by the call: the cost of the call itself."""
    args = work.data(work.small, dtype)
    benchmark.group = f"small call, {method}, {dtype}"
    benchmark(method_of(loss, method), *args, **work.keywords)
    add_rates(benchmark, work.name, args[0].size, sum(work.traffic(args)))


def add_rates(benchmark, who, elements, moved):
    """Rates of the fastest round; nothing under --benchmark-disable."""
    benchmark.extra_info.update(who=who, threads=nk.get_num_threads())
    if benchmark.stats is None:
        return
    seconds = benchmark.stats.stats.min
    benchmark.extra_info["GB/s"] = round(moved / seconds / 1e9, 3)
    benchmark.extra_info["elements/s"] = round(elements / seconds)
