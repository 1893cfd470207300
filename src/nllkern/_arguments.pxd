cimport numpy as cnp


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


cdef extern from *:
    """
    #define NLLK_NOT_ROWS PTRDIFF_MIN
    """
    const ptrdiff_t NOT_ROWS "NLLK_NOT_ROWS"


cdef object as_array(x, str loss, str name)
cdef int float_type(x, cnp.ndarray a, str loss, str name) except -2
cdef cnp.ndarray as_input(cnp.ndarray a, int t)
cdef ptrdiff_t row_stride(cnp.ndarray a, int t)
cdef str shape_text(int ndim, const cnp.npy_intp *shape)
cdef str place(cnp.ndarray a, ptrdiff_t position)
cdef int expect_shape(cnp.ndarray a, int ndim, const cnp.npy_intp *shape, str loss, str name, str like) except -1
cdef int expect_out(out, int ndim, const cnp.npy_intp *shape, int t, str loss, str name) except -1
cdef int expect_apart(list outs, list inputs, str loss) except -1
cdef double number(x, str loss, str name, str words) except? -1
cdef bint flag(x, str loss, str name) except -1
cdef object integer(x, str loss, str name, str words)
