"""The pointwise losses: each is its formula, run on jets."""

from typing import Any

import numpy as np

from ..tables import LOSSES as ROWS
from ..tables import Loss
from ..tables.supports import POSITIVE
from . import formulas
from ._protocol import LOSSES, Outside, Reference, Samples, broadcast, within
from .bounds import run
from .domains import is_impossible, is_meaningless
from .functions import FLOATS


class Pointwise(Reference):
    """A loss of numbers, from its row and its formula."""

    def __init__(self, row: Loss):
        self.formula = getattr(formulas, row.name)
        super().__init__(row, self._samples, self.formula.__doc__)

    def arguments(
        self, given: dict[str, Any], shape: tuple[int, ...]
    ) -> tuple[dict[str, Any], dict[str, str], dict[str, Any]]:
        """(inputs by name, the link of each parameter, what else the formula takes)."""
        inputs = {name: given[name] for name in self.row.arguments}
        options = {}
        for option in self.row.options:
            x = given[option.name]
            if option.kind == "per_sample":
                inputs[option.name] = broadcast(option.name, 1.0 if x is None else x, shape)
            elif option.kind != "link":
                options[option.name] = x
        links = {
            p.name: given[p.option.name] if p.option else "identity" for p in self.row.parameters
        }
        return inputs, links, options

    def _samples(self, **given: Any) -> Samples:
        """Value, first and second derivatives of each sample."""
        shape = np.shape(given["target"])
        inputs, links, options = self.arguments(given, shape)
        inputs = {name: np.asarray(x, np.longdouble) for name, x in inputs.items()}
        outside = self.outside(inputs, links)
        meaningless, impossible = self.excluded(inputs, links, outside)
        parts = []
        for name in self.parameters:
            result, _ = run(self.formula, FLOATS, inputs, links, options, name)
            parts.append([np.asarray(x + np.zeros(shape), np.float64) for x in result.derivatives])
        bad = meaningless | impossible
        values, firsts, seconds = zip(*parts, strict=True)
        value = np.where(meaningless, np.nan, np.where(impossible, np.inf, values[0]))
        grad = tuple(np.where(bad, np.nan, x) for x in firsts)
        hess = tuple(np.where(bad, np.nan, x) for x in seconds)
        return Samples(value, grad, hess, outside)

    def excluded(
        self, inputs: dict[str, Any], links: dict[str, str], outside: dict[str, Any]
    ) -> tuple[Any, Any]:
        """Where the value is NaN, since an input has no meaning; where +inf, for the target."""
        meaningless = is_meaningless(self.row, links, inputs)
        for option in self.row.options:
            if option.kind == "per_sample" and option.support == POSITIVE:
                meaningless = meaningless | outside[option.name][0]
        return meaningless, ~meaningless & is_impossible(self.row, inputs["target"])

    def outside(self, inputs: dict[str, Any], links: dict[str, str]) -> Outside:
        """What check=True asks of each input."""
        supports: dict[str, Any] = {p.name: p.raw_support(links) for p in self.row.parameters}
        supports["target"] = self.row.target
        supports |= {x.name: x.support for x in self.row.options if x.name in inputs}
        return {name: (~within(s, inputs[name]), s.words) for name, s in supports.items()}


for _row in ROWS:
    if _row.kind == "pointwise":
        LOSSES[_row.name] = Pointwise(_row)
