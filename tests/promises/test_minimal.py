"""The smallest sign of life, for any wheel: needs nothing but pytest and NumPy."""

import numpy as np

import nllkern as nk


def test_import_and_call():
    logits = np.log(np.array([[0.1, 0.7, 0.2]], np.float32))
    value, grad = nk.cross_entropy.value_and_grad(logits, np.array([1]))
    assert abs(value - 0.35667494) < 1e-6
    np.testing.assert_allclose(grad, [[0.1, -0.3, 0.2]], rtol=1e-6)
    assert nk.simd_levels()
