"""Throughput of every loss in nk.losses(): pytest benchmarks; `-m quick` for a smoke test.

Each case carries in `extra_info` its GB/s (arrays read once, results written once), elements/s and
number of threads.  Results go to the caller's buffers, as in a training loop.
"""

import numpy as np
import pytest

nk = pytest.importorskip("nllkern")

# The last axis of a softmax loss holds the classes.
ROWS = [(262144, 10), (65536, 100), (8192, 1000), (1024, 32000)]
FLAT = [(1 << 22,)]
VECTORS = [(1 << 18, 2), (1 << 15, 128), (1 << 12, 1024)]
FACTORS = [(1 << 18, 2), (4096, 32), (64, 256)]  # a d x d matrix each
QUICK_ROWS = [(4096, 10), (512, 1000)]
QUICK_FLAT = [(1 << 16,)]
QUICK_VECTORS = [(1 << 10, 16)]
SMALL = (1, 10)
DTYPES = ["float32", "float64"]


def is_rowwise(loss):
    """Losses over classes take logits; all others work element by element."""
    return loss.name.startswith("cross_entropy")


def has_factor(loss):
    return loss.name == "multivariate_gaussian_nll"


def is_vectors(loss):
    """Losses whose samples are vectors."""
    return has_factor(loss) or loss.name == "triplet_margin"


def shapes(loss):
    """(full, quick)."""
    if is_vectors(loss):
        return (FACTORS if has_factor(loss) else VECTORS), QUICK_VECTORS
    return (ROWS, QUICK_ROWS) if is_rowwise(loss) else (FLAT, QUICK_FLAT)


def arguments(loss, dtype, shape):
    """(positional arguments, keywords): predictions first, a target inside every loss's domain."""
    rng = np.random.default_rng(0)
    predictions = [rng.standard_normal(shape, dtype=dtype) for _ in loss.parameters]
    keywords = {"link": "softplus"} if "softplus" in loss.links else {}
    if has_factor(loss):
        d = shape[-1]
        factor = rng.standard_normal((*shape, d), dtype=dtype) / np.sqrt(d).astype(dtype)
        return [predictions[0], factor, rng.standard_normal(shape, dtype=dtype)], keywords
    if is_vectors(loss):
        return predictions, keywords
    if is_rowwise(loss):
        return [*predictions, rng.integers(0, shape[-1], shape[:-1])], keywords
    return [*predictions, 1 - rng.random(shape, dtype=dtype)], keywords


def buffers(predictions):
    """Uninitialised results in the form that `out` takes: an array, or a tuple of several."""
    made = tuple(np.empty_like(p) for p in predictions)
    return made if len(made) > 1 else made[0]


METHODS = {  # results, in arrays of the predictions' size, and the `out` that takes them
    "value": (0, lambda predictions: {}),
    "value_and_grad": (1, lambda predictions: {"out": buffers(predictions)}),
    "value_grad_hess": (2, lambda p: {"out": (buffers(p), buffers(p))}),
}


def method_of(loss, method):
    """The value is the call itself."""
    return loss if method == "value" else getattr(loss, method)


def cases():
    for loss in nk.losses():
        full, quick = shapes(loss)
        for shape in full + quick:
            marks = [pytest.mark.quick] if shape in quick else []
            name = f"{loss.name}-{'x'.join(map(str, shape))}"
            yield pytest.param(loss, shape, id=name, marks=marks)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("loss", "shape"), list(cases()))
def test_throughput(benchmark, loss, shape, dtype, method):
    """Large arrays, all threads."""
    args, keywords = arguments(loss, dtype, shape)
    written, out = METHODS[method]
    predictions = args[: len(loss.parameters)]
    keywords.update(out(predictions))
    benchmark.group = f"{loss.name} {method} {dtype}"
    benchmark(method_of(loss, method), *args, **keywords)
    moved = sum(a.nbytes for a in args) + written * sum(p.nbytes for p in predictions)
    add_rates(benchmark, predictions[0].size, moved)


@pytest.mark.quick
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", nk.losses(), ids=lambda loss: loss.name)
def test_small_call(benchmark, loss, dtype, method):
    """Ten elements, results allocated by the call: the cost of the call itself."""
    args, keywords = arguments(loss, dtype, SMALL)
    benchmark.group = f"small call {method} {dtype}"
    benchmark(method_of(loss, method), *args, **keywords)
    add_rates(benchmark, args[0].size, sum(a.nbytes for a in args))


def add_rates(benchmark, elements, moved):
    """Rates of the fastest round; nothing under --benchmark-disable."""
    benchmark.extra_info["threads"] = nk.get_num_threads()
    if benchmark.stats is None:
        return
    seconds = benchmark.stats.stats.min
    benchmark.extra_info["GB/s"] = round(moved / seconds / 1e9, 3)
    benchmark.extra_info["elements/s"] = round(elements / seconds)
