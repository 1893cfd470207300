cimport numpy as cnp

from nllkern._engine cimport nllk_rowwise
from nllkern._loss cimport Loss

cdef enum:
    NOT_ROWS = -0x7fffffff


cdef class RowwiseLoss(Loss):
    cdef tuple keywords
    cdef bint takes_index, takes_prob, takes_real

    cdef cnp.ndarray indices_of(self, cnp.ndarray target, cnp.ndarray weight, ptrdiff_t classes, int t, dict own)
    cdef int take(self, str key, value, nllk_rowwise *a, dict own) except -1
    cdef bad_index(self, cnp.ndarray target, ptrdiff_t position, const nllk_rowwise *a)


cdef ptrdiff_t row_stride(cnp.ndarray a, int t)
