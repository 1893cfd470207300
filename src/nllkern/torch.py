"""The losses on PyTorch's CPU tensors, differentiable by autograd and inside ``torch.compile``.

Every function has the name and the keywords of nllkern's loss (but for ``out``) and
returns a tensor.  Value and gradient come from one pass, in the forward call; the backward call
only multiplies by the upstream gradient.  Tensors are read where they lie.  A target of floats that
requires a gradient gets it from the formula of the loss.

>>> import torch, nllkern.torch
>>> logits = torch.zeros(4, 10, requires_grad=True)
>>> nllkern.torch.cross_entropy(logits, torch.tensor([3, 1, 4, 1])).backward()
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

try:
    import torch
except ImportError as error:
    raise ImportError(
        "nllkern.torch needs PyTorch 2.6 or newer: pip install 'nllkern[torch]'"
    ) from error

from ._torch_extension import compile_extension, using_extension
from ._torch_functions import FUNCTIONS
from ._torch_modules import (
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    GaussianNLLLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    MSELoss,
    MultiLabelSoftMarginLoss,
    MultiMarginLoss,
    PoissonNLLLoss,
    SmoothL1Loss,
    SoftMarginLoss,
    TripletMarginLoss,
)

if TYPE_CHECKING:

    def __getattr__(name: str) -> Callable[..., torch.Tensor]: ...


globals().update(FUNCTIONS)

__all__ = [
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "GaussianNLLLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "MSELoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "PoissonNLLLoss",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "TripletMarginLoss",
    "compile_extension",
    "using_extension",
    *FUNCTIONS,
]
