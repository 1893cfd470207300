"""The Markdown tables."""

from .cells import Cell
from .peers import LIMITS, OURS, PEERS
from .summary import (
    LIMIT_GOAL,
    RIVALS,
    best_errors,
    by_family,
    fastest,
    in_order,
    lines,
    matrix_bytes,
    memory_checks,
)


def markdown(results):
    parts = [heading(results["machine"], results["rounds"])]
    if results.get("table"):
        parts += [brief_table(results), short_table(results)]
        parts += [speed_table(results), peer_table(results)]
    if results.get("memory"):
        parts.append(memory_table(results))
    if results.get("adapters"):
        parts.append(adapter_table(results))
    if results.get("errors"):
        parts.append(error_table(results))
    return "\n\n".join(parts) + "\n"


def heading(machine, rounds):
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return f"""# Speed and accuracy

Value and gradient, {machine["threads"]} threads of {machine["cpu"]},
{machine["system"]}, Python {machine["python"]}, {machine["date"]}.  {versions}.

Every library runs in a process of its own and takes turns with the others, {rounds} rounds per
cell; times are minima over all rounds.  Each library has several formulations, the fastest counts;
those that allocate their results also run with a malloc that keeps freed memory (marked *), which
glibc does not by default.  GB/s counts every array once: predictions and targets read, gradients
written (class indices left out).

The limit is what no loop can beat: the copy of the same number of bytes, half read, half written,
or the bare functions, as many exponentials and logarithms as the loss needs, of numbers in the
first cache (with NumPy's products of matrices for the losses that are made of them), whichever
takes longer.  A cell is met at the speed-up aimed at, or within {LIMIT_GOAL:g} of the limit."""


def table(header, rows):
    body = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in body)


def unit(seconds):
    """What a time is multiplied by and given in."""
    return (1e6, "us") if seconds < 1e-4 else (1e3, "ms")


def duration(seconds):
    factor, name = unit(seconds)
    return f"{seconds * factor:{'.2f' if name == 'us' else '.3g'}} {name}"


def timed(run, who=False):
    """A run's minimum; * for kept memory, the library's name if asked."""
    if run is None:
        return "-"
    star = "*" if run["malloc"] == "keep" else ""
    return duration(run["min"]) + star + (f" {PEERS[run['peer']].label}" if who else "")


def times(ratio):
    return "-" if ratio is None else f"{ratio:.2f}x"


def work_shape(shape):
    return " x ".join(map(str, shape))


def work(cell):
    return [cell.loss, {"float32": "f32", "float64": "f64"}[cell.dtype], work_shape(cell.shape)]


def verdict(checks):
    return ", ".join(f"{goal}: {'met' if met else '**short**'}" for goal, met in checks.items())


def brief_table(results):
    """A line for each loss and shape: time and error, beside the fastest rival's."""
    best = best_errors(results)
    rows = {}
    for line in lines(results):
        row = rows.setdefault((line.cell.loss, line.cell.shape), {})
        row[line.cell.dtype] = brief_time(line), brief_error(line, best)
    header = ["loss", "shape", "float32", "error", "float64", "error"]
    body = [
        [loss, work_shape(shape), *row.get("float32", ("", "")), *row.get("float64", ("", ""))]
        for (loss, shape), row in rows.items()
    ]
    text = """## In short

Time: nllkern / fastest other library, how many times faster, how many times the limit.
Error: the larger of the two that the last table has for nllkern / for that library."""
    return text + "\n\n" + table(header, body)


def short_table(results):
    """The cells that meet neither goal, worst first."""
    every = [line for line in lines(results) if line.ours]
    short = sorted((x for x in every if x.shortfall > 1), key=lambda x: -x.shortfall)
    header = ["loss", "dtype", "shape", "speed-up", "goal", "of the limit", "missing"]
    rows = [
        [
            *work(line.cell),
            times(line.speed_up),
            f"{line.cell.goal:g}x",
            times(line.over_limit),
            times(line.shortfall),
        ]
        for line in short
    ]
    text = f"""## What is short

{len(short)} of {len(every)} cells meet neither goal; the factor that the nearer one misses."""
    return text + "\n\n" + table(header, rows)


def brief_time(line):
    if not (line.ours and line.rival):
        return "-"
    factor, name = unit(line.ours["min"])
    ours, other = (f"{run['min'] * factor:.3g}" for run in (line.ours, line.rival))
    text = f"{ours} / {other} {name} {PEERS[line.rival['peer']].label}, **{line.speed_up:.1f}x**"
    return f"{text}, {line.over_limit:.1f}" if line.over_limit else text


def brief_error(line, best):
    def error(run):
        found = run and best.get((line.cell.loss, line.cell.dtype, run["peer"]))
        return f"{max(found['value_ulp'], found['grad_ulp']):.2g}" if found else "-"

    return f"{error(line.ours)} / {error(line.rival)}"


def speed_table(results):
    """One table a family; the columns for the default malloc only where it was measured as well."""
    both = any(
        line.rival_default and line.rival_default is not line.rival for line in lines(results)
    )
    header = ["loss", "dtype", "shape", "nllkern", "GB/s", "best peer", "speed-up"]
    header += ["best peer, default malloc", "speed-up"] if both else []
    header += ["copy", "functions", "of the limit", "1 thread", "goals"]
    parts = ["## Speed"]
    for family, group in by_family(lines(results), lambda line: line.cell.loss).items():
        parts += [f"### {family}", table(header, [speed_row(line, both) for line in group])]
    return "\n\n".join(parts)


def speed_row(line, both):
    rate = f"{line.bytes_moved / line.ours['min'] / 1e9:.1f}" if line.ours else "-"
    default = [timed(line.rival_default, who=True), times(line.times_faster(line.rival_default))]
    return [
        *work(line.cell),
        timed(line.ours),
        rate if line.cell.out else "-",
        timed(line.rival, who=True),
        times(line.speed_up),
        *(default if both else []),
        timed(line.copy),
        timed(line.functions),
        times(line.over_limit),
        timed(line.single),
        verdict(line.checks) or "-",
    ]


def peer_table(results):
    """Every library's fastest formulation: minimum (median), named."""
    names = [OURS, *RIVALS, *LIMITS]
    header = ["loss", "dtype", "shape", *(PEERS[name].label for name in names)]
    threads = results["machine"]["threads"]
    parts = ["## Each library: minimum (median), formulation"]
    groups = by_family(in_order(results["table"]), lambda result: result["cell"]["loss"])
    for family, group in groups.items():
        rows = []
        for result in group:
            row = work(Cell.from_json(result["cell"]))
            for name in names:
                run = fastest(result, name, threads=threads)
                how = "" if run is None else f" ({duration(run['median'])}) {run['formulation']}"
                row.append(timed(run) + how)
            rows.append(row)
        parts += [f"### {family}", table(header, rows)]
    return "\n\n".join(parts)


def memory_table(results):
    """Peak memory of each library's formulation that takes least."""
    names = [name for name in [OURS, *RIVALS] if any_peak(results, name)]
    rows = []
    for result in results["memory"]:
        cell = Cell.from_json(result["cell"])
        row = work(cell)
        row += [megabytes(matrix_bytes(cell)), megabytes(result["results"])]
        for name in names:
            peaks = [p for p in result["peaks"] if p["peer"] == name]
            least = min(peaks, key=lambda p: p["peak"], default=None)
            row.append("-" if least is None else megabytes(least["peak"] - result["results"]))
        rows.append([*row, verdict(memory_checks(result)) or "-"])
    header = ["loss", "dtype", "shape", "matrix", "gradients", *(PEERS[n].label for n in names)]
    text = """## Peak memory of one call

What the first call of that size works with, beyond its gradients and what the process held before
it (compiling included); each library's formulation that takes least.  The matrix holds the
similarities of all pairs."""
    return text + "\n\n" + table([*header, "goals"], rows)


def adapter_table(results):
    """Each adapter beside the framework's own loss and beside the direct call."""
    rows = []
    for result in results["adapters"]:
        least = {what: figures["min"] for what, figures in result["times"].items()}
        ours, theirs, direct = (least.get(k) for k in ("adapter", "framework", "direct"))
        shape = " x ".join(map(str, result["shape"]))
        rows.append(
            [
                result["adapter"],
                shape,
                duration(ours),
                duration(theirs) if theirs else "-",
                f"{theirs / ours:.1f}x" if theirs else "-",
                duration(direct),
            ]
        )
    text = """## Adapters

Cross-entropy in float32: value and gradient by a forward and a backward call (nllkern.torch, as it
is, without its calls in C++, and beside PyTorch's own loss in torch.compile, both compiled), by the
jitted value_and_grad (nllkern.jax, beside optax), or gradient and second derivative
(nllkern.boosting, whose libraries do not lend their own objectives; so a round of training with
either, too); minimum.  Directly: the same on NumPy arrays, results allocated."""
    header = ["adapter", "shape", "through it", "framework's own", "speed-up", "directly"]
    return text + "\n\n" + table(header, rows)


def any_peak(results, name):
    return any(p["peer"] == name for result in results["memory"] for p in result["peaks"])


def megabytes(count):
    return f"{count / 1e6:.1f} MB"


def error_table(results):
    best = best_errors(results)
    names = [name for name in [OURS, *RIVALS] if any(peer == name for _, _, peer in best)]
    rows = []
    for loss, dtype in dict.fromkeys((loss, dtype) for loss, dtype, _ in best):
        row = [loss, dtype]
        for name in names:
            run = best.get((loss, dtype, name))
            row.append("-" if run is None else f"{run['value_ulp']:.2g} / {run['grad_ulp']:.2g}")
        rows.append(row)
    text = """## Worst error on hard inputs, in ulp: value / gradient

Against mpmath, by the criterion of the accuracy tests; each library's most accurate formulation;
inf: a NaN or infinity where the exact result is finite."""
    return text + "\n\n" + table(["loss", "dtype", *(PEERS[n].label for n in names)], rows)
