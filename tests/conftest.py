import os
import sys
from pathlib import Path

# Set before NumPy and OpenMP start.  pytest -n runs a process on each core: threads that spin while
# they wait made the matrix products of the references ten times slower.
# What nllkern.torch compiles is waited for; NLLKERN_COMPILE=0 tests what serves without it.
for name, value in {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "NLLKERN_COMPILE": "wait",
}.items():
    os.environ.setdefault(name, value)

import pytest

import nllkern as nk
from nllkern import _engine

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE / "support")]  # for golden/ and the modules of support/

from thin import thin


@pytest.hookimpl(tryfirst=True)  # before pytest-run-parallel reads it
def pytest_configure(config):
    if config.pluginmanager.has_plugin("run-parallel"):
        # A child process shares no threads with its siblings.
        config.addinivalue_line("thread_unsafe_functions", "subprocess.*")


@pytest.fixture(params=nk.simd_levels())
def simd_level(request):
    """Runs the test once per SIMD level that this machine has, with that level in use."""
    with _engine.use_simd_level(request.param):
        yield request.param


@pytest.fixture(params=_engine.threading_ways())
def threading_way(request):
    """Runs the test once per way of threading that this build has, with that way in use."""
    nk.set_threading(request.param)
    yield request.param
    nk.set_threading(None)


@pytest.hookimpl(tryfirst=True)  # before -m is looked at
def pytest_collection_modifyitems(items):
    thin(items)
