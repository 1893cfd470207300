"""NumPy with scipy.special by hand: whole arrays, and cache-sized blocks shared by threads."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy

from .formulas_numpy import FORMULAS

BLOCK_BYTES = 1 << 18  # of one array; the temporaries of a block stay in the L2 cache


def versions():
    return {"numpy": np.__version__, "scipy": scipy.__version__}


def build(work, args, out, threads):
    if work.name not in FORMULAS:
        return {}
    formula = FORMULAS[work.name]
    grads = tuple(np.empty_like(a) for a in args[: work.predictions])
    arrays = (*args, *grads)
    calls = {"whole": lambda: (formula(*arrays), grads)}
    count = len(args[0])
    rows = max(1, BLOCK_BYTES // max(a[:1].nbytes for a in args if np.ndim(a)))
    per_sample = all(len(a) == count for a in arrays if np.ndim(a)) and not work.joint
    if per_sample and count > rows:
        blocks = [
            [a[i : i + rows] if np.ndim(a) else a for a in arrays] for i in range(0, count, rows)
        ]
        pool = ThreadPoolExecutor(threads)
        calls["blocks"] = lambda: (sum(pool.map(lambda b: formula(*b), blocks)), grads)
    return calls
