cimport numpy as cnp

from nllkern._inputs cimport Call, Row


cdef class Slot:
    """A row of an option, and where its value goes."""

    cdef object row
    cdef str words
    cdef int kind
    cdef ptrdiff_t offset  # in nllk_options; -1: C does not have it
    cdef dict numbers  # of a choice or link: the number of each name
    cdef int parameters  # of a link: the bit set of the parameters that it belongs to


cdef class Method:
    cdef Loss loss
    cdef str name
    cdef int want
    cdef bint has_value  # beside the derivatives
    cdef object __weakref__


cdef class Loss:
    cdef readonly str name
    cdef readonly object row
    cdef readonly tuple parameters, links, arguments
    cdef int index, kind, count
    cdef Row inputs
    cdef bint is_binned
    cdef dict options  # by name
    cdef tuple methods
    cdef object run_in_python

    cdef tuple run(self, tuple args, dict kwargs, int want)
    cdef int take(self, Call call, str key, value) except -1
    cdef int put(self, Call call, str key, value) except -1
    cdef int set_link(self, Call call, Slot slot, str name) except -1
    cdef cnp.ndarray indices(self, Call call)
    cdef list outs(self, Call call)
    cdef int open_results(self, Call call) except -1
    cdef tuple assemble(self, Call call)
    cdef tuple python(self, Call call)
    cdef int fail(self, Call call, tuple args, dict kwargs, int status) except -1
