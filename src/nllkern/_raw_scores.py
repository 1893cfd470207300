"""A loss as a function of a booster's raw scores: options, labels, scores, expected derivatives."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._losses import loss_named
from .reference.functions import FLOATS
from .reference.jets import Jet, moving
from .reference.links import linked
from .tables import LOSSES
from .tables.links import LOG, LOGIT
from .tables.losses import Loss
from .tables.supports import NONNEGATIVE, POSITIVE, REAL, SIGN

Array = NDArray[Any]

ROWS = {row.name: row for row in LOSSES if row.kind in ("pointwise", "rows")}
TINY = float(np.finfo(np.float64).tiny)
_FROM_BOOSTER = ("reduction", "out", "sample_weight", "normalizer")


class RawScores:
    """A loss with the options of an objective, which are checked by a trial call."""

    def __init__(self, name: str, options: dict[str, Any]) -> None:
        self.loss = loss_named(name)
        self.options = self._checked(options)

    @property
    def row(self) -> Loss:
        """What the tables say of the loss."""
        return ROWS[self.loss.name]

    @property
    def is_per_sample(self) -> bool:
        """Whether an option holds a number for each sample."""
        names = [option.name for option in self.row.options if option.kind == "per_sample"]
        return any(np.ndim(self.options[name]) > 0 for name in names if name in self.options)

    def _checked(self, options: dict[str, Any]) -> dict[str, Any]:
        """The options with the defaults of an objective, after a trial call of the loss."""
        row = self.row
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
        keywords = self._keywords(options, np.float64)
        self.loss.value_grad_hess(*inputs, target, reduction="sum", **keywords)
        return options

    def inputs(
        self, labels: Any, scores: Any, weight: Any
    ) -> tuple[list[Array], Array, dict[str, Any]]:
        """Raw parameters, target, and keywords of the loss."""
        name, count = self.row.name, len(self.row.parameters)
        raw = np.asarray(scores)
        raw = raw if raw.dtype == np.float32 else np.asarray(raw, np.float64)
        is_rows = self.row.kind == "rows"
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
                "as there are scores"
            )
        target = self._target_of(target)
        if target.dtype.kind == "f" or not is_rows:
            target = target.astype(raw.dtype)
        keywords = self._keywords(self.options, raw.dtype)
        if weight is not None and np.size(weight):
            keywords["sample_weight"] = np.asarray(weight, raw.dtype)
        if is_rows:
            return [columns], target, keywords
        return [np.ascontiguousarray(columns[:, k]) for k in range(count)], target, keywords

    def _keywords(self, options: dict[str, Any], dtype: Any) -> dict[str, Any]:
        """The options, arrays of numbers among them in the dtype of the scores."""
        keywords = dict(options)
        for option in self.row.options:
            value: Any = keywords.get(option.name)
            if option.kind in ("per_sample", "per_class") and np.ndim(value) > 0:
                array = np.asarray(value)
                keywords[option.name] = array.astype(dtype) if array.dtype.kind in "iuf" else value
        return keywords

    def _target_of(self, labels: Array) -> Array:
        """Labels as the loss takes them; boosters have indices as floats, signs as 0 and 1."""
        row = self.row
        if row.kind == "pointwise":
            labels = labels.reshape(-1)
            if row.target is SIGN and np.isin(labels, (0, 1)).all():
                return np.where(labels == 0, -1, 1)
        elif labels.ndim == 1 and labels.dtype.kind in "fb" and "index" in row.targets:
            if not (labels == np.floor(labels)).all():
                raise ValueError(f"{row.name}: labels hold fractions, expected classes")
            return labels.astype(np.int64)
        return labels

    def has_units(self, k: int) -> bool:
        """Whether parameter k is a prediction in units of a real target."""
        row = self.row
        return row.kind == "pointwise" and row.parameters[k].support is REAL and row.target is REAL

    def _linked(self, k: int, raw: Array) -> Jet:
        """Parameter k, which moves with its raw score."""
        p = self.row.parameters[k]
        link = p.links[0].name if p.option is None else self.options[p.option.name]
        return linked(FLOATS, link, Jet(moving(raw.astype(np.longdouble))))

    def longest_step(
        self, k: int, raw: Sequence[Array], target: Array, weights: Array
    ) -> Array | float:
        """How far each sample may ask the raw score of parameter k to move in one step."""
        x = raw[k].astype(np.float64)
        if self.row.parameters[k].support in (POSITIVE, NONNEGATIVE):
            return np.float64(1.0 / FLOATS.log(self._linked(k, x)).derivatives[1])
        if self.has_units(k):
            distance = np.abs(x - target)
            mean = (weights * distance).sum() / max(weights.sum(), TINY)
            return np.maximum(distance, max(mean, TINY))
        return 1.0

    def fisher(self, raw: Sequence[Array], keywords: dict[str, Any], weights: Array) -> list[Array]:
        """Expected second derivatives: by the parameters themselves, times the link's slope^2."""
        row = self.row
        values, slopes = [], []
        for k, u in enumerate(raw):
            x, slope, _ = self._linked(k, u).derivatives
            values.append(x.astype(np.float64))
            slopes.append(np.float64(slope))
        rest = {k: v for k, v in keywords.items() if k not in ("check", "sample_weight")}
        rest |= {p.option.name: "identity" for p in row.parameters if p.option is not None}
        assert row.typical_target is not None
        target = row.typical_target(*values)
        _, _, found = self.loss.value_grad_hess(*values, target, reduction="sum", **rest)
        found = found if isinstance(found, tuple) else (found,)
        return [weights * h * slope**2 for h, slope in zip(found, slopes, strict=True)]
