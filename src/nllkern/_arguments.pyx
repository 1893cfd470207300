# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""What was handed in, checked: arrays, shapes, dtypes, the keywords that all losses share, where results go."""

cimport numpy as cnp
from libc.math cimport isfinite

from nllkern._engine cimport WANT_HESS, WANT_VALUE

import numpy as np

cnp.import_array()


# ---- inputs --------------------------------------------------------------------------------------------------------

cdef object as_array(x):
    """`x` as NumPy sees it, without a copy where it lends its memory."""
    if isinstance(x, np.ndarray):
        return x
    if hasattr(x, "__dlpack__") and not hasattr(x, "__array__"):
        return np.from_dlpack(x)
    return np.asarray(x)


cdef int float_type(x, cnp.ndarray a, str loss, str name) except -2:
    """NPY_FLOAT or NPY_DOUBLE; -1 for numbers without a precision of their own, which take that of the others."""
    cdef int t = cnp.PyArray_TYPE(a)
    if is_float_type(t):
        return -1 if isinstance(x, (list, tuple)) or is_number(x) else t
    if a.dtype.kind in "iub":
        return -1
    raise TypeError(f"{loss}: {name} has dtype {a.dtype}, expected float32 or float64")


cdef cnp.ndarray as_input(cnp.ndarray a, int t):
    """C-contiguous, aligned, native: `a` itself if it is so already."""
    if cnp.PyArray_TYPE(a) == t and cnp.PyArray_ISCARRAY_RO(a):
        return a
    return <cnp.ndarray> cnp.PyArray_FROMANY(
        a, t, 0, 0, cnp.NPY_ARRAY_CARRAY_RO | cnp.NPY_ARRAY_NOTSWAPPED | cnp.NPY_ARRAY_FORCECAST)


cdef str shape_text(int ndim, const cnp.npy_intp *shape):
    return str(tuple([shape[k] for k in range(ndim)]))


cdef int expect_shape(cnp.ndarray a, int ndim, const cnp.npy_intp *shape, str loss, str name, str like) except -1:
    if not same_shape(a, ndim, shape):
        raise ValueError(f"{loss}: {name} has shape {shape_text(cnp.PyArray_NDIM(a), cnp.PyArray_DIMS(a))}, "
                         f"expected {shape_text(ndim, shape)}, {like}")
    return 0


# ---- outputs -------------------------------------------------------------------------------------------------------

cdef int expect_out(out, int ndim, const cnp.npy_intp *shape, int t, str loss, str name) except -1:
    cdef cnp.ndarray a
    if not isinstance(out, np.ndarray):
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


cdef class Call:
    """The keywords that all losses share, and where a call's results go."""

    cdef int take(self, str key, value) except -1:
        """1 if `key` is one of the common keywords."""
        if key == "out":
            if value is not None and self.want == WANT_VALUE:
                raise TypeError(f"{self.loss}: out receives gradients, so it belongs to value_and_grad, grad and "
                                f"value_grad_hess, not to a call for the value alone")
            self.out = value
        elif key == "reduction":
            if value == "mean":
                self.reduction = MEAN
            elif value == "sum":
                self.reduction = SUM
            elif value == "none":
                self.reduction = NONE
            else:
                raise ValueError(f"{self.loss}: reduction is {value!r}, expected 'mean', 'sum' or 'none'")
        elif key == "sample_weight":
            self.weight = value
        elif key == "num_threads":
            if value is not None:
                if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
                    raise TypeError(f"{self.loss}: num_threads is {value!r}, expected a positive int or None")
                if not 1 <= value <= 1024:
                    raise ValueError(f"{self.loss}: num_threads is {value}, expected 1 to 1024")
                self.threads = value
        elif key == "normalizer":
            self.normalizer = value
        elif key == "check":
            self.check = bool(value)
        else:
            return 0
        return 1

    cdef int settle(self) except -1:
        """What can only be checked when all keywords are known."""
        if self.normalizer is None:
            return 0
        if self.reduction != MEAN:
            raise ValueError(f"{self.loss}: normalizer is the denominator of reduction='mean', got another reduction")
        self.denominator = number(self.normalizer, self.loss, "normalizer")
        if not (isfinite(self.denominator) and self.denominator > 0):
            raise ValueError(f"{self.loss}: normalizer is {self.normalizer!r}, expected a positive, finite number")
        return 0

    cdef list outs(self, int count):
        """`out` as a flat list: `count` gradients, then `count` second derivatives; None where none was given."""
        cdef int sets = 2 if self.want == WANT_HESS else 1
        if self.out is None:
            return [None] * (sets * count)
        parts = self.out if sets == 2 else (self.out,)
        if sets == 2 and (not isinstance(parts, (tuple, list)) or len(parts) != 2):
            raise TypeError(f"{self.loss}: out is {type(self.out).__name__}, "
                            f"expected a pair (gradients, second derivatives)")
        flat = []
        for part in parts:
            if part is None:
                flat += [None] * count
            elif count == 1:
                flat.append(part)
            elif isinstance(part, (tuple, list)) and len(part) == count:
                flat += part
            else:
                got = type(part).__name__
                if isinstance(part, (tuple, list)):
                    got += f" of {len(part)}"
                raise TypeError(f"{self.loss}: out is {got}, expected a tuple of {count} arrays, one per parameter")
        return flat


cdef double number(x, str loss, str name) except? -1:
    try:
        return float(x)
    except (TypeError, ValueError):
        raise TypeError(f"{loss}: {name} is {x!r}, expected a number") from None


cdef int expect_all(good, x, str loss, str name, str expected) except -1:
    """ValueError unless `good` holds everywhere; in pieces, so that no temporary grows with `x`."""
    flat = x.reshape(-1) if x.flags.c_contiguous else x.flat
    for start in range(0, x.size, 16384):
        bad = np.flatnonzero(~good(flat[start:start + 16384]))
        if len(bad):
            at = tuple(map(int, np.unravel_index(start + bad[0], x.shape)))
            place = f"[{', '.join(map(str, at))}]" if at else ""
            raise ValueError(f"{loss}: {name}{place} is {x[at]}, expected {expected}")

    return 0
