"""What pyproject.toml, the workflow of the wheels and the tools of a release say fits together."""

import importlib.util
import re
import sys
import zipfile
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
tomllib = pytest.importorskip("tomllib")  # Python 3.11
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
CLASSIFIERS = PYPROJECT["project"]["classifiers"]
VERSIONS = re.findall(r"Python :: (3\.\d+)$", "\n".join(CLASSIFIERS), re.MULTILINE)
WORKFLOW = (ROOT / ".github" / "workflows" / "wheels.yml").read_text("utf-8")
RELEASED = "## 0.2.0 (2026-12-24)\n\n- More.\n\n## 0.1.0 (2026-12-01)\n"


def tool(name):
    """A program of tools/, as a module."""
    loader = SourceFileLoader(f"tools_{name}", str(ROOT / "tools" / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
    return module


def test_versions_of_python():
    """Classifiers, requires-python, ruff, cibuildwheel and tools/wheels name the same."""
    numbers = [int(version.split(".")[1]) for version in VERSIONS]
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert PYPROJECT["project"]["requires-python"] == f">={VERSIONS[0]}"
    assert PYPROJECT["tool"]["ruff"]["target-version"] == f"py3{numbers[0]}"
    wanted = tool("wheels").wanted_versions()
    assert wanted[: len(VERSIONS)] == VERSIONS
    built = PYPROJECT["tool"]["cibuildwheel"]["build"].split()
    assert built == [f"cp{version.replace('.', '')}-*" for version in wanted]


def test_cibuildwheel_runs_tests_that_exist():
    settings = PYPROJECT["tool"]["cibuildwheel"]
    assert all((ROOT / source).exists() for source in settings["test-sources"])
    assert all(source in settings["test-command"] for source in settings["test-sources"])


def test_workflow_names_the_platforms():
    platforms = re.findall(r"wheel: (\w+)", WORKFLOW)
    linux = [f"{kind}linux_{cpu}" for cpu in ("x86_64", "aarch64") for kind in ("many", "musl")]
    assert platforms == [*linux, "macosx_arm64", "macosx_x86_64", "win_amd64"]


def test_headers_of_the_operating_system():
    """os_threads.c alone includes them; the handler of JAX asks Linux for huge pages."""
    source, header = ROOT / "src" / "nllkern", r"pthread|unistd|windows|time|sys/\w+|linux/\w+"
    pattern = rf"#include <({header})\.h>|from (posix|libc\.time)\b"
    files = [
        path for path in source.rglob("*") if path.suffix in (".c", ".h", ".cc", ".pyx", ".pxd")
    ]
    found = {path.name for path in files if re.search(pattern, path.read_text("utf-8"))}
    assert found == {"os_threads.c", "_jax_ffi.cc"}


def test_tools_are_linted():
    assert set(PYPROJECT["tool"]["ruff"]["extend-include"]) == {
        f"tools/{path.name}"
        for path in (ROOT / "tools").iterdir()
        if not path.suffix and path.is_file() and "python" in path.read_text().splitlines()[0]
    }


@pytest.mark.parametrize(
    ("version", "abi", "last", "wrong"),
    [
        ("0.1.0", "2", "", ""),
        ("0.1.1", "2", "0.1.0", ""),
        ("0.2.0", "3", "0.1.9", ""),
        ("1.2.0", "2", "1.1.5", ""),
        ("2.0.0", "3", "1.9.0", ""),
        ("0.1.1", "3", "0.1.0", "NLLK_ABI"),
        ("1.2.0", "3", "1.1.0", "NLLK_ABI"),
        ("0.10.0", "2", "0.9.0", ""),
        ("0.1.0", "2", "0.1.0", "after 0.1.0"),
        ("0.9.0", "2", "0.10.0", "after 0.10.0"),
    ],
)
def test_number_of_a_release(version, abi, last, wrong):
    found = tool("release").check_number(version, abi, last, "2")
    assert wrong in found
    assert bool(wrong) == bool(found)


def test_change_log_of_a_release():
    check = tool("release").check_log
    assert check(RELEASED, "0.2.0") == ""
    assert "expected" in check(RELEASED, "0.1.0")
    assert "Not released" in check("# Changes\n\n## Not released\n\n" + RELEASED, "0.2.0")


def test_release_reads_version_and_abi():
    release = tool("release")
    assert re.fullmatch(r"\d+\.\d+\.\d+", release.version_in((ROOT / "meson.build").read_text()))
    assert release.abi_in((ROOT / release.HEADER).read_text()).isdigit()


@pytest.mark.parametrize(
    ("also", "carried"),
    [
        ([], "nothing"),
        (["nllkern.libs/libgomp-1a2b.so.1"], "libgomp-1a2b.so.1"),
        (["nllkern.libs/libssl-1a2b.so.3"], None),
    ],
)
def test_files_of_a_wheel(tmp_path, also, carried):
    wheels = tool("wheels")
    wheel = tmp_path / "nllkern.whl"
    files = [f"nllkern/{name}" for name in wheels.EXPECTED]
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in [*files, *also]:
            archive.writestr(name, "")
    if carried:
        assert wheels.check_files(wheel) == carried
    else:
        with pytest.raises(wheels.StepError, match="libssl"):
            wheels.check_files(wheel)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(files[0], "")
    with pytest.raises(wheels.StepError, match=r"lacks .*nllkern\.h"):
        wheels.check_files(wheel)
