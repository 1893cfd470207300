"""Blocks of rows of a large matrix, and the softmax of its columns."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._engine import run_columns

Array = NDArray[Any]


def pieces(rows: int, size: int) -> list[tuple[int, int]]:
    """(first, end) of pieces of `size` rows."""
    return [(a, min(a + size, rows)) for a in range(0, rows, size)]


class Columns:
    """Of each column the largest, and the sum of exp(S_ij - largest) of all but its own row."""

    def __init__(self, count: int, dtype: np.dtype[Any], threads: int) -> None:
        self.threads = threads
        self.top = np.full(count, -np.inf, dtype)
        self.own = np.empty(count, dtype)
        self.others = np.zeros(count)

    def add(self, rows: Array, first: int) -> None:
        """Rows from number `first` on."""
        at = np.arange(len(rows)), np.arange(first, first + len(rows))
        self.own[at[1]] = rows[at]
        self.run(rows, first=first, others=self.others)

    def close(self, weight: Array) -> tuple[Array, Array, Array]:
        """Losses; weighted, the scale of the exponentials and the share of the others."""
        gap = np.float64(self.own) - self.top
        total = self.others + np.exp(gap)
        losses = np.where(gap == 0, np.log1p(self.others), np.log(total) - gap)
        scale, share = weight / total, weight * (self.others / total)
        counts = weight != 0
        scale, share = np.where(counts, scale, 0), np.where(counts, share, 0)
        return losses, scale.astype(self.top.dtype), share.astype(self.top.dtype)

    def add_softmax(self, rows: Array, scale: Array, result: Array) -> None:
        """The sum result_ij += scale_j exp(rows_ij - top_j)."""
        self.run(rows, scale=scale, result=result)

    def run(
        self,
        rows: Array,
        first: int = 0,
        others: Array | None = None,
        scale: Array | None = None,
        result: Array | None = None,
    ) -> None:
        run_columns(result is not None, rows, first, self.top, others, scale, result, self.threads)
