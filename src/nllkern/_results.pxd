cimport numpy as cnp


# An array for a result, uninitialised; a large one in memory that is kept when it is freed.
cdef cnp.ndarray new_array(int ndim, const cnp.npy_intp *shape, int t)
# The same of a tuple.
cdef cnp.ndarray new_array_of(tuple shape, int t)
