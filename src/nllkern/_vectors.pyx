# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Losses whose samples are vectors."""

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
from nllkern._engine cimport (
    NLLK_VECTOR_MAX,
    WANT_GRAD,
    WANT_VALUE,
    nllk_sums,
    nllk_vectors,
    nllk_work,
)
from nllkern._loss cimport Loss

import numpy as np

from . import _docs

cnp.import_array()

cdef tuple LINKS = ("identity", "softplus", "log", "covariance")
cdef enum:
    COVARIANCE = 3


cdef class Vectors(Loss):
    # Vectors of d numbers, on the last axis of every input, make one sample.

    cdef int begin(self, Call call, nllk_work *c, int want, tuple args) except -1:
        call.loss = self.name
        call.want = want
        memset(c, 0, sizeof(nllk_work))
        self.expect_arguments(args)
        c.a.vectors.want = want
        return 0

    cdef int read(self, Call call, nllk_vectors *a, tuple args, list arrays, list keep) except -1:
        """The inputs as `arrays` that the kernel can read; returns their dtype.  The first gives d and the samples."""
        cdef cnp.ndarray array
        cdef const cnp.npy_intp *shape
        cdef int k, t = -1, ndim
        for k in range(len(args)):
            array = as_array(args[k])
            t = self.agree(t, float_type(args[k], array, self.name, self.arguments[k]), self.arguments[k], array)
            arrays.append(array)
        array = arrays[0]
        ndim = cnp.PyArray_NDIM(array)
        shape = cnp.PyArray_DIMS(array)
        if ndim == 0 or shape[ndim - 1] == 0:
            raise ValueError(f"{self.name}: {self.arguments[0]} has shape {shape_text(ndim, shape)}, "
                             f"expected (..., d) with d >= 1")
        a.dimension = shape[ndim - 1]
        a.samples = 1
        for k in range(ndim - 1):
            a.samples *= shape[k]
        weight = None
        if call.weight is not None:
            weight = as_array(call.weight)
            t = self.agree(t, float_type(call.weight, weight, self.name, "sample_weight"), "sample_weight", weight)
            expect_shape(weight, ndim - 1, shape, self.name, "sample_weight", "the shape of the loss")
        if t == -1:
            t = cnp.NPY_DOUBLE
        if weight is not None:
            array = as_input(weight, t)
            keep += [("sample_weight", array), ("sample_weight", weight)]
            a.weight = cnp.PyArray_DATA(array)
        for k in range(len(arrays)):
            array = as_input(arrays[k], t)
            keep += [(self.arguments[k], array), (self.arguments[k], arrays[k])]
            arrays[k] = array
        return t

    cdef tuple finish(self, Call call, nllk_work *c, list arrays, list keep, int t, bint last_is_given):
        """Run the kernel on what `c` says; `last_is_given`: the last parameter has no derivatives."""
        cdef nllk_sums sums
        cdef nllk_vectors *a = &c.a.vectors
        cdef int count = len(self.parameters), k, ndim = cnp.PyArray_NDIM(arrays[0]) - 1
        cdef cnp.ndarray loss = None
        cdef cnp.ndarray array
        outs = call.outs(count) if call.want > WANT_VALUE else []
        given = []
        results = []
        for k in range(len(outs)):
            if last_is_given and k % count == count - 1:
                if outs[k] is not None:
                    raise ValueError(f"{self.name}: out[{k}] was given for {self.parameters[count - 1]}, "
                                     f"which is fixed and has no gradient; expected None")
                results.append(None)
                continue
            array = arrays[k % count]
            results.append(self.new_or_out(outs, k, cnp.PyArray_NDIM(array), cnp.PyArray_DIMS(array), t, given))
        if given:
            expect_apart(given, keep, self.name)
        for k in range(len(outs)):
            if results[k] is not None:
                if k < count:
                    a.grad[k] = cnp.PyArray_DATA(results[k])
                else:
                    a.hess[k - count] = cnp.PyArray_DATA(results[k])
        if call.reduction == NONE:
            loss = <cnp.ndarray> cnp.PyArray_EMPTY(ndim, cnp.PyArray_DIMS(arrays[0]), t, 0)
            a.loss = cnp.PyArray_DATA(loss)
        self.run(call, c, a.samples, t, &sums)
        value = loss if loss is not None else sums.value
        if call.want == WANT_VALUE:
            return (value,)
        if call.want == WANT_GRAD:
            return (value, tuple(results))
        return (value, tuple(results[:count]), tuple(results[count:]))


cdef class MultivariateGaussian(Vectors):
    @property
    def __doc__(self):  # not inherited: a class's own, if only None, comes first
        return _docs.docstring(self.name)

    cdef tuple compute(self, tuple args, dict kwargs, int want):
        cdef Call call = Call.__new__(Call)
        cdef nllk_work c
        cdef nllk_vectors *a = &c.a.vectors
        cdef cnp.ndarray mean, factor, cholesky
        cdef int t, ndim, k
        cdef cnp.npy_intp shape[64]
        self.begin(call, &c, want, args)
        a.full = 1
        for key, value in kwargs.items():
            if call.take(key, value):
                continue
            elif key == "link":
                if not isinstance(value, str) or value not in self.links:
                    raise ValueError(f"{self.name}: link is {value!r}, expected one of {', '.join(self.links)}")
                a.link = LINKS.index(value)
            elif key == "full":
                a.full = bool(value)
            else:
                self.unknown(key, ("link", "full"))
        call.settle()
        arrays = []
        keep = []
        t = self.read(call, a, args, arrays, keep)
        mean, factor = arrays[0], arrays[1]
        ndim = cnp.PyArray_NDIM(mean)
        if a.dimension > NLLK_VECTOR_MAX:
            raise ValueError(f"{self.name}: mean has shape {shape_text(ndim, cnp.PyArray_DIMS(mean))}, "
                             f"expected (..., d) with d up to {NLLK_VECTOR_MAX}")
        for k in range(ndim):
            shape[k] = cnp.PyArray_DIM(mean, k)
        shape[ndim] = a.dimension
        shared = same_shape(factor, 2, &shape[ndim - 1]) and (ndim > 1 or a.link == COVARIANCE)
        if not shared:
            if a.link == COVARIANCE:
                expect_shape(factor, 2, &shape[ndim - 1], self.name, "factor", "one covariance for all samples")
            expect_shape(factor, ndim + 1, shape, self.name, "factor",
                         f"a matrix for every sample, or {(a.dimension, a.dimension)}, one for all")
        expect_shape(arrays[2], ndim, shape, self.name, "target", "as mean")
        if call.check:
            self.check_domain(arrays, a.link)
        covariance = a.link == COVARIANCE
        if covariance:
            cholesky = <cnp.ndarray> self.factorised(factor)
            a.factor = <const double *> cnp.PyArray_DATA(cholesky)
            a.log_sum = np.log(np.diagonal(cholesky)).sum()
            a.link = 0
        a.input[0] = cnp.PyArray_DATA(mean)
        a.input[1] = cnp.PyArray_DATA(factor)
        a.target = cnp.PyArray_DATA(arrays[2])
        c.shared_factor = shared
        return self.finish(call, &c, arrays, keep, t, covariance)

    cdef object factorised(self, covariance):
        """The Cholesky factor of a covariance, in float64."""
        whole = covariance.astype(np.float64)
        if not np.isfinite(whole).all():
            raise ValueError(f"{self.name}: factor has entries that are not finite, expected a covariance matrix")
        size = np.sqrt(np.abs(np.diagonal(whole)))
        bad = np.argwhere(~(np.abs(whole - whole.T) <= 4 * np.finfo(covariance.dtype).eps * np.outer(size, size)))
        if len(bad):
            i, j = map(int, bad[0])
            raise ValueError(f"{self.name}: factor[{i}, {j}] is {covariance[i, j]} and factor[{j}, {i}] is "
                             f"{covariance[j, i]}, expected a symmetric covariance")
        try:
            return np.ascontiguousarray(np.linalg.cholesky(whole))
        except np.linalg.LinAlgError:
            raise ValueError(f"{self.name}: factor is not positive definite, expected a covariance matrix") from None

    cdef int check_domain(self, list arrays, int link) except -1:
        for k in (0, 2):
            expect_all(lambda x: x == x, arrays[k], self.name, self.arguments[k], "a number")
        factor = arrays[1]
        *leading, _, d = factor.shape
        matrices = factor.reshape(-1, d, d)
        lower = np.tri(d, dtype=bool)
        positive = np.eye(d, dtype=bool) & (link == 0)
        step = max(16384 // (d * d), 1)
        for start in range(0, len(matrices), step):
            some = matrices[start:start + step]
            bad = np.argwhere((np.isnan(some) & lower) | (~(some > 0) & positive))
            if len(bad):
                k, i, j = map(int, bad[0])
                at = (*map(int, np.unravel_index(start + k, leading)), i, j)
                expected = "a positive number, on the diagonal" if i == j and link == 0 else "a number"
                raise ValueError(f"{self.name}: factor[{', '.join(map(str, at))}] is {factor[at]}, expected {expected}")
        return 0


cdef class TripletMargin(Vectors):
    @property
    def __doc__(self):  # not inherited: a class's own, if only None, comes first
        return _docs.docstring(self.name)

    cdef tuple compute(self, tuple args, dict kwargs, int want):
        cdef Call call = Call.__new__(Call)
        cdef nllk_work c
        cdef nllk_vectors *a = &c.a.vectors
        cdef cnp.ndarray anchor
        cdef int t, k
        self.begin(call, &c, want, args)
        a.margin = 1
        a.norm = 2
        for key, value in kwargs.items():
            if call.take(key, value):
                continue
            elif key == "margin":
                a.margin = number(value, self.name, key)
                if not isfinite(a.margin):
                    raise ValueError(f"{self.name}: margin is {value!r}, expected a finite number")
            elif key == "p":
                a.norm = number(value, self.name, key)
                if not a.norm >= 1:
                    raise ValueError(f"{self.name}: p is {value!r}, expected a number >= 1, or inf")
            else:
                self.unknown(key, ("margin", "p"))
        call.settle()
        arrays = []
        keep = []
        t = self.read(call, a, args, arrays, keep)
        anchor = arrays[0]
        for k in range(1, 3):
            expect_shape(arrays[k], cnp.PyArray_NDIM(anchor), cnp.PyArray_DIMS(anchor), self.name, self.arguments[k],
                         "as anchor")
        for k in range(3):
            if call.check:
                expect_all(lambda x: x == x, arrays[k], self.name, self.arguments[k], "a number")
            a.input[k] = cnp.PyArray_DATA(arrays[k])
        return self.finish(call, &c, arrays, keep, t, False)


def vectors_loss(int index, info):
    """The loss object of a row of the table."""
    kinds = {"multivariate_gaussian_nll": MultivariateGaussian, "triplet_margin": TripletMargin}
    return kinds[info.name](index, info)
