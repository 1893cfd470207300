"""The three plots: throughput against classes, speed-up per cell, error per loss."""

import math

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter

from .cells import SWEEP_ELEMENTS
from .peers import COPY, OURS, PEERS
from .summary import RIVALS, best_errors, fastest, lines

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
GOAL_ULP = 4


def draw(results, folder):
    with plt.rc_context(STYLE):
        if results.get("sweep"):
            save(throughput(results), folder / "throughput.png")
        if any(line.speed_up for line in lines(results)):
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
        if name == COPY:
            limit = max(rate for _, rate in points)
            axes.axhline(limit, color=peer.color, linestyle="--", linewidth=1.2)
            note = f"copy of the same bytes: {limit:.0f} GB/s"
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


def cell_label(cell):
    if cell.loss != "cross_entropy":
        return cell.loss
    return f"cross_entropy K={cell.shape[1]}" if cell.out else "cross_entropy, one 1 x 10 call"


def speed_up(results):
    """Best peer's time over ours: one bar a cell in the best peer's colour; ticks mark goals."""
    of_dtype = {}
    for line in lines(results):
        if line.speed_up:
            of_dtype.setdefault(line.cell.dtype, []).append(line)
    height = 1.3 + 0.42 * max(map(len, of_dtype.values()))
    figure, panels = plt.subplots(
        1, len(of_dtype), figsize=(5.2 * len(of_dtype) + 1.5, height), sharex=True, squeeze=False
    )
    for axes, (dtype, group) in zip(panels[0], of_dtype.items(), strict=True):
        for row, line in enumerate(group):
            color = PEERS[line.rival["peer"]].color
            axes.barh(row, line.speed_up, color=color, height=0.62)
            axes.annotate(
                f"{line.speed_up:.1f}x",
                (line.speed_up, row),
                (4, 0),
                textcoords="offset points",
                va="center",
            )
            if line.cell.goal:
                axes.vlines(line.cell.goal, row - 0.4, row + 0.4, color="black", linewidth=1.6)
        axes.axvline(1, color="grey", linewidth=0.8, linestyle=":")
        axes.set_yticks(range(len(group)), [cell_label(line.cell) for line in group])
        axes.invert_yaxis()
        axes.margins(x=0.12)
        axes.set_title(dtype)
        axes.set_xlabel("times faster than the best peer")
    used = {line.rival["peer"] for group in of_dtype.values() for line in group}
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


def errors(results):
    """Worst error on hard inputs, log scale: one group a loss, one bar a library."""
    best = best_errors(results)
    names = [n for n in PEERS if any(peer == n for _, _, peer in best)]
    losses = list(dict.fromkeys(loss for loss, _, _ in best))
    dtypes = list(dict.fromkeys(dtype for _, dtype, _ in best))
    figure, panels = plt.subplots(
        len(dtypes), 1, figsize=(9, 3.1 * len(dtypes)), sharex=True, squeeze=False
    )
    width = 0.84 / len(names)
    for axes, dtype in zip(panels[:, 0], dtypes, strict=True):
        for i, name in enumerate(names):
            for group, loss in enumerate(losses):
                run = best.get((loss, dtype, name))
                if run is None:
                    continue
                worst = max(run["value_ulp"], run["grad_ulp"])
                x = group + (i - (len(names) - 1) / 2) * width
                shown = max(min(worst, NOT_FINITE), 0.1)
                label = PEERS[name].label if group == 0 else None
                axes.bar(x, shown, width * 0.92, bottom=0, color=PEERS[name].color, label=label)
                text = (
                    "NaN/inf"
                    if math.isinf(worst)
                    else f"{worst:.1g}"
                    if worst >= 100
                    else f"{worst:.2g}"
                )
                axes.annotate(
                    text,
                    (x, shown),
                    (0, 2),
                    textcoords="offset points",
                    ha="center",
                    fontsize=7,
                    rotation=60,
                )
        axes.set_yscale("log")
        highest = max(patch.get_height() for patch in axes.patches)
        axes.set_ylim(0.1, highest * 1e4)  # room for the slanted numbers
        axes.axhline(GOAL_ULP, color="black", linewidth=0.9, linestyle="--")
        axes.annotate(
            f"{GOAL_ULP} ulp",
            (1, GOAL_ULP),
            (3, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
        axes.set_ylabel("worst error, ulp")
        axes.set_title(dtype, loc="right")
        axes.set_xticks(range(len(losses)), losses)
    handles, labels = max(
        (a.get_legend_handles_labels() for a in panels[:, 0]), key=lambda hl: len(hl[0])
    )
    figure.legend(handles, labels, loc="upper center", bbox_to_anchor=(0.5, 0.01), ncols=len(names))
    figure.suptitle(
        "Worst error of value and gradient on hard inputs, against mpmath",
        x=0.01,
        ha="left",
        fontsize=11,
    )
    figure.tight_layout()
    return figure
