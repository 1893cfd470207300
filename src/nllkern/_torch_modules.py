"""Modules that take the place of those of ``torch.nn`` with the same names and arguments."""

from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

losses: Any = import_module(".torch", __package__)


class _Loss(nn.Module):
    def __init__(self, reduction: str) -> None:
        super().__init__()
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f"reduction is {reduction!r}, expected 'mean', 'sum' or 'none'")
        self.reduction = reduction

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"


class CrossEntropyLoss(_Loss):
    """``torch.nn.CrossEntropyLoss``; a batch that is ignored whole has loss 0, not NaN."""

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Logits (C), (N, C) or (N, C, d1, ...) and class indices or probabilities."""
        if input.dim() > 2:
            input = input.movedim(1, -1)
            target = target.movedim(1, -1) if target.is_floating_point() else target
        options: dict[str, Any] = {}
        if not target.is_floating_point():
            options["ignore_index"] = self.ignore_index
        if self.weight is not None:
            options["class_weight"] = self.weight
        if self.label_smoothing:
            options["label_smoothing"] = self.label_smoothing
        return losses.cross_entropy(input, target, reduction=self.reduction, **options)


class BCEWithLogitsLoss(_Loss):
    """``torch.nn.BCEWithLogitsLoss``; its "mean" divides by the number of elements too."""

    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Logits and targets in [0, 1], of one shape."""
        options: dict[str, Any] = {"reduction": self.reduction}
        if self.weight is not None:
            options["sample_weight"] = self.weight.expand_as(input)
            if self.reduction == "mean":
                options["normalizer"] = float(max(input.numel(), 1))
        if self.pos_weight is not None:
            options["pos_weight"] = self.pos_weight
        return losses.binary_cross_entropy(input, target, **options)


class MSELoss(_Loss):
    """``torch.nn.MSELoss``: the squared error, not half of it."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Predictions and targets of one shape."""
        if self.reduction == "none":
            return 2 * losses.squared_error(input, target, reduction="none")
        count = max(input.numel(), 1) if self.reduction == "mean" else 1
        return losses.squared_error(input, target, normalizer=count / 2)


class L1Loss(_Loss):
    """``torch.nn.L1Loss``."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Predictions and targets of one shape."""
        return losses.absolute_error(input, target, reduction=self.reduction)


class HuberLoss(_Loss):
    """``torch.nn.HuberLoss``."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Predictions and targets of one shape."""
        return losses.huber(input, target, reduction=self.reduction, delta=self.delta)


class GaussianNLLLoss(_Loss):
    """``torch.nn.GaussianNLLLoss``: `var` below `eps` counts as `eps`."""

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.full, self.eps = full, eps

    def forward(self, input: Tensor, target: Tensor, var: Tensor | float) -> Tensor:
        """Means, targets, and variances: of each, of each row (..., 1), or one for all."""
        var = torch.as_tensor(var, dtype=input.dtype)
        if 0 < var.dim() == input.dim() - 1:
            var = var.unsqueeze(-1)
        var = var.expand_as(input).clone()
        with torch.no_grad():
            var.clamp_(min=self.eps)
        return losses.gaussian_nll(
            input, var, target, link="variance", full=self.full, reduction=self.reduction
        )


class PoissonNLLLoss(_Loss):
    """``torch.nn.PoissonNLLLoss``; `full` adds log(target!) itself, not Stirling's formula."""

    def __init__(
        self, log_input: bool = True, full: bool = False, *, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.link, self.full = "log" if log_input else "identity", full

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Rates, or their logarithms, and counts."""
        return losses.poisson_nll(
            input, target, link=self.link, full=self.full, reduction=self.reduction
        )


class TripletMarginLoss(_Loss):
    """``torch.nn.TripletMarginLoss``, whose eps is 0 here: distances are exact."""

    def __init__(self, margin: float = 1.0, p: float = 2.0, *, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin, self.p = margin, p

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Three batches of vectors."""
        return losses.triplet_margin(
            anchor, positive, negative, margin=self.margin, p=self.p, reduction=self.reduction
        )
