"""The calls of nllkern.torch in C++: beside those in Python, and how they come to be compiled."""

import json
import os
import stat
import sys

import numpy as np
import pytest
from fresh import run_python

torch = pytest.importorskip("torch")

from torch_cases import problems, tensors  # noqa: E402

import nllkern as nk  # noqa: E402
import nllkern.torch as nt  # noqa: E402
from nllkern import _compiled, _torch_autograd  # noqa: E402
from nllkern import _torch_extension as extension  # noqa: E402
from nllkern._adapters import ROWS  # noqa: E402
from nllkern._results import kept_bytes  # noqa: E402

pytestmark = [
    pytest.mark.skipif(os.environ["NLLKERN_COMPILE"] == "0", reason="NLLKERN_COMPILE=0"),
    pytest.mark.thread_unsafe(reason="turns the extension off for the process"),
]


@pytest.fixture(scope="module", autouse=True)
def compiled():
    """Where there is a compiler, Python's code is not what is tested below."""
    nt.compile_extension()
    assert nt.using_extension()


@pytest.fixture
def in_python(monkeypatch):
    """Calls a function with the extension turned off."""

    def call(function):
        with monkeypatch.context() as patch:
            patch.setattr(extension, "attempt", None)
            return function()

    return call


def is_served(value):
    return value.grad_fn.name() == "NllkernLoss"


def gradients(call, inputs, upstream):
    value = call()
    leaves = [x for x in inputs if x.requires_grad]
    return [value.detach(), *torch.autograd.grad(value, leaves, upstream(value))]


UPSTREAMS = {
    "one": torch.ones_like,
    "other": lambda value: torch.linspace(-1, 2, value.numel() + 1)[1:].to(value).view_as(value),
}


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_same_bits_as_python(dtype, reduction, in_python):
    served = set()
    for problem in problems(dtype):
        inputs, options = tensors(problem)
        function, name = getattr(nt, problem.loss.name), problem.loss.name

        def call(function=function, inputs=inputs, options=options):
            return function(*inputs, **options, reduction=reduction)

        call()  # a number is worth a plan from its second call on
        if is_served(call()):
            served.add(name)
        for upstream in UPSTREAMS.values():
            found = gradients(call, inputs, upstream)
            want = in_python(lambda c=call, x=inputs, u=upstream: gradients(c, x, u))
            for a, b in zip(found, want, strict=True):
                np.testing.assert_array_equal(a, b, err_msg=name)
        with torch.no_grad():
            np.testing.assert_array_equal(call(), found[0])
    needed = {row.name for row in ROWS.values() if any(x.default is ... for x in row.options)}
    assert served == {row.name for row in ROWS.values() if row.in_c} - needed


def test_numbers_of_each_call():
    """They get no plan if each call has others; and those of all calls are right."""
    z = torch.randn(5, 4, requires_grad=True)
    t = torch.tensor([0, 1, 2, 3, 0])
    total = nt.cross_entropy(z, t, reduction="sum").item()
    plans = extension.plan.cache_info()
    for n in (2.0, 2.0, 3.0, 4.5, 2.0, 3.0):
        value = nt.cross_entropy(z, t, normalizer=n)
        np.testing.assert_allclose(value.item(), total / n, rtol=1e-6)
    assert is_served(value)
    assert extension.plan.cache_info().misses <= plans.misses + 2


def test_gradients_that_are_needed():
    """Of two parameters, one; and no graph where neither needs a gradient."""
    mean, scale, y = torch.randn(5), torch.rand(5) + 1, torch.randn(5)
    assert nt.gaussian_nll(mean, scale, y).grad_fn is None
    both = [x.clone().requires_grad_() for x in (mean, scale)]
    want = torch.autograd.grad(nt.gaussian_nll(*both, y), both)
    for k, given in enumerate([(both[0], scale), (mean, both[1])]):
        value = nt.gaussian_nll(*given, y)
        assert is_served(value)
        value.backward()
        assert torch.equal(both[k].grad, want[k])
    assert torch.equal(both[0].grad, want[0])


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_again(reduction, in_python):
    """A second backward call, derivatives of gradients, and batches of upstream gradients."""
    z, t = torch.randn(5, 4, dtype=torch.float64, requires_grad=True), torch.tensor([0, 1, 2, 3, 0])
    weight = torch.rand(5, dtype=torch.float64)

    def call():
        return nt.cross_entropy(z, t, sample_weight=weight, reduction=reduction)

    def run():
        value = call()
        up = torch.full_like(value, 0.5)
        first = torch.autograd.grad(value, z, up, retain_graph=True)
        many = torch.autograd.grad(
            value, z, torch.stack([up, 3 * up]), retain_graph=True, is_grads_batched=True
        )
        once_more = torch.autograd.grad(value, z, up, retain_graph=True)
        (grad,) = torch.autograd.grad(value, z, up, create_graph=True)
        second = torch.autograd.grad((grad**2).sum(), z)
        return [value.detach(), *first, *many, *once_more, grad.detach(), *second]

    assert is_served(call())
    for a, b in zip(run(), in_python(run), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-14, atol=0)


Z, T = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])


class Subclass(torch.Tensor):
    pass


UNUSUAL = {
    "strided rows": lambda: nt.cross_entropy(torch.randn(6, 9)[:, :4], T),
    "transposed": lambda: nt.cross_entropy(torch.randn(4, 6).t(), T),
    "indices of 8 bits": lambda: nt.cross_entropy(Z, T.to(torch.uint8)),
    "a subclass": lambda: nt.cross_entropy(Z.as_subclass(Subclass), T),
    "a number": lambda: nt.gaussian_nll(Z[0], 2.0, Z[1]),
    "a number as an option": lambda: nt.huber(Z, Z + 2, delta=0.3),
    "a tensor as a number": lambda: nt.huber(Z, Z + 2, delta=torch.tensor(0.3)),
    "a factor for each class": lambda: nt.binary_cross_entropy(Z, Z > 0, pos_weight=Z[:1] ** 2),
    "weights as an array": lambda: nt.cross_entropy(Z, T, class_weight=np.ones(4, np.float32)),
    "weights as a tuple": lambda: nt.cross_entropy(Z, T, class_weight=(1, 2, 3, 4)),
    "no samples": lambda: nt.cross_entropy(Z[:0], T[:0]),
    "a shared parameter": lambda: nt.gaussian_nll(
        Z[0].clone().requires_grad_(), Z[0, 0].exp().requires_grad_(), Z[1], reduction="none"
    ),
    "a target that needs a gradient": lambda: nt.squared_error(Z, Z.clone().requires_grad_()),
    "a vmap": lambda: torch.func.vmap(nt.squared_error)(Z, Z + 1),
    "a derivative in forward mode": lambda: torch.func.jvp(
        lambda z: nt.cross_entropy(z, T), (Z,), (Z,)
    )[1],
    "None": lambda: nt.cross_entropy(Z, T, sample_weight=None, ignore_index=None, num_threads=None),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # PyTorch's own, in forward mode
@pytest.mark.parametrize("call", UNUSUAL.values(), ids=UNUSUAL.keys())
def test_unusual_calls(call, in_python):
    torch.manual_seed(0)
    found = call()
    torch.manual_seed(0)
    want = in_python(call)
    assert torch.equal(found, want)
    assert found.dtype == want.dtype
    assert found.requires_grad == want.requires_grad


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # PyTorch's own, of torch.jit
def test_where_python_serves_all_calls():
    """What sees each operation sees those of Python's code: torch.func, modes, torch.jit."""
    plan, _ = extension.plan_of_call("squared_error", {})
    seen = []

    def function(z):
        seen.append(extension.attempt(plan, Z, Z) is None)
        return z.sum()

    class Mode(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            return function(*args, **(kwargs or {}))

    function(Z)
    torch.func.grad(function)(Z)
    torch.func.vmap(function)(Z)
    torch.jit.trace(function, Z, check_trace=False)
    with Mode():
        function(Z)
    assert seen == [False, True, True, True, True]


WRONG = {
    "index": lambda: nt.cross_entropy(Z, T + 3),
    "no target": lambda: nt.cross_entropy(Z),
    "a weight in the place of the target": lambda: nt.cross_entropy(Z, sample_weight=torch.ones(6)),
    "shape": lambda: nt.squared_error(Z, Z[:3]),
    "target": lambda: nt.cross_entropy(Z, torch.zeros(6)),
    "reduction": lambda: nt.cross_entropy(Z, T, reduction="all"),
    "flag": lambda: nt.poisson_nll(Z, Z.abs(), full=1),
    "number": lambda: nt.cross_entropy(Z, T, label_smoothing=2.0),
    "0 for None": lambda: nt.cross_entropy(Z, T, softcap=0.0),
    "keyword": lambda: nt.cross_entropy(Z, T, margin=1.0),
    "what cannot be hashed": lambda: nt.cross_entropy(Z, T, reduction=[]),
    "weights": lambda: nt.cross_entropy(Z, T, sample_weight=-torch.ones(6)),
    "weights' shape": lambda: nt.cross_entropy(Z, T, class_weight=torch.ones(6)),
    "domain": lambda: nt.poisson_nll(Z, Z.abs(), check=True),
    "weights of another dtype": lambda: nt.cross_entropy(Z, T, class_weight=torch.ones(4).double()),
    "a negated view": lambda: nt.squared_error(torch.complex(Z, Z).conj().imag, Z),
    "dtypes": lambda: nt.squared_error(Z, Z.double()),
    "a gradient by a weight": lambda: nt.cross_entropy(
        Z, T, sample_weight=torch.ones(6, requires_grad=True)
    ),
}


@pytest.mark.parametrize("call", WRONG.values(), ids=WRONG.keys())
def test_same_errors(call, in_python):
    nt.poisson_nll(Z, Z.abs(), full=True)  # equal to 1, which is refused
    with pytest.raises(Exception) as want:
        in_python(call)
    for _ in range(2):  # the second call has a plan for its numbers, if they can have one
        with pytest.raises(type(want.value)) as found:
            call()
        assert str(found.value) == str(want.value)


def test_large_results_use_kept_memory():
    z = torch.randn(1024, 1100, requires_grad=True)
    t = torch.zeros(1024, dtype=torch.int64)
    before = kept_bytes()
    nt.cross_entropy(z, t).backward()
    z.grad = None
    assert kept_bytes() >= max(before, 1024 * 1100 * 4)


def test_nothing_is_kept_alive():
    z, t = torch.randn(5, 4, requires_grad=True), torch.zeros(5, dtype=torch.int64)
    counts = []
    for _ in range(3):
        value = nt.cross_entropy(z, t, sample_weight=torch.ones(5))
        value.backward()
        del value
        counts.append((sys.getrefcount(z), sys.getrefcount(t)))
    assert counts[0] == counts[2]


def test_saved_tensors_hooks():
    """What is kept for another backward call goes through the hooks of torch.autograd.graph."""
    packed = []

    def pack(x):
        packed.append(x)
        return x

    z = torch.randn(5, 4, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        assert is_served(nt.cross_entropy(z, torch.zeros(5, dtype=torch.int64)))
    assert len(packed) == 2


THREADS = """
import os, torch, nllkern as nk, nllkern.torch as nt
nt.compile_extension()
x, y = torch.randn(2, 900_000)
counts = []
def count(call, threads):
    torch.set_num_threads(threads)
    call()
    counts.append(len(os.listdir("/proc/self/task")))
nk.set_num_threads(4)
count(lambda: nt.squared_error(x, y), 1)
count(lambda: nt.squared_error(x, y, num_threads=2), 1)
count(lambda: nt.squared_error(x, y), 3)
nk.set_threading("pool")
count(lambda: nt.squared_error(x, y), 3)
print(*[n - counts[0] for n in counts], nk.get_threading())
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs Linux")
@pytest.mark.skipif("openmp" not in nk._engine.threading_ways(), reason="needs OpenMP")
def test_threads():
    """As many as PyTorch has, of OpenMP's, unless the call or the user says otherwise."""
    one, two, three, more, way = run_python(THREADS).split()
    assert [one, two, three, way] == ["0", "1", "2", "pool"]
    assert int(more) > 2


# ---- the operator ----


@pytest.mark.parametrize("want", [False, True])
def test_operator_as_python(want):
    for problem in problems("float32"):
        inputs, options = tensors(problem, requires_grad=False)
        spec, arrays = _torch_autograd.split(problem.loss.name, options)
        text = json.dumps(spec)
        tight = [*inputs, *arrays]
        loose = [torch.stack([x, x], -1)[..., 0] for x in tight]
        for given in (tight, loose):
            found = torch.ops.nllkern.loss(text, given, want)
            for a, b in zip(found, _torch_autograd._op(text, given, want), strict=True):
                np.testing.assert_array_equal(a, b)
    with pytest.raises(IndexError, match=r"target\[0\] is 3, expected 0 <= index < 3"):
        torch.ops.nllkern.loss('["cross_entropy", [], [], false]', [Z[:, :3], T + 3], want)


# ---- compiling ----

FIRST_USE = """
import sys, time, torch, nllkern.torch as nt
from nllkern import _torch_extension as extension
x = torch.ones(4)
print(nt.squared_error(x, x + 1).item(), nt.using_extension())
end = time.monotonic() + {patience}
while not nt.using_extension() and time.monotonic() < end:
    time.sleep(0.05)
print(nt.squared_error(x, x + 1).item(), nt.using_extension())
"""


def compiler(folder, script):
    """A program in the place of the compiler, which takes too long for a test."""
    path = folder / "compiler"
    path.write_text(f'#!/bin/sh\necho run >> "{folder}/runs"\n{script}\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def first_use(folder, patience, **environ):
    code = FIRST_USE.format(patience=patience)
    return run_python(code, XDG_CACHE_HOME=str(folder), **environ).split()


def test_compiled_in_background(tmp_path):
    """Python's code serves the calls until the compiler is done; then, and next time, C++."""
    script = f'for last; do :; done\nsleep 1\ncp "{extension._program().target}" "$last"'
    cxx = compiler(tmp_path, script)
    assert first_use(tmp_path, 30, CXX=cxx) == ["0.5", "False", "0.5", "True"]
    assert first_use(tmp_path, 0, CXX=cxx) == ["0.5", "True", "0.5", "True"]
    assert (tmp_path / "runs").read_text() == "run\n"
    assert first_use(tmp_path, 0, CXX=cxx, NLLKERN_COMPILE="0")[1] == "False"


def test_compiler_that_fails(tmp_path):
    """It is tried once; a call that asks for the extension says why there is none."""
    cxx = compiler(tmp_path, "echo no such header >&2; exit 1")
    for _ in range(2):
        assert first_use(tmp_path, 2, CXX=cxx)[1::2] == ["False", "False"]
    assert (tmp_path / "runs").read_text() == "run\n"
    code = "import nllkern.torch as nt\ntry: nt.compile_extension()\nexcept OSError as e: print(e)"
    assert "no such header" in run_python(code, XDG_CACHE_HOME=str(tmp_path), CXX=cxx)


def test_no_compiler(tmp_path):
    assert first_use(tmp_path, 0, CXX="/nonexistent/compiler")[1] == "False"
    code = "import nllkern.torch as nt\ntry: nt.compile_extension()\nexcept OSError as e: print(e)"
    assert "no C++ compiler" in run_python(code, CXX="/nonexistent/compiler")


def test_way(monkeypatch):
    monkeypatch.setenv("NLLKERN_COMPILE", "always")
    with pytest.raises(ValueError, match="NLLKERN_COMPILE: got 'always', expected one of 0, "):
        _compiled.way()
