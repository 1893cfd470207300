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
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._losses import loss_named
from .reference._math import apply_link
from .tables import LOSSES
from .tables.links import LOG, LOGIT
from .tables.losses import Loss
from .tables.supports import POSITIVE, REAL, SIGN

__all__ = ["Objective"]

Array = NDArray[Any]
Floats = NDArray[np.float32]

_ROWS = {row.name: row for row in LOSSES if row.kind in ("pointwise", "rows")}
_FROM_BOOSTER = ("reduction", "out", "sample_weight", "normalizer")
_TINY = np.finfo(np.float64).tiny
_LARGEST = np.finfo(np.float32).max
# Raw scores at which `constant` looks for a start, on so many samples.
_STARTS = np.concatenate(
    [np.arange(-30.0, 31.0), 10.0 ** np.arange(-12, 0), 10.0 ** np.arange(2, 13)]
)
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
        if loss not in _ROWS:
            raise ValueError(f"Objective: loss is {loss!r}, expected one of {', '.join(_ROWS)}")
        self.loss, self.__name__ = loss_named(loss), loss
        row = self._row
        modes = ["true", "bounded"]
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
        self.floor = floor
        self.options = self._checked(options)
        self._target = None if target is None else np.asarray(target)
        self._training_data: weakref.WeakSet[Any] = weakref.WeakSet()

    @property
    def _row(self) -> Loss:
        return _ROWS[self.loss.name]

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
            return self._derivatives(first, second, sample_weight, adapted)
        with contextlib.suppress(TypeError):  # not every class has weak references
            self._training_data.add(second)
        return self._derivatives(second.get_label(), first, second.get_weight(), adapted)

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
        return self._derivatives(labels, scores, weight, adapted=False)

    def nll(self, labels: ArrayLike, scores: ArrayLike, weight: ArrayLike | None = None) -> float:
        """The mean loss of raw scores: what to judge a booster by."""
        raw, target, keywords = self._inputs(labels, scores, weight)
        return float(self.loss(*raw, target, **keywords))

    def metric(self, scores: Any, data: Any) -> tuple[str, float] | tuple[str, float, bool]:
        """The name of the loss, its mean and, for LightGBM, False, as less is better.

        It is a ``custom_metric`` of ``xgboost.train`` and a ``feval`` of ``lightgbm.train``.
        `target` is used for the data sets that the objective was called with, labels for others.
        """
        has_target = self._target is not None and data in self._training_data
        labels = self._target if has_target else data.get_label()
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
        if self._row.kind == "rows":
            raise ValueError(f"Objective: constant is not offered for {self.loss.name}")
        y, parameters = np.asarray(labels).reshape(-1), range(len(self._row.parameters))
        w = np.ones(len(y)) if weight is None else np.asarray(weight, np.float64)
        scores = self._start(y, w)
        value = self.nll(y, self._repeated(scores, len(y)), w)
        if not np.isfinite(value):
            raise ValueError(f"{self.loss.name}: no constant has a finite loss for these labels")
        for _ in range(steps):
            repeated = self._repeated(scores, len(y))
            grads, hesss = (
                x.astype(np.float64).reshape(len(y), -1) for x in self.derivatives(y, repeated, w)
            )
            step = _newton_step(grads, hesss.sum(axis=0), w)
            raw, target, _ = self._inputs(y, repeated, w)
            longest = np.array([np.max(self._longest_step(k, raw, target, w)) for k in parameters])
            limit = np.where([self._has_units(k) for k in parameters], np.inf, 0.5 * longest)
            step /= max(1.0, (np.abs(step) / limit).max())
            while (np.abs(step) > 1e-7 * np.maximum(1.0, np.abs(scores))).any():
                found = self._unchecked_nll(y, scores - step, w)
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
        return self._repeated(self.constant(labels, weight), np.size(labels))

    # ---- options, labels and scores ----

    def _checked(self, options: dict[str, Any]) -> dict[str, Any]:
        """The options with the defaults of an objective, after a trial call of the loss."""
        row = self._row
        known = sorted([*(option.name for option in row.options), "check", "num_threads"])
        for key in options:
            if key in _FROM_BOOSTER:
                raise TypeError(f"Objective: {key} is the booster's, it cannot be given")
            if key not in known:
                raise TypeError(
                    f"{row.name}: unknown keyword {key!r}, expected one of {', '.join(known)}"
                )
        links = {
            p.option.name: next(x for x in (LOG, LOGIT, *p.links) if x in p.links).name
            for p in row.parameters
            if p.option is not None
        }
        options = {**links, "check": True, **options}
        shapes = {
            option.kind: np.shape(options[option.name])
            for option in row.options
            if options.get(option.name) is not None
        }
        if row.kind == "rows":
            edges = shapes.get("edges") or (0,)
            classes = (shapes.get("per_class") or (max(edges[0] - 1, 2),))[0]
            inputs = [np.zeros((0, classes))]
            shape = (0,) if {"index", "real"} & set(row.targets) else (0, classes)
            target = np.zeros(shape, np.int64 if "index" in row.targets else np.float64)
        else:
            inputs = [np.ones(shapes.get("per_sample") or 1)] * len(row.parameters)
            target = inputs[0]
        keywords = _converted(row, options, np.float64)
        self.loss.value_grad_hess(*inputs, target, reduction="sum", **keywords)
        return options

    def _inputs(
        self, labels: Any, scores: Any, weight: Any
    ) -> tuple[list[Array], Array, dict[str, Any]]:
        """Raw parameters, target, and keywords of the loss."""
        name, count = self.loss.name, len(self._row.parameters)
        raw = np.asarray(scores)
        raw = raw if raw.dtype == np.float32 else np.asarray(raw, np.float64)
        is_rows = self._row.kind == "rows"
        columns = raw[:, None] if raw.ndim == 1 and not is_rows else raw
        if columns.ndim != 2 or not (is_rows or columns.shape[1] == count):
            expected = "(n, K)" if is_rows else f"(n, {count})" if count > 1 else "(n,)"
            of = "" if is_rows else f" for {', '.join(self.loss.parameters)}"
            raise ValueError(
                f"{name}: scores have shape {raw.shape}, expected {expected}{of}: set num_class"
            )
        target = np.asarray(labels)
        if target.ndim == 0 or len(target) != len(columns):
            raise ValueError(
                f"{name}: labels have shape {target.shape}, expected {len(columns)} of them, "
                "as of the scores"
            )
        target = self._target_of(target)
        if target.dtype.kind == "f" or not is_rows:
            target = target.astype(raw.dtype)
        keywords = _converted(self._row, self.options, raw.dtype)
        if weight is not None and np.size(weight):
            keywords["sample_weight"] = np.asarray(weight, raw.dtype)
        if is_rows:
            return [columns], target, keywords
        return [np.ascontiguousarray(columns[:, k]) for k in range(count)], target, keywords

    def _target_of(self, labels: Array) -> Array:
        """Labels as the loss takes them; boosters have indices as floats, signs as 0 and 1."""
        row = self._row
        if row.kind == "pointwise":
            labels = labels.reshape(-1)
            if row.target is SIGN and np.isin(labels, (0, 1)).all():
                return np.where(labels == 0, -1, 1)
        elif labels.ndim == 1 and labels.dtype.kind == "f" and "index" in row.targets:
            if not (labels == np.floor(labels)).all():
                raise ValueError(f"{row.name}: labels hold fractions, expected classes")
            return labels.astype(np.int64)
        return labels

    # ---- derivatives ----

    def _derivatives(
        self, labels: Any, scores: Any, weight: Any, adapted: bool
    ) -> tuple[Floats, Floats]:
        """`derivatives`, or what a call returns."""
        row = self._row
        labels = labels if self._target is None else self._target
        raw, target, keywords = self._inputs(labels, scores, weight)
        _, *found = self.loss.value_grad_hess(*raw, target, reduction="sum", **keywords)
        grads, hesss = (list(x) if isinstance(x, tuple) else [x] for x in found)
        weights = np.asarray(keywords.get("sample_weight", np.ones(len(raw[0]))), np.float64)
        if self.hessian == "fisher" and row.typical_target is not None:
            hesss = self._fisher(raw, keywords, weights)
        if self.hessian == "bounded" or (adapted and not row.hess_is_expected):
            for k, grad in enumerate(grads):
                bound = np.abs(grad) / self._longest_step(k, raw, target, weights)
                hesss[k] = np.fmax(hesss[k], bound)
        if adapted and not row.hess_is_expected:
            for k in filter(self._has_units, range(len(raw))):
                mean = hesss[k].sum(dtype=np.float64) / max(weights.sum(), _TINY)
                if _TINY < mean < np.inf:
                    grads[k], hesss[k] = grads[k] / mean, hesss[k] / mean
        least = self.floor * weights
        hesss = [np.fmax(h, least if h.ndim == 1 else least[:, None]) for h in hesss]
        return _joined(grads, np.shape(scores)), _joined(hesss, np.shape(scores))

    def _has_units(self, k: int) -> bool:
        """Whether parameter k is a prediction in units of a real target."""
        row = self._row
        return row.kind == "pointwise" and row.parameters[k].support is REAL and row.target is REAL

    def _link(self, k: int) -> str:
        """The name of the link of parameter k."""
        p = self._row.parameters[k]
        return p.links[0].name if p.option is None else self.options[p.option.name]

    def _longest_step(
        self, k: int, raw: Sequence[Array], target: Array, weights: Array
    ) -> Array | float:
        """How far each sample may ask the raw score of parameter k to move in one step."""
        x = raw[k].astype(np.float64)
        if self._row.parameters[k].support is POSITIVE:
            return np.asarray(1.0 / apply_link(self._link(k), x).slope)
        if self._has_units(k):
            distance = np.abs(x - target)
            mean = (weights * distance).sum() / max(weights.sum(), _TINY)
            return np.maximum(distance, max(mean, _TINY))
        return 1.0

    def _fisher(
        self, raw: Sequence[Array], keywords: dict[str, Any], weights: Array
    ) -> list[Array]:
        """Expected second derivatives: by the parameters themselves, times the link's slope^2."""
        row = self._row
        values, slopes = [], []
        for k, u in enumerate(raw):
            x = u.astype(np.float64)
            slope = np.ones_like(x)
            if row.parameters[k].is_linked:
                with np.errstate(all="ignore"):
                    p = apply_link(self._link(k), x)
                x, slope = p.value, p.value * p.slope
            values.append(x)
            slopes.append(slope)
        rest = {k: v for k, v in keywords.items() if k not in ("check", "sample_weight")}
        rest |= {p.option.name: "identity" for p in row.parameters if p.option is not None}
        assert row.typical_target is not None
        target = row.typical_target(*values)
        _, _, found = self.loss.value_grad_hess(*values, target, reduction="sum", **rest)
        found = found if isinstance(found, tuple) else (found,)
        return [weights * h * slope**2 for h, slope in zip(found, slopes, strict=True)]

    # ---- constants ----

    def _repeated(self, scores: NDArray[np.float64], count: int) -> NDArray[np.float64]:
        """The same raw scores for every sample."""
        return np.tile(scores, (count, 1)) if len(scores) > 1 else np.full(count, scores[0])

    def _unchecked_nll(self, y: Array, scores: NDArray[np.float64], w: Array) -> float:
        """The mean loss of constant scores, which may be outside the domain: then NaN or inf."""
        raw, target, keywords = self._inputs(y, self._repeated(scores, len(y)), w)
        return float(self.loss(*raw, target, **{**keywords, "check": False}))

    def _start(self, y: Array, w: Array) -> NDArray[np.float64]:
        """Constant scores from which to descend: the best of a grid, one parameter at a time."""
        counts = np.flatnonzero(w > 0)
        if not len(counts):
            raise ValueError(f"{self.loss.name}: no label has a positive weight")
        some = counts[np.linspace(0, len(counts) - 1, min(len(counts), _START_SAMPLES)).astype(int)]
        y, w = y[some], w[some]
        parameters = range(len(self._row.parameters))
        units = [self._has_units(k) for k in parameters]
        scores = np.where(units, np.median(y), 1.0)
        for k in 2 * [k for k in parameters if not units[k]]:
            trials = np.tile(scores, (len(_STARTS), 1))
            trials[:, k] = _STARTS
            values = np.array([self._unchecked_nll(y, trial, w) for trial in trials])
            scores = trials[np.argmin(np.where(np.isnan(values), np.inf, values))]
        return scores


def _converted(row: Loss, options: dict[str, Any], dtype: Any) -> dict[str, Any]:
    """The options, arrays of numbers among them in the dtype of the scores."""
    found = dict(options)
    for option in row.options:
        value = found.get(option.name)
        if option.kind in ("per_sample", "per_class") and np.ndim(value) > 0:
            array = np.asarray(value)
            found[option.name] = array.astype(dtype) if array.dtype.kind in "iuf" else value
    return found


def _joined(columns: list[Array], shape: tuple[int, ...]) -> Floats:
    """Columns side by side in the shape of the scores: float32, none of them infinite."""
    whole = columns[0] if columns[0].ndim == 2 else np.stack(columns, axis=-1)
    return np.clip(whole, -_LARGEST, _LARGEST).astype(np.float32, order="C").reshape(shape)


def _newton_step(grads: Array, hess: Array, weights: Array) -> NDArray[np.float64]:
    """A Newton step from the gradients of all samples and the sums of their second derivatives.

    The mixed derivatives are as in the Fisher information: parameters hang together as their
    gradients do.
    """
    counts = weights > 0
    scaled = grads[counts] / np.sqrt(weights[counts, None])
    size = np.sqrt((scaled**2).sum(axis=0))
    scaled /= np.maximum(size, _TINY)
    correlation = 0.999 * scaled.T @ scaled
    np.fill_diagonal(correlation, 1.0)
    root = np.sqrt(np.maximum(hess, _TINY))
    return np.linalg.solve(correlation, grads.sum(axis=0) / root) / root
