"""Shows the configuration, checks every loss, measures throughput.

python -m nllkern [--quick | --full] [--threads N] [--json]; exit status 1 if a check fails.
"""

import argparse
import json
import math
import os
import sys
from collections.abc import Sequence
from typing import Any

from . import _selfcheck, _show, _speed
from ._accuracy import LIMIT
from ._engine import num_threads, simd_levels
from ._selfcheck import Result
from ._selfcheck_data import DTYPES
from ._speed import Speed

BAR_WIDTH = 30


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m nllkern",
        description="Shows how nllkern is set up, checks every loss on every SIMD level, at hard "
        "points and against the NumPy reference, and measures the throughput.",
        epilog="The exit status is 1 if a check fails.",
    )
    size = parser.add_mutually_exclusive_group()
    for mode, words in (("quick", "fewer and smaller"), ("full", "more and larger")):
        size.add_argument(
            f"--{mode}", action="store_const", dest="mode", const=mode, help=f"{words} inputs"
        )
    parser.set_defaults(mode="usual")
    parser.add_argument("--threads", type=int, metavar="N", help="threads to use, 1 to 1024")
    parser.add_argument("--json", action="store_true", help="write one JSON object and no text")
    options = parser.parse_args(arguments)
    if options.threads is not None and not 1 <= options.threads <= 1024:
        parser.error(f"--threads: got {options.threads}, expected 1 to 1024")
    return options


class Bar:
    """A bar below the text while something is worked on, on a terminal only."""

    def __init__(self, total: int):
        self.shown = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self.symbols = "━ " if "utf" in (sys.stderr.encoding or "").lower() else "#."
        self.done, self.total = 0, total

    def draw(self, text: str) -> None:
        if self.shown:
            length = self.done * BAR_WIDTH // self.total
            bar = self.symbols[0] * length + self.symbols[1] * (BAR_WIDTH - length)
            print(f"\r  {bar} {text}\033[K", end="", file=sys.stderr, flush=True)
        self.done += 1

    def clear(self) -> None:
        if self.shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def colour(text: str, code: int) -> str:
    """The text in that ANSI colour, where colours are wanted."""
    plain = (
        not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    )
    return text if plain else f"\033[{code}m{text}\033[0m"


def line(name: str, results: list[Result], speeds: list[Speed]) -> str:
    """What there is to say of one loss."""
    text = f"{name:26}"
    for dtype in DTYPES:
        text += f"{max(r.error for r in results if r.dtype == dtype):9.2f}"
    passed = all(r.passed for r in results)
    text += "  " + (colour("ok", 32) + " " * 4 if passed else colour("FAILED", 31))
    for s in speeds:
        text += f"{s.rate:9.3g}"
    ratios = [s.rate / s.numpy_rate for s in speeds if s.numpy_rate]
    return text + "".join(f"{x:8.1f}x" for x in ratios)


def worst_of_levels(results: list[Result]) -> list[Result]:
    """Of each check that fails, the level where it fails by most."""
    worst: dict[tuple[str, str], Result] = {}
    for r in results:
        known = worst.get((r.dtype, r.case))
        if not r.passed and (known is None or r.error > known.error):
            worst[r.dtype, r.case] = r
    return list(worst.values())


def run(options: argparse.Namespace) -> int:
    say = not options.json
    if say:
        _show.show_config()
        print(
            f"\nLargest error of value, gradient and second derivative, at most {LIMIT:g} roundings"
        )
        print("(8 where the reference rounds); GB/s of value and gradient, and beside NumPy's.")
        print(f"{'':26}{'float32':>9}{'float64':>9}{'':8}{'float32':>9}{'float64':>9}")
    names = dict.fromkeys(name for name, _ in _selfcheck.rows())
    bar = Bar(len(names))
    results: list[Result] = []
    speeds: list[Speed] = []
    for name in names:
        bar.draw(name)
        checked = [r for t in DTYPES for r in _selfcheck.check(name, t, options.mode)]
        measured = [_speed.measure(name, t, options.mode) for t in DTYPES]
        results += checked
        speeds += measured
        bar.clear()
        if say:
            print(line(name, checked, measured))
            for r in worst_of_levels(checked):
                print(f"    {r.dtype} {r.level} {r.case}: {r.error:.3g} roundings, {r.worst}")
    failed = [r for r in results if not r.passed]
    if say:
        count = f"{len(results)} checks on {', '.join(simd_levels())}"
        verdict = f"{len(failed)} of {count} FAILED" if failed else f"All {count} passed."
        print("\n" + (colour(verdict, 31) if failed else verdict))
    else:
        print(json.dumps(as_json(results, speeds), indent=1))
    return 1 if failed else 0


def as_json(results: list[Result], speeds: list[Speed]) -> dict[str, Any]:
    """Everything as one object; an error that is infinite (inf or NaN expected or got) is null."""
    checks = []
    for r in results:
        error = r.error if math.isfinite(r.error) else None
        checks.append({**r._asdict(), "error": error, "passed": r.passed})
    speed = [{**s._asdict(), "gb_per_s": s.rate, "numpy_gb_per_s": s.numpy_rate} for s in speeds]
    passed = all(r.passed for r in results)
    return {
        "config": _show.config(),
        "limit": LIMIT,
        "checks": checks,
        "speed": speed,
        "passed": passed,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    options = parse(arguments)
    if options.threads is None:
        return run(options)
    with num_threads(options.threads):
        return run(options)


if __name__ == "__main__":
    sys.exit(main())
