# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The inputs of a call, read by the kind of its loss: numbers, rows of classes, vectors, two sets of vectors."""

cimport numpy as cnp

from nllkern._arguments cimport (
    NOT_ROWS,
    as_array,
    as_input,
    expect_shape,
    float_type,
    is_number,
    number,
    row_stride,
    same_shape,
    shape_text,
)
from nllkern._engine cimport (
    NLLK_TARGET_INT32,
    NLLK_TARGET_INT64,
    NLLK_TARGET_PROBABILITIES,
    NLLK_VECTOR_MAX,
)

import numpy as np

cnp.import_array()

cdef enum:
    TAKES_INDEX = 1
    TAKES_PROBABILITIES = 2
    TAKES_REAL = 4


cdef class Row:
    """What of a loss's row its inputs depend on."""

    def __cinit__(self, row):
        self.name, self.arguments = row.name, row.arguments
        self.count, self.targets = len(row.parameters), row.target_kinds
        self.matrices = sum([1 << k for k, p in enumerate(row.parameters) if p.kind == "factor"])
        self.extra = self.extra_words = ""
        for option in row.options:
            if option.kind == "per_sample":
                self.extra, self.extra_words = option.name, option.words


cdef class Call:
    cdef cnp.ndarray input(self, str name, object x, cnp.ndarray given):
        """An array as C reads it."""
        cdef cnp.ndarray a = as_input(given, self.t)
        if a is not given or self.out is not None:
            self.remember(name, given)
            self.remember(name, a)
        return a

    cdef int remember(self, str name, cnp.ndarray a) except -1:
        """Keep an array until the end, and apart from what receives results."""
        if self.keep is None:
            self.keep = []
        self.keep.append((name, a))
        return 0

    cdef int agree(self, x, cnp.ndarray a, str name) except -1:
        """The dtype of the call, now that this input has been seen."""
        cdef int t = float_type(x, a, self.name, name)
        if t == -1 or t == self.t:
            return 0
        if self.t != -1:
            raise TypeError(f"{self.name}: {name} has dtype {a.dtype}, expected "
                            f"{cnp.PyArray_DescrFromType(self.t)} as the inputs before it")
        self.t = t
        return 0

    cdef cnp.ndarray read(self, x, str name):
        """An input as an array, its dtype agreed on."""
        cdef cnp.ndarray a = as_array(x, self.name, name)
        self.agree(x, a, name)
        return a

    cdef int count_samples(self) except -1:
        cdef int k
        self.samples = 1
        for k in range(self.ndim):
            self.samples *= self.shape[k]
        return 0

    cdef cnp.ndarray read_weight(self):
        """The weights of the samples, their shape checked; None for none."""
        cdef cnp.ndarray a
        if self.weight is None:
            return None
        a = self.read(self.weight, "sample_weight")
        expect_shape(a, self.ndim, self.shape, self.name, "sample_weight", "the shape of the loss")
        return a

    cdef cnp.ndarray set_weight(self, cnp.ndarray weight):
        if self.t == -1:
            self.t = cnp.NPY_DOUBLE
        if weight is not None:
            weight = self.weight_array = self.input("sample_weight", self.weight, weight)
            self.o.sample_weight = cnp.PyArray_DATA(weight)
        return weight


cdef int read_points(Row row, Call call, tuple args) except -1:
    """One number per parameter and sample, or one number for all samples."""
    cdef int k, n = len(args)
    cdef cnp.ndarray a, weight, extra = None
    cdef str first = row.arguments[0]
    call.arrays = [None] * n
    call.ndim = 0
    call.shape = NULL
    for k in range(n):
        if is_number(args[k]):
            continue
        a = call.read(args[k], row.arguments[k])
        call.arrays[k] = a
        if call.shape == NULL or (call.ndim == 0 and cnp.PyArray_NDIM(a) > 0):
            call.ndim, call.shape, first = cnp.PyArray_NDIM(a), cnp.PyArray_DIMS(a), row.arguments[k]
    weight = call.read_weight()
    if call.extra is not None:
        extra = read_extra(row, call)
    call.count_samples()
    call.set_weight(weight)
    for k in range(n):
        a = call.arrays[k]
        if a is None or (call.ndim > 0 and cnp.PyArray_NDIM(a) == 0):
            call.numbers[k] = args[k] if a is None else a[()]
            call.short_numbers[k] = <float> call.numbers[k]
            call.inputs[k] = &call.numbers[k] if call.t == cnp.NPY_DOUBLE else <const void *> &call.short_numbers[k]
            call.o.shared |= 1 << k
            call.arrays[k] = None
        else:
            if not same_shape(a, call.ndim, call.shape):
                wrong_shape(row, call, a, row.arguments[k], first)
            call.inputs[k] = cnp.PyArray_DATA(call.input(row.arguments[k], args[k], a))
    if extra is not None:
        extra = repeating(row, call, extra, first)
        extra = call.input(row.extra, call.extra, extra)
        call.o.extra = cnp.PyArray_DATA(extra)
        call.o.extra_period = max(cnp.PyArray_SIZE(extra), 1)
    return 0


cdef int wrong_shape(Row row, Call call, cnp.ndarray a, str name, str first) except -1:
    own, wanted = (<object> a).shape, tuple([call.shape[k] for k in range(call.ndim)])
    hint = ""
    try:
        np.broadcast_shapes(own, wanted)
        hint = "; arrays are not broadcast here: use np.broadcast_arrays"
    except ValueError:
        pass
    raise ValueError(f"{row.name}: {name} has shape {own}, expected {wanted}, as {first}, or one number{hint}")


cdef cnp.ndarray read_extra(Row row, Call call):
    """The option that may be one number (which goes to C as a double), or an array."""
    cdef str name = row.extra
    if is_number(call.extra):
        call.o.extra_value = call.extra
        return None
    a = as_array(call.extra, row.name, name)
    if a.ndim == 0:
        call.o.extra_value = number(a, row.name, name, row.extra_words)
        return None
    call.agree(call.extra, a, name)
    return a


cdef cnp.ndarray repeating(Row row, Call call, cnp.ndarray x, str like):
    """`x`, which broadcasts to the shape of the loss, as an array that only has to be repeated."""
    full = tuple([call.shape[k] for k in range(call.ndim)])
    own = (<object> x).shape
    try:
        whole = np.broadcast_to(x, full)
    except ValueError:
        raise ValueError(f"{row.name}: {row.extra} has shape {own}, expected one that broadcasts to "
                         f"{full}, as {like}") from None
    while own and own[0] == 1:
        own = own[1:]
    return x if own == full[len(full) - len(own):] else whole


cdef int read_rows(Row row, Call call, tuple args) except -1:
    """Rows of K numbers; a class index, probabilities, or a number for each."""
    cdef cnp.ndarray logits, target, class_weight = None
    cdef str prediction = row.arguments[0]
    cdef int targets = row.targets
    cdef bint is_index
    logits = call.read(args[0], prediction)
    call.ndim = cnp.PyArray_NDIM(logits) - 1
    call.shape = cnp.PyArray_DIMS(logits)
    if call.ndim < 0 or call.shape[call.ndim] == 0:
        raise ValueError(f"{row.name}: {prediction} have shape {shape_text(call.ndim + 1, call.shape)}, "
                         f"expected (..., K) with K >= 1")
    call.size = call.shape[call.ndim]
    call.count_samples()
    target = as_array(args[1], row.name, "target")
    is_index = holds_indices(row, call, args[1], target, logits)
    if not is_index:
        call.agree(args[1], target, "target")
        if targets & TAKES_REAL:
            expect_shape(target, call.ndim, call.shape, row.name, "target", "one number per row of logits")
        else:
            expect_shape(target, call.ndim + 1, call.shape, row.name, "target", "as logits, for probabilities")
    if call.class_weight is not None:
        class_weight = call.read(call.class_weight, "class_weight")
        expect_shape(class_weight, 1, &call.shape[call.ndim], row.name, "class_weight", "one weight per class")
    call.set_weight(call.read_weight())
    if class_weight is not None:
        call.o.class_weight = cnp.PyArray_DATA(call.input("class_weight", call.class_weight, class_weight))
    if is_index:
        if call.out is not None:
            call.remember("target", target)
        target = as_indices(row, call, target)
    elif targets & TAKES_REAL:
        target = call.input("target", args[1], target)  # the loss puts it into bins
        call.o.target = NLLK_TARGET_INT64
    else:
        target = call.input("target", args[1], target)
        call.o.target = NLLK_TARGET_PROBABILITIES
    call.target = target
    if call.out is not None:
        call.remember("target", target)
    call.inputs[1] = cnp.PyArray_DATA(target)
    call.o.row_stride = row_stride(logits, call.t)
    if call.out is not None:
        call.remember(prediction, logits)
    if call.o.row_stride == NOT_ROWS:
        logits = call.input(prediction, args[0], logits)
        call.o.row_stride = call.size
    call.o.shared = call.o.row_stride == 0
    call.inputs[0] = cnp.PyArray_DATA(logits)
    call.shape = cnp.PyArray_DIMS(logits)
    call.arrays = [logits]
    return 0


cdef bint holds_indices(Row row, Call call, x, cnp.ndarray target, cnp.ndarray logits) except -1:
    """Whether the target holds class indices; a target that can be neither is refused."""
    cdef int targets = row.targets
    cdef str kind
    if targets & TAKES_REAL or not targets & TAKES_INDEX:
        return False
    if cnp.PyArray_ISINTEGER(target) and same_shape(target, call.ndim, call.shape):
        return True
    kind = target.dtype.kind
    if cnp.PyArray_SIZE(target) == 0 and isinstance(x, (list, tuple)):
        return same_shape(target, call.ndim, call.shape)
    if kind in "iu":
        also = " (probabilities, one-hot ones too, have the logits' shape and a float dtype)"
        shape, own = (<object> logits).shape, (<object> target).shape
        hint = also if targets & TAKES_PROBABILITIES else ""
        if len(shape) > 2 and own == (shape[0], *shape[2:]):
            hint = ("; classes go on the last axis: use "
                    f"np.moveaxis({row.arguments[0]}, 1, -1) for an array with classes on axis 1")
        raise ValueError(f"{row.name}: target has shape {own}, "
                         f"expected {shape_text(call.ndim, call.shape)} for class indices{hint}")
    if kind == "O" or kind not in "fb" or not targets & TAKES_PROBABILITIES \
            or (same_shape(target, call.ndim, call.shape) and call.ndim + 1 != cnp.PyArray_NDIM(target)):
        also = ", or probabilities as float32 or float64" if targets & TAKES_PROBABILITIES else ""
        hint = "; use target.astype(int)" if kind in "fb" else ""
        raise TypeError(f"{row.name}: target has dtype {target.dtype}, expected integers for class indices"
                        f"{also}{hint}")
    return False


cdef cnp.ndarray as_indices(Row row, Call call, cnp.ndarray target):
    """Class indices in one of the two integer types that C reads."""
    cdef bint is_32 = cnp.PyArray_ITEMSIZE(target) == 4 and cnp.PyArray_ISSIGNED(target)
    call.o.target = NLLK_TARGET_INT32 if is_32 else NLLK_TARGET_INT64
    if cnp.PyArray_TYPE(target) == cnp.NPY_UINT64:  # what int64 cannot hold must stay out of range
        target = np.minimum(target, np.uint64(2**63 - 1))
    return as_input(target, cnp.NPY_INT32 if is_32 else cnp.NPY_INT64)


cdef int read_vectors(Row row, Call call, tuple args) except -1:
    """Vectors of d numbers, on the last axis; a d x d matrix for each, or one for all."""
    cdef cnp.ndarray a, weight
    cdef int k
    cdef str first = row.arguments[0]
    call.arrays = [call.read(args[k], row.arguments[k]) for k in range(len(args))]
    a = call.arrays[0]
    call.ndim, call.shape = cnp.PyArray_NDIM(a) - 1, cnp.PyArray_DIMS(a)
    if call.ndim < 0 or call.shape[call.ndim] == 0:
        raise ValueError(f"{row.name}: {first} has shape {shape_text(call.ndim + 1, call.shape)}, "
                         f"expected (..., d) with d >= 1")
    call.size = call.shape[call.ndim]
    call.count_samples()
    weight = call.read_weight()
    for k in range(1, len(args)):
        if k < row.count and row.matrices >> k & 1:
            expect_factor(row, call, k)
        else:
            expect_shape(call.arrays[k], call.ndim + 1, call.shape, row.name, row.arguments[k], f"as {first}")
    call.set_weight(weight)
    for k in range(len(args)):
        call.arrays[k] = call.input(row.arguments[k], args[k], call.arrays[k])
        call.inputs[k] = cnp.PyArray_DATA(call.arrays[k])
    if call.is_fixed:
        factorise(row, call)
    return 0


cdef int expect_factor(Row row, Call call, int k) except -1:
    cdef cnp.ndarray factor = call.arrays[k]
    cdef cnp.npy_intp shape[64]
    cdef int j
    if call.size > NLLK_VECTOR_MAX:
        raise ValueError(f"{row.name}: {row.arguments[0]} has shape "
                         f"{shape_text(call.ndim + 1, call.shape)}, expected (..., d) with d up to "
                         f"{NLLK_VECTOR_MAX}")
    for j in range(call.ndim + 1):
        shape[j] = call.shape[j]
    shape[call.ndim + 1] = call.size
    if same_shape(factor, 2, &shape[call.ndim]) and (call.ndim > 0 or call.is_fixed):
        call.o.shared |= 1 << k
        return 0
    if call.is_fixed:
        expect_shape(factor, 2, &shape[call.ndim], row.name, row.arguments[k], "one covariance for all samples")
    return expect_shape(factor, call.ndim + 2, shape, row.name, row.arguments[k],
                        f"a matrix for every sample, or {(call.size, call.size)}, one for all")


cdef int factorise(Row row, Call call) except -1:
    """The Cholesky factor of a covariance, in float64."""
    covariance = call.arrays[row.count - 1]
    name = row.arguments[row.count - 1]
    whole = covariance.astype(np.float64)
    if not np.isfinite(whole).all():
        raise ValueError(f"{row.name}: {name} has entries that are not finite, expected a covariance matrix")
    size = np.sqrt(np.abs(np.diagonal(whole)))
    bad = np.argwhere(~(np.abs(whole - whole.T) <= 4 * np.finfo(covariance.dtype).eps * np.outer(size, size)))
    if len(bad):
        i, j = map(int, bad[0])
        raise ValueError(f"{row.name}: {name}[{i}, {j}] is {covariance[i, j]} and {name}[{j}, {i}] is "
                         f"{covariance[j, i]}, expected a symmetric covariance")
    try:
        cholesky = np.ascontiguousarray(np.linalg.cholesky(whole))
    except np.linalg.LinAlgError:
        raise ValueError(f"{row.name}: {name} is not positive definite, expected a covariance matrix") from None
    call.remember(name, cholesky)
    call.o.factor = <const double *> cnp.PyArray_DATA(<cnp.ndarray> cholesky)
    return 0


cdef int read_pair(Row row, Call call, tuple args) except -1:
    """Two sets of vectors, the second of which may have more rows."""
    cdef cnp.ndarray a
    cdef int k
    call.arrays = [call.read(args[k], row.arguments[k]) for k in range(2)]
    for k in range(2):
        a = call.arrays[k]
        if cnp.PyArray_NDIM(a) != 2 or cnp.PyArray_DIM(a, 1) == 0:
            raise ValueError(f"{row.name}: {row.arguments[k]} have shape {(<object> a).shape}, "
                             f"expected (rows, D) with D >= 1")
    a = call.arrays[0]
    call.ndim, call.shape, call.size = 1, cnp.PyArray_DIMS(a), cnp.PyArray_DIM(a, 1)
    call.count_samples()
    call.set_weight(call.read_weight())
    for k in range(2):
        call.arrays[k] = call.input(row.arguments[k], args[k], call.arrays[k])
    return 0
