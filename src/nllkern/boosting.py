"""The losses as objectives of gradient boosting: XGBoost, LightGBM and their scikit-learn classes.

>>> import xgboost
>>> from nllkern.boosting import Objective
>>> objective = Objective("gamma_nll")  # scores are log shape and log rate: two trees a round
>>> data = xgboost.DMatrix(X, y, base_margin=objective.base_margin(y))
>>> booster = xgboost.train({"num_class": 2, "base_score": 0}, data, 100, obj=objective)
>>> shape, rate = np.exp(booster.predict(test_data, output_margin=True)).T

A tree fits every parameter with its own second derivative alone.  Where two of them hang together,
as shape and rate do, more rounds are needed than for the mean.
"""

import contextlib
import weakref
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._raw_scores import ROWS, TINY, Array, RawScores

__all__ = ["Objective"]

Floats = NDArray[np.float32]

_LARGEST = np.finfo(np.float32).max
# Raw scores at which `constant` looks for a start, those of small size first, on so many samples.
_SIZES = np.concatenate(
    [[0.0], 10.0 ** np.arange(-12, 0), np.arange(1.0, 31.0), 10.0 ** np.arange(2, 25)]
)
_STARTS = np.stack([_SIZES, -_SIZES], axis=-1).ravel()
_START_SAMPLES = 10_000


class Objective:
    """Gradients and second derivatives of a loss, by the raw scores of a booster.

    Parameters
    ----------
    loss : str
        The name of a loss over classes or of one with a target for each number.
    hessian : {"fisher", "bounded", "true"}, optional
        Which second derivatives.  "fisher": the expected ones, which are positive.  "true": those
        of the loss.  "bounded": those of the loss, or the size of the gradient divided by the
        longest step of a sample where that is more, so that it learns from flat and concave
        parts too.  The longest step of a prediction in units of a real target is its distance
        from the target, or the mean distance if that is more; that of a positive parameter is
        a factor of e; that of any other score is 1.  The default is "fisher" where it is known
        (cross_entropy, kl_divergence, binned_cross_entropy, binary_cross_entropy, squared_error,
        gaussian_nll, gamma_nll, poisson_nll, exponential_nll), else "bounded".
    floor : float, default 1e-6
        The least second derivative, times the sample's weight.
    target : array_like, optional
        Targets that replace the labels of the training data: probabilities (n, K), which
        LightGBM's labels cannot be.  `nll`, and `metric` on other data, do not use them.
    **options
        Keywords of the loss.  Two defaults differ from the loss's: the link of positive parameters
        is "log", so that every score is valid, and ``check`` is True, so that a label outside
        the domain is an error.

    Notes
    -----
    It is called as ``objective(scores, data)`` by ``xgboost.train`` and ``lightgbm.train``, whose
    data sets know their labels and weights, and as ``objective(labels, scores[, weight])`` by the
    scikit-learn classes of both.  Scores are (n,), or (n, K) for K classes or parameters; so are
    the two results, float32 and contiguous.  The losses with labels -1 and 1 also take 0 and 1.

    Such a call returns what `derivatives` does, adapted to the default settings of boosters
    unless ``hessian="true"``.  The second derivatives of distributions are bounded as above in
    every case, as "fisher" is too small where a parameter is far from right.  For a prediction
    in units of a real target, gradient and second derivatives are divided by the mean
    second derivative, so that ``lambda`` and ``min_child_weight`` count samples, in any unit.

    K > 1 needs ``num_class`` = K; XGBoost also ``base_score`` = 0, so that scores begin at 0 or at
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
        if loss not in ROWS:
            raise ValueError(f"Objective: loss is {loss!r}, expected one of {', '.join(ROWS)}")
        row, modes = ROWS[loss], ["true", "bounded"]
        if row.hess_is_expected or row.typical_target is not None:
            modes.append("fisher")
        self.hessian = modes[-1] if hessian is None else hessian
        if self.hessian not in modes:
            unknown = "" if "fisher" in modes else " (fisher is not known for it)"
            expected = " or ".join(map(repr, modes))
            raise ValueError(
                f"Objective: hessian is {hessian!r}, expected {expected}{unknown} for {loss}"
            )
        if not isinstance(floor, (int, float, np.number)) or np.isnan(floor):
            raise ValueError(f"Objective: floor is {floor!r}, expected a number")
        self._raw = RawScores(loss, options)
        self.loss, self.options, self.floor = self._raw.loss, self._raw.options, floor
        self.__name__ = loss
        self._target = None if target is None else np.asarray(target)
        self._training_data: weakref.WeakSet[Any] = weakref.WeakSet()

    def __repr__(self) -> str:
        return f"Objective({self.loss.name!r}, hessian={self.hessian!r})"

    def __deepcopy__(self, memo: Any) -> "Objective":
        """Itself, as functions are: LightGBM copies its options before it trains."""
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in vars(self).items() if k != "_training_data"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _training_data=weakref.WeakSet())

    def __call__(
        self, first: Any, second: Any, sample_weight: ArrayLike | None = None
    ) -> tuple[Floats, Floats]:
        """(gradient, second derivative), of (scores, data set) or (labels, scores[, weight])."""
        adapted = self.hessian != "true"
        if not hasattr(second, "get_label"):
            return self._derivatives(self._training(first), second, sample_weight, adapted)
        with contextlib.suppress(TypeError):  # not every class has weak references
            self._training_data.add(second)
        labels = self._training(second.get_label())
        return self._derivatives(labels, first, second.get_weight(), adapted)

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
        return self._derivatives(self._training(labels), scores, weight, adapted=False)

    def nll(self, labels: ArrayLike, scores: ArrayLike, weight: ArrayLike | None = None) -> float:
        """The mean loss of raw scores: what to judge a booster by."""
        raw, target, keywords = self._raw.inputs(labels, scores, weight)
        return float(self.loss(*raw, target, **keywords))

    def metric(self, scores: Any, data: Any) -> tuple[str, float] | tuple[str, float, bool]:
        """The name of the loss, its mean and, for LightGBM, False, as less is better.

        It is a ``custom_metric`` of ``xgboost.train`` and a ``feval`` of ``lightgbm.train``.
        `target` is used for the data sets that the objective was called with, labels for others.
        """
        has_target = self._target is not None and data in self._training_data
        labels: Any = self._target if has_target else data.get_label()
        value = self.nll(labels, scores, data.get_weight())
        if hasattr(data, "get_init_score"):  # LightGBM
            return self.loss.name, value, False
        return self.loss.name, value

    def constant(
        self, labels: ArrayLike, weight: ArrayLike | None = None, steps: int = 100
    ) -> NDArray[np.float64]:
        """The raw scores of the best constant prediction, by damped Newton steps.

        Returns
        -------
        numpy.ndarray
            One number per parameter.
        """
        if self._raw.row.kind == "rows":
            raise ValueError(f"Objective: constant is not offered for {self.loss.name}")
        y = np.asarray(labels).reshape(-1)
        w = np.ones(len(y)) if weight is None else np.asarray(weight, np.float64)
        scores = self._start(y, w)
        value = self.nll(y, self._repeated(scores, len(y)), w)
        if not np.isfinite(value):
            raise ValueError(f"{self.loss.name}: no constant has a finite loss for these labels")
        for _ in range(steps):
            before = value
            for step in self._steps(y, scores, w):
                for half in range(24):
                    trial = scores - step * 0.5**half
                    found = self._unchecked_nll(y, trial, w)
                    if found < value:
                        break
                else:
                    continue
                scores, value = trial, found
                break
            if value == before:
                break
        return scores

    def base_margin(
        self, labels: ArrayLike, weight: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """``constant``, repeated for every sample: XGBoost's base_margin, LightGBM's init_score."""
        return self._repeated(self.constant(labels, weight), np.size(labels))

    # ---- derivatives ----

    def _training(self, labels: Any) -> Any:
        """The targets of the training data, whose labels these are."""
        return labels if self._target is None else self._target

    def _derivatives(
        self, labels: Any, scores: Any, weight: Any, adapted: bool
    ) -> tuple[Floats, Floats]:
        """What `derivatives` returns or, if `adapted`, a call."""
        is_variable = adapted and not self._raw.row.hess_is_expected
        with np.errstate(all="ignore"):
            is_bounded = is_variable or self.hessian == "bounded"
            grads, hesss, weights = self._columns(labels, scores, weight, is_bounded)
            for k in filter(self._raw.has_units, range(len(grads) if is_variable else 0)):
                mean = hesss[k].sum(dtype=np.float64) / max(weights.sum(), TINY)
                if TINY < mean < np.inf:
                    grads[k], hesss[k] = grads[k] / mean, hesss[k] / mean
            least = self.floor * weights
            hesss = [np.fmax(h, least if h.ndim == 1 else least[:, None]) for h in hesss]
        return _joined(grads, np.shape(scores)), _joined(hesss, np.shape(scores))

    def _columns(
        self, labels: Any, scores: Any, weight: Any, is_bounded: bool
    ) -> tuple[list[Array], list[Array], Array]:
        """Gradients and second derivatives of each parameter, and the weights."""
        raw, target, keywords = self._raw.inputs(labels, scores, weight)
        _, *found = self.loss.value_grad_hess(*raw, target, reduction="sum", **keywords)
        grads, hesss = (list(x) if isinstance(x, tuple) else [x] for x in found)
        weights = np.asarray(keywords.get("sample_weight", np.ones(len(raw[0]))), np.float64)
        if self.hessian == "fisher" and self._raw.row.typical_target is not None:
            hesss = self._raw.fisher(raw, keywords, weights)
        if is_bounded:
            for k, grad in enumerate(grads):
                bound = np.abs(grad) / self._raw.longest_step(k, raw, target, weights)
                hesss[k] = np.fmax(hesss[k], bound)
        return grads, hesss, weights

    # ---- constants ----

    def _repeated(self, scores: NDArray[np.float64], count: int) -> NDArray[np.float64]:
        """The same raw scores for every sample."""
        return np.tile(scores, (count, 1)) if len(scores) > 1 else np.full(count, scores[0])

    def _unchecked_nll(self, y: Array, scores: NDArray[np.float64], w: Array) -> float:
        """The mean loss of constant scores, which may be outside the domain: then NaN or inf."""
        raw, target, keywords = self._raw.inputs(y, self._repeated(scores, len(y)), w)
        return float(self.loss(*raw, target, **{**keywords, "check": False}))

    def _steps(self, y: Array, scores: NDArray[np.float64], w: Array) -> list[Array]:
        """Steps to try from constant scores: a Newton step, and one for each parameter alone."""
        repeated, parameters = self._repeated(scores, len(y)), range(len(scores))
        with np.errstate(all="ignore"):
            grads, hesss, _ = self._columns(y, repeated, w, is_bounded=True)
        raw, target, _ = self._raw.inputs(y, repeated, w)
        longest = [np.max(self._raw.longest_step(k, raw, target, w)) for k in parameters]
        has_units = [self._raw.has_units(k) for k in parameters]
        limit = np.where(has_units, np.inf, np.multiply(0.5, longest))
        step = _newton_step(grads, hesss, w)
        alone = [
            g.sum(dtype=np.float64) / max(h.sum(), TINY) for g, h in zip(grads, hesss, strict=True)
        ]
        return [step / max(1.0, (np.abs(step) / limit).max()), np.clip(alone, -limit, limit)]

    def _start(self, y: Array, w: Array) -> NDArray[np.float64]:
        """Constant scores from which to descend: the best of a grid, one parameter at a time.

        Of those that are about as good, the smallest: far out derivatives vanish.
        """
        counts = np.flatnonzero(w > 0)
        if not len(counts):
            raise ValueError(f"{self.loss.name}: no label has a positive weight")
        known = y[counts][np.isfinite(y[counts])]
        median = np.median(known) if len(known) else 0.0
        if not self._raw.is_per_sample and len(counts) > _START_SAMPLES:
            some = counts[np.linspace(0, len(counts) - 1, _START_SAMPLES).astype(int)]
            y, w = y[some], w[some]
        parameters = range(len(self._raw.row.parameters))
        units = [self._raw.has_units(k) for k in parameters]
        scores = np.where(units, median, 1.0)
        # Scales and rates come last in the order of the parameters, and have to fit first.
        for k in 2 * [k for k in reversed(parameters) if not units[k]]:
            trials = np.tile(scores, (len(_STARTS), 1))
            trials[:, k] = _STARTS
            values = np.array([self._unchecked_nll(y, trial, w) for trial in trials])
            values[np.isnan(values)] = np.inf
            scores = trials[np.argmax(values <= values.min() + 1e-3)]
        return scores


def _joined(columns: list[Array], shape: tuple[int, ...]) -> Floats:
    """Columns side by side in the shape of the scores: float32, none of them infinite."""
    whole = columns[0] if columns[0].ndim == 2 else np.stack(columns, axis=-1)
    return np.clip(whole, -_LARGEST, _LARGEST).astype(np.float32, order="C").reshape(shape)


def _newton_step(grads: list[Array], hesss: list[Array], weights: Array) -> NDArray[np.float64]:
    """A Newton step from the derivatives of all samples.

    The mixed derivatives are as in the Fisher information: parameters hang together as their
    gradients do.
    """
    counts = weights > 0
    grad = np.stack(grads, axis=-1).astype(np.float64)
    scaled = grad[counts] / np.sqrt(weights[counts, None])
    scaled /= np.maximum(np.sqrt((scaled**2).sum(axis=0)), TINY)
    correlation = 0.999 * scaled.T @ scaled
    np.fill_diagonal(correlation, 1.0)
    root = np.sqrt([max(h.sum(dtype=np.float64), TINY) for h in hesss])
    return np.linalg.solve(correlation, grad.sum(axis=0) / root) / root
