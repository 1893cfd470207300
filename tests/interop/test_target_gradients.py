"""Derivatives by targets through nllkern.jax and nllkern.torch, beside mpmath's."""

import numpy as np
import pytest
from cases import LOSSES, Problem, cases
from cases_vectors import gaussian
from exact_targets import derivatives

import nllkern as nk
from nllkern.tables import LOSSES as ROWS

SAMPLES, CLASSES = 2, 4
TRIGAMMA = 2e-9  # torch.polygamma(1, x) of a double is wrong by 5e-10 of itself
pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning"),
    pytest.mark.thread_unsafe(reason="sets the digits of mpmath, which are the process's"),
]


def problems():
    """Every loss whose targets may move, with weights."""
    for k, case in enumerate(cases((CLASSES, 67))):
        if case.row.has_target_gradient and case.kind != "index" and case.classes != 67:
            yield case.weighted(SAMPLES, "float64", k)
    args = (np.array([0.1, 3.0]), np.array([0.3, -0.4]))
    yield Problem(LOSSES["huber"], args, {"delta": 0.3})  # a number
    yield Problem(LOSSES["binary_cross_entropy"], args, {"pos_weight": 0.3})
    for link in ("softplus", "identity"):
        yield gaussian(SAMPLES, 2, "float64", link)


def options_of_classes():
    """Every option of the losses over classes, with targets of 0 and a class that is masked."""
    rng = np.random.default_rng(2)
    logits, target = rng.normal(size=(SAMPLES, CLASSES)), rng.random((SAMPLES, CLASSES))
    target[0, 1] = 0
    weight = {"class_weight": rng.random(CLASSES)}
    for name, options in (
        ("cross_entropy", {"label_smoothing": 0.1, "z_loss": 0.3, "softcap": 2.0, **weight}),
        ("cross_entropy", {"z_loss": 0.3, "sample_weight": np.array([0.5, 2.0])}),
        ("normalized_sigmoid_nll", {"label_smoothing": 0.2, **weight}),
    ):
        yield Problem(LOSSES[name], (logits, target), options)


CHOSEN = [*problems(), *options_of_classes()]
QUICK = [p for p in CHOSEN if p.rowwise or p.options.get("link") == "softplus"][::3]


def close(found, want, problem, rtol=1e-10):
    np.testing.assert_allclose(found, want, rtol=rtol, atol=1e-13, err_msg=str(problem))


def of_each(second, axes):
    """Second derivatives of each sample by itself; those by two samples are 0."""
    second = np.asarray(second)
    for i in range(SAMPLES):
        assert not np.delete(second[i], i, axes).any()
    return np.stack([np.take(second[i], i, axes) for i in range(SAMPLES)])


# ---- JAX ----


@pytest.fixture
def jax():
    """JAX in double precision."""
    jax = pytest.importorskip("jax")
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield jax
    jax.config.update("jax_enable_x64", before)


def of_jax(jax, problem, **more):
    """The loss as a function of its inputs, and these."""
    import nllkern.jax as nj

    loss, options = getattr(nj, problem.loss.name), {**problem.options, **more}
    return lambda *x: loss(*x, **options), [jax.numpy.asarray(x) for x in problem.args]


def check_jax(jax, problem):
    f, inputs = of_jax(jax, problem)
    every, target = tuple(range(len(inputs))), len(inputs) - 1
    axes = problem.args[-1].ndim - 1
    first, second = derivatives(problem)
    *grads, by_target = jax.jit(jax.grad(f, every))(*inputs)
    close(by_target, first, problem)
    for x, y in zip(grads, problem.run("grad"), strict=True):
        np.testing.assert_array_equal(x, y)
    directions = [jax.numpy.zeros_like(x) for x in inputs[:-1]] + [inputs[-1]]
    along = jax.jvp(f, inputs, directions)[1]
    np.testing.assert_allclose(along, (first * problem.args[-1]).sum(), rtol=1e-10)
    for transform in (jax.jacfwd, jax.jacrev):
        found = jax.jit(transform(jax.grad(f, target), every))(*inputs)
        for x, want in zip(found, second, strict=True):
            close(of_each(x, axes), np.nan_to_num(want), problem)
    mixed = jax.jit(jax.jacfwd(jax.grad(f, 0), target))(*inputs)
    want = np.moveaxis(second[0], range(1, 1 + axes), range(-axes, 0)) if axes else second[0]
    close(of_each(mixed, inputs[0].ndim - 1), want, problem)


@pytest.mark.parametrize("problem", QUICK, ids=lambda p: p.loss.name)
def test_jax(jax, problem):
    check_jax(jax, problem)


@pytest.mark.slow
@pytest.mark.parametrize("problem", CHOSEN, ids=lambda p: p.loss.name)
def test_jax_of_all(jax, problem):
    check_jax(jax, problem)


def test_jax_of_samples_and_batches(jax):
    """With reduction="none" each sample has its own upstream, and a target may be shared."""
    rng = np.random.default_rng(0)
    soft, up = rng.random((3, CLASSES)), rng.normal(size=3)
    problem = Problem(LOSSES["cross_entropy"], (rng.normal(size=(3, CLASSES)), soft))
    f, (z, t) = of_jax(jax, problem, reduction="none")
    log_p = jax.nn.log_softmax(z)
    found = jax.grad(lambda t: up @ f(z, t))(t)
    close(found, -up[:, None] * log_p, problem)
    batch = rng.random((5, 3, CLASSES))
    found = jax.vmap(jax.grad(lambda t: up @ f(z, t)))(batch)
    close(found, np.broadcast_to(-up[:, None] * log_p, batch.shape), problem)
    problem = Problem(LOSSES["gaussian_nll"], (rng.normal(size=3), np.ones(3), np.array(0.3)))
    f, inputs = of_jax(jax, problem, reduction="none")
    found = jax.grad(lambda y: up @ f(*inputs[:2], y))(inputs[2])
    close(found, up @ (0.3 - problem.args[0]), problem)
    found = jax.grad(of_jax(jax, problem)[0], 2)(*inputs)
    close(found, np.mean(0.3 - problem.args[0]), problem)


# ---- PyTorch ----


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def of_torch(torch, problem, **more):
    """The loss as a function of its inputs, and these."""
    import nllkern.torch as nt

    options = {
        key: torch.from_numpy(x) if isinstance(x, np.ndarray) else x
        for key, x in {**problem.options, **more}.items()
    }
    loss = getattr(nt, problem.loss.name)
    is_read = problem.loss.row.kind != "vectors"  # above the diagonals there is NaN
    args = [x if is_read else np.nan_to_num(x) for x in problem.args]
    inputs = [torch.from_numpy(x.copy()).requires_grad_() for x in args]
    return lambda *x: loss(*x, **options), inputs


@pytest.mark.parametrize("problem", CHOSEN, ids=lambda p: p.loss.name)
def test_torch(torch, problem):
    f, inputs = of_torch(torch, problem)
    every, target = tuple(range(len(inputs))), len(inputs) - 1
    axes = problem.args[-1].ndim - 1
    first, second = derivatives(problem)
    f(*inputs).backward()
    close(inputs[-1].grad, first, problem)
    for x, want in zip(inputs, problem.run("grad"), strict=False):
        np.testing.assert_array_equal(x.grad, want)
    grads = torch.autograd.grad(f(*inputs), inputs, create_graph=True)
    for x, want in zip(inputs, second, strict=True):
        found = [torch.autograd.grad(g, x, retain_graph=True)[0] for g in grads[-1].flatten()]
        found = torch.stack(found).reshape(inputs[-1].shape + x.shape)
        close(of_each(found, axes), np.nan_to_num(want), problem, TRIGAMMA)
    inputs = [x.detach() for x in inputs]
    for transform in (torch.func.jacfwd, torch.func.jacrev):
        found = transform(torch.func.grad(f, target), every)(*inputs)
        for x, want in zip(found, second, strict=True):
            close(of_each(x, axes), np.nan_to_num(want), problem, TRIGAMMA)
    *still, y = inputs
    tangent = torch.func.jvp(lambda y: f(*still, y), (y,), (y,))[1]
    np.testing.assert_allclose(tangent, (first * problem.args[-1]).sum(), rtol=1e-10)


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("problem", QUICK, ids=lambda p: p.loss.name)
def test_torch_checks(torch, problem, reduction):
    f, inputs = of_torch(torch, problem, reduction=reduction)
    assert torch.autograd.gradcheck(f, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(f, inputs, fast_mode=True)
    *still, y = [x.detach() for x in inputs]
    y.requires_grad_()
    assert torch.autograd.gradgradcheck(lambda y: f(*still, y), (y,))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # PyTorch's own
@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_as_torch(torch, compiled):
    """The gradients of PyTorch's own losses by probabilities."""
    import nllkern.torch as nt

    F = torch.nn.functional
    torch.manual_seed(0)
    z, t = torch.randn(3, 4), torch.rand(3, 4).softmax(-1)
    weight = torch.rand(4)
    pairs = (
        (
            lambda z, t: nt.cross_entropy(z, t, label_smoothing=0.1, class_weight=weight),
            lambda z, t: F.cross_entropy(z, t, label_smoothing=0.1, weight=weight),
        ),
        (
            lambda z, t: nt.kl_divergence(z, t, link="log"),
            lambda z, t: F.kl_div(z, t, reduction="batchmean"),
        ),
        (nt.binary_cross_entropy, F.binary_cross_entropy_with_logits),
    )
    for ours, theirs in pairs:
        found = []
        for f in (torch.compile(ours) if compiled else ours, theirs):
            inputs = [x.clone().requires_grad_() for x in (z, t)]
            f(*inputs).backward()
            found.append([x.grad for x in inputs])
        torch.testing.assert_close(*found)


# ---- edges ----


def slopes(framework, name, *inputs, **options):
    """The gradient by the target of the sum."""
    problem = Problem(LOSSES[name], tuple(map(np.array, inputs)), options)
    if framework.__name__ == "jax":
        f, inputs = of_jax(framework, problem, reduction="sum")
        return np.asarray(framework.grad(f, len(inputs) - 1)(*inputs))
    f, inputs = of_torch(framework, problem, reduction="sum")
    return framework.autograd.grad(f(*inputs), inputs[-1])[0].numpy()


@pytest.fixture(params=["jax", "torch"])
def framework(request):
    return request.getfixturevalue(request.param)


def test_what_does_not_count(framework):
    """Classes without probability whose target is 0, targets of 0 in t log t, ignored samples."""
    z = [-np.inf, 0.0, 0.0]
    found = slopes(framework, "cross_entropy", [z, z], [[0.0, 0.5, 0.5], [0.5, 0.5, 0.0]])
    np.testing.assert_allclose(found, [[0, *[np.log(2)] * 2], [np.inf, *[np.log(2)] * 2]])
    for link, p in (("softmax", [0.0] * 4), ("log", [np.log(0.25)] * 4)):
        found = slopes(framework, "kl_divergence", [p], [[0.0, 0.25, 0.25, 0.5]], link=link)
        np.testing.assert_allclose(found, [[np.log(4), 1, 1, 1 + np.log(2)]], rtol=1e-14)
    found = slopes(framework, "kl_divergence", [z], [[0.0, 0.5, 0.5]])
    np.testing.assert_allclose(found, [[0, 1, 1]])
    found = slopes(
        framework,
        "cross_entropy",
        [[0.0, 0.0], [np.nan, 0.0], [np.nan, 0.0], [0.0, 0.0]],
        [[1.0, 0.0], [1.0, 0.0], [0.5, 0.5], [0.5, 0.5]],
        sample_weight=np.array([1.0, 1.0, 0.0, 2.0]),
        ignore_index=0,
    )
    np.testing.assert_allclose(found, [[0, 0], [0, 0], [0, 0], [2 * np.log(2)] * 2])


def test_other_samples_stay(framework):
    found = slopes(framework, "cross_entropy", [[np.nan, 0.0], [0.0, 0.0]], [[1.0, 0], [1, 0]])
    assert np.isnan(found[0]).all()
    np.testing.assert_allclose(found[1], np.log(2))


def test_edges_of_domains(framework):
    """At its edge the limit; beyond it, where the loss is inf, NaN as the other gradients are."""
    rate = np.full(3, 2.0)
    y = [0.0, 1.0, -1.0]
    found = slopes(framework, "poisson_nll", rate, y)
    np.testing.assert_allclose(
        found, [-np.euler_gamma - np.log(2), 1 - np.euler_gamma - np.log(2), np.nan]
    )
    found = slopes(framework, "poisson_nll", rate, y, full=False)
    np.testing.assert_allclose(found, [-np.log(2), -np.log(2), np.nan])
    np.testing.assert_allclose(slopes(framework, "exponential_nll", rate, y), [2, 2, np.nan])
    found = slopes(framework, "gamma_nll", [1.0, 0.5, 3.0], rate, np.zeros(3))
    np.testing.assert_allclose(found, [2, np.inf, -np.inf])


LIKELIHOODS = [
    row for row in ROWS if row.kind == "pointwise" and any(p.option for p in row.parameters)
]


@pytest.mark.parametrize("row", LIKELIHOODS, ids=lambda row: row.name)
def test_parameters_outside_their_domain(framework, row):
    """Where the loss is NaN, so is its slope, and nowhere else."""
    parameters = [np.array([1.0, -1.0, np.nan, 2.0])] * len(row.parameters)
    found = slopes(framework, row.name, *parameters, np.ones(4))
    assert np.array_equal(np.isnan(found), [False, True, True, False])


def test_no_derivative(framework):
    """Bins, and a weight."""
    with pytest.raises(ValueError, match="binned_cross_entropy: target requires a gradient"):
        slopes(framework, "binned_cross_entropy", np.ones((2, 3)), [0.2, 0.5], edges=(0, 1))
    assert {x.name for x in nk.losses() if not x.row.has_target_gradient} == {
        "multiclass_hinge",
        "binned_cross_entropy",
        "triplet_margin",
        "info_nce",
    }
