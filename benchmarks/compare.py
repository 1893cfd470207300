"""nllkern beside the other libraries, value and gradient, each in its own process, taking turns.

Run from the root of the repository.  Writes compare.md (tables), compare.json (raw figures) and
the plots into --out; what is not installed is skipped.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from . import accuracy, plots, report
from .catalogue import WORKS, Work
from .cells import memory_cells, sweep_cells, table_cells
from .harness import ask_all, machine, measure, peak_memory, start_workers
from .peers import LIMITS, OURS, PEERS

BUSY = 0.5  # load average before the start that deserves a warning
TOLERATED = {"float32": 2e-4, "float64": 1e-7}  # between libraries; float32 sums of 4M terms differ


def arguments():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("--cells", nargs="+", help="only cells whose name holds one of these words")
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=7, help="turns of every library per cell")
    parser.add_argument("--seconds", type=float, default=0.15, help="per formulation and round")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--malloc",
        choices=["default", "keep", "both"],
        default="both",
        help="'keep': also run libraries that allocate with freed memory kept by malloc",
    )
    parser.add_argument("--quick", action="store_true", help="two short rounds, few class counts")
    parser.add_argument("--redraw", action="store_true", help="tables and plots from compare.json")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    options.threads = min(options.threads, len(os.sched_getaffinity(0)))
    if options.quick:
        options.rounds, options.seconds, options.malloc = 2, 0.03, "default"
    return options


def chosen(items, words, workers):
    """Those whose name holds one of the words; of a loss that the installed nllkern has."""
    ours = any(w.peer == OURS for w in workers)
    items = [x for x in items if not words or any(word in x.name for word in words)]
    return [x for x in items if not ours or x.work.here]


def one_a_peer(workers, options):
    """The worker of every library where no time is taken: any malloc serves."""
    workers = [w for w in workers if w.peer not in LIMITS and w.threads == options.threads]
    return list({w.peer: w for w in reversed(workers)}.values())[::-1]


def run_cells(cells, workers, options, progress, title):
    cells = chosen(cells, options.cells, workers)
    task = progress.add_task(title, total=len(cells))
    for cell in cells:
        progress.update(task, description=f"{title} {cell.name}")
        result = measure(cell, workers, options.rounds, options.seconds)
        for name, worst in result["disagreement"].items():
            if not worst < TOLERATED[cell.dtype]:
                progress.console.print(f"{cell.name}, {name}: differs by {worst:.1e}")
        progress.advance(task)
        yield result
    progress.update(task, description=title)


def table(workers, options, progress):
    return run_cells(table_cells(), workers, options, progress, "speed")


def sweep(workers, options, progress):
    cells = sweep_cells()[:: 4 if options.quick else 1]
    return run_cells(cells, workers, options, progress, "classes")


def memory(workers, options, progress):
    """Peak memory of one call, where a loss has an aim for it; with the malloc that gives back."""
    cells = chosen(memory_cells(), options.cells, workers)
    task = progress.add_task("memory", total=len(cells))
    names = [w.peer for w in one_a_peer(workers, options)]
    for cell in cells:
        yield peak_memory(cell, names, options.threads)
        progress.advance(task)


def errors(workers, options, progress):
    """Worst error of every library's every formulation."""
    judged = [Judged(work, d) for work in WORKS.values() for d in ("float32", "float64")]
    judged = chosen(judged, options.cells, workers)
    task = progress.add_task("accuracy", total=len(judged))
    for work, dtype in judged:
        progress.update(task, description=f"accuracy {work.name}/{dtype}", advance=1)
        if not accuracy.can_judge(work):
            continue
        judge = accuracy.Judge(work, dtype)
        peers = one_a_peer(workers, options)
        for w, answer in ask_all(peers, "hard_points", loss=work.name, dtype=dtype).items():
            for name, got in answer.items():
                value, grad = judge.worst(got["value"], got["grads"])
                yield {
                    "loss": work.name,
                    "dtype": dtype,
                    "peer": w.peer,
                    "formulation": name,
                    "value_ulp": value,
                    "grad_ulp": grad,
                }


class Judged(NamedTuple):
    work: Work
    dtype: str

    @property
    def name(self):
        return f"{self.work.name}/{self.dtype}"


def adapters(workers, options, progress):
    """What nllkern.torch and nllkern.boosting cost, in a process of their own."""
    task = progress.add_task("adapters", total=None)
    numbers = (options.threads, options.rounds, options.seconds)
    command = [sys.executable, "-m", "benchmarks.adapters", *map(str, numbers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            progress.advance(task)
            yield json.loads(line)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with status {process.returncode}")


PARTS = {"table": table, "sweep": sweep, "errors": errors, "memory": memory, "adapters": adapters}


def measured(options, console, save, earlier):
    """Everything that was asked for, as one JSON-ready dictionary, saved after every step.

    What `earlier` holds of other parts is kept.
    """
    workers = start_workers(options.peers, options.threads, options.malloc, console.print)
    results = earlier | {"machine": machine(options.threads, workers)}
    if "table" in options.parts or "rounds" not in earlier:
        results["rounds"] = options.rounds
    if results["machine"]["load"] > BUSY:
        console.print(f"the machine is busy (load {results['machine']['load']:.1f}): expect noise")
    columns = (TextColumn("{task.description:<55}"), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        for part in options.parts:
            results[part] = []
            for result in PARTS[part](workers, options, progress):
                results[part].append(result)
                save(results)  # an interrupted run keeps what it has: --redraw
    for worker in workers:
        worker.stop()
    return results


def main():
    """Measure, or read what was measured; write the tables and plots."""
    options = arguments()
    console = Console()
    raw = options.out / "compare.json"
    if options.redraw:
        results = json.loads(raw.read_text())
    else:
        options.out.mkdir(parents=True, exist_ok=True)
        earlier = json.loads(raw.read_text()) if raw.exists() else {}

        def save(results):
            raw.write_text(json.dumps(results) + "\n")

        results = measured(options, console, save, earlier)
    (options.out / "compare.md").write_text(report.markdown(results))
    plots.draw(results, options.out)
    console.print(f"written: {options.out}/compare.md, compare.json and plots")


if __name__ == "__main__":
    main()
