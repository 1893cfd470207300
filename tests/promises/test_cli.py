"""``python -m nllkern``: what it shows, its exit status, its options."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from fresh import run_python

import nllkern as nk
from nllkern import __main__ as cli
from nllkern import _selfcheck, _speed
from nllkern._engine import use_simd_level
from nllkern.tables import LOSSES

ROWS = {row.name: row for row in LOSSES}


def command(*options, **environment):
    return subprocess.run(
        [sys.executable, "-m", "nllkern", *options],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=300,
        check=False,
    )


@pytest.fixture
def short(monkeypatch):
    """One SIMD level, tiny measurements: for what only concerns the display."""
    monkeypatch.setattr(_selfcheck, "simd_levels", lambda: nk.simd_levels()[:1])
    monkeypatch.setattr(cli, "simd_levels", lambda: nk.simd_levels()[:1])
    monkeypatch.setattr(_speed, "best_time", lambda call, seconds: 1e-3)


def only(monkeypatch, *names):
    """Leaves the command these losses."""
    rows = [(name, dtype) for name in names for dtype in _selfcheck.DTYPES]
    monkeypatch.setattr(_selfcheck, "rows", lambda: rows)


class Terminal:
    """A stream that says it is a terminal."""

    def __init__(self, stream):
        self.stream = stream

    def isatty(self):
        return True

    def __getattr__(self, name):
        return getattr(self.stream, name)


def test_whole_command_passes():
    done = command("--quick", "--threads", "1")
    assert done.returncode == 0, done.stdout
    assert done.stderr == ""
    assert "\033" not in done.stdout
    assert "\r" not in done.stdout
    assert re.search(r"^threads: +1$", done.stdout, re.MULTILINE)
    assert re.search(r"^All \d+ checks on .* passed\.$", done.stdout, re.MULTILINE)
    for loss in nk.losses():
        assert len(re.findall(rf"^{loss.name} .* ok ", done.stdout, re.MULTILINE)) == 1
    assert done.stdout.count("\n") <= 45  # one screen


NARROW = """
import runpy, sys
import numpy as np

np.longdouble = np.float64  # as in macOS on aarch64, in Windows, and under valgrind
sys.argv[1:] = ["--quick"]
runpy.run_module("nllkern", run_name="__main__")
"""


def test_passes_where_no_float_is_wider_than_float64():
    """The reference loses few digits even in float64."""
    shown = run_python(NARROW, timeout=300)
    assert re.search(r"^All \d+ checks on .* passed\.$", shown, re.MULTILINE)


def test_json_is_all_there_is(short, capsys):
    assert cli.main(["--quick", "--json"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert captured.err == ""
    assert found.keys() == {"config", "limit", "checks", "speed", "passed"}
    assert found["passed"] is True
    assert found["config"]["nllkern"] == nk.__version__
    assert {c["loss"] for c in found["checks"]} == {loss.name for loss in nk.losses()}
    for c in found["checks"]:
        assert c.keys() == {
            *("loss", "dtype", "case", "level", "samples", "error", "limit", "worst", "passed")
        }
        assert c["passed"] is True
        assert 0 <= c["error"] <= c["limit"]
        assert c["samples"] > 0
    assert len(found["speed"]) == 2 * len(nk.losses())
    for s in found["speed"]:
        assert s.keys() == {
            *("loss", "dtype", "elements", "gb", "seconds", "gb_per_s"),
            *("numpy_seconds", "numpy_gb_per_s"),
        }
        assert s["gb_per_s"] == pytest.approx(s["gb"] / s["seconds"])


def test_everything_is_checked():
    """Every SIMD level, link, kind of target and choice; hard points; bits."""
    for row in LOSSES:
        found = _selfcheck.check(row.name, "float32", "quick")
        assert {r.level for r in found} == set(nk.simd_levels())
        cases = " ".join(r.case for r in found)
        assert "bits" in cases
        assert ("hard points" in cases) == any(t.loss == row.name for t in _selfcheck.tables())
        words = [x.name for p in row.parameters if p.option for x in p.links if x.in_c]
        words += [*row.targets, *(c for x in row.options if x.in_c for c in x.choices)]
        assert set(words) <= set(cases.split()), row.name


def wrong(loss, spoil):
    """The loss with ``spoil`` applied to (value, gradients, second derivatives)."""

    class Wrong:
        parameters, name = loss.parameters, loss.name

        def results(self, method, args, options):
            found = getattr(loss, method)(*args, **options)
            return spoil(found) if options.get("reduction") == "none" else found

        def __call__(self, *args, **options):
            return self.results("value_and_grad", args, options)[0]

        def value_and_grad(self, *args, **options):
            return self.results("value_and_grad", args, options)

        def value_grad_hess(self, *args, **options):
            return self.results("value_grad_hess", args, options)

    for name in ("value_and_grad", "value_grad_hess"):
        getattr(Wrong, name).__name__ = name
    return Wrong()


def spoil_value(found):
    return found[0] * np.float32(1 + 1e-4), *found[1:]


def spoil_last(found):
    """The last entry of the last gradient or second derivative becomes NaN."""
    *rest, last = found
    parts = last if isinstance(last, tuple) else (last,)
    spoilt = parts[-1].copy()
    spoilt.ravel()[-1:] = np.nan
    parts = (*parts[:-1], spoilt)
    return *rest, parts if isinstance(last, tuple) else spoilt


@pytest.mark.parametrize("spoil", [spoil_value, spoil_last], ids=["value", "derivative"])
@pytest.mark.parametrize("loss", nk.losses(), ids=lambda loss: loss.name)
def test_difference_fails(loss, spoil, short, monkeypatch, capsys):
    only(monkeypatch, loss.name, "squared_error")
    right = _selfcheck.loss_named

    def named(name):
        return wrong(loss, spoil) if name == loss.name else right(name)

    monkeypatch.setattr(_selfcheck, "loss_named", named)
    assert cli.main(["--quick"]) == 1
    out = capsys.readouterr().out
    failed = re.findall(r"^([a-z_]+) .*FAILED", out, re.MULTILINE)
    assert failed == [loss.name]
    assert re.search(r"^\d+ of \d+ checks on .* FAILED$", out, re.MULTILINE)
    assert re.search(r"^    float32 \S+ .*: got .*, exact ", out, re.MULTILINE)


def test_failure_in_json(short, monkeypatch, capsys):
    only(monkeypatch, "gaussian_nll", "huber")
    right = _selfcheck.loss_named

    def named(name):
        return wrong(nk.gaussian_nll, spoil_last) if name == "gaussian_nll" else right(name)

    monkeypatch.setattr(_selfcheck, "loss_named", named)
    assert cli.main(["--quick", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["passed"] is False
    assert {c["loss"] for c in found["checks"] if not c["passed"]} == {"gaussian_nll"}
    assert None in [c["error"] for c in found["checks"]]


def test_bar_and_colours_on_a_terminal_only(short, monkeypatch, capsys):
    only(monkeypatch, "huber", "gaussian_nll")
    monkeypatch.setattr(sys, "stdout", Terminal(sys.stdout))
    monkeypatch.setattr(sys, "stderr", Terminal(sys.stderr))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert cli.main(["--quick"]) == 0
    captured = capsys.readouterr()
    assert "\033[32mok\033[0m" in captured.out
    assert "gaussian_nll" in captured.err
    assert captured.err.endswith("\r\033[K")  # nothing of the bar is left

    monkeypatch.setenv("NO_COLOR", "1")
    assert cli.main(["--quick"]) == 0
    captured = capsys.readouterr()
    assert "\033" not in captured.out
    assert "gaussian_nll" in captured.err

    monkeypatch.setenv("TERM", "dumb")
    assert cli.main(["--quick"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("value", ["0", "-1", "1025", "two"])
def test_bad_thread_count(value, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--threads", value])
    assert stopped.value.code == 2
    assert "--threads" in capsys.readouterr().err


def test_threads_holds_for_the_run_only(short, monkeypatch, capsys):
    only(monkeypatch, "huber")
    before = nk.get_num_threads()
    assert cli.main(["--quick", "--json", "--threads", "3"]) == 0
    assert json.loads(capsys.readouterr().out)["config"]["threads"] in (1, 3)  # 1 without threads
    assert nk.get_num_threads() == before


def test_help(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--help"])
    assert stopped.value.code == 0
    out = capsys.readouterr().out
    assert all(option in out for option in ("--quick", "--full", "--threads", "--json"))


def test_forced_level_is_shown():
    level = nk.simd_levels()[0]
    shown = run_python("import nllkern; nllkern.show_config()", NLLKERN_SIMD=level)
    assert re.search(rf"^SIMD level: +{level}$", shown, re.MULTILINE)


def test_only_numpy_is_needed():
    """No module of the command imports anything but NumPy and the standard library."""
    modules = run_python("import sys, nllkern.__main__; print(*sys.modules)")
    packages = {name.partition(".")[0] for name in modules.split()}
    assert not packages & {"scipy", "rich", "mpmath", "torch", "sklearn", "typing_extensions"}


def test_formulas_are_those_of_the_losses():
    """What NumPy is timed on is the same thing."""
    for name, formula in _speed.FORMULAS.items():
        loss = getattr(nk, name)
        args, options = _speed.inputs(ROWS[name], "float64", 5000)
        value, grad = loss.value_and_grad(*args, **options)
        got_value, got_grad = formula(*args)
        assert got_value == pytest.approx(value, rel=1e-10)
        np.testing.assert_allclose(got_grad, grad, rtol=1e-9, atol=1e-15)


def test_levels_are_really_switched():
    with use_simd_level(nk.simd_levels()[0]):
        assert nk._show.config()["SIMD level"] == nk.simd_levels()[0]
