"""The losses as objectives of gradient boosting: XGBoost, LightGBM and their scikit-learn classes.

>>> import xgboost
>>> from nllkern.boosting import Objective
>>> objective = Objective("gamma_nll", link="log")  # predicts shape and rate: two trees a round
>>> data = xgboost.DMatrix(X, y, base_margin=objective.base_margin(y))
>>> booster = xgboost.train({"num_class": 2, "base_score": 0}, data, 100, obj=objective)
>>> shape, rate = np.exp(booster.predict(test_data, output_margin=True)).T

A tree fits every parameter with its own second derivative alone.  Where two of them hang together,
as shape and rate do, more rounds are needed than for the mean.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._losses import loss_infos, loss_named
from .reference._math import apply_link

__all__ = ["Objective"]

_INFO = {info.name: info for info in loss_infos() if info.kind in ("pointwise", "rowwise")}

# A target at which the second derivatives by the parameters themselves (identity link) are the
# expected ones.  Where they do not depend on the target, any will do.
_TYPICAL: dict[str, Any] = {
    "gaussian_nll": lambda mean, scale: mean + scale,
    "gamma_nll": lambda shape, rate: shape / rate,
    "poisson_nll": lambda rate: rate,
    "exponential_nll": lambda rate: 1 / rate,
}
# Those whose second derivatives never depend on the target.
_EXPECTED = ("cross_entropy", "binary_cross_entropy", "squared_error")

Floats = NDArray[np.float32]


class Objective:
    """Gradients and second derivatives of a loss, by the raw scores of a booster.

    Parameters
    ----------
    loss : str
        The name of a loss over classes or of one with a target for each number.
    hessian : {"fisher", "true"}, optional
        The expected second derivatives, which are positive, or the true ones, of which those below
        `floor` are raised to it.  The default is "fisher" for cross_entropy,
        binary_cross_entropy, squared_error, gaussian_nll, gamma_nll, poisson_nll and
        exponential_nll; the others have "true" only.
    floor : float, default 1e-6
        The least second derivative, times the sample's weight.
    target : array_like, optional
        Targets in place of the data set's labels: probabilities (n, K), which LightGBM's labels
        cannot be.
    **options
        Keywords of the loss, such as ``link``.

    Notes
    -----
    It is called as ``objective(scores, data)`` by ``xgboost.train`` and ``lightgbm.train``, whose
    data sets know their labels and weights, and as ``objective(labels, scores[, weight])`` by the
    scikit-learn classes of both.  Scores are (n,), or (n, K) for K classes or parameters; so are
    the two results, float32 and contiguous.

    K > 1 wants ``num_class`` = K; XGBoost also ``base_score`` = 0, so that scores begin at 0 or at
    the base margin.
    """

    def __init__(
        self,
        loss: str,
        *,
        hessian: str | None = None,
        floor: float = 1e-6,
        target: ArrayLike | None = None,
        **options: Any,
    ) -> None:
        info = _INFO.get(loss)
        if info is None:
            raise ValueError(f"Objective: loss is {loss!r}, expected one of {', '.join(_INFO)}")
        fisher = loss in _TYPICAL or loss in _EXPECTED
        if hessian is None:
            hessian = "fisher" if fisher else "true"
        if hessian not in ("fisher", "true") or (hessian == "fisher" and not fisher):
            expected = "'fisher' or 'true'" if fisher else "'true' (fisher is not known for it)"
            raise ValueError(f"Objective: hessian is {hessian!r}, expected {expected} for {loss}")
        for key in ("reduction", "out", "sample_weight", "normalizer"):
            if key in options:
                raise TypeError(f"Objective: {key} is the booster's, it cannot be given")
        self.loss, self.hessian, self.floor = loss_named(loss), hessian, floor
        self.options = options
        self.__name__ = loss
        self._rowwise = info.kind == "rowwise"
        self._count = len(info.parameters)
        self._target = None if target is None else np.asarray(target)

    def __repr__(self) -> str:
        return f"Objective({self.loss.name!r}, hessian={self.hessian!r})"

    def __call__(
        self, first: Any, second: Any, sample_weight: ArrayLike | None = None
    ) -> tuple[Floats, Floats]:
        """(gradient, second derivative), of (scores, data set) or (labels, scores[, weight])."""
        if hasattr(second, "get_label"):
            return self.derivatives(second.get_label(), first, second.get_weight())
        return self.derivatives(first, second, sample_weight)

    def derivatives(
        self, labels: ArrayLike, scores: ArrayLike, weight: ArrayLike | None = None
    ) -> tuple[Floats, Floats]:
        """(gradient, second derivative) by the raw scores.

        Parameters
        ----------
        labels : array_like
            Targets, one a sample; for classes also their probabilities (n, K).
        scores : array_like, shape (n,) or (n, K)
            Raw scores of the booster.
        weight : array_like, optional
            Weights of the samples.

        Returns
        -------
        tuple of numpy.ndarray
            Two float32 arrays in the shape of the scores.
        """
        raw, target, keywords = self._inputs(labels, scores, weight)
        _, grads, hesss = self.loss.value_grad_hess(*raw, target, reduction="sum", **keywords)
        shape = np.shape(scores)
        if self.hessian == "fisher" and self.loss.name in _TYPICAL:
            hesss = self._fisher(raw, keywords)
        weights = keywords.get("sample_weight", np.ones(1, raw[0].dtype))
        least = self.floor * weights[:, None] if len(shape) == 2 else self.floor * weights
        results = [self._joined(x) for x in (grads, hesss)]
        return results[0], np.maximum(results[1], least, dtype=np.float32)

    def nll(self, labels: ArrayLike, scores: ArrayLike, weight: ArrayLike | None = None) -> float:
        """The mean loss of raw scores: what to judge a booster by."""
        raw, target, keywords = self._inputs(labels, scores, weight)
        return float(self.loss(*raw, target, **keywords))

    def metric(self, scores: Any, data: Any) -> tuple[str, float]:
        """``custom_metric`` of ``xgboost.train``: the name of the loss and its mean."""
        return self.loss.name, self.nll(data.get_label(), scores, data.get_weight())

    def constant(
        self, labels: ArrayLike, weight: ArrayLike | None = None, steps: int = 100
    ) -> NDArray[np.float64]:
        """The raw scores of the best constant prediction, by damped Newton steps from 0.

        Returns
        -------
        numpy.ndarray
            One number per parameter.
        """
        if self._rowwise:
            raise ValueError(f"Objective: constant is not offered for {self.loss.name}")
        y = np.asarray(labels, np.float64)
        scores = np.zeros(self._count)
        linked = [_INFO[self.loss.name].linked >> k & 1 for k in range(self._count)]
        value = self.nll(y, self._repeated(scores, len(y)), weight)
        for _ in range(steps):
            grad, hess = (
                np.atleast_1d(x.sum(axis=0, dtype=np.float64))
                for x in self.derivatives(y, self._repeated(scores, len(y)), weight)
            )
            # A linked parameter changes by some orders of magnitude at most.
            step = np.where(linked, np.clip(grad / hess, -2, 2), grad / hess)
            while np.abs(step).max() > 1e-7:
                found = self.nll(y, self._repeated(scores - step, len(y)), weight)
                if found < value:
                    break
                step *= 0.5
            else:
                break
            scores, value = scores - step, found
        return scores

    def base_margin(
        self, labels: ArrayLike, weight: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """``constant``, repeated for every sample: XGBoost's base_margin, LightGBM's init_score."""
        return self._repeated(self.constant(labels, weight), len(np.asarray(labels)))

    def _repeated(self, scores: NDArray[np.float64], count: int) -> NDArray[np.float64]:
        """The same raw scores for every sample."""
        return np.tile(scores, (count, 1)) if self._count > 1 else np.full(count, scores[0])

    def _inputs(
        self, labels: Any, scores: Any, weight: Any
    ) -> tuple[list[NDArray[Any]], NDArray[Any], dict[str, Any]]:
        """Raw parameters, target, and keywords of the loss."""
        raw = np.asarray(scores)
        raw = raw if raw.dtype == np.float32 else np.asarray(raw, np.float64)
        target = np.asarray(labels) if self._target is None else self._target
        if self._rowwise:
            if raw.ndim != 2:
                raise ValueError(
                    f"{self.loss.name}: scores have shape {raw.shape}, expected (n, K): "
                    "set num_class"
                )
            inputs = [raw]
            if target.ndim == 1 and target.dtype.kind == "f":
                if not (target == np.floor(target)).all():
                    raise ValueError(f"{self.loss.name}: labels hold fractions, expected classes")
                target = target.astype(np.int64)
        else:
            columns = raw[:, None] if raw.ndim == 1 else raw
            if raw.ndim > 2 or columns.shape[1] != self._count:
                raise ValueError(
                    f"{self.loss.name}: scores have shape {raw.shape}, expected "
                    f"{'(n,)' if self._count == 1 else f'(n, {self._count})'} for "
                    f"{', '.join(self.loss.parameters)}: set num_class"
                )
            inputs = [np.ascontiguousarray(columns[:, k]) for k in range(self._count)]
            target = target.reshape(-1)
        if target.dtype.kind not in "iu" or not self._rowwise:
            target = target.astype(raw.dtype)
        keywords = dict(self.options)
        if weight is not None and np.size(weight):
            keywords["sample_weight"] = np.asarray(weight, raw.dtype)
        return inputs, target, keywords

    def _fisher(
        self, raw: list[NDArray[Any]], keywords: dict[str, Any]
    ) -> tuple[NDArray[Any], ...]:
        """Expected second derivatives: by the parameters themselves, times the link's slope^2."""
        link, linked = keywords.get("link", "identity"), _INFO[self.loss.name].linked
        values, slopes = [], []
        for k, x in enumerate(raw):
            x = x.astype(np.float64)
            if linked >> k & 1:
                with np.errstate(all="ignore"):
                    p = apply_link(link, x)
                values.append(p.value)
                slopes.append(p.value * p.slope)
            else:
                values.append(x)
                slopes.append(np.ones_like(x))
        target = _TYPICAL[self.loss.name](*values)
        rest = {k: v for k, v in keywords.items() if k not in ("link", "sample_weight")}
        weight = np.asarray(keywords.get("sample_weight", 1.0), np.float64)
        found = self.loss.value_grad_hess(
            *values, target, link="identity", reduction="sum", **rest
        )[2]
        found = found if isinstance(found, tuple) else (found,)
        return tuple(weight * h * slope**2 for h, slope in zip(found, slopes, strict=True))

    def _joined(self, parts: Any) -> Floats:
        if isinstance(parts, tuple) and len(parts) > 1:
            return np.stack(parts, axis=-1).astype(np.float32, order="C")
        x = parts[0] if isinstance(parts, tuple) else parts
        return np.ascontiguousarray(x, np.float32)
