# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Losses over classes, which lie on the last axis of the logits."""

cimport numpy as cnp
from libc.math cimport isfinite
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
    number,
    same_shape,
    shape_text,
)
from nllkern._capi_types cimport NLLK_BAD_INDEX
from nllkern._engine cimport (
    WANT_GRAD,
    WANT_HESS,
    WANT_VALUE,
    nllk_rowwise,
    nllk_sums,
    nllk_work,
)
from nllkern._loss cimport Loss

import numpy as np

from . import _docs

cnp.import_array()

cdef tuple VARIANTS = ("crammer_singer", "weston_watkins")


cdef class RowwiseLoss(Loss):
    # One row of logits and one target make one sample.

    def __cinit__(self, int index, info):
        self.keywords = tuple(self.extra.split())
        targets = self.support.split()
        self.takes_index, self.takes_prob, self.takes_real = ("index" in targets, "prob" in targets, "real" in targets)

    @property
    def __doc__(self):
        return _docs.docstring(self.name)

    cdef int take(self, str key, value, nllk_rowwise *a, dict own) except -1:
        """A keyword of the loss itself; arrays, and what only one loss has, go to `own` unread."""
        if key not in self.keywords:
            self.unknown(key, self.keywords)
        if key == "label_smoothing":
            a.smoothing = number(value, self.name, key)
            if not 0 <= a.smoothing <= 1:
                raise ValueError(f"{self.name}: label_smoothing is {value!r}, expected 0 to 1")
        elif key == "ignore_index":
            if value is not None:
                if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
                    raise TypeError(f"{self.name}: ignore_index is {value!r}, expected an int or None")
                a.has_ignore = 1
                a.ignore_index = value
        elif key == "z_loss" or key == "margin":
            x = number(value, self.name, key)
            if not (x >= 0 and isfinite(x)):
                raise ValueError(f"{self.name}: {key} is {value!r}, expected a finite number >= 0")
            if key == "z_loss":
                a.z_loss = x
            else:
                a.margin = x
        elif key == "softcap":
            if value is not None:
                a.softcap = number(value, self.name, key)
                if not (a.softcap > 0 and isfinite(a.softcap)):
                    raise ValueError(f"{self.name}: softcap is {value!r}, "
                                     f"expected a positive, finite number or None")
        elif key == "link" or key == "variant":
            names = self.links if key == "link" else VARIANTS
            if not isinstance(value, str) or value not in names:
                raise ValueError(f"{self.name}: {key} is {value!r}, expected one of {', '.join(names)}")
            a.variant = names.index(value)
        else:
            own[key] = value
        return 0

    cdef cnp.ndarray indices_of(self, cnp.ndarray target, cnp.ndarray weight, ptrdiff_t classes, int t, dict own):
        """The class indices that a real-valued target stands for."""
        raise NotImplementedError

    cdef tuple compute(self, tuple args, dict kwargs, int want):
        cdef Call call = Call.__new__(Call)
        cdef nllk_work c
        cdef nllk_rowwise *a = &c.a.rows
        cdef nllk_sums sums
        cdef int t, k, ndim
        cdef const cnp.npy_intp *shape
        cdef cnp.ndarray logits, target
        cdef cnp.ndarray loss = None
        cdef ptrdiff_t samples = 1
        cdef str prediction = self.parameters[0]
        cdef dict own = {}
        call.loss = self.name
        call.want = want
        memset(&c, 0, sizeof(c))
        self.expect_arguments(args)
        a.want = want
        a.margin = 1
        for key, value in kwargs.items():
            if not call.take(key, value):
                self.take(key, value, a, own)
        call.settle()
        logits = as_array(args[0])
        t = float_type(args[0], logits, self.name, prediction)
        ndim = cnp.PyArray_NDIM(logits) - 1
        shape = cnp.PyArray_DIMS(logits)
        if ndim < 0 or shape[ndim] == 0:
            raise ValueError(f"{self.name}: {prediction} have shape {shape_text(ndim + 1, shape)}, "
                             f"expected (..., K) with K >= 1")
        for k in range(ndim):
            samples *= shape[k]
        a.classes = shape[ndim]
        target = as_array(args[1])
        keep = []
        if self.takes_real:
            t = self.agree(t, float_type(args[1], target, self.name, "target"), "target", target)
            expect_shape(target, ndim, shape, self.name, "target", "one number per row of logits")
        elif self.takes_index and (cnp.PyArray_ISINTEGER(target) or not self.takes_prob):
            if not cnp.PyArray_ISINTEGER(target):
                raise TypeError(f"{self.name}: target has dtype {target.dtype}, expected integers: class indices")
            if not same_shape(target, ndim, shape):
                own_shape = shape_text(cnp.PyArray_NDIM(target), cnp.PyArray_DIMS(target))
                also = " (probabilities, one-hot ones too, have the logits' shape and a float dtype)"
                raise ValueError(f"{self.name}: target has shape {own_shape}, "
                                 f"expected {shape_text(ndim, shape)} for class indices"
                                 f"{also if self.takes_prob else ''}")
            keep.append(("target", target))
            a.index_is_64 = not (cnp.PyArray_ITEMSIZE(target) == 4 and cnp.PyArray_ISSIGNED(target))
            if cnp.PyArray_TYPE(target) == cnp.NPY_UINT64:  # what int64 cannot hold must stay out of range
                target = np.minimum(target, np.uint64(2**63 - 1))
            target = as_input(target, cnp.NPY_INT64 if a.index_is_64 else cnp.NPY_INT32)
            a.index = cnp.PyArray_DATA(target)
        else:
            t = self.agree(t, float_type(args[1], target, self.name, "target"), "target", target)
            expect_shape(target, ndim + 1, shape, self.name, "target", "as logits, for probabilities")
        class_weight = own.get("class_weight")
        if class_weight is not None:
            x = as_array(class_weight)
            t = self.agree(t, float_type(class_weight, x, self.name, "class_weight"), "class_weight", x)
            expect_shape(x, 1, &shape[ndim], self.name, "class_weight", "one weight per class")
            class_weight = x
        weight = call.weight
        if weight is not None:
            x = as_array(weight)
            t = self.agree(t, float_type(weight, x, self.name, "sample_weight"), "sample_weight", x)
            expect_shape(x, ndim, shape, self.name, "sample_weight", "the shape of the loss")
            weight = x
        if t == -1:
            t = cnp.NPY_DOUBLE
        if class_weight is not None:
            keep.append(("class_weight", class_weight))
            class_weight = as_input(class_weight, t)
            keep.append(("class_weight", class_weight))
            a.class_weight = cnp.PyArray_DATA(class_weight)
        if weight is not None:
            keep.append(("sample_weight", weight))
            weight = as_input(weight, t)
            keep.append(("sample_weight", weight))
            a.weight = cnp.PyArray_DATA(weight)
        c.indices_known = self.takes_real
        if self.takes_real:
            keep.append(("target", target))
            target = self.indices_of(as_input(target, t), weight, a.classes, t, own)
            a.index_is_64 = 1
            a.index = cnp.PyArray_DATA(target)
        elif a.index == NULL:
            keep.append(("target", target))
            target = as_input(target, t)
            a.prob = cnp.PyArray_DATA(target)
        keep.append(("target", target))
        a.row_stride = row_stride(logits, t)
        if a.row_stride == NOT_ROWS:
            keep.append((prediction, logits))
            logits = as_input(logits, t)
            a.row_stride = a.classes
        a.logits = cnp.PyArray_DATA(logits)
        keep.append((prediction, logits))
        shape = cnp.PyArray_DIMS(logits)
        if call.check:
            if a.prob != NULL:
                expect_all(lambda y: (y >= 0) & (y < np.inf), target, self.name, "target", "a probability >= 0")
            expect_all(lambda z: z == z, logits, self.name, prediction, "a number")

        outs = call.outs(1) if want > WANT_VALUE else []
        given = []
        results = [self.new_or_out(outs, k, ndim + 1, shape, t, given) for k in range(len(outs))]
        if given:
            expect_apart(given, keep, self.name)
        if want >= WANT_GRAD:
            a.grad = cnp.PyArray_DATA(results[0])
        if want >= WANT_HESS:
            a.hess = cnp.PyArray_DATA(results[1])
        if call.reduction == NONE:
            loss = <cnp.ndarray> cnp.PyArray_EMPTY(ndim, <cnp.npy_intp *> shape, t, 0)
            a.loss = cnp.PyArray_DATA(loss)

        if self.run(call, &c, samples, t, &sums) == NLLK_BAD_INDEX:
            self.bad_index(as_array(args[1]), c.bad, a)
        value = loss if loss is not None else sums.value
        return (value, *results)

    cdef bad_index(self, cnp.ndarray target, ptrdiff_t position, const nllk_rowwise *a):
        at = tuple(map(int, np.unravel_index(position, (<object> target).shape)))
        place = f"[{', '.join(map(str, at))}]" if at else ""
        also = f" or ignore_index = {a.ignore_index}" if a.has_ignore else ""
        raise IndexError(f"{self.name}: target{place} is {target[at]}, expected 0 <= index < {a.classes}{also}")


cdef ptrdiff_t row_stride(cnp.ndarray a, int t):
    """Elements from one row to the next if `a` is a sequence of contiguous rows; else NOT_ROWS."""
    cdef int k, last = cnp.PyArray_NDIM(a) - 1
    cdef ptrdiff_t size = cnp.PyArray_ITEMSIZE(a), stride = cnp.PyArray_DIM(a, last) * size
    if cnp.PyArray_TYPE(a) != t or not cnp.PyArray_ISALIGNED(a) or not cnp.PyArray_ISNOTSWAPPED(a):
        return NOT_ROWS
    if cnp.PyArray_ISCARRAY_RO(a):
        return stride // size
    if cnp.PyArray_DIM(a, last) > 1 and cnp.PyArray_STRIDE(a, last) != size:
        return NOT_ROWS
    # The axes before the last must be walked by one stride.
    cdef bint started = False
    for k in range(last - 1, -1, -1):
        if cnp.PyArray_DIM(a, k) == 1:
            continue
        if not started:
            stride = cnp.PyArray_STRIDE(a, k)
            started = True
            expected = stride * cnp.PyArray_DIM(a, k)
        elif cnp.PyArray_STRIDE(a, k) != expected:
            return NOT_ROWS
        else:
            expected *= cnp.PyArray_DIM(a, k)
    return stride // size if stride % size == 0 else NOT_ROWS
