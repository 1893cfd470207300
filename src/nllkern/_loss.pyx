# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""What all loss objects have in common."""

cimport numpy as cnp

from nllkern._arguments cimport Call, expect_out
from nllkern._engine cimport WANT_GRAD, WANT_HESS, WANT_VALUE, nllk_sums, nllk_work, run_call

import inspect

cnp.import_array()

cdef tuple COMMON = ("reduction", "sample_weight", "normalizer", "out", "num_threads", "check")


cdef class Loss:
    """A negative log-likelihood: calling it gives the value, its methods give derivatives."""

    def __cinit__(self, int index, info):
        self.index = index
        self.name, self.kind, self.parameters, self.links, own, self.extra, self.support, self.linked = info
        self.own = f"{self.parameters[len(self.parameters) - 1]}_link" if own else ""
        self.arguments = self.parameters if self.support == "none" else (*self.parameters, "target")

    @property
    def reference(self):
        """The same loss in plain NumPy: the definition of right."""
        from . import reference
        return getattr(reference, self.name)

    @property
    def __name__(self):
        return self.name

    @property
    def __signature__(self):
        common = {"reduction": "mean", "check": False}
        own = [p.replace(kind=inspect.Parameter.POSITIONAL_ONLY) if p.name in self.arguments else p
               for p in self.reference.__signature__.parameters.values()]
        more = [inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=common.get(key)) for key in COMMON]
        return inspect.Signature([*own, *more])

    def __repr__(self):
        return f"<nllkern.{self.name}>"

    def __reduce__(self):
        from ._losses import loss_named
        return loss_named, (self.name,)

    def __call__(self, *args, **kwargs):
        """The value."""
        return self.compute(args, kwargs, WANT_VALUE)[0]

    def value_and_grad(self, *args, **kwargs):
        """(value, gradient) from one pass."""
        return self.compute(args, kwargs, WANT_GRAD)

    def grad(self, *args, **kwargs):
        """The gradient."""
        return self.compute(args, kwargs, WANT_GRAD)[1]

    def value_grad_hess(self, *args, **kwargs):
        """(value, gradient, diagonal second derivatives); ``out`` is a pair."""
        return self.compute(args, kwargs, WANT_HESS)

    cdef tuple compute(self, tuple args, dict kwargs, int want):
        raise NotImplementedError

    cdef int expect_arguments(self, tuple args) except -1:
        if len(args) != len(self.arguments):
            raise TypeError(f"{self.name}: got {len(args)} positional arguments, "
                            f"expected {len(self.arguments)}: {', '.join(self.arguments)}")
        return 0

    cdef unknown(self, str key, tuple own):
        raise TypeError(f"{self.name}: unknown keyword {key!r}, expected one of {', '.join(sorted(own + COMMON))}")

    cdef int agree(self, int t, int own, str name, cnp.ndarray a) except -2:
        """The dtype of the call, `t` so far, now that an input of dtype `own` has been seen (-1: none yet)."""
        if own == -1 or own == t:
            return t
        if t != -1:
            raise TypeError(f"{self.name}: {name} has dtype {a.dtype}, expected "
                            f"{cnp.PyArray_DescrFromType(t)} as the inputs before it")
        return own

    cdef int run(self, Call call, nllk_work *c, ptrdiff_t samples, int t, nllk_sums *sums) except -1:
        """Run the loss over what `c.a` says; the status."""
        c.loss = self.index
        c.is_double = t == cnp.NPY_DOUBLE
        c.reduction = call.reduction
        c.normalizer = 0 if call.normalizer is None else call.denominator
        c.samples = samples
        return run_call(c, call.threads, sums)

    cdef cnp.ndarray new_or_out(self, list outs, int k, int ndim, const cnp.npy_intp *shape, int t, list given):
        """Output k: the caller's array, checked, or a new one."""
        cdef str name = "out" if len(outs) == 1 else f"out[{k}]"
        if outs[k] is None:
            return <cnp.ndarray> cnp.PyArray_EMPTY(ndim, <cnp.npy_intp *> shape, t, 0)
        expect_out(outs[k], ndim, shape, t, self.name, name)
        given.append((name, outs[k]))
        return outs[k]
