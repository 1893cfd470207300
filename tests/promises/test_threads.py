"""Threads: how many, whose, across forks, beside other threads, and builds without them."""

import math
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from cases import Case
from fresh import run_python

import nllkern as nk
from nllkern import _engine, _threads

TESTS = Path(__file__).parents[1]
THREADS = _engine.build_info()["threads"]
needs_threads = pytest.mark.skipif(not THREADS, reason="built without threads")


# How many.

PRINT_THREADS = "import nllkern as nk; print(nk.get_num_threads())"


@needs_threads
@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"OMP_NUM_THREADS": "1"}, 1),
        ({"OMP_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "5,2"}, 5),
        ({"NLLKERN_NUM_THREADS": "4"}, 4),
        ({"NLLKERN_NUM_THREADS": "4", "OMP_NUM_THREADS": "1"}, 4),
        ({"NLLKERN_NUM_THREADS": "", "OMP_NUM_THREADS": "2"}, 2),
        ({"NLLKERN_NUM_THREADS": "0", "OMP_NUM_THREADS": "2"}, 2),
    ],
)
def test_environment(environ, expected):
    assert int(run_python(PRINT_THREADS, **environ)) == expected
    assert _threads.default_num_threads(environ) == expected


@needs_threads
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_affinity():
    code = f"import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); {PRINT_THREADS}"
    assert int(run_python(code)) == 1


def test_one_thread_starts_no_others():
    code = """
import os, numpy as np, nllkern as nk
nk.binary_cross_entropy.grad(np.zeros(10**6), np.zeros(10**6))
print(len(os.listdir("/proc/self/task")))
"""
    blas = {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    if Path("/proc/self/task").exists():
        assert int(run_python(code, OMP_NUM_THREADS="1", **blas)) == 1
        if THREADS:
            assert int(run_python(code, NLLKERN_NUM_THREADS="3", **blas)) == 3


def quota(tmp_path, files, membership):
    for name, text in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "membership").write_text(membership)
    return _threads._cpu_quota(tmp_path / "cgroup", tmp_path / "membership")


@pytest.mark.parametrize(
    ("files", "membership", "expected"),
    [
        ({}, "", math.inf),
        ({"cpu.max": "max 100000"}, "0::/\n", math.inf),
        ({"cpu.max": "150000 100000"}, "0::/\n", 1.5),
        ({"cpu.max": "max 100000", "a/b/cpu.max": "50000 100000"}, "0::/a/b\n", 0.5),
        ({"cpu.max": "200000 100000", "a/cpu.max": "max 100000"}, "0::/a\n", 2.0),
        ({"cpu.max": "nonsense"}, "0::/\n", math.inf),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "", math.inf),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, "", 3.0),
        (
            {"cpu/x/cpu.cfs_quota_us": "50000", "cpu/x/cpu.cfs_period_us": "100000"},
            "4:cpu,cpuacct:/x\n3:memory:/x\n",
            0.5,
        ),
    ],
)
def test_cpu_quota(tmp_path, files, membership, expected):
    assert quota(tmp_path, files, membership) == expected


def test_cpu_quota_without_cgroups(tmp_path):
    assert _threads._cpu_quota(tmp_path / "none", tmp_path / "nothing") == math.inf


@pytest.mark.parametrize(("limit", "expected"), [(0.5, 1), (1.0, 1), (1.5, 2), (math.inf, 8)])
def test_quota_and_affinity_set_the_default(monkeypatch, limit, expected):
    monkeypatch.setattr(_threads, "_cpu_quota", lambda: limit)
    monkeypatch.setattr(_threads, "_affinity", lambda: 8)
    assert _threads.default_num_threads({}) == expected


@needs_threads
@pytest.mark.thread_unsafe(reason="sets the number of threads of the process")
def test_set_and_limit():
    """set_num_threads is for the process; the with block for one thread, and nests."""
    before = nk.get_num_threads()
    try:
        nk.set_num_threads(5)
        assert nk.get_num_threads() == 5
        with nk.num_threads(3):
            assert nk.get_num_threads() == 3
            with nk.num_threads(7):
                assert nk.get_num_threads() == 7
            assert nk.get_num_threads() == 3
            with ThreadPoolExecutor(1) as pool:
                assert pool.submit(nk.get_num_threads).result() == 5
            nk.set_num_threads(2)
            assert nk.get_num_threads() == 3
        assert nk.get_num_threads() == 2
        with pytest.raises(KeyError), nk.num_threads(4):
            raise KeyError
        assert nk.get_num_threads() == 2
    finally:
        nk.set_num_threads(before)


# Whose.

PRINT_THREADING = "import nllkern as nk; print(nk.get_threading())"


def test_pool_by_default():
    assert run_python(PRINT_THREADING) == "pool"


@pytest.mark.parametrize("way", _engine.threading_ways())
def test_threading_from_environment(way):
    assert run_python(PRINT_THREADING, NLLKERN_THREADING=way) == way


def test_unknown_threading():
    before = nk.get_threading()
    with pytest.raises(ValueError, match="threading: got 'tbb', expected 'pool', 'openmp' or None"):
        nk.set_threading("tbb")
    if "openmp" not in _engine.threading_ways():
        with pytest.raises(ValueError, match="built without"):
            nk.set_threading("openmp")
    assert nk.get_threading() == before


# SIMD levels.


@pytest.mark.parametrize("level", nk.simd_levels())
def test_forced_simd_level(level):
    code = "from nllkern import _engine; print(_engine.simd_level())"
    assert run_python(code, NLLKERN_SIMD=level) == level


def test_best_simd_level_by_default():
    code = "from nllkern import _engine; print(_engine.simd_level())"
    assert run_python(code) == nk.simd_levels()[-1]


def test_unknown_simd_level():
    code = """
try:
    import nllkern
except Exception as error:
    print(type(error).__name__, error)
"""
    message = run_python(code, NLLKERN_SIMD="mmx")
    assert "'mmx'" in message
    assert all(level in message for level in nk.simd_levels())


# The GIL.


def test_gil_is_released():
    """Another Python thread gets on while a long call runs."""
    problem = Case("gamma_nll", "log").problem(3_000_000, "float64")
    running, ticks = threading.Event(), []

    def work():
        running.set()
        for _ in range(3):
            problem.run("value", num_threads=1)
        running.clear()

    thread = threading.Thread(target=work)
    interval = sys.getswitchinterval()
    thread.start()
    running.wait()
    while running.is_set():
        ticks.append(1)
        np.sqrt(2.0)
    thread.join()
    assert len(ticks) > 1000
    assert sys.getswitchinterval() == interval
