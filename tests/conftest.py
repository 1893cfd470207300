import sys
from pathlib import Path

import pytest

import nllkern as nk
from nllkern import _engine

sys.path.insert(0, str(Path(__file__).parent))  # for golden/ and tolerance.py


@pytest.fixture(params=nk.simd_levels())
def simd_level(request):
    """Runs the test once per SIMD level that this machine has, with that level in use."""
    with _engine.use_simd_level(request.param):
        yield request.param
