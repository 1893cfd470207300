cimport numpy as cnp

from nllkern._engine cimport nllk_options, nllk_results


cdef class Call:
    """One call: its options and inputs as C takes them, and the arrays behind them."""

    cdef nllk_options o
    cdef nllk_results r
    cdef const void *inputs[4]
    cdef int t, ndim  # dtype (-1: none yet), rank of the loss
    cdef const cnp.npy_intp *shape  # of the loss
    cdef ptrdiff_t samples, size
    cdef object weight, class_weight, extra, out
    cdef dict more  # options that C does not have
    cdef list arrays  # by argument; None: one number
    cdef list keep  # (name, array): what must not be overlapped, and lives until the end
    cdef list results
    cdef cnp.ndarray losses
    cdef bint is_fixed  # the last parameter has no derivatives
    cdef double numbers[4]
    cdef float short_numbers[4]

    cdef cnp.ndarray input(self, str name, object x, cnp.ndarray given)


cdef class Slot:
    """A row of an option, and where its value goes."""

    cdef object row
    cdef str words
    cdef int kind
    cdef ptrdiff_t offset  # in nllk_options; -1: C does not have it
    cdef dict numbers  # of a choice or link: the number of each name
    cdef int parameters  # of a link: the bit set of the parameters that it belongs to


cdef class Loss:
    cdef readonly str name
    cdef readonly object row
    cdef readonly tuple parameters, links, arguments
    cdef int index, kind, count
    cdef int targets  # of rows: the kinds of target, a bit each
    cdef int matrices  # the bit set of the parameters that are matrices
    cdef dict options  # by name
    cdef tuple methods
    cdef object run_in_python

    cdef tuple compute(self, tuple args, dict kwargs, int want)
    cdef int take(self, Call call, str key, value) except -1
    cdef int put(self, Call call, str key, value) except -1
    cdef int set_link(self, Call call, Slot slot, str name) except -1
    cdef int agree(self, Call call, x, cnp.ndarray a, str name) except -1
    cdef cnp.ndarray read(self, Call call, x, str name)
    cdef int count_samples(self, Call call) except -1
    cdef cnp.ndarray read_weight(self, Call call)
    cdef cnp.ndarray set_weight(self, Call call, cnp.ndarray weight)
    cdef int read_points(self, Call call, tuple args) except -1
    cdef int wrong_shape(self, Call call, cnp.ndarray a, str name, str first) except -1
    cdef str extra_name(self)
    cdef cnp.ndarray read_extra(self, Call call)
    cdef cnp.ndarray repeating(self, Call call, cnp.ndarray x, str like)
    cdef int read_rows(self, Call call, tuple args) except -1
    cdef bint is_index(self, Call call, x, cnp.ndarray target, cnp.ndarray logits) except -1
    cdef cnp.ndarray as_indices(self, Call call, cnp.ndarray target)
    cdef cnp.ndarray indices(self, Call call, cnp.ndarray target, cnp.ndarray weight)
    cdef int read_vectors(self, Call call, tuple args) except -1
    cdef int expect_factor(self, Call call, int k) except -1
    cdef int factorise(self, Call call) except -1
    cdef int read_pair(self, Call call, tuple args) except -1
    cdef list outs(self, Call call)
    cdef int open_results(self, Call call) except -1
    cdef tuple assemble(self, Call call)
    cdef tuple python(self, Call call)
    cdef int fail(self, Call call, tuple args, dict kwargs, int status) except -1
    cdef int bad_index(self, Call call, cnp.ndarray target) except -1
    cdef int bad_value(self, Call call, tuple args, str argument) except -1
