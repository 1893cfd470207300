"""The work that is measured: which loss, on what data, with what goal."""

from dataclasses import dataclass

import numpy as np

# Shapes of the predictions; cross-entropy cells hold 8 to 33 million logits.
CROSS_ENTROPY_SHAPES = [(262144, 10), (65536, 100), (8192, 1000), (1024, 32000), (256, 128256)]
POINTWISE_SHAPE = (1 << 22,)
SMALL_SHAPE = (1, 10)
SWEEP_ELEMENTS = 1 << 24
SWEEP_CLASSES = [2**i for i in range(1, 18)]

GOALS = {"cross_entropy": 3.0, "binary_cross_entropy": 3.0, "gaussian_nll": 8.0, "gamma_nll": 8.0}
SMALL_GOAL_SECONDS = 1.5e-6
COPY_GOAL = 0.5  # of the copy limit, where rows are wide
WIDE_ROW = 1000

# Arrays read and written by one value-and-gradient call (class indices not counted).
TRAFFIC = {
    "cross_entropy": (1, 1),
    "binary_cross_entropy": (2, 1),
    "gaussian_nll": (3, 2),
    "gamma_nll": (3, 2),
}


@dataclass(frozen=True)
class Cell:
    """One loss on one dtype and shape.  `out` says whether the caller's own buffers are filled."""

    loss: str
    dtype: str
    shape: tuple
    out: bool = True

    @classmethod
    def from_json(cls, fields):
        return cls(**{**fields, "shape": tuple(fields["shape"])})

    @property
    def name(self):
        return f"{self.loss}/{self.dtype}/{'x'.join(map(str, self.shape))}"

    @property
    def elements(self):
        return int(np.prod(self.shape))

    @property
    def bytes_read(self):
        return TRAFFIC[self.loss][0] * self.elements * np.dtype(self.dtype).itemsize

    @property
    def bytes_written(self):
        return TRAFFIC[self.loss][1] * self.elements * np.dtype(self.dtype).itemsize

    @property
    def bytes_moved(self):
        return self.bytes_read + self.bytes_written

    @property
    def goal(self):
        """How many times faster than the best peer, or None for the small call."""
        return GOALS[self.loss] if self.out else None

    @property
    def copy_goal(self):
        wide = self.loss == "cross_entropy" and self.out and self.shape[-1] >= WIDE_ROW
        return COPY_GOAL if wide else None

    def data(self, seed=0):
        """Positional arguments of the loss: predictions first, target last.

        Targets of pointwise losses lie in (0, 1], which is inside the domain of them all.
        """
        rng = np.random.default_rng(seed)
        predictions = TRAFFIC[self.loss][1]
        arrays = [rng.standard_normal(self.shape, dtype=self.dtype) for _ in range(predictions)]
        if self.loss == "cross_entropy":
            rows, classes = self.shape
            arrays[0] *= 3
            return *arrays, rng.integers(0, classes, rows)
        return *arrays, 1 - rng.random(self.shape, dtype=self.dtype)


def table_cells():
    """The cells of the speed table."""
    cells = []
    for dtype in ("float32", "float64"):
        cells += [Cell("cross_entropy", dtype, shape) for shape in CROSS_ENTROPY_SHAPES]
        cells += [Cell(loss, dtype, POINTWISE_SHAPE) for loss in list(GOALS)[1:]]
        cells.append(Cell("cross_entropy", dtype, SMALL_SHAPE, out=False))
    return cells


def sweep_cells(dtype="float32"):
    """Cross-entropy over the number of classes, at a constant number of logits."""
    return [Cell("cross_entropy", dtype, (SWEEP_ELEMENTS // k, k)) for k in SWEEP_CLASSES]
