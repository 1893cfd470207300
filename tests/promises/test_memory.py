"""Peak memory of a call, outputs aside: under 1 MiB a thread, whatever the size; and denormals."""

import json
from pathlib import Path

import numpy as np
import pytest
from cases import Case, cases
from fresh import run_python

LIMIT = 1 << 20
THREADS = 2
CONVERTED = "converted"  # an input that has to be copied, to prove that a copy is seen
HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc"
)


def peak(problem, method, **options):
    """Bytes that a call needs beyond what the process holds already; outputs are given.

    Writing 5 to clear_refs sets the peak of the resident set to what it is now.
    """

    def memory(key):
        status = Path("/proc/self/status").read_text()
        return 1024 * int(status.split(key + ":")[1].split()[0])

    outs = [np.zeros_like(problem.args[0]) for _ in range(2 * len(problem.loss.parameters))]
    for x in outs:
        x.fill(1)  # every page is there
    count = len(problem.loss.parameters)
    grads, hesss = (x[0] if count == 1 else tuple(x) for x in (outs[:count], outs[count:]))
    out = {"value": {}, "value_grad_hess": {"out": (grads, hesss)}}.get(method, {"out": grads})
    problem.run(method, num_threads=THREADS, **out, **options)  # starts the threads
    Path("/proc/self/clear_refs").write_text("5")
    before = memory("VmRSS")
    problem.run(method, num_threads=THREADS, **out, **options)
    return memory("VmHWM") - before


def big_problems():
    """(name, problem) of 16 to 32 MB of predictions."""
    for kind in ("index", "soft"):
        for classes, rows in ((10, 400_000), (100, 40_000), (1000, 4000), (131_072, 32)):
            case = Case("cross_entropy", kind, classes)
            problem = case.weighted(rows, "float32")
            yield str(case), problem
            if classes > 10:
                logits = np.zeros((rows, classes + 5), np.float32)[:, :-5]
                yield f"{case}, rows apart", problem.having(logits, problem.args[1])
                everything = {"label_smoothing": 0.1, "z_loss": 0.01, "softcap": 5.0}
                yield f"{case}, all options", problem.having(**everything, ignore_index=1)
        index = Case("cross_entropy", "index", 10).problem(400_000, "float32")
        yield "int32 index", index.having(index.args[0], index.args[1].astype(np.int32))
    for case in cases((10, 1000)):
        if case.rowwise and case.name != "cross_entropy":
            yield str(case), case.weighted(4_000_000 // case.classes, "float32")
    for case in cases(()):
        problem = case.weighted(4_000_000, "float32")
        yield str(case), problem
    yield CONVERTED, problem.having(*(x[::-1] for x in problem.args))


def measure():
    """Run in a process of its own: the peak of every problem and method, in bytes."""
    result = {}
    for name, problem in big_problems():
        for method in ("value", "value_and_grad", "value_grad_hess"):
            result[f"{name}: {method}"] = peak(problem, method)
    print(json.dumps(result))


def test_peak_memory():
    code = f"import sys; sys.path.insert(0, {str(HERE)!r}); import test_memory as t; t.measure()"
    # Freed memory goes back to the system, or a second call would not be seen to take it.
    malloc = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    peaks = json.loads(run_python(code, timeout=600, **malloc))
    assert len(peaks) > 50
    over = {name: f"{p / LIMIT:.2f} MiB" for name, p in peaks.items() if p > THREADS * LIMIT}
    assert all(CONVERTED in name for name in over), over
    assert over, "the measurement itself does not see a copy"


OPTIONS_IN_CHUNKS = {
    "check": ("binary_cross_entropy", {"check": True}),
    "broadcast pos_weight": ("binary_cross_entropy", {"pos_weight": np.ones(10, np.float32)}),
}


@pytest.mark.parametrize("name", OPTIONS_IN_CHUNKS)
def test_peak_memory_of_options(name):
    """By tracemalloc, which sees NumPy's allocations: no copy as large as the input."""
    code = f"""
import sys, tracemalloc
sys.path.insert(0, {str(HERE)!r})
import numpy as np
import test_memory as t
name, options = t.OPTIONS_IN_CHUNKS[{name!r}]
problem = t.Case(name).problem((300_000, 10), "float32").having(**options)
out = np.zeros_like(problem.args[0])
problem.run("value_and_grad", out=out)
tracemalloc.start()
problem.run("value_and_grad", out=out)
print(tracemalloc.get_traced_memory()[1])
"""
    assert int(run_python(code)) < LIMIT


def test_denormals_survive_the_import():
    """No flushing to zero is switched on, in any thread: NumPy would warn."""
    code = """
import warnings
warnings.simplefilter("error")
import numpy as np
import nllkern as nk
for dtype in (np.float32, np.float64):
    z = np.linspace(-1, 1, 100_000, dtype=dtype)
    nk.binary_cross_entropy.grad(z, np.zeros_like(z), num_threads=2)
    info = np.finfo(dtype)
    assert info.smallest_subnormal > 0
    assert info.tiny / 2 > 0
    tiny = np.full(100_000, np.log(info.tiny), dtype) - 5  # exp is a denormal
    value = nk.binary_cross_entropy(tiny, np.zeros_like(tiny), reduction="none", num_threads=2)
    assert (value > 0).all() and (value < info.tiny).all()
"""
    run_python(code)
