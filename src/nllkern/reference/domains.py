"""Which samples have no meaning, in the operations of any array library."""

import math
from collections.abc import Mapping
from typing import Any

from ..tables import Loss
from ..tables.supports import HALF_LINES, POSITIVE


def is_impossible(row: Loss, target: Any) -> Any:
    """Where the loss is +inf, since no parameter can give such a target."""
    return ((target < 0) | (target == math.inf)) & (row.target in HALF_LINES)


def is_meaningless(row: Loss, links: Mapping[str, str], inputs: Mapping[str, Any]) -> Any:
    """Where the loss is NaN: an input is, or a parameter lies outside the domain of its link."""
    found = inputs["target"] != inputs["target"]
    for x in inputs.values():
        found = found | (x != x)
    for p in row.parameters:
        support, x = p.raw_support(links), inputs[p.name]
        if p.option and support in HALF_LINES:
            found = found | ~((x > 0) | ((x == 0) & (support != POSITIVE)))
    return found
