# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The loss objects: from Python's arguments to the function of nllkern.h and back, by the row of the loss."""

cimport numpy as cnp
from libc.string cimport memcpy

from nllkern._arguments cimport (
    NOT_ROWS,
    as_array,
    as_input,
    expect_apart,
    expect_out,
    expect_shape,
    flag,
    float_type,
    integer,
    is_number,
    number,
    place,
    row_stride,
    same_shape,
    shape_text,
)
from nllkern._engine cimport (
    NLLK_BAD_INDEX,
    NLLK_BAD_REDUCTION,
    NLLK_BAD_SIZE,
    NLLK_BAD_VALUE,
    NLLK_BAD_WEIGHT,
    NLLK_GRADIENT,
    NLLK_HESSIAN,
    NLLK_NONE,
    NLLK_OK,
    NLLK_TARGET_INT32,
    NLLK_TARGET_INT64,
    NLLK_TARGET_PROBABILITIES,
    NLLK_VALUE,
    NLLK_VECTOR_MAX,
    compute,
    nllk_default_options,
    nllk_empty_results,
    nllk_message,
    nllk_options,
    nllk_results,
)

import inspect

import numpy as np

from . import _docs
from .lowlevel import Options

cnp.import_array()

cdef nllk_options default_options
cdef nllk_results empty_results
nllk_default_options(&default_options)
nllk_empty_results(&empty_results)

cdef enum:
    POINTWISE
    ROWS
    VECTORS
    CONTRASTIVE

cdef enum:
    TAKES_INDEX = 1
    TAKES_PROBABILITIES = 2
    TAKES_REAL = 4

cdef tuple KINDS = ("pointwise", "rows", "vectors", "contrastive")

cdef enum:
    NUMBER
    CHOICE
    FLAG
    INTEGER
    LINK
    THREADS
    SAMPLE_WEIGHT
    PER_CLASS
    PER_SAMPLE
    OUT
    OTHER

cdef dict OPTION_KINDS = {
    "number": NUMBER, "choice": CHOICE, "flag": FLAG, "integer": INTEGER, "link": LINK, "threads": THREADS,
    "sample_weight": SAMPLE_WEIGHT, "per_class": PER_CLASS, "per_sample": PER_SAMPLE, "out": OUT,
}


cdef class Slot:
    def __cinit__(self, row, loss):
        self.row, self.words, self.kind = row, row.words, OPTION_KINDS.get(row.kind, OTHER)
        self.offset = -1
        if row.in_c and hasattr(Options, row.c_field):
            self.offset = getattr(Options, row.c_field).offset
        self.numbers = {name: k for k, name in enumerate(row.choices)}
        for k, parameter in enumerate(loss.parameters):
            if row.kind == "link" and parameter.option is row:
                self.parameters |= 1 << k
                self.numbers |= {link.name: link.number for link in parameter.links}
                self.words = f"one of {', '.join(self.numbers)}"


cdef class Call:
    cdef cnp.ndarray input(self, str name, object x, cnp.ndarray given):
        """An array as C reads it."""
        cdef cnp.ndarray a = as_input(given, self.t)
        self.keep.append((name, a))
        if a is not given:
            self.keep.append((name, given))
        return a


class Method:
    """A method of a loss, with the signature of that loss."""

    def __init__(self, loss, name, text):
        self.__self__, self.__name__, self.__doc__ = loss, name, text
        self.__qualname__ = f"{loss.name}.{name}"

    @property
    def __signature__(self):
        return self.__self__.__signature__

    def __repr__(self):
        return f"<nllkern.{self.__qualname__}>"

    def __reduce__(self):
        return getattr, (self.__self__, self.__name__)


class ValueAndGrad(Method):
    def __call__(self, *args, **kwargs):
        return (<Loss> self.__self__).compute(args, kwargs, NLLK_GRADIENT)


class Grad(Method):
    def __call__(self, *args, **kwargs):
        return (<Loss> self.__self__).compute(args, kwargs, NLLK_GRADIENT)[1]


class ValueGradHess(Method):
    def __call__(self, *args, **kwargs):
        return (<Loss> self.__self__).compute(args, kwargs, NLLK_HESSIAN)


cdef class Loss:
    """A negative log-likelihood: calling it gives the value, its methods give derivatives."""

    def __cinit__(self, int index, row, run_in_python=None):
        self.index, self.row, self.name, self.kind = index, row, row.name, KINDS.index(row.kind)
        self.arguments = row.arguments
        self.parameters = tuple(p.name for p in row.parameters)
        self.count = len(self.parameters)
        self.options = {option.name: Slot(option, row) for option in row.all_options}
        self.links = tuple(row.links)
        self.targets = row.target_kinds
        self.matrices = sum([1 << k for k, p in enumerate(row.parameters) if p.kind == "factor"])
        self.run_in_python = run_in_python
        self.methods = (
            ValueAndGrad(self, "value_and_grad", "(value, gradient) from one pass."),
            Grad(self, "grad", "The gradient."),
            ValueGradHess(self, "value_grad_hess",
                          "(value, gradient, diagonal second derivatives); ``out`` is a pair."),
        )

    @property
    def __doc__(self):
        return _docs.docstring(self.name)

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
        parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY) for name in self.arguments]
        for option in self.row.all_options:
            default = inspect.Parameter.empty if option.default is ... else option.default
            parameters.append(inspect.Parameter(option.name, inspect.Parameter.KEYWORD_ONLY, default=default))
        return inspect.Signature(parameters)

    def __repr__(self):
        return f"<nllkern.{self.name}>"

    def __reduce__(self):
        from ._losses import loss_named
        return loss_named, (self.name,)

    def __call__(self, *args, **kwargs):
        """The value."""
        return self.compute(args, kwargs, NLLK_VALUE)[0]

    @property
    def value_and_grad(self):
        """(value, gradient) from one pass."""
        return self.methods[0]

    @property
    def grad(self):
        """The gradient."""
        return self.methods[1]

    @property
    def value_grad_hess(self):
        """(value, gradient, diagonal second derivatives); ``out`` is a pair."""
        return self.methods[2]

    # ---- a call ----

    cdef tuple compute(self, tuple args, dict kwargs, int want):
        cdef Call call = Call.__new__(Call)
        cdef int status
        memcpy(&call.o, &default_options, sizeof(default_options))
        memcpy(&call.r, &empty_results, sizeof(empty_results))
        call.o.want = want
        call.t = -1
        call.keep = []
        if len(args) != len(self.arguments):
            raise TypeError(f"{self.name}: got {len(args)} positional arguments, "
                            f"expected {len(self.arguments)}: {', '.join(self.arguments)}")
        if want == NLLK_HESSIAN and not self.row.has_hess:
            raise NotImplementedError(f"{self.name}: second derivatives are not offered, use value_and_grad")
        for key, value in kwargs.items():
            self.take(call, key, value)
        if self.kind == ROWS:
            self.read_rows(call, args)
        elif self.kind == POINTWISE:
            self.read_points(call, args)
        elif self.kind == VECTORS:
            self.read_vectors(call, args)
        else:
            self.read_pair(call, args)
        self.open_results(call)
        if self.run_in_python is not None:
            return self.python(call)
        status = compute(self.index, call.t == cnp.NPY_DOUBLE, call.samples, call.size, call.inputs, &call.o, &call.r)
        if status != NLLK_OK:
            self.fail(call, args, kwargs, status)
        return self.assemble(call)

    # ---- options ----

    cdef int take(self, Call call, str key, value) except -1:
        """Store a keyword's value where its row says."""
        cdef Slot slot = self.options.get(key)
        cdef char *at
        if slot is None:
            raise TypeError(f"{self.name}: unknown keyword {key!r}, expected one of {', '.join(sorted(self.options))}")
        at = <char *> &call.o + slot.offset
        if slot.kind == CHOICE or slot.kind == LINK:
            if not isinstance(value, str) or value not in slot.numbers:
                raise ValueError(f"{self.name}: {key} is {value!r:.100}, expected {slot.words}")
            if slot.kind == LINK:
                self.set_link(call, slot, value)
            elif slot.offset < 0:
                self.put(call, key, value)
            else:
                (<int *> at)[0] = slot.numbers[value]
        elif slot.kind == NUMBER:
            if value is None and slot.row.default is None:
                return 0
            if slot.offset < 0:
                x = number(value, self.name, key, slot.words)
                self.put(call, key, x)
                if not slot.row.low <= x <= slot.row.high:
                    raise ValueError(f"{self.name}: {key} is {value!r}, expected {slot.words}")
            else:
                (<double *> at)[0] = number(value, self.name, key, slot.words)
                if (<double *> at)[0] == 0 and slot.row.nothing == 0:  # 0 stands for None in C alone
                    raise ValueError(f"{self.name}: {key} is {value!r}, expected {slot.words}")
        elif slot.kind == FLAG:
            if slot.offset < 0:
                self.put(call, key, flag(value, self.name, key))
            else:
                (<int *> at)[0] = flag(value, self.name, key) != slot.row.default
        elif slot.kind == THREADS:
            if value is not None:
                value = integer(value, self.name, key, slot.words)
                if not 1 <= value <= 1024:
                    raise ValueError(f"{self.name}: num_threads is {value}, expected 1 to 1024")
                call.o.num_threads = value
        elif slot.kind == INTEGER:
            if value is not None:
                value = integer(value, self.name, key, slot.words)
                if not -2**63 <= value < 2**63:
                    raise ValueError(f"{self.name}: {key} is {value}, expected a number that fits in int64")
                call.o.has_ignore_index = 1
                call.o.ignore_index = value
        elif slot.kind == SAMPLE_WEIGHT:
            call.weight = value
        elif slot.kind == PER_CLASS:
            call.class_weight = value
        elif slot.kind == PER_SAMPLE:
            call.extra = value
        elif slot.kind == OUT:
            if value is not None and call.o.want == NLLK_VALUE:
                raise TypeError(f"{self.name}: out receives gradients, so it belongs to value_and_grad, grad and "
                                f"value_grad_hess, not to a call for the value alone")
            call.out = value
        else:
            self.put(call, key, value)
        return 0

    cdef int put(self, Call call, str key, value) except -1:
        """An option that C does not have."""
        if call.more is None:
            call.more = {}
        call.more[key] = value
        return 0

    cdef int set_link(self, Call call, Slot slot, str name) except -1:
        cdef int k, which = slot.numbers[name]
        if which < 0:
            call.is_fixed = True
            return 0
        for k in range(self.count):
            if slot.parameters >> k & 1:
                call.o.link[k] = which
        return 0

    # ---- inputs ----

    cdef int agree(self, Call call, x, cnp.ndarray a, str name) except -1:
        """The dtype of the call, now that this input has been seen."""
        cdef int t = float_type(x, a, self.name, name)
        if t == -1 or t == call.t:
            return 0
        if call.t != -1:
            raise TypeError(f"{self.name}: {name} has dtype {a.dtype}, expected "
                            f"{cnp.PyArray_DescrFromType(call.t)} as the inputs before it")
        call.t = t
        return 0

    cdef cnp.ndarray read(self, Call call, x, str name):
        """An input as an array, its dtype agreed on."""
        cdef cnp.ndarray a = as_array(x, self.name, name)
        self.agree(call, x, a, name)
        return a

    cdef int count_samples(self, Call call) except -1:
        cdef int k
        call.samples = 1
        for k in range(call.ndim):
            call.samples *= call.shape[k]
        return 0

    cdef cnp.ndarray read_weight(self, Call call):
        """The weights of the samples, their shape checked; None for none."""
        cdef cnp.ndarray a
        if call.weight is None:
            return None
        a = self.read(call, call.weight, "sample_weight")
        expect_shape(a, call.ndim, call.shape, self.name, "sample_weight", "the shape of the loss")
        return a

    cdef cnp.ndarray set_weight(self, Call call, cnp.ndarray weight):
        if call.t == -1:
            call.t = cnp.NPY_DOUBLE
        if weight is not None:
            weight = call.input("sample_weight", call.weight, weight)
            call.o.sample_weight = cnp.PyArray_DATA(weight)
        return weight

    cdef int read_points(self, Call call, tuple args) except -1:
        """One number per parameter and sample, or one number for all samples."""
        cdef int k, n = len(args)
        cdef cnp.ndarray a, weight, extra = None
        cdef str first = self.arguments[0]
        call.arrays = [None] * n
        call.ndim = 0
        call.shape = NULL
        for k in range(n):
            if is_number(args[k]):
                continue
            a = self.read(call, args[k], self.arguments[k])
            call.arrays[k] = a
            if call.shape == NULL or (call.ndim == 0 and cnp.PyArray_NDIM(a) > 0):
                call.ndim, call.shape, first = cnp.PyArray_NDIM(a), cnp.PyArray_DIMS(a), self.arguments[k]
        weight = self.read_weight(call)
        if call.extra is not None:
            extra = self.read_extra(call)
        self.count_samples(call)
        self.set_weight(call, weight)
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
                    self.wrong_shape(call, a, self.arguments[k], first)
                call.inputs[k] = cnp.PyArray_DATA(call.input(self.arguments[k], args[k], a))
        if extra is not None:
            extra = self.repeating(call, extra, first)
            extra = call.input(self.extra_name(), call.extra, extra)
            call.o.extra = cnp.PyArray_DATA(extra)
            call.o.extra_period = max(cnp.PyArray_SIZE(extra), 1)
        return 0

    cdef int wrong_shape(self, Call call, cnp.ndarray a, str name, str first) except -1:
        own, wanted = (<object> a).shape, tuple([call.shape[k] for k in range(call.ndim)])
        hint = ""
        try:
            np.broadcast_shapes(own, wanted)
            hint = "; arrays are not broadcast here: use np.broadcast_arrays"
        except ValueError:
            pass
        raise ValueError(f"{self.name}: {name} has shape {own}, expected {wanted}, as {first}, or one number{hint}")

    cdef str extra_name(self):
        return next(name for name, slot in self.options.items() if (<Slot> slot).kind == PER_SAMPLE)

    cdef cnp.ndarray read_extra(self, Call call):
        """The option that may be one number (which goes to C as a double), or an array."""
        cdef str name = self.extra_name()
        if is_number(call.extra):
            call.o.extra_value = call.extra
            return None
        a = as_array(call.extra, self.name, name)
        if a.ndim == 0:
            call.o.extra_value = number(a, self.name, name, (<Slot> self.options[name]).words)
            return None
        self.agree(call, call.extra, a, name)
        return a

    cdef cnp.ndarray repeating(self, Call call, cnp.ndarray x, str like):
        """`x`, which broadcasts to the shape of the loss, as an array that only has to be repeated."""
        full = tuple([call.shape[k] for k in range(call.ndim)])
        own = (<object> x).shape
        try:
            whole = np.broadcast_to(x, full)
        except ValueError:
            raise ValueError(f"{self.name}: {self.extra_name()} has shape {own}, expected one that broadcasts to "
                             f"{full}, as {like}") from None
        while own and own[0] == 1:
            own = own[1:]
        return x if own == full[len(full) - len(own):] else whole

    cdef int read_rows(self, Call call, tuple args) except -1:
        """Rows of K numbers; a class index, probabilities, or a number for each."""
        cdef cnp.ndarray logits, target, weight, class_weight = None
        cdef str prediction = self.arguments[0]
        cdef int targets = self.targets
        cdef bint is_index
        logits = self.read(call, args[0], prediction)
        call.ndim = cnp.PyArray_NDIM(logits) - 1
        call.shape = cnp.PyArray_DIMS(logits)
        if call.ndim < 0 or call.shape[call.ndim] == 0:
            raise ValueError(f"{self.name}: {prediction} have shape {shape_text(call.ndim + 1, call.shape)}, "
                             f"expected (..., K) with K >= 1")
        call.size = call.shape[call.ndim]
        self.count_samples(call)
        target = as_array(args[1], self.name, "target")
        is_index = self.is_index(call, args[1], target, logits)
        if not is_index:
            self.agree(call, args[1], target, "target")
            if targets & TAKES_REAL:
                expect_shape(target, call.ndim, call.shape, self.name, "target", "one number per row of logits")
            else:
                expect_shape(target, call.ndim + 1, call.shape, self.name, "target", "as logits, for probabilities")
        if call.class_weight is not None:
            class_weight = self.read(call, call.class_weight, "class_weight")
            expect_shape(class_weight, 1, &call.shape[call.ndim], self.name, "class_weight", "one weight per class")
        weight = self.set_weight(call, self.read_weight(call))
        if class_weight is not None:
            call.o.class_weight = cnp.PyArray_DATA(call.input("class_weight", call.class_weight, class_weight))
        if is_index:
            call.keep.append(("target", target))
            target = self.as_indices(call, target)
        elif targets & TAKES_REAL:
            target = self.indices(call, call.input("target", args[1], target), weight)
            call.o.target = NLLK_TARGET_INT64
        else:
            target = call.input("target", args[1], target)
            call.o.target = NLLK_TARGET_PROBABILITIES
        call.keep.append(("target", target))
        call.inputs[1] = cnp.PyArray_DATA(target)
        call.o.row_stride = row_stride(logits, call.t)
        call.keep.append((prediction, logits))
        if call.o.row_stride == NOT_ROWS:
            logits = call.input(prediction, args[0], logits)
            call.o.row_stride = call.size
        call.inputs[0] = cnp.PyArray_DATA(logits)
        call.shape = cnp.PyArray_DIMS(logits)
        call.arrays = [logits]
        return 0

    cdef bint is_index(self, Call call, x, cnp.ndarray target, cnp.ndarray logits) except -1:
        """Whether the target holds class indices; a target that can be neither is refused."""
        cdef int targets = self.targets
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
                        f"np.moveaxis({self.arguments[0]}, 1, -1) for an array with classes on axis 1")
            raise ValueError(f"{self.name}: target has shape {own}, "
                             f"expected {shape_text(call.ndim, call.shape)} for class indices{hint}")
        if kind == "O" or kind not in "fb" or not targets & TAKES_PROBABILITIES \
                or (same_shape(target, call.ndim, call.shape) and call.ndim + 1 != cnp.PyArray_NDIM(target)):
            also = ", or probabilities as float32 or float64" if targets & TAKES_PROBABILITIES else ""
            hint = "; use target.astype(int)" if kind in "fb" else ""
            raise TypeError(f"{self.name}: target has dtype {target.dtype}, expected integers for class indices"
                            f"{also}{hint}")
        return False

    cdef cnp.ndarray as_indices(self, Call call, cnp.ndarray target):
        """Class indices in one of the two integer types that C reads."""
        cdef bint is_32 = cnp.PyArray_ITEMSIZE(target) == 4 and cnp.PyArray_ISSIGNED(target)
        call.o.target = NLLK_TARGET_INT32 if is_32 else NLLK_TARGET_INT64
        if cnp.PyArray_TYPE(target) == cnp.NPY_UINT64:  # what int64 cannot hold must stay out of range
            target = np.minimum(target, np.uint64(2**63 - 1))
        return as_input(target, cnp.NPY_INT32 if is_32 else cnp.NPY_INT64)

    cdef cnp.ndarray indices(self, Call call, cnp.ndarray target, cnp.ndarray weight):
        """The class indices that a real-valued target stands for."""
        raise NotImplementedError

    cdef int read_vectors(self, Call call, tuple args) except -1:
        """Vectors of d numbers, on the last axis; a d x d matrix for each, or one for all."""
        cdef cnp.ndarray a, weight
        cdef int k
        cdef str first = self.arguments[0]
        call.arrays = [self.read(call, args[k], self.arguments[k]) for k in range(len(args))]
        a = call.arrays[0]
        call.ndim, call.shape = cnp.PyArray_NDIM(a) - 1, cnp.PyArray_DIMS(a)
        if call.ndim < 0 or call.shape[call.ndim] == 0:
            raise ValueError(f"{self.name}: {first} has shape {shape_text(call.ndim + 1, call.shape)}, "
                             f"expected (..., d) with d >= 1")
        call.size = call.shape[call.ndim]
        self.count_samples(call)
        weight = self.read_weight(call)
        for k in range(1, len(args)):
            if k < self.count and self.matrices >> k & 1:
                self.expect_factor(call, k)
            else:
                expect_shape(call.arrays[k], call.ndim + 1, call.shape, self.name, self.arguments[k], f"as {first}")
        self.set_weight(call, weight)
        for k in range(len(args)):
            call.arrays[k] = call.input(self.arguments[k], args[k], call.arrays[k])
            call.inputs[k] = cnp.PyArray_DATA(call.arrays[k])
        if call.is_fixed:
            self.factorise(call)
        return 0

    cdef int expect_factor(self, Call call, int k) except -1:
        cdef cnp.ndarray factor = call.arrays[k]
        cdef cnp.npy_intp shape[64]
        cdef int j
        if call.size > NLLK_VECTOR_MAX:
            raise ValueError(f"{self.name}: {self.arguments[0]} has shape "
                             f"{shape_text(call.ndim + 1, call.shape)}, expected (..., d) with d up to "
                             f"{NLLK_VECTOR_MAX}")
        for j in range(call.ndim + 1):
            shape[j] = call.shape[j]
        shape[call.ndim + 1] = call.size
        if same_shape(factor, 2, &shape[call.ndim]) and (call.ndim > 0 or call.is_fixed):
            call.o.shared |= 1 << k
            return 0
        if call.is_fixed:
            expect_shape(factor, 2, &shape[call.ndim], self.name, self.arguments[k], "one covariance for all samples")
        return expect_shape(factor, call.ndim + 2, shape, self.name, self.arguments[k],
                            f"a matrix for every sample, or {(call.size, call.size)}, one for all")

    cdef int factorise(self, Call call) except -1:
        """The Cholesky factor of a covariance, in float64."""
        covariance = call.arrays[self.count - 1]
        name = self.arguments[self.count - 1]
        whole = covariance.astype(np.float64)
        if not np.isfinite(whole).all():
            raise ValueError(f"{self.name}: {name} has entries that are not finite, expected a covariance matrix")
        size = np.sqrt(np.abs(np.diagonal(whole)))
        bad = np.argwhere(~(np.abs(whole - whole.T) <= 4 * np.finfo(covariance.dtype).eps * np.outer(size, size)))
        if len(bad):
            i, j = map(int, bad[0])
            raise ValueError(f"{self.name}: {name}[{i}, {j}] is {covariance[i, j]} and {name}[{j}, {i}] is "
                             f"{covariance[j, i]}, expected a symmetric covariance")
        try:
            cholesky = np.ascontiguousarray(np.linalg.cholesky(whole))
        except np.linalg.LinAlgError:
            raise ValueError(f"{self.name}: {name} is not positive definite, expected a covariance matrix") from None
        call.keep.append((name, cholesky))
        call.o.factor = <const double *> cnp.PyArray_DATA(<cnp.ndarray> cholesky)
        return 0

    cdef int read_pair(self, Call call, tuple args) except -1:
        """Two sets of vectors, the second of which may have more rows."""
        cdef cnp.ndarray a, weight
        cdef int k
        call.arrays = [self.read(call, args[k], self.arguments[k]) for k in range(2)]
        for k in range(2):
            a = call.arrays[k]
            if cnp.PyArray_NDIM(a) != 2 or cnp.PyArray_DIM(a, 1) == 0:
                raise ValueError(f"{self.name}: {self.arguments[k]} have shape {(<object> a).shape}, "
                                 f"expected (rows, D) with D >= 1")
        a = call.arrays[0]
        call.ndim, call.shape, call.size = 1, cnp.PyArray_DIMS(a), cnp.PyArray_DIM(a, 1)
        self.count_samples(call)
        weight = self.set_weight(call, self.read_weight(call))
        for k in range(2):
            call.arrays[k] = call.input(self.arguments[k], args[k], call.arrays[k])
        return 0

    # ---- results ----

    cdef list outs(self, Call call):
        """`out` as a flat list: a gradient per parameter, then second derivatives; None where none was given."""
        cdef int sets = call.o.want
        if call.out is None:
            return [None] * (sets * self.count)
        parts = call.out if sets == 2 else (call.out,)
        if sets == 2 and (not isinstance(parts, (tuple, list)) or len(parts) != 2):
            raise TypeError(f"{self.name}: out is {type(call.out).__name__}, "
                            f"expected a pair (gradients, second derivatives)")
        flat = []
        for part in parts:
            if part is None:
                flat += [None] * self.count
            elif self.count == 1:
                flat.append(part)
            elif isinstance(part, (tuple, list)) and len(part) == self.count:
                flat += part
            else:
                got = type(part).__name__
                if isinstance(part, (tuple, list)):
                    got += f" of {len(part)}"
                raise TypeError(f"{self.name}: out is {got}, expected a tuple of {self.count} arrays, "
                                f"one per parameter")
        return flat

    cdef int open_results(self, Call call) except -1:
        """The arrays that receive the results: the caller's, validated, or new ones."""
        cdef int k, j
        cdef cnp.ndarray like, result
        cdef list outs, given = []
        call.results = []
        outs = self.outs(call) if call.o.want > NLLK_VALUE else []
        for k in range(len(outs)):
            j = k % self.count
            like = call.arrays[j]
            if like is None or (call.is_fixed and j == self.count - 1):
                if outs[k] is not None:
                    what = "is a float since it is one number" if like is None else "is not there since it is fixed"
                    raise ValueError(f"{self.name}: out[{k}] was given for {self.parameters[j]}, whose gradient "
                                     f"{what}; expected None")
                call.results.append(None)
                continue
            if outs[k] is None:
                result = <cnp.ndarray> cnp.PyArray_EMPTY(cnp.PyArray_NDIM(like), cnp.PyArray_DIMS(like), call.t, 0)
            else:
                name = "out" if len(outs) == 1 else f"out[{k}]"
                expect_out(outs[k], cnp.PyArray_NDIM(like), cnp.PyArray_DIMS(like), call.t, self.name, name)
                given.append((name, outs[k]))
                result = outs[k]
            call.results.append(result)
            if k < self.count:
                call.r.grad[j] = cnp.PyArray_DATA(result)
            else:
                call.r.hess[j] = cnp.PyArray_DATA(result)
        if given:
            expect_apart(given, call.keep, self.name)
        if call.o.reduction == NLLK_NONE and self.run_in_python is None:
            call.losses = <cnp.ndarray> cnp.PyArray_EMPTY(call.ndim, <cnp.npy_intp *> call.shape, call.t, 0)
            call.r.loss = cnp.PyArray_DATA(call.losses)
        return 0

    cdef tuple assemble(self, Call call):
        cdef int k
        cdef list found = call.results
        value = call.r.value if call.losses is None else call.losses
        if not found:
            return (value,)
        if self.kind == POINTWISE and call.o.shared:
            for k in range(len(found)):
                if found[k] is None:
                    found[k] = call.r.grad_sum[k] if k < self.count else call.r.hess_sum[k - self.count]
        if self.count == 1:
            return (value, *found)
        if call.o.want == NLLK_GRADIENT:
            return (value, tuple(found))
        return (value, tuple(found[:self.count]), tuple(found[self.count:]))

    cdef tuple python(self, Call call):
        """A loss whose products are NumPy's: its function returns the value and fills the gradients."""
        value = self.run_in_python(self, call.arrays, call.results, weight=call_weight(call), more=call.more or {},
                                   reduction=call.o.reduction, normalizer=call_normalizer(call),
                                   check=call.o.check, threads=call.o.num_threads)
        return (value, tuple(call.results)) if call.results else (value,)

    # ---- errors ----

    cdef int fail(self, Call call, tuple args, dict kwargs, int status) except -1:
        """Put an error of C into words."""
        cdef str argument = call.r.argument.decode() if call.r.argument != NULL else ""
        cdef Slot slot
        if status == NLLK_BAD_INDEX:
            self.bad_index(call, as_array(args[1], self.name, "target"))
        if status == NLLK_BAD_VALUE:
            self.bad_value(call, args, argument)
        if status == NLLK_BAD_WEIGHT:
            raise ValueError(f"{self.name}: the weights of the mean do not sum to a positive number, though some are "
                             f"not 0: expected sample_weight >= 0, or a normalizer")
        if argument == "normalizer" and call.o.reduction != 0:
            raise ValueError(f"{self.name}: normalizer is the denominator of reduction='mean', got another reduction")
        slot = self.options.get(argument)
        if slot is not None:
            raise ValueError(f"{self.name}: {argument} is {kwargs.get(argument)!r}, expected {slot.words}")
        raise ValueError(f"{self.name}: {argument or 'the call'}: {nllk_message(status).decode()}")

    cdef int bad_index(self, Call call, cnp.ndarray target) except -1:
        at = place(target, call.r.bad)
        also = f" or ignore_index = {call.o.ignore_index}" if call.o.has_ignore_index else ""
        raise IndexError(f"{self.name}: target{at} is {(<object> target).flat[call.r.bad]}, "
                         f"expected 0 <= index < {call.size}{also}")

    cdef int bad_value(self, Call call, tuple args, str argument) except -1:
        """An input outside its domain, with ``check=True``."""
        cdef Slot slot = self.options.get(argument)
        cdef cnp.ndarray a
        if slot is not None:
            given, words = {SAMPLE_WEIGHT: call.weight, PER_CLASS: call.class_weight}.get(slot.kind, call.extra), ""
            words = slot.row.support.words
        else:
            k = self.arguments.index(argument)
            given = args[k]
            words = self.row.words_of(k, call.o.link[k] if k < self.count else 0)
        a = as_array(given, self.name, argument)
        position = call.r.bad if cnp.PyArray_SIZE(a) > call.r.bad else call.r.bad % max(cnp.PyArray_SIZE(a), 1)
        x = (<object> a).flat[position]
        if self.kind == VECTORS and slot is None and k < self.count and self.matrices >> k & 1:
            i, j = divmod(position % (call.size * call.size), call.size)
            words = "a positive number, on the diagonal" if i == j and call.o.link[k] == 0 else "a finite number"
        elif self.kind == ROWS and argument == self.arguments[0] and x == -np.inf:
            words = "a row with a number above -inf"
        raise ValueError(f"{self.name}: {argument}{place(a, position)} is {x}, expected {words}")


cdef object call_weight(Call call):
    """The weights, converted."""
    if call.weight is None:
        return None
    return next(x for name, x in call.keep if name == "sample_weight")


cdef object call_normalizer(Call call):
    from .lowlevel import Options as fields
    cdef double x = (<double *> (<char *> &call.o + <ptrdiff_t> fields.normalizer.offset))[0]
    return x or None
