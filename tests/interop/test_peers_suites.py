"""Test suites of other libraries, as their packages ship them, with nllkern behind the functions.

The plugins of pytest in support/ say what is replaced.
"""

import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

SUPPORT = Path(__file__).parents[1] / "support"


def passed(plugin, tests, folder, **environment):
    """How many tests passed; an error if any did not."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    environment = {**inherited, "PYTHONPATH": str(SUPPORT), **environment}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", plugin, *tests]
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    summary = run.stdout.rstrip().rpartition("\n")[2]
    found = re.match(r"(\d+) passed(, \d+ deselected)?(, \d+ warnings?)? in ", summary)
    assert found, run.stdout[-10_000:] + run.stderr[-2_000:]
    return int(found[1])


@pytest.mark.slow
def test_optax(tmp_path):
    optax = pytest.importorskip("optax")
    pytest.importorskip("absl.testing")
    folder = Path(optax.__file__).parent / "losses"
    suites = ("_classification_test.py", "_regression_test.py", "_self_supervised_test.py")
    found = passed("optax_through_nllkern", [str(folder / suite) for suite in suites], tmp_path)
    assert found == 113 if version("optax") == "0.2.8" else found > 0


@pytest.mark.slow
def test_scikit_learn(tmp_path):
    tests = ["--pyargs", "sklearn._loss"]
    options = {"SKLEARN_RUN_FLOAT32_TESTS": "1"}
    found = passed("sklearn_through_nllkern", tests, tmp_path, **options)
    assert found == 1009 if version("scikit-learn") == "1.9.1" else found > 0
