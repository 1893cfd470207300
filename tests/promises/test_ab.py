"""benchmarks.ab: what judges whether a change has made anything slower."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rich")

ROOT = Path(__file__).parents[2]
FAKE = """
import time

import numpy as np

__version__ = "0"


def simd_levels():
    return ()


class Loss:
    parameters = ("prediction",)

    def value_and_grad(self, prediction, target, out, **options):
        time.sleep({seconds})
        out[...] = 1
        return {value}, out


{name} = Loss()
"""


def fake(folder, seconds, value=1.0, name="huber"):
    """A folder with a nllkern of one loss, whose calls take that long."""
    package = folder / "nllkern"
    package.mkdir(parents=True)
    source = FAKE.format(seconds=seconds, value=value, name=name)
    (package / "__init__.py").write_text(source)
    return folder


def compare(old, new, file, cells="huber/float32"):
    """(exit status, output, figures)"""
    command = [sys.executable, "-m", "benchmarks.ab", str(old), str(new), "--set", "quick"]
    command += ["--cells", cells, "--threads", "1", "--pairs", "6", "--seconds", "0.001"]
    command += ["--starts", "1", "--json", str(file)]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode in (0, 1), answer.stderr
    return answer.returncode, answer.stdout, json.loads(file.read_text())


def test_same_build(tmp_path):
    status, output, [figures] = compare(sys.executable, sys.executable, tmp_path / "figures.json")
    assert "huber/float32/65536" in output
    assert "results differ" not in output
    assert 0.5 < figures["ratio"] < 2.0, "far more than the noise of a busy machine"
    low, high = figures["interval"]
    assert low <= figures["ratio"] <= high
    assert status == (low > 1.03)


def test_slower_build(tmp_path):
    """Only what is public is asked for: a nllkern of one function will do."""
    fast, slow = fake(tmp_path / "fast", 1e-3), fake(tmp_path / "slow", 4e-3)
    status, output, [figures] = compare(fast, slow, tmp_path / "figures.json")
    assert status == 1
    assert 1.5 < figures["ratio"] < 6.0
    assert "1 of 1 cells are slower than 1.03x" in output
    status, output, [figures] = compare(slow, fast, tmp_path / "figures.json")
    assert status == 0
    assert 1 / 6.0 < figures["ratio"] < 1 / 1.5
    assert "0 of 1 cells are slower than 1.03x" in output


def test_other_results(tmp_path):
    """They are reported; a loss that one build lacks is no cell."""
    one, two = fake(tmp_path / "one", 1e-4), fake(tmp_path / "two", 1e-4, value=1.01)
    other = fake(tmp_path / "other", 1e-4, name="hinge")
    _, output, _ = compare(one, two, tmp_path / "figures.json")
    assert "results differ by 1.0e-02" in output
    _, output, [figures] = compare(one, other, tmp_path / "figures.json")
    assert "new: no such loss" in output
    assert "ratio" not in figures


def test_interval(monkeypatch):
    """The ranks of the sign test, as tables have them for 95 %."""
    monkeypatch.syspath_prepend(str(ROOT))
    ab = importlib.import_module("benchmarks.ab")
    for count, rank in ((6, 1), (8, 1), (9, 2), (15, 4), (30, 10), (100, 40)):
        low, high = ab.interval([float(k) for k in range(count, 0, -1)])
        assert (low, high) == (rank, count + 1 - rank)
    assert ab.interval([1.0] * 5) == (0.0, float("inf"))
