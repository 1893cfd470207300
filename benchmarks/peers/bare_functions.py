"""Not a loss: exp and logarithms of as many numbers as the formula needs, lying in the first cache.

They are nllkern's own, at the same SIMD level: no loop that computes the loss is faster than that.
Where a loss is made of products of matrices, NumPy's of the same shapes.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from nllkern import _engine

NUMBERS = 1024  # of 8 bytes each twice: half of a small first cache


def versions():
    return {}


def build(work, args, out, threads):
    x = np.linspace(0.01, 0.99, NUMBERS, dtype=args[0].dtype)
    jobs = []
    for name, share in work.functions.items():
        numbers = -x if name == "exp_nonpositive" else x
        repeat = max(1, round(share * args[0].size / threads / NUMBERS))
        jobs.append((name, numbers, None, repeat))
    products = [
        [np.ones(shape, args[0].dtype) for shape in ((a, b), (b, c), (a, c))]
        for a, b, c in work.products(*args)
    ]
    pool = ThreadPoolExecutor(threads)

    def each_thread(_):
        for job in jobs:
            _engine.vecmath(*job)

    def functions():
        if jobs:
            list(pool.map(each_thread, range(threads)))
        for left, right, result in products:
            np.matmul(left, right, out=result)
        return 0.0, ()

    return {"functions": functions} if jobs or products else {}
