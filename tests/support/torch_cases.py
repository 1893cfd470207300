"""Problems of every loss, as PyTorch's tensors."""

import numpy as np
import torch
from cases import cases
from cases_vectors import gaussian, triplet

CASES = cases((5, 67))


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
