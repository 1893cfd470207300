"""A problem of the tests, solved through the C interface."""

import ctypes
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import nllkern as nk
from nllkern.lowlevel import Call, Options, Results

WANTS = ("value", "value_and_grad", "value_grad_hess")
SUFFIX = {"float32": "f32", "float64": "f64"}


def as_it_is(array):
    return array


class CProblem:
    """Arguments of a function of nllkern.h, and arrays for its results.

    `place` and `place_input` say where in memory they are: they return the array, or a copy.
    """

    def __init__(
        self,
        problem,
        method="value_grad_hess",
        reduction="mean",
        place=as_it_is,
        place_input=as_it_is,
        **more,
    ):
        row = problem.loss.row
        self.row, self.dtype, self.reduction = row, problem.dtype, reduction
        self.options, self.results = Options(want=WANTS.index(method), **more), Results()
        self.name = f"nllk_{row.name}_{SUFFIX[self.dtype.name]}"
        args = [place_input(np.asarray(x, order="C")) for x in problem.args]
        self.keep = [self.options, self.results, *args]
        for key, x in {**problem.options, "reduction": reduction}.items():
            value = place_input(x) if isinstance(x, np.ndarray) and x.ndim else x
            self.keep.append(value)
            self.options.set(row.name, **{key: value})
        self.shape = args[0].shape[:-1]
        if row.kind == "pointwise":
            self.shape = np.broadcast_shapes(*(x.shape for x in args))
            self.options.shared = sum((x.ndim == 0) << k for k, x in enumerate(args))
            sizes = []
        elif row.kind == "rows":
            sizes = [args[0].shape[-1]]
            self.options.target = nk.lowlevel.TARGETS[args[1].dtype.name]
        else:
            sizes = [args[0].shape[-1]]
            self.options.shared = 2 * (
                row.parameters[1].kind == "factor" and args[1].ndim != len(self.shape) + 2
            )
        self.inputs = [int(np.prod(self.shape)), *sizes, *(self.address(x) for x in args)]
        self.like = args[: len(row.parameters)]
        self.loss = place(np.full(self.shape, 7, self.dtype))
        self.results.loss = self.address(self.loss)
        self.grads, self.hesss = (
            [place(np.full(x.shape, 7, self.dtype)) for x in self.like] for _ in "gh"
        )
        for k in range(len(self.like)):
            self.results.grad[k] = self.address(self.grads[k])
            self.results.hess[k] = self.address(self.hesss[k])

    def address(self, x):
        self.keep.append(x)
        return x.ctypes.data

    def answer(self):
        """What Python's method returns, flat."""
        scalar = [self.row.kind == "pointwise" and x.ndim == 0 for x in self.like]
        value = self.loss if self.reduction == "none" else self.results.value
        grads = [self.results.grad_sum[k] if s else self.grads[k] for k, s in enumerate(scalar)]
        hesss = [self.results.hess_sum[k] if s else self.hesss[k] for k, s in enumerate(scalar)]
        return [value, *grads, *hesss][: 1 + self.options.want * len(self.like)]

    def run(self):
        """The status of the threaded function."""
        pointers = ctypes.byref(self.options), ctypes.byref(self.results)
        return nk.ctypes_function(self.name)(*self.inputs, *pointers)

    def run_blocks(self, order=lambda blocks: blocks, workers=1):
        """The status of opening a call; its blocks are run by `workers` threads in that order."""
        call = Call()
        pointers = ctypes.byref(self.options), ctypes.byref(self.results), ctypes.byref(call)
        status = nk.ctypes_function(f"{self.name}_open")(*self.inputs, *pointers)
        if status:
            return status
        size = nk.ctypes_function("nllk_block")(ctypes.byref(call))
        count = self.inputs[0]
        run = nk.ctypes_function("nllk_run")
        ranges = [(a, min(a + size, count)) for a in range(0, count, size)]
        with ThreadPoolExecutor(workers) as pool:
            statuses = pool.map(lambda r: run(ctypes.byref(call), *r), order(ranges))
            assert not any(statuses)
        return nk.ctypes_function("nllk_close")(ctypes.byref(call), ctypes.byref(self.results))
