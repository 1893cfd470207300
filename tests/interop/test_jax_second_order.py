"""Forward mode, and derivatives of derivatives, through nllkern.jax."""

import re
from functools import partial

import numpy as np
import pytest
from cases import cases
from cases_vectors import gaussian, triplet

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
from jax.test_util import check_grads  # noqa: E402

import nllkern as nk  # noqa: E402
import nllkern.jax as nj  # noqa: E402


@pytest.fixture(autouse=True)
def double():
    """float64 for this module's tests alone."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def problems():
    """Every loss, smooth at its point; weights in every second one."""
    for k, case in enumerate(cases((4, 67))):
        problem = case.weighted(3, "float64") if k % 2 else case.problem(3, "float64")
        if problem.args[0].shape[-1:] != (67,):
            yield problem
    yield gaussian(3, 2, "float64", "softplus")
    yield gaussian(3, 2, "float64", "log", shared=True)
    for p in (2.0, 2.5):
        yield triplet(4, 3, "float64", p=p)


def moved(problem, reduction, k, direction):
    """Central differences of nllkern's own gradients as parameter k moves."""
    h, found = 1e-5, []
    for step in (h, -h):
        args = list(problem.args)
        args[k] = args[k] + step * direction
        grads = problem.loss.grad(*args, **problem.options, reduction=reduction)
        found.append(grads if isinstance(grads, tuple) else (grads,))
    return [(a - b) / (2 * h) for a, b in zip(*found, strict=True)]


def a_few(problem):
    """Whether the quick test takes it: one of rows, one of two linked parameters."""
    return problem.loss.row.kind == "rows" or problem.options.get("link") == "log_variance"


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_second_derivatives(mode):
    """The Hessian times a direction in each parameter, beside differences of gradients."""
    check_products(mode, [*filter(a_few, problems())][::4])


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_second_derivatives_of_all(mode):
    """The same of every loss and link."""
    check_products(mode, problems())


def check_products(mode, chosen):
    rng = np.random.default_rng(0)
    for problem in chosen:
        args = [jnp.asarray(x) for x in problem.args]
        options = {
            key: jnp.asarray(x) if isinstance(x, np.ndarray) else x
            for key, x in problem.options.items()
        }
        count = len(problem.loss.parameters)
        loss, rest = getattr(nj, problem.loss.name), args[count:]

        @jax.jit
        def product(parameters, directions, loss=loss, rest=rest, options=options):
            def f(parameters):
                return loss(*parameters, *rest, **options)

            if mode == "forward":
                return jax.jvp(jax.grad(f), (parameters,), (directions,))[1]
            return jax.vjp(jax.grad(f), parameters)[1](directions)[0]

        for k in range(count):
            directions = [jnp.zeros_like(x) for x in args[:count]]
            directions[k] = jnp.asarray(rng.normal(size=args[k].shape))
            found = product(args[:count], directions)
            want = moved(problem, "mean", k, np.asarray(directions[k]))
            for x, y in zip(found, want, strict=True):
                np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-8, err_msg=str(problem))


@pytest.mark.slow
def test_every_mode():
    """Of a loss of rows and of one of two parameters, of which one is shared."""
    rng = np.random.default_rng(0)
    z, t = jnp.asarray(rng.normal(size=(3, 4))), jnp.array([0, 3, 1])
    check_grads(
        lambda z: nj.cross_entropy(z, t), (z,), order=3, modes=["fwd", "rev"], atol=1e-4, rtol=1e-4
    )
    mean, y = jnp.asarray(rng.normal(size=(2, 4)))
    for reduction in ("mean", "none"):
        check_grads(
            lambda *p: nj.gaussian_nll(*p, y, link="softplus", reduction=reduction),  # noqa: B023
            (mean, 0.3),
            order=2,
            modes=["fwd", "rev"],
        )


def test_hessian_of_plain_formula():
    rng = np.random.default_rng(0)
    z, t = jnp.asarray(rng.normal(size=(3, 4))), jnp.array([0, 3, 1])
    batch = jnp.asarray(rng.normal(size=(5, 3, 4)))

    def plain(z):
        return -jnp.take_along_axis(jax.nn.log_softmax(z), t[:, None], -1).mean()

    def ours(z):
        return nj.cross_entropy(z, t)

    for transform in (jax.hessian, lambda f: jax.jacrev(jax.jacrev(f))):
        np.testing.assert_allclose(transform(ours)(z), transform(plain)(z), rtol=1e-12, atol=1e-15)
    along, want = (jax.linearize(f, z)[1](z) for f in (ours, plain))
    np.testing.assert_allclose(along, want, rtol=1e-12)
    along, want = (jax.vmap(jax.jacfwd(jax.grad(f)))(batch) for f in (ours, plain))
    np.testing.assert_allclose(along, want, rtol=1e-12, atol=1e-15)


@pytest.mark.slow
def test_samples_that_see_each_other():
    """The derivative of each sample's loss by vectors that all samples share."""
    rng = np.random.default_rng(0)
    queries, keys = (jnp.asarray(rng.normal(size=(4, 3))) for _ in "qk")
    weight = jnp.asarray(rng.random(4))
    for form in ("queries", "symmetric", "nt_xent"):
        f = partial(nj.info_nce, form=form)

        def each(*x, f=f):
            return f(*x, reduction="none")

        up = jax.grad(lambda *x: weight @ each(*x), (0, 1))(queries, keys)
        want = nk.info_nce.grad(queries, keys, form=form, sample_weight=weight, reduction="sum")
        for x, y in zip(up, want, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-12)
        check_grads(f, (queries, keys), order=2, modes=["fwd", "rev"], atol=1e-4, rtol=1e-4)


def test_one_kernel_call():
    """Value and gradient of the first order are one custom call, and nothing else."""
    z, t = jnp.zeros((32, 10)), jnp.zeros(32, int)
    text = jax.jit(jax.value_and_grad(nj.cross_entropy)).lower(z, t).compile().as_text()
    entry = text[text.index("ENTRY") :]
    assert entry.count("custom-call(") == 1
    assert len(re.findall("^ .* = ", entry, re.MULTILINE)) == 3, entry  # two parameters, the call
