# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Arguments, validated one by one: arrays, shapes, dtypes, numbers, and the arrays that receive results."""

cimport numpy as cnp

import numpy as np

cnp.import_array()


# ---- inputs --------------------------------------------------------------------------------------------------------

cdef object as_array(x, str loss, str name):
    """`x` as NumPy sees it, without a copy where it lends its memory."""
    if cnp.PyArray_CheckExact(x):
        return x
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{loss}: {name} is a masked array, whose mask would be ignored: pass its data, "
                        f"and 0 in sample_weight for the masked samples")
    if cnp.PyArray_Check(x):
        return x
    if hasattr(x, "__dlpack__") and not hasattr(x, "__array__"):
        return np.from_dlpack(x)
    try:
        return np.asarray(x)
    except ValueError as error:
        raise ValueError(f"{loss}: {name} is no array: {error}") from None


cdef int float_type(x, cnp.ndarray a, str loss, str name) except -2:
    """NPY_FLOAT or NPY_DOUBLE; -1 for numbers without a precision of their own, which take that of the others."""
    cdef int t = cnp.PyArray_TYPE(a)
    if is_float_type(t):
        return -1 if isinstance(x, (list, tuple)) or is_number(x) else t
    if a.dtype.kind in "iub":
        return -1
    hint = ""
    if a.dtype.kind == "O":
        hint = f": it holds {wrong_object(a)}"
    raise TypeError(f"{loss}: {name} has dtype {a.dtype}, expected float32 or float64{hint}")


cdef str wrong_object(cnp.ndarray a):
    """The first object that is no number, and where."""
    for i, x in enumerate(a.flat):
        if not isinstance(x, (int, float, np.number)):
            return f"{x!r} at {name_of(a, i)}"
    return "Python objects"


cdef str name_of(cnp.ndarray a, ptrdiff_t position):
    return place(a, position) or "its only place"


cdef cnp.ndarray as_input(cnp.ndarray a, int t):
    """C-contiguous, aligned, native: `a` itself if it is so already."""
    if cnp.PyArray_TYPE(a) == t and cnp.PyArray_ISCARRAY_RO(a):
        return a
    return <cnp.ndarray> cnp.PyArray_FROMANY(
        a, t, 0, 0, cnp.NPY_ARRAY_CARRAY_RO | cnp.NPY_ARRAY_NOTSWAPPED | cnp.NPY_ARRAY_FORCECAST)


cdef ptrdiff_t row_stride(cnp.ndarray a, int t):
    """Elements from one row to the next if `a` is a sequence of contiguous rows; else NOT_ROWS.

    0: all are the same row.
    """
    cdef int k, last = cnp.PyArray_NDIM(a) - 1
    cdef ptrdiff_t size = cnp.PyArray_ITEMSIZE(a), stride = cnp.PyArray_DIM(a, last) * size, expected = 0
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
        elif cnp.PyArray_STRIDE(a, k) != expected:
            return NOT_ROWS
        expected = cnp.PyArray_STRIDE(a, k) * cnp.PyArray_DIM(a, k)
    return stride // size if stride % size == 0 else NOT_ROWS


cdef str shape_text(int ndim, const cnp.npy_intp *shape):
    return str(tuple([shape[k] for k in range(ndim)]))


cdef str place(cnp.ndarray a, ptrdiff_t position):
    """Element `position` of a flattened array, as it is written behind the array's name."""
    at = np.unravel_index(position, (<object> a).shape)
    return f"[{', '.join([str(int(i)) for i in at])}]" if at else ""


cdef int expect_shape(cnp.ndarray a, int ndim, const cnp.npy_intp *shape, str loss, str name, str like) except -1:
    if not same_shape(a, ndim, shape):
        raise ValueError(f"{loss}: {name} has shape {shape_text(cnp.PyArray_NDIM(a), cnp.PyArray_DIMS(a))}, "
                         f"expected {shape_text(ndim, shape)}, {like}")
    return 0


cdef double number(x, str loss, str name, str words) except? -1:
    if is_number(x):
        return x
    if isinstance(x, (np.number, np.ndarray)) and x.ndim == 0 and x.dtype.kind in "iuf":
        return float(x)
    raise TypeError(f"{loss}: {name} is {x!r:.100}, expected {words}")


cdef bint flag(x, str loss, str name) except -1:
    if isinstance(x, (bool, np.bool_)):
        return bool(x)
    raise TypeError(f"{loss}: {name} is {x!r:.100}, expected True or False")


cdef object integer(x, str loss, str name, str words):
    if isinstance(x, np.ndarray) and x.ndim == 0:
        x = x[()]
    if isinstance(x, bool) or not isinstance(x, (int, np.integer)):
        raise TypeError(f"{loss}: {name} is {x!r:.100}, expected {words}")
    return int(x)


# ---- outputs -------------------------------------------------------------------------------------------------------

cdef int expect_out(out, int ndim, const cnp.npy_intp *shape, int t, str loss, str name) except -1:
    cdef cnp.ndarray a
    if not cnp.PyArray_CheckExact(out) and (not cnp.PyArray_Check(out) or isinstance(out, np.ma.MaskedArray)):
        raise TypeError(f"{loss}: {name} is {type(out).__name__}, expected a NumPy array")
    a = out
    if cnp.PyArray_TYPE(a) != t or not a.dtype.isnative:
        raise TypeError(f"{loss}: {name} has dtype {a.dtype}, expected {cnp.PyArray_DescrFromType(t)}")
    expect_shape(a, ndim, shape, loss, name, "the shape of what it receives")
    if not cnp.PyArray_ISWRITEABLE(a):
        raise ValueError(f"{loss}: {name} is read-only, expected an array that can be written")
    if not cnp.PyArray_ISCARRAY(a):
        raise ValueError(f"{loss}: {name} has strides {tuple(a.strides[k] for k in range(a.ndim))}, "
                         f"expected a C-contiguous, aligned array")
    return 0


cdef int extent(cnp.ndarray a, char **low, char **high) except -1:
    """The bytes between which the elements of `a` lie."""
    cdef cnp.npy_intp step
    cdef int k
    low[0] = high[0] = <char *> cnp.PyArray_DATA(a)
    high[0] += cnp.PyArray_ITEMSIZE(a)
    for k in range(cnp.PyArray_NDIM(a)):
        step = (cnp.PyArray_DIM(a, k) - 1) * cnp.PyArray_STRIDE(a, k)
        if step > 0:
            high[0] += step
        else:
            low[0] += step
    return 0


cdef int expect_apart(list outs, list inputs, str loss) except -1:
    """An output may be an input, element for element, and overlap nothing else."""
    cdef char *low
    cdef char *high
    cdef char *other_low
    cdef char *other_high
    cdef cnp.ndarray a, b
    cdef int k
    cdef bint same
    for k in range(len(outs)):
        a = outs[k][1]
        if cnp.PyArray_SIZE(a) == 0:
            continue
        extent(a, &low, &high)
        for name, b in outs[k + 1:] + inputs:
            if cnp.PyArray_SIZE(b) == 0:
                continue
            extent(b, &other_low, &other_high)
            if high <= other_low or other_high <= low:
                continue
            same = (cnp.PyArray_DATA(a) == cnp.PyArray_DATA(b) and cnp.PyArray_TYPE(a) == cnp.PyArray_TYPE(b)
                    and same_shape(b, cnp.PyArray_NDIM(a), cnp.PyArray_DIMS(a)) and cnp.PyArray_ISCARRAY_RO(b))
            if not same or name.startswith("out"):
                raise ValueError(f"{loss}: {outs[k][0]} partly overlaps {name}; expected separate memory"
                                 + ("" if name.startswith("out") else ", or the same array"))
    return 0
