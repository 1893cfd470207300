"""Builds of nllkern that a worker process can measure: an environment, a folder, or a wheel."""

import subprocess
import sys
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path


@dataclass(frozen=True)
class Build:
    """An interpreter, and the folder that nllkern is taken from instead of its site-packages."""

    label: str
    python: str = sys.executable
    folder: str | None = None

    @property
    def folders(self):
        """Further arguments of the worker."""
        return [self.folder] if self.folder else []


THIS_BUILD = Build("this environment")


class NllkernFrom:
    """Finds nllkern in a folder, before any editable install of it."""

    def __init__(self, folder):
        self.path = [str(folder)]

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] != "nllkern":
            return None
        return PathFinder.find_spec(name, self.path if path is None else path, target)


def build_of(where, temporary):
    """The build that a path names; a wheel is installed into a folder below `temporary`."""
    path = Path(where).absolute()
    if path.suffix == ".whl":
        target = Path(temporary) / path.stem
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
        subprocess.run([*command, str(target), str(path)], check=True)
        path = target
    if path.is_file():
        return Build(where, python=str(path))
    if (path / "bin" / "python").exists():
        return Build(where, python=str(path / "bin" / "python"))
    if (path / "nllkern" / "__init__.py").exists():
        return Build(where, folder=str(path))
    raise SystemExit(
        f"{where}: expected an interpreter, an environment, a folder with nllkern/, or a wheel"
    )
