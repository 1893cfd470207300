"""Blocks of rows of a large matrix: threads for them, unit vectors, the softmax of columns."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._engine import run_columns

Array = NDArray[Any]

NORM_BYTES = 256 << 10  # rows are normalised so many at a time
SHARE_ELEMENTS = 1 << 18  # a thread is worth its waking for so many


def pieces(rows: int, size: int) -> list[tuple[int, int]]:
    """(first, end) of pieces of `size` rows."""
    return [(a, min(a + size, rows)) for a in range(0, rows, size)]


def short_pieces(rows: int, columns: int) -> list[tuple[int, int]]:
    """Pieces for passes over float64 copies that stay in cache."""
    return pieces(rows, max(NORM_BYTES // (8 * columns), 1))


def unit_rows(x: Array, out: Array) -> tuple[Array, Array]:
    """Each row over its Euclidean norm, into `out`; a row of zeros stays one.

    Returns (norm, scale): of the row times `scale`, a power of two, so that no square over- or
    underflows.  Of a row of zeros the scale is 0.
    """
    norm, scale = np.empty(len(x)), np.empty(len(x))
    for a, b in short_pieces(len(x), x.shape[1]):
        part = x[a:b]
        largest = np.maximum(part.max(axis=1), -part.min(axis=1)).astype(np.float64)
        power = np.ldexp(1.0, -np.clip(np.frexp(largest)[1], -1000, 1024))
        part = np.multiply(part, power[:, None], dtype=np.float64)
        n = np.sqrt(np.sum(part * part, axis=1))
        scale[a:b] = np.where(n == 0, 0.0, power)
        norm[a:b] = np.where(n == 0, 1.0, n)
        np.divide(part, norm[a:b, None], out=out[a:b], casting="same_kind")
    return norm, scale


class Team:
    """Threads that sleep between their turns.

    Those of OpenMP keep their cores busy for a while, and the matrix products in between, which
    have threads of their own, would wait for them (2048 x 128, two cores: 300 ms instead of 35).
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.pool = ThreadPoolExecutor(count - 1) if count > 1 else None

    def close(self) -> None:
        """End the threads."""
        if self.pool is not None:
            self.pool.shutdown()

    def share(self, work: Callable[[int, int], None], count: int, elements: int) -> None:
        """Call work(a, b) for pieces of 0 to `count`, each of which stands for `elements`."""
        parts = max(min(self.count, count * elements // SHARE_ELEMENTS), 1)
        first, *others = pieces(count, max(-(-count // parts), 1))
        futures = [self.pool.submit(work, a, b) for a, b in others] if self.pool else []
        work(*first)
        for future in futures:
            future.result()


class Columns:
    """Of each column the largest, and the sum of exp(S_ij - largest) of all but its own row."""

    def __init__(self, count: int, dtype: np.dtype[Any], team: Team) -> None:
        self.team = team
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
        self.team.share(
            lambda a, b: run_columns(
                result is not None, rows, first, self.top, others, scale, result, a, b
            ),
            rows.shape[1],
            len(rows),
        )
