"""Two builds of nllkern, cell by cell, in one run: how a change is judged.

    python -m benchmarks.ab OLD NEW [--simd x86-64-v3 x86-64-v4] [--cells gamma]

Each build is an interpreter, an environment, a folder that holds nllkern/, or a wheel.  The cells
are those of benchmarks.compare: value and gradient into buffers of the caller, and the small call.
Both builds are alive in processes of their own and take turns of a few hundredths of a second.
Two turns that follow each other are a pair; the ratio of a cell is the median of new/old over all
pairs, and its interval holds the true median with 95 % confidence.  A cell whose interval holds the
limit, or lies above it, is measured again in new processes, since memory may lie badly in one.
Exit status 1: at least one cell is slower than the limit, with that confidence.
"""

import argparse
import json
import math
import os
import re
import statistics
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from .builds import build_of
from .catalogue import WORKS
from .cells import Cell, sweep_cells, table_cells
from .harness import WorkerProcess, ask_all, difference, turns
from .peers import OURS
from .report import duration

DTYPES = ("float32", "float64")
CONFIDENCE = 0.95
TOLERATED = {"float32": 2e-4, "float64": 1e-7}  # difference of results, relative to the largest
BUSY = 1.0  # load average before the start that deserves a warning


def quick_cells():
    """One small shape of every entry."""
    return [Cell(work.name, dtype, work.quick[0]) for work in WORKS.values() for dtype in DTYPES]


SETS = {"table": table_cells, "sweep": sweep_cells, "quick": quick_cells}


def arguments(argv=None):
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ab",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("old", metavar="OLD")
    parser.add_argument("new", metavar="NEW")
    parser.add_argument("--cells", default="", help="only cells whose name matches this regex")
    parser.add_argument("--set", choices=SETS, default="table", help="which cells there are")
    parser.add_argument("--dtype", choices=DTYPES, nargs="+", default=list(DTYPES))
    parser.add_argument("--simd", nargs="+", default=[None], metavar="LEVEL", help="NLLKERN_SIMD")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=15, help="a cell, in each of its processes")
    parser.add_argument("--seconds", type=float, default=0.02, help="of a turn")
    parser.add_argument("--starts", type=int, default=3, help="most processes a cell is run in")
    parser.add_argument("--limit", type=float, default=1.03, help="on the ratio new/old")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args(argv)
    options.threads = min(options.threads, len(os.sched_getaffinity(0)))
    return options


def interval(ratios):
    """The order statistics that hold the median between them with CONFIDENCE (the sign test)."""
    n, ranked = len(ratios), sorted(ratios)
    below, k = 0.0, 0  # the chance that at most k - 1 of n lie below the median
    while k < n // 2 and below + math.comb(n, k) / 2**n <= (1 - CONFIDENCE) / 2:
        below += math.comb(n, k) / 2**n
        k += 1
    return (ranked[k - 1], ranked[n - k]) if k else (0.0, math.inf)


@dataclass
class Comparison:
    """A cell at one SIMD level, and the times of all turns so far."""

    cell: Cell
    simd: str | None
    old: list = field(default_factory=list)
    new: list = field(default_factory=list)
    missing: str = ""  # why there is nothing to compare
    difference: float = 0.0

    @property
    def ratios(self):
        return [new / old for new, old in zip(self.new, self.old, strict=True)]

    @property
    def ratio(self):
        return statistics.median(self.ratios)

    @property
    def interval(self):
        return interval(self.ratios)

    def undecided(self, limit):
        """Whether another measurement may change the verdict, or has to confirm it."""
        return not self.missing and self.interval[1] > limit

    def slower(self, limit):
        return not self.missing and self.interval[0] > limit

    def measure(self, workers, options):
        """Adds pairs of turns to those that there are."""
        answers = ask_all(workers, "open", cell=asdict(self.cell))
        results = [answer["results"].get("value_and_grad") for answer in answers.values()]
        if None in results:
            failed = [answer["failed"].get("value_and_grad") for answer in answers.values()]
            names = [name for name, r in zip(("old", "new"), results, strict=True) if r is None]
            why = next(filter(None, failed), "no such loss")
            self.missing = f"{' and '.join(names)}: {why}"
        else:
            self.difference = difference(results[1], results[0])
            times = dict.fromkeys(workers)
            for count, (worker, turn) in enumerate(turns(workers, options.pairs, options.seconds)):
                times[worker] = min(turn["value_and_grad"])
                if count % 2:
                    self.old.append(times[workers[0]])
                    self.new.append(times[workers[1]])
        for worker in workers:
            worker.ask("close")

    def figures(self):
        """JSON-ready."""
        ratio = {} if self.missing else {"ratio": self.ratio, "interval": self.interval}
        return {"name": self.cell.name, **asdict(self), **ratio}


def start(builds, simd, options):
    """A worker for each build, at that SIMD level, and the file that each has imported."""
    workers, files = [], []
    for build in builds:
        worker = WorkerProcess(OURS, options.threads, "keep", build=build, simd=simd)
        if worker.missing:
            raise SystemExit(f"{build.label}: {worker.missing}")
        found = worker.ask("build")
        levels = found["simd_levels"]
        if simd and simd not in levels:
            raise SystemExit(f"{build.label} has no level {simd} here, but {', '.join(levels)}")
        workers.append(worker)
        files.append(found["file"])
    return workers, files


def run(comparisons, builds, options, progress):
    """Measures all; then again those that are not decided, or would fail.  Returns the files."""
    for turn in range(options.starts):
        left = [x for x in comparisons if turn == 0 or x.undecided(options.limit)]
        task = progress.add_task("again" if turn else "cells", total=len(left))
        for simd in dict.fromkeys(x.simd for x in left):
            workers, files = start(builds, simd, options)
            for comparison in (x for x in left if x.simd == simd):
                progress.update(task, description=f"{simd or ''} {comparison.cell.name}")
                comparison.measure(workers, options)
                progress.advance(task)
            for worker in workers:
                worker.stop()
    return files


def table(comparisons, limit):
    """One line a cell."""
    columns = Table("cell", "level")
    for header in ("old", "new", "ratio", "interval"):
        columns.add_column(header, justify="right", no_wrap=True)
    for x in comparisons:
        level = x.simd or ""
        if x.missing:
            columns.add_row(x.cell.name, level, "-", "-", "-", x.missing)
            continue
        style = "red" if x.slower(limit) else "green" if x.interval[1] < 1 else None
        old, new = duration(min(x.old)), duration(min(x.new))
        low, high = x.interval
        columns.add_row(
            *(x.cell.name, level, old, new, f"{x.ratio:.3f}", f"{low:.3f} {high:.3f}"), style=style
        )
    return columns


def summary(comparisons, limit):
    """A few lines below the table."""
    measured = [x for x in comparisons if not x.missing]
    lines = []
    for simd in dict.fromkeys(x.simd for x in measured):
        group = sorted((x for x in measured if x.simd == simd), key=lambda x: x.ratio)
        mean = statistics.geometric_mean([x.ratio for x in group])
        ends = [f"{x.ratio:.3f} {x.cell.name}" for x in (group[0], group[-1])]
        title = f"{simd or 'highest level'}: {len(group)} cells, geometric mean {mean:.3f}"
        lines.append(f"{title}; best {ends[0]}; worst {ends[1]}")
    for x in measured:
        if not x.difference < TOLERATED[x.cell.dtype]:
            lines.append(f"{x.cell.name} {x.simd or ''}: results differ by {x.difference:.1e}")
    slower = [x for x in measured if x.slower(limit)]
    lines.append(f"{len(slower)} of {len(measured)} cells are slower than {limit}x")
    if unsure := [x for x in measured if x.undecided(limit) and not x.slower(limit)]:
        lines.append(f"{len(unsure)} may be: a quieter machine, or more --pairs, would tell")
    return lines + [f"  {x.ratio:.3f} {x.cell.name} {x.simd or ''}" for x in slower]


def main(argv=None):
    """The exit status."""
    options = arguments(argv)
    console = Console(width=None if sys.stdout.isatty() else 120)
    if os.getloadavg()[0] > BUSY:
        console.print(f"the machine is busy (load {os.getloadavg()[0]:.1f}): expect noise")
    cells = [
        cell
        for cell in SETS[options.set]()
        if cell.dtype in options.dtype and re.search(options.cells, cell.name)
    ]
    if not cells:
        raise SystemExit(f"no cell's name matches {options.cells!r}")
    comparisons = [Comparison(cell, simd) for simd in options.simd for cell in cells]
    columns = (TextColumn("{task.description:<55}"), MofNCompleteColumn(), TimeElapsedColumn())
    with tempfile.TemporaryDirectory() as folder:
        builds = [build_of(where, folder) for where in (options.old, options.new)]
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            files = run(comparisons, builds, options, progress)
    for name, file in zip(("old", "new"), files, strict=True):
        console.print(f"{name}: {file}", highlight=False, soft_wrap=True)
    console.print(table(comparisons, options.limit))
    for line in summary(comparisons, options.limit):
        console.print(line, highlight=False, soft_wrap=True)
    if options.json:
        options.json.write_text(json.dumps([x.figures() for x in comparisons]) + "\n")
    return int(any(x.slower(options.limit) for x in comparisons))


if __name__ == "__main__":
    sys.exit(main())
