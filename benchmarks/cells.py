"""The cells of the tables: an entry of the catalogue, on one dtype and shape."""

from dataclasses import dataclass

import numpy as np

from .catalogue import WORKS

SMALL_GOAL_SECONDS = 1.5e-6
SWEEP_ELEMENTS = 1 << 24
SWEEP_CLASSES = [2**i for i in range(1, 18)]


@dataclass(frozen=True)
class Cell:
    """One entry, dtype and shape.  `out` says whether the caller's own buffers are filled."""

    loss: str  # name of the entry
    dtype: str
    shape: tuple
    out: bool = True

    @classmethod
    def from_json(cls, fields):
        return cls(**{**fields, "shape": tuple(fields["shape"])})

    @property
    def work(self):
        return WORKS[self.loss]

    @property
    def name(self):
        return f"{self.loss}/{self.dtype}/{'x'.join(map(str, self.shape))}"

    @property
    def elements(self):
        return int(np.prod(self.shape))

    @property
    def goal(self):
        """How many times faster than the best peer, or None for the small call."""
        return self.work.goal if self.out else None

    def data(self, seed=0):
        """Positional arguments of the loss."""
        return self.work.data(self.shape, self.dtype, seed)


def table_cells():
    """The cells of the speed table: family by family, in the order of the catalogue."""
    cells = []
    for work in WORKS.values():
        for dtype in ("float32", "float64"):
            only = work.shapes32 if dtype == "float32" else ()
            cells += [Cell(work.name, dtype, shape) for shape in (*work.shapes, *only)]
            if work.small_in_table:
                cells.append(Cell(work.name, dtype, work.small, out=False))
    return cells


def sweep_cells(dtype="float32"):
    """Cross-entropy over the number of classes, at a constant number of logits."""
    return [Cell("cross_entropy", dtype, (SWEEP_ELEMENTS // k, k)) for k in SWEEP_CLASSES]


def memory_cells():
    """Where peak memory is measured: results made by the call, so that they count."""
    return [
        Cell(work.name, "float32", shape, out=False)
        for work in WORKS.values()
        if work.joint
        for shape in (*work.shapes, *work.shapes32)
    ]
