"""Table and plot of benchmarks.busy."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from .peers import OURS, PEERS
from .plots import STYLE, save, where
from .report import duration, table

CONTESTANTS = {  # name: (peer, its threads if not all, NLLKERN_THREADING)
    "one thread": (OURS, 1, None),
    "pool": (OURS, None, "pool"),
    "OpenMP": (OURS, None, "openmp"),
    "PyTorch": ("torch_eager", None, None),
    "JAX": ("jax_optax", None, None),
}
COLORS = {
    "one thread": "#8d99ae",
    "pool": PEERS[OURS].color,
    "OpenMP": "#f4a6ab",
    "PyTorch": PEERS["torch_eager"].color,
    "JAX": PEERS["jax_optax"].color,
}
SLOWER = 1.05  # than one thread, that a mean may be
BESIDE_OPENMP = 1.03  # on a quiet machine
KEPT_ORDER = ("quiet", "1 busy", "2 busy", "1 of nice 10", "quota of 1")


def ordered(results):
    """Call by call, each in the order of the machines."""
    whats = list(dict.fromkeys(x["what"] for x in results["measured"]))
    whats.sort(key=lambda what: what.startswith("training"))
    return sorted(
        results["measured"],
        key=lambda x: (whats.index(x["what"]), KEPT_ORDER.index(x["machine"])),
    )


def rows(results):
    """What, machine, and each contestant's mean and 95th percentile."""
    for x in ordered(results):
        times = x["times"]
        figures = [
            f"{duration(times[n]['mean'])}, {duration(times[n]['p95'])}" if n in times else "-"
            for n in CONTESTANTS
        ]
        yield [x["what"], x["machine"], *figures]


def verdicts(results):
    """The goals, in words."""
    calls = [x for x in ordered(results) if not x["what"].startswith("training")]
    ratios = [
        (x["times"]["pool"]["mean"] / x["times"]["one thread"]["mean"], x)
        for x in calls
        if {"pool", "one thread"} <= x["times"].keys()
    ]
    beside = [
        (x["times"]["pool"]["mean"] / x["times"]["OpenMP"]["mean"], x)
        for x in calls
        if x["machine"] == "quiet" and {"pool", "OpenMP"} <= x["times"].keys()
    ]
    lines = []
    for name, found, limit in (
        ("one thread's", ratios, SLOWER),
        ("OpenMP's on a quiet machine", beside, BESIDE_OPENMP),
    ):
        above = [(r, x) for r, x in found if r > limit]
        lines.append(
            f"The pool's mean is within {limit:.2f}x of {name} in "
            f"{len(found) - len(above)} of {len(found)} cases."
        )
        lines += [f"- {x['what']}, {x['machine']}: {r:.2f}x" for r, x in above]
    return lines


def markdown(results):
    """The page of figures."""
    header = ["call", "machine", *CONTESTANTS]
    text = f"""# Calls and steps of training

Mean and 95th percentile of a call, {where(results["machine"])}, {results["machine"]["date"]}: value
and gradient; or a whole step of training (a linear layer, cross-entropy, backward, SGD; the shape
is rows x features x classes), where the first three columns have nllkern's loss and the fourth or
fifth the framework's own."""
    return "\n\n".join([text, table(header, rows(results)), "\n".join(verdicts(results))]) + "\n"


def draw(results, path):
    """The mean over one thread's, a panel a call, a group of bars a machine."""
    whats = list(dict.fromkeys(x["what"] for x in ordered(results)))
    with plt.rc_context(STYLE):
        columns = 3
        lines = -(-len(whats) // columns)
        figure, panels = plt.subplots(
            lines, columns, figsize=(5 * columns, 2.9 * lines), squeeze=False
        )
        for axes in panels.flat[len(whats) :]:
            axes.set_visible(False)
        for axes, what in zip(panels.flat, whats, strict=False):
            group = [x for x in ordered(results) if x["what"] == what]
            bars(axes, what, group)
        handles = [plt.Rectangle((0, 0), 1, 1, color=c) for c in COLORS.values()]
        figure.legend(
            handles, COLORS, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=len(COLORS)
        )
        figure.suptitle(
            f"Mean time over that of one thread on the same machine; {where(results['machine'])}",
            x=0.01,
            ha="left",
            fontsize=11,
        )
        figure.tight_layout()
        save(figure, path)


MOST_SHOWN = 4.0


def bars(axes, what, group):
    width = 0.8 / len(COLORS)
    for k, (name, color) in enumerate(COLORS.items()):
        for at, x in enumerate(group):
            if name not in x["times"]:
                continue
            ratio = x["times"][name]["mean"] / x["times"]["one thread"]["mean"]
            place = at + (k - (len(COLORS) - 1) / 2) * width
            axes.bar(place, min(ratio, MOST_SHOWN), width, color=color)
            if ratio > MOST_SHOWN:
                axes.annotate(f"{ratio:.0f}", (place, MOST_SHOWN), ha="center", fontsize=7)
    axes.axhline(1, color="black", linewidth=0.8, linestyle=":")
    axes.set_xticks(range(len(group)), [x["machine"] for x in group], fontsize=8)
    axes.set_ylim(0, MOST_SHOWN * 1.05)
    axes.set_title(what.replace("/float32/", ", "), fontsize=9)
