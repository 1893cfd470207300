"""Losses over the similarities of two sets of vectors: their matrix is computed a block at a time.

The products are NumPy's, the softmax of a row is ``cross_entropy``, that of a column a kernel.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._blocks import Array, Columns, pieces
from ._engine import pool_only, scale_rows, thread_count, unit_gradients, unit_rows

# Rows of similarities in a block: a 16th of all, more where that is little memory (products of few
# rows are slow), fewer where it is much.  The gradient of the keys grows by quarters, or pieces of
# LEAST_PIECE to PIECE_BYTES.  The shapes alone decide all of it, and so the order of all additions.
BLOCKS = 16
LEAST_ROWS = 32
MOST_ROWS = 512
LEAST_BYTES = 4 << 20
MOST_BYTES = 8 << 20
LEAST_PIECE = 256 << 10
PIECE_BYTES = 4 << 20


def info_nce(
    loss: Any,
    arrays: list[Array],
    results: list[Array],
    *,
    weight: Array | None,
    more: dict[str, Any],
    reduction: int,
    normalizer: float | None,
    check: bool,
    threads: int,
) -> float | Array:
    """The value; `results` receive the gradients, if there are any."""
    queries, keys = arrays
    form = more.get("form", "queries")
    check_shapes(loss.name, queries.shape, keys.shape, form)
    if check:
        for name, x in zip(loss.arguments, arrays, strict=True):
            check_finite(loss.name, name, x)
    if normalizer is not None and not 0 < normalizer < np.inf:
        raise ValueError(
            f"{loss.name}: normalizer is {normalizer!r}, expected a positive, finite number"
        )
    denominator = 1.0
    if reduction == 0 and normalizer is not None:
        denominator = normalizer
    elif reduction == 0:
        denominator = float(len(queries) if weight is None else np.sum(weight, dtype=np.float64))
    counts = denominator != 0 and len(queries) > 0
    # OpenMP's threads would fight for the cores with those of the matrix products, which spin.
    with pool_only(), np.errstate(all="ignore"):
        batch = Batch(queries, keys, weight, results, more, denominator, thread_count(threads))
        if counts:
            batch.run(form)
        else:
            batch.clear()
        if reduction == 2:
            return batch.losses.astype(queries.dtype)
        return float(np.sum(batch.losses)) / (denominator if counts else 1.0)


def check_shapes(loss: str, queries: tuple[int, ...], keys: tuple[int, ...], form: str) -> None:
    """Refuse keys that do not belong to the queries."""
    if keys != queries and form != "queries":
        raise ValueError(
            f"{loss}: keys has shape {keys}, expected {queries}, as queries, for form={form!r}"
        )
    if keys[1] != queries[1] or keys[0] < queries[0]:
        raise ValueError(
            f"{loss}: keys have shape {keys}, expected (M, {queries[1]}) with M >= {queries[0]}: "
            f"first the keys of the queries, then more"
        )


def check_finite(loss: str, name: str, x: Array) -> None:
    """Refuse infinities and NaN."""
    bad = np.flatnonzero(~np.isfinite(x))
    if len(bad):
        at = tuple(map(int, np.unravel_index(bad[0], x.shape)))
        raise ValueError(f"{loss}: {name}[{at[0]}, {at[1]}] is {x[at]}, expected a finite number")


# ---- a block of similarities at a time --------------------------------------------------------


class Batch:
    """One call's vectors and results; each form of the loss is a method.

    With S = Q K^T / temperature and G the derivatives of the unweighted losses by S, and w the
    weights over the denominator, dQ = w G K / temperature and dK = G^T w Q / temperature: the
    weights multiply vectors, in float64, and not G.  ``losses`` are weighted, in float64.
    ``grads`` may be the inputs.
    """

    def __init__(
        self,
        queries: Array,
        keys: Array,
        weight: Array | None,
        grads: list[Array],
        more: dict[str, Any],
        denominator: float,
        threads: int,
    ) -> None:
        from ._losses import loss_named

        self.softmax: Any = loss_named("cross_entropy")
        self.vectors, self.grads, self.threads = [queries, keys], grads, threads
        self.temperature: float = more.get("temperature", 0.1)
        self.normalize: bool = more.get("normalize", True)
        one = np.broadcast_to(1.0, len(queries))  # takes no memory
        self.weight = one if weight is None else weight.astype(np.float64)
        self.scale = self.weight / (denominator or 1.0)
        if weight is None:
            self.scale = np.broadcast_to(1.0 / (denominator or 1.0), len(queries))
        self.counts = None if weight is None or weight.all() else (weight != 0).astype(weight.dtype)
        self.norms: list[tuple[Array, Array] | None] = [None, None]
        self.losses = np.empty(len(queries))
        self.dtype = queries.dtype
        row = queries.shape[1] * queries.itemsize
        self.piece = max(min(PIECE_BYTES // row, len(keys) // 4), LEAST_PIECE // row, 1)
        rows = min(self.piece, len(keys)) if grads else 0
        self.product = np.empty((rows, queries.shape[1]), queries.dtype)

    def run(self, form: str) -> None:
        """Losses and gradients."""
        {"queries": self.by_queries, "symmetric": self.by_both, "nt_xent": self.by_pairs}[form]()
        self.losses *= self.weight
        if self.counts is not None:
            self.losses[self.weight == 0] = 0

    def clear(self) -> None:
        """No sample counts."""
        for x in (self.losses, *self.grads):
            x[...] = 0

    def prepare(
        self, k: int, into: Array | None = None, written: list[Array] | None = None
    ) -> Array:
        """The queries (0) or keys (1), normalised if asked; a copy if `written` lie over them."""
        x = self.vectors[k]
        if self.normalize:
            self.vectors[k] = np.empty_like(x) if into is None else into
            self.norms[k] = unit_rows(x, self.vectors[k], self.threads)
        elif any(np.may_share_memory(x, grad) for grad in written or ()):
            self.vectors[k] = x.copy()
        return self.vectors[k]

    def prepare_both(self) -> tuple[Array, Array]:
        """Queries whose rows are read before their gradient is written, and keys.

        Normalised queries lie where their gradient will: it takes no memory of its own.
        """
        keys = self.prepare(1, written=self.grads)
        into = self.grads[0] if self.grads else None
        return self.prepare(0, into, self.grads[1:]), keys

    def blocks(self, rows: int, columns: int, buffers: int = 1) -> list[tuple[int, int]]:
        """(first, end) of each block of rows, if `buffers` arrays hold what is made of one."""
        row = columns * self.dtype.itemsize * buffers
        size = min(max(rows // BLOCKS // buffers, LEAST_BYTES // row), MOST_BYTES // row, MOST_ROWS)
        return pieces(rows, max(size // LEAST_ROWS * LEAST_ROWS, LEAST_ROWS))

    def buffer(self, blocks: list[tuple[int, int]], columns: int) -> Array:
        return np.empty((blocks[0][1], columns), self.dtype)

    def scale_rows(
        self,
        x: Array,
        factor: Array | None,
        one_factor: float = 1.0,
        divisor: float = 1.0,
        out: Array | None = None,
    ) -> Array:
        """Rows times factor (one each) times one_factor / divisor, rounded once."""
        out = np.empty_like(x) if out is None else out
        factor = None if factor is None else np.ascontiguousarray(factor)
        scale_rows(x, out, factor, one_factor, divisor, self.threads)
        return out

    def relative_weights(self) -> tuple[Array, float]:
        """Scale over its largest, which keeps it in range of the inputs' dtype; and the largest."""
        size = np.abs(self.scale)
        largest = float(np.max(size, initial=0, where=np.isfinite(size))) or 1.0
        if self.counts is None and np.all(size == largest):
            return np.broadcast_to(1.0, size.shape), float(self.scale[0])
        return np.where(self.weight == 0, 0, self.scale / largest), largest

    def over_temperature(self, x: Array) -> Array:
        return self.scale_rows(x, None, divisor=self.temperature)

    def weighted(self, k: int, a: int, b: int) -> Array:
        """Rows of vectors times their weight over the temperature; 0 for those of weight 0."""
        left = self.scale_rows(self.vectors[k][a:b], self.scale[a:b], divisor=self.temperature)
        left[self.weight[a:b] == 0] = 0
        return left

    def cross_entropy(self, rows: Array, first: int, a: int, b: int, out: Array | None) -> Array:
        """Unweighted losses of rows a to b, whose targets are the columns from `first` on.

        `out` receives the derivatives; those of rows of weight 0 are 0.
        """
        target = np.arange(first, first + b - a)
        counts = None if self.counts is None else self.counts[a:b]
        own = {"sample_weight": counts, "reduction": "none", "num_threads": self.threads}
        if out is None:
            return np.asarray(self.softmax(rows, target, **own))
        return np.asarray(self.softmax.value_and_grad(rows, target, out=out, **own)[0])

    def spread(self, k: int, derivatives: Array, left: Array, first: bool) -> None:
        """Add derivatives^T left to the gradient of the queries (0) or keys (1), or begin it."""
        grad = self.grads[k]
        for a, b in pieces(len(grad), self.piece):
            if first:
                np.matmul(derivatives[:, a:b].T, left, out=grad[a:b])
            else:
                grad[a:b] += np.matmul(derivatives[:, a:b].T, left, out=self.product[: b - a])

    def finish(self, k: int, grad: Array, a: int, b: int, factor: Array | float = 1.0) -> Array:
        """The gradient by rows a to b of the input, from that by the unit vectors.

        It is multiplied by a factor, or one for each row, and overwritten.
        """
        norms = self.norms[k]
        one = factor if isinstance(factor, float) else 1.0
        each = None if isinstance(factor, float) else np.ascontiguousarray(factor)
        if norms is None:
            return self.scale_rows(grad, each, one, out=grad)
        norm, scale = norms
        units = self.vectors[k][a:b]
        unit_gradients(units, grad, (norm[a:b], scale[a:b]), each, one, self.threads)
        return grad

    def by_queries(self) -> None:
        """Rows of the similarities."""
        queries, keys = self.prepare_both()
        blocks = self.blocks(len(queries), len(keys))
        block = self.buffer(blocks, len(keys))
        for a, b in blocks:
            rows = np.matmul(self.over_temperature(queries[a:b]), keys.T, out=block[: b - a])
            out = rows if self.grads else None
            self.losses[a:b] = self.cross_entropy(rows, a, a, b, out)
            if self.grads:
                self.spread(1, rows, self.weighted(0, a, b), a == 0)
                factor = self.scale[a:b] / self.temperature
                grad = self.finish(0, rows @ keys, a, b, factor)
                grad[self.weight[a:b] == 0] = 0
                self.grads[0][a:b] = grad
        if self.grads:
            self.finish(1, self.grads[1], 0, len(keys))

    def by_both(self) -> None:
        """Rows and columns: a first run over the blocks sums columns, a second has gradients."""
        queries, keys = self.prepare_both()
        blocks = self.blocks(len(queries), len(keys), buffers=2)
        block = self.buffer(blocks, len(keys))
        columns = Columns(len(keys), self.dtype, self.threads)
        for a, b in blocks:
            rows = np.matmul(self.over_temperature(queries[a:b]), keys.T, out=block[: b - a])
            columns.add(rows, a)
            if not self.grads:
                self.losses[a:b] = self.cross_entropy(rows, a, a, b, None)
        weight, largest = self.relative_weights()
        by_column, scale, own = columns.close(weight)
        if self.grads:
            other_block = np.empty_like(block)
            for a, b in blocks:
                left = self.over_temperature(queries[a:b])
                rows = np.matmul(left, keys.T, out=block[: b - a])
                derivatives = other_block[: b - a]
                self.losses[a:b] = self.cross_entropy(rows, a, a, b, derivatives)
                derivatives *= weight[a:b, None].astype(self.dtype)
                positive = np.arange(b - a), np.arange(a, b)
                both = derivatives[positive] - own[a:b]
                columns.add_softmax(rows, scale, derivatives)
                derivatives[positive] = both
                self.spread(1, derivatives, left, a == 0)
                factor = 0.5 * largest / self.temperature
                self.grads[0][a:b] = self.finish(0, derivatives @ keys, a, b, factor)
            self.finish(1, self.grads[1], 0, len(keys), 0.5 * largest)
        self.losses += by_column
        self.losses *= 0.5

    def by_pairs(self) -> None:
        """Rows of the similarities of all vectors with each other, but not with themselves."""
        vectors = [self.prepare(k, written=self.grads) for k in (0, 1)]
        count = len(vectors[0])
        blocks = self.blocks(count, 2 * count)
        block = self.buffer(blocks, 2 * count)
        self.losses[...] = 0
        for grad in self.grads:
            grad[...] = 0
        for k in (0, 1):
            for a, b in blocks:
                left = self.over_temperature(vectors[k][a:b])
                rows = block[: b - a]
                halves = rows[:, :count], rows[:, count:]
                for half, x in zip(halves, vectors, strict=True):
                    np.matmul(left, x.T, out=half)
                halves[k][np.arange(b - a), np.arange(a, b)] = -np.inf
                out = rows if self.grads else None
                self.losses[a:b] += 0.5 * self.cross_entropy(rows, (1 - k) * count + a, a, b, out)
                if self.grads:
                    left = self.weighted(k, a, b)
                    for j in (0, 1):
                        self.spread(j, halves[j], left, False)
                    grad = halves[0] @ vectors[0]
                    grad += halves[1] @ vectors[1]
                    self.grads[k][a:b] += self.scale_rows(grad, self.scale[a:b] / self.temperature)
        for k, grad in enumerate(self.grads):
            self.finish(k, grad, 0, count, 0.5)
