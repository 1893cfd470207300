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
WORKS = [(loss, work) for loss in nk.losses() for work in works_of(loss)]
METHODS = {"value": 0, "value_and_grad": 1, "value_grad_hess": 2}  # results beside the value


def method_of(loss, method):
    """The value is the call itself; no second derivative, no case."""
    if method == "value":
        return loss
    if method == "value_grad_hess" and not has_hess(loss):
        pytest.skip("no second derivatives")
    return getattr(loss, method)


def has_hess(loss):
    return hasattr(loss.reference, "value_grad_hess")


def cases():
    for loss, work in WORKS:
        for shape in dict.fromkeys((*work.shapes, *work.quick)):
            marks = [pytest.mark.quick] if shape in work.quick else []
            name = f"{work.name}-{'x'.join(map(str, shape))}"
            yield pytest.param(loss, work, shape, id=name, marks=marks)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("loss", "work", "shape"), list(cases()))
def test_throughput(benchmark, loss, work, shape, dtype, method):
    """Large arrays, all threads."""
    call = method_of(loss, method)
    args, written = work.data(shape, dtype), METHODS[method]
    keywords = dict(work.keywords)
    if written == 1:
        keywords["out"] = buffers(loss, args)
    elif written == 2:
        keywords["out"] = buffers(loss, args), buffers(loss, args)
    benchmark.group = f"{work.name} {method} {dtype}"
    benchmark(call, *args, **keywords)
    read, gradient = work.traffic(args)
    add_rates(benchmark, args[0].size, read + written * gradient)


@pytest.mark.quick
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("loss", "work"), WORKS, ids=[work.name for _, work in WORKS])
def test_small_call(benchmark, loss, work, dtype, method):
    """Ten elements, results allocated by the call: the cost of the call itself."""
    call, args = method_of(loss, method), work.data(work.small, dtype)
    benchmark.group = f"small call {method} {dtype}"
    benchmark(call, *args, **work.keywords)
    add_rates(benchmark, args[0].size, sum(work.traffic(args)))


def add_rates(benchmark, elements, moved):
    """Rates of the fastest round; nothing under --benchmark-disable."""
    benchmark.extra_info["threads"] = nk.get_num_threads()
    if benchmark.stats is None:
        return
    seconds = benchmark.stats.stats.min
    benchmark.extra_info["GB/s"] = round(moved / seconds / 1e9, 3)
    benchmark.extra_info["elements/s"] = round(elements / seconds)
