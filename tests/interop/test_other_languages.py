"""nllkern's functions from C, Cython and Numba, as their users would write it."""

import ctypes
import importlib.resources
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from cases import assert_same_bits
from fresh import run_python

import nllkern as nk
from nllkern import _config
from nllkern.lowlevel import Options, Results

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs" / "lowlevel.md").read_text()


def shown(language):
    """(code, what it prints) of the first example of the page in that language."""
    code = re.search(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    printed = re.search(r"^```\n([^`\n].*?)^```$", PAGE[code.end() :], re.MULTILINE | re.DOTALL)
    return code[1], printed[1]


@pytest.fixture(scope="module")
def cython_user(tmp_path_factory):
    """tests/cython_user.pyx, compiled against the installed package."""
    pytest.importorskip("Cython")
    compiler = shutil.which("cc")
    if not compiler:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("cython")
    source, module = folder / "cython_user.c", folder / "cython_user.so"
    (folder / "nllkern").mkdir()
    for declarations in ("__init__.pxd", "_capi.pxd"):  # an editable install has them in two places
        text = importlib.resources.files("nllkern").joinpath(declarations).read_text()
        (folder / "nllkern" / declarations).write_text(text)
    cython = [sys.executable, "-m", "cython", "-I", str(folder)]
    subprocess.run([*cython, str(HERE / "cython_user.pyx"), "-o", str(source)], check=True)
    include = [f"-I{nk.get_include()}", f"-I{sysconfig.get_path('include')}"]
    flags = ["-O1", "-shared", "-fPIC", "-Wall", "-Werror"]
    subprocess.run([compiler, *flags, *include, str(source), "-o", str(module)], check=True)
    spec = importlib.util.spec_from_file_location("cython_user", module)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.mark.parametrize("by_blocks", [False, True])
def test_cython(cython_user, by_blocks):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(30_000, 12)).astype(np.float32)
    target = rng.integers(0, 12, 30_000)
    grad = np.empty_like(logits)
    status, value = cython_user.cross_entropy(logits, target, grad, by_blocks)
    assert status == 0
    assert_same_bits(
        (value, grad), nk.cross_entropy.value_and_grad(logits, target, reduction="sum")
    )
    target[5] = 12
    assert cython_user.cross_entropy(logits, target, grad, by_blocks)[0] != 0


@pytest.mark.parametrize("source", ["ctypes", "cython address"])
def test_numba(source):
    """A whole loop of calls, compiled: the maximum-likelihood normal distribution."""
    numba = pytest.importorskip("numba")
    f = nk.ctypes_function("nllk_gaussian_nll_f64")
    if source == "cython address":
        from numba.extending import get_cython_function_address

        address = get_cython_function_address("nllkern._capi", "nllk_gaussian_nll_f64")
        f = ctypes.CFUNCTYPE(f.restype, *f.argtypes)(address)
    options = Options(want=nk.lowlevel.GRADIENT, shared=3).set("gaussian_nll", link="log")
    results = Results()
    # The gradients by the two shared numbers, where the call leaves them.
    sums = np.frombuffer(results, np.float64, 2, offset=Results.grad_sum.offset)

    @numba.njit
    def fit(steps, rate, y, mean, raw, options, results, sums):
        for _ in range(steps):
            if f(y.size, mean.ctypes, raw.ctypes, y.ctypes, options, results) != 0:
                return False
            mean[0] -= rate * sums[0]
            raw[0] -= rate * sums[1]
        return True

    y = np.random.default_rng(0).normal(3.0, 2.0, 5000)
    mean, raw = np.zeros(1), np.zeros(1)
    addresses = ctypes.addressof(options), ctypes.addressof(results)
    assert fit(2000, 0.1, y, mean, raw, *addresses, sums)
    np.testing.assert_allclose([mean[0], np.exp(raw[0])], [y.mean(), y.std()], rtol=1e-9)


def config(*options):
    command = [sys.executable, "-m", "nllkern._config", *options]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def test_config():
    assert config("--version") == [nk.__version__]
    assert config("--cflags") == [f"-I{nk.get_include()}"]
    assert (Path(config("--pkgconfigdir")[0]) / "nllkern.pc").is_file()
    assert (Path(config("--includedir")[0]) / "nllkern" / "nllkern.h").is_file()
    with pytest.raises(SystemExit):
        _config.main([])


@pytest.mark.skipif(not shutil.which("pkg-config"), reason="no pkg-config")
def test_pkg_config():
    path = {**os.environ, "PKG_CONFIG_PATH": config("--pkgconfigdir")[0]}
    for options, expected in (
        (("--cflags", "--libs"), "-lnllkern"),
        (("--modversion",), nk.__version__),
    ):
        command = ["pkg-config", *options, "nllkern"]
        answer = subprocess.run(command, check=True, capture_output=True, text=True, env=path)
        assert expected in answer.stdout


@pytest.mark.parametrize("language", ["c", "c++"])
def test_program(tmp_path, language):
    """Compiled against the installed package, as its user would."""
    compiler = shutil.which("cc" if language == "c" else "c++")
    if not compiler:
        pytest.skip(f"no {language} compiler")
    program = tmp_path / "program"
    flags = ["-x", language, "-std=c11" if language == "c" else "-std=c++17"]
    flags += ["-Wall", "-Wextra", "-Werror", "-pthread"]
    source = str(HERE / "c_program.c")
    command = [compiler, *flags, *config("--cflags"), source, "-o", str(program), *config("--libs")]
    subprocess.run([*command, "-lm"], check=True)
    answer = subprocess.run([program], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    logits = (np.arange(120_000, dtype=np.float32).reshape(12_000, 10) % 17) / 4
    value = nk.cross_entropy(logits, np.arange(12_000) % 10)
    assert answer.stdout.split() == [nk.__version__, value.hex()]


def test_page_c(tmp_path):
    """The program of docs/lowlevel.md, by the command below it."""
    if not shutil.which("cc"):
        pytest.skip("no C compiler")
    code, printed = shown("c")
    (tmp_path / "program.c").write_text(code)
    command = re.search(r"^```sh\n(cc .*?)\n```$", PAGE, re.MULTILINE)[1]
    command = command.replace("nllkern-config", f"{sys.executable} -m nllkern._config")
    run = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, printed), run.stderr


def test_page_python():
    pytest.importorskip("numba")
    code, printed = shown("python")
    assert run_python(code) == printed.strip()
