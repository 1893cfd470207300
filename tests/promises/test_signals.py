"""Ctrl-C and other signals reach Python during a long call, and leave the library usable."""

import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs signals of POSIX")

# Minutes of work in little memory: all samples share a row of logits.
LONG = """
import signal, sys, time
import numpy as np
import nllkern as nk

row = np.random.default_rng(0).normal(size=100_000).astype(np.float32)
def rows(n):
    return np.broadcast_to(row, (n, len(row))), np.zeros(n, np.int32)
few = rows(100)
want = nk.cross_entropy(*few)
long = rows(3_000_000)
weight = np.ones(3_000_000, np.float32)
x = np.linspace(0.1, 9, 4_000_000)
small = np.random.default_rng(0).normal(size=(2, 30_000, 64)).astype(np.float32)
"""

CALLS = {
    "value": "nk.cross_entropy(*long)",
    "one thread": "nk.cross_entropy(*long, num_threads=1)",
    "each": "nk.cross_entropy(*long, reduction='none')",
    "weights": "nk.cross_entropy(*long, class_weight=row**2, sample_weight=weight)",
    "check": "nk.cross_entropy(*long, check=True)",
    "expectation": "nk.binned_cross_entropy.expectation(long[0], (-3, 3))",
    "loop": "[nk.gamma_nll.value_grad_hess(x, x, x) for _ in range(10_000)]",
    "info_nce": "[nk.info_nce.value_and_grad(*small) for _ in range(100)]",
    "PyTorch": "nt.cross_entropy(*map(torch.from_numpy, long))",
}


@pytest.mark.parametrize("name", CALLS)
def test_interrupt(name):
    imports = ""
    if name == "PyTorch":
        pytest.importorskip("torch")
        imports = "import torch, nllkern.torch as nt, warnings\nwarnings.simplefilter('ignore')\n"
    code = f"""{imports}{LONG}
try:
    print("begins", flush=True)
    {CALLS[name]}
    print("was not long")
except KeyboardInterrupt:
    print("interrupted", flush=True)
assert nk.cross_entropy(*few) == want
z = np.linspace(-3, 3, 1_000_000)
grad = nk.binary_cross_entropy.grad(z, 0.0)
np.testing.assert_allclose(grad, 1 / (1 + np.exp(-z)) / len(z), rtol=1e-12)
print("right")
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            assert child.stdout.readline() == "begins\n", child.stderr.read()
            time.sleep(0.7)
            begin = time.monotonic()
            child.send_signal(signal.SIGINT)
            line = child.stdout.readline()
            assert line == "interrupted\n", line or child.stderr.read()
            assert time.monotonic() - begin < 1.5
            assert child.communicate(timeout=30) == ("right\n", "")
        finally:
            child.kill()


def run_python(code):
    done = subprocess.run(
        [sys.executable, "-c", LONG + code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_handler_that_raises():
    """Whatever a handler raises ends the call: a limit of time, too."""
    code = """
class Late(Exception):
    pass

def handler(*_):
    raise Late

signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.3)
begin = time.monotonic()
try:
    nk.cross_entropy(*long)
except Late:
    print(time.monotonic() - begin)
assert nk.cross_entropy(*few) == want
"""
    assert 0.3 <= float(run_python(code)) < 1.5


def test_handler_that_returns():
    """The call goes on, also after calls that the handler has made."""
    code = """
found = []
signal.signal(signal.SIGALRM, lambda *_: found.append(nk.cross_entropy(*few)))
some = rows(10_000)
undisturbed = nk.cross_entropy(*some)
signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
assert nk.cross_entropy(*some) == undisturbed
signal.setitimer(signal.ITIMER_REAL, 0)
assert set(found) == {want}
print(len(found))
"""
    assert int(run_python(code)) >= 1
