"""The plots: time per loss, throughput against classes, speed-up per cell, error per loss."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from .cells import SWEEP_ELEMENTS, Cell
from .peers import LIMITS, OURS, PEERS
from .summary import RIVALS, best_errors, by_family, fastest, in_order, lines

STYLE = {
    "figure.dpi": 150,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "legend.frameon": False,
}
NOT_FINITE = 1e18  # where an infinite error is drawn
LEAST_SHOWN = 0.1
GOAL_ULP = 4


def draw(results, folder):
    with plt.rc_context(STYLE):
        if results.get("sweep"):
            save(throughput(results), folder / "throughput.png")
        if any(line.speed_up for line in lines(results)):
            save(overview(results), folder / "overview.png")
            save(speed_up(results), folder / "speedup.png")
        if results.get("errors"):
            save(errors(results), folder / "errors.png")


def save(figure, path):
    figure.savefig(path, bbox_inches="tight")
    plt.close(figure)


def where(machine):
    return f"{machine['cpu']}, {machine['threads']} threads"


def plain_number(value, _=None):
    return f"{value:g}"


def throughput(results):
    """Cross-entropy: logits read and gradient written, GB/s, against the number of classes."""
    figure, axes = plt.subplots(figsize=(8.5, 5))
    threads = results["machine"]["threads"]
    for name, peer in PEERS.items():
        points = []
        for result in results["sweep"]:
            run = fastest(result, name, threads=threads)
            if run:
                points.append(
                    (result["cell"]["shape"][1], result["bytes_moved"] / run["min"] / 1e9)
                )
        if not points:
            continue
        if name in LIMITS:
            limit = max(rate for _, rate in points)
            axes.axhline(limit, color=peer.color, linestyle="--", linewidth=1.2)
            note = f"{peer.label}: {limit:.0f} GB/s"
            axes.annotate(
                note, (points[-1][0], limit), (0, 4), textcoords="offset points", ha="right"
            )
            continue
        ours = name == OURS
        style = {
            "linewidth": 2.6 if ours else 1.4,
            "markersize": 5 if ours else 3.5,
            "zorder": 2 + ours,
        }
        axes.plot(
            *zip(*points, strict=True), marker="o", color=peer.color, label=peer.label, **style
        )
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(FuncFormatter(plain_number))
    axes.tick_params(axis="x", rotation=35)
    axes.set_ylim(0, 1.08 * axes.dataLim.ymax)  # room for the note on the copy limit
    axes.grid(alpha=0.25)
    axes.set_xlabel("classes K")
    axes.set_ylabel("GB/s, logits read + gradient written")
    dtype = results["sweep"][0]["cell"]["dtype"]
    millions = SWEEP_ELEMENTS / 1e6
    axes.set_title(
        f"Softmax cross-entropy, value and gradient, {dtype}, {millions:.0f} million logits\n"
        + where(results["machine"])
    )
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def overview(results):
    """A row a loss, at the middle one of its shapes: milliseconds of every library in float32."""
    by_loss = {}
    for result in in_order(results["table"]):
        if result["cell"]["dtype"] == "float32":
            by_loss.setdefault(result["cell"]["loss"], []).append(result)
    rows = [cells[(len(cells) - 1) // 2] for cells in by_loss.values()]
    figure, axes = plt.subplots(figsize=(8.5, 0.21 * len(rows) + 2.0), layout="constrained")
    for name, marker in zip([OURS, *RIVALS], "osDv^P", strict=False):
        runs = [(row, fastest(result, name)) for row, result in enumerate(rows)]
        points = [(run["min"] * 1e3, row) for row, run in runs if run]
        if points:
            look = {"markersize": 8, "zorder": 4} if name == OURS else {"markersize": 5.5}
            look |= {"color": PEERS[name].color, "label": PEERS[name].label}
            axes.plot(*zip(*points, strict=True), marker, **look)
    cells = [Cell.from_json(result["cell"]) for result in rows]
    labels = [f"{cell.loss}, {' x '.join(map(str, cell.shape))}" for cell in cells]
    axes.set_yticks(range(len(rows)), labels)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(plain_number))
    axes.grid(axis="x", alpha=0.3)
    axes.grid(axis="y", alpha=0.15)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("milliseconds for value and gradient (logarithmic; left is faster)")
    machine = results["machine"]
    versions = {name: machine["versions"].get(name, "") for name in ("nllkern", "torch", "jax")}
    figure.suptitle(
        f"Value and gradient in float32, {machine['threads']} threads, {machine['date']}\n"
        f"{machine['cpu']}\n" + ", ".join(f"{n} {v}" for n, v in versions.items() if v),
        x=0.01,
        ha="left",
        fontsize=11,
    )
    figure.legend(loc="outside lower center", ncols=6, handletextpad=0.2, columnspacing=1.2)
    return figure


def cell_label(cell):
    if not cell.out:
        return f"{cell.loss}, one {' x '.join(map(str, cell.shape))} call"
    several = len({*cell.work.shapes, *cell.work.shapes32}) > 1
    return f"{cell.loss}, {' x '.join(map(str, cell.shape))}" if several else cell.loss


def speed_up(results):
    """Best peer's time over ours: one bar a cell in the best peer's colour; ticks mark goals."""
    measured = [line for line in lines(results) if line.speed_up]
    families = by_family(measured, lambda line: line.cell.loss)
    dtypes = [d for d in ("float32", "float64") if any(x.cell.dtype == d for x in measured)]
    count = {f: max(sum(x.cell.dtype == d for x in g) for d in dtypes) for f, g in families.items()}
    figure, panels = plt.subplots(
        len(families),
        len(dtypes),
        figsize=(6.4 * len(dtypes) + 0.5, 0.75 * len(families) + 0.3 * sum(count.values()) + 1),
        height_ratios=[n + 1 for n in count.values()],
        sharex=True,
        squeeze=False,
    )
    for row, (family, group) in enumerate(families.items()):
        for axes, dtype in zip(panels[row], dtypes, strict=True):
            own = [line for line in group if line.cell.dtype == dtype]
            speed_up_bars(axes, own)
            axes.set_ylim(count[family] - 0.4, -0.6)
            axes.set_title(f"{family}, {dtype}")
    for axes in panels[-1]:
        axes.set_xlabel("times faster than the best peer")
    used = {line.rival["peer"] for line in measured}
    handles = [plt.Rectangle((0, 0), 1, 1, color=PEERS[n].color) for n in RIVALS if n in used]
    labels = [f"best peer: {PEERS[n].label}" for n in RIVALS if n in used]
    handles.append(
        plt.Line2D([], [], color="black", marker="|", linestyle="", markersize=11, mew=1.6)
    )
    figure.legend(
        handles,
        [*labels, "goal"],
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        ncols=len(labels) + 1,
    )
    figure.suptitle(
        f"nllkern against the best peer, value and gradient\n{where(results['machine'])}",
        x=0.01,
        ha="left",
        fontsize=11,
    )
    figure.tight_layout()
    return figure


def speed_up_bars(axes, group):
    """From 1 (as fast as the peer) on a logarithmic scale: what is slower points to the left."""
    for row, line in enumerate(group):
        color = PEERS[line.rival["peer"]].color
        axes.barh(row, line.speed_up - 1, left=1, color=color, height=0.62)
        axes.annotate(
            f"{line.speed_up:.1f}x",
            (max(line.speed_up, 1), row),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        )
        if line.cell.goal:
            axes.vlines(line.cell.goal, row - 0.4, row + 0.4, color="black", linewidth=1.6)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator([0.5, 1, 2, 3, 5, 8, 10, 20, 50, 100]))
    axes.xaxis.set_major_formatter(FuncFormatter(plain_number))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.axvline(1, color="grey", linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(group)), [cell_label(line.cell) for line in group], fontsize=8)
    axes.margins(x=0.12)


def errors(results):
    """Worst error on hard inputs, log scale: one row a loss, one mark a library."""
    best = best_errors(results)
    names = [n for n in PEERS if any(peer == n for _, _, peer in best)]
    losses = list(dict.fromkeys(loss for loss, _, _ in best))
    dtypes = list(dict.fromkeys(dtype for _, dtype, _ in best))
    figure, panels = plt.subplots(
        1,
        len(dtypes),
        figsize=(5.5 * len(dtypes) + 2, 0.3 * len(losses) + 1.6),
        sharey=True,
        squeeze=False,
    )
    for axes, dtype in zip(panels[0], dtypes, strict=True):
        for i, name in enumerate(names):
            above = 0.1 * (i - (len(names) - 1) / 2)  # equal errors side by side
            runs = {loss: best.get((loss, dtype, name)) for loss in losses}
            worst = {k: max(r["value_ulp"], r["grad_ulp"]) for k, r in runs.items() if r}
            axes.plot(
                [max(min(x, NOT_FINITE), LEAST_SHOWN) for x in worst.values()],
                [losses.index(loss) + above for loss in worst],
                marker="D" if name == OURS else "o",
                markersize=7 if name == OURS else 5.5,
                alpha=1 if name == OURS else 0.75,
                linestyle="",
                color=PEERS[name].color,
                label=PEERS[name].label,
                zorder=2 + (name == OURS),
            )
        axes.set_xscale("log")
        axes.set_xlim(LEAST_SHOWN / 2, NOT_FINITE * 5)
        ticks = [0.1, 1, 1e3, 1e6, 1e9, 1e12, 1e15, NOT_FINITE]
        axes.set_xticks(ticks, [*(f"{x:g}" for x in ticks[:-1]), "NaN, inf"])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_yticks(range(len(losses)), losses)
        axes.set_ylim(len(losses) - 0.4, -0.6)
        axes.grid(axis="y", alpha=0.25)
        axes.axvline(GOAL_ULP, color="black", linewidth=0.9, linestyle="--")
        axes.annotate(
            f"{GOAL_ULP} ulp",
            (GOAL_ULP, 1),
            (3, 2),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            fontsize=8,
        )
        axes.set_xlabel("worst error, ulp")
        axes.set_title(dtype, loc="right")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", bbox_to_anchor=(0.5, 0.01), ncols=len(names))
    figure.suptitle(
        "Worst error of value and gradient on hard inputs, against mpmath",
        x=0.01,
        ha="left",
        fontsize=11,
    )
    figure.tight_layout()
    return figure
