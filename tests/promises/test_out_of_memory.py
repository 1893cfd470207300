"""Every allocation of the C library fails once: an error, outputs as they were, nothing lost.

Nor is anything lost by calls that are interrupted.
"""

import ctypes
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import DTYPES, Case, assert_same_bits, cases
from cases_info_nce import FORMS, pairs
from cases_vectors import gaussian, triplet
from through_c import WANTS, CProblem

import nllkern as nk

TESTS = Path(__file__).parents[1]
WIDE = 5000  # classes: rows so long have scratch, which they can do without
MESSAGES = [nk.ctypes_function("nllk_message")(k) for k in range(32)]
NO_MEMORY, INTERRUPTED = map(MESSAGES.index, (b"out of memory", b"the call was interrupted"))


def problems(dtype):
    """All losses, of several blocks each."""
    for k, case in enumerate(cases((10, 67))):
        n = 80_000 // max(case.classes, 1)
        yield str(case), case.weighted(n, dtype) if k % 2 else case.problem(n, dtype)
    for kind in ("index", "soft"):
        yield f"wide {kind}", Case("cross_entropy", kind, WIDE).weighted(20, dtype)
    for link in ("identity", "softplus", "log", "covariance"):
        for shared in (False, True):
            problem = gaussian(3000, 5, dtype, link, shared=shared)
            yield f"gaussian {link} {shared}", problem.with_weights() if shared else problem
    yield "triplet", triplet(9000, 9, dtype).with_weights()


class Shim:
    """The functions of failing_malloc.c, which is loaded before the C library."""

    def __init__(self):
        loaded = ctypes.CDLL(None)
        lines = Path("/proc/self/maps").read_text().splitlines()
        parts = [line.split()[0].split("-") for line in lines if "libnllkern.so" in line]
        ends = [int(x, 16) for part in parts for x in part]
        watch = loaded.failing_malloc_watch
        watch.argtypes = ctypes.c_size_t, ctypes.c_size_t
        watch(min(ends), max(ends))
        self.start = loaded.failing_malloc_start
        self.made, self.failed = loaded.failing_malloc_made, loaded.failing_malloc_failed
        self.live = loaded.failing_malloc_live

    def each(self, call):
        """Whether each allocation of a call raised MemoryError as it failed, in their order."""
        self.start(0)
        call()
        found = []
        for n in range(1, self.made() + 1):
            self.start(n)
            try:
                call()
            except MemoryError:
                found.append(True)
            else:
                found += [False] * self.failed()
            assert self.live() == 0, f"allocation {n} fails: {self.live()} are lost"
        self.start(0)
        call()
        assert self.live() == 0
        return found


def through_python(problem, method, **options):
    """A call whose results are compared, and whose outputs have to be as they were on error."""
    want = [x for x in problem.run(method, **options) if x is not None]
    count = len(problem.loss.parameters)
    like = list(problem.args[:count])
    if problem.options.get("link") == "covariance":
        like[1] = None
    outs = [[None if x is None else np.empty_like(x) for x in like] for _ in range(2)]
    grads, hesss = (x[0] if count == 1 else tuple(x) for x in outs)
    out = {"value": {}, "value_and_grad": {"out": grads}}.get(method, {"out": (grads, hesss)})
    arrays = [x for x in (*outs[0], *outs[1]) if x is not None]

    def call():
        for x in arrays:
            x.fill(7)
        try:
            got = [x for x in problem.run(method, **out, **options) if x is not None]
        except MemoryError:
            assert all((x == 7).all() for x in arrays)
            raise
        assert_same_bits(got, want)

    return call


def through_c(problem, method, blocks):
    """The same call of the C interface."""
    through = CProblem(problem, method)
    arrays = through.loss, *through.grads, *through.hesss
    assert through.run() == 0
    want = [np.copy(x) if isinstance(x, np.ndarray) else x for x in through.answer()]

    def call():
        for x in arrays:
            x.fill(7)
        status = through.run_blocks() if blocks else through.run()
        if status == NO_MEMORY:
            assert all((x == 7).all() for x in arrays)
            raise MemoryError
        assert status == 0
        assert_same_bits(through.answer(), want)

    return call


def interrupt(shim, problem, method, threads):
    """How often a call asks whether to give up; and it does so, at the first, second and last."""
    through = CProblem(problem, method, num_threads=threads)
    asked, given_up = [], []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
    def interrupted(context):
        assert context == 77
        asked.append(1)
        return len(asked) in given_up

    through.options.interrupted = ctypes.cast(interrupted, ctypes.c_void_p).value
    through.options.context = 77
    assert through.run() == 0
    times, want = len(asked), [np.copy(x) for x in through.answer()]
    for k in {1, 2, times} if threads == 1 else {1}:
        asked.clear()
        given_up[:] = [k]
        shim.start(0)
        assert through.run() == INTERRUPTED
        assert shim.live() == 0
        assert len(asked) == k or threads > 1
    given_up.clear()
    assert through.run() == 0
    assert_same_bits([np.copy(x) for x in through.answer()], want)
    return times


def other_calls(dtype):
    """What is no method of a loss in C."""
    rng = np.random.default_rng(0)
    logits, y = rng.normal(size=(4000, 20)).astype(dtype), rng.normal(size=40_000).astype(dtype)
    binned, edges = nk.binned_cross_entropy, (-3, 3)
    yield "encode", lambda: binned.encode(y, edges, K=20)
    yield "expectation", lambda: binned.expectation(logits, edges)
    yield "quantile", lambda: binned.quantile(logits, [0.1, 0.9], edges)
    yield "binned", lambda: binned.value_and_grad(logits, y[:4000], edges=edges)
    encode = nk.ctypes_function(f"nllk_encode_{'f32' if dtype == 'float32' else 'f64'}")
    index = np.empty(len(y), np.int64)

    def in_c():
        index.fill(7)
        if encode(len(y), y.ctypes.data, 20, 0, -3, 3, index.ctypes.data) == NO_MEMORY:
            assert (index == 7).all()
            raise MemoryError

    yield "encode in C", in_c
    for form in FORMS:
        x = pairs(300, 300, 8, dtype)
        yield form, lambda x=x, form=form: nk.info_nce.value_and_grad(*x, form=form)


def fail_all(dtype):
    """In a process of its own: what became of the allocations of every call."""
    shim, found = Shim(), {}
    for name, problem in problems(dtype):
        methods = WANTS if problem.loss.row.has_hess else WANTS[:2]
        for k, method in enumerate(methods):
            for threads in (1, 2):
                reduction = ("mean", "none", "sum")[(k + threads) % 3]
                call = through_python(problem, method, num_threads=threads, reduction=reduction)
                found[f"{name}: {method}, {threads} threads"] = shim.each(call)
            if problem.options.get("link") != "covariance":
                for blocks in (False, True):
                    call = through_c(problem, method, blocks)
                    found[f"{name}: {method} in C, {blocks}"] = shim.each(call)
        if problem.options.get("link") != "covariance":
            for check in (False, True):
                checked = problem.having(check=check)
                assert interrupt(shim, checked, methods[-1], threads=1) > 1
                assert interrupt(shim, checked, methods[-1], threads=2) > 0
    for name, call in other_calls(dtype):
        found[name] = shim.each(call)
    print(json.dumps(found))


@pytest.mark.parametrize("dtype", DTYPES)
def test_allocations_that_fail(dtype, tmp_path):
    compiler = shutil.which("cc")
    if compiler is None or not hasattr(ctypes.CDLL(None), "__libc_memalign"):
        pytest.skip("needs a C compiler and glibc")
    shim = tmp_path / "failing_malloc.so"
    source = TESTS / "support" / "failing_malloc.c"
    flags = ["-O1", "-shared", "-fPIC", "-fno-builtin", "-fno-optimize-sibling-calls"]
    subprocess.run([compiler, *flags, source, "-o", shim], check=True)
    folders = [str(TESTS / "promises"), str(TESTS / "support")]
    code = f"import sys; sys.path[:0] = {folders}; import test_out_of_memory as t; "
    done = subprocess.run(
        [sys.executable, "-c", f"{code}t.fail_all({dtype!r})"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "LD_PRELOAD": str(shim)},
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(done.stdout)
    spared = {name for name, raised in found.items() if not all(raised)}
    assert all(name.startswith("wide") and "value_and_grad" in name for name in spared), spared
    assert spared  # scratch that fails is seen
    nothing = {name for name, raised in found.items() if not any(raised)}
    assert not nothing, nothing
