"""Shows the configuration, checks every loss against the reference, measures throughput.

python -m nllkern [--quick] [--threads N] [--json]; exit status 1 if a check fails.
"""

import argparse
import json
import math
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from . import _selfcheck, _selfcheck_data, _show, _speed
from ._engine import num_threads, simd_levels
from ._selfcheck import LIMIT, Result
from ._speed import Speed

T = TypeVar("T")

BAR_WIDTH = 30


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m nllkern",
        description="Shows how nllkern is set up, checks every loss against the NumPy reference "
        "on every SIMD level, and measures the throughput of value and gradient beside NumPy.",
        epilog="The exit status is 1 if a check fails.",
    )
    parser.add_argument("--quick", action="store_true", help="fewer and smaller inputs")
    parser.add_argument("--threads", type=int, metavar="N", help="threads to use, 1 to 1024")
    parser.add_argument("--json", action="store_true", help="write one JSON object and no text")
    options = parser.parse_args(arguments)
    if options.threads is not None and not 1 <= options.threads <= 1024:
        parser.error(f"--threads: got {options.threads}, expected 1 to 1024")
    return options


def progress(items: Iterable[T], total: int, title: str) -> Iterator[T]:
    """The items, with a bar below the text while they are worked on, on a terminal only."""
    shown = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    full, empty = "━ " if "utf" in (sys.stderr.encoding or "").lower() else "#."
    done = 0

    def draw() -> None:
        length = done * BAR_WIDTH // total
        bar = full * length + empty * (BAR_WIDTH - length)
        print(f"\r  {title} {bar} {done}/{total}", end="", file=sys.stderr, flush=True)

    if shown:
        draw()
    for item in items:
        done += 1
        if shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
        yield item
        if shown and done < total:
            draw()


def colour(text: str, code: int) -> str:
    """The text in that ANSI colour, where colours are wanted."""
    plain = (
        not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    )
    return text if plain else f"\033[{code}m{text}\033[0m"


def check(options: argparse.Namespace, say: bool) -> list[Result]:
    """All checks, a line each."""
    rows = _selfcheck_data.rows(options.quick)
    width = max(map(len, simd_levels())) + 2
    if say:
        print(f"Checks against the reference: largest error in roundings, at most {LIMIT:g}")
        levels = "".join(f"{level:>{width}}" for level in simd_levels())
        print(f"  {'loss':26}{'dtype':8} {'inputs':32}{levels}")
    results = []
    steps = progress(_selfcheck.steps(rows), _selfcheck.count_steps(rows), "checking")
    for row in steps:
        results += row
        if not say:
            continue
        first, passed = row[0], all(r.passed for r in row)
        errors = "".join(f"{r.error:{width}.2f}" for r in row)
        verdict = colour("ok", 32) if passed else colour("FAILED", 31)
        print(f"  {first.loss:26}{first.dtype:8} {first.case:32}{errors}  {verdict}")
        for r in row:
            if not r.passed:
                print(f"    {r.level}: {r.worst}")
    return results


def measure(options: argparse.Namespace, say: bool) -> list[Speed]:
    """All measurements, a line each."""
    if say:
        print("Value and gradient, best time; GB/s of predictions, targets and gradients")
        print(
            f"  {'loss':26}{'dtype':8} {'elements':>9}{'time':>11}{'GB/s':>8}"
            f"{'NumPy GB/s':>12}{'ratio':>9}"
        )
    results = []
    for s in progress(_speed.steps(options.quick), _speed.count_steps(), "measuring"):
        results.append(s)
        if say:
            ratio = f"{s.rate / s.numpy_rate:.1f}x" + ("*" if s.numpy == "reference" else " ")
            print(
                f"  {s.loss:26}{s.dtype:8} {s.elements:9}{s.seconds * 1e3:8.2f} ms{s.rate:8.2f}"
                f"{s.numpy_rate:12.3f}{ratio:>10}"
            )
    if say and any(s.numpy == "reference" for s in results):
        print("  * beside nllkern's own reference in float64 (NumPy has no lgamma and no digamma)")
    return results


def as_json(results: list[Result], speeds: list[Speed], passed: bool) -> dict[str, Any]:
    """Everything as one object; an error that is infinite (inf or NaN expected or got) is null."""
    checks = []
    for r in results:
        error = r.error if math.isfinite(r.error) else None
        checks.append({**r._asdict(), "error": error, "passed": r.passed})
    speed = [{**s._asdict(), "gb_per_s": s.rate, "numpy_gb_per_s": s.numpy_rate} for s in speeds]
    return {
        "config": _show.config(),
        "limit": LIMIT,
        "checks": checks,
        "speed": speed,
        "passed": passed,
    }


def run(options: argparse.Namespace) -> int:
    say = not options.json
    if say:
        _show.show_config()
        print()
    results = check(options, say)
    failed = [r for r in results if not r.passed]
    if say:
        print()
    speeds = measure(options, say)
    if say:
        print()
        count = f"{len(results)} checks on {', '.join(simd_levels())}"
        print(colour(f"{len(failed)} of {count} FAILED", 31) if failed else f"All {count} passed.")
    else:
        print(json.dumps(as_json(results, speeds, not failed), indent=1))
    return 1 if failed else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    options = parse(arguments)
    if options.threads is None:
        return run(options)
    with num_threads(options.threads):
        return run(options)


if __name__ == "__main__":
    sys.exit(main())
