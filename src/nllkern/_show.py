"""What is installed and how it is set up."""

import platform
from importlib.resources import files
from pathlib import Path

import numpy as np

from ._engine import build_info, get_num_threads, get_threading, simd_level, simd_levels

__version__: str = build_info()["version"]


def library_folder() -> Path:
    """The folder of libnllkern, of its header and of nllkern.pc, also of an editable install."""
    return Path(str(files(__package__) / "lib" / "nllkern.pc")).parent


def get_include() -> str:
    """The folder to give a C or Cython compiler (``-I``) for nllkern's headers.

    Returns
    -------
    str
        The header is ``nllkern/nllkern.h``, below that folder.
    """
    return str(library_folder() / "include")


def config() -> dict[str, str | int]:
    """The configuration as a dict: what ``show_config`` prints."""
    build = build_info()
    openmp = build["openmp"]
    return {
        "nllkern": build["version"],
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "SIMD level": simd_level(),
        "SIMD levels": ", ".join(simd_levels()),
        "OpenMP": f"{openmp // 100}-{openmp % 100:02}" if openmp else "none",
        "threads": get_num_threads(),
        "threading": get_threading() if build["threads"] else "none (one thread)",
        "compiler": build["compiler"],
        "kernel flags": build["kernel flags"],
    }


def show_config() -> None:
    """Print version, SIMD level in use, OpenMP, threads and whose they are, and compiler."""
    for key, value in config().items():
        print(f"{key + ':':14} {value}")
