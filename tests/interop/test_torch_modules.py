"""The modules of nllkern.torch beside those of torch.nn."""

import itertools

import pytest

torch = pytest.importorskip("torch")

import nllkern.torch as nt  # noqa: E402

DTYPES = ("float32", "float64")


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
        ("SmoothL1Loss", {"beta": 1e-50}),
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
@pytest.mark.parametrize(("log_input", "eps"), [(False, 1e-8), (False, 0), (False, 0.1), (True, 1)])
def test_poisson_nll_loss(log_input, eps, reduction):
    torch.manual_seed(0)
    x, y = torch.rand(20, dtype=torch.float64) + 0.5, torch.randint(0, 9, (20,)).double()
    ours = nt.PoissonNLLLoss(log_input, reduction=reduction, eps=eps)
    theirs = torch.nn.PoissonNLLLoss(log_input, reduction=reduction, eps=eps)
    same_as(lambda x: ours(x, y), lambda x: theirs(x, y), [x])
    full = nt.PoissonNLLLoss(log_input, full=True, reduction=reduction, eps=eps)
    torch.testing.assert_close(
        full(x, y) - ours(x, y), REDUCE[reduction](torch.lgamma(y + 1)), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("p", [1.0, 2.0, 3.0])
def test_triplet_margin_loss(p, swap, reduction):
    torch.manual_seed(0)
    inputs = list(torch.randn(3, 20, 4, dtype=torch.float64))
    ours = nt.TripletMarginLoss(0.7, p, swap=swap, reduction=reduction)
    theirs = torch.nn.TripletMarginLoss(0.7, p, eps=0, swap=swap, reduction=reduction)
    same_as(ours, theirs, inputs)


def test_small_beta():
    """In float32, where products with it are too small."""
    x, y = torch.tensor([0.01, 3.0, 0.0, 1e-6]), torch.zeros(4)
    for beta in (1e-5, 1e-20, 1e-37, 1e-50, 1e-300):
        same_as(nt.SmoothL1Loss(beta=beta), torch.nn.SmoothL1Loss(beta=beta), [x, y], rtol=1e-6)


def test_what_torch_refuses():
    mean, y = torch.zeros(2, 3)
    for var in (torch.tensor([1.0, -1.0, 1.0]), -1.0):
        with pytest.raises(ValueError, match="var has negative entries"):
            nt.GaussianNLLLoss()(mean, y, var)
    with pytest.raises(RuntimeError, match="beta is -1, expected a number >= 0"):
        nt.SmoothL1Loss(beta=-1)(mean, y)


def has_no_mean(options, target, *_):
    """Whether the weights of the classes make a denominator that is not positive."""
    weight = options.get("weight")
    if weight is None or options.get("reduction", "mean") != "mean" or target.is_floating_point():
        return False
    return weight[target[target != options.get("ignore_index", -100)]].sum() <= 0


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
        ours = getattr(nt, name)(*args, **options)
        theirs = info.module_cls(*args, **options)
        if hasattr(ours, "ignore_index") and has_no_mean(options, *rest):
            with pytest.raises(
                ValueError, match="the weights of the mean do not sum to a positive"
            ):
                ours(x, *rest)
            continue
        rtol = 1e-12 if dtype == "float64" else 1e-5
        same_as(lambda x: ours(x, *rest), lambda x: theirs(x, *rest), [x], rtol)  # noqa: B023
        count += 1
    assert count >= 4
