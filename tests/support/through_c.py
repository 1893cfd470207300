"""A problem of the tests, solved through the C interface."""

import ctypes
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from cases import TABLE
from cases_vectors import is_shared

import nllkern as nk
from nllkern.lowlevel import LINKS, REDUCTIONS, VARIANTS, Call, Options, Results

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
        info = TABLE[problem.loss.name]
        self.info, self.dtype, self.reduction = info, problem.dtype, reduction
        self.options, self.results = Options(want=WANTS.index(method), **more), Results()
        self.options.reduction = REDUCTIONS.index(reduction)
        self.name = f"nllk_{info.name}_{SUFFIX[self.dtype.name]}"
        args = [place_input(np.asarray(x, order="C")) for x in problem.args]
        self.keep = [self.options, self.results, *args]
        options = dict(problem.options)
        for key in ("sample_weight", "class_weight", info.extra):
            if isinstance(options.get(key), np.ndarray):
                setattr(
                    self.options,
                    "extra" if key == info.extra else key,
                    self.address(place_input(options.pop(key))),
                )
        if "ignore_index" in options:
            self.options.has_ignore_index = 1
        own_link = options.pop(f"{info.parameters[-1]}_link", None)
        if own_link:
            self.options.own_link = LINKS.index(own_link)
        for key, value in options.items():
            if key == "link" and info.kind != "rowwise":
                self.options.link = LINKS.index(value)
            elif key in ("link", "variant"):
                self.options.variant = VARIANTS[value]
            else:
                setattr(self.options, key, value)
        self.shape = args[0].shape[:-1]
        if info.kind == "pointwise":
            self.shape = args[-1].shape
            self.options.shared = sum((x.ndim == 0) << k for k, x in enumerate(args[:-1]))
            sizes = []
        elif info.kind == "rowwise":
            sizes = [args[0].shape[-1]]
            if args[1].dtype.kind == "f":
                self.options.target = nk.lowlevel.TARGET_PROBABILITIES
            elif args[1].dtype == np.int32:
                self.options.target = nk.lowlevel.TARGET_INT32
        else:
            sizes = [args[0].shape[-1]]
            self.options.shared = 2 * is_shared(problem)
        self.inputs = [int(np.prod(self.shape)), *sizes, *(self.address(x) for x in args)]
        self.like = args[: len(info.parameters)]
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
        scalar = [self.info.kind == "pointwise" and x.ndim == 0 for x in self.like]
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
