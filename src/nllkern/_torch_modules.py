"""Modules that take the place of those of ``torch.nn`` with the same names and arguments."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from ._torch_functions import FUNCTIONS

losses: Any = SimpleNamespace(**FUNCTIONS)


class _Loss(nn.Module):
    reductions, hint = ("mean", "sum", "none"), ""

    def __init__(self, reduction: str) -> None:
        super().__init__()
        if reduction not in self.reductions:
            *most, last = map(repr, self.reductions)
            expected = f"{', '.join(most)} or {last}{self.hint}"
            raise ValueError(f"reduction is {reduction!r}, expected {expected}")
        self.reduction = reduction

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"

    def _scaled(
        self, loss: Any, factor: float, input: Tensor, target: Tensor, **options: Any
    ) -> Tensor:
        """A loss times a number, which the kernel multiplies by if the loss is reduced."""
        if self.reduction == "none":
            return factor * loss(input, target, reduction="none", **options)
        count = max(target.numel(), 1) if self.reduction == "mean" else 1
        return loss(input, target, normalizer=count / factor, **options)


class CrossEntropyLoss(_Loss):
    """``torch.nn.CrossEntropyLoss``; a batch that is ignored whole has loss 0, not NaN.

    Class weights that sum to a negative number over a batch have no mean: ValueError.
    """

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

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Predictions and targets of one shape."""
        return self._scaled(losses.squared_error, 2, input, target)


class L1Loss(_Loss):
    """``torch.nn.L1Loss``."""

    def __init__(self, *, reduction: str = "mean") -> None:
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


class SmoothL1Loss(_Loss):
    """``torch.nn.SmoothL1Loss``: `huber` divided by `beta`, or the absolute error if that is 0."""

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Predictions and targets of one shape."""
        if self.beta < 0:
            raise RuntimeError(f"SmoothL1Loss: beta is {self.beta}, expected a number >= 0")
        if self.beta < 1e-150:
            return losses.absolute_error(input, target, reduction=self.reduction)
        if self.beta < 1e-15:  # its products with differences may be too small for float32
            found = self._scaled(
                losses.huber, 1 / self.beta, input.double(), target.double(), delta=self.beta
            )
            return found.to(input.dtype)
        return self._scaled(losses.huber, 1 / self.beta, input, target, delta=self.beta)


class SoftMarginLoss(_Loss):
    """``torch.nn.SoftMarginLoss``."""

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Scores, and targets that are -1 or 1, of one shape."""
        return losses.binary_cross_entropy(input, (target + 1) / 2, reduction=self.reduction)


class MultiLabelSoftMarginLoss(_Loss):
    """``torch.nn.MultiLabelSoftMarginLoss``."""

    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, *, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Scores and labels, 0 or 1, of shape (C) or (N, C)."""
        options: dict[str, Any] = {}
        if self.weight is not None:
            options["sample_weight"] = self.weight.expand_as(input)
        if self.reduction == "none":
            found: Tensor = losses.binary_cross_entropy(input, target, reduction="none", **options)
            return found.mean(-1)
        count = input.numel() if self.reduction == "mean" else input.shape[-1]
        return losses.binary_cross_entropy(input, target, normalizer=max(count, 1), **options)


class MultiMarginLoss(_Loss):
    """``torch.nn.MultiMarginLoss`` with p = 1."""

    weight: Tensor | None

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Tensor | None = None,
        *,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        if p != 1:
            raise ValueError(f"p is {p!r}, expected 1: use torch.nn.MultiMarginLoss")
        self.margin = margin
        self.register_buffer("weight", weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Scores (C) or (N, C), and class indices."""
        options: dict[str, Any] = {"variant": "weston_watkins", "margin": self.margin}
        if self.weight is not None:
            options["sample_weight"] = self.weight[target]
        return self._scaled(losses.multiclass_hinge, 1 / input.shape[-1], input, target, **options)


class KLDivLoss(_Loss):
    """``torch.nn.KLDivLoss`` but for its ``reduction="none"``: a sample here is a row."""

    reductions = ("mean", "batchmean", "sum")
    hint = (
        "; for one value a row use nllkern.torch.kl_divergence(..., link='log', reduction='none')"
    )

    def __init__(self, *, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction)
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Log-probabilities, and probabilities or their logarithms, of one shape."""
        target = target.exp() if self.log_target else target
        count = {"mean": input.numel(), "batchmean": len(input) if input.dim() else 1, "sum": 1}
        return losses.kl_divergence(
            torch.atleast_1d(input),
            torch.atleast_1d(target),
            link="log",
            normalizer=max(count[self.reduction], 1),
        )


class GaussianNLLLoss(_Loss):
    """``torch.nn.GaussianNLLLoss``: `var` below `eps` counts as `eps`."""

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.full, self.eps = full, eps

    def forward(self, input: Tensor, target: Tensor, var: Tensor | float) -> Tensor:
        """Means, targets, and variances: of each, of each row (..., 1), or one for all."""
        var = torch.as_tensor(var, dtype=input.dtype)
        if (var < 0).any():
            raise ValueError("GaussianNLLLoss: var has negative entries, expected numbers >= 0")
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
        self,
        log_input: bool = True,
        full: bool = False,
        *,
        eps: float = 1e-8,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        self.log_input, self.full, self.eps = log_input, full, eps

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Rates, to which `eps` is added inside the logarithm, or their logarithms, and counts."""
        options: dict[str, Any] = {"full": self.full, "reduction": self.reduction}
        if self.log_input:
            return losses.poisson_nll(input, target, link="log", **options)
        added = self.eps * (input.numel() if self.reduction == "sum" else 1)
        return losses.poisson_nll(input + self.eps, target, **options) - added


class TripletMarginLoss(_Loss):
    """``torch.nn.TripletMarginLoss``, whose eps is 0 here: distances are exact."""

    def __init__(
        self, margin: float = 1.0, p: float = 2.0, *, swap: bool = False, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.margin, self.p, self.swap = margin, p, swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Three batches of vectors."""
        options: dict[str, Any] = {"margin": self.margin, "p": self.p}
        if not self.swap:
            return losses.triplet_margin(
                anchor, positive, negative, reduction=self.reduction, **options
            )
        # The smaller distance to the negative makes the larger loss.
        options["reduction"] = "none"
        found = torch.maximum(
            losses.triplet_margin(anchor, positive, negative, **options),
            losses.triplet_margin(positive, anchor, negative, **options),
        )
        if self.reduction == "none":
            return found
        return found.mean() if self.reduction == "mean" else found.sum()
