"""Writes the tables of hard points: ``python tests/golden/make_golden.py [loss ...]``.

The points that a table holds stay in it, and what ``points.py`` draws is added: a point once found
to be hard is not lost.  Inputs are rounded to the dtype first; exact results and bounds belong to
the rounded inputs.  They are computed by mpmath from the value formulas.
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import points
import points_classes
import points_vectors

from nllkern._accuracy import Exact, Table, load, save
from nllkern.reference import exact
from nllkern.tables import LOSSES

FOLDER = Path(__file__).parent
DTYPES = ("float32", "float64")
SPARSE = 6
SHIPPED = 40, 4  # points of a table of numbers, and of vectors
ROWS = {row.name: row for row in LOSSES}
CHUNK = 16  # points that a process computes at once
MOST = 6  # derivatives of a row, or of vectors, that are asked for


def pointwise(row, held):
    """The tables of a pointwise loss; flags that are off get a few of the points."""
    arrays = [x.name for x in row.options if x.kind == "per_sample"]
    count = len(row.arguments)
    for dtype in DTYPES:
        columns = None
        for seed, (name, flags, options) in enumerate(points.option_sets(row)):
            if all(flags.values()):
                columns = points.Drawer(row, dtype, options | flags, seed).points()
            these = columns if all(flags.values()) else columns[:, ::SPARSE]
            options = options | flags
            for t in held:
                if (t.dtype, plain(t.options)) == (dtype, options):
                    old = [np.broadcast_to(t.options[k], t.args[0].shape) for k in arrays]
                    these = np.concatenate([these, np.array([*t.args, *old])], axis=1)
            these = list(np.unique(these, axis=1))
            options = options | dict(zip(arrays, these[count:], strict=True))
            yield Table(row.name, name, dtype, options, these[:count], [])


def plain(options):
    return {k: v for k, v in options.items() if not isinstance(v, np.ndarray)}


def samples(table):
    """A task per few samples."""
    row = ROWS[table.loss]
    size = len(table.args[0])
    per_sample = {x.name for x in row.options if x.kind == "per_sample"}
    chunk = CHUNK if row.kind == "pointwise" else 1
    for start in range(0, size, chunk):
        here = slice(start, start + chunk)
        options = {k: x[here] if k in per_sample else x for k, x in table.options.items()}
        yield table.loss, [x[here] for x in table.args], options, table.dtype, start, per_sample


def results(name, args, options, dtype, start, per_sample):
    found = []
    for i in range(len(args[0])):
        own = {k: x[i] if k in per_sample else x for k, x in options.items()}
        one = exact.sample(name, [x[i] for x in args], own, dtype, MOST, start + i)
        found.append([Exact(*(part[None] for part in x)) for x in one])
    return joined(found)


def joined(parts):
    """The results of a table from those of its tasks."""
    return [
        Exact(*(np.concatenate(x) for x in zip(*pieces, strict=True)))
        for pieces in zip(*parts, strict=True)
    ]


DRAWN = {"pointwise": pointwise, "rows": points_classes.tables, "vectors": points_vectors.tables}


def make(row, pool):
    path = FOLDER / f"{row.name}.npz"
    held = list(load(path)) if path.exists() else []
    waiting = []
    for table in DRAWN[row.kind](row, held):
        tasks = [pool.submit(results, *task) for task in samples(table)]
        waiting.append((table, tasks))
    tables = []
    for table, tasks in waiting:
        tables.append(table._replace(results=joined([t.result() for t in tasks])))
        print(f"{table}: {len(table.args[0])} points", flush=True)
    save(path, tables)


def ship():
    """What the self-check of an installed nllkern reads: a few points of every table."""
    some = []
    for path in sorted(FOLDER.glob("*.npz")):
        for t in load(path):
            size = len(t.args[0])
            if (
                not t.results
                or "not-" in t.name
                or (t.args[0].ndim > 1 and t.args[0].shape[-1] > 40)
            ):
                continue
            these = np.unique(np.linspace(0, size - 1, SHIPPED[t.args[0].ndim > 1]).astype(int))

            def part(x, size=size, these=these):
                return x[these] if isinstance(x, np.ndarray) and x.shape[:1] == (size,) else x

            per_sample = {x.name for x in ROWS[t.loss].options if x.kind == "per_sample"}
            some.append(
                t._replace(
                    args=[part(x) for x in t.args],
                    options={k: part(x) if k in per_sample else x for k, x in t.options.items()},
                    results=[Exact(*map(part, r)) for r in t.results],
                )
            )
    save(FOLDER.parent.parent / "src" / "nllkern" / "hard_points.npz", some)


if __name__ == "__main__":
    if sys.argv[1:] != ["ship"]:
        with ProcessPoolExecutor() as executor:
            for loss in LOSSES:
                if loss.kind in DRAWN and (loss.name in sys.argv[1:] or len(sys.argv) == 1):
                    make(loss, executor)
    ship()
