"""Calls on a busy machine: one thread, the pool, OpenMP, and other libraries.

    python -m benchmarks.busy [--machines quiet "1 busy" ...] [--rounds 8] [--redraw]

Contestants take turns of a fraction of a second, each in a process of its own, beside processes
that use all the time they get, or under a CPU quota.  What counts is the mean over all turns (in a
good time slice hundreds of calls are fast, then one waits for milliseconds: the median would not
see it); the 95th percentile is that of the median turn.  Writes busy.json, busy.md and busy.png
into --out; machines that were measured before and are not asked for are kept.
"""

import argparse
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from . import busy_report
from .busy_report import CONTESTANTS
from .cells import Cell
from .harness import QUIET_SECONDS, WorkerProcess, machine
from .peers import OURS

CELLS = [Cell("cross_entropy", "float32", (rows, 1000)) for rows in (64, 128, 1024, 8192)]
CELLS.append(Cell("binary_cross_entropy", "float32", (1 << 22,)))
STEPS = [
    (framework, shape)
    for framework in ("PyTorch", "JAX")
    for shape in ((64, 256, 1000), (1024, 64, 1000), (8192, 32, 1000))
]
GROUPS = Path("/sys/fs/cgroup")
PERIOD = 100_000  # microseconds


@contextlib.contextmanager
def beside(count, nice, cpus):
    """So many processes that never rest, on the same processors."""

    def settle():
        os.sched_setaffinity(0, cpus)
        os.nice(nice)

    command = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(command, preexec_fn=settle) for _ in range(count)]
    time.sleep(0.3 if count else 0)
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


@contextlib.contextmanager
def quota(processors, pids):
    """A CPU quota for all of these processes together; OSError where that is not allowed."""
    old = (GROUPS / "cpu").is_dir()
    parent = GROUPS / "cpu" if old else GROUPS
    group = parent / f"nllkern-busy-{os.getpid()}"
    group.mkdir()
    try:
        if old:
            (group / "cpu.cfs_period_us").write_text(str(PERIOD))
            (group / "cpu.cfs_quota_us").write_text(str(int(processors * PERIOD)))
        else:
            (group / "cpu.max").write_text(f"{int(processors * PERIOD)} {PERIOD}")
        for pid in pids:
            (group / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        for pid in pids:
            (parent / "cgroup.procs").write_text(str(pid))
        group.rmdir()


MACHINES = {  # name: (busy processes, their niceness, CPU quota)
    "quiet": (0, 0, None),
    "1 busy": (1, 0, None),
    "2 busy": (2, 0, None),
    "1 of nice 10": (1, 10, None),
    "quota of 1": (0, 0, 1.0),
}


def arguments():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.busy",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--machines", nargs="+", choices=MACHINES, default=list(MACHINES))
    parser.add_argument("--contestants", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS))
    parser.add_argument(
        "--parts", nargs="+", choices=["calls", "steps"], default=["calls", "steps"]
    )
    parser.add_argument("--only", default="", help="calls and steps whose name matches this regex")
    parser.add_argument("--rounds", type=int, default=8, help="turns of every contestant")
    parser.add_argument("--seconds", type=float, default=0.15, help="of a turn")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--redraw", action="store_true", help="table and plot from busy.json")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    options.threads = min(options.threads, len(os.sched_getaffinity(0)))
    return options


def start(options, report):
    """{contestant: worker} of those that are installed."""
    workers = {}
    for name in options.contestants:
        peer, threads, way = CONTESTANTS[name]
        worker = WorkerProcess(peer, options.threads, "keep", uses=threads, way=way)
        if worker.missing:
            report(f"{name}: skipped ({worker.missing})")
            worker.stop()
        else:
            workers[name] = worker
    return workers


def take_turns(workers, options):
    """{contestant: mean, 95th percentile, calls}."""
    turns = {name: [] for name in workers}
    names = list(workers)
    for turn in range(options.rounds):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            time.sleep(QUIET_SECONDS)
            turns[name].append(workers[name].ask("mean", seconds=options.seconds))
    return {
        name: {
            "mean": sum(x["seconds"] for x in of_one) / sum(x["calls"] for x in of_one),
            "p95": statistics.median(x["p95"] for x in of_one),
            "calls": sum(x["calls"] for x in of_one),
        }
        for name, of_one in turns.items()
    }


def on_machines(label, workers, options, console):
    """The same calls on each machine: yields what was measured."""
    for name in options.machines:
        count, nice, processors = MACHINES[name]
        pids = [worker.process.pid for worker in workers.values()]
        cpus = sorted(os.sched_getaffinity(0))[: options.threads]
        try:
            limit = quota(processors, pids) if processors else contextlib.nullcontext()
            with beside(count, nice, cpus), limit:
                yield {"what": label, "machine": name, "times": take_turns(workers, options)}
        except OSError as error:
            console.print(f"{name}: not possible here ({error})")


def calls(options, console):
    workers = start(options, console.print)
    for cell in CELLS:
        if not re.search(options.only, cell.name):
            continue
        for worker in workers.values():
            worker.ask("open", cell=asdict(cell), threads=worker.threads)
            worker.ask("fastest", seconds=0.1)
        yield from on_machines(cell.name, workers, options, console)
    for worker in workers.values():
        worker.stop()


def steps(options, console):
    """Training: nllkern's loss on one thread and both ways on all, and the framework's own."""
    for framework, shape in STEPS:
        label = f"training step, {framework}/{' x '.join(map(str, shape))}"
        if not re.search(options.only, label):
            continue
        workers = {}
        for name in ("one thread", "pool", "OpenMP", framework):
            _, threads, way = CONTESTANTS[name]
            workers[name] = WorkerProcess(OURS, options.threads, "keep", uses=threads, way=way)
        for worker in workers.values():
            which = {"framework": framework, "shape": shape, "threads": worker.threads}
            worker.ask("step", own=worker is workers[framework], **which)
        yield from on_machines(label, workers, options, console)
        for worker in workers.values():
            worker.stop()


PARTS = {"calls": calls, "steps": steps}


def show(results, console):
    table = Table("call", "machine", *(f"{name}: mean, p95" for name in CONTESTANTS))
    for row in busy_report.rows(results):
        table.add_row(*row)
    console.print(table)
    for line in busy_report.verdicts(results):
        console.print(line, highlight=False)


def main():
    """Measure, or read what was measured; write the table and the plot."""
    options = arguments()
    console = Console(width=None if sys.stdout.isatty() else 180)
    raw = options.out / "busy.json"
    results = json.loads(raw.read_text()) if raw.exists() else {"measured": []}
    if not options.redraw:
        if os.getloadavg()[0] > 0.5:
            console.print(f"the machine is busy already (load {os.getloadavg()[0]:.1f})")
        results["machine"] = machine(options.threads, [])
        columns = (TextColumn("{task.description:<60}"), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console) as progress:
            task = progress.add_task("busy", total=None)
            for part in options.parts:
                for found in PARTS[part](options, console):
                    key = found["what"], found["machine"]
                    kept = [x for x in results["measured"] if (x["what"], x["machine"]) != key]
                    results["measured"] = [*kept, found]
                    raw.write_text(json.dumps(results) + "\n")
                    progress.update(task, description=" ".join(key), advance=1)
    show(results, console)
    (options.out / "busy.md").write_text(busy_report.markdown(results))
    busy_report.draw(results, options.out / "busy.png")


if __name__ == "__main__":
    main()
