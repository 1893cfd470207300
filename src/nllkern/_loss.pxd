cimport numpy as cnp

from nllkern._arguments cimport Call
from nllkern._engine cimport nllk_sums, nllk_work


cdef class Loss:
    cdef readonly str name
    cdef readonly tuple parameters
    cdef readonly tuple links
    cdef readonly tuple arguments  # the positional ones
    cdef str kind, extra, support
    cdef str own  # the keyword for the link that the last parameter has for itself
    cdef int index, linked

    cdef tuple compute(self, tuple args, dict kwargs, int want)
    cdef int expect_arguments(self, tuple args) except -1
    cdef unknown(self, str key, tuple own)
    cdef int agree(self, int t, int own, str name, cnp.ndarray a) except -2
    cdef int run(self, Call call, nllk_work *c, ptrdiff_t samples, int t, nllk_sums *sums) except -1
    cdef cnp.ndarray new_or_out(self, list outs, int k, int ndim, const cnp.npy_intp *shape, int t, list given)
