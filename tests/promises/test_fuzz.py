"""Calls of the C interface made from random bytes: no touch beyond an array, nothing half-written.

`tools/sanitize --fuzz` makes them from bytes that libFuzzer finds, with sanitizers.
"""

import os
import random
import shutil
import subprocess
import sys

import pytest
from fuzz import build

import nllkern as nk
from nllkern._show import library_folder

QUICK = 2  # seconds


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    compiler = shutil.which("cc")
    if not compiler or not sys.platform.startswith("linux"):
        pytest.skip("needs a C compiler and mprotect")
    program = tmp_path_factory.mktemp("fuzz") / "fuzz"
    build(library_folder() / "libnllkern.so", program, [compiler, "-O1", "-g", "-DRANDOM_BYTES"])
    return program


@pytest.mark.parametrize("level", nk.simd_levels())
@pytest.mark.parametrize("seconds", [QUICK, pytest.param(120, marks=pytest.mark.slow)])
def test_calls_from_bytes(program, level, seconds):
    seed = 1 if seconds == QUICK else random.getrandbits(32)
    run = subprocess.run(
        [program, str(seconds), str(seed)],
        capture_output=True,
        text=True,
        env={**os.environ, "NLLKERN_SIMD": level},
    )
    assert run.returncode == 0, f"seed {seed}: status {run.returncode}\n{run.stderr[-2000:]}"
    assert int(run.stdout.split()[0]) > 100 * seconds
