"""Throughput of every loss in nk.losses(): pytest benchmarks; `-m quick` for a smoke test.

Data, keywords and shapes are the catalogue's.  Each case carries in `extra_info` its GB/s (arrays
read once, results written once), elements/s and number of threads.  Results go to the caller's
buffers, as in a training loop.
"""

import pytest

nk = pytest.importorskip("nllkern")

from benchmarks.catalogue import works_of  # noqa: E402, after the skip
from benchmarks.peers.nllkern import buffers  # noqa: E402

DTYPES = ["float32", "float64"]
METHODS = {"value": 0, "value_and_grad": 1, "value_grad_hess": 2}  # results beside the value


def method_of(loss, method):
    """The value is the call itself."""
    return loss if method == "value" else getattr(loss, method)


def cases():
    """(loss, entry, method): the methods that the loss has."""
    for loss in nk.losses():
        for work in works_of(loss):
            for method in METHODS:
                try:
                    method_of(loss, method)(*work.data(work.small, "float32"), **work.keywords)
                except NotImplementedError:
                    continue
                yield loss, work, method


CASES = list(cases())
SMALL = [pytest.param(*case, id=f"{case[1].name}-{case[2]}") for case in CASES]
LARGE = [
    pytest.param(
        *(loss, work, method, shape),
        id=f"{work.name}-{'x'.join(map(str, shape))}-{method}",
        marks=[pytest.mark.quick] if shape in work.quick else [],
    )
    for loss, work, method in CASES
    for shape in dict.fromkeys((*work.shapes, *work.quick))
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("loss", "work", "method", "shape"), LARGE)
def test_throughput(benchmark, loss, work, method, shape, dtype):
    """Large arrays, all threads."""
    args, written = work.data(shape, dtype), METHODS[method]
    keywords = dict(work.keywords)
    if written == 1:
        keywords["out"] = buffers(loss, args)
    elif written == 2:
        keywords["out"] = buffers(loss, args), buffers(loss, args)
    benchmark.group = f"{work.name} {method} {dtype}"
    benchmark(method_of(loss, method), *args, **keywords)
    read, gradient = work.traffic(args)
    add_rates(benchmark, args[0].size, read + written * gradient)


@pytest.mark.quick
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("loss", "work", "method"), SMALL)
def test_small_call(benchmark, loss, work, method, dtype):
    """Ten elements, results allocated by the call: the cost of the call itself."""
    args = work.data(work.small, dtype)
    benchmark.group = f"small call {method} {dtype}"
    benchmark(method_of(loss, method), *args, **work.keywords)
    add_rates(benchmark, args[0].size, sum(work.traffic(args)))


def add_rates(benchmark, elements, moved):
    """Rates of the fastest round; nothing under --benchmark-disable."""
    benchmark.extra_info["threads"] = nk.get_num_threads()
    if benchmark.stats is None:
        return
    seconds = benchmark.stats.stats.min
    benchmark.extra_info["GB/s"] = round(moved / seconds / 1e9, 3)
    benchmark.extra_info["elements/s"] = round(elements / seconds)
