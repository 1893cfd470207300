"""nllkern.torch beside nllkern itself and beside PyTorch: values, autograd, compilation, errors."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases_vectors import gaussian
from fresh import run_python

torch = pytest.importorskip("torch")

from torch_cases import problems, tensors  # noqa: E402

import nllkern as nk  # noqa: E402
import nllkern.torch as nt  # noqa: E402
from nllkern import _torch_autograd  # noqa: E402
from nllkern._engine import threading_ways  # noqa: E402

DTYPES = ("float32", "float64")


def test_there_is_every_loss():
    assert {loss.name for loss in nk.losses()} <= set(nt.__all__)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_as_nllkern(dtype, reduction):
    """The value; and the gradient, times an upstream gradient that differs by sample."""
    for problem in problems(dtype):
        inputs, options = tensors(problem)
        if reduction == "none" and problem.args[1].shape == (3, 3):  # the sum over the samples
            continue
        value = getattr(nt, problem.loss.name)(*inputs, **options, reduction=reduction)
        want, grads = problem.loss.value_and_grad(
            *problem.args, **problem.options, reduction=reduction
        )
        assert value.dtype == inputs[0].dtype
        np.testing.assert_array_equal(value.detach(), np.asarray(want, dtype))
        upstream = torch.linspace(-1, 2, max(value.numel(), 1), dtype=value.dtype)
        upstream = (
            upstream.reshape(value.shape) if value.dim() else torch.tensor(0.7, dtype=value.dtype)
        )
        value.backward(upstream)
        grads = grads if isinstance(grads, tuple) else (grads,)
        for x, grad in zip(inputs, grads, strict=False):
            up = upstream.numpy().reshape(upstream.shape + (1,) * (np.ndim(grad) - upstream.dim()))
            np.testing.assert_array_equal(x.grad, np.asarray(grad * up, dtype))


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_gradcheck(reduction):
    smooth = [
        p
        for p in problems("float64")
        if "hinge" not in p.loss.name and "absolute" not in p.loss.name
    ]
    for problem in smooth:
        if problem.args[1].ndim == 2 and problem.loss.name == "multivariate_gaussian_nll":
            continue
        inputs, options = tensors(problem)
        if (
            problem.loss.name == "multivariate_gaussian_nll"
        ):  # NaN above the diagonal does not matter
            inputs[1] = torch.nan_to_num(inputs[1].detach()).requires_grad_()
        if problem.options.get("p") == np.inf:
            continue
        function = getattr(nt, problem.loss.name)
        rest = inputs[len(problem.loss.parameters) :]

        def call(*parameters, function=function, rest=rest, options=options):
            return function(*parameters, *rest, **options, reduction=reduction)

        assert torch.autograd.gradcheck(call, inputs[: len(problem.loss.parameters)])


def test_shared_parameter():
    """One learnable scale for all samples, as a tensor without dimensions or as a number."""
    mean = torch.randn(50, dtype=torch.float64, requires_grad=True)
    raw = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    y = torch.randn(50, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda m, s: nt.gaussian_nll(m, s, y, link="softplus"), (mean, raw)
    )
    assert nt.gaussian_nll(mean, 0.3, y, link="softplus") == nt.gaussian_nll(
        mean, raw, y, link="softplus"
    )
    each = nt.gaussian_nll(mean, raw, y, link="softplus", reduction="none")
    up = torch.arange(50.0, dtype=torch.float64)
    (found,) = torch.autograd.grad(each, raw, up)
    apart = torch.full_like(y, 0.3).requires_grad_()
    nt.gaussian_nll(mean, apart, y, link="softplus", reduction="none").backward(up)
    torch.testing.assert_close(found, apart.grad.sum())
    queries, keys = torch.randn(2, 5, 4, requires_grad=True)
    with pytest.raises(ValueError, match="all samples share queries"):
        nt.info_nce(queries, keys, reduction="none")


def test_fixed_covariance():
    inputs, options = tensors(gaussian(12, 3, "float64", "covariance"), requires_grad=False)
    mean, factor, y = inputs
    mean.requires_grad_()
    value = nt.multivariate_gaussian_nll(mean, factor, y, **options)
    value.backward()
    problem = gaussian(12, 3, "float64", "covariance")
    np.testing.assert_array_equal(mean.grad, problem.run("value_and_grad")[1])
    opcheck("multivariate_gaussian_nll", [mean, factor, y], options)
    with pytest.raises(
        ValueError, match="factor requires a gradient, which this loss does not have"
    ):
        nt.multivariate_gaussian_nll(mean, factor.requires_grad_(), y, **options)


@pytest.mark.parametrize("normalize", [True, False])
def test_info_nce(normalize):
    queries, keys = (torch.randn(6, 4, dtype=torch.float64, requires_grad=True) for _ in "qk")
    assert torch.autograd.gradcheck(
        lambda q, k: nt.info_nce(q, k, normalize=normalize), (queries, keys)
    )


def test_binned():
    logits = torch.randn(9, 20, dtype=torch.float64, requires_grad=True)
    y = torch.randn(9, dtype=torch.float64)
    edges = torch.linspace(-3, 3, 21, dtype=torch.float64)
    for e in ((-3, 3), edges.numpy()):
        value = nt.binned_cross_entropy(logits, y, edges=e)
        want = nk.binned_cross_entropy(logits.detach().numpy(), y.numpy(), edges=e)
        assert value.item() == want


def test_nothing_is_copied():
    """The gradient is the array that the kernel wrote; autograd hands it on without a copy."""
    z, seen = torch.randn(1000, 100, requires_grad=True), []
    z.register_hook(lambda grad: seen.append(grad.data_ptr()))
    nt.cross_entropy(z, torch.zeros(1000, dtype=torch.int64)).backward()
    assert [z.grad.data_ptr()] == seen


def test_threads():
    """Those of PyTorch, unless nllkern has fewer or the call says how many."""
    asked = []

    def value_and_grad(z, **keywords):
        asked.append(keywords.get("num_threads"))
        return 0.0, z

    before = torch.get_num_threads()
    try:
        with nk.num_threads(4):
            for threads, keywords in ((2, {}), (2, {"num_threads": 3}), (4, {}), (5, {})):
                torch.set_num_threads(threads)
                _torch_autograd._run(value_and_grad, [torch.zeros(3)], keywords)
    finally:
        torch.set_num_threads(before)
    assert asked == [2, 3, None, None]


def test_openmp_unless_the_user_chooses():
    used = []

    def value_and_grad(z, **keywords):
        used.append(nk.get_threading())
        return 0.0, z

    def run():
        _torch_autograd._run(value_and_grad, [torch.zeros(3)], {})

    try:
        for way in (None, *threading_ways()):
            nk.set_threading(way)
            run()
    finally:
        nk.set_threading(None)
    assert used == [threading_ways()[-1], *threading_ways()]
    assert nk.get_threading() == "pool"


def test_backward_twice():
    z, t = torch.randn(5, 4, requires_grad=True), torch.tensor([0, 1, 2, 3, 0])
    value = nt.cross_entropy(z, t)
    value.backward(retain_graph=True)
    first = z.grad.clone()
    value.backward()
    assert torch.equal(z.grad, 2 * first)
    with pytest.raises(RuntimeError, match="second time"):
        value.backward()


def test_changed_in_place():
    z = torch.randn(5, 4, requires_grad=True)
    inner = z * 1
    value = nt.cross_entropy(inner, torch.zeros(5, dtype=torch.int64))
    value.backward(retain_graph=True)
    with torch.no_grad():
        inner.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


def test_autocast():
    """As torch.nn: computed in float32, gradients in the dtype of the input."""
    z, t = torch.randn(5, 4).bfloat16().requires_grad_(), torch.tensor([0, 1, 2, 3, 0])
    weight = torch.rand(4).bfloat16()
    results = []
    for ours in (False, True):
        z.grad = None
        with torch.autocast("cpu", torch.bfloat16):
            if ours:
                value = nt.cross_entropy(z, t, class_weight=weight)
            else:
                value = torch.nn.functional.cross_entropy(z, t, weight=weight)
            module = nt.BCEWithLogitsLoss()(z, z.detach().sigmoid())
        assert value.dtype == module.dtype == torch.float32
        value.backward()
        results.append([value.detach(), z.grad])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b)
    with pytest.raises(TypeError, match=r"logits has dtype torch\.bfloat16"):
        nt.cross_entropy(z, t)


def test_dtype_of_the_result():
    """That of the tensors of floats, as NumPy has it; float64 where there are integers alone."""
    ones, twos = torch.ones(3, dtype=torch.int32), torch.full((3,), 2)
    value = nt.absolute_error(ones, twos)
    assert value == 1
    assert value.dtype == torch.float64
    for dtype in (torch.float32, torch.float64):
        for reduction in ("mean", "none"):
            x = torch.full((3,), 0.5, dtype=dtype)
            value = nt.squared_error(ones, x, reduction=reduction)
            assert value.dtype == dtype
            assert (value == 0.125).all()
        value = nt.squared_error(ones, twos, sample_weight=torch.ones(3, dtype=dtype))
        assert value.dtype == dtype


def test_indices_of_other_libraries():
    z = torch.randn(4, 3)
    want = nt.cross_entropy(z, torch.tensor([0, 2, 1, 0]))
    for target in ([0, 2, 1, 0], np.array([0, 2, 1, 0]), np.array([0, 2, 1, 0], "uint8")):
        assert nt.cross_entropy(z, target) == want


def test_without_gradient():
    z, t = torch.randn(5, 4, requires_grad=True), torch.zeros(5, dtype=torch.int64)
    with torch.no_grad():
        assert not nt.cross_entropy(z, t).requires_grad
    assert not nt.cross_entropy(z.detach(), t).requires_grad
    with torch.inference_mode():
        nt.cross_entropy(z, t)


# ---- the operator ----


def opcheck(name, inputs, options):
    spec, arrays = _torch_autograd.split(name, options)
    tensors = [x.detach() for x in (*inputs, *arrays)]
    arguments = (_torch_autograd._text(*spec), tensors, True)
    torch.library.opcheck(torch.ops.nllkern.loss.default, arguments)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_opcheck(reduction):
    for problem in problems("float64"):
        inputs, options = tensors(problem)
        opcheck(problem.loss.name, inputs, {**options, "reduction": reduction})


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # PyTorch's own
@pytest.mark.parametrize("dynamic", [False, True])
def test_compile(dynamic):
    torch._dynamo.reset()
    weight = torch.rand(8)

    def step(z, t, mean, raw, y):
        a = nt.cross_entropy(2 * z, t, sample_weight=weight, label_smoothing=0.1)
        return a + nt.gaussian_nll(mean, raw, y, link="softplus").exp()

    compiled = torch.compile(step, fullgraph=True, dynamic=dynamic)
    for seed in range(2):
        torch.manual_seed(seed)
        z = torch.randn(8, 6, requires_grad=True)
        mean, raw = (torch.randn(7, requires_grad=True) for _ in "mr")
        t, y = torch.randint(0, 6, (8,)), torch.randn(7)
        results = []
        for function in (step, compiled):
            for x in (z, mean, raw):
                x.grad = None
            value = function(z, t, mean, raw, y)
            value.backward()
            results.append([value.detach(), z.grad, mean.grad, raw.grad])
        for a, b in zip(*results, strict=True):
            torch.testing.assert_close(a, b)


# ---- errors ----


def test_errors():
    z, t = torch.randn(4, 3, requires_grad=True), torch.zeros(4, dtype=torch.int64)
    with pytest.raises(TypeError, match=r"got 1 positional arguments, expected 2: logits, target"):
        nt.cross_entropy(z)
    with pytest.raises(TypeError, match="logits is list, expected a tensor"):
        nt.cross_entropy([[1.0, 2.0]], [0])
    for dtype in (torch.float16, torch.bfloat16, torch.complex64):
        with pytest.raises(TypeError, match=rf"logits has dtype {dtype}, .*use logits.float\(\)"):
            nt.cross_entropy(z.detach().to(dtype), t)
    with pytest.raises(ValueError, match=r"logits is on device meta, .*use logits.cpu\(\)"):
        nt.cross_entropy(z.to("meta"), t)
    with pytest.raises(ValueError, match=r"sample_weight is on device meta"):
        nt.cross_entropy(z, t, sample_weight=torch.ones(4, device="meta"))
    with pytest.raises(ValueError, match=r"target requires a gradient.*use target.detach\(\)"):
        nt.binned_cross_entropy(z, torch.rand(4, requires_grad=True), edges=(0, 1))
    with pytest.raises(ValueError, match="sample_weight requires a gradient"):
        nt.cross_entropy(z, t, sample_weight=torch.ones(4, requires_grad=True))
    with pytest.raises(TypeError, match="'out': it is for NumPy arrays"):
        nt.cross_entropy(z, t, out=z)
    with pytest.raises(IndexError, match=r"target\[2\] is 7, expected 0 <= index < 3"):
        nt.cross_entropy(z, torch.tensor([0, 0, 7, 0]))
    with pytest.raises(TypeError, match="unknown keyword 'wieght'"):
        nt.cross_entropy(z, t, wieght=1)
    with pytest.raises(ValueError, match="reduction is 'batchmean', expected"):
        nt.CrossEntropyLoss(reduction="batchmean")
    assert z.grad is None


def test_core_imports_no_framework():
    code = (
        "import nllkern, sys\n"
        "print(sorted({'torch', 'jax', 'numba', 'sklearn', 'xgboost'} & set(sys.modules)))"
    )
    assert run_python(code) == "[]"


def test_message_without_torch():
    code = "import sys\nsys.modules['torch'] = None\nimport nllkern.torch"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "nllkern.torch needs PyTorch 2.6 or newer" in run.stderr


def test_module_is_a_module():
    loss = nt.CrossEntropyLoss(weight=torch.ones(3))
    assert "weight" in loss.state_dict()
    assert repr(loss) == "CrossEntropyLoss(reduction='mean')"


def test_page(monkeypatch, tmp_path):
    """The examples of docs/frameworks.md that are PyTorch's."""
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[2] / "docs" / "frameworks.md").read_text()
    section = page.partition("\n## PyTorch\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    exec("\n".join(blocks), {})
