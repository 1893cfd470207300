"""Memory of large results: kept when freed, within a limit; their arrays are like any others."""

import gc
import os
import pickle
import subprocess
import sys
import threading
import tracemalloc

import numpy as np
import pytest

import nllkern as nk
from nllkern import _results

try:
    from numpy._core.multiarray import get_handler_name as name
except ImportError:  # NumPy 1
    from numpy.core.multiarray import get_handler_name as name

LARGE = 2 << 20  # float32 numbers: 8 MiB
LIMIT = _results.default_limit()
MIB = 1 << 20

pytestmark = [
    pytest.mark.skipif(LIMIT < 64 * MIB, reason="nothing, or next to nothing, is kept"),
    pytest.mark.thread_unsafe(reason="counts the bytes that the process keeps"),
]


@pytest.fixture(autouse=True)
def _empty():
    gc.collect()
    nk.empty_cache()
    yield
    nk.empty_cache()


def grad(n=LARGE, dtype=np.float32, **options):
    x = np.linspace(-3, 3, n, dtype=dtype)
    return nk.binary_cross_entropy.grad(x, np.zeros_like(x), **options)


def address(a):
    return a.ctypes.data


def run_python(code, **environ):
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else done.stderr


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_freed_memory_is_used_again(dtype):
    first = grad(dtype=dtype)
    place, want = address(first), first.copy()
    del first
    assert _results.kept_bytes() >= want.nbytes
    second = grad(dtype=dtype)
    assert address(second) == place
    assert _results.kept_bytes() == 0
    third = grad(dtype=dtype)
    assert not np.may_share_memory(second, third)
    np.testing.assert_array_equal(second, want)
    np.testing.assert_array_equal(third, want)


# In a process of its own, whose malloc has not grown: so large a block is a mapping of its own.
FAULTS = """
import resource
import numpy as np, nllkern as nk
x = np.linspace(-3, 3, 32 << 20, dtype=np.float32)
for _ in range(6):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    nk.binary_cross_entropy.grad(x, np.float32(0), num_threads=1)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_no_page_faults():
    faults = [int(x) for x in run_python(FAULTS).split()]
    assert faults[0] > 50  # huge pages, or many more
    assert sum(faults[1:]) < 20


def test_every_kind_of_result():
    x = np.linspace(0.1, 3, LARGE, dtype=np.float32)
    logits = np.zeros((LARGE, 2), np.float32)
    for _ in range(2):
        found = nk.gaussian_nll.value_grad_hess(x, x, x, reduction="none")
        bins = nk.binned_cross_entropy.encode(x, (0, 4), K=8)
        mean = nk.binned_cross_entropy.expectation(logits, (0, 4))
        arrays = [found[0], *found[1], *found[2], bins, mean]
        assert all(a.flags.owndata for a in arrays)
        places = {address(a) for a in arrays}
        del found, bins, mean, arrays
        if _results.kept_bytes() > 0:
            before, kept = places, _results.kept_bytes()
    assert places == before
    assert kept >= 6 * x.nbytes + 8 * LARGE


def test_sizes_that_are_almost_the_same_share_a_block():
    first = grad(LARGE + 1000)
    place = address(first)
    del first
    assert address(grad(LARGE + 60_000)) == place
    assert address(grad(2 * LARGE)) != place


def test_small_results_are_not_kept():
    del_me = grad(1000)
    del del_me
    assert _results.kept_bytes() == 0


def test_arrays_as_any_other():
    a, plain = grad(), np.empty(LARGE, np.float32)
    for flag in ("OWNDATA", "WRITEABLE", "ALIGNED", "C_CONTIGUOUS"):
        assert a.flags[flag] == plain.flags[flag]
    assert a.base is None
    assert address(a) % 16 == 0
    want = a.copy()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(a)), want)
    a.resize(2 * LARGE, refcheck=False)  # through realloc; the new part is 0
    np.testing.assert_array_equal(a[:LARGE], want)
    assert not a[LARGE:].any()
    a.resize(10, refcheck=False)  # and now it is small
    np.testing.assert_array_equal(a, want[:10])
    del a
    assert _results.kept_bytes() == 0
    a = grad()
    a.resize(3 * LARGE, refcheck=False)  # its block now serves a result of that size
    place = address(a)
    del a
    assert address(grad(3 * LARGE)) == place


def test_array_unpickled_in_place():
    """`__setstate__` frees an array's memory, and takes other."""
    a, small = grad(), np.arange(5)
    place = address(a)
    a.__setstate__(small.__reduce__()[2])
    np.testing.assert_array_equal(a, small)
    assert address(grad()) == place


def test_views_hold_the_memory():
    a = grad()
    place, part = address(a), a[5:9]
    del a
    assert _results.kept_bytes() == 0
    assert address(grad()) != place
    assert np.isfinite(part).all()
    nk.empty_cache()
    del part
    assert address(grad()) == place


def test_empty_cache():
    live = grad()
    want = live.copy()
    del_me = grad()
    del del_me
    assert _results.kept_bytes() > 0
    nk.empty_cache()
    assert _results.kept_bytes() == 0
    np.testing.assert_array_equal(live, want)


GIVEN_BACK = """
import os
import numpy as np, nllkern as nk
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
nk.squared_error.grad(np.zeros(32 << 20, np.float32), np.float32(0))
before = resident()
nk.empty_cache()
print(before - resident())
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs Linux's /proc")
def test_empty_cache_gives_memory_back():
    assert int(run_python(GIVEN_BACK)) > 100 * MIB


SIZES = """
import numpy as np, nllkern as nk
from nllkern import _results
x = np.zeros(8 << 20, np.float32)
most = 0
for k in range(12):
    grads = [nk.squared_error.grad(x[: (j + k) % 8 + 1 << 20], 0.0) for j in range(4)]
    del grads
    most = max(most, _results.kept_bytes())
print(most)
"""


@pytest.mark.parametrize("limit", [0, 20 * MIB, 40 * MIB])
def test_limit(limit):
    most = int(run_python(SIZES, NLLKERN_CACHE_BYTES=str(limit)))
    assert most <= limit
    assert most >= limit / 2


def test_number_of_blocks_is_limited():
    """Also where the limit in bytes is far; the newest are kept."""
    code = """
import numpy as np, nllkern as nk
from nllkern import _results
x = np.zeros(1 << 20, np.float32)
grads = [nk.squared_error.grad(x, 0.0) for _ in range(40)]
place = grads[-1].ctypes.data
while grads:
    grads.pop(0)
kept = _results.kept_bytes()
print(kept, nk.squared_error.grad(x, 0.0).ctypes.data == place)
"""
    kept, same = run_python(code, NLLKERN_CACHE_BYTES=str(1 << 40)).split()
    assert int(kept) == 32 * 4 * MIB
    assert same == "True"


def test_limit_of_the_environment():
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert _results.default_limit({}) == min(512 * MIB, memory // 16)
    assert _results.default_limit({"NLLKERN_CACHE_BYTES": ""}) == _results.default_limit({})
    assert _results.default_limit({"NLLKERN_CACHE_BYTES": "12345"}) == 12345
    for text in ("-1", "1e9", "1 GB"):
        with pytest.raises(ValueError, match=f"NLLKERN_CACHE_BYTES: got '{text}', expected a num"):
            _results.default_limit({"NLLKERN_CACHE_BYTES": text})
    assert "ValueError" in run_python("import nllkern", NLLKERN_CACHE_BYTES="all")


def test_tracemalloc_sees_what_lives():
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(2):  # of new memory, and of kept memory
            a = grad()
            assert abs(tracemalloc.get_traced_memory()[0] - before - a.nbytes) < MIB
            del a
            assert tracemalloc.get_traced_memory()[0] - before < MIB
        assert _results.kept_bytes() > 0
    finally:
        tracemalloc.stop()


def test_the_callers_own_arrays_come_from_numpy():
    """Only results are made by the allocator: it is not left behind, after errors neither."""
    a = grad()
    assert name() == "default_allocator"
    assert name(a) == "nllkern"
    assert name(np.empty(LARGE)) == "default_allocator"
    assert name(a + 1) == "default_allocator"
    assert name(grad(1000)) == "default_allocator"
    row, target = np.zeros(1 << 22, np.float32), np.zeros(1 << 20, np.int32)
    with pytest.raises(MemoryError):  # 16 TiB
        nk.cross_entropy.grad(np.broadcast_to(row, (len(target), len(row))), target)
    assert name() == "default_allocator"


def test_threads():
    """Blocks change hands, and no two results share one."""
    failures = []

    def work(k):
        rng = np.random.default_rng(k)
        alive = []
        for _ in range(60):
            x = np.full(LARGE // 2 * rng.integers(2, 5), k, np.float32)
            a = nk.squared_error.grad(x, np.zeros_like(x), reduction="sum", num_threads=1)
            alive.append((a, a[0]))
            if len(alive) > rng.integers(1, 4):
                alive.pop(rng.integers(len(alive)))
            if not all((b == value).all() for b, value in alive):
                failures.append(k)
            if rng.random() < 0.05:
                nk.empty_cache()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert _results.kept_bytes() <= LIMIT


FORK = f"""
import os, signal
import numpy as np, nllkern as nk
from nllkern import _results
x = np.linspace(-3, 3, {LARGE}, dtype=np.float32)
want = nk.binary_cross_entropy.grad(x, 0.0, num_threads=1)
other = nk.binary_cross_entropy.grad(x, 0.0, num_threads=1)
del other
kept = _results.kept_bytes()
child = os.fork()
signal.alarm(30)
for _ in range(3):
    got = nk.binary_cross_entropy.grad(x, 0.0, num_threads=1)
    assert (got == want).all()
    del got
assert _results.kept_bytes() == kept > 0
nk.empty_cache()
assert _results.kept_bytes() == 0
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print("done")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fork():
    assert run_python(FORK) == "done"


def test_arrays_outlive_the_module():
    """Freed when the interpreter ends, after the modules."""
    code = f"""
import builtins, sys
import numpy as np, nllkern as nk
x = np.zeros({LARGE}, np.float32)
builtins.kept_to_the_end = [nk.binary_cross_entropy.grad(x, 0.0) for _ in range(3)]
for name in [name for name in sys.modules if name.startswith("nllkern")]:
    del sys.modules[name]
del nk
builtins.kept_to_the_end.pop()
print("done")
"""
    assert run_python(code) == "done"


def test_pytorch():
    """Tensors hold the memory of results, and give it back."""
    torch = pytest.importorskip("torch")
    import nllkern.torch as nt

    x, target = torch.zeros(LARGE, requires_grad=True), torch.ones(LARGE)
    places = set()
    for _ in range(4):
        x.grad = None
        nt.binary_cross_entropy(x, target).backward()
        assert (x.grad == -0.5 / LARGE).all()
        places.add(x.grad.data_ptr())
    assert len(places) <= 2
    x.grad = None
    assert _results.kept_bytes() > 0
