# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Losses with one number per parameter and one target per sample."""

cimport numpy as cnp
from libc.string cimport memset

from nllkern._arguments cimport (
    NONE,
    Call,
    as_array,
    as_input,
    expect_all,
    expect_apart,
    expect_shape,
    float_type,
    is_number,
    shape_text,
)
from nllkern._engine cimport WANT_GRAD, WANT_VALUE, nllk_pointwise, nllk_sums, nllk_work
from nllkern._loss cimport Loss

import numpy as np

from . import _docs

cnp.import_array()

cdef enum:
    MAX_PARAMETERS = 3

cdef tuple LINKS = ("identity", "softplus", "log", "variance", "log_variance")
cdef dict SUPPORTS = {
    "real": (lambda y: y == y, "a number"),
    "unit": (lambda y: (y >= 0) & (y <= 1), "0 <= target <= 1"),
    "positive": (lambda y: (y > 0) & (y < np.inf), "a positive, finite number"),
    "nonnegative": (lambda y: (y >= 0) & (y < np.inf), "a finite number >= 0"),
    "sign": (lambda y: abs(y) == 1, "-1 or 1"),
}


cdef class PointwiseLoss(Loss):
    # One target and one number per parameter make one sample.

    @property
    def __doc__(self):  # not inherited: a class's own, if only None, comes first
        return _docs.docstring(self.name)

    cdef tuple compute(self, tuple args, dict kwargs, int want):
        cdef Call call = Call.__new__(Call)
        cdef nllk_work c
        cdef nllk_pointwise *a = &c.a.points
        cdef nllk_sums sums
        cdef int count = len(self.parameters), k, t = -1, own, ndim = 0
        cdef const cnp.npy_intp *shape = NULL
        cdef double[MAX_PARAMETERS + 1] numbers
        cdef float[MAX_PARAMETERS + 1] short_numbers
        cdef const void *lone
        cdef cnp.ndarray array
        cdef cnp.ndarray loss = None
        cdef ptrdiff_t samples = 1
        call.loss = self.name
        call.want = want
        memset(&c, 0, sizeof(c))
        self.expect_arguments(args)
        a.want = want
        a.full = 1
        a.extra_value = 1
        extra = None
        for key, value in kwargs.items():
            if call.take(key, value):
                continue
            elif key == "link" and self.links:
                a.link[0] = a.link[1] = self.link_index(key, value)
                if not self.own:
                    a.link[2] = a.link[0]
            elif key == self.own and self.own:
                a.link[2] = self.link_index(key, value)
            elif key == "full" and self.links:
                a.full = bool(value)
            elif key == self.extra and self.extra:
                extra = value
            else:
                own_keywords = (*(("link", "full") if self.links else ()), self.own, self.extra)
                self.unknown(key, tuple(filter(None, own_keywords)))
        call.settle()

        # Which numbers, in which precision, of which shape.  A lone number stays None here.
        inputs = [None] * (count + 1)
        names = self.parameters + ("target",)
        for k in range(count + 1):
            x = args[k]
            if is_number(x):
                continue
            array = as_array(x)
            inputs[k] = array
            own = float_type(x, array, self.name, names[k])
            t = self.agree(t, own, names[k], array)
            if shape == NULL or (ndim == 0 and cnp.PyArray_NDIM(array) > 0):
                ndim = cnp.PyArray_NDIM(array)
                shape = cnp.PyArray_DIMS(array)
                first = names[k]
        weight_array = extra_array = None
        if call.weight is not None:
            weight_array = as_array(call.weight)
            own = float_type(call.weight, weight_array, self.name, "sample_weight")
            t = self.agree(t, own, "sample_weight", weight_array)
        if extra is not None:
            extra_array = as_array(extra)
            t = self.agree(t, float_type(extra, extra_array, self.name, self.extra), self.extra, extra_array)
        if t == -1:
            t = cnp.NPY_DOUBLE

        # Every input as the kernel wants it; `keep` holds what was converted.
        keep = []
        for k in range(count + 1):
            if inputs[k] is None or (ndim > 0 and cnp.PyArray_NDIM(inputs[k]) == 0):
                numbers[k] = args[k]
                short_numbers[k] = <float> numbers[k]
                lone = &numbers[k] if t == cnp.NPY_DOUBLE else <const void *> &short_numbers[k]
                self.set_input(a, k, count, lone, 0)
                inputs[k] = None
            else:
                expect_shape(inputs[k], ndim, shape, self.name, names[k], f"as {first}")
                array = as_input(inputs[k], t)
                keep += [(names[k], array), (names[k], inputs[k])]
                self.set_input(a, k, count, cnp.PyArray_DATA(array), 1)
        for k in range(ndim):
            samples *= shape[k]
        if weight_array is not None:
            expect_shape(weight_array, ndim, shape, self.name, "sample_weight", "the shape of the loss")
            array = as_input(weight_array, t)
            keep += [("sample_weight", array), ("sample_weight", weight_array)]
            a.weight = cnp.PyArray_DATA(array)
        if extra_array is not None:
            array = self.repeating(extra_array, ndim, shape, first)
            array = as_input(array, t)
            keep += [(self.extra, array), (self.extra, extra_array)]
            a.extra = cnp.PyArray_DATA(array)
            a.extra_period = max(cnp.PyArray_SIZE(array), 1)
        if call.check:
            self.check_domain(args, extra_array, a.link[0], a.link[2])

        outs = call.outs(count) if want > WANT_VALUE else []
        results = [None] * len(outs)
        given = []
        for k in range(len(outs)):
            if inputs[k % count] is None:
                if outs[k] is not None:
                    raise ValueError(f"{self.name}: out[{k}] was given for {names[k % count]}, whose gradient is a "
                                     f"float since it is one number; expected None")
            else:
                results[k] = self.new_or_out(outs, k, ndim, shape, t, given)
        if given:
            expect_apart(given, keep, self.name)
        for k in range(len(outs)):
            if results[k] is not None:
                if k < count:
                    a.grad[k] = cnp.PyArray_DATA(results[k])
                else:
                    a.hess[k - count] = cnp.PyArray_DATA(results[k])
        if call.reduction == NONE:
            loss = <cnp.ndarray> cnp.PyArray_EMPTY(ndim, <cnp.npy_intp *> shape, t, 0)
            a.loss = cnp.PyArray_DATA(loss)

        self.run(call, &c, samples, t, &sums)
        for k in range(len(outs)):
            if results[k] is None:
                results[k] = sums.grad[k] if k < count else sums.hess[k - count]
        value = loss if loss is not None else sums.value
        return self.assemble(value, results, count, want)

    cdef cnp.ndarray repeating(self, cnp.ndarray x, int ndim, const cnp.npy_intp *shape, str like):
        """`x`, which broadcasts to `shape`, as an array that only has to be repeated."""
        full = tuple([shape[k] for k in range(ndim)])
        own = (<object> x).shape
        try:
            whole = np.broadcast_to(x, full)
        except ValueError:
            raise ValueError(f"{self.name}: {self.extra} has shape {own}, expected one that broadcasts to "
                             f"{shape_text(ndim, shape)}, as {like}") from None
        while own and own[0] == 1:
            own = own[1:]
        return x if own == full[len(full) - len(own):] else whole

    cdef tuple assemble(self, value, list results, int count, int want):
        if want == WANT_VALUE:
            return (value,)
        if count == 1:
            return (value, *results)
        if want == WANT_GRAD:
            return (value, tuple(results))
        return (value, tuple(results[:count]), tuple(results[count:]))

    cdef void set_input(self, nllk_pointwise *a, int k, int count, const void *data, int stride) noexcept:
        if k < count:
            a.parameter[k] = data
            a.parameter_stride[k] = stride
        else:
            a.target = data
            a.target_stride = stride

    cdef int link_index(self, str key, value) except -1:
        if not isinstance(value, str) or value not in self.links:
            raise ValueError(f"{self.name}: {key} is {value!r}, expected one of {', '.join(self.links)}")
        return LINKS.index(value)

    cdef int check_domain(self, tuple args, extra, int link, int own_link) except -1:
        cdef int k, count = len(args) - 1
        expect_all(SUPPORTS[self.support][0], as_array(args[count]), self.name, "target", SUPPORTS[self.support][1])
        if extra is not None and self.extra == "delta":
            expect_all(lambda x: x > 0, extra, self.name, self.extra, "a positive number")
        for k in range(count):
            x = as_array(args[k])
            own = own_link if self.own and k == count - 1 else link
            if self.links and self.linked >> k & 1 and LINKS[own] in ("identity", "variance"):
                expect_all(lambda p: p > 0, x, self.name, self.parameters[k], "a positive number")
            else:
                expect_all(lambda p: p == p, x, self.name, self.parameters[k], "a number")
        return 0
