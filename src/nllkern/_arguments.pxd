cimport numpy as cnp

cdef enum:
    MEAN = 0
    SUM = 1
    NONE = 2


cdef inline bint is_number(x):
    return isinstance(x, (float, int)) and not isinstance(x, bool)


cdef inline bint is_float_type(int t):
    return t == cnp.NPY_FLOAT or t == cnp.NPY_DOUBLE


cdef inline bint same_shape(cnp.ndarray a, int ndim, const cnp.npy_intp *shape):
    cdef int k
    if cnp.PyArray_NDIM(a) != ndim:
        return False
    for k in range(ndim):
        if cnp.PyArray_DIM(a, k) != shape[k]:
            return False
    return True


cdef object as_array(x)
cdef int float_type(x, cnp.ndarray a, str loss, str name) except -2
cdef cnp.ndarray as_input(cnp.ndarray a, int t)
cdef str shape_text(int ndim, const cnp.npy_intp *shape)
cdef int expect_shape(cnp.ndarray a, int ndim, const cnp.npy_intp *shape, str loss, str name, str like) except -1
cdef int expect_out(out, int ndim, const cnp.npy_intp *shape, int t, str loss, str name) except -1
cdef int expect_apart(list outs, list inputs, str loss) except -1
cdef int expect_all(good, x, str loss, str name, str expected) except -1
cdef double number(x, str loss, str name) except? -1


cdef class Call:
    cdef str loss
    cdef int want, reduction, threads
    cdef bint check
    cdef object weight, normalizer, out
    cdef double denominator

    cdef int take(self, str key, value) except -1
    cdef int settle(self) except -1
    cdef list outs(self, int count)
