"""Derivatives of derivatives through nllkern.torch: double backward, and torch.func."""

import numpy as np
import pytest
from cases import cases
from cases_vectors import gaussian, triplet

torch = pytest.importorskip("torch")

import nllkern.torch as nt  # noqa: E402

func = torch.func
FORM = ("queries", "symmetric", "nt_xent")


def problems():
    """Every loss, smooth at its point; weights in every second one."""
    for k, case in enumerate(cases((4, 67))):
        problem = case.weighted(3, "float64") if k % 2 else case.problem(3, "float64")
        if problem.args[0].shape[-1:] != (67,):
            yield problem
    yield gaussian(3, 2, "float64", "softplus")
    yield gaussian(3, 2, "float64", "log", shared=True)
    yield gaussian(3, 2, "float64")
    for p in (1.0, 2.0, 2.5, np.inf):
        yield triplet(4, 3, "float64", p=p)


def functions(reduction):
    """(a function of its parameters, tensors of these) of each problem."""
    for problem in problems():
        tensors = [torch.from_numpy(np.nan_to_num(x)) for x in problem.args]
        options = {
            key: torch.from_numpy(x) if isinstance(x, np.ndarray) else x
            for key, x in problem.options.items()
        }
        count = len(problem.loss.parameters)

        def call(*parameters, problem=problem, rest=tensors[count:], options=options):
            loss = getattr(nt, problem.loss.name)
            return loss(*parameters, *rest, **options, reduction=reduction)

        yield call, [x.requires_grad_() for x in tensors[:count]]


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_double_backward(reduction):
    for call, parameters in functions(reduction):
        assert torch.autograd.gradgradcheck(call, parameters, fast_mode=True), call


@pytest.mark.parametrize(
    "options",
    [
        {"label_smoothing": 0.1, "z_loss": 0.3, "softcap": 2.0},
        {"ignore_index": 1, "class_weight": torch.tensor([1.0, 2, 3, 4], dtype=torch.float64)},
    ],
)
def test_options(options):
    z = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    t, soft = torch.tensor([0, 1, 3, 2, 1]), torch.rand(5, 4, dtype=torch.float64)
    for target in (t, soft):
        for reduction in ("mean", "sum"):

            def call(z, target=target, reduction=reduction):
                return nt.cross_entropy(z, target, reduction=reduction, **options)

            assert torch.autograd.gradgradcheck(call, (z,))
    y = torch.randn(5, dtype=torch.float64)
    options.pop("ignore_index", None)
    assert torch.autograd.gradgradcheck(
        lambda z: nt.binned_cross_entropy(z, y, edges=(-2, 2), normalizer=3.0, **options), (z,)
    )


@pytest.mark.parametrize("form", FORM)
@pytest.mark.parametrize("normalize", [True, False])
def test_info_nce(form, normalize):
    queries, keys = (torch.randn(3, 4, dtype=torch.float64, requires_grad=True) for _ in "qk")
    weight = torch.rand(3, dtype=torch.float64)
    assert torch.autograd.gradgradcheck(
        lambda *x: nt.info_nce(*x, normalize=normalize, form=form, sample_weight=weight),
        (queries, keys),
    )


def same(found, want):
    torch.testing.assert_close(found, want, rtol=1e-12, atol=1e-12)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
def test_transforms():
    """As of PyTorch's own loss."""
    torch.manual_seed(0)
    z, t = torch.randn(3, 4, dtype=torch.float64), torch.tensor([0, 3, 1])
    batch = torch.randn(5, 3, 4, dtype=torch.float64)

    def ours(z):
        return nt.cross_entropy(z, t)

    def theirs(z):
        return torch.nn.functional.cross_entropy(z, t)

    for transform in (
        func.grad,
        func.jacfwd,
        func.hessian,
        lambda f: func.jacrev(func.jacrev(f)),
        lambda f: func.jacrev(func.jacfwd(f)),
        lambda f: lambda z: func.jvp(f, (z,), (z,)),
        lambda f: lambda z: func.vjp(func.grad(f), z)[1](z),
    ):
        same(transform(ours)(z), transform(theirs)(z))
        same(func.vmap(transform(ours))(batch), func.vmap(transform(theirs))(batch))
    assert func.vmap(ours)(batch[:0]).shape == (0,)
    with pytest.raises(NotImplementedError, match="cross_entropy: forward mode inside forward"):
        func.jacfwd(func.jacfwd(ours))(z)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(z, z)
        found = torch.autograd.forward_ad.unpack_dual(ours(dual)).tangent
        same(found, torch.autograd.forward_ad.unpack_dual(theirs(dual)).tangent)


def test_vmap_over_weights():
    z, t = torch.randn(5, 3, 4), torch.tensor([0, 3, 1])
    weight = torch.rand(5, 3)
    found = func.vmap(lambda z, w: nt.cross_entropy(z, t, sample_weight=w))(z, weight)
    for k in range(5):
        assert found[k] == nt.cross_entropy(z[k], t, sample_weight=weight[k])
