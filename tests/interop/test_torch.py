"""nllkern.torch beside nllkern itself and beside PyTorch: values, autograd, compilation, errors."""

import itertools
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import Case, cases
from cases_vectors import gaussian, triplet

torch = pytest.importorskip("torch")

import nllkern as nk  # noqa: E402
import nllkern.torch as nt  # noqa: E402

CASES = cases((5, 67))
DTYPES = ("float32", "float64")
functional = torch.nn.functional


def tensors(problem, requires_grad=True):
    """(inputs, options) of a problem as tensors; the parameters require gradients."""
    count = len(problem.loss.parameters)
    found = []
    for k, x in enumerate(problem.args):
        t = torch.from_numpy(np.array(x))
        found.append(t.requires_grad_() if requires_grad and k < count else t)
    options = {
        k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v
        for k, v in problem.options.items()
    }
    return found, options


def problems(dtype):
    for k, case in enumerate(CASES):
        yield case.weighted(12, dtype) if k % 2 else case.problem(12, dtype)
    yield gaussian(12, 3, dtype, "softplus")
    yield gaussian(12, 3, dtype, "log", shared=True)
    yield triplet(12, 4, dtype, p=np.inf)
    yield triplet(12, 4, dtype)


def test_there_is_every_loss():
    assert {loss.name for loss in nk.losses()} <= set(nt.__all__)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_as_nllkern(dtype, reduction):
    """The value; and the gradient, times an upstream gradient that differs by sample."""
    for problem in problems(dtype):
        inputs, options = tensors(problem)
        shared = any(x.ndim < problem.args[0].ndim for x in problem.args[:2]) or (
            problem.loss.name == "multivariate_gaussian_nll" and problem.args[1].ndim == 2
        )
        if reduction == "none" and shared and problem.loss.name == "multivariate_gaussian_nll":
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
    with pytest.raises(ValueError, match="scale is shared by all samples"):
        nt.gaussian_nll(mean, raw, y, link="softplus", reduction="none")


def test_fixed_covariance():
    inputs, options = tensors(gaussian(12, 3, "float64", "covariance"), requires_grad=False)
    mean, factor, y = inputs
    mean.requires_grad_()
    value = nt.multivariate_gaussian_nll(mean, factor, y, **options)
    value.backward()
    problem = gaussian(12, 3, "float64", "covariance")
    np.testing.assert_array_equal(mean.grad, problem.run("value_and_grad")[1])
    operator = torch.ops.nllkern.loss.default
    arguments = ("multivariate_gaussian_nll", mean, factor, None, y, None, None, nt._text(options))
    torch.library.opcheck(operator, (*arguments, True))
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
    z = torch.randn(1000, 100, requires_grad=True)
    loss = nt.cross_entropy(z, torch.zeros(1000, dtype=torch.int64))
    address = loss.grad_fn.kept[0][0].data_ptr()
    loss.backward()
    assert z.grad.data_ptr() == address


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
                nt._run(value_and_grad, [torch.zeros(3)], keywords)
    finally:
        torch.set_num_threads(before)
    assert asked == [2, 3, None, None]


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


def test_no_second_derivatives():
    """An error, not a term that is silently left out."""
    z = torch.randn(5, 4, requires_grad=True)
    value = nt.cross_entropy(z, torch.zeros(5, dtype=torch.int64))
    (grad,) = torch.autograd.grad(value, z, create_graph=True)
    with pytest.raises(NotImplementedError, match="derivatives of gradients are not offered"):
        (grad.sum() + z.sum()).backward()


def test_without_gradient():
    z, t = torch.randn(5, 4, requires_grad=True), torch.zeros(5, dtype=torch.int64)
    with torch.no_grad():
        assert not nt.cross_entropy(z, t).requires_grad
    assert not nt.cross_entropy(z.detach(), t).requires_grad
    with torch.inference_mode():
        nt.cross_entropy(z, t)


# ---- the operator ----


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_opcheck(reduction):
    for problem in problems("float64"):
        if problem.loss.name == "multivariate_gaussian_nll":
            continue
        inputs, options = tensors(problem)
        count = len(problem.loss.parameters)
        places = [*inputs[:count], *[None] * (3 - count), *(inputs[count:] or [None])]
        weight = options.pop("sample_weight", None)
        extra = next((options.pop(k) for k in nt._ARRAYS if k in options), None)
        text = nt._text({**options, "reduction": reduction})
        arguments = (problem.loss.name, *places, weight, extra, text, True)
        torch.library.opcheck(torch.ops.nllkern.loss.default, arguments)


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


# ---- beside PyTorch's own losses ----


def same_as(ours, theirs, inputs, rtol=1e-12):
    """Value and gradients of two functions of the same tensors."""
    results = []
    for function in (ours, theirs):
        own = [x.detach().clone().requires_grad_() for x in inputs]
        value = function(*own)
        value.backward(torch.linspace(0.5, 1, value.numel()).to(value).reshape(value.shape))
        results.append([value.detach(), *(x.grad for x in own)])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=rtol, atol=rtol)


REDUCE = {"mean": torch.mean, "sum": torch.sum, "none": lambda x: x}
REDUCTIONS = tuple(REDUCE)
SHAPES = ((5,), (7, 5), (3, 5, 2), (2, 5, 3, 2))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_cross_entropy_loss(shape, reduction):
    torch.manual_seed(0)
    axis = 0 if len(shape) == 1 else 1
    logits = torch.randn(shape, dtype=torch.float64)
    rest = shape[:axis] + shape[axis + 1 :]
    index = torch.randint(0, 5, rest)
    ignored = torch.where(torch.rand(rest) < 0.3, -100, index) if rest else index
    soft = torch.randn(shape, dtype=torch.float64).softmax(axis)
    weights = (None, torch.rand(5, dtype=torch.float64))
    for target, weight, smoothing in itertools.product((index, ignored, soft), weights, (0.0, 0.2)):
        options = {"weight": weight, "label_smoothing": smoothing, "reduction": reduction}
        ours, theirs = nt.CrossEntropyLoss(**options), torch.nn.CrossEntropyLoss(**options)
        same_as(lambda z: ours(z, target), lambda z: theirs(z, target), [logits])  # noqa: B023


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_bce_with_logits_loss(reduction):
    torch.manual_seed(0)
    logits, y = torch.randn(6, 4, dtype=torch.float64), torch.rand(6, 4, dtype=torch.float64)
    weights = (None, torch.rand(4, dtype=torch.float64), torch.rand(6, 1, dtype=torch.float64))
    for weight, pos in itertools.product(weights, (None, torch.rand(4, dtype=torch.float64))):
        options = {"weight": weight, "pos_weight": pos, "reduction": reduction}
        ours, theirs = nt.BCEWithLogitsLoss(**options), torch.nn.BCEWithLogitsLoss(**options)
        same_as(lambda z: ours(z, y), lambda z: theirs(z, y), [logits])  # noqa: B023


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("MSELoss", {}),
        ("L1Loss", {}),
        ("HuberLoss", {}),
        ("HuberLoss", {"delta": 0.3}),
        ("SmoothL1Loss", {"beta": 0.3}),
        ("SmoothL1Loss", {"beta": 0}),
    ],
)
def test_regression_losses(name, options, reduction):
    torch.manual_seed(0)
    x, y = torch.randn(2, 6, 4, dtype=torch.float64)
    ours = getattr(nt, name)(reduction=reduction, **options)
    theirs = getattr(torch.nn, name)(reduction=reduction, **options)
    same_as(lambda x: ours(x, y), lambda x: theirs(x, y), [x])
    same_as(ours, theirs, [x, y])  # the target has a gradient too


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(5,), (7, 5)], ids=str)
def test_margin_losses(shape, reduction):
    torch.manual_seed(0)
    scores, weight = torch.randn(shape, dtype=torch.float64), torch.rand(5, dtype=torch.float64)
    index, labels = torch.randint(0, 5, shape[:-1]), torch.randint(0, 2, shape).double()
    grid = [("MultiMarginLoss", index, {"margin": m}) for m in (0.3, 1.0)]
    grid += [("MultiLabelSoftMarginLoss", labels, {}), ("SoftMarginLoss", 2 * labels - 1, {})]
    grid += [(name, y, {**options, "weight": weight}) for name, y, options in grid[:3]]
    for name, y, options in grid:
        ours = getattr(nt, name)(**options, reduction=reduction)
        theirs = getattr(torch.nn, name)(**options, reduction=reduction)
        same_as(lambda z: ours(z, y), lambda z: theirs(z, y), [scores])  # noqa: B023


@pytest.mark.filterwarnings("ignore:(reduction|size_average):UserWarning")  # of torch's KLDivLoss
@pytest.mark.parametrize("reduction", ["mean", "batchmean", "sum"])
def test_kl_div_loss(reduction):
    torch.manual_seed(0)
    for shape in ((), (5,), (7, 5), (3, 5, 2)):
        log_p = torch.randn(shape, dtype=torch.float64)
        target = torch.rand(shape, dtype=torch.float64)
        for log_target in (False, True):
            options = {"reduction": reduction, "log_target": log_target}
            ours, theirs = nt.KLDivLoss(**options), torch.nn.KLDivLoss(**options)
            same_as(lambda z: ours(z, target), lambda z: theirs(z, target), [log_p])  # noqa: B023
    with pytest.raises(ValueError, match="reduction is 'none', expected 'mean', 'batchmean' or"):
        nt.KLDivLoss(reduction="none")


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("full", [False, True])
def test_gaussian_nll_loss(full, reduction):
    torch.manual_seed(0)
    mean, y = torch.randn(2, 6, 4, dtype=torch.float64)
    ours = nt.GaussianNLLLoss(full=full, reduction=reduction)
    theirs = torch.nn.GaussianNLLLoss(full=full, reduction=reduction)
    for shape in ((6, 4), (6, 1), (6,)):
        var = torch.rand(shape, dtype=torch.float64)
        var.view(-1)[0] = 1e-9  # below eps
        same_as(lambda m, v: ours(m, y, v), lambda m, v: theirs(m, y, v), [mean, var])
    torch.testing.assert_close(ours(mean, y, 0.5), theirs(mean, y, torch.full_like(y, 0.5)))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("log_input", [False, True])
def test_poisson_nll_loss(log_input, reduction):
    torch.manual_seed(0)
    x, y = torch.rand(20, dtype=torch.float64) + 0.5, torch.randint(0, 9, (20,)).double()
    ours = nt.PoissonNLLLoss(log_input, reduction=reduction)
    theirs = torch.nn.PoissonNLLLoss(log_input, reduction=reduction, eps=0)
    same_as(lambda x: ours(x, y), lambda x: theirs(x, y), [x])
    full = nt.PoissonNLLLoss(log_input, full=True, reduction=reduction)
    torch.testing.assert_close(
        full(x, y) - ours(x, y), REDUCE[reduction](torch.lgamma(y + 1)), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("p", [1.0, 2.0, 3.0])
def test_triplet_margin_loss(p, reduction):
    torch.manual_seed(0)
    inputs = list(torch.randn(3, 20, 4, dtype=torch.float64))
    ours = nt.TripletMarginLoss(0.7, p, reduction=reduction)
    theirs = torch.nn.TripletMarginLoss(0.7, p, eps=0, reduction=reduction)
    same_as(ours, theirs, inputs)


MODULES = {name for name in nt.__all__ if isinstance(getattr(nt, name), type)}
# It has no arguments for the one, and logarithms of negative numbers for the other.
MODULES -= {"TripletMarginLoss", "KLDivLoss"}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", sorted(MODULES))
def test_grid_of_pytorch(name, dtype):
    """The arguments with which PyTorch's own tests go through its modules."""
    pytest.importorskip("expecttest", reason="PyTorch's tests need it")
    from torch.testing._internal.common_modules import module_db

    torch.manual_seed(0)
    (info,) = (info for info in module_db if info.module_cls.__name__ == name)
    left_out = {("MultiMarginLoss", "p"), ("PoissonNLLLoss", "full")}
    count = 0
    for given in info.module_inputs_func(info, "cpu", getattr(torch, dtype), False, True):
        args, options = given.constructor_input.args, given.constructor_input.kwargs
        if {(name, key) for key in options} & left_out:
            continue
        assert not given.forward_input.kwargs
        x, *rest = given.forward_input.args
        if "ignore_index" in options and (rest[0] == options["ignore_index"]).all():
            continue  # PyTorch's mean of nothing is NaN
        eps = {"eps": 0} if name == "PoissonNLLLoss" else {}
        ours = getattr(nt, name)(*args, **options)
        theirs = info.module_cls(*args, **options, **eps)
        rtol = 1e-12 if dtype == "float64" else 1e-5
        same_as(lambda x: ours(x, *rest), lambda x: theirs(x, *rest), [x], rtol)  # noqa: B023
        count += 1
    assert count >= 4


# ---- errors ----


def test_errors():
    z, t = torch.randn(4, 3, requires_grad=True), torch.zeros(4, dtype=torch.int64)
    with pytest.raises(TypeError, match=r"got 1 positional arguments, expected 2: logits, target"):
        nt.cross_entropy(z)
    with pytest.raises(TypeError, match="logits is list, expected a tensor"):
        nt.cross_entropy([[1.0, 2.0]], t)
    for dtype in (torch.float16, torch.bfloat16, torch.complex64):
        with pytest.raises(TypeError, match=rf"logits has dtype {dtype}, .*use logits.float\(\)"):
            nt.cross_entropy(z.detach().to(dtype), t)
    with pytest.raises(ValueError, match=r"logits is on device meta, .*use logits.cpu\(\)"):
        nt.cross_entropy(z.to("meta"), t)
    with pytest.raises(ValueError, match=r"sample_weight is on device meta"):
        nt.cross_entropy(z, t, sample_weight=torch.ones(4, device="meta"))
    with pytest.raises(ValueError, match=r"target requires a gradient.*use target.detach\(\)"):
        nt.cross_entropy(z, torch.rand(4, 3, requires_grad=True))
    with pytest.raises(ValueError, match="sample_weight requires a gradient"):
        nt.cross_entropy(z, t, sample_weight=torch.ones(4, requires_grad=True))
    with pytest.raises(TypeError, match="out is for arrays"):
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
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def test_message_without_torch():
    code = "import sys\nsys.modules['torch'] = None\nimport nllkern.torch"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "nllkern.torch needs PyTorch 2.6 or newer" in run.stderr


def test_module_is_a_module():
    loss = nt.CrossEntropyLoss(weight=torch.ones(3))
    assert "weight" in loss.state_dict()
    assert repr(loss) == "CrossEntropyLoss(reduction='mean')"
    assert Case  # the cases above come from the suite's own


def test_page(monkeypatch, tmp_path):
    """The examples of docs/frameworks.md that are PyTorch's."""
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[2] / "docs" / "frameworks.md").read_text()
    section = page.partition("\n## PyTorch\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    exec("\n".join(blocks), {})
