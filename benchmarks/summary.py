"""What the raw figures say: fastest formulations, speed-ups, goals met or short."""

from dataclasses import dataclass

import numpy as np

from .catalogue import FAMILIES, WORKS
from .cells import SMALL_GOAL_SECONDS, Cell
from .peers import BARE, COPY, LIMITS, OURS, PEERS

RIVALS = [name for name in PEERS if name not in (OURS, *LIMITS)]
MEMORY_GOAL, MEMORY_GOAL_ROWS = 0.1, 8192  # of the matrix; a small one is not worth it
LIMIT_GOAL = 1.3  # times the limit: met as well, however fast the others are
SINGLE_THREAD_SLACK = 1.05  # noise of the clock, not of the library


def fastest(result, peer, **having):
    """The run of `peer` with these fields that has the smallest minimum; None without any."""
    runs = [
        run
        for run in result["runs"]
        if run["peer"] == peer and all(run[k] == v for k, v in having.items())
    ]
    return min(runs, key=lambda run: run["min"], default=None)


def fastest_rival(result, **having):
    """The fastest run of all rivals; None unless every rival that ran has one like that."""
    runs = [fastest(result, name, **having) for name in RIVALS if fastest(result, name)]
    return min(runs, key=lambda run: run["min"]) if runs and all(runs) else None


@dataclass
class Line:
    """One cell of the speed table; what was not measured is None."""

    cell: Cell
    ours: dict
    single: dict
    rival: dict
    rival_default: dict
    copy: dict
    functions: dict
    bytes_moved: int

    @classmethod
    def of(cls, result, threads):
        cell = Cell.from_json(result["cell"])
        return cls(
            cell,
            fastest(result, OURS, threads=threads),
            fastest(result, OURS, threads=1),
            fastest_rival(result),
            fastest_rival(result, malloc="default"),
            fastest(result, COPY) if cell.out else None,
            fastest(result, BARE) if cell.out else None,
            result["bytes_moved"],
        )

    def times_faster(self, rival, figure="min"):
        return rival[figure] / self.ours[figure] if self.ours and rival else None

    @property
    def speed_up(self):
        return self.times_faster(self.rival)

    @property
    def limit(self):
        """Seconds of the copy or of the bare functions, whichever takes longer."""
        return max((run["min"] for run in (self.copy, self.functions) if run), default=None)

    @property
    def over_limit(self):
        """How many times the limit our call takes."""
        return self.ours["min"] / self.limit if self.ours and self.limit else None

    @property
    def shortfall(self):
        """How far from the nearer of its two goals, a factor; 1 or less: met."""
        if self.cell.goal is None or not self.ours:
            return 0.0
        by_peer = self.cell.goal / self.speed_up if self.rival else np.inf
        by_limit = self.over_limit / LIMIT_GOAL if self.limit else np.inf
        return min(by_peer, by_limit)

    @property
    def checks(self):
        """{goal in words: met or not}."""
        checks = {}
        if not self.ours:
            return checks
        if self.cell.goal is None:
            microseconds = f"{SMALL_GOAL_SECONDS * 1e6:g} us"
            checks[f"at most {microseconds}"] = self.ours["min"] <= SMALL_GOAL_SECONDS
        elif self.rival or self.limit:
            goal = f"{self.cell.goal:g}x or {LIMIT_GOAL:g} of the limit"
            checks[goal] = self.shortfall <= 1
        if self.single and self.single is not self.ours:
            slower = self.ours["min"] > SINGLE_THREAD_SLACK * self.single["min"]
            checks["not slower than 1 thread"] = not slower
        return checks


def lines(results):
    threads = results["machine"]["threads"]
    return [Line.of(result, threads) for result in in_order(results.get("table", []))]


def in_order(table):
    """Results of the speed table, as the catalogue has them."""
    return sorted(table, key=lambda r: list(WORKS).index(r["cell"]["loss"]))


def by_family(items, name_of):
    """{family's title: its items}, in the order of the catalogue."""
    groups = {}
    for item in items:
        groups.setdefault(WORKS[name_of(item)].family, []).append(item)
    return {FAMILIES[family]: groups[family] for family in FAMILIES if family in groups}


def best_errors(results):
    """{(loss, dtype, peer): its most accurate formulation}."""
    best = {}
    for run in results.get("errors", []):
        key = run["loss"], run["dtype"], run["peer"]
        best[key] = min(best.get(key, run), run, key=lambda r: max(r["value_ulp"], r["grad_ulp"]))
    return best


def matrix_bytes(cell):
    """Of the similarities of all pairs of rows."""
    rows = cell.shape[0] * (2 if cell.work.keywords.get("form") == "nt_xent" else 1)
    return rows * rows * np.dtype(cell.dtype).itemsize


def memory_checks(result):
    """{goal in words: met or not}, of what the call works with beside its results."""
    cell = Cell.from_json(result["cell"])
    ours = [p["peak"] - result["results"] for p in result["peaks"] if p["peer"] == OURS]
    if not ours or cell.shape[0] < MEMORY_GOAL_ROWS:
        return {}
    return {f"{MEMORY_GOAL:g} of the matrix": max(ours) < MEMORY_GOAL * matrix_bytes(cell)}
