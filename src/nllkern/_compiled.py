"""C++ that is compiled on first use, against a framework as it is installed here.

The result is kept in the user's cache folder.  ``NLLKERN_COMPILE=0`` compiles and loads nothing;
then, and where there is no compiler, Python's code does the work.
"""

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from ._config import ANSWERS
from ._show import __version__, get_include

try:
    import fcntl
except ImportError:  # not POSIX
    fcntl: Any = None  # type: ignore[no-redef]

WAYS = ("0", "background", "wait")


def way() -> str | None:
    """When to compile, as ``NLLKERN_COMPILE`` says; None: it says nothing."""
    text = os.environ.get("NLLKERN_COMPILE") or None
    if text not in (None, *WAYS):
        raise ValueError(f"NLLKERN_COMPILE: got {text!r}, expected one of {', '.join(WAYS)}")
    return text


class Program(NamedTuple):
    """What is compiled, and where to."""

    target: str
    command: tuple[str, ...]  # less the file that it writes

    @property
    def failure(self) -> Path:
        """What the compiler said when it could not compile this."""
        return Path(f"{self.target}.failed")


def program(name: str, version: str, flags: Sequence[str], source: str, *headers: str) -> Program:
    """A file of this package, compiled with flags against a version of what it is for."""
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")
    if compiler is None or shutil.which(shlex.split(compiler)[0]) is None:
        raise OSError(f"{source}: no C++ compiler; got CXX={compiler!r}")
    folder = Path(__file__).parent
    read = [folder / name for name in (source, *headers)]
    read.append(Path(get_include()) / "nllkern" / "nllkern.h")
    command = (
        *shlex.split(compiler),
        *("-shared", "-fPIC", str(read[0]), ANSWERS["cflags"][0], *flags),
        *ANSWERS["libs"][0].split(),
    )
    parts = (*(path.read_text() for path in read), version, __version__, *command)
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    cache_home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Program(str(Path(cache_home) / "nllkern" / f"{name}-{key}.so"), command)


@contextmanager
def _alone(target: Path, wait: bool) -> Iterator[bool]:
    """Whether no other process compiles this; one that dies gives the lock back."""
    with open(f"{target}.lock", "w") as file:
        try:
            if fcntl:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True


def compile_now(what: Program, wait: bool = True) -> Path:
    """The compiled file.

    It is compiled unless it is there; another process that compiles it is waited for, or else
    trusted.  An OSError says what the compiler said.
    """
    target = Path(what.target)
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(target, wait) as alone, tempfile.TemporaryDirectory(dir=target.parent) as folder:
        if target.exists() or not alone:
            return target
        built = Path(folder) / target.name
        run = subprocess.run(
            [*what.command, "-o", str(built)], capture_output=True, text=True, check=False
        )
        if run.returncode != 0:
            what.failure.write_text(run.stderr)
            raise OSError(f"{shlex.join(what.command)} failed:\n{run.stderr}")
        built.replace(target)
    return target


def compile_in_background(what: Program) -> subprocess.Popen[bytes]:
    """The same by a process of low priority, which goes on if this one ends."""
    if not sys.executable or getattr(sys, "frozen", False):
        raise OSError("no Python interpreter that could be started")
    return subprocess.Popen(
        [sys.executable, "-m", __name__, what.target, *what.command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(10)
    compile_now(Program(sys.argv[1], tuple(sys.argv[2:])), wait=False)
