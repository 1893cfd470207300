"""Worker processes, kept alive and busy one at a time, and the rounds that share them fairly."""

import itertools
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from .builds import THIS_BUILD
from .peers import LIMITS, OURS, PEERS

ROOT = Path(__file__).resolve().parent.parent
QUIET_SECONDS = 0.01  # lets the threads of the process before fall asleep
# glibc: serve large arrays from the heap and never give it back, so that they keep their pages.
KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 33),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 35),
    "MALLOC_TOP_PAD_": str(1 << 28),
}
THREAD_VARIABLES = ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"]


class WorkerProcess:
    """A library in a process of its own, held to the first `threads` CPUs."""

    def __init__(
        self, peer, threads, malloc="default", uses=None, build=THIS_BUILD, simd=None, way=None
    ):
        self.peer, self.malloc = peer, malloc
        self.threads = uses or threads
        environment = dict(os.environ, **{name: str(threads) for name in THREAD_VARIABLES})
        if malloc == "keep":
            environment.update(KEEP_MEMORY)
        if simd:
            environment["NLLKERN_SIMD"] = simd
        if way:
            environment["NLLKERN_THREADING"] = way
        cpus = sorted(os.sched_getaffinity(0))[:threads]
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115, lives as long as the process
        self.process = subprocess.Popen(
            [build.python, "-m", "benchmarks.worker", peer, *build.folders],
            cwd=ROOT,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            preexec_fn=lambda: os.sched_setaffinity(0, cpus),
        )
        greeting = self.receive()
        self.versions = greeting.get("versions", {})
        self.missing = greeting.get("missing")

    def receive(self):
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            raise RuntimeError(f"the {self.peer} process ended:\n{self.log.read()[-3000:]}")
        return json.loads(line)

    def tell(self, do, **arguments):
        print(json.dumps({"do": do, **arguments}), file=self.process.stdin, flush=True)

    def ask(self, do, **arguments):
        self.tell(do, **arguments)
        return self.receive()

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


def start_workers(names, threads, malloc, report):
    """Those that are installed; nllkern also on one thread; `report` is told who is missing."""
    workers = []
    for name in names:
        settings = [{"malloc": "default"}]
        if PEERS[name].allocates and malloc != "default":
            settings = [{"malloc": m} for m in ("default", "keep") if malloc in (m, "both")]
        if name == OURS and threads > 1:
            settings.append({"uses": 1})
        for setting in settings:
            worker = WorkerProcess(name, threads, **setting)
            if worker.missing:
                report(f"{PEERS[name].label}: skipped ({worker.missing})")
                worker.stop()
                break
            workers.append(worker)
    return workers


def ask_all(workers, do, **arguments):
    """{worker: answer}; they work at the same time, so nothing that is timed."""
    for worker in workers:
        worker.tell(do, threads=worker.threads, **arguments)
    return {worker: worker.receive() for worker in workers}


def turns(workers, rounds, seconds):
    """Yields (worker, {formulation: times}); each round starts with another worker."""
    for turn in range(rounds):
        shift = turn % max(len(workers), 1)
        for worker in workers[shift:] + workers[:shift]:
            time.sleep(QUIET_SECONDS)
            yield worker, worker.ask("time", seconds=seconds)["times"]


def measure(cell, workers, rounds, seconds):
    """One cell, every worker in turn, `rounds` times over; drift of the machine meets all alike."""
    answers = ask_all(workers, "open", cell=asdict(cell))
    workers = [w for w in workers if answers[w]["results"]]
    times = {w: {} for w in workers}
    for worker, turn in turns(workers, rounds, seconds):
        for name, figures in turn.items():
            times[worker].setdefault(name, []).append(figures)
    for worker in answers:
        worker.ask("close")
    runs = [
        {
            "peer": w.peer,
            "formulation": name,
            "malloc": w.malloc,
            "threads": w.threads,
            "min": min(map(min, batches)),
            "median": statistics.median(itertools.chain(*batches)),
            "round_minima": [min(b) for b in batches],
        }
        for w in workers
        for name, batches in times[w].items()
    ]
    return {
        "name": cell.name,
        "cell": asdict(cell),
        "bytes_moved": sum(next(iter(answers.values()))["traffic"]),
        "elements": cell.elements,
        "runs": runs,
        "failed": {w.peer: a["failed"] for w, a in answers.items() if a["failed"]},
        "disagreement": disagreement(answers),
    }


def peak_memory(cell, names, threads):
    """Bytes that one call takes, its results included, each formulation in a fresh process."""

    def ask(name, **which):
        worker = WorkerProcess(name, threads)
        answer = worker.ask("memory", cell=asdict(cell), threads=threads, **which)
        worker.stop()
        return answer

    peaks = [
        {"peer": name, "formulation": formulation, "peak": ask(name, formulation=formulation)}
        for name in names
        for formulation in ask(name)
    ]
    _, results = cell.work.traffic(cell.data())
    return {"name": cell.name, "cell": asdict(cell), "results": results, "peaks": peaks}


def disagreement(answers):
    """Per formulation: how far its value and sampled gradients are from the first library's.

    Relative to the value, and to the largest gradient: small, or they computed different things.
    """
    results = {
        f"{w.peer}: {name}": result
        for w, answer in answers.items()
        for name, result in answer["results"].items()
        if w.peer not in LIMITS
    }
    if not results:
        return {}
    first = next(iter(results.values()))
    return {name: difference(result, first) for name, result in results.items()}


def difference(result, first):
    worst = abs(result["value"] - first["value"]) / (abs(first["value"]) or 1.0)
    for got, expected in zip(result["grads"], first["grads"], strict=True):
        scale = max(map(abs, expected)) or 1.0
        worst = max(worst, *(abs(g - e) / scale for g, e in zip(got, expected, strict=True)))
    return worst


def processor():
    """The CPU's own name with family and model, since cloud machines blank the name."""
    fields = {}
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            fields.setdefault(name.strip(), value.strip())
    except OSError:
        return platform.processor()
    details = ", ".join(
        f"{name} {fields[name]}" for name in ("cpu family", "model") if name in fields
    )
    name = fields.get("model name", platform.machine())
    return f"{name} ({details})" if details else name


def machine(threads, workers):
    versions = {}
    for worker in workers:
        versions.update(worker.versions)
    return {
        "cpu": processor(),
        "cpus": os.cpu_count(),
        "threads": threads,
        "system": f"{platform.system()} {platform.release()}, {' '.join(platform.libc_ver())}",
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
        "load": os.getloadavg()[0],
        "versions": versions,
    }
