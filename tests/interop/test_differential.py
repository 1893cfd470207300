"""Every interface beside the NumPy interface: arguments and options of every dtype and kind.

The result is that of the NumPy interface for the same numbers, or a clear error: TypeError,
ValueError or IndexError (of a compiled function, JAX's own) that names the loss and the argument.
"""

from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from through_c import CProblem

import nllkern as nk
from nllkern.tables import LOSSES

FLOATS = ("float32", "float64")
DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", *FLOATS, "complex64"),
)
ERRORS = (TypeError, ValueError, IndexError)
ROWS = {row.name: row for row in LOSSES}
SAMPLES, SIZE = 3, 2


class Case:
    """A call: positional arguments and keywords, as NumPy has them."""

    def __init__(self, row, inputs, keywords):
        self.row, self.inputs, self.keywords = row, inputs, keywords

    def __repr__(self):
        return f"{self.row.name}(*{self.inputs!r}, **{self.keywords!r})"

    def converted(self, convert):
        """The same with every array, number and list as another library has it."""
        keywords = {}
        for key, x in self.keywords.items():
            is_number = isinstance(x, (int, float, np.ndarray, np.generic, list))
            keywords[key] = convert(x) if is_number and not isinstance(x, bool) else x
        return Case(self.row, [convert(x) for x in self.inputs], keywords)

    def value(self, losses):
        return getattr(losses, self.row.name)(*self.inputs, **self.keywords)


# ---- what is drawn ----


@st.composite
def represented(draw, numbers, dtype):
    """An array of whole numbers in some form; mostly an array of the dtype."""
    numbers = np.asarray(numbers)
    kind = draw(st.sampled_from(("same", "same", "same", "dtype", "dtype", "python", "scalar")))
    if kind == "python":
        return draw(st.sampled_from((numbers.astype(float), numbers))).tolist()
    array = numbers.astype(dtype if kind == "same" else draw(st.sampled_from(DTYPES)))
    return array[()] if kind == "scalar" else array


def shapes(row, draw):
    """Of each argument."""
    found = []
    for parameter in row.parameters:
        shape = {"classes": (SIZE,), "vector": (SIZE,), "factor": (SIZE, SIZE)}
        shape = shape.get(parameter.kind, ())
        may_be_shared = parameter.kind in ("number", "factor")
        shared = may_be_shared and draw(st.integers(0, 3)) == 0
        found.append(shape if shared else (SAMPLES, *shape))
    if row.target is not None:
        per_class = row.kind == "vectors" or "probabilities" in row.targets
        shape = (SAMPLES, SIZE) if per_class else (SAMPLES,)
        if "index" in row.targets and per_class and draw(st.booleans()):
            shape = (SAMPLES,)
        found.append(() if row.kind == "pointwise" and draw(st.integers(0, 3)) == 0 else shape)
    return found


@st.composite
def numbers_of(draw, shape, high):
    count = int(np.prod(shape))
    return np.array(draw(st.lists(st.integers(0, high), min_size=count, max_size=count))).reshape(
        shape
    )


@st.composite
def options_of(draw, row, dtype):
    """Some of the options."""
    found = {}
    for option in row.all_options:
        must = option.default is ...
        if not must and draw(st.integers(0, 2)):
            continue
        if option.kind in ("choice", "link"):
            of = [link.name for p in row.parameters if p.option is option for link in p.links]
            found[option.name] = draw(st.sampled_from(of or option.choices))
        elif option.kind == "flag":
            found[option.name] = draw(st.booleans())
        elif option.kind == "sample_weight":
            found[option.name] = draw(represented(np.array([1, 0, 2]), dtype))
        elif option.kind == "per_class":
            found[option.name] = draw(represented(np.array([1, 2]), dtype))
        elif option.kind == "per_sample":
            numbers = draw(st.sampled_from((np.array(2), np.array([1, 2, 1]))))
            found[option.name] = draw(represented(numbers, dtype))
        elif option.kind == "edges":
            found[option.name] = draw(st.sampled_from(((0, 3), [0, 1, 3], np.array([0.0, 1, 4]))))
        elif option.kind in ("number", "integer"):
            x = draw(st.sampled_from((1, 1, 0.5, 0.5, 2, 0)))
            found[option.name] = draw(
                st.sampled_from((x, np.float32(x), np.int64(x), np.float64(x), np.array(x)))
            )
    if found.get("reduction", "mean") != "mean":
        found.pop("normalizer", None)
    return found


@st.composite
def cases(draw):
    row = draw(st.sampled_from(LOSSES))
    dtype = draw(st.sampled_from(FLOATS))
    of = shapes(row, draw)
    inputs = []
    for k, shape in enumerate(of):
        is_index = k == len(row.parameters) and "index" in row.targets and len(shape) == 1
        numbers = draw(numbers_of(shape, 1 if is_index else 3))
        own = draw(st.sampled_from(("int64", "int32", "uint8"))) if is_index else dtype
        inputs.append(draw(represented(numbers, own)))
    return Case(row, inputs, draw(options_of(row, dtype)))


# ---- what is compared ----


@contextmanager
def clear_errors(row, errors):
    """Whatever is raised names the loss and one of its arguments."""
    try:
        yield
    except errors as error:
        names = {*row.arguments, *(option.name for option in row.all_options), "weights"}
        text = str(error)
        assert row.name in text, text
        assert any(name in text for name in names), text


def outcome(case, losses, errors=ERRORS):
    """The value, or None where it is refused clearly."""
    with clear_errors(case.row, errors), np.errstate(all="ignore"):
        return case.value(losses)
    return None


def same(found, want, case, eps=None):
    """Within roundings of the dtype found."""
    assert (found is None) == (want is None), (case, found, want)
    if want is not None:
        eps = eps or (2.0**-23 if "float32" in str(found.dtype) else 2.0**-52)
        np.testing.assert_allclose(
            np.asarray(found), np.asarray(want), rtol=16 * eps, atol=16 * eps, err_msg=repr(case)
        )


QUICK = settings(
    max_examples=60,
    deadline=None,
    phases=[Phase.generate],
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
LONG = settings(QUICK, max_examples=500)


# ---- the interfaces ----


def as_array(x):
    """A NumPy scalar as an array, which other libraries make of it: it has a dtype of its own."""
    return np.array(x) if isinstance(x, np.generic) else x


def torch_is_numpy(case):
    torch = pytest.importorskip("torch")
    import nllkern.torch as nt

    def tensor(x):
        return torch.from_numpy(np.array(x)) if isinstance(x, (np.ndarray, np.generic)) else x

    if not any(isinstance(x, (np.ndarray, np.generic)) for x in case.inputs):
        return
    want = outcome(case.converted(as_array), nk)
    found = outcome(case.converted(tensor), nt)
    if want is not None and found is not None and found.dtype == torch.float32:
        want = np.float32(want)
    same(found, want, case)


def jax_is_numpy(case, traced, x64):
    jax = pytest.importorskip("jax")
    import jax.numpy as jnp

    import nllkern.jax as nj

    narrow = {"float64": "float32", "int64": "int32", "uint64": "uint32"}

    def seen(x):  # as JAX has it
        x = as_array(x)
        if x64 or not isinstance(x, np.ndarray):
            return x
        return x.astype(narrow.get(x.dtype.name, x.dtype))

    def array(x):
        return jnp.asarray(x) if isinstance(x, (np.ndarray, np.generic)) else x

    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", x64)
    try:
        want = outcome(case.converted(seen), nk)
        errors = (*ERRORS, jax.errors.JaxRuntimeError)
        own = case.converted(array)
        if traced:
            constants = {
                key: x
                for key, x in case.keywords.items()
                if case.row.option(key).kind not in ("sample_weight", "per_class", "per_sample")
            }
            arrays = {key: x for key, x in own.keywords.items() if key not in constants}
            compiled = jax.jit(partial(getattr(nj, case.row.name), **constants))
            with clear_errors(case.row, errors):
                found = np.asarray(compiled(*own.inputs, **arrays))
                return same(found, want, case, 2.0**-23)
            return same(None, want, case)
        found = outcome(own, nj, errors)
        same(found, want, case)
    finally:
        jax.config.update("jax_enable_x64", before)


def c_is_numpy(case):
    """C takes arrays of one dtype: those that NumPy converts to."""
    want = outcome(case, nk)
    row, links = case.row, [x for p in case.row.parameters for x in p.links]
    names = [x for x in case.keywords.values() if isinstance(x, str)]
    fixed = any(not link.in_c and link.name in names for link in links)
    if want is None or not row.in_c or fixed or any(x.default is ... for x in row.options):
        return
    given = [*case.inputs, *(x for x in case.keywords.values() if isinstance(x, np.ndarray))]
    own = [x.dtype for x in given if getattr(x, "dtype", None) in FLOATS and type(x) is not float]
    dtype = own[0] if own else np.dtype(float)

    def converted(x, is_index=False):
        return np.asarray(x, "int64" if is_index else dtype)

    inputs = [converted(x) for x in case.inputs]
    target = np.asarray(case.inputs[-1])
    if "index" in row.targets and target.ndim < inputs[0].ndim:
        inputs[-1] = converted(target, is_index=True)
    if row.kind == "pointwise":  # one array at least
        inputs = np.broadcast_arrays(*inputs) if inputs[-1].ndim == 0 else inputs
    options = {
        key: converted(x) if np.ndim(x) else getattr(x, "item", lambda x=x: x)()
        for key, x in case.keywords.items()
        if x is not None
    }
    options = {x.name: x.default for x in row.options if x.kind == "link"} | options
    problem = SimpleNamespace(loss=getattr(nk, row.name), args=inputs, options=options, dtype=dtype)
    reduction = options.pop("reduction", "mean")
    call = CProblem(problem, "value", reduction)
    assert call.run() == 0, case
    same(call.answer()[0], want, case, np.finfo(dtype).eps)


CHECKS = {
    "c": c_is_numpy,
    "torch": torch_is_numpy,
    "jax": lambda case: jax_is_numpy(case, traced=False, x64=True),
    "jax_without_x64": lambda case: jax_is_numpy(case, traced=False, x64=False),
    "traced_jax": lambda case: jax_is_numpy(case, traced=True, x64=True),
    "traced_jax_without_x64": lambda case: jax_is_numpy(case, traced=True, x64=False),
}


@pytest.mark.parametrize("interface", CHECKS)
@QUICK
@given(case=cases())
def test_is_numpy(interface, case):
    CHECKS[interface](case)


@pytest.mark.slow
@pytest.mark.parametrize("interface", CHECKS)
@LONG
@given(case=cases())
def test_is_numpy_at_length(interface, case):
    CHECKS[interface](case)
