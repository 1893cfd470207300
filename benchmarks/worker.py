"""One library in one process: told what to do by JSON lines on stdin, it answers by JSON lines.

{"do": "open", "cell": {...}, "threads": 2}     build the formulations, call each a few times
{"do": "time", "seconds": 0.2}                  time them all; drop the slow ones for later rounds
{"do": "close"}                                 free the cell
{"do": "hard_points", "loss": ..., "dtype": ..., "threads": 2}   results for the accuracy table
"""

import ctypes
import gc
import json
import os
import sys
import time

import numpy as np

from . import accuracy, peers
from .cells import Cell

WARM_UP_CALLS = 3
BATCH_SECONDS = 1e-3  # calls shorter than this are timed in batches
LEAST_BATCHES = 3
KEEP_WITHIN = 1.5  # formulations slower than this, times the fastest, are dropped after a round
SAMPLES = 256


def sample(values):
    """A few elements, the same for every library, to see that all compute the same."""
    flat = np.asarray(values).reshape(-1)
    return flat[:: max(1, flat.size // SAMPLES)][:SAMPLES].astype(float).tolist()


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


class Worker:
    def __init__(self, peer):
        self.peer = peer
        self.calls, self.numbers = {}, {}

    def open(self, cell, threads):
        cell = Cell.from_json(cell)
        self.calls = self.peer.build(cell.loss, cell.data(), cell.out, threads)
        results, failed = {}, {}
        for name, call in list(self.calls.items()):
            try:
                for _ in range(WARM_UP_CALLS):
                    value, grads = call()
                results[name] = {"value": float(value), "grads": [sample(g) for g in grads]}
                self.numbers[name] = batch_size(call)
            except Exception as error:  # a formulation that this library cannot run: reported
                failed[name] = f"{type(error).__name__}: {error}"[:300]
                del self.calls[name]
        return {"results": results, "failed": failed}

    def time(self, seconds):
        gc.collect()
        gc.disable()
        times = {n: timings(c, self.numbers[n], seconds) for n, c in self.calls.items()}
        gc.enable()
        if times:
            limit = KEEP_WITHIN * min(map(min, times.values()))
            self.calls = {n: c for n, c in self.calls.items() if min(times[n]) <= limit}
        return {"times": times}

    def close(self):
        self.calls = {}
        release_memory()
        return {}

    def hard_points(self, loss, dtype, threads):
        """Per formulation: values point by point, the gradients of all points in one call."""
        args = accuracy.hard_points(loss, dtype)
        count = len(args[0])
        values, grads = {}, {}
        for i in range(count):
            one = tuple(a[i : i + 1] for a in args)
            for name, call in self.peer.build(loss, one, False, threads).items():
                values.setdefault(name, []).append(float(call()[0]))
        for name, call in self.peer.build(loss, args, False, threads).items():
            grads[name] = [np.asarray(g).astype(float).tolist() for g in call()[1]]
        return {name: {"value": values[name], "grads": grads[name]} for name in values}


def main(name):
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
    main(sys.argv[1])
