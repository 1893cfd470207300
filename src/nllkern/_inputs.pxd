cimport numpy as cnp

from nllkern._engine cimport nllk_options, nllk_results


cdef class Row:
    cdef str name, extra, extra_words  # extra: the option that is an array, or ""
    cdef tuple arguments
    cdef int count
    cdef int targets  # of rows: the kinds of target, a bit each
    cdef int matrices  # the bit set of the parameters that are matrices


cdef class Call:
    """One call: its options and inputs as C takes them, and the arrays behind them."""

    cdef str name  # of the loss
    cdef nllk_options o
    cdef nllk_results r
    cdef const void *inputs[4]
    cdef int t, ndim  # dtype (-1: none yet), rank of the loss
    cdef const cnp.npy_intp *shape  # of the loss
    cdef ptrdiff_t samples, size
    cdef object weight, class_weight, extra, out
    cdef dict more  # options that C does not have
    cdef list arrays  # by argument; None: one number
    cdef list keep  # (name, array): what must not be overlapped, and lives until the end; or None
    cdef cnp.ndarray target, weight_array  # as C reads them
    cdef list results
    cdef cnp.ndarray losses
    cdef bint is_fixed  # the last parameter has no derivatives
    cdef double numbers[4]
    cdef float short_numbers[4]

    cdef cnp.ndarray input(self, str name, object x, cnp.ndarray given)
    cdef int remember(self, str name, cnp.ndarray a) except -1
    cdef int agree(self, x, cnp.ndarray a, str name) except -1
    cdef cnp.ndarray read(self, x, str name)
    cdef int count_samples(self) except -1
    cdef cnp.ndarray read_weight(self)
    cdef cnp.ndarray set_weight(self, cnp.ndarray weight)


cdef int read_points(Row row, Call call, tuple args) except -1
cdef int read_rows(Row row, Call call, tuple args) except -1
cdef int read_vectors(Row row, Call call, tuple args) except -1
cdef int read_pair(Row row, Call call, tuple args) except -1
