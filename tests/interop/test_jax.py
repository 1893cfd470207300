"""nllkern.jax beside nllkern itself: values, gradients, jit, vmap, grad, the callback, errors."""

import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from cases import cases
from cases_vectors import gaussian, triplet

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402

import nllkern as nk  # noqa: E402
import nllkern.jax as nj  # noqa: E402
from nllkern import _jax_call  # noqa: E402

CASES = cases((5, 67))
DTYPES = ("float32", "float64")


@pytest.fixture(autouse=True)
def double():
    """float64 for this module's tests alone."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def problems(dtype):
    for k, case in enumerate(CASES):
        yield case.weighted(12, dtype) if k % 2 else case.problem(12, dtype)
    yield gaussian(12, 3, dtype, "softplus")
    yield gaussian(12, 3, dtype, "log", shared=True)
    yield gaussian(12, 3, dtype, "covariance")
    yield triplet(12, 4, dtype, p=np.inf)
    yield triplet(12, 4, dtype)


def arrays(problem):
    options = {
        k: jnp.asarray(v) if isinstance(v, np.ndarray) else v for k, v in problem.options.items()
    }
    return [jnp.asarray(x) for x in problem.args], options


def call(problem, reduction, inputs, options):
    return getattr(nj, problem.loss.name)(*inputs, **options, reduction=reduction)


def check_gradients(problem, reduction):
    """Value and gradients, bit by bit, with the same upstream gradient everywhere."""
    inputs, options = arrays(problem)
    count = len(problem.loss.parameters)
    value, pull = jax.vjp(
        lambda *p: call(problem, reduction, (*p, *inputs[count:]), options), *inputs[:count]
    )
    want, grads = problem.loss.value_and_grad(*problem.args, **problem.options, reduction=reduction)
    np.testing.assert_array_equal(value, np.asarray(want, problem.dtype))
    found = pull(jnp.ones_like(value))
    for x, grad in zip(found, grads if isinstance(grads, tuple) else (grads,), strict=True):
        if value.ndim and grad.ndim < value.ndim + 2 * (grad.shape == (3, 3)):  # a shared factor
            np.testing.assert_allclose(x, grad, rtol=30 * np.finfo(problem.dtype).eps)
        else:
            np.testing.assert_array_equal(x, np.asarray(grad, problem.dtype))


def test_there_is_every_loss():
    assert {loss.name for loss in nk.losses()} <= set(nj.__all__)


def test_the_custom_call_is_compiled():
    """Where there is a compiler, the callback is not what is tested below."""
    assert nj.using_ffi()


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_as_nllkern(dtype, reduction):
    for problem in problems(dtype):
        if problem.options.get("link") != "covariance":
            check_gradients(problem, reduction)


def test_by_callback(monkeypatch):
    monkeypatch.setattr(_jax_call, "using_ffi", lambda: False)
    for problem in problems("float32"):
        if problem.options.get("link") != "covariance":
            check_gradients(problem, "mean")


def test_what_only_python_does():
    rng = np.random.default_rng(0)
    queries, keys = rng.normal(size=(2, 6, 4)).astype("float32")
    found = jax.grad(nj.info_nce, argnums=(0, 1))(queries, keys)
    for x, want in zip(found, nk.info_nce.grad(queries, keys), strict=True):
        np.testing.assert_array_equal(x, want)
    logits, y = rng.normal(size=(9, 20)), rng.normal(size=9)
    edges = np.linspace(-3, 3, 21)
    for e in ((-3, 3), edges, jnp.asarray(edges)):
        found = nj.binned_cross_entropy(logits, y, edges=e)
        assert found == nk.binned_cross_entropy(logits, y, edges=np.asarray(e))
    problem = gaussian(12, 3, "float64", "covariance")
    inputs, options = arrays(problem)
    assert call(problem, "mean", inputs, options) == problem.loss(*problem.args, **problem.options)
    f = jax.grad(lambda *p: call(problem, "mean", p, options), argnums=0)
    np.testing.assert_array_equal(f(*inputs), problem.run("value_and_grad")[1])
    with pytest.raises(ValueError, match="factor requires a gradient, which this loss"):
        jax.grad(lambda *p: call(problem, "mean", p, options), argnums=1)(*inputs)


@pytest.mark.parametrize("wrap", [jax.jit, lambda f: f])
def test_upstream_gradients_of_samples(wrap):
    rng = np.random.default_rng(0)
    logits, target = rng.normal(size=(6, 5)), rng.integers(0, 5, 6)
    up = rng.normal(size=6)
    found = wrap(jax.grad(lambda z: up @ nj.cross_entropy(z, target, reduction="none")))(logits)
    want = up[:, None] * nk.cross_entropy.grad(logits, target, reduction="none")
    np.testing.assert_allclose(found, want, rtol=1e-14)


def test_jit_grad_vmap():
    rng = np.random.default_rng(0)
    logits, target = rng.normal(size=(3, 6, 5)), rng.integers(0, 5, (3, 6))
    weight = rng.random(6)
    f = partial(nj.cross_entropy, sample_weight=weight, z_loss=0.1, reduction="sum")
    values, grads = jax.jit(jax.vmap(jax.value_and_grad(f)))(logits, target)
    for k in range(3):
        want = nk.cross_entropy.value_and_grad(
            logits[k], target[k], sample_weight=weight, z_loss=0.1, reduction="sum"
        )
        assert values[k] == want[0]
        np.testing.assert_array_equal(grads[k], want[1])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("samples", "reduction"), [(1, "mean"), (1, "sum"), (6, "mean"), (6, "none")]
)
def test_vmap_is_a_loop(samples, reduction, weighted):
    """The bits of calls one after the other, for every loss, with weights of their own."""
    for case in CASES:
        draw = case.weighted if weighted else case.problem
        calls = [draw(samples, "float32", seed=seed) for seed in range(3)]
        inputs, options = zip(*(arrays(problem) for problem in calls), strict=True)
        given = {k: v for k, v in options[0].items() if not isinstance(v, jax.Array)}
        count = len(calls[0].loss.parameters)

        def f(p, rest, weights, name=calls[0].loss.name, given=given):
            loss = getattr(nj, name)(*p, *rest, **weights, **given, reduction=reduction)
            return loss.sum(), loss

        stacked = jax.tree.map(
            lambda *x: jnp.stack(x),
            *[
                (x[:count], x[count:], {k: v for k, v in o.items() if isinstance(v, jax.Array)})
                for x, o in zip(inputs, options, strict=True)
            ],
        )
        grads, losses = jax.vmap(jax.grad(f, has_aux=True))(*stacked)
        for k, problem in enumerate(calls):
            want, want_grads = problem.loss.value_and_grad(
                *problem.args, **problem.options, reduction=reduction
            )
            np.testing.assert_array_equal(losses[k], np.asarray(want, "float32"))
            want_grads = want_grads if isinstance(want_grads, tuple) else (want_grads,)
            for x, grad in zip(grads, want_grads, strict=True):
                np.testing.assert_array_equal(x[k], grad)


def test_vmap_over_one_input():
    rng = np.random.default_rng(0)
    mean, y = rng.normal(size=(2, 50))
    scales = jnp.array([0.3, 0.5, 2.0])
    f = partial(nj.gaussian_nll, link="softplus")
    by_mean, by_scale = jax.vmap(jax.grad(f, argnums=(0, 1)), (None, 0, None))(mean, scales, y)
    for k, scale in enumerate(scales):
        want = nk.gaussian_nll.grad(mean, float(scale), y, link="softplus")
        np.testing.assert_array_equal(by_mean[k], want[0])
        assert by_scale[k] == want[1]
    logits = rng.normal(size=(2, 4, 6, 5))
    found = jax.vmap(jax.vmap(nj.cross_entropy, (0, None)), (0, None))(logits, jnp.arange(6) % 5)
    for i, j in np.ndindex(2, 4):
        assert found[i, j] == nk.cross_entropy(logits[i, j], np.arange(6) % 5)
    none = jax.vmap(nj.cross_entropy)(jnp.zeros((0, 6, 5)), jnp.zeros((0, 6), int))
    assert none.shape == (0,)
    target = jnp.zeros((2, 6), int).at[1, 4].set(9)
    with pytest.raises(Exception, match=r"target\[1, 4\] is 9, expected 0 <= index < 5"):
        jax.vmap(nj.cross_entropy)(logits[0, :2], target).block_until_ready()


@pytest.mark.parametrize("dtype", DTYPES)
def test_large_result(dtype):
    """Large enough for huge pages."""
    z = np.random.default_rng(0).normal(size=(130, 20000)).astype(dtype)
    target = np.arange(130)
    value, grad = jax.jit(jax.value_and_grad(nj.cross_entropy))(z, target)
    want = nk.cross_entropy.value_and_grad(z, target)
    assert value == np.asarray(want[0], dtype)
    np.testing.assert_array_equal(grad, want[1])


def test_shared_parameter():
    """One scale for all samples, learnable or a number."""
    mean, y = np.random.default_rng(0).normal(size=(2, 50))
    f = partial(nj.gaussian_nll, link="softplus")
    found = jax.jit(jax.grad(f, argnums=(0, 1)))(mean, 0.3, y)
    want = nk.gaussian_nll.grad(mean, 0.3, y, link="softplus")
    np.testing.assert_array_equal(found[0], want[0])
    assert found[1] == want[1]


def test_delta_of_each():
    x, y = np.random.default_rng(0).normal(size=(2, 6, 4))
    for delta in (
        0.5,
        np.linspace(0.1, 1, 4),
        np.linspace(0.1, 1, 24).reshape(6, 4),
        np.full((6, 1), 0.3),
    ):
        assert nj.huber(x, y, delta=delta) == nk.huber(x, y, delta=delta)
    found = jax.jit(nj.huber)(x, y, delta=[0.1, 0.2, 0.3, 1.0])  # a list of traced numbers
    assert found == nj.huber(x, y, delta=np.array([0.1, 0.2, 0.3, 1.0]))


def test_what_has_no_derivative():
    """An error, not a wrong number: weights, and targets that are put into bins."""
    z, y = np.random.default_rng(0).random((2, 5))

    def weighted(z, w):
        return nj.binary_cross_entropy(z, y, sample_weight=w)

    for transform in (partial(jax.grad, argnums=1), lambda f: jax.hessian(f, argnums=(0, 1))):
        with pytest.raises(ValueError, match=r"sample_weight requires .*stop_gradient\(sample_w"):
            transform(weighted)(z, z)

    def mapped(z, w):
        return jax.lax.map(lambda x: weighted(*x), (z[None], w[None]))[0]

    for f in (jax.checkpoint(weighted), jax.jit(weighted), mapped):
        found = jax.grad(f)(z, z)  # weights that do not move are none of its business
        want = nk.binary_cross_entropy.grad(z, y, sample_weight=z)
        np.testing.assert_array_equal(found, np.asarray(want, found.dtype))
    with pytest.raises(ValueError, match=r"binned_cross_entropy: target requires a gradient"):
        jax.grad(lambda y: nj.binned_cross_entropy(np.ones((5, 3)), y, edges=(0, 1)))(y)


def test_shared_parameter_of_samples():
    """With reduction="none" each sample has its own derivative by what all of them share."""
    z, y = np.random.default_rng(0).random((2, 5))
    up = np.arange(5.0)
    f = partial(nj.gaussian_nll, reduction="none")
    found = jax.grad(lambda *p: up @ f(*p, y), argnums=(0, 1))(z, 0.5)
    want = nk.gaussian_nll.grad(z, np.full(5, 0.5), y, reduction="none")
    np.testing.assert_allclose(found[0], up * want[0], rtol=1e-14)
    np.testing.assert_allclose(found[1], up @ want[1], rtol=1e-14)


def test_empty():
    assert nj.cross_entropy(jnp.zeros((0, 3)), jnp.zeros(0, int)) == 0
    assert nj.gaussian_nll(jnp.zeros(0), 0.5, jnp.zeros(0)) == 0


def test_errors():
    z, t = jnp.zeros((4, 3), "float32"), jnp.zeros(4, int)
    with pytest.raises(TypeError, match="got 1 positional arguments, expected 2: logits, target"):
        nj.cross_entropy(z)
    for dtype in ("float16", "bfloat16", "complex64"):
        with pytest.raises(TypeError, match=rf"logits has dtype {dtype}, expected float32"):
            nj.cross_entropy(z.astype(dtype), t)
    with pytest.raises(ValueError, match=r"target has shape \(5,\), which does not go with logits"):
        nj.cross_entropy(z, jnp.zeros(5, int))
    with pytest.raises(ValueError, match=r"sample_weight has shape \(5,\), expected \(4,\)"):
        nj.cross_entropy(z, t, sample_weight=jnp.ones(5))
    with pytest.raises(ValueError, match=r"class_weight has shape \(5,\), expected \(3,\)"):
        nj.cross_entropy(z, t, class_weight=jnp.ones(5))
    with pytest.raises(TypeError, match="unknown keyword 'wieght'"):
        nj.cross_entropy(z, t, wieght=1)
    with pytest.raises(ValueError, match="label_smoothing is 2, expected"):
        nj.cross_entropy(z, t, label_smoothing=2)
    with pytest.raises(TypeError, match="'out': it is for NumPy arrays"):
        nj.cross_entropy(z, t, out=z)
    with pytest.raises(TypeError, match="softcap is traced by JAX, expected a Python number"):
        jax.jit(lambda c: nj.cross_entropy(z, t, softcap=c))(5.0)
    with pytest.raises(TypeError, match="edges is traced by JAX, expected a Python array"):
        jax.jit(lambda e: nj.binned_cross_entropy(z, z[:, 0], edges=e))(jnp.arange(4.0))
    with pytest.raises(Exception, match=r"target\[2\] is 7, expected 0 <= index < 3"):
        nj.cross_entropy(z, jnp.array([0, 0, 7, 0])).block_until_ready()
    target = jnp.array([0, -100, -1, 0], "int16")
    with pytest.raises(Exception, match=r"is -1, expected 0 <= index < 3 or ignore_index = -100"):
        nj.cross_entropy(z, target, ignore_index=-100).block_until_ready()
    with pytest.raises(TypeError, match="target is a masked array"):
        nj.squared_error(z, np.ma.array(np.zeros((4, 3))))


def test_other_devices(monkeypatch):
    """As an array on a GPU would be refused."""

    class Elsewhere:
        platform = "gpu"

    z = jnp.zeros((4, 3), "float32")
    monkeypatch.setattr(type(z), "devices", lambda self: {Elsewhere()})
    with pytest.raises(ValueError, match=r"logits is on gpu, expected the CPU: use jax.device_put"):
        nj.cross_entropy(z, jnp.zeros(4, int))


@pytest.mark.parametrize("compiler", ["c++", "/nonexistent/compiler"])
def test_first_use(tmp_path, compiler):
    """A fresh cache: compiled, or by the callback."""
    code = (
        "import jax, numpy as np, nllkern.jax as nj\n"
        "print(nj.using_ffi(), nj.squared_error(np.ones(4, 'f4'), np.zeros(4, 'f4')))"
    )
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "CXX": compiler}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert run.stdout.split() == [str(compiler == "c++"), "0.5"], run.stderr


def test_message_without_jax():
    code = "import sys\nsys.modules['jax'] = None\nimport nllkern.jax"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "nllkern.jax needs JAX 0.5 or newer" in run.stderr


def test_page():
    """The example of docs/frameworks.md."""
    page = (Path(__file__).parents[2] / "docs" / "frameworks.md").read_text()
    section = page.partition("\n## JAX\n")[2].partition("\n## ")[0]
    exec(re.search(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)[1], {})
