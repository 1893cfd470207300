"""Arrays of other libraries, by the protocols that they share."""

import array

import numpy as np
import pytest
from cases import Case, assert_same_bits, cases

import nllkern as nk

pytestmark = pytest.mark.thin


class Exporter:
    """An array that speaks DLPack and nothing else."""

    def __init__(self, x):
        self.x = x

    def __dlpack__(self, **kwargs):
        return self.x.__dlpack__(**kwargs)

    def __dlpack_device__(self):
        return self.x.__dlpack_device__()


class Wrapper:
    """An array that speaks __array__ and nothing else."""

    def __init__(self, x):
        self.x = x

    def __array__(self, dtype=None, copy=None):
        return self.x if dtype is None else self.x.astype(dtype)


@pytest.mark.parametrize("wrap", [Exporter, Wrapper, memoryview])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", cases((5,)), ids=str)
def test_protocols(case, dtype, wrap):
    problem = case.weighted(20, dtype)
    options = {k: wrap(v) if isinstance(v, np.ndarray) else v for k, v in problem.options.items()}
    wrapped = problem.having(*map(wrap, problem.args), **options)
    for reduction in ("mean", "none"):
        assert_same_bits(wrapped.run(reduction=reduction), problem.run(reduction=reduction))


@pytest.mark.parametrize("case", cases((5,)), ids=str)
def test_lists(case):
    """Lists are float64, unless another input says otherwise."""
    problem = case.problem(20, "float64")
    lists = problem.having(*(x.tolist() for x in problem.args))
    assert_same_bits(lists.run(), problem.run())


def test_array_module():
    z, y = array.array("f", [0.5, -1.0]), array.array("f", [1.0, 0.0])
    value = nk.binary_cross_entropy(z, y, reduction="none")
    assert value.dtype == np.float32
    assert_same_bits([value], [nk.binary_cross_entropy(np.array(z), np.array(y), reduction="none")])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", cases((5, 67)), ids=str)
def test_torch(case, dtype):
    torch = pytest.importorskip("torch")
    problem = case.weighted(20, dtype)
    options = {
        k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v
        for k, v in problem.options.items()
    }
    tensors = [torch.from_numpy(x) for x in problem.args]
    out = [torch.empty_like(tensors[0]) for _ in problem.loss.parameters]
    views = [x.numpy() for x in out]
    got = problem.having(*tensors, **options).run(
        "value_and_grad", out=views[0] if len(views) == 1 else tuple(views)
    )
    assert_same_bits(got, problem.run("value_and_grad"))
    assert_same_bits([x.numpy() for x in out], got[1:])
    turned = problem.having(*(x.flip(0).contiguous().flip(0) for x in tensors), **options)
    assert_same_bits(turned.run("value_and_grad"), got)


def test_torch_types_without_a_kernel():
    torch = pytest.importorskip("torch")
    y = torch.zeros(3)
    with pytest.raises(TypeError, match="float16"):
        nk.binary_cross_entropy(torch.zeros(3, dtype=torch.float16), y)
    with pytest.raises(TypeError):
        nk.binary_cross_entropy(torch.zeros(3, dtype=torch.bfloat16), y)
    with pytest.raises(TypeError, match="NumPy array"):
        nk.binary_cross_entropy.grad(torch.zeros(3), y, out=torch.zeros(3))


def test_jax():
    jax = pytest.importorskip("jax")
    problem = Case("cross_entropy", "index", 5).problem(20, "float32")
    device = jax.devices("cpu")[0]
    arrays = [
        jax.device_put(problem.args[0], device),
        jax.device_put(np.int32(problem.args[1]), device),
    ]
    assert_same_bits(problem.having(*arrays).run(), problem.run())
