# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The loss objects: what was handed in is checked and described to a kernel, what it did is handed out.

Nothing is written before every check has passed.
"""

cimport numpy as cnp
from libc.math cimport isfinite
from libc.string cimport memset

from nllkern._engine cimport (
    NLLK_STAGE,
    WANT_GRAD,
    WANT_HESS,
    WANT_VALUE,
    nllk_pointwise,
    nllk_rowwise,
    nllk_sums,
    run,
    table,
    thread_count,
)

import inspect

import numpy as np

from . import _docs
from ._engine import loss_table

cnp.import_array()

cdef enum:
    MAX_PARAMETERS = 3
    MEAN = 0
    SUM = 1
    NONE = 2

# Elements below which a call runs on the calling thread alone: waking the others would cost more.
cdef enum:
    SERIAL_ELEMENTS = 32768

# A gradient of so many bytes is not in any cache when the caller reads it.  Long rows get scratch, of at most so much.
cdef enum:
    STREAM_BYTES = 64 << 20
    SCRATCH_BYTES = 768 << 10

cdef tuple LINKS = ("identity", "softplus", "log", "variance", "log_variance")
cdef tuple COMMON = ("reduction", "sample_weight", "normalizer", "out", "num_threads", "check")


# ---- inputs --------------------------------------------------------------------------------------------------------

cdef inline bint is_number(x):
    return isinstance(x, (float, int)) and not isinstance(x, bool)


cdef inline bint is_float_type(int t):
    return t == cnp.NPY_FLOAT or t == cnp.NPY_DOUBLE


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


cdef inline bint same_shape(cnp.ndarray a, int ndim, const cnp.npy_intp *shape):
    cdef int k
    if cnp.PyArray_NDIM(a) != ndim:
        return False
    for k in range(ndim):
        if cnp.PyArray_DIM(a, k) != shape[k]:
            return False
    return True


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


cdef class _Call:
    """The keywords that all losses share, and where a call's results go."""

    cdef str loss
    cdef int want, reduction, threads
    cdef bint check
    cdef object weight, normalizer, out
    cdef double denominator

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

    cdef bint wants_weight(self):
        """Whether the denominator is the weight of what counts."""
        return self.reduction == MEAN and self.normalizer is None

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


# ---- loss objects --------------------------------------------------------------------------------------------------

cdef class Loss:
    """A negative log-likelihood: calling it gives the value, its methods give derivatives."""

    cdef readonly str name
    cdef readonly tuple parameters
    cdef readonly tuple links
    cdef str extra, support
    cdef int index, linked

    def __cinit__(self, int index, row):
        self.index = index
        self.name, self.parameters, self.links, self.extra, self.support, _, self.linked = row

    @property
    def reference(self):
        """The same loss in plain NumPy: the definition of right."""
        from . import reference
        return getattr(reference, self.name)

    @property
    def __name__(self):
        return self.name

    @property
    def __signature__(self):
        common = {"reduction": "mean", "check": False}
        positional = (*self.parameters, "target")
        own = [p.replace(kind=inspect.Parameter.POSITIONAL_ONLY) if p.name in positional else p
               for p in self.reference.__signature__.parameters.values()]
        more = [inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=common.get(key)) for key in COMMON]
        return inspect.Signature([*own, *more])

    def __repr__(self):
        return f"<nllkern.{self.name}>"

    def __reduce__(self):
        return loss_named, (self.name,)

    def __call__(self, *args, **kwargs):
        """The value."""
        return self.compute(args, kwargs, WANT_VALUE)[0]

    def value_and_grad(self, *args, **kwargs):
        """(value, gradient) from one pass."""
        return self.compute(args, kwargs, WANT_GRAD)

    def grad(self, *args, **kwargs):
        """The gradient."""
        return self.compute(args, kwargs, WANT_GRAD)[1]

    def value_grad_hess(self, *args, **kwargs):
        """(value, gradient, diagonal second derivatives); ``out`` is a pair."""
        return self.compute(args, kwargs, WANT_HESS)

    cdef tuple compute(self, tuple args, dict kwargs, int want):
        raise NotImplementedError

    cdef int expect_arguments(self, tuple args) except -1:
        if len(args) != len(self.parameters) + 1:
            names = ", ".join([*self.parameters, "target"])
            raise TypeError(f"{self.name}: got {len(args)} positional arguments, "
                            f"expected {len(self.parameters) + 1}: {names}")
        return 0

    cdef unknown(self, str key, tuple own):
        raise TypeError(f"{self.name}: unknown keyword {key!r}, expected one of {', '.join(sorted(own + COMMON))}")

    cdef int agree(self, int t, int own, str name, cnp.ndarray a) except -2:
        """The dtype of the call, `t` so far, now that an input of dtype `own` has been seen (-1: none yet)."""
        if own == -1 or own == t:
            return t
        if t != -1:
            raise TypeError(f"{self.name}: {name} has dtype {a.dtype}, expected "
                            f"{cnp.PyArray_DescrFromType(t)} as the inputs before it")
        return own

    cdef int run_kernel(self, _Call call, double counted, const void *arguments, double *scale, ptrdiff_t samples,
                        ptrdiff_t sample_size, size_t scratch, int threads, int t, list results,
                        nllk_sums *sums) except -1:
        """Run the loss, of whose samples `counted` count; where nothing does, all results are 0."""
        if call.reduction != MEAN:
            call.denominator = 1
        elif call.normalizer is None:
            call.denominator = counted
        if call.denominator != 0 and samples > 0:
            scale[0] = 1 / call.denominator
            run(table(t == cnp.NPY_DOUBLE).loss[self.index], arguments, samples, sample_size, scratch, threads,
                sums)
            return 0
        memset(sums, 0, sizeof(nllk_sums))
        call.denominator = 1
        for array in results:
            if array is not None:
                array[...] = 0
        return 0

    cdef cnp.ndarray new_or_out(self, list outs, int k, int ndim, const cnp.npy_intp *shape, int t, list given):
        """Output k: the caller's array, checked, or a new one."""
        cdef str name = "out" if len(outs) == 1 else f"out[{k}]"
        if outs[k] is None:
            return <cnp.ndarray> cnp.PyArray_EMPTY(ndim, <cnp.npy_intp *> shape, t, 0)
        expect_out(outs[k], ndim, shape, t, self.name, name)
        given.append((name, outs[k]))
        return outs[k]


cdef class PointwiseLoss(Loss):
    # One target and one number per parameter make one sample.

    @property
    def __doc__(self):  # not inherited: a class's own, if only None, comes first
        return _docs.docstring(self.name)

    cdef tuple compute(self, tuple args, dict kwargs, int want):
        cdef _Call call = _Call.__new__(_Call)
        cdef nllk_pointwise a
        cdef nllk_sums sums
        cdef int count = len(self.parameters), k, t = -1, own, ndim = 0, threads
        cdef const cnp.npy_intp *shape = NULL
        cdef double[MAX_PARAMETERS + 1] numbers
        cdef float[MAX_PARAMETERS + 1] short_numbers
        cdef const void *lone
        cdef cnp.ndarray array
        cdef cnp.ndarray loss = None
        cdef ptrdiff_t samples = 1
        cdef double counted
        call.loss = self.name
        call.want = want
        memset(&a, 0, sizeof(a))
        self.expect_arguments(args)
        a.want = want
        a.full = 1
        extra = None
        for key, value in kwargs.items():
            if call.take(key, value):
                continue
            elif key == "link" and self.links:
                if not isinstance(value, str) or value not in self.links:
                    raise ValueError(f"{self.name}: link is {value!r}, expected one of {', '.join(self.links)}")
                a.link = LINKS.index(value)
            elif key == "full" and self.links:
                a.full = bool(value)
            elif key == self.extra and self.extra:
                extra = value
            else:
                self.unknown(key, (("link", "full") if self.links else ()) + ((self.extra,) if self.extra else ()))
        call.settle()

        # Which numbers, in which precision, of which shape.  A lone number stays None here.
        inputs = [None] * (count + 1)
        names = self.parameters + ("target",)
        for k in range(count + 1):
            x = args[k]
            if is_number(x):
                continue
            array = as_array(x)
            inputs[k] = array
            own = float_type(x, array, self.name, names[k])
            t = self.agree(t, own, names[k], array)
            if shape == NULL or (ndim == 0 and cnp.PyArray_NDIM(array) > 0):
                ndim = cnp.PyArray_NDIM(array)
                shape = cnp.PyArray_DIMS(array)
                first = names[k]
        weight_array = extra_array = None
        if call.weight is not None:
            weight_array = as_array(call.weight)
            own = float_type(call.weight, weight_array, self.name, "sample_weight")
            t = self.agree(t, own, "sample_weight", weight_array)
        if extra is not None:
            extra_array = as_array(extra)
            t = self.agree(t, float_type(extra, extra_array, self.name, self.extra), self.extra, extra_array)
        if t == -1:
            t = cnp.NPY_DOUBLE

        # Every input as the kernel wants it; `keep` holds what was converted.
        keep = []
        for k in range(count + 1):
            if inputs[k] is None or (ndim > 0 and cnp.PyArray_NDIM(inputs[k]) == 0):
                numbers[k] = args[k]
                short_numbers[k] = <float> numbers[k]
                lone = &numbers[k] if t == cnp.NPY_DOUBLE else <const void *> &short_numbers[k]
                self.set_input(&a, k, count, lone, 0)
                inputs[k] = None
            else:
                expect_shape(inputs[k], ndim, shape, self.name, names[k], f"as {first}")
                array = as_input(inputs[k], t)
                keep += [(names[k], array), (names[k], inputs[k])]
                self.set_input(&a, k, count, cnp.PyArray_DATA(array), 1)
        for k in range(ndim):
            samples *= shape[k]
        if weight_array is not None:
            expect_shape(weight_array, ndim, shape, self.name, "sample_weight", "the shape of the loss")
            array = as_input(weight_array, t)
            keep += [("sample_weight", array), ("sample_weight", weight_array)]
            a.weight = cnp.PyArray_DATA(array)
        if extra_array is not None:
            array = self.repeating(extra_array, ndim, shape, first)
            array = as_input(array, t)
            keep += [(self.extra, array), (self.extra, extra_array)]
            a.extra = cnp.PyArray_DATA(array)
            a.extra_period = max(cnp.PyArray_SIZE(array), 1)
        if call.check:
            self.check_domain(args, a.link)

        outs = call.outs(count) if want > WANT_VALUE else []
        results = [None] * len(outs)
        given = []
        for k in range(len(outs)):
            if inputs[k % count] is None:
                if outs[k] is not None:
                    raise ValueError(f"{self.name}: out[{k}] was given for {names[k % count]}, whose gradient is a "
                                     f"float since it is one number; expected None")
            else:
                results[k] = self.new_or_out(outs, k, ndim, shape, t, given)
        if given:
            expect_apart(given, keep, self.name)
        for k in range(len(outs)):
            if results[k] is not None:
                if k < count:
                    a.grad[k] = cnp.PyArray_DATA(results[k])
                else:
                    a.hess[k - count] = cnp.PyArray_DATA(results[k])
        if call.reduction == NONE:
            loss = <cnp.ndarray> cnp.PyArray_EMPTY(ndim, <cnp.npy_intp *> shape, t, 0)
            a.loss = cnp.PyArray_DATA(loss)

        threads = thread_count(call.threads) if samples >= SERIAL_ELEMENTS else 1
        counted = samples
        if a.weight != NULL and call.wants_weight():
            run(table(t == cnp.NPY_DOUBLE).survey[1], &a, samples, 1, 0, threads, &sums)
            counted = sums.weight
        self.run_kernel(call, counted, &a, &a.scale, samples, 1, 0, threads, t, results, &sums)
        for k in range(len(outs)):
            if results[k] is None:
                results[k] = sums.grad[k] if k < count else sums.hess[k - count]
        value = loss if loss is not None else sums.value / call.denominator
        return self.assemble(value, results, count, want)

    cdef cnp.ndarray repeating(self, cnp.ndarray x, int ndim, const cnp.npy_intp *shape, str like):
        """`x`, which broadcasts to `shape`, as an array that only has to be repeated."""
        full = tuple([shape[k] for k in range(ndim)])
        own = (<object> x).shape
        try:
            whole = np.broadcast_to(x, full)
        except ValueError:
            raise ValueError(f"{self.name}: {self.extra} has shape {own}, expected one that broadcasts to "
                             f"{shape_text(ndim, shape)}, as {like}") from None
        while own and own[0] == 1:
            own = own[1:]
        return x if own == full[len(full) - len(own):] else whole

    cdef tuple assemble(self, value, list results, int count, int want):
        if want == WANT_VALUE:
            return (value,)
        if count == 1:
            return (value, *results)
        if want == WANT_GRAD:
            return (value, tuple(results))
        return (value, tuple(results[:count]), tuple(results[count:]))

    cdef void set_input(self, nllk_pointwise *a, int k, int count, const void *data, int stride) noexcept:
        if k < count:
            a.parameter[k] = data
            a.parameter_stride[k] = stride
        else:
            a.target = data
            a.target_stride = stride

    cdef int check_domain(self, tuple args, int link) except -1:
        cdef int k
        target = as_array(args[len(args) - 1])
        if self.support == "unit":
            expect_all(lambda y: (y >= 0) & (y <= 1), target, self.name, "target", "0 <= target <= 1")
        elif self.support == "positive":
            expect_all(lambda y: (y > 0) & (y < np.inf), target, self.name, "target", "a positive, finite number")
        else:
            expect_all(lambda y: y == y, target, self.name, "target", "a number")
        for k in range(len(args) - 1):
            x = as_array(args[k])
            if self.links and self.linked >> k & 1 and LINKS[link] in ("identity", "variance"):
                expect_all(lambda p: p > 0, x, self.name, self.parameters[k], "a positive number")
            else:
                expect_all(lambda p: p == p, x, self.name, self.parameters[k], "a number")
        return 0


cdef expect_all(good, x, str loss, str name, str expected):
    """ValueError unless `good` holds everywhere; in pieces, so that no temporary grows with `x`."""
    flat = x.reshape(-1) if x.flags.c_contiguous else x.flat
    for start in range(0, x.size, 16384):
        bad = np.flatnonzero(~good(flat[start:start + 16384]))
        if len(bad):
            at = tuple(map(int, np.unravel_index(start + bad[0], x.shape)))
            place = f"[{', '.join(map(str, at))}]" if at else ""
            raise ValueError(f"{loss}: {name}{place} is {x[at]}, expected {expected}")


cdef class RowwiseLoss(Loss):
    # One row of logits and one target make one sample.

    @property
    def __doc__(self):
        return _docs.docstring(self.name)

    cdef tuple compute(self, tuple args, dict kwargs, int want):
        cdef _Call call = _Call.__new__(_Call)
        cdef nllk_rowwise a
        cdef nllk_sums sums
        cdef int t, k, ndim, threads
        cdef const cnp.npy_intp *shape
        cdef cnp.ndarray logits, target
        cdef cnp.ndarray loss = None
        cdef ptrdiff_t samples = 1
        cdef ptrdiff_t row_bytes, scratch
        call.loss = self.name
        call.want = want
        memset(&a, 0, sizeof(a))
        self.expect_arguments(args)
        a.want = want
        class_weight = ignore_index = None
        for key, value in kwargs.items():
            if call.take(key, value):
                continue
            elif key == "class_weight":
                class_weight = value
            elif key == "label_smoothing":
                a.smoothing = number(value, self.name, key)
                if not 0 <= a.smoothing <= 1:
                    raise ValueError(f"{self.name}: label_smoothing is {value!r}, expected 0 to 1")
            elif key == "ignore_index":
                ignore_index = value
            elif key == "z_loss":
                a.z_loss = number(value, self.name, key)
                if not (a.z_loss >= 0 and isfinite(a.z_loss)):
                    raise ValueError(f"{self.name}: z_loss is {value!r}, expected a finite number >= 0")
            elif key == "softcap":
                if value is not None:
                    a.softcap = number(value, self.name, key)
                    if not (a.softcap > 0 and isfinite(a.softcap)):
                        raise ValueError(f"{self.name}: softcap is {value!r}, "
                                         f"expected a positive, finite number or None")
            else:
                self.unknown(key, ("class_weight", "label_smoothing", "ignore_index", "z_loss", "softcap"))
        call.settle()
        if ignore_index is not None:
            if isinstance(ignore_index, bool) or not isinstance(ignore_index, (int, np.integer)):
                raise TypeError(f"{self.name}: ignore_index is {ignore_index!r}, expected an int or None")
            a.has_ignore = 1
            a.ignore_index = ignore_index

        logits = as_array(args[0])
        t = float_type(args[0], logits, self.name, "logits")
        ndim = cnp.PyArray_NDIM(logits) - 1
        shape = cnp.PyArray_DIMS(logits)
        if ndim < 0 or shape[ndim] == 0:
            raise ValueError(f"{self.name}: logits have shape {shape_text(ndim + 1, shape)}, "
                             f"expected (..., K) with K >= 1")
        for k in range(ndim):
            samples *= shape[k]
        a.classes = shape[ndim]
        target = as_array(args[1])
        keep = []
        if cnp.PyArray_ISINTEGER(target):
            if not same_shape(target, ndim, shape):
                own_shape = shape_text(cnp.PyArray_NDIM(target), cnp.PyArray_DIMS(target))
                raise ValueError(f"{self.name}: target has shape {own_shape}, "
                                 f"expected {shape_text(ndim, shape)} for class indices "
                                 f"(probabilities, one-hot ones too, have the logits' shape and a float dtype)")
            keep.append(("target", target))
            a.index_is_64 = not (cnp.PyArray_ITEMSIZE(target) == 4 and cnp.PyArray_ISSIGNED(target))
            if cnp.PyArray_TYPE(target) == cnp.NPY_UINT64:  # what int64 cannot hold must stay out of range
                target = np.minimum(target, np.uint64(2**63 - 1))
            target = as_input(target, cnp.NPY_INT64 if a.index_is_64 else cnp.NPY_INT32)
            a.index = cnp.PyArray_DATA(target)
        else:
            t = self.agree(t, float_type(args[1], target, self.name, "target"), "target", target)
            expect_shape(target, ndim + 1, shape, self.name, "target", "as logits, for probabilities")
        if class_weight is not None:
            x = as_array(class_weight)
            t = self.agree(t, float_type(class_weight, x, self.name, "class_weight"), "class_weight", x)
            expect_shape(x, 1, &shape[ndim], self.name, "class_weight", "one weight per class")
            class_weight = x
        weight = call.weight
        if weight is not None:
            x = as_array(weight)
            t = self.agree(t, float_type(weight, x, self.name, "sample_weight"), "sample_weight", x)
            expect_shape(x, ndim, shape, self.name, "sample_weight", "the shape of the loss")
            weight = x
        if t == -1:
            t = cnp.NPY_DOUBLE
        if class_weight is not None:
            keep.append(("class_weight", class_weight))
            class_weight = as_input(class_weight, t)
            keep.append(("class_weight", class_weight))
            a.class_weight = cnp.PyArray_DATA(class_weight)
        if weight is not None:
            keep.append(("sample_weight", weight))
            weight = as_input(weight, t)
            keep.append(("sample_weight", weight))
            a.weight = cnp.PyArray_DATA(weight)
        if a.index == NULL:
            keep.append(("target", target))
            target = as_input(target, t)
            a.prob = cnp.PyArray_DATA(target)
        keep.append(("target", target))
        a.row_stride = row_stride(logits, t)
        if a.row_stride == NOT_ROWS:
            keep.append(("logits", logits))
            logits = as_input(logits, t)
            a.row_stride = a.classes
        a.logits = cnp.PyArray_DATA(logits)
        keep.append(("logits", logits))
        shape = cnp.PyArray_DIMS(logits)
        if call.check:
            if a.prob != NULL:
                expect_all(lambda y: y >= 0, target, self.name, "target", "a probability >= 0")
            expect_all(lambda z: z == z, logits, self.name, "logits", "a number")

        outs = call.outs(1) if want > WANT_VALUE else []
        given = []
        results = [self.new_or_out(outs, k, ndim + 1, shape, t, given) for k in range(len(outs))]
        if given:
            expect_apart(given, keep, self.name)
        if want >= WANT_GRAD:
            a.grad = cnp.PyArray_DATA(results[0])
        if want >= WANT_HESS:
            a.hess = cnp.PyArray_DATA(results[1])
        if call.reduction == NONE:
            loss = <cnp.ndarray> cnp.PyArray_EMPTY(ndim, <cnp.npy_intp *> shape, t, 0)
            a.loss = cnp.PyArray_DATA(loss)

        row_bytes = a.classes * (8 if t == cnp.NPY_DOUBLE else 4)
        scratch = 0
        if want == WANT_GRAD and a.classes > NLLK_STAGE and row_bytes <= SCRATCH_BYTES:
            scratch = row_bytes
        a.stream = samples * row_bytes >= STREAM_BYTES
        threads = thread_count(call.threads) if samples * a.classes >= SERIAL_ELEMENTS else 1
        a.want_weight = call.wants_weight() and (
            a.weight != NULL or a.has_ignore or (a.index != NULL and a.class_weight != NULL))
        if a.index != NULL or a.want_weight:
            run(table(t == cnp.NPY_DOUBLE).survey[0], &a, samples, 1 if a.index != NULL else a.classes, 0,
                threads if samples >= SERIAL_ELEMENTS else 1, &sums)
            if a.index != NULL and sums.bad >= 0:
                self.bad_index(as_array(args[1]), sums.bad, a.classes, ignore_index)
        self.run_kernel(call, sums.weight if a.want_weight else samples, &a, &a.scale, samples, a.classes, scratch,
                        threads, t, results, &sums)
        value = loss if loss is not None else sums.value / call.denominator
        return (value, *results)

    cdef bad_index(self, cnp.ndarray target, ptrdiff_t position, ptrdiff_t classes, ignore_index):
        at = tuple(map(int, np.unravel_index(position, (<object> target).shape)))
        place = f"[{', '.join(map(str, at))}]" if at else ""
        also = "" if ignore_index is None else f" or ignore_index = {ignore_index}"
        raise IndexError(f"{self.name}: target{place} is {target[at]}, expected 0 <= index < {classes}{also}")


cdef enum:
    NOT_ROWS = -0x7fffffff


cdef ptrdiff_t row_stride(cnp.ndarray a, int t):
    """Elements from one row to the next if `a` is a sequence of contiguous rows; else NOT_ROWS."""
    cdef int k, last = cnp.PyArray_NDIM(a) - 1
    cdef ptrdiff_t size = cnp.PyArray_ITEMSIZE(a), stride = cnp.PyArray_DIM(a, last) * size
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
            expected = stride * cnp.PyArray_DIM(a, k)
        elif cnp.PyArray_STRIDE(a, k) != expected:
            return NOT_ROWS
        else:
            expected *= cnp.PyArray_DIM(a, k)
    return stride // size if stride % size == 0 else NOT_ROWS


_all = {row[0]: (RowwiseLoss if row[5] else PointwiseLoss)(k, row) for k, row in enumerate(loss_table())}


def loss_named(name):
    """The loss of that name (what pickles of it hold)."""
    return _all[name]


def losses():
    """All loss objects, in the order of the table."""
    return list(_all.values())
