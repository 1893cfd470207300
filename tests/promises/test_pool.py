"""Calls on several threads: beside each other, across forks, on a busy machine, until the end."""

import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cases import Case, assert_same_bits, cases
from fresh import run_python

import nllkern as nk
from nllkern import _engine

TESTS = Path(__file__).parents[1]
CORE = TESTS.parent / "src" / "nllkern" / "lib" / "core"
LARGE = 100_003  # samples that several threads share
TASKS = Path("/proc/self/task")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
needs_tasks = pytest.mark.skipif(not TASKS.exists(), reason="needs Linux")
needs_threads = pytest.mark.skipif(
    not _engine.build_info()["threads"], reason="built without threads"
)
each_way = pytest.mark.parametrize("way", _engine.threading_ways())


# Several callers.


@pytest.mark.parametrize("case", cases((10, 1000)), ids=str)
def test_concurrent_callers(case, threading_way):
    """Many Python threads, each of which uses several threads of the library."""
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


@needs_threads
@needs_tasks
@pytest.mark.thread_unsafe(reason="adds up the time of all threads of the process")
@pytest.mark.parametrize("threading_way", ["pool"], indirect=True)
def test_workers_work(threading_way):
    """The threads of the pool take part, as soon as the machine lets them."""
    if _engine.thread_count(0) < 2:
        pytest.skip("needs two processors")
    problem = Case("gamma_nll", "log").problem(300_000, "float64")
    own = str(threading.get_native_id())

    def others():
        stats = [x for x in TASKS.iterdir() if x.name != own]
        return sum(int((x / "schedstat").read_text().split()[0]) for x in stats)

    before, end = others(), time.monotonic() + 60
    while others() - before < 20e6:  # nanoseconds
        problem.run(num_threads=2)
        assert time.monotonic() < end


# Forks.

FORK = """
import multiprocessing, os, signal, sys, threading
from pathlib import Path
import numpy as np
import nllkern as nk
from cases import Case

problem = Case("binary_cross_entropy").problem(200_000, "float32")
nk.set_threading(sys.argv[1] if len(sys.argv) > 1 else WAY)
before = problem.run(num_threads=3)

def same():
    signal.alarm(30)  # a child that hangs dies
    after = problem.run(num_threads=3)
    return all(np.array_equal(x, y) for x, y in zip(before, after))

def tasks():
    path = Path("/proc/self/task")
    return len(list(path.iterdir())) if path.exists() else None

def check():
    alone = tasks() == 1  # at first
    assert nk.get_num_threads() == 3 and nk.get_threading() == "pool"
    return same() and alone in (True, tasks() is None) and tasks() in (THREADS, None)

def fork():
    child = os.fork()
    if child == 0:
        os._exit(0 if check() else 1)
    assert os.waitpid(child, 0)[1] == 0, "forked child"
"""

SIMPLE = """
nk.set_num_threads(3)
fork()
context = multiprocessing.get_context("fork")
with context.Pool(2) as pool:
    assert pool.apply_async(same).get(30), "pool"
assert same()  # and the parent still has its threads
print("done")
"""

WHILE_COMPUTING = """
nk.set_num_threads(3)
stop = threading.Event()
def compute():
    while not stop.is_set():
        assert same()
threads = [threading.Thread(target=compute) for _ in range(3)]
for thread in threads:
    thread.start()
for _ in range(FORKS):
    fork()
stop.set()
for thread in threads:
    thread.join()
print("done")
"""


@needs_fork
@each_way
@pytest.mark.parametrize("script", [SIMPLE, WHILE_COMPUTING], ids=["simple", "while computing"])
def test_forked_child(script, way):
    """It computes on all its threads, also when others of the parent's were in a call."""
    threads = 3 if _engine.build_info()["threads"] else 1
    text = (FORK + script).replace("FORKS", "20").replace("WAY", repr(way))
    if threads == 1:
        text = text.replace("nk.get_num_threads() == 3", "nk.get_num_threads() == 1")
    text = text.replace("(THREADS, None)", f"({threads}, None)")
    text = "import warnings; warnings.simplefilter('ignore')\n" + text
    assert run_python(text, timeout=120, OPENBLAS_NUM_THREADS="1") == "done"


# Nothing to do.

IDLE = """
import time
import nllkern as nk
from cases import Case

problem = Case("binary_cross_entropy").problem(200_000, "float32")
nk.set_threading(WAY)
for _ in range(20):
    problem.run(num_threads=4)
time.sleep(0.01)
before = time.process_time()
time.sleep(0.5)
print(time.process_time() - before)
"""


@needs_threads
def test_idle_workers_sleep():
    """10 ms after the last call the threads of the pool use no processor time."""
    assert float(run_python(IDLE.replace("WAY", "'pool'"))) < 2e-3


END = """
import threading
import numpy as np
import nllkern as nk

nk.set_threading(WAY)
x = np.zeros(200_000)
def compute():
    while True:
        nk.squared_error.value_and_grad(x, x, num_threads=3)
for _ in range(2):
    threading.Thread(target=compute, daemon=True).start()
for _ in range(20):
    nk.squared_error.value_and_grad(x, x, num_threads=3)
"""


@each_way
def test_end_of_the_interpreter(way):
    """Workers that spin, and calls under way in daemon threads, do not disturb it."""
    for _ in range(3):
        assert not run_python(END.replace("WAY", repr(way)))


# Many short calls.

SOAK = """
import faulthandler, os, signal, sys, threading, time
import numpy as np
import nllkern as nk

nk.set_threading("pool")
calls, seconds = int(CALLS), float(SECONDS)
faulthandler.dump_traceback_later(seconds * 2 + 60, exit=True)
x = np.random.default_rng(0).normal(size=33_000).astype(np.float32)
y = np.zeros_like(x)
want = nk.squared_error(x, y, num_threads=1)
end = time.monotonic() + seconds
done = [0] * 8

def compute(k):
    while done[k] < calls / 8 and time.monotonic() < end:
        for _ in range(100):
            if nk.squared_error(x, y, num_threads=1 + k % 4) != want:
                os._exit(9)
        done[k] += 100

threads = [threading.Thread(target=compute, args=(k,)) for k in range(8)]
for thread in threads:
    thread.start()
while any(thread.is_alive() for thread in threads):
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        os._exit(any(nk.squared_error(x, y, num_threads=3) != want for _ in range(50)))
    assert os.waitpid(child, 0)[1] == 0, "forked child"
    time.sleep(0.05)
print(sum(done))
"""


def soak(calls, seconds):
    text = SOAK.replace("CALLS", str(calls)).replace("SECONDS", str(seconds))
    text = "import warnings; warnings.simplefilter('ignore')\n" + text
    return int(run_python(text, timeout=2 * seconds + 120))


@needs_fork
def test_short_calls_from_many_threads():
    assert soak(10_000_000, 3) >= 800


@needs_fork
@pytest.mark.slow
def test_ten_million_short_calls_from_many_threads():
    assert soak(10_000_000, 900) == 10_000_000


# The pool alone, in C.


def build_stress(folder, *options):
    """The program of pool_stress.c with the two sources that it is about."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not (compiler and CORE.exists() and sys.platform != "win32"):
        pytest.skip("needs a C compiler and the source tree")
    program = folder / "stress"
    sources = [TESTS / "promises" / "pool_stress.c", CORE / "pool.c", CORE / "os_threads.c"]
    flags = ["-std=c11", "-D_GNU_SOURCE", "-g", "-O1", "-Wall", "-Wextra", "-Werror"]
    flags += [f"-I{CORE}", f"-I{nk.get_include()}"]
    command = [compiler, *flags, *options, *sources, "-lpthread", "-o", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "-fsanitize=thread" in options and done.returncode:
        pytest.skip("needs ThreadSanitizer")
    assert done.returncode == 0, done.stderr
    return program


FUTEX = pytest.mark.parametrize("sleep", [(), ("-DNLLK_NO_FUTEX",)], ids=["futex", "condition"])


def stress(program, calls, forks=20):
    environ = {**os.environ, "TSAN_OPTIONS": "halt_on_error=1"}
    done = subprocess.run(
        [program, str(calls), str(forks)],
        env=environ,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) == calls


@FUTEX
def test_stress(sleep, tmp_path):
    stress(build_stress(tmp_path, "-DNLLK_THREADS", *sleep), 200_000)


@pytest.mark.slow
@FUTEX
def test_stress_of_ten_million_calls(sleep, tmp_path):
    stress(build_stress(tmp_path, "-DNLLK_THREADS", *sleep), 10_000_000)


@pytest.mark.slow
@FUTEX
def test_thread_sanitizer(sleep, tmp_path):
    """It finds no race.  Without forks: its children cannot start threads."""
    stress(build_stress(tmp_path, "-DNLLK_THREADS", "-fsanitize=thread", *sleep), 1_000_000, 0)


# Builds without.


@pytest.mark.slow
@pytest.mark.parametrize("without", ["openmp", "threads"])
def test_build_without(without, tmp_path):
    """It says so, and passes the tests."""
    pytest.importorskip("mesonpy")
    source = TESTS.parent
    if not (source / "meson.build").exists():
        pytest.skip("needs the source tree")
    pip = [sys.executable, "-m", "pip", "install", "--no-build-isolation", "--no-deps", "--quiet"]
    setup = [f"-Csetup-args=-D{without}=disabled", f"-Cbuild-dir={tmp_path / 'build'}"]
    target = tmp_path / "site"
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # meson, cython
    command = [*pip, *setup, "--target", target, source]
    subprocess.run(command, env={**os.environ, "PATH": tools}, check=True, timeout=900)
    code = "import nllkern as nk; nk.show_config(); print(nk.__file__)"
    shown = run_python(code, PYTHONPATH=str(target))
    assert str(target) in shown
    line = {k: v.strip() for k, _, v in (x.partition(":") for x in shown.splitlines())}
    assert line["OpenMP"] == "none"
    assert line["threading"] == ("pool" if without == "openmp" else "none (one thread)")
    clean = {**os.environ, "PYTHONPATH": str(target)}
    names = ("minimal", "properties", "bad_input", "threads", "pool", "interop", "invariance")
    tests = [path for name in names for path in TESTS.rglob(f"test_{name}.py")]
    options = ["-q", "-x", "-m", "not slow", "-p", "no:cacheprovider", "--rootdir", source]
    command = [sys.executable, "-m", "pytest", *options, *tests]
    done = subprocess.run(
        command, cwd=tmp_path, env=clean, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:]
