"""PyTorch, scikit-learn and nllkern in one process: whose threads there are, and what they cost.

    python -m benchmarks.together

A wheel brings an OpenMP runtime of its own, as those of PyTorch and scikit-learn do.  A process for
each order of the imports and each way of threading: which runtimes are loaded, how many threads the
first call of each library starts, the shortest time of a call in a loop of its own and in a loop of
all, and whether a child forked after all that computes.
"""

import json
import os
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

MODULES = {"PyTorch": "torch", "scikit-learn": "sklearn.ensemble", "nllkern": "nllkern"}
ORDERS = (("nllkern", "PyTorch", "scikit-learn"), ("PyTorch", "scikit-learn", "nllkern"))
WAYS = ("default", "pool", "openmp")
ROUNDS = 15
CHILD_SECONDS = 20


def calls():
    """A call of each library, on all its threads."""
    import numpy as np
    import torch
    from sklearn.ensemble import HistGradientBoostingRegressor

    import nllkern as nk
    import nllkern.torch as nt

    rng = np.random.default_rng(0)
    logits, target = rng.normal(size=(2048, 1000)).astype(np.float32), np.arange(2048) % 1000
    x, y = torch.from_numpy(logits).requires_grad_(), torch.from_numpy(target)
    features = rng.normal(size=(5000, 8))
    return {
        "nllkern": lambda: nk.cross_entropy.value_and_grad(logits, target),
        "PyTorch": lambda: torch.autograd.grad(torch.nn.functional.cross_entropy(x, y), x),
        "nllkern.torch": lambda: torch.autograd.grad(nt.cross_entropy(x, y), x),
        "scikit-learn": lambda: HistGradientBoostingRegressor(max_iter=1).fit(
            features, features[:, 0]
        ),
    }


def seconds(call):
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def child_computes(call):
    """Whether a forked child ends its call."""
    child = os.fork()
    if child == 0:
        call()
        os._exit(0)
    end = time.monotonic() + CHILD_SECONDS
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status == 0
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return False


def threads():
    return len(os.listdir("/proc/self/task"))


def measure(order, way):
    """What one process finds."""
    for name in order:
        import_module(MODULES[name])
    import nllkern as nk

    nk.set_threading(None if way == "default" else way)
    to_call = calls()
    started = {}
    for name, call in to_call.items():
        before = threads()
        call()
        started[name] = threads() - before
    alone = {name: min(seconds(call) for _ in range(ROUNDS)) for name, call in to_call.items()}
    rounds = [{name: seconds(call) for name, call in to_call.items()} for _ in range(ROUNDS)]
    maps = Path("/proc/self/maps").read_text().splitlines()
    runtimes = {Path(line.split()[-1]).parts[-3:] for line in maps if "libgomp" in line}
    return {
        "runtimes": sorted("/".join(parts) for parts in runtimes),
        "started": started,
        "alone": alone,
        "in turn": {name: min(r[name] for r in rounds) for name in to_call},
        "child": child_computes(to_call["nllkern"]),
    }


def main():
    if len(sys.argv) > 1:
        print(json.dumps(measure(*json.loads(sys.argv[1]))))
        return
    for order in ORDERS:
        for way in WAYS:
            command = [sys.executable, "-m", "benchmarks.together", json.dumps([order, way])]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found = json.loads(done.stdout)
            print(f"\nimported: {', '.join(order)}; threading: {way}")
            print(f"  runtimes: {', '.join(found['runtimes'])}")
            print(f"  a child forked afterwards: {'computes' if found['child'] else 'HANGS'}")
            for name, started in found["started"].items():
                alone, in_turn = (found[key][name] * 1e3 for key in ("alone", "in turn"))
                times = f"{alone:7.2f} ms alone {in_turn:7.2f} ms in turn"
                print(f"  {name:14} {started} threads started {times}")


if __name__ == "__main__":
    main()
