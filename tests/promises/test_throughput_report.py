"""The report of `pytest benchmarks`: a table a cell, with rates, also beside an earlier run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(
    not (ROOT / "benchmarks").is_dir(), reason="the benchmarks are not there"
)


def report(*options):
    """What a short run over one cell prints."""
    command = [sys.executable, "-m", "pytest", "benchmarks", "-q", "-p", "no:cacheprovider"]
    command += ["-k", "test_throughput and huber and 65536 and float32", "--peers", "nllkern"]
    command += ["--benchmark-max-time=0.01", "--benchmark-min-rounds=2", *options]
    # pytest-benchmark measures nothing in a worker of pytest-xdist, which this run is none of.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    run = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


RATES = r"nllkern {who}(?: \([^)]*\))? +([\d.]+) GB/s +([\d.]+) M elements/s"


def test_rates_are_columns(tmp_path):
    storage = f"--benchmark-storage={tmp_path}"
    text = report(storage, "--benchmark-save=before")
    assert text.count(" benchmark 'huber, 65536, float32': 3 tests") == 1
    for who, arrays in (("value", 2), ("value_and_grad", 3), ("value_grad_hess", 4)):
        gigabytes, millions = map(float, re.search(RATES.format(who=who), text).groups())
        assert gigabytes == pytest.approx(arrays * 4 * millions / 1e3, rel=0.02)
    again = report(storage, "--benchmark-compare")
    assert " benchmark 'huber, 65536, float32': 6 tests" in again
    assert again.count("GB/s") == 6
    assert "(NOW)" in again
    assert "before" in again
