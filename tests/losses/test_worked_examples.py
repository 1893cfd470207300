"""Numbers that textbooks work by hand, for the compiled losses and for the reference."""

import math

import numpy as np
import pytest

import nllkern as nk
from nllkern import reference

BOTH = pytest.mark.parametrize("lib", [nk, reference], ids=["nllkern", "reference"])
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def eps(dtype):
    return float(np.finfo(dtype).eps)


@BOTH
@DTYPES
def test_minus_log_of_the_probability_of_the_true_class(lib, dtype):
    """-log 0.7 = 0.357 for a good guess; -log 0.01 = 4.605 for a bad one."""
    p = np.array([[0.1, 0.7, 0.2], [0.98, 0.01, 0.01]])
    value = lib.cross_entropy(np.log(p).astype(dtype), np.array([1, 1]), reduction="none")
    assert value[0] == pytest.approx(0.357, abs=5e-4)
    assert value[1] == pytest.approx(4.605, abs=5e-4)


@BOTH
@DTYPES
def test_squared_error(lib, dtype):
    """A prediction of 2.4 for 3.0: half the squared error is 0.18, its gradient -0.6."""
    mean, target = np.array([2.4], dtype), np.array([3.0], dtype)
    value, (grad, _) = lib.gaussian_nll.value_and_grad(mean, 1.0, target, full=False)
    rel = 4 * eps(dtype)
    assert value == pytest.approx(0.18, rel=rel)
    assert grad[0] == pytest.approx(-0.6, rel=rel)


@BOTH
@DTYPES
def test_binary_cross_entropy_is_stationary_where_p_is_y(lib, dtype):
    """For y = 0.5 a p of 0.6 is too high: gradient p - y = 0.1, and 0 exactly at p = y."""
    z = np.array([math.log(0.6 / 0.4), 0.0], dtype)
    y = np.array([0.5, 0.5], dtype)
    value, grad = lib.binary_cross_entropy.value_and_grad(z, y, reduction="none")
    assert grad[0] == pytest.approx(0.1, rel=8 * eps(dtype))
    assert grad[1] == 0.0
    assert value[1] == pytest.approx(math.log(2), rel=2 * eps(dtype))
    assert value[0] > value[1]


@BOTH
@DTYPES
def test_softmax_gradient_is_p_minus_y(lib, dtype):
    rng = np.random.default_rng(1)
    z = rng.normal(size=(50, 7)).astype(dtype)
    target = rng.integers(7, size=50)
    p = np.exp(z.astype(np.float64))
    p /= p.sum(axis=1, keepdims=True)
    grad = lib.cross_entropy.grad(z, target, reduction="sum")
    np.testing.assert_allclose(grad, p - np.eye(7)[target], atol=4 * eps(dtype))


@BOTH
@DTYPES
def test_binary_gradient_is_sigmoid_minus_y(lib, dtype):
    rng = np.random.default_rng(2)
    z, y = rng.normal(size=50).astype(dtype), rng.uniform(size=50).astype(dtype)
    grad = lib.binary_cross_entropy.grad(z, y, reduction="sum")
    p = 1 / (1 + np.exp(-z.astype(np.float64)))
    np.testing.assert_allclose(grad, p - y, atol=4 * eps(dtype))


@BOTH
@DTYPES
def test_two_classes_are_the_binary_case(lib, dtype):
    """Cross-entropy of logits (0, z) is binary cross-entropy of z."""
    z = np.linspace(-30, 30, 41).astype(dtype)
    y = np.arange(41) % 2
    pair = np.stack([np.zeros_like(z), z], axis=1)
    softmax, grad = lib.cross_entropy.value_and_grad(pair, y, reduction="none")
    binary, slope = lib.binary_cross_entropy.value_and_grad(z, y.astype(dtype), reduction="none")
    np.testing.assert_allclose(softmax, binary, rtol=8 * eps(dtype))
    np.testing.assert_allclose(grad[:, 1], slope, rtol=8 * eps(dtype))


@BOTH
@DTYPES
def test_gamma_is_minimal_at_the_right_mean(lib, dtype):
    """For a fixed shape a, the loss is stationary where the mean a/b is the sample mean."""
    y = np.array([0.5, 1.0, 3.0, 7.5], dtype)  # mean 3
    shape, rate = np.full(4, 6.0, dtype), np.full(4, 2.0, dtype)
    _, (_, d_rate) = lib.gamma_nll.value_and_grad(shape, rate, y)
    assert d_rate.sum() == pytest.approx(0.0, abs=8 * eps(dtype))


@BOTH
@DTYPES
def test_uniform_prediction_costs_log_k(lib, dtype):
    value = lib.cross_entropy(np.zeros((3, 10), dtype), np.array([0, 5, 9]))
    assert value == pytest.approx(math.log(10), rel=4 * eps(dtype))
