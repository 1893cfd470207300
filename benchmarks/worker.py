"""One library in one process: told what to do by JSON lines on stdin, it answers by JSON lines.

python -m benchmarks.worker PEER [FOLDER]: nllkern from that folder, whatever is installed.

{"do": "open", "cell": {...}, "threads": 2}     build the formulations, call each a few times
{"do": "time", "seconds": 0.2}                  time them all; drop the slow ones for later rounds
{"do": "step", "framework": "JAX", "shape": [...], ...}  instead of "open": a step of training
{"do": "fastest", "seconds": 0.2}               keep the fastest formulation
{"do": "mean", "seconds": 0.2}                  its calls, one by one
{"do": "memory", "cell": {...}, "threads": 2, "formulation": ...}    peak memory of one call
{"do": "close"}                                 free the cell
{"do": "build"}                                 which nllkern it has imported
{"do": "hard_points", "loss": ..., "dtype": ..., "threads": 2}   results for the accuracy table
"""

import ctypes
import gc
import json
import os
import sys
import time

import numpy as np

from . import peers
from .builds import NllkernFrom
from .catalogue import WORKS
from .cells import Cell

WARM_UP_CALLS = 3
BATCH_SECONDS = 1e-3  # calls shorter than this are timed in batches
LEAST_BATCHES = 3
KEEP_WITHIN = 1.5  # formulations slower than this, times the fastest, are dropped after a round
HOPELESS = 4.0  # the same before the first round, when other libraries may be busy too
SAMPLES = 4096


def sample(values):
    """A few elements, the same for every library, to see that all compute the same."""
    flat = np.asarray(values).reshape(-1)
    step = max(1, flat.size // SAMPLES) | 1  # odd: not always the same column
    return flat[::step][:SAMPLES].astype(float).tolist()


def batch_size(call):
    """Calls in one timed batch: a power of ten that lasts long enough for the clock."""
    number = 1
    while True:
        start = time.perf_counter()
        for _ in range(number):
            call()
        if time.perf_counter() - start >= BATCH_SECONDS:
            return number
        number *= 10


def timings(call, number, seconds):
    """Seconds a call, one figure a batch, for about `seconds`."""
    times, spent = [], 0.0
    repeat = range(number)
    while spent < seconds or len(times) < LEAST_BATCHES:
        start = time.perf_counter()
        for _ in repeat:
            call()
        took = time.perf_counter() - start
        times.append(took / number)
        spent += took
    return times


def release_memory():
    """Give freed memory back, also where malloc was told to keep it (glibc only)."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


def status(field):
    """A size in bytes from /proc/self/status (Linux only)."""
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def peak_of(call):
    """Bytes that a call takes beyond what the process held before it."""
    release_memory()
    before = status("VmRSS")
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # resets the peak
    call()
    return status("VmHWM") - before


class Worker:
    def __init__(self, peer):
        self.peer = peer
        self.calls, self.numbers = {}, {}

    def open(self, cell, threads):
        cell = Cell.from_json(cell)
        args = cell.data()
        self.calls = self.peer.build(cell.work, args, cell.out, threads)
        self.numbers = {}
        results, failed, took = {}, {}, {}
        for name, call in list(self.calls.items()):
            try:
                for _ in range(WARM_UP_CALLS):
                    start = time.perf_counter()
                    value, grads = call()
                    took[name] = time.perf_counter() - start
                results[name] = {"value": float(value), "grads": [sample(g) for g in grads]}
            except Exception as error:  # a formulation that this library cannot run: reported
                failed[name] = f"{type(error).__name__}: {error}"[:300]
        limit = HOPELESS * min(took[n] for n in results) if results else 0
        self.calls = {n: c for n, c in self.calls.items() if n in results and took[n] <= limit}
        traffic = cell.work.traffic(args)
        return {"results": results, "failed": failed, "traffic": traffic}

    def memory(self, cell, threads, formulation=None):
        """Peak of the first call of that size, after a small one; None asks which there are.

        A process serves for one formulation: libraries keep memory that they are done with.
        """
        cell = Cell.from_json(cell)
        small = cell.work.data(cell.work.quick[0], cell.dtype)
        calls = self.peer.build(cell.work, small, cell.out, threads)
        if formulation is None:
            return list(calls)
        calls[formulation]()
        args = cell.data()
        return peak_of(self.peer.build(cell.work, args, cell.out, threads)[formulation])

    def time(self, seconds):
        gc.collect()
        gc.disable()
        for name, call in self.calls.items():
            if name not in self.numbers:
                self.numbers[name] = batch_size(call)
        times = {n: timings(c, self.numbers[n], seconds) for n, c in self.calls.items()}
        gc.enable()
        if times:
            limit = KEEP_WITHIN * min(map(min, times.values()))
            self.calls = {n: c for n, c in self.calls.items() if min(times[n]) <= limit}
        return {"times": times}

    def step(self, **which):
        from . import training

        self.calls = {"step": training.step_of(**which)}
        self.calls["step"]()
        return {}

    def fastest(self, seconds):
        """What is kept, of those that agree with the others in `open`."""
        times = self.time(seconds)["times"]
        name = min(times, key=lambda n: min(times[n]))
        self.calls = {name: self.calls[name]}
        return {"formulation": name}

    def mean(self, seconds):
        """Time and number of all calls: on a busy machine one in a hundred may take most of it."""
        (call,) = self.calls.values()
        call()
        times, start = [], time.perf_counter()
        end = start
        while end - start < seconds:
            call()
            before, end = end, time.perf_counter()
            times.append(end - before)
        return {"seconds": end - start, "calls": len(times), "p95": float(np.quantile(times, 0.95))}

    def close(self):
        self.calls = {}
        release_memory()
        return {}

    def build(self):
        import nllkern

        return {"file": nllkern.__file__, "simd_levels": nllkern.simd_levels()}

    def hard_points(self, loss, dtype, threads):
        """Per formulation: {"value": one a sample, "grads": one array a prediction}."""
        from . import accuracy  # it needs mpmath, which nothing else here does

        work = WORKS[loss]
        results, failed = {}, set()
        for args, for_value, for_grads in accuracy.calls_of(work, dtype):
            for name, call in self.peer.build(work, args, False, threads).items():
                try:
                    value, grads = call()
                except Exception:  # a formulation that this library cannot run
                    failed.add(name)
                    continue
                result = results.setdefault(name, {"value": [], "grads": []})
                if for_value:
                    result["value"].append(float(value))
                if for_grads:
                    result["grads"] = [np.ravel(g).astype(float).tolist() for g in grads]
        return {name: result for name, result in results.items() if name not in failed}


def main(name, folder=None):
    if folder:
        sys.meta_path.insert(0, NllkernFrom(folder))
    answers = os.fdopen(os.dup(1), "w")  # libraries may print: their stdout becomes stderr
    os.dup2(2, 1)

    def answer(message):
        print(json.dumps(message), file=answers, flush=True)

    try:
        peer = peers.load(name)
    except ImportError as error:
        answer({"missing": str(error)})
        return
    worker = Worker(peer)
    answer({"versions": peer.versions()})
    for line in sys.stdin:
        request = json.loads(line)
        answer(getattr(worker, request.pop("do"))(**request))


if __name__ == "__main__":
    main(*sys.argv[1:])
