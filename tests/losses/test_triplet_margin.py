"""triplet_margin: against reference and PyTorch, and what all losses promise, for every norm."""

import re

import numpy as np
import pytest
import vector_properties as check
from cases import DTYPES, REDUCTIONS, assert_exact, assert_same_bits, assert_same_on_threads
from cases_vectors import triplet

import nllkern as nk

pytestmark = pytest.mark.thin

LOSS = nk.triplet_margin
NORMS = (2.0, 1.0, np.inf, 1.5, 3.0)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)
each_norm = pytest.mark.parametrize("p", NORMS)


@each_norm
@pytest.mark.parametrize("d", [1, 2, 5, 15, 16, 17, 130])
@each_dtype
def test_equals_reference(dtype, d, p, simd_level):
    check.check_reference(triplet(21, d, dtype, p))
    assert_exact(triplet(21, d, dtype, p, margin=0.0))
    assert_exact(triplet(21, d, dtype, p, margin=-0.25))


@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (2, 1, 4), (0, 3), (3, 0)], ids=str)
@each_norm
def test_leading_axes(shape, p):
    for reduction in REDUCTIONS:
        assert_exact(triplet(shape, 3, "float64", p).with_weights(), reduction)


def test_against_torch():
    torch = pytest.importorskip("torch")
    for p in NORMS:
        problem = triplet(40, 9, "float64", p)
        tensors = [torch.tensor(x, requires_grad=True) for x in problem.args]
        theirs = torch.nn.functional.triplet_margin_loss(*tensors, p=p, eps=0.0)
        theirs.backward()
        value, grads = LOSS.value_and_grad(*problem.args, p=p)
        assert value == pytest.approx(theirs.item(), rel=1e-13)
        for x, tensor in zip(grads, tensors, strict=True):
            np.testing.assert_allclose(x, tensor.grad.numpy(), rtol=1e-11, atol=1e-15)


@each_norm
@each_dtype
def test_hinge_and_equal_vectors(dtype, p, simd_level):
    """Exactly 0 where the hinge is at rest; a subgradient of 0 where vectors are equal."""
    a = np.arange(1.0, 6.0, dtype=dtype)[None]
    far = LOSS.value_grad_hess(a, a, a + 9, p=p)
    assert far[0] == 0
    assert not any(x.any() for part in far[1:] for x in part)
    value, grads, hesss = LOSS.value_grad_hess(a, a, a, p=p)
    assert value == 1
    assert not any(x.any() for x in (*grads, *hesss))
    value, grads, hesss = LOSS.value_grad_hess(a, a, a + np.eye(5, dtype=dtype)[2] / 4, p=p)
    assert value == 0.75
    assert not grads[1].any()
    assert not hesss[1].any()
    assert grads[2].tolist() == [[0, 0, -1, 0, 0]]
    assert grads[0].tolist() == [[0, 0, 1, 0, 0]]


@each_dtype
def test_ties(dtype, simd_level):
    a = np.zeros((1, 4), dtype)
    positive = np.array([[3.0, -3.0, 1.0, 2.0]], dtype)
    _, grads = LOSS.value_and_grad(a, positive, a, p=np.inf)
    assert grads[1].tolist() == [[0.5, -0.5, 0, 0]]


@each_dtype
@each_norm
def test_scale(dtype, p, simd_level):
    """A power of two scales norms exactly, and changes no bit of the gradient, far out too."""
    exponents = (-120, 110) if dtype == "float32" else (-1000, 990)
    problem = triplet(20, 19, dtype, p, margin=0.0)
    value, grads = LOSS.value_and_grad(*problem.args, p=p, margin=0.0, reduction="none")
    for e in exponents:
        args = [np.ldexp(x, e) for x in problem.args]
        if not all(
            np.array_equal(np.ldexp(x, -e), y) for x, y in zip(args, problem.args, strict=True)
        ):
            continue
        far, far_grads = LOSS.value_and_grad(*args, p=p, margin=0.0, reduction="none")
        eps = np.finfo(dtype).eps
        np.testing.assert_allclose(
            np.ldexp(far.astype(float), -e), value, rtol=16 * eps, atol=16 * eps
        )
        for x, y in zip(far_grads, grads, strict=True):
            np.testing.assert_allclose(x, y, rtol=16 * eps, atol=16 * eps)


def test_shift():
    """Moving all three vectors alike, exactly, changes no bit."""
    for dtype in DTYPES:
        problem = triplet(20, 12, dtype)
        near = [np.round(8 * x) / 8 for x in problem.args]
        far = [x + np.dtype(dtype).type(2**16) for x in near]
        assert_same_bits(problem.having(*far).run(), problem.having(*near).run())


@each_norm
@pytest.mark.parametrize("d", [1, 7, 16, 40])
@each_dtype
def test_promises(dtype, d, p, simd_level):
    problem = triplet(37, d, dtype, p)
    check.check_calls_agree(problem)
    check.check_position(problem)
    check.check_in_place(problem)
    check.check_weight_of_zero(problem)
    check.check_empty(problem)
    check.check_nan_stays(problem, [(0, (0,)), (1, (d - 1,)), (2, (d // 2,))])


@each_norm
@each_dtype
def test_any_number_of_threads(dtype, p):
    assert_same_on_threads(triplet(6000, 17, dtype, p).with_weights())
    assert_same_on_threads(triplet(70, 3000, dtype, p).with_weights())


A = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
B, C = A + 1, A * 2


def test_bad_out():
    g = np.full((4, 3), 7, np.float32)
    for out, what in [
        ((g, g.copy()), "tuple of 3"),
        ((g, g.copy(), g[:3]), "out[2] has shape (3, 3)"),
        ((g, g, None), "out[0] partly overlaps out[1]"),
        ((g, g.astype(float), None), "out[1] has dtype float64"),
    ]:
        with pytest.raises((TypeError, ValueError), match=re.escape(what)):
            LOSS.grad(A, B, C, out=out)
    assert np.all(g == 7)
