# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The loss objects: from Python's arguments to the function of nllkern.h and back, by the row of the loss."""

cimport numpy as cnp
from libc.string cimport memcpy

from nllkern._arguments cimport expect_apart, expect_out, flag, integer, number
from nllkern._engine cimport (
    NLLK_BAD_INDEX,
    NLLK_BAD_VALUE,
    NLLK_BAD_WEIGHT,
    NLLK_GRADIENT,
    NLLK_HESSIAN,
    NLLK_NONE,
    NLLK_OK,
    NLLK_VALUE,
    compute,
    nllk_default_options,
    nllk_empty_results,
    nllk_message,
    nllk_options,
    nllk_results,
)
from nllkern._inputs cimport Call, Row, read_pair, read_points, read_rows, read_vectors
from nllkern._results cimport new_array

import inspect

from . import _docs, _errors
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


cdef class Method:
    """A method of a loss, with the signature of that loss."""

    def __cinit__(self, Loss loss, str name, int want, bint has_value):
        self.loss, self.name, self.want, self.has_value = loss, name, want, has_value

    def __call__(self, *args, **kwargs):
        cdef tuple found = self.loss.run(args, kwargs, self.want)
        return found if self.has_value else found[1]

    @property
    def __self__(self):
        return self.loss

    @property
    def __name__(self):
        return self.name

    @property
    def __qualname__(self):
        return f"{self.loss.name}.{self.name}"

    @property
    def __doc__(self):
        return getattr(type(self.loss), self.name).__doc__

    @property
    def __signature__(self):
        return self.loss.__signature__

    def __repr__(self):
        return f"<nllkern.{self.__qualname__}>"

    def __reduce__(self):
        return getattr, (self.loss, self.name)


cdef class Loss:
    """A negative log-likelihood: calling it gives the value, its methods give derivatives."""

    def __cinit__(self, int index, row, run_in_python=None):
        self.index, self.row, self.name, self.kind = index, row, row.name, KINDS.index(row.kind)
        self.arguments = row.arguments
        self.parameters = tuple(p.name for p in row.parameters)
        self.count = len(self.parameters)
        self.options = {option.name: Slot(option, row) for option in row.all_options}
        self.links = tuple(row.links)
        self.inputs = Row(row)
        self.is_binned = "real" in row.targets
        self.run_in_python = run_in_python
        self.methods = (
            Method(self, "value_and_grad", NLLK_GRADIENT, True),
            Method(self, "grad", NLLK_GRADIENT, False),
            Method(self, "value_grad_hess", NLLK_HESSIAN, True),
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
        return self.run(args, kwargs, NLLK_VALUE)[0]

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

    cdef tuple run(self, tuple args, dict kwargs, int want):
        cdef Call call = Call.__new__(Call)
        cdef int status
        memcpy(&call.o, &default_options, sizeof(default_options))
        memcpy(&call.r, &empty_results, sizeof(empty_results))
        call.o.want = want
        call.name = self.name
        call.t = -1
        if len(args) != len(self.arguments):
            raise TypeError(f"{self.name}: got {len(args)} positional arguments, "
                            f"expected {len(self.arguments)}: {', '.join(self.arguments)}")
        if want == NLLK_HESSIAN and not self.row.has_hess:
            raise NotImplementedError(f"{self.name}: second derivatives are not offered, use value_and_grad")
        for key, value in kwargs.items():
            self.take(call, key, value)
        if self.kind == ROWS:
            read_rows(self.inputs, call, args)
            if self.is_binned:
                call.target = self.indices(call)
                call.inputs[1] = cnp.PyArray_DATA(call.target)
        elif self.kind == POINTWISE:
            read_points(self.inputs, call, args)
        elif self.kind == VECTORS:
            read_vectors(self.inputs, call, args)
        else:
            read_pair(self.inputs, call, args)
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

    cdef cnp.ndarray indices(self, Call call):
        """The class indices that a real-valued target stands for."""
        raise NotImplementedError

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
                    what = "whose gradient is a float" if like is None else "which is fixed"
                    raise ValueError(f"{self.name}: out[{k}] was given for {self.parameters[j]}, {what}; expected None")
                call.results.append(None)
                continue
            if outs[k] is None:
                result = new_array(cnp.PyArray_NDIM(like), cnp.PyArray_DIMS(like), call.t)
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
            expect_apart(given, call.keep or [], self.name)
        if call.o.reduction == NLLK_NONE and self.run_in_python is None:
            call.losses = new_array(call.ndim, call.shape, call.t)
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
        value = self.run_in_python(self, call.arrays, call.results, weight=call.weight_array, more=call.more or {},
                                   reduction=call.o.reduction, normalizer=call_normalizer(call),
                                   check=call.o.check, threads=call.o.num_threads)
        return (value, tuple(call.results)) if call.results else (value,)

    cdef int fail(self, Call call, tuple args, dict kwargs, int status) except -1:
        """Put an error of C into words."""
        argument = call.r.argument.decode() if call.r.argument != NULL else ""
        failure = _errors.Failure(self.row, nllk_message(status).decode(), argument, call.r.bad, args, kwargs,
                                  tuple(call.o.link), call.size)
        if status == NLLK_BAD_INDEX:
            raise _errors.bad_index(failure)
        if status == NLLK_BAD_VALUE:
            raise _errors.bad_value(failure)
        if status == NLLK_BAD_WEIGHT:
            raise _errors.bad_weight(failure)
        raise _errors.bad_option(failure)


cdef object call_normalizer(Call call):
    cdef double x = (<double *> (<char *> &call.o + <ptrdiff_t> Options.normalizer.offset))[0]
    return x or None
