"""Code in an interpreter of its own."""

import os
import subprocess
import sys
from pathlib import Path

SUPPORT = Path(__file__).parent


def run_python(code, timeout=60, **environ):
    """What it prints; it finds the tests' helpers, and no variables of nllkern or OpenMP."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("NLLKERN_", "OMP_"))}
    path = os.pathsep.join(filter(None, [str(SUPPORT), clean.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**clean, "PYTHONPATH": path, **environ},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
