# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Losses over the similarities of two sets of vectors: the matrix of similarities is made a block of rows at a time."""

cimport numpy as cnp
from libc.math cimport exp

from nllkern._engine cimport nllk_thread_count, nllk_vector_function, table

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ._engine import vecmath_table

cnp.import_array()

# Rows of similarities in a block: a 16th of all, more where that is little memory (products of few rows are slow),
# fewer where it is much.  The gradient of the keys grows by quarters, or pieces of LEAST_PIECE to PIECE_BYTES, and rows
# are normalised NORM_BYTES at a time.  The shapes alone decide all of it, and so the order of all additions.
cdef enum:
    BLOCKS = 16
    LEAST_ROWS = 32
    MOST_ROWS = 512
    LEAST_BYTES = 4 << 20
    MOST_BYTES = 8 << 20
    LEAST_PIECE = 256 << 10
    PIECE_BYTES = 4 << 20
    NORM_BYTES = 256 << 10
    LANES = 512
    SHARE_ELEMENTS = 1 << 18  # of similarities, for a thread to be worth its waking


def info_nce(loss, arrays, results, *, weight, more, reduction, normalizer, check, threads):
    """The value; `results` receive the gradients, if there are any."""
    queries, keys = arrays
    form, temperature = more.get("form", "queries"), more.get("temperature", 0.1)
    own = queries.shape
    if keys.shape != own:
        if form != "queries":
            raise ValueError(f"{loss.name}: keys has shape {keys.shape}, expected {own}, as queries, for form={form!r}")
        if keys.shape[1] != own[1] or keys.shape[0] < own[0]:
            raise ValueError(f"{loss.name}: keys have shape {keys.shape}, "
                             f"expected (M, {own[1]}) with M >= {own[0]}: first the keys of the queries, then more")
    if check:
        for name, x in zip(loss.arguments, arrays):
            bad = np.flatnonzero(~np.isfinite(x))
            if len(bad):
                at = np.unravel_index(bad[0], x.shape)
                raise ValueError(f"{loss.name}: {name}[{at[0]}, {at[1]}] is {x[at]}, expected a finite number")
    denominator = 1.0
    if reduction == 0:
        denominator = normalizer
        if normalizer is None:
            denominator = float(own[0] if weight is None else np.sum(weight, dtype=np.float64))
    with Team(nllk_thread_count(threads)) as team, np.errstate(all="ignore"):
        batch = Batch(queries, keys, weight, results, temperature, more.get("normalize", True), team)
        if denominator == 0 or own[0] == 0:
            batch.nothing()
            denominator = 1.0
        else:
            {"queries": batch.by_queries, "symmetric": batch.by_both, "nt_xent": batch.by_pairs}[form](denominator)
        value = batch.losses
        if reduction != 2:
            value = float(np.sum(value, dtype=np.float64)) / denominator
    return value


# ---- a block of similarities at a time -------------------------------------------------------------------------------

def pieces(rows, size):
    """(first, end) of pieces of `size` rows."""
    return [(a, min(a + size, rows)) for a in range(0, rows, size)]


def short_pieces(rows, columns):
    """Pieces for passes over float64 copies that stay in cache."""
    return pieces(rows, max(NORM_BYTES // (8 * columns), 1))


def unit_rows(x, out):
    """Each row over its Euclidean norm, into `out`; a row of zeros stays one.

    Returns (norm, scale): of the row times `scale`, a power of two, so that no square over- or underflows.  Of a row of
    zeros the scale is 0.
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

    Those of OpenMP keep their cores busy for a while, and the matrix products in between, which have threads of their
    own, would wait for them (2048 x 128, two cores: 300 ms in place of 35).
    """

    def __init__(self, count):
        self.count = count
        self.pool = ThreadPoolExecutor(count - 1) if count > 1 else None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.pool is not None:
            self.pool.shutdown()

    def share(self, work, count, elements):
        """Call work(a, b) for pieces of 0 to `count`, each of which stands for so many elements."""
        parts = max(min(self.count, count * elements // SHARE_ELEMENTS), 1)
        first, *others = pieces(count, max(-(-count // parts), 1))
        futures = [self.pool.submit(work, a, b) for a, b in others]
        work(*first)
        for future in futures:
            future.result()


class Batch:
    """One call's vectors and results; what is made of the similarities' rows is the loss of that form.

    With S = Q K^T / temperature and G the derivatives of the loss by S, dQ = G K / temperature and dK = G^T Q /
    temperature.  ``losses`` are weighted.  ``grads`` may be the inputs.
    """

    def __init__(self, queries, keys, weight, grads, temperature, normalize, team):
        from ._losses import cross_entropy
        self.softmax = cross_entropy
        self.vectors = [queries, keys]
        self.weight, self.grads, self.temperature, self.normalize = weight, grads, temperature, normalize
        self.team = team
        self.norms = [None, None]
        self.losses = np.empty(len(queries), queries.dtype)
        row = queries.shape[1] * queries.itemsize
        self.piece = max(min(PIECE_BYTES // row, len(keys) // 4), LEAST_PIECE // row, 1)
        self.product = np.empty((min(self.piece, len(keys)), queries.shape[1]), queries.dtype) if grads else None

    def nothing(self):
        """No sample counts."""
        for x in (self.losses, *self.grads):
            x[...] = 0

    def take(self, k, into=None, kept=()):
        """The queries (0) or keys (1), normalised if asked, where no gradient in `kept` is written over them."""
        x = self.vectors[k]
        if self.normalize:
            self.vectors[k] = np.empty_like(x) if into is None else into
            self.norms[k] = unit_rows(x, self.vectors[k])
        elif any(np.may_share_memory(x, grad) for grad in kept):
            self.vectors[k] = x.copy()
        return self.vectors[k]

    def take_both(self):
        """Queries whose rows are read before their gradient is written, and keys.

        Normalised queries lie where their gradient will: it takes no memory of its own.
        """
        keys = self.take(1, kept=self.grads)
        return self.take(0, into=self.grads[0] if self.grads else None, kept=self.grads[1:]), keys

    def blocks(self, rows, columns, buffers=1):
        """(first, end) of each block of rows of similarities, if `buffers` arrays hold what is made of one."""
        row = columns * self.losses.itemsize * buffers
        size = min(max(rows // BLOCKS // buffers, LEAST_BYTES // row), MOST_BYTES // row, MOST_ROWS)
        return pieces(rows, max(size // LEAST_ROWS * LEAST_ROWS, LEAST_ROWS))

    def buffer(self, blocks, columns):
        return np.empty((blocks[0][1], columns), self.losses.dtype)

    def weights(self, a, b):
        return None if self.weight is None else self.weight[a:b]

    def cross_entropy(self, similarities, first, a, b, out=None):
        """Weighted losses of rows a to b, whose targets are the columns from `first` on; derivatives into `out`."""
        target, weight = np.arange(first, first + b - a), self.weights(a, b)
        losses = np.empty(b - a, self.losses.dtype)

        def some(c, d):
            part = similarities[c:d], target[c:d]
            options = {"sample_weight": None if weight is None else weight[c:d], "reduction": "none", "num_threads": 1}
            if out is None:
                losses[c:d] = self.softmax(*part, **options)
            else:
                losses[c:d] = self.softmax.value_and_grad(*part, out=out[c:d], **options)[0]

        self.team.share(some, b - a, similarities.shape[1])
        return losses

    def spread(self, k, derivatives, left, first):
        """Add derivatives^T left to the gradient of the queries (0) or keys (1), or begin it with that."""
        grad = self.grads[k]
        for a, b in pieces(len(grad), self.piece):
            if first:
                np.matmul(derivatives[:, a:b].T, left, out=grad[a:b])
            else:
                grad[a:b] += np.matmul(derivatives[:, a:b].T, left, out=self.product[:b - a])

    def finish(self, k, grad, a, b, factor):
        """The gradient by rows a to b of the input, from that by what `take` made of it; `grad` is overwritten."""
        if self.norms[k] is None:
            grad *= factor
            return grad
        for c, d in short_pieces(b - a, grad.shape[1]):
            norm, scale = (x[a + c:a + d, None] for x in self.norms[k])
            unit = self.vectors[k][a + c:a + d].astype(np.float64)
            part = grad[c:d].astype(np.float64)
            part -= unit * np.sum(unit * part, axis=1, keepdims=True)
            part *= factor / norm
            part *= scale
            grad[c:d] = part
        return grad

    def by_queries(self, denominator):
        """Rows of the similarities."""
        queries, keys = self.take_both()
        blocks = self.blocks(len(queries), len(keys))
        block = self.buffer(blocks, len(keys))
        for a, b in blocks:
            left = queries[a:b] / self.temperature
            rows = np.matmul(left, keys.T, out=block[:b - a])
            self.losses[a:b] = self.cross_entropy(rows, a, a, b, rows if self.grads else None)
            if self.grads:
                unused = slice(0) if self.weight is None else self.weight[a:b] == 0
                left[unused] = 0
                self.spread(1, rows, left, a == 0)
                grad = self.finish(0, rows @ keys, a, b, 1 / (self.temperature * denominator))
                grad[unused] = 0
                self.grads[0][a:b] = grad
        if self.grads:
            self.finish(1, self.grads[1], 0, len(keys), 1 / denominator)

    def by_both(self, denominator):
        """Rows and columns: the columns' sums take a first run over the blocks, the gradients a second."""
        queries, keys = self.take_both()
        blocks = self.blocks(len(queries), len(keys), buffers=2)
        block = self.buffer(blocks, len(keys))
        columns = Columns(self.losses, self.team)
        for a, b in blocks:
            rows = np.matmul(queries[a:b] / self.temperature, keys.T, out=block[:b - a])
            columns.add(rows, a)
            if not self.grads:
                self.losses[a:b] = self.cross_entropy(rows, a, a, b)
        by_column, scale, own = columns.close(self.weight)
        if self.grads:
            other_block = np.empty_like(block)
            for a, b in blocks:
                left = queries[a:b] / self.temperature
                rows = np.matmul(left, keys.T, out=block[:b - a])
                derivatives = other_block[:b - a]
                self.losses[a:b] = self.cross_entropy(rows, a, a, b, derivatives)
                positive = np.arange(b - a), np.arange(a, b)
                both = derivatives[positive] - own[a:b]
                columns.add_softmax(rows, scale, derivatives)
                derivatives[positive] = both
                self.spread(1, derivatives, left, a == 0)
                self.grads[0][a:b] = self.finish(0, derivatives @ keys, a, b, 0.5 / (self.temperature * denominator))
            self.finish(1, self.grads[1], 0, len(keys), 0.5 / denominator)
        self.losses += by_column
        self.losses *= 0.5

    def by_pairs(self, denominator):
        """Rows of the similarities of all vectors with each other; a vector is not compared with itself."""
        vectors = [self.take(k, kept=self.grads) for k in (0, 1)]
        count = len(vectors[0])
        blocks = self.blocks(count, 2 * count)
        block = self.buffer(blocks, 2 * count)
        for grad in self.grads:
            grad[...] = 0
        for k in (0, 1):
            for a, b in blocks:
                left = vectors[k][a:b] / self.temperature
                rows = block[:b - a]
                halves = rows[:, :count], rows[:, count:]
                for half, x in zip(halves, vectors):
                    np.matmul(left, x.T, out=half)
                halves[k][np.arange(b - a), np.arange(a, b)] = -np.inf
                found = self.cross_entropy(rows, (1 - k) * count + a, a, b, rows if self.grads else None)
                self.losses[a:b] = 0.5 * (self.losses[a:b] + found) if k else found
                if self.grads:
                    for j in (0, 1):
                        self.spread(j, halves[j], left, False)
                    grad = halves[0] @ vectors[0]
                    grad += halves[1] @ vectors[1]
                    grad /= self.temperature
                    self.grads[k][a:b] += grad
        for k, grad in enumerate(self.grads):
            self.finish(k, grad, 0, count, 0.5 / denominator)


# ---- softmax over the columns of blocks of rows ----------------------------------------------------------------------

class Columns:
    """The maximum of each column and the sum of exp(S_ij - maximum) of all but its own row, as blocks go by."""

    def __init__(self, losses, team):
        self.team = team
        self.top = np.full_like(losses, -np.inf)
        self.own = np.empty_like(losses)
        self.others = np.zeros(len(losses))

    def add(self, rows, first):
        """Rows from number `first` on."""
        self.own[first:first + len(rows)] = rows[np.arange(len(rows)), np.arange(first, first + len(rows))]
        self.team.share(
            lambda a, b: run_columns(0, rows, first, self.top, self.others, None, None, a, b), rows.shape[1], len(rows))

    def close(self, weight):
        """(losses, scale of the exponentials that makes them a softmax, share of the others), weighted."""
        gap = np.float64(self.own) - self.top
        total = self.others + np.exp(gap)
        results = np.where(gap == 0, np.log1p(self.others), np.log(total) - gap), 1 / total, self.others / total
        if weight is not None:
            results = [np.where(weight == 0, 0, weight * x) for x in results]
        return [x.astype(self.top.dtype) for x in results]

    def add_softmax(self, rows, scale, result):
        """The sum result_ij += scale_j exp(rows_ij - top_j)."""
        self.team.share(
            lambda a, b: run_columns(1, rows, 0, self.top, None, scale, result, a, b), rows.shape[1], len(rows))


ctypedef fused real:
    float
    double


cdef struct columns_task:
    int softmax
    const void *rows
    ptrdiff_t count
    ptrdiff_t columns
    ptrdiff_t first
    void *top
    double *others
    const void *scale
    void *result
    nllk_vector_function exponential


cdef void add_columns(const columns_task *task, const real *rows, real *top, ptrdiff_t begin,
                      ptrdiff_t end) noexcept nogil:
    """Columns begin to end, at most LANES of them."""
    cdef real[LANES] before
    cdef real[LANES] shifted
    cdef real[LANES] power
    cdef double *others = task.others + begin
    cdef const real *row
    cdef ptrdiff_t i, j, own, count = end - begin
    top += begin
    for j in range(count):
        before[j] = top[j]
    for i in range(task.count):
        row = rows + i * task.columns + begin
        for j in range(count):
            top[j] = row[j] if row[j] > top[j] else top[j]
    for j in range(count):
        others[j] = 0 if others[j] == 0 else others[j] * exp(<double> before[j] - <double> top[j])
    for i in range(task.count):
        row = rows + i * task.columns + begin
        for j in range(count):
            shifted[j] = row[j] - top[j]
        task.exponential(shifted, power, count)
        own = task.first + i - begin
        if 0 <= own < count:
            power[own] = 0
        for j in range(count):
            others[j] += power[j]


cdef void add_softmax(const columns_task *task, const real *rows, const real *top, const real *scale, real *result,
                      ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef real[LANES] shifted
    cdef real[LANES] power
    cdef const real *row
    cdef real *out
    cdef ptrdiff_t i, j, count = end - begin
    for i in range(task.count):
        row = rows + i * task.columns + begin
        out = result + i * task.columns + begin
        for j in range(count):
            shifted[j] = row[j] - top[begin + j]
        task.exponential(shifted, power, count)
        for j in range(count):
            out[j] += power[j] * scale[begin + j]


cdef void some_columns(const columns_task *task, real zero, ptrdiff_t begin, ptrdiff_t end) noexcept nogil:
    cdef ptrdiff_t stop
    while begin < end:
        stop = min(begin + LANES, end)
        if task.softmax:
            add_softmax(task, <const real *> task.rows, <const real *> task.top, <const real *> task.scale,
                        <real *> task.result, begin, stop)
        else:
            add_columns(task, <const real *> task.rows, <real *> task.top, begin, stop)
        begin = stop


cdef int EXP = [row[0] for row in vecmath_table()].index("exp")


cdef void *data(x):
    return NULL if x is None else cnp.PyArray_DATA(<cnp.ndarray> x)


cdef int run_columns(int softmax, cnp.ndarray rows, ptrdiff_t first, top, others, scale, result, ptrdiff_t begin,
                     ptrdiff_t end) except -1:
    """Columns begin to end of arrays that are all C-contiguous and of one dtype, but for `others`."""
    cdef columns_task task
    cdef bint is_double = cnp.PyArray_TYPE(rows) == cnp.NPY_DOUBLE
    task.softmax, task.first = softmax, first
    task.count, task.columns = cnp.PyArray_DIM(rows, 0), cnp.PyArray_DIM(rows, 1)
    task.rows, task.top, task.scale, task.result = data(rows), data(top), data(scale), data(result)
    task.others = <double *> data(others)
    task.exponential = table(is_double).vector[EXP]
    with nogil:
        if is_double:
            some_columns[double](&task, 0, begin, end)
        else:
            some_columns[float](&task, 0, begin, end)
    return 0
