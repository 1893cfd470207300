"""No C function reads or writes beyond its arrays: they end, and begin, where memory ends.

The calls are made by support/guard_loop.py in a process of its own, which a touch of a guard page
ends.
"""

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from guard import Guarded

import nllkern as nk

SUPPORT = Path(__file__).parents[1] / "support"
MOST = 5  # crashes that are looked for


def run(command, **environment):
    paths = os.pathsep.join([str(SUPPORT), str(SUPPORT.parent)])
    environment = {**os.environ, "PYTHONPATH": paths, **environment}
    command = [sys.executable, "-X", "faulthandler", *command]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def all_calls(scale, level, log):
    """What went wrong, one text a call; after a crash the loop goes on with the next call."""
    wrong, first = [], 0
    while len(wrong) < MOST:
        command = [str(SUPPORT / "guard_loop.py"), str(log), scale, str(first)]
        answer = run(command, NLLKERN_SIMD=level)
        if answer.returncode == 0:
            assert int(answer.stdout) > 5_000
            break
        number, _, name = log.read_text().strip().partition(" ")
        crash = answer.returncode == -signal.SIGSEGV
        wrong.append(f"{name}: beyond an array" if crash else answer.stderr[-2000:])
        first = int(number) + 1
    return wrong


@pytest.mark.parametrize("level", nk.simd_levels())
@pytest.mark.parametrize("scale", ["quick", pytest.param("full", marks=pytest.mark.slow)])
def test_inside_arrays(scale, level, tmp_path):
    wrong = all_calls(scale, level, tmp_path / "log")
    assert not wrong, "\n".join(wrong)


# ---- what the test would find ----

SQUARED_ERROR = """
import ctypes, sys
import numpy as np
from cases import Case
from guard import Guarded
from through_c import CProblem

guarded = Guarded()
guarded.begin(sys.argv[1])
problem = Case("squared_error").problem(16, "float32")
through = CProblem(problem, place=guarded.output, place_input=guarded.input)
through.inputs[{argument}] += {by}
print(through.run())
"""


@pytest.mark.parametrize(
    ("edge", "argument", "by", "found"),
    [
        ("end", 0, 0, False),
        ("begin", 0, 0, False),
        ("end", 0, 1, True),  # a sample more than there is
        ("end", 1, 4, True),
        ("end", 2, 4, True),
        ("begin", 2, -4, True),
    ],
)
def test_crash(edge, argument, by, found):
    answer = run(["-c", SQUARED_ERROR.format(argument=argument, by=by), edge])
    assert (answer.returncode == -signal.SIGSEGV) == found
    assert found or answer.stdout == "0\n"


@pytest.mark.parametrize("edge", ["begin", "end"])
def test_canaries(edge):
    guarded = Guarded()
    guarded.begin(edge)
    array = guarded.output(np.zeros(5))
    array[...] = 1
    guarded.check()
    beside = array.ctypes.data + (array.nbytes if edge == "begin" else -1)
    ctypes.memset(beside, 0, 1)
    with pytest.raises(AssertionError, match="beside an array"):
        guarded.check()
    guarded.begin(edge)
    constant = guarded.input(np.arange(3))
    guarded.check()
    constant[1] = 7
    with pytest.raises(AssertionError, match="an input was written"):
        guarded.check()
