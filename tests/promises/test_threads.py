"""Threads: how many, from where, across forks, beside other threads, and without OpenMP."""

import math
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from cases import Case, assert_same_bits, cases
from fresh import run_python

import nllkern as nk
from nllkern import _engine, _threads

TESTS = Path(__file__).parents[1]
OPENMP = bool(_engine.build_info()["openmp"])
needs_openmp = pytest.mark.skipif(not OPENMP, reason="built without OpenMP")
LARGE = 100_003  # samples that several threads share


# How many.

PRINT_THREADS = "import nllkern as nk; print(nk.get_num_threads())"


@needs_openmp
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


@needs_openmp
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
        if OPENMP:
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


@needs_openmp
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


# Forks, and threads of Python.

FORK = """
import multiprocessing, os, signal, sys
import numpy as np
from cases import Case

problem = Case("binary_cross_entropy").problem(200_000, "float32")
before = problem.run(num_threads=3)

def same():
    signal.alarm(20)  # a child that hangs dies
    after = problem.run(num_threads=3)
    return all(np.array_equal(x, y) for x, y in zip(before, after))

child = os.fork()
if child == 0:
    os._exit(0 if same() else 1)
assert os.waitpid(child, 0)[1] == 0, "forked child"

context = multiprocessing.get_context("fork")
with context.Pool(2) as pool:
    assert pool.apply_async(same).get(20), "pool"
assert same()  # and the parent still has its threads
print("done")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_child():
    assert run_python(FORK, timeout=90) == "done"


@pytest.mark.parametrize("case", cases((10, 1000)), ids=str)
def test_concurrent_callers(case):
    """Many Python threads, each of which uses several of OpenMP's."""
    problem = case.weighted({10: 9001, 1000: 101}.get(case.classes, LARGE), "float32")
    want = problem.run()
    start = threading.Barrier(8)

    def work(k):
        start.wait()
        return [problem.run(num_threads=1 + (k + i) % 3) for i in range(3)]

    with ThreadPoolExecutor(8) as pool:
        for results in pool.map(work, range(8)):
            for got in results:
                assert_same_bits(got, want)


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


# Without OpenMP.


@pytest.mark.slow
def test_build_without_openmp(tmp_path):
    """It says so, runs on one thread, and passes the tests."""
    pytest.importorskip("mesonpy")
    source = TESTS.parent
    if not (source / "meson.build").exists():
        pytest.skip("needs the source tree")
    pip = [sys.executable, "-m", "pip", "install", "--no-build-isolation", "--no-deps", "--quiet"]
    setup = ["-Csetup-args=-Dopenmp=disabled", f"-Cbuild-dir={tmp_path / 'build'}"]
    target = tmp_path / "site"
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # meson, cython
    command = [*pip, *setup, "--target", target, source]
    subprocess.run(command, env={**os.environ, "PATH": tools}, check=True, timeout=900)
    code = "import nllkern as nk; nk.show_config(); print(nk.__file__)"
    shown = run_python(code, PYTHONPATH=str(target))
    assert str(target) in shown
    assert "none" in shown.split("OpenMP:")[1].splitlines()[0]
    clean = {**os.environ, "PYTHONPATH": str(target)}
    names = ("minimal", "properties", "bad_input", "threads", "interop", "invariance")
    tests = [path for name in names for path in TESTS.rglob(f"test_{name}.py")]
    options = ["-q", "-x", "-m", "not slow", "-p", "no:cacheprovider", "--rootdir", source]
    command = [sys.executable, "-m", "pytest", *options, *tests]
    done = subprocess.run(
        command, cwd=tmp_path, env=clean, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:]
